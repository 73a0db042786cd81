"""What a reference to a job stands for, and one line about where a job is."""

import re
from collections import Counter
from dataclasses import dataclass

from aimass.core.arrays import jobs_of
from aimass.core.cluster import Cluster, GroupKey
from aimass.core.model import Job, JobId, JobState
from aimass.core.plan import Wait
from aimass.core.spans import span_text
from aimass.core.survey import wait_reason
from aimass.core.trial import as_of
from aimass.scheduler.errors import invalid, not_found
from aimass.scheduler.inbox import Context
from aimass.scheduler.translate_jobs import JOB_STATES, job_to_proto
from aimass.v1 import job_pb2

Waits = dict[GroupKey, Wait]

# The state of an array is the first of these that one of its tasks is in.
_OF_ARRAY = (
    *(JobState.RUNNING, JobState.STARTING, JobState.PLACED, JobState.STOPPING),
    *(JobState.RESERVED, JobState.QUEUED, JobState.HELD),
)


@dataclass(frozen=True, slots=True)
class Found:
    """One job, or all remembered tasks of an array; `id` is the job's or the array's."""

    id: JobId
    jobs: list[Job]
    is_array: bool = False


def find_jobs(cluster: Cluster, ref: str, user: str) -> Found:
    """What an id, the unique beginning of one, or "@last" stands for. Raises Refused."""
    if ref == "@last":
        for job in reversed(cluster.jobs.values()):
            if not user or job.user == user:
                return _found(cluster, job.array_id or job.id)
        raise not_found(f"{user or 'nobody'} has submitted no job", "submit one: massctl submit")
    if JobId(ref) in cluster.jobs or JobId(ref) in cluster.arrays:
        return _found(cluster, JobId(ref))
    matches = _beginning_with(cluster, ref)
    if len(matches) == 1:
        return _found(cluster, matches[0])
    if matches:
        few = ", ".join(matches[:5]) + (", ..." if len(matches) > 5 else "")
        raise invalid(f"{ref!r} could be {few}", fix="give more of the id", id=ref)
    raise not_found(
        f"no job {ref!r}",
        "see what there is: massctl ls --all (jobs that ended long ago: massctl journal dump)",
        ref,
    )


def _found(cluster: Cluster, job_id: JobId) -> Found:
    return Found(job_id, jobs_of(cluster, job_id), job_id in cluster.arrays)


def _beginning_with(cluster: Cluster, ref: str) -> list[JobId]:
    """Ids of jobs and arrays that begin so; tasks only when the array is already named."""
    given = re.fullmatch(r"j([0-9]{1,18})(_[0-9]{1,18})?", ref)
    # An id that was once given out never stands for another: `cancel j5` must not hit j50.
    if not ref or (given is not None and int(given[1]) < cluster.next_seq):
        return []
    if "_" in ref:
        return [job_id for job_id in cluster.jobs if job_id.startswith(ref)]
    ids = [job.array_id or job.id for job in cluster.jobs.values() if job.id.startswith(ref)]
    return list(dict.fromkeys(ids))


def find_job(cluster: Cluster, ref: str, user: str) -> Job:
    """The one job that the reference stands for. Raises Refused, of an array as well."""
    found = find_jobs(cluster, ref, user)
    if found.is_array:
        raise invalid(
            f"{found.id} is an array of {cluster.arrays[found.id].total} tasks",
            fix=f"name one of them: {found.jobs[0].id}",
            id=found.id,
        )
    return found.jobs[0]


def reason_of(cluster: Cluster, job: Job, waits: Waits, now_ms: int) -> str:
    """One line for listings: why it waits, what stops it, or how it ended."""
    if job.state.is_over:
        return job.outcome
    if job.state is JobState.STOPPING:
        return job.current.stop_reason
    if job.state is JobState.HELD:
        return f"HELD: {job.hold_reason}"
    if job.state is JobState.RESERVED:
        claim = cluster.claims.get(job.id)
        return f"RESERVED: {claim.reason}" if claim is not None else ""
    return _wait_reason(cluster, job, waits, now_ms) if job.state is JobState.QUEUED else ""


def _wait_reason(cluster: Cluster, job: Job, waits: Waits, now_ms: int) -> str:
    if job.unmet:
        more = f" and {len(job.unmet) - 3} more" if len(job.unmet) > 3 else ""
        return f"DEPENDENCY: waits for {', '.join(job.unmet[:3])}{more}"
    if job.id not in cluster.waiting:
        left = span_text(max(0, job.not_before_ms - now_ms))
        code = "BACKOFF" if job.retries and job.spec.start_after_ms != job.not_before_ms else ""
        return f"{code or 'NOT_BEFORE'}: not considered for another {left}"
    wait = waits.get(cluster.waiting.group(job.id).key)
    if wait is None:
        return "BEHIND: jobs before it go first"
    with as_of(cluster, now_ms):
        code, text = wait_reason(cluster, wait, job)
    return f"{code}: {text}"


def found_to_proto(context: Context, found: Found) -> job_pb2.Job:
    """The job; of an array one message that sums its tasks up."""
    cluster, first = context.cluster, found.jobs[0]
    if not found.is_array:
        reason = reason_of(cluster, first, context.waits, context.now_ms)
        return job_to_proto(cluster, first, reason)
    row, states = cluster.arrays[found.id], Counter(job.state for job in found.jobs)
    message = job_to_proto(cluster, first, "")
    message.id, message.array_id, message.array_index = found.id, "", 0
    for field in ("attempts", "planned", "claim", "unmet", "hold_reason"):
        message.ClearField(field)
    living = next((state for state in _OF_ARRAY if states[state]), None)
    message.state = JOB_STATES[living or _end_of_array(states, row.failed)]
    message.ended_ms = 0 if living else max(job.ended_ms for job in found.jobs)
    words = [f"{row.over} of {row.total} tasks over"]
    words += [f"{row.failed} of them not well"] if row.failed else []
    words += [f"{states[s]} {s.value}" for s in _OF_ARRAY if states[s]]
    message.reason = ", ".join(words)
    return message


def _end_of_array(states: Counter[JobState], failed: int) -> JobState:
    if not failed:
        return JobState.SUCCEEDED
    is_cancelled = states[JobState.CANCELLED] and not states[JobState.FAILED]
    return JobState.CANCELLED if is_cancelled else JobState.FAILED
