"""Shortest remaining time first, preempting: by time, or by time x GPUs.

It needs run times, given or learned; a job of unknown length counts as a year and comes last. What
a checkpoint has kept counts as done. The mean completion time is the least of all orders on one
GPU (Schrage, 1968); many short jobs can keep a long one waiting for as long as they come.
"""

from aimass.core.cluster import Cluster
from aimass.core.model import Job
from aimass.core.runtimes import run_estimate
from aimass.policies.ranked import Rank, Ranked


class SrtfOrder(Ranked):
    """Who needs least to be done goes first. Who works only comes further ahead."""

    def __init__(self, name: str = "srtf", times_gpus: bool = False) -> None:
        """times_gpus: count GPU time instead of time."""
        super().__init__(name)
        self._times_gpus = times_gpus

    def ranked(self, cluster: Cluster, job: Job) -> Rank:
        """See RankedOrder.rank. O(1)."""
        left = remaining_ms(cluster, job)
        if self._times_gpus:
            left *= max(1, job.spec.gpu_milli)
        return (-job.spec.priority, left, job.submit_seq)

    def lasts(self, job: Job) -> bool:
        """See Ranked.lasts: a given run time is what it is; a deadline comes nearer."""
        return bool(job.spec.run_ms) and not job.spec.deadline_ms


def remaining_ms(cluster: Cluster, job: Job) -> int:
    """How long the job has still to run, from its last checkpoint or from what it does now."""
    done_ms = job.saved_ms
    if job.state.is_active and job.current.running_ms:
        done_ms += cluster.now_ms - job.current.running_ms
    return max(0, run_estimate(cluster, job)[0] - done_ms)
