"""Shortest remaining time first, preempting: by time, or by time x GPUs.

It needs run times, given or learned; a job of unknown length counts as a year and comes last. What
a checkpoint has kept counts as done. The mean completion time is the least of all orders on one
GPU (Schrage, 1968); many short jobs can keep a long one waiting for as long as they come.
"""

from collections.abc import Iterator

from aimass.core.cluster import Cluster, Group
from aimass.core.model import Job, JobId
from aimass.core.runtimes import run_estimate
from aimass.policies.ranked import in_rank_order


class SrtfOrder:
    """Who needs least to be done goes first."""

    version = 1
    is_strict = False
    is_across_queues = True

    def __init__(self, name: str = "srtf", times_gpus: bool = False) -> None:
        """times_gpus: count GPU time instead of time."""
        self.name = name
        self._times_gpus = times_gpus

    def rank(self, cluster: Cluster, job: Job) -> tuple[int, ...]:
        """See RankedOrder.rank. O(1)."""
        left = remaining_ms(cluster, job)
        if self._times_gpus:
            left *= max(1, job.spec.gpu_milli)
        return (-job.spec.priority, left, job.submit_seq)

    def next_change_ms(self, cluster: Cluster) -> int:
        """See RankedOrder.next_change_ms: who works only comes further ahead."""
        return 0

    def queue(self, cluster: Cluster, blocked: set[Group]) -> Iterator[tuple[Group, JobId]]:
        """See OrderPolicy.queue. O(waiting jobs log waiting jobs)."""
        return in_rank_order(cluster, self.rank, blocked)

    def is_before(self, cluster: Cluster, first: Job, second: Job) -> bool:
        """See OrderPolicy.is_before."""
        return self.rank(cluster, first) < self.rank(cluster, second)


def remaining_ms(cluster: Cluster, job: Job) -> int:
    """How long the job has still to run, from its last checkpoint or from what it does now."""
    done_ms = job.saved_ms
    if job.state.is_active and job.current.running_ms:
        done_ms += cluster.now_ms - job.current.running_ms
    return max(0, run_estimate(cluster, job)[0] - done_ms)
