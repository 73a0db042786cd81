"""What events about jobs do: submit, hold, release, update, requeue, cancel."""

from dataclasses import fields, replace

from aimass.core import events as ev
from aimass.core.apply_shards import stop_gang, touch_nodes
from aimass.core.arrays import task_id
from aimass.core.cluster import Cluster
from aimass.core.depends import begin_to_wait, cease_to_wait, targets
from aimass.core.endings import end_job
from aimass.core.field_words import word
from aimass.core.lifecycle import JobTrigger
from aimass.core.model import Goal, Job, JobId, JobState
from aimass.core.moves import (
    admit,
    count_job,
    dequeue,
    drop_claim,
    enqueue,
    give_up_claim,
    move,
    recharge,
)
from aimass.core.shapes import pods_of
from aimass.core.spec import JobSpec
from aimass.core.tallies import ArrayRow
from aimass.core.timers import set_timer

# What may be changed of a job that holds capacity: all that its shards do not feel. Of `roles`, the
# size that an elastic job asks for: what it has beyond that, others may have.
OF_ACTIVE = (
    *("priority", "walltime_ms", "expected_ms", "deadline_ms"),
    *("preemptible", "preemption", "retry", "checkpoint", "grace_ms"),
)


def job_id_of(seq: int) -> JobId:
    """The id of the job with this submit sequence: ids come from the event sequence."""
    return JobId(f"j{seq}")


def job_submitted(cluster: Cluster, event: ev.JobSubmitted) -> None:
    """See events.JobSubmitted. O(tasks)."""
    seq, array = cluster.next_seq, event.spec.array
    assert event.job_id == job_id_of(seq), f"{event.job_id} is not the next id"
    if event.idempotency_key:
        cluster.by_key[event.idempotency_key] = event.job_id
    if array is None:
        jobs = [_made(event, event.job_id, seq)]
    else:
        total = len(array.indexes)
        cluster.arrays[event.job_id] = ArrayRow(event.job_id, array.indexes, total, kept=total)
        jobs = [
            _made(event, task_id(event.job_id, i), seq + at) for at, i in enumerate(array.indexes)
        ]
        for job, index in zip(jobs, array.indexes, strict=True):
            job.array_id, job.array_index = event.job_id, index
    cluster.next_seq = seq + len(jobs)
    _learn(cluster, event.spec, len(jobs))
    for job in jobs:
        cluster.jobs[job.id] = job
        count_job(cluster, job, 1)
    for job in jobs:
        job.queued_ms = event.at_ms
        problem = begin_to_wait(cluster, job) if event.spec.depends_on else ""
        if problem:
            end_job(cluster, job, JobTrigger.FAIL, problem)
        elif event.held:
            _hold(cluster, job, _by("held", event.user))
        else:
            admit(cluster, job)


def _learn(cluster: Cluster, spec: JobSpec, tasks: int) -> None:
    """Count what the tasks ask for, as placement learns the mix from it."""
    for role in spec.roles:
        need = role.need
        share_milli = cluster.index.least_share(need) if need.gpu_share_mib else need.gpu_milli
        for kind, pods in pods_of(need, role.shards, share_milli):
            cluster.demand.add(kind, len(cluster.nodes), pods * tasks, cluster.now_ms)


def _made(event: ev.JobSubmitted, job_id: JobId, seq: int) -> Job:
    job = Job(job_id, seq, event.spec, event.user, event.idempotency_key, event.at_ms)
    job.not_before_ms = event.spec.start_after_ms
    return job


def _by(what: str, who: str, reason: str = "") -> str:
    return what + (f" by {who}" if who else "") + (f": {reason}" if reason else "")


def job_cancel_requested(cluster: Cluster, event: ev.JobCancelRequested) -> None:
    """See events.JobCancelRequested."""
    job = cluster.jobs.get(event.job_id)
    if job is None or job.state.is_over:
        return
    outcome = _by("cancelled", event.by)
    if not job.state.is_active:
        end_job(cluster, job, JobTrigger.CANCEL, outcome)
    elif job.current.stop_goal is Goal.CANCEL:
        # A second cancel may only hurry the first.
        job.current.grace_ms = min(job.current.grace_ms, event.grace_ms)
        touch_nodes(cluster, job.current)
    else:
        give_up_claim(cluster, job)
        stop_gang(cluster, job, Goal.CANCEL, outcome, event.grace_ms)


def job_held(cluster: Cluster, event: ev.JobHeld) -> None:
    """See events.JobHeld. One that is active or over stays as it is."""
    job = cluster.jobs.get(event.job_id)
    if job is not None and job.state in (JobState.QUEUED, JobState.RESERVED):
        _hold(cluster, job, _by("held", event.by, event.reason))


