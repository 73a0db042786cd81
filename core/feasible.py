"""Can a shard run on a node? The one answer that decide, check, explain and plan all use.

`node_refusal` says what a node *is* or its state forbids, `shards_fit` also what is held there.
A reason comes with a stable code and the figures behind it.
"""

from itertools import chain, islice

from aimass.core.codes import Code as Code
from aimass.core.codes import Kind as Kind
from aimass.core.codes import Refusal as Refusal
from aimass.core.model import Device, DeviceSpec, Job, Node, NodeState
from aimass.core.spec import WHOLE_GPU_MILLI, LabelOp, LabelRule, Need


def device_suits(spec: DeviceSpec, need: Need) -> bool:
    """Right model and enough memory, whatever its state and use."""
    return (not need.gpu_types or spec.model in need.gpu_types) and spec.memory_mib >= (
        need.gpu_share_mib if need.gpu_share_mib > need.gpu_memory_mib else need.gpu_memory_mib
    )


def device_has_room(device: Device, need: Need, is_soon: bool = False) -> bool:
    """A suitable, healthy device with the share that a shard needs free now (or soon)."""
    free_milli = device.soon_milli if is_soon else device.free_milli
    if free_milli < need.share_on(device.spec.memory_mib):
        return False
    return device_suits(device.spec, need)


def node_refusal(node: Node, job: Job, need: Need) -> Refusal | None:
    """What the node *is* or its state forbids, whatever is held there: None if it could take one.

    O(devices + rules). The order of tests is the order in which a person would ask.
    """
    refusal = _rule_refusal(node, job)
    if refusal is not None:
        return refusal
    if need.has_gpu:
        refusal = _device_refusal(node, need)
        if refusal is not None:
            return refusal
    inventory = node.inventory
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
    if node.cordon:
        return Refusal(Code.NODE_CORDONED, node.cordon)
    return None


def suits_some_role(node: Node, job: Job) -> bool:
    """The node would take a shard of the job if it were empty. O(roles * (devices + rules))."""
    return any(node_refusal(node, job, role.need) is None for role in job.spec.roles)


def _rule_refusal(node: Node, job: Job) -> Refusal | None:
    """What the job's own rules about nodes say of this one."""
    spec, labels = job.spec, node.inventory.labels
    for key, value in sorted(spec.node_selector.items()) if spec.node_selector else ():
        if labels.get(key) != value:
            text = f"{_has_label(node, key)}, the job selects {key}={value}"
            return Refusal(Code.LABELS_DIFFER, text)
    for rule in spec.affinity:
        if rule.weight == 0 and not rule_holds(rule, labels):
            text = f"{_has_label(node, rule.key)}, the job asks {_rule_text(rule)}"
            return Refusal(Code.AFFINITY, text)
    for taint in node.inventory.taints:
        if not is_tolerated(taint, spec.tolerations):
            return Refusal(Code.TAINTED, f"tainted {taint}, which the job does not tolerate")
    if node.id in spec.exclude_nodes:
        return Refusal(Code.EXCLUDED_NODE, "the job excludes this node")
    if node.id in job.avoid:
        return Refusal(Code.AVOIDED_NODE, "an attempt failed here and its retry rule avoids it")
    return None


def rule_holds(rule: LabelRule, labels: dict[str, str]) -> bool:
    """Whether labels obey the rule; a label that is absent is in no set of values."""
    if rule.op is LabelOp.IN:
        return labels.get(rule.key) in rule.values
    if rule.op is LabelOp.NOT_IN:
        return labels.get(rule.key) not in rule.values
    return (rule.key in labels) == (rule.op is LabelOp.EXISTS)


def is_tolerated(taint: str, tolerations: tuple[str, ...]) -> bool:
    """A taint is tolerated by its own text, or by its key alone."""
    return taint in tolerations or taint.partition("=")[0] in tolerations


def _has_label(node: Node, key: str) -> str:
    has = node.inventory.labels.get(key)
    return f"has {key}={has}" if has is not None else f"has no label {key}"


