"""Clusters in a few letters: `64x8xH100` is 64 nodes of 8 H100 each; kinds are joined by `+`.

Such nodes have no end of CPU and memory, are in no rack, and cost nothing: what has more to say
is a file, see aimass/cli_sim_cluster.py.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from aimass.core.events import NodeRegistered
from aimass.core.model import DeviceSpec, Inventory, NodeId

GPUS_OF_NODE_MAX = 128
GPUS_MAX = 1_000_000
CPU_MILLI = 2**40
MEMORY_MIB = 2**40
GPU_MEMORY_MIB = 81_920
RACK = "rack"  # the level, and the label that says which

_KIND = re.compile(r"([1-9][0-9]{0,6})x([1-9][0-9]{0,2})x([A-Za-z0-9][A-Za-z0-9._-]{0,63})\Z")
ALLOWED = "a cluster such as 64x8xH100 or 16x4xV100+8x8xA100: nodes x GPUs of each x type"


class NodeKind(NamedTuple):
    """So many equal nodes.

    island_gpus: so many of a node are joined by NVLink; 0: none. rack_nodes: so many stand in a
    rack, label RACK; 0: in none. labels: (key, value), such as where they are on wider levels.
    price_micro: of a GPU for an hour, in millionths of whatever is paid in.
    """

    nodes: int
    gpus: int
    gpu_type: str
    cpu_milli: int = CPU_MILLI
    memory_mib: int = MEMORY_MIB
    gpu_memory_mib: int = GPU_MEMORY_MIB
    island_gpus: int = 0
    rack_nodes: int = 0
    labels: tuple[tuple[str, str], ...] = ()
    price_micro: int = 0

    @property
    def total(self) -> int:
        return self.nodes * self.gpus


Kinds = tuple[NodeKind, ...]


def parse_cluster(text: str) -> Kinds:
    """Turn "16x4xV100+8x8xA100" into kinds of nodes. Raises ValueError with what is allowed."""
    kinds = []
    for part in text.split("+"):
        found = _KIND.match(part.strip())
        if found is None:
            raise ValueError(ALLOWED)
        kinds.append(NodeKind(int(found[1]), int(found[2]), found[3]))
    if any(kind.gpus > GPUS_OF_NODE_MAX for kind in kinds):
        raise ValueError(f"at most {GPUS_OF_NODE_MAX} GPUs on a node")
    if gpus_of(tuple(kinds)) > GPUS_MAX:
        raise ValueError(f"at most {GPUS_MAX} GPUs in all")
    return tuple(kinds)


def gpus_of(kinds: Kinds) -> int:
    """All GPUs of the cluster."""
    return sum(kind.total for kind in kinds)


def registrations(kinds: Kinds, at_ms: int) -> Iterator[NodeRegistered]:
    """The events with which the nodes join, in the order of the kinds. O(GPUs)."""
    for name, there in inventories(kinds):
        yield NodeRegistered(at_ms, NodeId(name), there, "1", 1)


def inventories(
    kinds: Kinds, first: int = 0, first_kind: int = 0
) -> Iterator[tuple[str, Inventory]]:
    """Names and inventories of the nodes: n0, n1 and so on from `first`. O(GPUs)."""
    index = first
    for at, kind in enumerate(kinds, first_kind):
        for place in range(kind.nodes):
            labels = dict(kind.labels)
            if kind.rack_nodes:
                labels[RACK] = f"r{at}-{place // kind.rack_nodes}"
            yield f"n{index}", _inventory(f"n{index}", kind, labels)
            index += 1


def _inventory(name: str, kind: NodeKind, labels: dict[str, str]) -> Inventory:
    joined = kind.island_gpus
    devices = tuple(
        DeviceSpec(
            f"{name}-{i}", kind.gpu_type, kind.gpu_memory_mib, island=i // joined if joined else -1
        )
        for i in range(kind.gpus)
    )
    return Inventory(name, name, kind.cpu_milli, kind.memory_mib, devices, labels)
