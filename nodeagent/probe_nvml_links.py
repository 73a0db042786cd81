"""How the devices of a node are joined, as NVML tells it: NVLinks, and the way over PCIe."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from aimass.nodeagent.probe import ProbedDevice, islands


def active_nvlinks(nvml: Any, devices: Sequence[ProbedDevice]) -> tuple[tuple[int, ...], ...]:
    """Count for each device its active links to each: directly, or through the NVSwitch of both.

    What one end of a link sees and the other does not stays in its row: the scheduler takes the
    worse of the two. A link that is inactive, or does not say where it leads, hides no other.
    Empty when no link joins any two of the devices. O(devices * links) calls.
    """
    by_bus = {device.pci_bus_id.lower(): i for i, device in enumerate(devices)}
    rows = [[0] * len(devices) for _ in devices]
    to_switch = [0] * len(devices)
    for i, device in enumerate(devices):
        for peer in _peers(nvml, device):
            if peer is None:
                to_switch[i] += 1
            elif by_bus.get(peer, i) != i:
                rows[i][by_bus[peer]] += 1
    on_switch = [i for i, links in enumerate(to_switch) if links]
    for i in on_switch:
        for other in on_switch:
            rows[i][other] += to_switch[i] if other != i else 0
    return tuple(map(tuple, rows)) if any(map(any, rows)) else ()


def _peers(nvml: Any, device: ProbedDevice) -> list[str | None]:
    """Give for each active link of the device the bus that it leads to; None: an NVSwitch."""
    peers: list[str | None] = []
    for link in range(nvml.NVML_NVLINK_MAX_LINKS if device.is_healthy else 0):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(device.index)
            if not nvml.nvmlDeviceGetNvLinkState(handle, link):
                continue
        except nvml.NVMLError:
            break  # no NVLink, or no further one
        try:
            kind = nvml.nvmlDeviceGetNvLinkRemoteDeviceType(handle, link)
        except nvml.NVMLError:  # an older driver
            kind = -1
        if kind == nvml.NVML_NVLINK_DEVICE_TYPE_SWITCH:
            peers.append(None)
            continue
        try:
            bus = nvml.nvmlDeviceGetNvLinkRemotePciInfo(handle, link).busId
        except nvml.NVMLError:
            continue
        peers.append((bus.decode(errors="replace") if isinstance(bus, bytes) else bus).lower())
    return peers


def joined(nvlinks: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Find the pairs that see each other."""
    count = range(len(nvlinks))
    return [(i, j) for i in count for j in range(i) if nvlinks[i][j] and nvlinks[j][i]]


def pcie_switches(nvml: Any, devices: Sequence[ProbedDevice]) -> tuple[int, ...]:
    """Number for each device the PCIe switch it is under; -1: it meets nobody below the CPU.

    One chip may show itself as several switches: who meets nobody under a single one is put
    together with those it reaches through switches alone. Empty when nobody meets anybody so: one
    device, no switch, or a driver that cannot tell. O(d²) calls.
    """
    single: list[tuple[int, int]] = []
    several: list[tuple[int, int]] = []
    for i, j in combinations(range(len(devices)), 2):
        if not (devices[i].is_healthy and devices[j].is_healthy):
            continue
        try:
            ends = (nvml.nvmlDeviceGetHandleByIndex(devices[k].index) for k in (i, j))
            ancestor = nvml.nvmlDeviceGetTopologyCommonAncestor(*ends)
        except nvml.NVMLError:
            continue
        if ancestor <= nvml.NVML_TOPOLOGY_SINGLE:
            single.append((i, j))
        elif ancestor <= nvml.NVML_TOPOLOGY_MULTIPLE:
            several.append((i, j))
    settled = {device for pair in single for device in pair}
    several = [pair for pair in several if settled.isdisjoint(pair)]
    numbers = islands(len(devices), single + several)
    return tuple(numbers) if single or several else ()
