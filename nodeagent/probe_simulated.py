"""Devices that are not there: `2xH100-SXM5-80GB` gives two, the same ones at every start."""

import re
import uuid

from aimass.nodeagent.probe import Probed, ProbedDevice, ProbeError

_SPEC = re.compile(r"(?P<count>\d+)x(?P<model>[A-Za-z0-9][A-Za-z0-9.\-]*)")
_MEMORY = re.compile(r"(\d+)GB", re.IGNORECASE)
_MEMORY_GIB_DEFAULT = 80
_DEVICES_MAX = 64

# NVLinks of a device to its NVSwitch, by the beginning of the model's name; others have 18.
_SWITCH_LINKS = {"P100": 4, "V100": 6, "A100": 12}
# Eight V100 are a hybrid cube mesh (NVIDIA DGX-1 with V100): NVLinks of each to each.
_CUBE_MESH = (
    (0, 1, 1, 2, 2, 0, 0, 0),
    (1, 0, 2, 1, 0, 2, 0, 0),
    (1, 2, 0, 2, 0, 0, 1, 0),
    (2, 1, 2, 0, 0, 0, 0, 1),
    (2, 0, 0, 0, 0, 1, 1, 2),
    (0, 2, 0, 0, 1, 0, 2, 1),
    (0, 0, 1, 0, 1, 2, 0, 2),
    (0, 0, 0, 1, 2, 1, 2, 0),
)


class SimulatedProbe:
    """Stands in for NVML where there is no GPU: same values, same protocol."""

    name = "simulated"

    def __init__(self, spec: str, node_id: str) -> None:
        """spec: COUNTxMODEL, several joined by "+", or "none"; a model's "80GB" is its memory.

        Several of a model with SXM in its name form one NVLink island, on one NVSwitch; eight V100
        a cube mesh. Others have no NVLink. Each two devices share a PCIe switch.
        Errors: ProbeError when the text is not of that form.
        """
        self._devices: list[ProbedDevice] = []
        boards: list[tuple[str, int]] = []  # (model, devices), no NVLink between them
        for island, part in enumerate(spec.split("+") if spec != "none" else ()):
            match = _SPEC.fullmatch(part.strip())
            if match is None:
                raise ProbeError(
                    f"{part!r} is not COUNTxMODEL, such as 2xH100-SXM5-80GB or 8xA100-40GB"
                )
            count = min(int(match["count"]), _DEVICES_MAX + 1)
            is_linked = count > 1 and "SXM" in match["model"].upper()
            boards.append((match["model"] if is_linked else "", count))
            for _ in range(count):
                self._add(match["model"], island if is_linked else -1, node_id)
        if len(self._devices) > _DEVICES_MAX:
            raise ProbeError(f"{spec!r} asks for more than {_DEVICES_MAX} devices on one node")
        self._nvlinks = _nvlinks(boards)

    def devices(self) -> Probed:
        """Give the devices of the spec, all healthy."""
        switches = tuple(device.index // 2 for device in self._devices)
        return Probed(tuple(self._devices), "simulated", "", self._nvlinks, switches)

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


def _nvlinks(boards: list[tuple[str, int]]) -> tuple[tuple[int, ...], ...]:
    """Give the rows of all devices; boards: (model, devices) in turn, no model: no NVLink."""
    total = sum(count for _, count in boards)
    rows: list[tuple[int, ...]] = []
    for model, count in boards:
        before, after = (0,) * len(rows), (0,) * (total - len(rows) - count)
        for i in range(count):
            rows.append((*before, *_row(model, count, i), *after))
    return tuple(rows) if any(map(any, rows)) else ()


def _row(model: str, count: int, device: int) -> tuple[int, ...]:
    if not model:
        return (0,) * count
    if model.upper().startswith("V100") and count == len(_CUBE_MESH):
        return _CUBE_MESH[device]
    links = next((n for name, n in _SWITCH_LINKS.items() if model.upper().startswith(name)), 18)
    return tuple(links if other != device else 0 for other in range(count))