def _rule_text(rule: LabelRule) -> str:
    values = ", ".join(rule.values)
    return {
        LabelOp.IN: f"{rule.key} in ({values})",
        LabelOp.NOT_IN: f"{rule.key} not in ({values})",
        LabelOp.EXISTS: f"a label {rule.key}",
        LabelOp.ABSENT: f"no label {rule.key}",
    }[rule.op]


def _device_refusal(node: Node, need: Need) -> Refusal | None:
    devices = node.devices
    suitable, enough = 0, need.devices
    for device in devices:
        suitable += device.spec.healthy and device_suits(device.spec, need)
        if suitable == enough:
            return None
    if not devices:
        return Refusal(Code.NO_GPU, "no GPU, a shard needs " + _gpus(need))
    right = [d for d in devices if not need.gpu_types or d.spec.model in need.gpu_types]
    if not right:
        has = ", ".join(sorted({d.spec.model for d in devices}))
        text = f"has {has}, the job asks {' or '.join(need.gpu_types)}"
        return Refusal(Code.WRONG_GPU_TYPE, text)
    big = [d for d in right if device_suits(d.spec, need)]
    if not big:
        most = max(d.spec.memory_mib for d in right)
        least = max(need.gpu_memory_mib, need.gpu_share_mib)
        return Refusal(Code.GPU_MEMORY_SMALL, f"GPUs of {most} MiB, the job asks {least} MiB")
    if len(big) < need.devices:
        text = f"{len(big)} suitable GPUs in all, a shard needs {_gpus(need)}"
        return Refusal(Code.GPUS_TOO_FEW, text)
    healthy = sum(d.spec.healthy for d in big)
    text = f"{healthy} of {len(big)} suitable GPUs healthy, a shard needs {_gpus(need)}"
    return Refusal(Code.GPUS_FAILED, text)


def shards_fit(
    node: Node, job: Job, need: Need, most: int, is_soon: bool = False
) -> tuple[int, Refusal | None]:
    """How many shards (at most `most`) fit beside what is held now, and what stops the next one.

    is_soon: what is leaving counts as free, unless somebody has claimed it. The refusal is None
    when all `most` fit. O(devices); for a job that wants nodes for itself also O(holds).
    """
    refusal = node_refusal(node, job, need) or _exclusive_refusal(node, job, is_soon)
    if refusal is not None:
        return 0, refusal
    room, code = _room_on(node, need, is_soon)
    if code is None or room >= most:
        return most, None
    if code is Code.GPUS_BUSY:
        text = _free_gpus(node, need, is_soon)
    elif code is Code.CPU_BUSY:
        free_milli = node.cpu_soon_milli if is_soon else node.cpu_free_milli
        text = f"{_cores(free_milli)} free, a shard needs {_cores(need.cpu_milli)}"
    else:
        free_mib = node.memory_soon_mib if is_soon else node.memory_free_mib
        text = f"{free_mib} MiB free, a shard needs {need.memory_mib} MiB"
    return room, Refusal(code, text)


def count_fits(node: Node, job: Job, need: Need, most: int, is_soon: bool = False) -> int:
    """The number that shards_fit gives, without the reason: several times as fast.

    What the node could never hold it has no room for either, so only rules and state are asked.
    """
    if (
        node.state is not NodeState.READY
        or node.cordon
        or _rule_refusal(node, job) is not None
        or _exclusive_refusal(node, job, is_soon) is not None
    ):
        return 0
    return min(most, _room_on(node, need, is_soon)[0])


_UNBOUNDED = 1 << 30


def _room_on(node: Node, need: Need, is_soon: bool) -> tuple[int, Code | None]:
    """Shards for which there is room, and what there is least of; no code: they need nothing."""
    room, code = _UNBOUNDED, None
    if need.has_gpu:
        room, code = _shards_by_devices(node, need, is_soon), Code.GPUS_BUSY
    if need.cpu_milli:
        fits = (node.cpu_soon_milli if is_soon else node.cpu_free_milli) // need.cpu_milli
        if fits < room:
            room, code = fits, Code.CPU_BUSY
    if need.memory_mib:
        fits = (node.memory_soon_mib if is_soon else node.memory_free_mib) // need.memory_mib
        if fits < room:
            room, code = fits, Code.MEMORY_BUSY
    return room, code


