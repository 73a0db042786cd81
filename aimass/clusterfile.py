"""A described cluster for `massctl plan --cluster`: nodes by kind, in YAML.

levels: [row, rack]
nodes:
  - {count: 4, gpus: 8xH100, gpuMemory: 80GiB, cpus: 64, memory: 512GiB, labels: {rack: r1}}
"""

import re
from pathlib import Path
from typing import Any

from aimass import units, yamldoc
from aimass.errors import InvalidRequest
from aimass.v1 import node_pb2

KEYS = ("name", "count", "gpus", "gpuMemory", "cpus", "memory", "labels", "taints")
NODES_MAX = 10_000
_GPUS = re.compile(r"([1-9]\d?)x([A-Za-z0-9][A-Za-z0-9._-]{0,252})\Z")


def load(path: Path) -> tuple[list[str], list[tuple[str, node_pb2.Inventory]]]:
    """Read (levels of the topology, (name, inventory) of every node). Raises InvalidRequest."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidRequest(
            f"cannot read {path}: {error.strerror}", fix="check the path"
        ) from None
    try:
        value = yamldoc.read(data).value
    except yamldoc.Refused as refused:
        raise InvalidRequest(refused.problem.text(str(path)), fix=f"correct {path}") from None
    if not isinstance(value, dict) or not isinstance(value.get("nodes"), list):
        raise _wrong(path, "nodes: a list of kinds of nodes")
    extra = set(value) - {"nodes", "levels"}
    if extra:
        raise _wrong(path, f"{sorted(extra)[0]}: not known; there are nodes and levels")
    found: list[tuple[str, node_pb2.Inventory]] = []
    for number, kind in enumerate(value["nodes"]):
        found += _nodes(path, f"nodes.{number}", kind, len(found))
    if not 0 < len(found) <= NODES_MAX:
        raise _wrong(path, f"nodes: {len(found)} of them; 1 to {NODES_MAX}")
    return [str(level) for level in value.get("levels") or []], found


def _nodes(path: Path, where: str, kind: Any, before: int) -> list[tuple[str, node_pb2.Inventory]]:
    if not isinstance(kind, dict) or set(kind) - set(KEYS):
        raise _wrong(path, f"{where}: one of {', '.join(KEYS)} each")
    count = kind.get("count", 1)
    if not isinstance(count, int) or not 0 < count <= NODES_MAX:
        raise _wrong(path, f"{where}.count: 1 to {NODES_MAX}")
    gpus = _GPUS.match(str(kind.get("gpus", "1xnone")))
    if gpus is None:
        raise _wrong(path, f"{where}.gpus: as 8xH100")
    try:
        gpu_mib = units.memory_mib(kind.get("gpuMemory", "80GiB"))
        cpu_milli = units.cpu_milli(kind.get("cpus", 64))
        memory_mib = units.memory_mib(kind.get("memory", "512GiB"))
    except ValueError as error:
        raise _wrong(path, f"{where}: {error}") from None
    base = str(kind.get("name", f"n{before + 1}"))
    found = []
    for i in range(count):
        name = base if count == 1 else f"{base}-{i}" if "name" in kind else f"n{before + i + 1}"
        there = node_pb2.Inventory(hostname=name, address=name, cpu_milli=cpu_milli)
        there.memory_mib = memory_mib
        there.labels.update({k: str(v) for k, v in (kind.get("labels") or {}).items()})
        there.taints.extend(str(taint) for taint in kind.get("taints") or ())
        for index in range(int(gpus[1]) if "gpus" in kind else 0):
            there.devices.add(
                index=index,
                uuid=f"GPU-{name}-{index}",
                model=gpus[2],
                memory_mib=gpu_mib,
                healthy=True,
            )
        found.append((name, there))
    return found


def _wrong(path: Path, what: str) -> InvalidRequest:
    return InvalidRequest(f"{path}: {what}", fix=f"correct {path}; see massctl plan --help")
