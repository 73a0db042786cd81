"""Ranked: what orders that preempt by themselves share (see core.policy.RankedOrder)."""

from abc import ABC, abstractmethod
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

from aimass.core.cluster import Cluster, Group
from aimass.core.lost_work import held_milli
from aimass.core.model import Attempt, Job, JobId, JobState
from aimass.core.policy import Standing
from aimass.core.spec import JobSpec

Rank = tuple[int, ...]
NEVER_MS = 1 << 62
_MIRROR = "ranks"  # see NodeIndex.mirrors
_SLACK = 1024  # rows kept of jobs that are active no more, and changes that nobody asked about
_Row = tuple[Rank, JobId]


class Ranked(ABC):
    """An order by rank. Ranks are made once for a moment: nothing in a decision changes them.

    Those that last while a job waits are kept longer, sorted. All of it is kept with the cluster:
    one order also looks into the future on copies, where jobs have the same ids, and in another
    thread.
    """

    version = 1
    is_strict = False
    is_across_queues = True

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def ranked(self, cluster: Cluster, job: Job) -> Rank:
        """The rank of the job as the cluster is now."""

    def lasts(self, job: Job) -> bool:
        """True when the rank of the waiting job follows from its row alone, and not from time."""
        return False

    def at_work(self, cluster: Cluster, job: Job) -> tuple[Rank, int]:
        """The rank of an active job, and until when time alone will leave it as it is.

        0: not even until the next moment. Its attempt's state and the job's spec may change it.
        """
        return self.ranked(cluster, job), 0

    def rank(self, cluster: Cluster, job: Job) -> Rank:
        """See RankedOrder.rank. O(1) when asked before at this moment.

        Nothing is remembered of a job that is tried in another form than it is.
        """
        if cluster.jobs.get(job.id) is not job:
            return self.ranked(cluster, job)
        memory = self._memory(cluster)
        rank = memory.ranks.get(job.id)
        if rank is None:
            kept = memory.places.get(job.id) if job.id not in memory.changed else None
            rank = memory.ranks[job.id] = kept[1] if kept else self.ranked(cluster, job)
        return rank

    def standing(self, cluster: Cluster) -> Sequence[Standing]:
        """See RankedOrder.standing."""
        memory = self._memory(cluster)
        if memory.standing is None:
            memory.standing = self._stand(cluster, memory)
        return memory.standing

    def next_change_ms(self, cluster: Cluster) -> int:
        """See RankedOrder.next_change_ms: never, unless at_work() says otherwise."""
        return 0

    def queue(self, cluster: Cluster, blocked: set[Group]) -> Iterator[tuple[Group, JobId]]:
        """See OrderPolicy.queue.

        O(jobs that came or went, log waiting each), O(groups), and O(log groups) a job; O(n log n)
        for n waiting jobs whose ranks do not last.
        """
        heap = [
            (*rows[0], 0, group, rows)
            for group, rows in self._rows(cluster)
            if group not in blocked
        ]
        heapify(heap)  # no two ranks are equal: a comparison never reaches the group
        while heap:
            _, job_id, position, group, rows = heap[0]
            if group not in blocked:
                yield group, job_id
            position += 1
            if group not in blocked and position < len(rows):
                heapreplace(heap, (*rows[position], position, group, rows))
            else:
                heappop(heap)

    def is_before(self, cluster: Cluster, first: Job, second: Job) -> bool:
        """See OrderPolicy.is_before."""
        return self.rank(cluster, first) < self.rank(cluster, second)

    def _rows(self, cluster: Cluster) -> Iterator[tuple[Group, list[_Row]]]:
        """Waiting jobs by rank, of every group; those with lasting ranks apart from the others."""
        memory, waiting, jobs = self._memory(cluster), cluster.waiting, cluster.jobs
        if memory.changed:
            memory.sort_in(cluster)
        yield from memory.rows.items()
        loose: dict[Group, list[_Row]] = {}
        for job_id in memory.loose:
            row = (self.rank(cluster, jobs[job_id]), job_id)
            loose.setdefault(waiting.group(job_id), []).append(row)
        for group, rows in loose.items():
            rows.sort()
            yield group, rows

    def _memory(self, cluster: Cluster) -> "_Memory":
        """What this order knows of the cluster at this moment."""
        mirrors = cluster.index.mirrors
        memory = mirrors.get(_MIRROR)
        if not isinstance(memory, _Memory):
            memory = mirrors[_MIRROR] = _Memory(self, cluster.waiting.watch())
        elif memory.order is not self:
            memory = mirrors[_MIRROR] = _Memory(self, memory.changed)
            memory.begin_anew(cluster)
        if memory.revision != cluster.revision or memory.now_ms != cluster.now_ms:
            memory.begin_moment(cluster)
        return memory

    def _stand(self, cluster: Cluster, memory: "_Memory") -> list[Standing]:
        """Rank who is active; what has not changed since the last time is not asked again."""
        known, now_ms, found = memory.active, cluster.now_ms, []
        memory.next_ms = NEVER_MS
        for job_id, job in cluster.active.items():
            attempt = job.attempts[-1]
            row = known.get(job_id)
            if (
                row is None
                or row.until_ms <= now_ms
                or row.attempt is not attempt
                or row.running_ms != attempt.running_ms
                or row.state is not job.state
                or row.spec is not job.spec
            ):
                rank, until_ms = self.at_work(cluster, job)
                same = row is not None and row.attempt is attempt
                held = row.standing.held_milli if same and row else held_milli(attempt.placements)
                stands = Standing(rank, job, held)
                row = _Active(attempt, attempt.running_ms, job.state, job.spec, until_ms, stands)
                known[job_id] = row
            if row.until_ms < memory.next_ms and row.until_ms:
                memory.next_ms = row.until_ms
            found.append(row.standing)
        found.sort()
        return found


