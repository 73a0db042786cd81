"""The real devices, by NVML, asked in a process of its own: a hung driver hangs only that.

`python -m aimass.nodeagent.probe_nvml` is that process; it prints one JSON object.
"""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aimass.nodeagent.probe import Probed, ProbedDevice, ProbeError, islands, model_name
from aimass.nodeagent.probe_nvml_links import active_nvlinks, joined, pcie_switches

DEADLINE_S = 15  # a cold driver without persistence mode takes seconds per device


class NvmlProbe:
    """Lists what NVML lists, within CUDA_VISIBLE_DEVICES if the agent was started with one."""

    name = "nvml"

    def __init__(self, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s

    def devices(self) -> Probed:
        """Ask the driver in a child process, for at most the deadline (and then kill that)."""
        # -P: the agent may have been started in a folder whose files are named like modules.
        command = [sys.executable, "-P", "-m", "aimass.nodeagent.probe_nvml"]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            output, complaint = child.communicate(timeout=self._deadline_s)
        except subprocess.TimeoutExpired:
            child.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # stuck inside the driver
                child.wait(1)
            for pipe in (child.stdout, child.stderr):
                assert pipe is not None
                pipe.close()
            raise ProbeError(
                f"the NVIDIA driver did not answer within {self._deadline_s:g} s"
            ) from None
        if child.returncode != 0:
            lines = complaint.decode(errors="replace").strip().splitlines()
            raise ProbeError(lines[-1] if lines else f"probe ended with {child.returncode}")
        answer = json.loads(output)
        devices = tuple(ProbedDevice(**device) for device in answer["devices"])
        nvlinks = tuple(tuple(row) for row in answer["nvlinks"])
        switches = tuple(answer["pcie_switches"])
        return Probed(devices, answer["driver_version"], answer["cuda_version"], nvlinks, switches)


def ask_nvml(nvml: Any, visible: str | None) -> Probed:
    """List the devices through the binding `nvml` (pynvml, or a stand-in with its functions).

    visible: CUDA_VISIBLE_DEVICES as inherited, None when it is not set. A device that fails is
    listed as unhealthy by its index; one failure never hides the others.
    """
    nvml.nvmlInit()
    try:
        found = [_device(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
        found = [device for device in found if _is_visible(device, visible)]
        nvlinks = active_nvlinks(nvml, found)
        numbers = islands(len(found), joined(nvlinks))
        devices = tuple(
            dataclasses.replace(device, island=island)
            for device, island in zip(found, numbers, strict=True)
        )
        cuda = _or(0, nvml.NVMLError, nvml.nvmlSystemGetCudaDriverVersion_v2)
        return Probed(
            devices,
            _text(_or("", nvml.NVMLError, nvml.nvmlSystemGetDriverVersion)),
            f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else "",
            nvlinks,
            pcie_switches(nvml, found),
        )
    finally:
        nvml.nvmlShutdown()


def _device(nvml: Any, index: int) -> ProbedDevice:
    uuid = bus = ""
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        uuid = _text(nvml.nvmlDeviceGetUUID(handle))
        bus = _text(nvml.nvmlDeviceGetPciInfo(handle).busId)
        return ProbedDevice(
            index=index,
            uuid=uuid,
            model=model_name(_text(nvml.nvmlDeviceGetName(handle))),
            memory_mib=_memory_mib(nvml, handle),
            numa_node=_numa_node(bus),
            island=-1,
            pci_bus_id=bus,
        )
    except nvml.NVMLError as error:
        uuid = uuid or f"unreadable-{index}"
        return ProbedDevice(index, uuid, "unknown", 0, -1, -1, bus, False, str(error))


def _memory_mib(nvml: Any, handle: Any) -> int:
    try:  # version 1 counts the driver's own reserve as used
        total = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2).total
    except nvml.NVMLError:
        total = nvml.nvmlDeviceGetMemoryInfo(handle).total
    return int(total) >> 20


def _numa_node(bus: str) -> int:
    """From sysfs: NVML's own NUMA call speaks of something else (GPUs that are NUMA nodes)."""
    domain, _, rest = bus.lower().partition(":")
    path = Path(f"/sys/bus/pci/devices/{domain[-4:]}:{rest}/numa_node")
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return -1


def _is_visible(device: ProbedDevice, visible: str | None) -> bool:
    """Say whether CUDA programs of this agent may use the device, by CUDA's own rules."""
    if visible is None:
        return True
    names = [name.strip() for name in visible.split(",")]
    return any(
        name == str(device.index) or (name.startswith("GPU-") and device.uuid.startswith(name))
        for name in names
        if name
    )


def _or(default: Any, errors: type[Exception], call: Callable[..., Any], *args: Any) -> Any:
    """Give what the call gives, or the default where the driver does not know it."""
    try:
        return call(*args)
    except errors:
        return default


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def main() -> None:
    """Print what NVML says as JSON; on failure one line on stderr, and status 1."""
    try:
        import pynvml
    except ImportError:
        sys.exit("nvidia-ml-py is not installed (pip install 'aimass[node]')")
    try:
        probed = ask_nvml(pynvml, os.environ.get("CUDA_VISIBLE_DEVICES"))
    except pynvml.NVMLError as error:
        sys.exit(f"NVML: {error}")
    print(json.dumps(dataclasses.asdict(probed)))


if __name__ == "__main__":
    main()
