"""What clients' requests mean: functions that read the cluster and emit events.

They run inside the engine, one after the other, and know nothing of calls. A refusal is raised
before the first event is emitted, so a refused request changes nothing.
"""

import re

import grpc

from aimass.core import spec_problems
from aimass.core.apply import job_id_of
from aimass.core.cluster import Cluster, ShapeKey, WaitingIndex
from aimass.core.events import JobCancelRequested, JobSubmitted
from aimass.core.explain import explain
from aimass.core.model import Job, JobId, JobState
from aimass.core.plan import Wait
from aimass.core.policy import Policy
from aimass.core.spec import GRACE_MS_MAX, JobSpec
from aimass.core.survey import wait_reason
from aimass.scheduler.engine import Context
from aimass.scheduler.errors import Refused, invalid, not_found
from aimass.scheduler.translate import explanation_to_proto, node_to_proto
from aimass.scheduler.translate_jobs import JOB_STATE_FROM_PROTO, job_to_proto
from aimass.scheduler.translate_spec import spec_from_proto
from aimass.v1 import job_pb2, scheduler_pb2

KEY_CHARS_MAX = 128
USER_CHARS_MAX = 128
LIST_DEFAULT = 1000
PROBLEMS_NAMED = 10
Waits = dict[ShapeKey, Wait]


def checked_spec(message: scheduler_pb2.SubmitRequest) -> JobSpec:
    """The spec of a submission. Raises Refused naming every field that is impossible."""
    spec = spec_from_proto(message.spec)
    problems = list(spec_problems.problems(spec))
    if len(message.idempotency_key) > KEY_CHARS_MAX:
        problems.append(("idempotency_key", f"at most {KEY_CHARS_MAX} characters"))
    if len(message.user) > USER_CHARS_MAX:
        problems.append(("user", f"at most {USER_CHARS_MAX} characters"))
    if problems:
        named = "; ".join(f"{where}: {what}" for where, what in problems[:PROBLEMS_NAMED])
        more = len(problems) - PROBLEMS_NAMED
        raise invalid(
            f"the job cannot be: {named}" + (f"; and {more} more" if more > 0 else ""),
            fix="change these fields and submit again (the job file's schema: massctl schema)",
            id=problems[0][0],
        )
    return spec


def submit(
    context: Context, spec: JobSpec, user: str, idempotency_key: str
) -> scheduler_pb2.SubmitReply:
    """A new job, or the job that this key already made."""
    cluster = context.cluster
    known = cluster.by_key.get(idempotency_key) if idempotency_key else None
    if known is not None:
        if cluster.jobs[known].spec != spec:
            raise Refused(
                grpc.StatusCode.ALREADY_EXISTS,
                f"idempotency key {idempotency_key!r} belongs to {known}, a different job",
                fix=f"use another key, or look at it: massctl show {known}",
                id=known,
            )
        return scheduler_pb2.SubmitReply(job_id=known, existed=True)
    job_id = job_id_of(cluster.next_seq)
    context.emit(JobSubmitted(context.now_ms, job_id, spec, user, idempotency_key))
    return scheduler_pb2.SubmitReply(job_id=job_id)


def find_job(cluster: Cluster, ref: str, user: str) -> Job:
    """The job with this id, unique prefix of one, or "@last". Raises Refused."""
    if ref == "@last":
        for job in reversed(cluster.jobs.values()):
            if not user or job.user == user:
                return job
        raise not_found(f"{user or 'nobody'} has submitted no job", "submit one: massctl submit")
    exact = cluster.jobs.get(JobId(ref))
    if exact is not None:
        return exact
    # An id that was once given out never stands for another: `cancel j5` must not hit j50.
    given = re.fullmatch(r"j([0-9]{1,18})", ref)
    was_given = given is not None and int(given[1]) < cluster.next_seq
    matches = [i for i in cluster.jobs if i.startswith(ref)] if ref and not was_given else []
    if len(matches) == 1:
        return cluster.jobs[matches[0]]
    if matches:
        few = ", ".join(matches[:5]) + (", ..." if len(matches) > 5 else "")
        raise invalid(f"{ref!r} could be {few}", fix="give more of the id", id=ref)
    raise not_found(
        f"no job {ref!r}",
        "see what there is: massctl ls --all (jobs that ended long ago: massctl journal dump)",
        ref,
    )


