"""Least attained service, in levels: Tiresias' 2D-LAS (Gu et al., NSDI 2019), preempting.

A job begins on the first level and falls to the next when it has had so many GPU-seconds. Within a
level who runs goes on, then submit order. It needs to know nothing but GPUs, and lets short jobs
pass long ones without being told which they are.
"""

from bisect import bisect_right
from collections.abc import Iterator

from aimass.core.cluster import Cluster, Group
from aimass.core.model import Job, JobId, JobState
from aimass.policies.ranked import in_rank_order

LIMITS_GPU_S = (3250, 7200)  # of the Tiresias simulator
_GPU_S = 1_000_000  # in milli-GPU x ms


class LasOrder:
    """Who has had least so far goes first, roughly."""

    name = "las"
    version = 1
    is_strict = False
    is_across_queues = True

    def __init__(self, limits_gpu_s: tuple[int, ...] = LIMITS_GPU_S) -> None:
        """limits_gpu_s: where a level ends, in GPU-seconds, rising."""
        self._limits = [limit * _GPU_S for limit in limits_gpu_s]

    def rank(self, cluster: Cluster, job: Job) -> tuple[int, ...]:
        """See RankedOrder.rank. O(log levels)."""
        ran_ms = job.ran_ms
        is_running = job.state.is_active and job.state is not JobState.STOPPING
        if is_running and job.current.running_ms:
            ran_ms += cluster.now_ms - job.current.running_ms
        level = bisect_right(self._limits, ran_ms * max(1, job.spec.gpu_milli))
        return (-job.spec.priority, level, not is_running, job.submit_seq)

    def next_change_ms(self, cluster: Cluster) -> int:
        """See RankedOrder.next_change_ms: when the next job falls to its next level. O(active)."""
        if not len(cluster.waiting):
            return 0
        next_ms = 0
        for job in cluster.active.values():
            running_ms = job.current.running_ms
            if not running_ms or job.state is JobState.STOPPING:
                continue
            gpu_milli = max(1, job.spec.gpu_milli)
            ran_ms = job.ran_ms + cluster.now_ms - running_ms
            level = bisect_right(self._limits, ran_ms * gpu_milli)
            if level < len(self._limits):
                at_ms = running_ms - job.ran_ms - (-self._limits[level] // gpu_milli)
                next_ms = min(next_ms, at_ms) if next_ms else at_ms
        return next_ms

    def queue(self, cluster: Cluster, blocked: set[Group]) -> Iterator[tuple[Group, JobId]]:
        """See OrderPolicy.queue. O(waiting jobs log waiting jobs)."""
        return in_rank_order(cluster, self.rank, blocked)

    def is_before(self, cluster: Cluster, first: Job, second: Job) -> bool:
        """See OrderPolicy.is_before."""
        return self.rank(cluster, first) < self.rank(cluster, second)
