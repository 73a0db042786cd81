"""What clients do to jobs that exist: cancel, hold, release, requeue, suspend, update.

A job that cannot take it refuses; of an array those tasks take it that can, and it is refused when
none can. Like requests.py: a refusal comes before the first event.
"""

from collections.abc import Callable
from functools import partial

import grpc

from aimass.core.apply_jobs import update_problem
from aimass.core.depends import dependency_problem
from aimass.core.events import (
    Event,
    JobCancelRequested,
    JobHeld,
    JobReleased,
    JobRequeueRequested,
    JobUpdated,
)
from aimass.core.model import Goal, Job, JobState
from aimass.core.spans import span_text
from aimass.core.spec import JobSpec
from aimass.core.spec_problems import GRACE_MS_MAX
from aimass.scheduler.admission import Admission
from aimass.scheduler.errors import Refused, invalid
from aimass.scheduler.inbox import Context
from aimass.scheduler.lookup import Found, find_jobs, found_to_proto
from aimass.scheduler.translate_spec import spec_from_proto
from aimass.v1 import job_pb2, scheduler_pb2

REASON_CHARS_MAX = 500
UPDATE_OF_ACTIVE = (
    "give only --priority, --time, --expected, --deadline or --preemptible, and --shards of an "
    "elastic job"
)

# The event that does it, None when there is nothing to do; raises Refused when it cannot be.
Action = Callable[[Job], Event | None]


def _act(context: Context, found: Found, action: Action) -> None:
    """Do it to every job that takes it. Raises Refused when none does."""
    events: list[Event] = []
    refusals: list[Refused] = []
    for job in found.jobs:
        try:
            event = action(job)
        except Refused as refused:
            refusals.append(refused)
            continue
        events += [event] if event is not None else []
    if len(refusals) == len(found.jobs):
        raise refusals[-1]
    for event in events:
        context.emit(event)


def _not_now(job: Job, what: str, fix: str = "") -> Refused:
    """The state that the job is in forbids it."""
    how = f": {job.outcome}" if job.state.is_over and job.outcome else ""
    return Refused(
        grpc.StatusCode.FAILED_PRECONDITION,
        f"{job.id} is {'already ' if job.state.is_over else ''}{job.state.value}{what}",
        why=how.removeprefix(": "),
        fix=fix,
        id=job.id,
    )


def cancel(context: Context, message: scheduler_pb2.CancelRequest) -> job_pb2.Job:
    """The job after the order to stop; a job that is over is refused."""
    found = find_jobs(context.cluster, message.job, message.user)
    if message.has_grace and not 0 <= message.grace_ms <= GRACE_MS_MAX:
        raise invalid(f"--grace: 0 to {span_text(GRACE_MS_MAX)}", fix="--grace 1m", id=found.id)

    def action(job: Job) -> Event:
        if job.state.is_over:
            raise _not_now(job, "")
        grace_ms = message.grace_ms if message.has_grace else job.spec.grace_ms
        return JobCancelRequested(context.now_ms, job.id, message.user, grace_ms)

    _act(context, found, action)
    return found_to_proto(context, found)


def hold(context: Context, message: scheduler_pb2.JobRequest) -> job_pb2.Job:
    """Keep it from starting until it is released."""
    if len(message.reason) > REASON_CHARS_MAX:
        raise invalid(f"the reason has {len(message.reason)} characters: {REASON_CHARS_MAX}")

    def action(job: Job) -> Event | None:
        if job.state is JobState.HELD:
            return None
        if job.state not in (JobState.QUEUED, JobState.RESERVED):
            fix = "" if job.state.is_over else f"stop it and hold it: massctl suspend {job.id}"
            raise _not_now(job, ": only a job that waits can be held", fix)
        return JobHeld(context.now_ms, job.id, message.user, message.reason)

    return _do(context, message, action)


def release(context: Context, message: scheduler_pb2.JobRequest) -> job_pb2.Job:
    """Let a held job start."""

    def action(job: Job) -> Event:
        if job.state is not JobState.HELD:
            raise _not_now(job, ": it is not held")
        return JobReleased(context.now_ms, job.id, message.user)

    return _do(context, message, action)


def requeue(context: Context, message: scheduler_pb2.JobRequest) -> job_pb2.Job:
    """Stop an active job, which queues again."""

    def action(job: Job) -> Event:
        if job.state is JobState.HELD:
            raise _not_now(job, "", f"let it start: massctl release {job.id}")
        _check_active(job, ": it waits as it is")
        return JobRequeueRequested(context.now_ms, job.id, message.user)

    return _do(context, message, action)


def suspend(context: Context, message: scheduler_pb2.JobRequest) -> job_pb2.Job:
    """Stop an active job, which is then held."""

    def action(job: Job) -> Event | None:
        if job.state is JobState.HELD:
            return None
        _check_active(job, f": it does not run; hold it: massctl hold {job.id}")
        return JobRequeueRequested(context.now_ms, job.id, message.user, suspend=True)

    return _do(context, message, action)


def _check_active(job: Job, what: str) -> None:
    """It holds or owns capacity and is not about to end. Raises Refused."""
    if job.state.is_active and job.current.stop_goal in (Goal.CANCEL, Goal.FAIL):
        raise _not_now(job, f": {job.current.stop_reason}")
    if not job.state.is_active and job.state is not JobState.RESERVED:
        raise _not_now(job, "" if job.state.is_over else what)


def _do(context: Context, message: scheduler_pb2.JobRequest, action: Action) -> job_pb2.Job:
    found = find_jobs(context.cluster, message.job, message.user)
    _act(context, found, action)
    return found_to_proto(context, found)


def update(
    context: Context,
    spec: JobSpec,
    message: scheduler_pb2.UpdateRequest,
    admission: Admission,
) -> job_pb2.Job:
    """The job with another spec, which was checked."""
    was = spec_from_proto(message.was) if message.HasField("was") else None
    found = find_jobs(context.cluster, message.job, message.user)
    _act(context, found, partial(_update, context, spec, was, message.user, admission))
    return found_to_proto(context, found)


def _update(
    context: Context,
    spec: JobSpec,
    was: JobSpec | None,
    user: str,
    admission: Admission,
    job: Job,
) -> Event | None:
    if was is not None and job.spec != was:
        raise Refused(
            grpc.StatusCode.ABORTED,
            f"{job.id} was changed by somebody else meanwhile",
            fix=f"look at it and try again: massctl show {job.id}",
            id=job.id,
        )
    problem = update_problem(job, spec)
    if problem:
        fix = UPDATE_OF_ACTIVE if job.state.is_active else ""
        raise Refused(grpc.StatusCode.FAILED_PRECONDITION, problem, fix=fix, id=job.id)
    if job.spec == spec:
        return None
    problem = dependency_problem(context.cluster, spec, job.id)
    if problem:
        raise invalid(
            f"dependsOn (--after): {problem}", fix="change or leave out --after", id=job.id
        )
    admission.admit(context.cluster, spec, job.user, context.now_ms, of=job)
    return JobUpdated(context.now_ms, job.id, spec, user)
