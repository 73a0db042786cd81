"""Ranked: what orders that preempt by themselves share (see core.policy.RankedOrder)."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from aimass.core.cluster import Cluster, Group
from aimass.core.model import Job, JobId, JobState
from aimass.core.spec import JobSpec

Rank = tuple[int, ...]
_MIRROR = "ranks"  # see NodeIndex.mirrors
_SLACK = 1024  # ranks kept of jobs that wait no more


class Ranked(ABC):
    """An order by rank. Ranks are made once for a moment: nothing in a decision changes them.

    Those that last while a job waits are kept longer. All of it is kept with the cluster: one order
    also looks into the future on copies, where jobs have the same ids, and in another thread.
    """

    version = 1
    is_strict = False
    is_across_queues = True

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def ranked(self, cluster: Cluster, job: Job) -> Rank:
        """The rank of the job as the cluster is now."""

    def rank(self, cluster: Cluster, job: Job) -> Rank:
        """See RankedOrder.rank. O(1) when asked before at this moment.

        Nothing is remembered of a job that is tried in another form than it is.
        """
        if cluster.jobs.get(job.id) is not job:
            return self.ranked(cluster, job)
        memory = self._memory(cluster)
        rank = memory.ranks.get(job.id)
        if rank is None:
            rank = memory.ranks[job.id] = self._made(memory, cluster, job)
        return rank

    def _memory(self, cluster: Cluster) -> "_Memory":
        """What this order knows of the cluster at this moment."""
        mirrors = cluster.index.mirrors
        memory = mirrors.get(_MIRROR)
        if not isinstance(memory, _Memory) or memory.order is not self:
            memory = mirrors[_MIRROR] = _Memory(self)
        if memory.revision != cluster.revision or memory.now_ms != cluster.now_ms:
            memory.revision, memory.now_ms = cluster.revision, cluster.now_ms
            memory.ranks = {}
            if len(memory.lasting) > 2 * len(cluster.waiting) + _SLACK:
                memory.lasting = {}
        return memory

    def _made(self, memory: "_Memory", cluster: Cluster, job: Job) -> Rank:
        if job.state is not JobState.QUEUED or not self.lasts(job):
            return self.ranked(cluster, job)
        kept = memory.lasting.get(job.id)
        if kept is not None and kept[0] is job.spec and kept[1] == job.queued_ms:
            return kept[2]
        rank = self.ranked(cluster, job)
        memory.lasting[job.id] = (job.spec, job.queued_ms, rank)
        return rank

    def lasts(self, job: Job) -> bool:
        """True when the rank of the waiting job follows from its row alone, and not from time."""
        return False

    def next_change_ms(self, cluster: Cluster) -> int:
        """See RankedOrder.next_change_ms: never, unless an order says otherwise."""
        return 0

    def queue(self, cluster: Cluster, blocked: set[Group]) -> Iterator[tuple[Group, JobId]]:
        """See OrderPolicy.queue. O(waiting jobs log waiting jobs)."""
        jobs, rank = cluster.jobs, self.rank
        entries = [
            (rank(cluster, jobs[job_id]), job_id, group)
            for group in cluster.waiting.groups.values()
            if group not in blocked
            for _, job_id in group.jobs
        ]
        entries.sort(key=_first)
        for _, job_id, group in entries:
            if group not in blocked:
                yield group, job_id

    def is_before(self, cluster: Cluster, first: Job, second: Job) -> bool:
        """See OrderPolicy.is_before."""
        return self.rank(cluster, first) < self.rank(cluster, second)


class _Memory:
    """Ranks of one cluster by one order. Losing it costs making them again.

    ranks: at this revision and time. lasting: of waiting jobs, with the spec and queued_ms
    that they rest on.
    """

    __slots__ = ("lasting", "now_ms", "order", "ranks", "revision")

    def __init__(self, order: Ranked) -> None:
        self.order = order
        self.revision = self.now_ms = -1
        self.ranks: dict[JobId, Rank] = {}
        self.lasting: dict[JobId, tuple[JobSpec, int, Rank]] = {}


def _first(entry: tuple[Rank, JobId, Group]) -> Rank:
    return entry[0]
