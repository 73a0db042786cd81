"""Least attained service, in levels: Tiresias' 2D-LAS (Gu et al., NSDI 2019), preempting.

A job begins on the first level and falls to the next when it has had so many GPU-seconds. Within a
level who runs goes on, then submit order. It needs to know nothing but GPUs, and lets short jobs
pass long ones without being told which they are.
"""

from bisect import bisect_right

from aimass.core.cluster import Cluster
from aimass.core.model import Job, JobId, JobState
from aimass.policies.ranked import Rank, Ranked

LIMITS_GPU_S = (3250, 7200)  # of the Tiresias simulator
_GPU_S = 1_000_000  # in milli-GPU x ms
_SLACK = 1024  # jobs remembered that run no more


class LasOrder(Ranked):
    """Who has had least so far goes first, roughly."""

    def __init__(self, limits_gpu_s: tuple[int, ...] = LIMITS_GPU_S) -> None:
        """limits_gpu_s: where a level ends, in GPU-seconds, rising."""
        super().__init__("las")
        self._limits = [limit * _GPU_S for limit in limits_gpu_s]
        self._falls: dict[JobId, tuple[int, list[int]]] = {}  # attempt, when it reaches each limit

    def ranked(self, cluster: Cluster, job: Job) -> Rank:
        """See RankedOrder.rank. O(log levels)."""
        is_running = job.state.is_active and job.state is not JobState.STOPPING
        if is_running and job.current.running_ms:
            level = bisect_right(self._falls_ms(job), cluster.now_ms)
        else:
            level = bisect_right(self._limits, job.ran_ms * max(1, job.spec.gpu_milli))
        return (-job.spec.priority, level, not is_running, job.submit_seq)

    def lasts(self, job: Job) -> bool:
        """See Ranked.lasts: who waits is served nothing."""
        return True

    def next_change_ms(self, cluster: Cluster) -> int:
        """See RankedOrder.next_change_ms: when the next job falls to its next level. O(active)."""
        if not len(cluster.waiting):
            return 0
        if len(self._falls) > 2 * len(cluster.active) + _SLACK:
            self._falls = {}
        now_ms, next_ms = cluster.now_ms, 0
        for job in cluster.active.values():
            if job.current.running_ms and job.state is not JobState.STOPPING:
                for at_ms in self._falls_ms(job):
                    if at_ms > now_ms:
                        next_ms = min(next_ms, at_ms) if next_ms else at_ms
                        break
        return next_ms

    def _falls_ms(self, job: Job) -> list[int]:
        """When the running attempt reaches each limit, as long as it runs. O(1) after the first."""
        kept = self._falls.get(job.id)
        if kept is None or kept[0] != job.attempt:
            began_ms, gpu_milli = job.current.running_ms - job.ran_ms, max(1, job.spec.gpu_milli)
            falls_ms = [began_ms - (-limit // gpu_milli) for limit in self._limits]
            kept = self._falls[job.id] = (job.attempt, falls_ms)
        return kept[1]
