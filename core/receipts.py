"""What becomes of a job that a plan stopped: the work that it lost in the end, and its return.

The plan weighed what a stop would lose at that moment; a checkpoint made on notice saves it after
all, and whatever the job does afterwards is lost.
"""

from aimass.core.cluster import Cluster
from aimass.core.lost_work import held_milli
from aimass.core.model import Attempt, Job


def lost_at_last(attempt: Attempt) -> int:
    """GPU-milliseconds since its last checkpoint when the attempt was over; 0 without a receipt.

    Until then those up to the order to stop. Nothing is lost when every shard ended with 0 before
    the order reached it. O(shards).
    """
    if attempt.receipt is None or not attempt.running_ms:
        return 0
    if attempt.ended_ms and all(s.exit and s.exit.is_success for s in attempt.shards):
        return 0
    end_ms = attempt.ended_ms or attempt.receipt.at_ms
    since_ms = max(attempt.checkpoint_ms, attempt.running_ms)
    return max(0, end_ms - since_ms) * held_milli(attempt.placements) // 1000


def back_ms(cluster: Cluster, job: Job, attempt: Attempt) -> tuple[int, bool]:
    """When the job went on after this attempt, and whether it has; 0: nobody can say.

    While it waits, what it is promised. See forecast.py for what is foreseen without a promise.
    """
    following = next((a for a in job.attempts if a.number > attempt.number), None)
    if following is not None:
        return following.placed_ms, True
    planned = cluster.planned.get(job.id)
    return (planned.start_ms if planned is not None and planned.is_known else 0), False
