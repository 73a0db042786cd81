"""What a move is worth, what moves may cost, and how often: for decide, which looks for moves, and
for check, which proves them.
"""

from aimass.core.cluster import Cluster
from aimass.core.lost_work import held_milli
from aimass.core.model import Job, JobState, Placement, StopRule
from aimass.core.runtimes import run_estimate

DAY_MS = 24 * 3600 * 1000
INTERVAL_MS = 3600 * 1000  # of running, before a job that was moved is moved again
EARLIER_MS_MAX = DAY_MS  # counted as gain: nobody knows the day after
EARLIER_MS_UNKNOWN = 3600 * 1000  # the same, where the promise rests on run times that nobody gave


def gain_gpu_ms(
    cluster: Cluster, job: Job, placements: tuple[Placement, ...], earlier_ms: int, is_known: bool
) -> int:
    """GPU-milliseconds that it is worth to start the waiting job there so much earlier.

    At most what the job itself takes: what was idle and is used by it meanwhile is no more.
    is_known: somebody gave, or runs taught, the run times that the later start rests on.
    """
    most_ms = EARLIER_MS_MAX if is_known else EARLIER_MS_UNKNOWN
    counted_ms = min(earlier_ms, most_ms, run_estimate(cluster, job)[0])
    return max(0, counted_ms) * held_milli(placements) // 1000


def stays_until_ms(job: Job) -> int:
    """Until when the active job is not moved: an interval after its last move; 0: it may be now.

    An elastic job has an interval of its own, which counts for moves as well.
    """
    interval_ms = 0
    for role in job.spec.roles:
        if role.elastic is not None:
            interval_ms = role.elastic.interval_ms
    if was_moved(job, 2):
        interval_ms = max(interval_ms, INTERVAL_MS)
    return job.current.running_ms + interval_ms if interval_ms else 0


def spent_gpu_ms(cluster: Cluster) -> int:
    """What the moves of the last day have cost. O(plans that moved somebody)."""
    since_ms = cluster.now_ms - DAY_MS
    return sum(moved.lost_gpu_ms for moved in cluster.moved if moved.at_ms > since_ms)


def freed_at_ms(cluster: Cluster) -> int:
    """When the oldest move of the last day counts no longer; 0: there is none."""
    since_ms = cluster.now_ms - DAY_MS
    return next((moved.at_ms + DAY_MS for moved in cluster.moved if moved.at_ms > since_ms), 0)


def is_under_way(cluster: Cluster) -> bool:
    """True while somebody who was moved does not run at its new place. O(claims + active)."""
    if any(was_moved(cluster.jobs[job_id], 1) for job_id in cluster.claims):
        return True
    starting = (JobState.PLACED, JobState.STARTING)
    return any(job.state in starting and was_moved(job, 2) for job in cluster.active.values())


def was_moved(job: Job, back: int) -> bool:
    """True when a move has stopped the attempt that is so many back from the next."""
    receipt = job.attempts[-back].receipt if len(job.attempts) >= back else None
    return receipt is not None and receipt.rule is StopRule.MOVE
