"""Which devices a node has: the protocol of probes, and the rules that all of them share.

A probe returns values and never raises for one bad device: that device is listed as unhealthy.
"""

import re
from dataclasses import dataclass
from typing import Protocol


class ProbeError(Exception):
    """The devices of this node cannot be listed at all; says why."""


@dataclass(frozen=True, slots=True)
class ProbedDevice:
    index: int
    uuid: str
    model: str
    memory_mib: int
    numa_node: int  # -1: unknown
    island: int  # devices joined by NVLink share a number; -1: none
    pci_bus_id: str
    is_healthy: bool = True
    health_detail: str = ""


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe found.

    nvlinks: a row for each device, the active NVLinks that it sees to each of them; empty when none
    has any. pcie_switches: by device, those under one switch share a number, -1: none; empty:
    none of them does, or unknown.
    """

    devices: tuple[ProbedDevice, ...]
    driver_version: str = ""
    cuda_version: str = ""
    nvlinks: tuple[tuple[int, ...], ...] = ()
    pcie_switches: tuple[int, ...] = ()


class Probe(Protocol):
    """Lists the devices of this node."""

    name: str

    def devices(self) -> Probed:
        """List the devices. May take seconds: call it off the event loop.

        Errors: ProbeError when nothing can be said (no driver, or it does not answer in time).
        """
        ...


_NOISE = {"NVIDIA", "TESLA", "QUADRO", "GEFORCE", "GRAPHICS", "DEVICE", "CORPORATION"}


def model_name(product: str) -> str:
    """Give a device model as job files and tables write it: one word, no vendor.

    Words are joined by "-"; vendor and brand words go. The rest stays as NVML has it, since it
    tells models apart: "NVIDIA H100 80GB HBM3" -> "H100-80GB-HBM3", "NVIDIA A100-SXM4-80GB" ->
    "A100-SXM4-80GB", "NVIDIA GeForce RTX 4090" -> "RTX-4090", "Tesla T4" -> "T4".
    """
    words = re.findall(r"[A-Za-z0-9.]+", product)
    return "-".join(word for word in words if word.upper() not in _NOISE) or "unknown"


def islands(count: int, joined: list[tuple[int, int]]) -> list[int]:
    """Number the groups of devices that links join (union-find); -1 for a device on its own.

    count: devices. joined: pairs of their positions. Islands are numbered by their first device.
    """
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for a, b in joined:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    roots = [root(i) for i in range(count)]
    shared = sorted({r for r in roots if roots.count(r) > 1})
    return [shared.index(r) if r in shared else -1 for r in roots]
