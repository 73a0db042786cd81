"""Least attained service, in levels: Tiresias' 2D-LAS (Gu et al., NSDI 2019), preempting.

A job begins on the first level and falls to the next when it has had so many GPU-seconds, of the
GPUs that it held, however many it asks for. Within a level who runs goes on, then submit order. It
needs to know nothing but GPUs, and lets short jobs pass long ones without being told which they
are.
"""

from bisect import bisect_right

from aimass.core.cluster import Cluster
from aimass.core.lost_work import held_milli
from aimass.core.model import Job, JobState
from aimass.policies.ranked import NEVER_MS, Rank, Ranked

LIMITS_GPU_S = (3250, 7200)  # of the Tiresias simulator
_GPU_S = 1_000_000  # in milli-GPU x ms


class LasOrder(Ranked):
    """Who has had least so far goes first, roughly."""

    version = 2

    def __init__(self, limits_gpu_s: tuple[int, ...] = LIMITS_GPU_S) -> None:
        """limits_gpu_s: where a level ends, in GPU-seconds, rising."""
        super().__init__("las")
        self._limits = [limit * _GPU_S for limit in limits_gpu_s]

    def ranked(self, cluster: Cluster, job: Job) -> Rank:
        """See RankedOrder.rank. O(shards of the attempts kept + log levels)."""
        return self.at_work(cluster, job)[0]

    def lasts(self, job: Job) -> bool:
        """See Ranked.lasts: who waits is served nothing."""
        return True

    def at_work(self, cluster: Cluster, job: Job) -> tuple[Rank, int]:
        """See Ranked.at_work: until it falls to its next level."""
        now_ms, limits = cluster.now_ms, self._limits
        had, pace = _service(job, now_ms)
        level = bisect_right(limits, had)
        is_running = job.state.is_active and job.state is not JobState.STOPPING
        until_ms = NEVER_MS
        if pace and level < len(limits):
            until_ms = now_ms - (had - limits[level]) // pace
        rank = (-job.spec.priority, level, not is_running, job.submit_seq)
        return rank, until_ms if is_running else 0

    def next_change_ms(self, cluster: Cluster) -> int:
        """See RankedOrder.next_change_ms: when the next job falls to its next level.

        O(active) once at each moment.
        """
        if not len(cluster.waiting):
            return 0
        self.standing(cluster)
        next_ms = self._memory(cluster).next_ms
        return next_ms if next_ms < NEVER_MS else 0


def _service(job: Job, now_ms: int) -> tuple[int, int]:
    """What the job has had, in milli-GPU x ms, and how much more every ms adds to it (0: nothing).

    Of attempts that the job no longer keeps only the time is known: they count as what it asks for.
    One without GPUs counts as a thousandth of one. O(shards of the attempts kept).
    """
    had, other_ms, pace = 0, job.ran_ms, 0
    for attempt in job.attempts:
        if not attempt.running_ms:
            continue
        milli = held_milli(attempt.placements) or 1
        if attempt.ended_ms:
            ran_ms = attempt.ended_ms - attempt.running_ms
            other_ms -= ran_ms
        else:
            ran_ms, pace = now_ms - attempt.running_ms, milli
        had += ran_ms * milli
    return had + other_ms * max(1, job.spec.gpu_milli), pace