def _exclusive_refusal(node: Node, job: Job, is_soon: bool) -> Refusal | None:
    """A node that one job has for itself takes nothing of another.

    Where one hold is exclusive all are of its job, so the first speaks for the others; claims may
    be promises for different times.
    """
    if not job.spec.exclusive_node and not node.claims:
        for placement in node.holds.values():
            if not placement.exclusive:
                return None
            break
    tables = (islice(node.holds.items(), 1), node.claims.items())
    for key, placement in chain(*tables):
        is_leaving = is_soon and key in node.leaving
        if placement.exclusive and key.job_id != job.id and not is_leaving:
            return Refusal(Code.NODE_EXCLUSIVE, f"{key.job_id} has the node for itself")
    if not job.spec.exclusive_node:
        return None
    others = [key.job_id for key in node.claims if key.job_id != job.id]
    for key in node.holds:
        if key.job_id != job.id and not (is_soon and key in node.leaving):
            others.append(key.job_id)
    if not others:
        return None
    first, count = others[0], len(set(others))
    who = first if count == 1 else f"{first} and {count - 1} more"
    return Refusal(Code.NODE_SHARED, f"{who} on it, the job wants the node for itself")


def _shards_by_devices(node: Node, need: Need, is_soon: bool) -> int:
    room, is_whole = 0, need.gpu_milli >= WHOLE_GPU_MILLI
    is_picky = bool(need.gpu_types or need.gpu_memory_mib or need.gpu_share_mib)
    for device in node.devices:
        if not is_soon and device.used_milli and (is_whole or device.used_milli >= WHOLE_GPU_MILLI):
            continue  # most are, on a busy node
        free_milli = device.soon_milli if is_soon else device.free_milli
        if free_milli and (not is_picky or device_suits(device.spec, need)):
            if is_whole:
                room += free_milli == WHOLE_GPU_MILLI
            else:
                room += free_milli // need.share_on(device.spec.memory_mib)
    return room // need.devices


def shards_when_empty(node: Node, job: Job, need: Need) -> int:
    """How many shards the node could take if it were ready, healthy and held nothing."""
    refusal = node_refusal(node, job, need)
    if refusal is not None and not refusal.code.is_transient:
        return 0
    bounds = []
    if need.has_gpu:
        suitable = [d.spec for d in node.devices if device_suits(d.spec, need)]
        if need.gpu_milli >= WHOLE_GPU_MILLI:
            bounds.append(len(suitable) // need.devices)
        else:
            each = (WHOLE_GPU_MILLI // need.share_on(s.memory_mib) for s in suitable)
            bounds.append(sum(each))
    if need.cpu_milli:
        bounds.append(node.inventory.cpu_milli // need.cpu_milli)
    if need.memory_mib:
        bounds.append(node.inventory.memory_mib // need.memory_mib)
    return min(bounds, default=_UNBOUNDED)


def _free_gpus(node: Node, need: Need, is_soon: bool) -> str:
    suitable = [d for d in node.devices if device_suits(d.spec, need)]
    free = [d.soon_milli if is_soon else d.free_milli for d in suitable]
    if need.gpu_milli >= WHOLE_GPU_MILLI:
        whole = free.count(WHOLE_GPU_MILLI)
        return f"{whole} of {len(suitable)} GPUs free, a shard needs {_gpus(need)}"
    return f"at most {max(free) / 1000:g} of a GPU free, a shard needs {_gpus(need)}"


def _gpus(need: Need) -> str:
    if need.gpu_share_mib:
        return f"{need.gpu_share_mib} MiB of one"
    return f"{need.gpu_milli / 1000:g}"


def _cores(cpu_milli: int) -> str:
    return f"{cpu_milli / 1000:g} CPUs"