def _hold(cluster: Cluster, job: Job, reason: str) -> None:
    dequeue(cluster, job)
    give_up_claim(cluster, job)
    job.hold_reason = reason
    move(cluster, job, JobTrigger.HOLD)


def job_released(cluster: Cluster, event: ev.JobReleased) -> None:
    """See events.JobReleased."""
    job = cluster.jobs.get(event.job_id)
    if job is not None and job.state is JobState.HELD:
        job.hold_reason = ""
        move(cluster, job, JobTrigger.RELEASE)
        enqueue(cluster, job, event.at_ms)


def job_requeue_requested(cluster: Cluster, event: ev.JobRequeueRequested) -> None:
    """See events.JobRequeueRequested. A cancel or a failure that is under way goes on."""
    job = cluster.jobs.get(event.job_id)
    if job is None:
        return
    reason = _by("suspended" if event.suspend else "requeued", event.by)
    if job.state in (JobState.QUEUED, JobState.RESERVED):
        drop = cluster.claims.get(job.id)
        if event.suspend:
            _hold(cluster, job, reason)
        elif drop is not None:
            drop_claim(cluster, job.id, event.at_ms)
    elif job.state.is_active and _may_turn(job.current.stop_goal, event.suspend):
        give_up_claim(cluster, job)
        notice_ms = job.spec.checkpoint.notice_ms if job.spec.checkpoint.signal else 0
        goal = Goal.HOLD if event.suspend else Goal.REQUEUE
        stop_gang(cluster, job, goal, reason, job.spec.grace_ms, notice_ms)


def _may_turn(goal: Goal | None, suspend: bool) -> bool:
    """Whether a stop with this goal may still become one for a requeue or a suspension."""
    if goal is None or goal is Goal.RESIZE:
        return True
    return suspend and goal in (Goal.REQUEUE, Goal.RETRY, Goal.PREEMPT)


def update_problem(job: Job, spec: JobSpec) -> str:
    """Why the job cannot get this spec, in a line; empty when it can (see dependency_problem)."""
    if job.state.is_over:
        return f"{job.id} is {job.state.value}: what is over is not changed"
    if spec.array != job.spec.array:
        return f"{job.id}: the indexes of an array are fixed when it is submitted"
    if not job.state.is_active:
        return ""
    now = as_active(job.spec, spec)
    changed = [f.name for f in fields(JobSpec) if getattr(spec, f.name) != getattr(now, f.name)]
    if not changed:
        return ""
    fixed, may = (", ".join(map(word, names)) for names in (changed, OF_ACTIVE))
    if job.spec.elastic_role >= 0:
        may += " and the elastic size that it asks"
    return f"{job.id} is {job.state.value}: {fixed} cannot change now, only {may}"


def as_active(old: JobSpec, new: JobSpec) -> JobSpec:
    """The spec of a job that holds capacity, with what may change now as the new one has it."""
    roles, index = old.roles, old.elastic_role
    if index >= 0 and len(new.roles) == len(roles):
        asks = replace(roles[index], shards=new.roles[index].shards)
        roles = (*roles[:index], asks, *roles[index + 1 :])
    return replace(old, roles=roles, **{name: getattr(new, name) for name in OF_ACTIVE})


def job_updated(cluster: Cluster, event: ev.JobUpdated) -> None:
    """See events.JobUpdated."""
    job = cluster.jobs.get(event.job_id)
    if job is None or job.state.is_over:
        return
    if job.state.is_active:
        spec = as_active(job.spec, event.spec)
        recharge(cluster, job, spec)
        count_job(cluster, job, -1)
        job.spec = spec
        count_job(cluster, job, 1)
        set_timer(cluster, job)
        cluster.freed_revision = cluster.revision + 1  # it may now be stopped, or end earlier
        return
    if job.state is JobState.RESERVED:
        drop_claim(cluster, job.id, event.at_ms)
    _respecify(cluster, job, event.spec)


def _respecify(cluster: Cluster, job: Job, spec: JobSpec) -> None:
    """Another spec for a QUEUED or HELD job; it keeps its place by submit order."""
    dequeue(cluster, job)
    old = job.spec
    known = frozenset(target for target, _ in targets(old, job.array_index))
    still = [t for t, _ in targets(spec, job.array_index) if t in job.unmet]
    cease_to_wait(cluster, job)
    job.unmet = tuple(dict.fromkeys(still))
    count_job(cluster, job, -1)
    job.spec = spec
    count_job(cluster, job, 1)
    job.avoid = ()
    if spec.start_after_ms != old.start_after_ms:
        job.not_before_ms = spec.start_after_ms
    problem = begin_to_wait(cluster, job, known)
    if problem:
        end_job(cluster, job, JobTrigger.FAIL, problem)
    elif job.state is JobState.QUEUED:
        admit(cluster, job)
    else:
        set_timer(cluster, job)