def reason_of(cluster: Cluster, job: Job, waits: Waits) -> str:
    """One line for listings: why it waits, what stops it, or how it ended."""
    if job.state.is_over:
        return job.outcome
    if job.state is JobState.STOPPING:
        return job.current.stop_reason
    if job.state is not JobState.QUEUED:
        return ""
    wait = waits.get(WaitingIndex.shape_of(job.spec))
    if wait is None:
        return "BEHIND: jobs before it go first"
    code, text = wait_reason(cluster, wait, job)
    return f"{code}: {text}"


def get(context: Context, ref: str, user: str, waits: Waits) -> job_pb2.Job:
    """One job, whole."""
    job = find_job(context.cluster, ref, user)
    return job_to_proto(context.cluster, job, reason_of(context.cluster, job, waits))


def list_jobs(
    context: Context, message: scheduler_pb2.ListRequest, waits: Waits
) -> scheduler_pb2.ListReply:
    """The newest matching jobs, oldest first."""
    cluster = context.cluster
    states = {JOB_STATE_FROM_PROTO.get(state) for state in message.states}
    matching = [
        job
        for job in cluster.jobs.values()
        if (not states or job.state in states) and (not message.user or job.user == message.user)
    ]
    kept = matching[-(message.limit if message.limit > 0 else LIST_DEFAULT) :]
    of_shape: dict[ShapeKey, str] = {}  # jobs of one shape wait for one reason: survey it once

    def reason(job: Job) -> str:
        if job.state is not JobState.QUEUED:
            return reason_of(cluster, job, waits)
        shape = WaitingIndex.shape_of(job.spec)
        if shape not in of_shape:
            of_shape[shape] = reason_of(cluster, job, waits)
        return of_shape[shape]

    return scheduler_pb2.ListReply(
        jobs=[job_to_proto(cluster, job, reason(job), in_short=True) for job in kept],
        total=len(matching),
        revision=cluster.revision,
    )


def cancel(context: Context, message: scheduler_pb2.CancelRequest, waits: Waits) -> job_pb2.Job:
    """The job after the order to stop; a job that is over is refused."""
    cluster = context.cluster
    job = find_job(cluster, message.job, message.user)
    if job.state.is_over:
        raise Refused(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"{job.id} is already {job.state.value}",
            why=job.outcome,
            id=job.id,
        )
    grace_ms = message.grace_ms if message.has_grace else job.spec.grace_ms
    if not 0 <= grace_ms <= GRACE_MS_MAX:
        raise invalid(f"grace_ms {grace_ms}: 0 to {GRACE_MS_MAX}", id=job.id)
    context.emit(JobCancelRequested(context.now_ms, job.id, message.user, grace_ms))
    return job_to_proto(cluster, job, reason_of(cluster, job, waits))


def why(
    context: Context, message: scheduler_pb2.WhyRequest, policy: Policy
) -> scheduler_pb2.Explanation:
    """Every reason why the job is where it is."""
    job = find_job(context.cluster, message.job, message.user)
    explanation = explain(context.cluster, job, policy)
    return explanation_to_proto(context.cluster, job, explanation, context.now_ms)


def nodes(context: Context) -> scheduler_pb2.NodesReply:
    """All nodes, by join order."""
    cluster = context.cluster
    return scheduler_pb2.NodesReply(
        nodes=[node_to_proto(node) for node in cluster.nodes.values()], revision=cluster.revision
    )
