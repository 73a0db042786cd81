"""Links between the devices of one node: what agents report, and what that makes of each pair.

A pair is one weight, so that pairs compare and add up: NVLINK for every NVLink between the two,
else where on PCIe they meet. One NVLink outweighs all PCIe of a node of up to 200 devices; the
order of the others is that of NVML's common ancestors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

NVLINK = 10_000
SWITCH = 50  # under one PCIe switch
CPU = 20  # on one CPU (NUMA node)
SYSTEM = 10  # across CPUs

# Agents that report islands and no counts: as many as an A100 has to its NVSwitch.
ISLAND_NVLINKS = 12

Weights = tuple[tuple[int, ...], ...]
"""(devices, devices), symmetric, 0 on the diagonal."""


@dataclass(frozen=True, slots=True)
class Links:
    """How the devices of a node are joined, beyond the island and NUMA node that each one names.

    nvlinks: for each device its row: active NVLinks, as it sees them, to each device by index. A
    broken link is seen from one end first: of the two directions the worse counts. Empty: not
    reported, and devices of one island are joined alike. pcie_switches: by device; those under one
    PCIe switch share a number, -1: none, or unknown. Empty: not reported.
    """

    nvlinks: tuple[tuple[int, ...], ...] = ()
    pcie_switches: tuple[int, ...] = ()


def pair_weights(islands: Sequence[int], numa_nodes: Sequence[int], links: Links | None) -> Weights:
    """The weight of every pair of devices; -1 is no island, or an unknown NUMA node. O(d²).

    What was reported for fewer devices than there are says nothing of the others.
    """
    reported = links or Links()
    devices = range(len(islands))

    def weight(i: int, j: int) -> int:
        if i == j:
            return 0
        if reported.nvlinks:
            joined = min(_seen(reported, i, j), _seen(reported, j, i))
        else:
            joined = ISLAND_NVLINKS if islands[i] == islands[j] >= 0 else 0
        if joined > 0:
            return joined * NVLINK
        if _switch(reported, i) == _switch(reported, j) >= 0:
            return SWITCH
        return CPU if numa_nodes[i] == numa_nodes[j] else SYSTEM

    return tuple(tuple(weight(i, j) for j in devices) for i in devices)


def _seen(links: Links, first: int, second: int) -> int:
    """NVLinks to the second device as the first sees them."""
    row = links.nvlinks[first] if first < len(links.nvlinks) else ()
    return row[second] if second < len(row) else 0


def _switch(links: Links, device: int) -> int:
    return links.pcie_switches[device] if device < len(links.pcie_switches) else -1


def rearranged(links: Links, order: Sequence[int]) -> Links:
    """The same links with device order[i] in place i; -1: a device of which nothing is known."""
    rows = tuple(tuple(_seen(links, i, j) if min(i, j) >= 0 else 0 for j in order) for i in order)
    switches = tuple(_switch(links, i) if i >= 0 else -1 for i in order)
    return Links(rows if links.nvlinks else (), switches if links.pcie_switches else ())


def link_name(weight: int) -> str:
    """What joins a pair, in a few words."""
    if weight >= NVLINK:
        return f"NVLink x{weight // NVLINK}"
    return {SWITCH: "one PCIe switch", CPU: "one CPU", SYSTEM: "across CPUs"}[weight]