class _Active(NamedTuple):
    """Where an active job stands, what that rests on, and until when it holds."""

    attempt: Attempt
    running_ms: int
    state: JobState
    spec: JobSpec
    until_ms: int
    standing: Standing


class _Memory:
    """Ranks of one cluster by one order. Losing it costs making them again.

    ranks: at this revision and time. rows: of waiting jobs whose ranks last, sorted; places: where
    each of them is there. loose: the other waiting jobs. changed: who came or went since. standing,
    active: of active jobs, at this moment and since before; next_ms: the first of their until_ms.
    """

    __slots__ = (
        "active",
        "changed",
        "loose",
        "next_ms",
        "now_ms",
        "order",
        "places",
        "ranks",
        "revision",
        "rows",
        "standing",
    )

    def __init__(self, order: Ranked, changed: dict[JobId, None]) -> None:
        self.order = order
        self.changed = changed
        self.revision = self.now_ms = -1
        self.ranks: dict[JobId, Rank] = {}
        self.rows: dict[Group, list[_Row]] = {}
        self.places: dict[JobId, tuple[Group, Rank]] = {}
        self.loose: dict[JobId, None] = {}
        self.standing: list[Standing] | None = None
        self.active: dict[JobId, _Active] = {}
        self.next_ms = NEVER_MS

    def begin_moment(self, cluster: Cluster) -> None:
        """Time went on, or something happened."""
        self.revision, self.now_ms = cluster.revision, cluster.now_ms
        self.ranks = {}
        self.standing = None
        if len(self.active) > 2 * len(cluster.active) + _SLACK:
            self.active = {}
        if len(self.changed) > 2 * len(cluster.waiting) + _SLACK:
            self.begin_anew(cluster)

    def begin_anew(self, cluster: Cluster) -> None:
        """Forget the rows; who waits now has come."""
        self.rows, self.places, self.loose = {}, {}, {}
        self.changed.clear()
        self.changed.update(dict.fromkeys(cluster.waiting.ids()))

    def sort_in(self, cluster: Cluster) -> None:
        """Bring the rows up to date."""
        waiting = cluster.waiting
        for job_id in self.changed:
            place = self.places.pop(job_id, None)
            if place is not None:
                self._take_out(job_id, *place)
            self.loose.pop(job_id, None)
            if job_id not in waiting:
                continue
            job = cluster.jobs[job_id]
            if self.order.lasts(job):
                group, rank = waiting.group(job_id), self.order.ranked(cluster, job)
                insort(self.rows.setdefault(group, []), (rank, job_id))
                self.places[job_id] = (group, rank)
            else:
                self.loose[job_id] = None
        self.changed.clear()

    def _take_out(self, job_id: JobId, group: Group, rank: Rank) -> None:
        rows = self.rows[group]
        del rows[bisect_left(rows, (rank, job_id))]
        if not rows:
            del self.rows[group]
