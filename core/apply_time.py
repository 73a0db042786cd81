"""What time does: eligible jobs join the queue; walltimes and deadlines end jobs."""

from heapq import heappop

from aimass.core.apply_shards import stop_gang
from aimass.core.cluster import Cluster
from aimass.core.endings import end_job
from aimass.core.lifecycle import JobTrigger
from aimass.core.model import Goal, Job, JobState
from aimass.core.moves import admit
from aimass.core.spans import span_text
from aimass.core.timers import due_ms


def advance(cluster: Cluster) -> None:
    """Do what has fallen due by cluster.now_ms, by time and then submit order."""
    while cluster.timers and cluster.timers[0][0] <= cluster.now_ms:
        _, _, job_id = heappop(cluster.timers)
        job = cluster.jobs.get(job_id)
        if job is not None and 0 < due_ms(cluster, job) <= cluster.now_ms:
            _fall_due(cluster, job)


def _fall_due(cluster: Cluster, job: Job) -> None:
    spec, now_ms = job.spec, cluster.now_ms
    if job.state.is_active:
        since_ms = job.current.since_ms
        if since_ms and 0 < spec.walltime_ms <= now_ms - since_ms:
            reason = f"walltime of {span_text(spec.walltime_ms)} reached"
        else:
            reason = "its deadline has passed"
        stop_gang(cluster, job, Goal.FAIL, reason, spec.grace_ms)
    elif spec.deadline_ms and now_ms + spec.run_ms > spec.deadline_ms:
        end_job(cluster, job, JobTrigger.FAIL, _too_late(job, now_ms))
    elif job.state is JobState.QUEUED:
        admit(cluster, job)


def _too_late(job: Job, now_ms: int) -> str:
    left_ms = job.spec.deadline_ms - now_ms
    if left_ms <= 0:
        return "its deadline has passed before it could start"
    left, needed = span_text(left_ms), span_text(job.spec.run_ms)
    return f"it can no longer be over by its deadline: it needs {needed}, {left} are left"
