"""Timeline: how a run went, bin by bin: what was held and idle, who waited, on which nodes.

Bins are as long as they must be for BINS of them to reach the end: when a run grows out of them,
they are merged in pairs. So memory does not grow with jobs or time, and sums stay exact.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from aimass.core.model import NodeId, Placement
from aimass.simulator.clusters import Kinds
from aimass.simulator.tracejob import TraceJob

BINS = 480
WIDTH_MS = 1000  # of a bin to begin with
ROWS_MAX = 64
QUEUES_MAX = 32
OTHERS = "(all other queues)"


class Observer(Protocol):
    """Is told what happens in a run, in order of time; at_ms on the cluster's clock."""

    def opened(self, at_ms: int) -> None: ...
    def came(self, at_ms: int, job: TraceJob) -> None: ...
    def started(self, at_ms: int, job: TraceJob, places: Sequence[Placement]) -> None: ...
    def left(
        self, at_ms: int, job: TraceJob, places: Sequence[Placement], is_over: bool
    ) -> None: ...
    def resized(self, at_ms: int, node_id: NodeId, gpu_milli: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Row:
    """A few neighbouring nodes of one kind; milli-GPU x ms in each bin."""

    label: str
    there: list[int]
    held: list[int]


@dataclass(frozen=True, slots=True)
class QueueCourse:
    """What one queue held and asked for (held or waited for), milli-GPU x ms in each bin."""

    name: str
    held: list[int]
    asked: list[int]


@dataclass(frozen=True, slots=True)
class Course:
    """A run in bins of width_ms from its beginning on; the last one ends at length_ms.

    All milli-GPU x ms in each bin, but waiting_jobs: jobs x ms. there: GPUs in service. beside:
    idle ones on nodes of which something else was held.
    """

    width_ms: int
    length_ms: int
    there: list[int]
    held: list[int]
    beside: list[int]
    waiting: list[int]
    waiting_jobs: list[int]
    rows: tuple[Row, ...]
    queues: tuple[QueueCourse, ...]

    @property
    def bins(self) -> int:
        return len(self.there)

    def span_ms(self, index: int) -> int:
        """How long the bin is: all are equal but the last."""
        return min(self.width_ms, self.length_ms - index * self.width_ms)


class Timeline:
    """An Observer that keeps a Course. O(1) a call, but where a bin ends; bounded memory."""

    def __init__(self, kinds: Kinds) -> None:
        self._begin_ms = 0
        self._width_ms = WIDTH_MS
        self._there: dict[NodeId, int] = {}
        self._used: dict[NodeId, int] = {}
        self._row_of: dict[NodeId, int] = {}
        self._labels = list(self._rows(kinds))
        self._first_nodes = len(self._row_of)
        self._row_there = [_Steps() for _ in self._labels]
        self._row_held = [_Steps() for _ in self._labels]
        self._beside, self._waiting, self._waiting_jobs = _Steps(), _Steps(), _Steps()
        self._queues: dict[str, tuple[_Steps, _Steps]] = {}

    def _rows(self, kinds: Kinds) -> Iterator[str]:
        """The labels of the rows; nodes are named as clusters.registrations does."""
        total = sum(kind.nodes for kind in kinds)
        each = self._each = -(-total // max(1, ROWS_MAX - len(kinds)))
        index = row = 0
        for kind in kinds:
            end = index + kind.nodes
            while index < end:
                last = min(index + each, end)
                for number in range(index, last):
                    node_id = NodeId(f"n{number}")
                    self._row_of[node_id] = row
                    self._there[node_id], self._used[node_id] = 1000 * kind.gpus, 0
                nodes = f"n{index}" if last == index + 1 else f"n{index}-n{last - 1}"
                yield f"{nodes} {kind.gpu_type}"
                index, row = last, row + 1

    def opened(self, at_ms: int) -> None:
        """The nodes have joined; times count from here."""
        self._begin_ms = at_ms
        for node_id, milli in self._there.items():
            self._row_there[self._row_of[node_id]].value += milli

    def came(self, at_ms: int, job: TraceJob) -> None:
        """The job waits: it was submitted, or has lost its places."""
        self._wait(self._reached(at_ms), job, 1)

    def started(self, at_ms: int, job: TraceJob, places: Sequence[Placement]) -> None:
        """The job that waited holds these places."""
        at_ms = self._reached(at_ms)
        self._wait(at_ms, job, -1)
        self._hold(at_ms, job, places, 1)

    def left(self, at_ms: int, job: TraceJob, places: Sequence[Placement], is_over: bool) -> None:
        """These places are free, some or all of the job's; if it is not over, it waits again."""
        at_ms = self._reached(at_ms)
        self._hold(at_ms, job, places, -1)
        if not is_over:
            self._wait(at_ms, job, 1)

    def resized(self, at_ms: int, node_id: NodeId, gpu_milli: int) -> None:
        """So much of the node is in service from now on; it may be a new one."""
        at_ms = self._reached(at_ms)
        row = self._row_of.get(node_id)
        if row is None:
            row = self._row_of[node_id] = self._row_of_new(node_id)
        before, used = self._there.get(node_id, 0), self._used.setdefault(node_id, 0)
        self._there[node_id] = gpu_milli
        change = _beside(gpu_milli, used) - _beside(before, used)
        self._beside.add(at_ms, self._width_ms, change)
        self._row_there[row].add(at_ms, self._width_ms, gpu_milli - before)

    def _row_of_new(self, node_id: NodeId) -> int:
        """The last row that began with a new node, if it has room, else a row of its own."""
        added = len(self._row_of) - self._first_nodes
        is_full = added % self._each == 0 and len(self._labels) < 2 * ROWS_MAX
        if is_full or not added:
            self._labels.append(f"{node_id} added")
            self._row_there.append(_Steps())
            self._row_held.append(_Steps())
        return len(self._labels) - 1

    def close(self, length_ms: int) -> Course:
        """The whole course, which ends so long after its beginning."""
        at_ms = self._reached(self._begin_ms + length_ms)
        width_ms = self._width_ms
        bins = max(1, -(-at_ms // width_ms))

        def sums(steps: _Steps) -> list[int]:
            steps.add(at_ms, width_ms, 0)
            return steps.sums[:bins]

        rows = tuple(
            Row(label, sums(there), sums(held))
            for label, there, held in zip(
                self._labels, self._row_there, self._row_held, strict=True
            )
        )
        queues = tuple(
            QueueCourse(name, sums(held), sums(asked))
            for name, (held, asked) in self._queues.items()
        )
        return Course(
            width_ms,
            at_ms,
            [sum(values) for values in zip(*(row.there for row in rows), strict=True)],
            [sum(values) for values in zip(*(row.held for row in rows), strict=True)],
            sums(self._beside),
            sums(self._waiting),
            sums(self._waiting_jobs),
            rows,
            queues,
        )

    def _reached(self, at_ms: int) -> int:
        """The time since the beginning; wide enough bins for it."""
        at_ms -= self._begin_ms
        while at_ms >= BINS * self._width_ms:
            self._width_ms *= 2
            for steps in self._all():
                steps.merge()
        return at_ms

    def _all(self) -> "Iterator[_Steps]":
        yield from self._row_there
        yield from self._row_held
        yield from (self._beside, self._waiting, self._waiting_jobs)
        for both in self._queues.values():
            yield from both

    def _queue(self, job: TraceJob) -> "tuple[_Steps, _Steps]":
        found = self._queues.get(job.queue)
        if found is None:
            name = job.queue if len(self._queues) < QUEUES_MAX - 1 else OTHERS
            found = self._queues.setdefault(name, (_Steps(), _Steps()))
        return found

    def _wait(self, at_ms: int, job: TraceJob, sign: int) -> None:
        width_ms, milli = self._width_ms, sign * job.gpu_milli
        self._waiting.add(at_ms, width_ms, milli)
        self._waiting_jobs.add(at_ms, width_ms, sign)
        self._queue(job)[1].add(at_ms, width_ms, milli)

    def _hold(self, at_ms: int, job: TraceJob, places: Sequence[Placement], sign: int) -> None:
        width_ms, total = self._width_ms, 0
        for place in places:
            node_id, milli = place.node_id, sign * place.share_milli * len(place.devices)
            total += milli
            there, used = self._there[node_id], self._used[node_id]
            after = self._used[node_id] = used + milli
            self._row_held[self._row_of[node_id]].add(at_ms, width_ms, milli)
            change = _beside(there, after) - _beside(there, used)
            if change:
                self._beside.add(at_ms, width_ms, change)
        for steps in self._queue(job):
            steps.add(at_ms, width_ms, total)


def _beside(there: int, used: int) -> int:
    """What idles on the node while something else of it is held."""
    return max(0, there - used) if used else 0


class _Steps:
    """The integral over each bin of a value that changes in steps."""

    __slots__ = ("_since_ms", "sums", "value")

    def __init__(self) -> None:
        self.value = 0
        self.sums = [0] * BINS
        self._since_ms = 0

    def add(self, at_ms: int, width_ms: int, change: int) -> None:
        """The value was the same until now, and changes."""
        since_ms = self._since_ms
        if at_ms > since_ms:
            self._since_ms = at_ms
            if self.value:
                self._fill(since_ms, at_ms, width_ms)
        self.value += change

    def _fill(self, since_ms: int, at_ms: int, width_ms: int) -> None:
        value, sums = self.value, self.sums
        first, last = since_ms // width_ms, at_ms // width_ms
        if first == last:
            sums[first] += value * (at_ms - since_ms)
            return
        sums[first] += value * ((first + 1) * width_ms - since_ms)
        for index in range(first + 1, last):
            sums[index] += value * width_ms
        sums[last] += value * (at_ms - last * width_ms)

    def merge(self) -> None:
        """Two bins become one."""
        pairs = self.sums
        self.sums = [pairs[i] + pairs[i + 1] for i in range(0, BINS, 2)] + [0] * (BINS // 2)
