"""Devices that are not there: `2xH100-SXM5-80GB` gives two, the same ones at every start."""

import re
import uuid

from aimass.nodeagent.probe import Probed, ProbedDevice, ProbeError

_SPEC = re.compile(r"(?P<count>\d+)x(?P<model>[A-Za-z0-9][A-Za-z0-9.\-]*)")
_MEMORY = re.compile(r"(\d+)GB", re.IGNORECASE)
_MEMORY_GIB_DEFAULT = 80
_DEVICES_MAX = 64


class SimulatedProbe:
    """Stands in for NVML where there is no GPU: same values, same protocol."""

    name = "simulated"

    def __init__(self, spec: str, node_id: str) -> None:
        """spec: COUNTxMODEL, several joined by "+", or "none"; a model's "80GB" is its memory.

        Several of a model with SXM in its name form one NVLink island; others have no NVLink.
        Errors: ProbeError when the text is not of that form.
        """
        self._devices: list[ProbedDevice] = []
        for island, part in enumerate(spec.split("+") if spec != "none" else ()):
            match = _SPEC.fullmatch(part.strip())
            if match is None:
                raise ProbeError(
                    f"{part!r} is not COUNTxMODEL, such as 2xH100-SXM5-80GB or 8xA100-40GB"
                )
            count = min(int(match["count"]), _DEVICES_MAX + 1)
            is_linked = count > 1 and "SXM" in match["model"].upper()
            for _ in range(count):
                self._add(match["model"], island if is_linked else -1, node_id)
        if len(self._devices) > _DEVICES_MAX:
            raise ProbeError(f"{spec!r} asks for more than {_DEVICES_MAX} devices on one node")

    def devices(self) -> Probed:
        """Give the devices of the spec, all healthy."""
        return Probed(tuple(self._devices), "simulated", "")

    def _add(self, model: str, island: int, node_id: str) -> None:
        index = len(self._devices)
        memory = _MEMORY.search(model)
        identity = uuid.uuid5(uuid.NAMESPACE_URL, f"aimass://{node_id}/{index}/{model}")
        self._devices.append(
            ProbedDevice(
                index=index,
                uuid=f"GPU-{identity}",
                model=model,
                memory_mib=1024 * int(memory[1] if memory else _MEMORY_GIB_DEFAULT),
                numa_node=index // 4,
                island=island,
                pci_bus_id=f"00000000:{0x10 + index:02X}:00.0",
            )
        )
