"""What an all-reduce would cost on a placement, by latency and bandwidth of its links.

An estimate to compare places by, and for people to read; not a promise. One ring is counted, so
real libraries are faster where several rings find links of their own.

| level | latency of a step | bandwidth |
|---|---|---|
| NVLink | 3.4 us | 20 GB/s for each link of the pair (V100 to H100) |
| one PCIe switch | 5.7 us | 12 GB/s (third generation, 16 lanes) |
| one CPU | 5.7 us | 10 GB/s: through the CPU a transfer costs 6/5 |
| across CPUs | 5.7 us | 8.3 GB/s: 10 GB/s between the sockets, and the same 6/5 |
| network | 9.6 us | 12 GB/s a node (100 Gbit/s) in the narrowest level, half in each wider one |

The figures are those that NCCL tunes itself by (NVIDIA/nccl, src/graph/topo.h and tuning.cc: ring,
protocol Simple; Skylake between sockets); that a wider level has half the bandwidth is our
assumption of an oversubscribed network.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from aimass.core.links import CPU, NVLINK, SWITCH, SYSTEM, link_name
from aimass.core.model import Node

MESSAGE_BYTES = 1 << 30

_NVLINK_NS, _PCIE_NS, _NETWORK_NS = 3_400, 5_700, 9_600
_NVLINK_BYTES_PER_US = 20_000
_PCIE_BYTES_PER_US = {SWITCH: 12_000, CPU: 10_000, SYSTEM: 8_300}
_NETWORK_BYTES_PER_US = 12_000


class Group(NamedTuple):
    """The devices of a gang on one node; weight: the slowest link that its ring uses there."""

    node: Node
    devices: int
    weight: int  # 0: there is one device only


class Estimate(NamedTuple):
    """The time of one all-reduce of MESSAGE_BYTES, how, and what bounds it."""

    time_us: int
    algorithm: str
    devices: int
    slowest: str

    @property
    def text(self) -> str:
        """One line for a trail."""
        time_ms = f"{self.time_us // 1000}.{self.time_us % 1000 // 100}"
        return (
            f"all-reduce of 1 GiB over {self.devices} GPUs: about {time_ms} ms by "
            f"{self.algorithm}, slowest link {self.slowest}"
        )


def all_reduce(levels: Sequence[str], groups: Sequence[Group]) -> Estimate | None:
    """The estimate for groups in rank order; None for less than two devices. O(groups * levels).

    levels: of the topology, widest first. ring: 2(n-1) steps of 1/n of the message, each as slow as
    the slowest link (Patarasuk and Yuan, JPDC 2009). tree: two trees between the nodes (Sanders,
    Speck and Träff, ParCo 2009), a chain in each, every link passes the message up and down; trees
    reach 9/10 of the bandwidth (NCCL).
    """
    devices, nodes = sum(group.devices for group in groups), len(groups)
    if devices < 2:
        return None
    inside = min((group.weight for group in groups if group.weight), default=0)
    inside_ns, bandwidth = _device_link(inside) if inside else (0, 0)
    slowest = link_name(inside) if inside else ""
    if nodes > 1:
        ring = pairwise((*groups, groups[0]))
        apart = max(_apart(levels, one.node, other.node) for one, other in ring)
        network = max(1, _NETWORK_BYTES_PER_US >> apart)
        if not bandwidth or network < bandwidth:
            bandwidth, slowest = network, _network_name(levels, apart)
    ring_ns = 2 * ((devices - nodes) * inside_ns + (nodes - 1) * _NETWORK_NS)
    chain = -(-devices // nodes) - 1
    tree_ns = 2 * (chain * inside_ns + (nodes - 1).bit_length() * _NETWORK_NS)
    ring_us = ring_ns // 1000 + 2 * (devices - 1) * MESSAGE_BYTES // (devices * bandwidth)
    tree_us = tree_ns // 1000 + 2 * 10 * MESSAGE_BYTES // (9 * bandwidth)
    time_us, algorithm = min((ring_us, "ring"), (tree_us, "tree"))
    return Estimate(time_us, algorithm, devices, slowest)


def _device_link(weight: int) -> tuple[int, int]:
    """(latency in ns, bytes per us) of a link between two devices of a node."""
    if weight >= NVLINK:
        return _NVLINK_NS, weight // NVLINK * _NVLINK_BYTES_PER_US
    return _PCIE_NS, _PCIE_BYTES_PER_US[weight]


def _apart(levels: Sequence[str], one: Node, other: Node) -> int:
    """How many levels one has to go up from the narrowest to find both nodes in one domain."""
    labels, others = one.inventory.labels, other.inventory.labels
    for up, level in enumerate(reversed(levels)):
        if level in labels and labels[level] == others.get(level):
            return up
    return len(levels)


def _network_name(levels: Sequence[str], apart: int) -> str:
    if apart < len(levels):
        return f"network of one {levels[-1 - apart]}"
    return f"network beyond one {levels[0]}" if levels else "network"
