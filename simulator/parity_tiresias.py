"""The Tiresias simulator's own orders, to the letter: lists that remember how they stood.

`srtf`, `srtf-gpu` and `las` of the daemon say what they mean from the state alone. The reference
(SymbioticLab/Tiresias, scheme count) sorts the list of the last event again, so that ties depend on
all that happened before, and tests a demotion late for jobs with several GPUs. Its published
figures can only be met with both; times must be whole seconds.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace

from aimass.core.cluster import Cluster
from aimass.core.model import Job, JobId, JobState
from aimass.core.policy import Policy, RankedOrder
from aimass.policies.order_las import LIMITS_GPU_S
from aimass.policies.order_srtf import remaining_ms
from aimass.policies.ranked import Rank, Ranked


class _Listed(Ranked):
    """An order that is a list, brought up to date once at every moment."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._at_ms = -1
        self._known: set[JobId] = set()
        self._places: dict[JobId, Rank] = {}

    def ranked(self, cluster: Cluster, job: Job) -> Rank:
        """See RankedOrder.rank."""
        self._look(cluster)
        return self._places[job.id]

    def _look(self, cluster: Cluster) -> None:
        if cluster.now_ms == self._at_ms:
            return
        self._at_ms = cluster.now_ms
        there = [*cluster.waiting.ids(), *cluster.active, *cluster.claims]
        fresh = [job_id for job_id in dict.fromkeys(there) if job_id not in self._known]
        fresh.sort(key=lambda job_id: cluster.jobs[job_id].submit_seq)
        self._known.update(fresh)
        self._refresh(cluster, fresh)

    @abstractmethod
    def _refresh(self, cluster: Cluster, fresh: list[JobId]) -> None:
        """Make the places anew; fresh: jobs that came, by submission."""

    def next_change_ms(self, cluster: Cluster) -> int:
        """See RankedOrder.next_change_ms. Asked in every decision: so no moment is missed."""
        self._look(cluster)
        return self._next_ms(cluster)

    @abstractmethod
    def _next_ms(self, cluster: Cluster) -> int:
        """See RankedOrder.next_change_ms."""


class ListedSrtf(_Listed):
    """`shortest` and `shortest-gpu`: the list as it stood, sorted again by what remains."""

    def __init__(self, name: str, times_gpus: bool) -> None:
        """times_gpus: by GPU time."""
        super().__init__(name)
        self._times_gpus = times_gpus
        self._list: list[JobId] = []

    def _refresh(self, cluster: Cluster, fresh: list[JobId]) -> None:
        self._list = [*_alive(cluster, self._list), *fresh]
        self._list.sort(key=lambda job_id: self._left(cluster, cluster.jobs[job_id]))
        self._places = {job_id: (at,) for at, job_id in enumerate(self._list)}

    def _left(self, cluster: Cluster, job: Job) -> int:
        return remaining_ms(cluster, job) * (job.spec.gpu_milli if self._times_gpus else 1)

    def _next_ms(self, cluster: Cluster) -> int:
        return 0


class ListedLas(_Listed):
    """`dlas-gpu`: a job falls one queue at an event, and is looked at late for it.

    Limits are GPU-seconds. A job of g GPUs that has run e seconds reaches a limit after limit / g -
    e more; the reference looks again after (limit - e) / g, or whenever else something happens.
    """

    def __init__(self) -> None:
        super().__init__("las")
        self._queues: list[list[JobId]] = [[] for _ in (*LIMITS_GPU_S, None)]

    def _refresh(self, cluster: Cluster, fresh: list[JobId]) -> None:
        jobs = cluster.jobs
        for queue in self._queues:  # who ran until now stands before who did not
            queue[:] = sorted(_alive(cluster, queue), key=lambda job_id: not _runs(jobs[job_id]))
        self._queues[0] += fresh
        level_of = {job_id: at for at, queue in enumerate(self._queues) for job_id in queue}
        for job_id in sorted(level_of, key=lambda job_id: jobs[job_id].submit_seq):
            level, job = level_of[job_id], jobs[job_id]
            if level < len(LIMITS_GPU_S) and _runs(job):
                had = _ran_ms(cluster, job) * job.spec.gpu_milli
                if had >= LIMITS_GPU_S[level] * 1_000_000:
                    self._queues[level].remove(job_id)
                    self._queues[level + 1].append(job_id)
        self._places = {
            job_id: (level, at)
            for level, queue in enumerate(self._queues)
            for at, job_id in enumerate(queue)
        }

    def _next_ms(self, cluster: Cluster) -> int:
        """The reference's jump time, in whole seconds."""
        times = []
        for job in cluster.active.values():
            level = self._places[job.id][0]
            if level < len(LIMITS_GPU_S) and _runs(job):
                left_s = LIMITS_GPU_S[level] - _ran_ms(cluster, job) // 1000
                times.append(cluster.now_ms + -(-left_s * 1000 // job.spec.gpu_milli) * 1000)
        return min(times, default=0)


def _alive(cluster: Cluster, job_ids: list[JobId]) -> list[JobId]:
    jobs = cluster.jobs
    return [i for i in job_ids if i in jobs and not jobs[i].state.is_over]


def _runs(job: Job) -> bool:
    return job.state.is_active and job.state is not JobState.STOPPING


def _ran_ms(cluster: Cluster, job: Job) -> int:
    now_ms = cluster.now_ms - job.current.running_ms if _runs(job) else 0
    return job.ran_ms + now_ms


ORDERS: dict[str, Callable[[], RankedOrder]] = {
    "srtf": lambda: ListedSrtf("srtf", times_gpus=False),
    "srtf-gpu": lambda: ListedSrtf("srtf-gpu", times_gpus=True),
    "las": ListedLas,
}


def as_tiresias(policy: Policy) -> Policy:
    """The policy with the reference's own order, where it has one of that name."""
    make = ORDERS.get(policy.order.name)
    if make is None:
        return policy
    order = make()
    return replace(policy, order=order, ranked=order)
