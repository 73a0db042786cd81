"""Can a shard run on a node? The one answer that decide, check, explain and plan all use.

`refusal` gives the reason that holds a node back, or None. A reason says whether it is about what
the node *is* (never fits) or about what is held there *now* (fits when something ends).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from aimass.core.model import Device, DeviceSpec, Node, NodeState
from aimass.core.spec import WHOLE_GPU_MILLI, Need


class Code(Enum):
    """Why a node cannot take a shard. Stable: part of the API and of JSON output."""

    NODE_SUSPECT = "NODE_SUSPECT"
    NODE_LOST = "NODE_LOST"
    LABELS_DIFFER = "LABELS_DIFFER"
    NO_GPU = "NO_GPU"
    WRONG_GPU_TYPE = "WRONG_GPU_TYPE"
    GPU_MEMORY_SMALL = "GPU_MEMORY_SMALL"
    GPUS_TOO_FEW = "GPUS_TOO_FEW"
    GPUS_FAILED = "GPUS_FAILED"
    GPUS_BUSY = "GPUS_BUSY"
    CPU_TOO_SMALL = "CPU_TOO_SMALL"
    CPU_BUSY = "CPU_BUSY"
    MEMORY_TOO_SMALL = "MEMORY_TOO_SMALL"
    MEMORY_BUSY = "MEMORY_BUSY"

    @property
    def is_transient(self) -> bool:
        """True when waiting can help: the node is big enough and of the right kind."""
        return self in _TRANSIENT

    @property
    def is_busy(self) -> bool:
        """True when the end of a job that holds something there would help."""
        return self in _BUSY


_BUSY = frozenset((Code.GPUS_BUSY, Code.CPU_BUSY, Code.MEMORY_BUSY))
_TRANSIENT = _BUSY | {Code.NODE_SUSPECT, Code.NODE_LOST, Code.GPUS_FAILED}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the node takes no (further) shard: a stable code and the figures behind it."""

    code: Code
    text: str


def device_suits(spec: DeviceSpec, need: Need) -> bool:
    """Right model and enough memory, whatever its state and use."""
    return (
        not need.gpu_types or spec.model in need.gpu_types
    ) and spec.memory_mib >= need.gpu_memory_mib


def device_has_room(device: Device, need: Need) -> bool:
    """A suitable, healthy device with the share that a shard needs free now."""
    return device.free_milli >= need.share_milli and device_suits(device.spec, need)


def node_refusal(node: Node, need: Need, selector: Mapping[str, str]) -> Refusal | None:
    """What the node *is* or its state forbids, whatever is held there: None if it could take one.

    O(devices). The order of tests is the order in which a person would ask.
    """
    inventory = node.inventory
    for key, value in sorted(selector.items()):
        if inventory.labels.get(key) != value:
            has = inventory.labels.get(key)
            found = f"has {key}={has}" if has is not None else f"has no label {key}"
            return Refusal(Code.LABELS_DIFFER, f"{found}, the job selects {key}={value}")
    if need.gpu_milli:
        refusal = _device_refusal(node, need)
        if refusal is not None:
            return refusal
    if inventory.cpu_milli < need.cpu_milli:
        text = f"{_cores(inventory.cpu_milli)} in all, a shard needs {_cores(need.cpu_milli)}"
        return Refusal(Code.CPU_TOO_SMALL, text)
    if inventory.memory_mib < need.memory_mib:
        text = f"{inventory.memory_mib} MiB in all, a shard needs {need.memory_mib} MiB"
        return Refusal(Code.MEMORY_TOO_SMALL, text)
    if node.state is NodeState.SUSPECT:
        return Refusal(Code.NODE_SUSPECT, node.reason or "silent")
    if node.state is NodeState.LOST:
        return Refusal(Code.NODE_LOST, node.reason or "lost")
    return None


