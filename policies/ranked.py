"""Ranked: what orders that preempt by themselves share (see core.policy.RankedOrder)."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from aimass.core.cluster import Cluster, Group
from aimass.core.model import Job, JobId, JobState
from aimass.core.spec import JobSpec

Rank = tuple[int, ...]
_SLACK = 1024  # ranks kept of jobs that wait no more


class Ranked(ABC):
    """An order by rank. Ranks are made once for a moment: nothing in a decision changes them.

    Those that last while a job waits are kept longer. All that is remembered may be forgotten.
    """

    version = 1
    is_strict = False
    is_across_queues = True

    def __init__(self, name: str) -> None:
        self.name = name
        self._ranks: dict[JobId, Rank] = {}
        self._of: tuple[Cluster | None, int, int] = (None, 0, 0)  # cluster, revision, time
        self._lasting: dict[JobId, tuple[JobSpec, int, Rank]] = {}  # with what they rest on

    @abstractmethod
    def ranked(self, cluster: Cluster, job: Job) -> Rank:
        """The rank of the job as the cluster is now."""

    def rank(self, cluster: Cluster, job: Job) -> Rank:
        """See RankedOrder.rank. O(1) when asked before at this moment.

        Nothing is remembered of a job that is tried in another form than it is.
        """
        if cluster.jobs.get(job.id) is not job:
            return self.ranked(cluster, job)
        of = self._of
        if of[1] != cluster.revision or of[2] != cluster.now_ms or of[0] is not cluster:
            self._of = (cluster, cluster.revision, cluster.now_ms)
            self._ranks = {}
            if len(self._lasting) > 2 * len(cluster.waiting) + _SLACK:
                self._lasting = {}
        rank = self._ranks.get(job.id)
        if rank is None:
            rank = self._ranks[job.id] = self._made(cluster, job)
        return rank

    def _made(self, cluster: Cluster, job: Job) -> Rank:
        if job.state is not JobState.QUEUED or not self.lasts(job):
            return self.ranked(cluster, job)
        kept = self._lasting.get(job.id)
        if kept is not None and kept[0] is job.spec and kept[1] == job.queued_ms:
            return kept[2]
        rank = self.ranked(cluster, job)
        self._lasting[job.id] = (job.spec, job.queued_ms, rank)
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


def _first(entry: tuple[Rank, JobId, Group]) -> Rank:
    return entry[0]
