"""Windows: nodes reserved for a time, once or again and again; for maintenance, for nobody."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from aimass.core.spans import span_text
from aimass.core.spec_problems import TIME_MS_MAX, control_problem

if TYPE_CHECKING:
    from aimass.core.cluster import Cluster
    from aimass.core.model import Job, NodeId

EVERY_MS_MIN = 3_600_000
SPAN_MS_MAX = 10 * 365 * 24 * 3_600_000  # ten years
NODES_MAX = 10_000
LATE_MS = 60_000  # so late a start is still "now": the order to start has travelled
COMPARED_MAX = 10_000  # occurrences of a window that are compared with another's
NAMED_MAX = 3

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}\Z")
_NOWHERE: "frozenset[NodeId]" = frozenset()

Span = tuple[int, int]
"""(start, end) in epoch ms; the end is outside."""


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """Nodes that only these users and queues may use from start_ms for length_ms, and again every
    every_ms (0: once). maintenance: nobody may. Jobs of others that still run there are stopped.
    """

    name: str
    start_ms: int
    length_ms: int
    nodes: tuple[str, ...]
    every_ms: int = 0
    users: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()  # and the queues below them
    maintenance: bool = False
    until_ms: int = 0  # a recurring one starts no more then; 0: never


def occurrences(spec: WindowSpec, from_ms: int, to_ms: int) -> Iterator[Span]:
    """Yield the spans of the window that overlap from_ms up to to_ms, in order. O(1) each."""
    if not spec.every_ms:
        if spec.start_ms < to_ms and from_ms < spec.start_ms + spec.length_ms:
            yield spec.start_ms, spec.start_ms + spec.length_ms
        return
    passed = (from_ms - spec.length_ms - spec.start_ms) // spec.every_ms + 1
    start_ms = spec.start_ms + max(0, passed) * spec.every_ms
    while start_ms < to_ms and not (spec.until_ms and start_ms >= spec.until_ms):
        yield start_ms, start_ms + spec.length_ms
        start_ms += spec.every_ms


def next_overlap(spec: WindowSpec, from_ms: int, to_ms: int) -> Span | None:
    """The first span of the window that overlaps from_ms up to to_ms; None: there is none. O(1)."""
    return next(occurrences(spec, from_ms, to_ms), None)


def admits(cluster: "Cluster", spec: WindowSpec, job: "Job") -> bool:
    """True when the job may use the window's nodes while it is in force. O(depth of the queues)."""
    if spec.maintenance:
        return False
    if job.user in spec.users:
        return True
    name = job.spec.queue
    while name:
        if name in spec.queues:
            return True
        queue = cluster.queues.get(name)
        name = queue.spec.parent if queue is not None else ""
    return False


def blocked_nodes(cluster: "Cluster", job: "Job", from_ms: int, to_ms: int) -> "frozenset[NodeId]":
    """The nodes that the job may not use at some time from from_ms up to to_ms, for windows.

    O(1) without windows, else O(windows + nodes of those in the way).
    """
    if not cluster.windows:
        return _NOWHERE
    blocked: set[str] = set()
    for spec in cluster.windows.values():
        if next_overlap(spec, from_ms, to_ms) is not None and not admits(cluster, spec, job):
            blocked.update(spec.nodes)
    return frozenset(blocked)  # type: ignore[arg-type]  # NodeId is a str


def next_change_ms(cluster: "Cluster") -> int:
    """When a window next begins or ends after now; 0: never. O(windows)."""
    now_ms = cluster.now_ms
    edges = [
        edge_ms
        for spec in cluster.windows.values()
        for span in islice(occurrences(spec, now_ms, now_ms + SPAN_MS_MAX), 2)
        for edge_ms in span
        if edge_ms > now_ms
    ]
    return min(edges, default=0)


def window_problems(cluster: "Cluster", spec: WindowSpec, now_ms: int) -> list[tuple[str, str]]:
    """(field, what is wrong and what to do) for everything that makes the reservation impossible.

    now_ms: the cluster itself was told the time by its last event, which may be long ago. The one
    of the same name that it replaces is not in its way.
    """
    found = [*_shape_problems(spec), *_people_problems(cluster, spec)]
    unknown = [name for name in spec.nodes if name not in cluster.nodes]
    if unknown:
        found.append(("nodes", f"no node {_some(unknown)}: see what there is with massctl nodes"))
    was = cluster.windows.get(spec.name)
    is_moved = was is None or was.start_ms != spec.start_ms
    if is_moved and spec.start_ms < now_ms - LATE_MS:
        late = span_text(now_ms - spec.start_ms)
        found.append(("start_ms", f"{late} in the past: give a time to come"))
    if not found:
        found += _overlap_problems(cluster, spec, now_ms)
    return found


