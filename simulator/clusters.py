"""Clusters in a few letters: `64x8xH100` is 64 nodes of 8 H100 each; kinds are joined by `+`.

The nodes have no end of CPU and memory: traces of GPU jobs say little or nothing of these.
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

_KIND = re.compile(r"([1-9][0-9]{0,6})x([1-9][0-9]{0,2})x([A-Za-z0-9][A-Za-z0-9._-]{0,63})\Z")
ALLOWED = "a cluster such as 64x8xH100 or 16x4xV100+8x8xA100: nodes x GPUs of each x type"


class NodeKind(NamedTuple):
    """So many equal nodes."""

    nodes: int
    gpus: int
    gpu_type: str

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
    index = 0
    for kind in kinds:
        for _ in range(kind.nodes):
            name = f"n{index}"
            index += 1
            devices = tuple(
                DeviceSpec(f"{name}-{i}", kind.gpu_type, GPU_MEMORY_MIB) for i in range(kind.gpus)
            )
            there = Inventory(name, name, CPU_MILLI, MEMORY_MIB, devices)
            yield NodeRegistered(at_ms, NodeId(name), there, "1", 1)
