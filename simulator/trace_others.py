"""Files that lie beside traces and are none, such as lists of nodes: what they are good for."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from aimass.simulator.clusters import NodeKind
from aimass.simulator.pack_files import POD_COLUMNS, FileProblem, split_fields
from aimass.simulator.requests import is_requests


class _NodeList(NamedTuple):
    """Columns of a list of nodes, one to a line: GPUs of each, and their model."""

    gpus: str
    model: str
    others: tuple[str, ...]


_NODE_LISTS = (
    _NodeList("gpu_capacity_num", "gpu_model", ("node_name", "cpu_num")),
    _NodeList("gpu", "model", ("sn", "cpu_milli", "memory_mib")),
)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


def known_other(
    path: Path, first: tuple[int, str], rest: Iterable[tuple[int, str]]
) -> FileProblem | None:
    """What the file is, and what to do with it, if it is known and no trace. O(kinds) memory."""
    number, line = first
    if is_requests(line):
        what = "a log of requests to a service, not of jobs"
        fix = "massctl sim generate --requests makes a trace of the replicas that it calls for"
        return FileProblem(path, number, what, fix)
    header = split_fields(path, number, line) if not line.startswith("{") else []
    if {*POD_COLUMNS} <= {*header} and "creation_time" not in header:
        fix = "massctl sim pack --pods takes it; name one with times here"
        return FileProblem(path, number, "a list of pods without times", fix)
    for one in _NODE_LISTS:
        if {one.gpus, one.model, *one.others} <= {*header}:
            return _nodes(path, one, header, rest)
    return None


def _nodes(
    path: Path, one: _NodeList, header: list[str], rest: Iterable[tuple[int, str]]
) -> FileProblem:
    counts: Counter[tuple[str, str]] = Counter()
    for number, line in rest:
        fields = dict(zip(header, split_fields(path, number, line), strict=False))
        counts[fields.get(one.gpus, ""), fields.get(one.model, "")] += 1
    kinds = [
        NodeKind(nodes, int(gpus), _NOT_IN_NAMES.sub("-", model) or "GPU")
        for (gpus, model), nodes in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if gpus.isascii() and gpus.isdigit() and int(gpus)
    ]
    spec = "+".join(f"{kind.nodes}x{kind.gpus}x{kind.gpu_type}" for kind in kinds)
    what = f"a list of {sum(counts.values())} nodes, not of jobs"
    fix = f"name a trace of jobs; these nodes with GPUs are --cluster {spec or 'none'}"
    return FileProblem(path, 1, what, fix)
