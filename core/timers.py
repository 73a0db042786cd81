"""Time in the fold: what falls due when, and when the next Tick is needed.

An entry of the heap is stale when its job would name another time now. Stale ones do no harm: they
are skipped, and swept out when they outnumber the jobs. What falls due is done by apply_time.py.
"""

from heapq import heapify, heappop, heappush

from aimass.core.cluster import Cluster
from aimass.core.model import Job, JobState

_SLACK = 1024  # entries beyond two a job that may lie about


def due_ms(cluster: Cluster, job: Job) -> int:
    """When time alone will next do something to the job; 0: never.

    Active: its walltime and its deadline. Before that: when it may be considered, and when it can
    no longer be over by its deadline.
    """
    spec, state = job.spec, job.state
    if not (spec.walltime_ms or spec.deadline_ms or job.not_before_ms):
        return 0
    if state is JobState.STOPPING or state.is_over:
        return 0
    if state.is_active:
        since_ms = job.current.since_ms
        walltime_ms = since_ms + spec.walltime_ms if since_ms and spec.walltime_ms else 0
        return _first(walltime_ms, spec.deadline_ms)
    if state is JobState.RESERVED and job.attempt:
        return spec.deadline_ms + 1 if spec.deadline_ms else 0  # it goes on, it does not begin
    late_ms = max(1, spec.deadline_ms - spec.run_ms + 1) if spec.deadline_ms else 0
    if state is JobState.QUEUED and not job.unmet and job.id not in cluster.waiting:
        return _first(late_ms, job.not_before_ms)
    return late_ms


def _first(one_ms: int, other_ms: int) -> int:
    return min(one_ms, other_ms) if one_ms and other_ms else one_ms or other_ms


def set_timer(cluster: Cluster, job: Job) -> None:
    """Look at the job again when something of it falls due. O(log timers), amortised."""
    spec = job.spec
    if not (spec.walltime_ms or spec.deadline_ms or job.not_before_ms):
        return  # due_ms says 0, after a call: of nearly every job, each time it moves
    at_ms = due_ms(cluster, job)
    if not at_ms:
        return
    heappush(cluster.timers, (at_ms, job.submit_seq, job.id))
    if len(cluster.timers) > 2 * len(cluster.jobs) + _SLACK:
        set_timers(cluster)


def set_timers(cluster: Cluster) -> None:
    """Make the heap from the rows. O(jobs)."""
    due = ((due_ms(cluster, job), job) for job in cluster.jobs.values())
    cluster.timers = [(at_ms, job.submit_seq, job.id) for at_ms, job in due if at_ms]
    heapify(cluster.timers)


def next_timer_ms(cluster: Cluster) -> int:
    """When the next Tick is needed; 0: none is. O(stale entries log timers)."""
    while cluster.timers:
        at_ms, _, job_id = cluster.timers[0]
        job = cluster.jobs.get(job_id)
        if job is not None and due_ms(cluster, job) == at_ms:
            return at_ms
        heappop(cluster.timers)
    return 0