def _shape_problems(spec: WindowSpec) -> Iterator[tuple[str, str]]:
    if not _NAME.match(spec.name):
        yield "name", f"{spec.name[:40]!r}: letters, digits, '.', '_', '-'; 1 to 253 characters"
    if not 0 < len(spec.nodes) <= NODES_MAX:
        yield "nodes", f"{len(spec.nodes)} nodes: name 1 to {NODES_MAX}"
    elif len(set(spec.nodes)) < len(spec.nodes):
        yield "nodes", "a node is named twice: name each once"
    if not 0 < spec.length_ms <= SPAN_MS_MAX:
        yield "length_ms", f"1 ms to {span_text(SPAN_MS_MAX)}"
    for field, at_ms in (("start_ms", spec.start_ms), ("until_ms", spec.until_ms)):
        if not 0 <= at_ms <= TIME_MS_MAX:
            yield field, "a time in the years 1970 to 9999"
    if spec.every_ms and not EVERY_MS_MIN <= spec.every_ms <= SPAN_MS_MAX:
        yield (
            "every_ms",
            f"{span_text(EVERY_MS_MIN)} to {span_text(SPAN_MS_MAX)}, or 0 for once",
        )
    elif spec.every_ms and spec.length_ms > spec.every_ms:
        yield (
            "length_ms",
            f"at most {span_text(spec.every_ms)}, how often it comes, or it meets itself",
        )
    if spec.until_ms and not spec.every_ms:
        yield "until_ms", "it is not recurring: leave it out, or say how often it comes: --every"
    elif spec.until_ms and spec.until_ms <= spec.start_ms:
        yield "until_ms", "it is not after the start"


def _people_problems(cluster: "Cluster", spec: WindowSpec) -> Iterator[tuple[str, str]]:
    if spec.maintenance and (spec.users or spec.queues):
        yield "maintenance", "nobody may use the nodes then: leave out users and queues"
    if not spec.maintenance and not spec.users and not spec.queues:
        yield "users", "nobody could use the nodes: name users or queues, or say maintenance"
    unknown = [name for name in spec.queues if name not in cluster.queues]
    if unknown:
        yield "queues", f"no queue {_some(unknown)}: see what there is with massctl queue ls"
    for field, names in (("users", spec.users), ("queues", spec.queues)):
        if len(names) > NODES_MAX:
            yield field, f"{len(names)} of them: at most {NODES_MAX}"
        elif len(set(names)) < len(names):
            yield field, "one of them is named twice: name each once"
        yield from control_problem(field, "".join(names))


def _overlap_problems(
    cluster: "Cluster", spec: WindowSpec, now_ms: int
) -> Iterator[tuple[str, str]]:
    """Two windows of a node at one time must mean the same people."""
    nodes = set(spec.nodes)
    for other in cluster.windows.values():
        shared = [name for name in other.nodes if name in nodes]
        if other.name == spec.name or not shared or _people(other) == _people(spec):
            continue
        at_ms = first_meeting(spec, other, now_ms)
        if at_ms is not None:
            yield (
                "start_ms",
                f"in {span_text(at_ms - now_ms)} reservation {other.name} has "
                f"{_some(shared)} for other people: choose another time or other nodes, or remove "
                f"it: massctl reserve rm {other.name}",
            )


def _people(spec: WindowSpec) -> tuple[bool, frozenset[str], frozenset[str]]:
    return spec.maintenance, frozenset(spec.users), frozenset(spec.queues)


def first_meeting(one: WindowSpec, other: WindowSpec, from_ms: int) -> int | None:
    """When the two are first in force together, from from_ms on; None: never.

    Looks at most at COMPARED_MAX occurrences of the rarer one: more than a year.
    """
    rare, often = sorted((one, other), key=lambda spec: spec.every_ms or SPAN_MS_MAX + 1)[::-1]
    for start_ms, end_ms in islice(occurrences(rare, from_ms, 2**60), COMPARED_MAX):
        met = next_overlap(often, max(start_ms, from_ms), end_ms)
        if met is not None:
            return max(start_ms, met[0], from_ms)
    return None


def _some(names: list[str]) -> str:
    more = len(names) - NAMED_MAX
    return ", ".join(names[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
