"""Least attained service, in levels: Tiresias' 2D-LAS (Gu et al., NSDI 2019), preempting.

A job begins on the first level and falls to the next when it has had so many GPU-seconds. Within a
level who runs goes on, then submit order. It needs to know nothing but GPUs, and lets short jobs
pass long ones without being told which they are.
"""

from bisect import bisect_right

from aimass.core.cluster import Cluster
from aimass.core.model import Job, JobState
from aimass.policies.ranked import Rank, Ranked

LIMITS_GPU_S = (3250, 7200)  # of the Tiresias simulator
_GPU_S = 1_000_000  # in milli-GPU x ms


class LasOrder(Ranked):
    """Who has had least so far goes first, roughly."""

    def __init__(self, limits_gpu_s: tuple[int, ...] = LIMITS_GPU_S) -> None:
        """limits_gpu_s: where a level ends, in GPU-seconds, rising."""
        super().__init__("las")
        self._limits = [limit * _GPU_S for limit in limits_gpu_s]

    def ranked(self, cluster: Cluster, job: Job) -> Rank:
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
            level = self.rank(cluster, job)[1]
            if level < len(self._limits):
                gpu_milli = max(1, job.spec.gpu_milli)
                at_ms = running_ms - job.ran_ms - (-self._limits[level] // gpu_milli)
                next_ms = min(next_ms, at_ms) if next_ms else at_ms
        return next_ms