def _device_refusal(node: Node, need: Need) -> Refusal | None:
    devices = node.devices
    if not devices:
        return Refusal(Code.NO_GPU, "no GPU, a shard needs " + _gpus(need))
    right = [d for d in devices if not need.gpu_types or d.spec.model in need.gpu_types]
    if not right:
        has = ", ".join(sorted({d.spec.model for d in devices}))
        return Refusal(Code.WRONG_GPU_TYPE, f"has {has}, the job asks {_any_of(need.gpu_types)}")
    big = [d for d in right if d.spec.memory_mib >= need.gpu_memory_mib]
    if not big:
        most = max(d.spec.memory_mib for d in right)
        text = f"GPUs of {most} MiB, the job asks {need.gpu_memory_mib} MiB"
        return Refusal(Code.GPU_MEMORY_SMALL, text)
    if len(big) < need.devices:
        text = f"{len(big)} suitable GPUs in all, a shard needs {_gpus(need)}"
        return Refusal(Code.GPUS_TOO_FEW, text)
    healthy = sum(d.spec.healthy for d in big)
    if healthy < need.devices:
        text = f"{healthy} of {len(big)} suitable GPUs healthy, a shard needs {_gpus(need)}"
        return Refusal(Code.GPUS_FAILED, text)
    return None


def shards_fit(
    node: Node, need: Need, selector: Mapping[str, str], most: int
) -> tuple[int, Refusal | None]:
    """How many shards (at most `most`) fit beside what is held now, and what stops the next one.

    The refusal is None when all `most` fit. O(devices).
    """
    refusal = node_refusal(node, need, selector)
    if refusal is not None:
        return 0, refusal
    fits, refusal = most, None
    if need.gpu_milli:
        free = _shards_by_devices(node, need)
        if free < fits:
            fits, refusal = free, Refusal(Code.GPUS_BUSY, _free_gpus(node, need))
    inventory = node.inventory
    if need.cpu_milli:
        # Never below zero: a machine that came back smaller may hold more than it has.
        free_milli = max(0, inventory.cpu_milli - node.cpu_used_milli)
        if free_milli // need.cpu_milli < fits:
            fits = free_milli // need.cpu_milli
            text = f"{_cores(free_milli)} free, a shard needs {_cores(need.cpu_milli)}"
            refusal = Refusal(Code.CPU_BUSY, text)
    if need.memory_mib:
        free_mib = max(0, inventory.memory_mib - node.memory_used_mib)
        if free_mib // need.memory_mib < fits:
            fits = free_mib // need.memory_mib
            text = f"{free_mib} MiB free, a shard needs {need.memory_mib} MiB"
            refusal = Refusal(Code.MEMORY_BUSY, text)
    return fits, refusal


def _shards_by_devices(node: Node, need: Need) -> int:
    if need.gpu_milli >= WHOLE_GPU_MILLI:
        free = sum(device_has_room(d, need) for d in node.devices)
        return free // need.devices
    return sum(d.free_milli // need.gpu_milli for d in node.devices if device_suits(d.spec, need))


def shards_when_empty(node: Node, need: Need, selector: Mapping[str, str]) -> int:
    """How many shards the node could take if it were ready, healthy and held nothing."""
    refusal = node_refusal(node, need, selector)
    if refusal is not None and not refusal.code.is_transient:
        return 0
    bounds = []
    if need.gpu_milli:
        suitable = sum(device_suits(d.spec, need) for d in node.devices)
        each = need.devices if need.gpu_milli >= WHOLE_GPU_MILLI else 1
        bounds.append(suitable // each * (WHOLE_GPU_MILLI // need.share_milli))
    if need.cpu_milli:
        bounds.append(node.inventory.cpu_milli // need.cpu_milli)
    if need.memory_mib:
        bounds.append(node.inventory.memory_mib // need.memory_mib)
    return min(bounds, default=1 << 30)


def _free_gpus(node: Node, need: Need) -> str:
    suitable = [d for d in node.devices if device_suits(d.spec, need)]
    if need.gpu_milli < WHOLE_GPU_MILLI:
        most = max(d.free_milli for d in suitable)
        return f"at most {most / 1000:g} of a GPU free, a shard needs {_gpus(need)}"
    free = sum(d.free_milli == WHOLE_GPU_MILLI for d in suitable)
    return f"{free} of {len(suitable)} GPUs free, a shard needs {_gpus(need)}"


def _gpus(need: Need) -> str:
    return f"{need.gpu_milli / 1000:g}"


def _cores(cpu_milli: int) -> str:
    return f"{cpu_milli / 1000:g} CPUs"


def _any_of(names: tuple[str, ...]) -> str:
    return " or ".join(names)
