"""What clients' requests about jobs mean: functions that read the cluster and emit events.

They run inside the engine, one after the other, and know nothing of calls. A refusal is raised
before the first event is emitted, so a refused request changes nothing.
"""

from collections.abc import Iterator

import grpc

from aimass.core import spec_problems
from aimass.core.apply_jobs import job_id_of
from aimass.core.arrays import jobs_of
from aimass.core.cluster import Cluster, GroupKey
from aimass.core.events import JobSubmitted
from aimass.core.field_words import with_flag
from aimass.core.model import Job, JobState, NodeId
from aimass.core.queue_problems import firm_warning
from aimass.core.spec import JobSpec
from aimass.core.words import some
from aimass.scheduler.admission import Admission
from aimass.scheduler.errors import Refused, invalid, not_found
from aimass.scheduler.inbox import Context
from aimass.scheduler.lookup import find_jobs, found_to_proto, reason_of
from aimass.scheduler.translate_jobs import JOB_STATE_FROM_PROTO, job_to_proto
from aimass.scheduler.translate_spec import spec_from_proto, unknown_values
from aimass.v1 import job_pb2, scheduler_pb2

KEY_CHARS_MAX = 128
USER_CHARS_MAX = 128
LIST_DEFAULT = 1000
PROBLEMS_NAMED = 10
EXCLUDED_MAX = 10_000
WORDS_MAX = 10_000  # of one table of a job: labels, environment


def checked_spec(message: job_pb2.JobSpec, **limits: tuple[str, int]) -> JobSpec:
    """The spec of a message. Raises Refused naming every field that is impossible.

    limits: further texts of the request by field, with the characters that they may have.
    """
    problems = list(_too_many(message))
    if problems:
        raise _impossible(problems)
    spec = spec_from_proto(message)
    problems = [*unknown_values(message), *spec_problems.problems(spec)]
    for field, (text, most) in limits.items():
        problems += [(field, f"at most {most} characters")] if len(text) > most else []
        problems += spec_problems.control_problem(field, text)
    if problems:
        raise _impossible(problems)
    return spec


def _too_many(message: job_pb2.JobSpec) -> Iterator[tuple[str, str]]:
    """Lists so long that only to read them would keep everybody else waiting."""
    for field, there, most in (
        ("roles", message.roles, spec_problems.SHARDS_MAX),
        ("placement.affinity", message.affinity, spec_problems.RULES_MAX),
        ("placement.tolerations", message.tolerations, spec_problems.RULES_MAX),
        ("placement.excludeNodes", message.exclude_nodes, EXCLUDED_MAX),
        ("dependsOn", message.depends_on, spec_problems.DEPENDENCIES_MAX),
        ("array", message.array.indexes, spec_problems.ARRAY_TASKS_MAX),
        ("retry.rules", message.retry.rules, spec_problems.RULES_MAX),
        ("env", message.env, WORDS_MAX),
        ("labels", message.labels, WORDS_MAX),
        ("placement.nodeSelector", message.node_selector, WORDS_MAX),
    ):
        if len(there) > most:
            yield field, f"{len(there)} of them: at most {most}"


def _impossible(problems: list[tuple[str, str]]) -> Refused:
    named = "; ".join(f"{with_flag(where)}: {what}" for where, what in problems[:PROBLEMS_NAMED])
    more = len(problems) - PROBLEMS_NAMED
    return invalid(
        f"the job cannot be: {named}" + (f"; and {more} more" if more > 0 else ""),
        fix="change these fields and submit again (the job file's schema: massctl schema)",
        id=problems[0][0],
    )


def checked_submission(message: scheduler_pb2.SubmitRequest) -> JobSpec:
    """The spec of a submission. Raises Refused."""
    return checked_spec(
        message.spec,
        **{"--idempotency-key": (message.idempotency_key, KEY_CHARS_MAX)},
        user=(message.user, USER_CHARS_MAX),
    )


def submit(
    context: Context, spec: JobSpec, message: scheduler_pb2.SubmitRequest, admission: Admission
) -> scheduler_pb2.SubmitReply:
    """A new job, or the job that this key already made. message: its spec was checked."""
    cluster, key = context.cluster, message.idempotency_key
    known = cluster.by_key.get(key) if key else None
    if known is not None:
        made = jobs_of(cluster, known)
        if made and made[0].spec != spec:
            raise Refused(
                grpc.StatusCode.ALREADY_EXISTS,
                f"idempotency key {key!r} belongs to {known}, a different job",
                fix=f"use another key, or look at it: massctl show {known}",
                id=known,
            )
        return scheduler_pb2.SubmitReply(job_id=known, existed=True)
    admission.admit(cluster, spec, message.user, context.now_ms)
    job_id = job_id_of(cluster.next_seq)
    context.emit(JobSubmitted(context.now_ms, job_id, spec, message.user, key, message.held))
    return scheduler_pb2.SubmitReply(job_id=job_id, warnings=_warnings(cluster, spec))


def _warnings(cluster: Cluster, spec: JobSpec) -> list[str]:
    """What is accepted and perhaps not meant."""
    found = [firm_warning(cluster, spec)]
    unknown = [name for name in spec.exclude_nodes if NodeId(name) not in cluster.nodes]
    if unknown:
        found.append(f"it excludes {some(unknown)}, and there is no such node: massctl nodes")
    return [warning for warning in found if warning]


def get(context: Context, message: scheduler_pb2.GetRequest) -> job_pb2.Job:
    """One job, whole; of an array what became of its tasks in sum."""
    found = find_jobs(context.cluster, message.job, message.user)
    return found_to_proto(context, found)


def list_jobs(context: Context, message: scheduler_pb2.ListRequest) -> scheduler_pb2.ListReply:
    """The newest matching jobs, oldest first."""
    cluster = context.cluster
    states = {JOB_STATE_FROM_PROTO.get(state) for state in message.states}
    queues = _queues_below(cluster, message.queue) if message.queue else set()
    matching = [
        job
        for job in _candidates(cluster, message)
        if (not states or job.state in states)
        and (not message.user or job.user == message.user)
        and (not queues or job.spec.queue in queues)
    ]
    kept = matching[-(message.limit if message.limit > 0 else LIST_DEFAULT) :]
    of_group: dict[GroupKey, str] = {}  # jobs of one group wait for one reason: survey it once

    def reason(job: Job) -> str:
        if job.state is not JobState.QUEUED or job.id not in cluster.waiting:
            return reason_of(cluster, job, context.waits, context.now_ms)
        key = cluster.waiting.group(job.id).key
        if key not in of_group:
            of_group[key] = reason_of(cluster, job, context.waits, context.now_ms)
        return of_group[key]

    return scheduler_pb2.ListReply(
        jobs=[job_to_proto(cluster, job, reason(job), in_short=True) for job in kept],
        total=len(matching),
        revision=cluster.revision,
    )


def _candidates(cluster: Cluster, message: scheduler_pb2.ListRequest) -> Iterator[Job]:
    if not message.array:
        yield from cluster.jobs.values()
        return
    found = find_jobs(cluster, message.array, message.user)
    if not found.is_array:
        raise invalid(f"{found.id} is no array", fix=f"massctl show {found.id}", id=found.id)
    yield from found.jobs


def _queues_below(cluster: Cluster, name: str) -> set[str]:
    """The queue and all below it. Raises Refused when there is none of that name."""
    if name not in cluster.queues:
        raise not_found(f"no queue {name[:80]!r}", "see what there is: massctl queue ls", name)
    top = cluster.queues[name]
    return {
        queue.spec.name
        for queue in cluster.queues.values()
        if any(above is top for above in queue.tree.chain)
    }
