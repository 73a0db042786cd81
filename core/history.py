"""What happened to one job, from the journal: every decision, transition and update, with reasons.

Replayed from the first event, because a job may have ended long ago and time and nodes change jobs
without naming them. O(events) applications.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.cluster import Cluster
from aimass.core.explain import main_reason
from aimass.core.field_words import word
from aimass.core.model import ExitReason, Job, JobId, JobState
from aimass.core.plan import Start, Stop
from aimass.core.policy import Policy
from aimass.core.receipts import LostClaim, lost_at_last, lost_claim
from aimass.core.spans import span_text
from aimass.core.spec import JobSpec
from aimass.core.words import some

Journalled = Iterable[tuple[int, ev.Event]]
"""(revision, event) from the first on."""

REASONS_PER_STRIDE = 200  # reasons looked for before every second moment is left out


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. what: a stable word. by: the user or job that brought it about.

    lost_gpu_ms: of work, by a stop, in the end. back_ms: when a job that was stopped ran again
    (is_back), or is promised to. policy and trail: of a decision, how it was weighed.
    """

    revision: int
    at_ms: int
    what: str
    text: str
    by: str = ""
    attempt: int = 0
    policy: str = ""
    trail: tuple[str, ...] = ()
    lost_gpu_ms: int = 0
    start_ms: int = 0
    back_ms: int = 0
    is_back: bool = False


def history(journal: Journalled, job_id: JobId) -> list[Entry]:
    """Everything that happened to the job, oldest first; empty when it never was."""
    entries: list[Entry] = []
    lost: dict[int, int] = {}  # by attempt, as far as known
    for cluster, revision, event, before in _followed(journal, job_id):
        job = cluster.jobs.get(job_id)
        found = [*_said(cluster, event, job_id, before), *_changed(before, job)]
        entries += [replace(e, revision=revision, at_ms=event.at_ms) for e in found]
        if job is not None and job.attempts:
            lost[job.attempt] = lost_at_last(job.attempts[-1])
    return [
        _with_sequel(e, entries[n + 1 :], lost) if e.what == "STOPPED" else e
        for n, e in enumerate(entries)
    ]


def _with_sequel(stopped: Entry, later: list[Entry], lost: dict[int, int]) -> Entry:
    """The receipt with what was lost in the end, and when the job went on or is promised to."""
    promises = (e.start_ms for e in reversed(later) if e.what in ("PROMISED", "PROMISE_ENDED"))
    back_ms = next((e.at_ms for e in later if e.what == "STARTED"), 0)
    return replace(
        stopped,
        lost_gpu_ms=lost.get(stopped.attempt, stopped.lost_gpu_ms),
        back_ms=back_ms or next(promises, 0),
        is_back=bool(back_ms),
    )


@dataclass(frozen=True, slots=True)
class Reason:
    """The dominant reason of a job that waited, from at_ms until the next entry's."""

    revision: int
    at_ms: int
    code: str
    text: str


def reasons(journal: Journalled, job_id: JobId, policy: Policy) -> list[Reason]:
    """How the dominant reason changed, equal ones in a row once; states while it did not wait.

    Looked for after what may change it: plans, and events that name the job or any node.
    """
    found: list[Reason] = []
    moments, stride, lost = 0, 1, ""
    for cluster, revision, event, before in _followed(journal, job_id):
        job = cluster.jobs.get(job_id)
        if job is None or not _may_change(event, job_id, before, job):
            continue
        if before is not None and before.lost is not None:
            lost = f"; {before.lost.text}"
        moments += 1
        if moments > REASONS_PER_STRIDE * stride:
            stride *= 2
        is_new = before is None or before.state is not job.state
        if moments % stride and not is_new:
            continue
        code, text = job.state.value, job.outcome
        if job.state in (JobState.QUEUED, JobState.HELD, JobState.RESERVED):
            refusal = main_reason(cluster, job, policy)
            code, text = refusal.code.value, refusal.text
            if job.state is JobState.RESERVED:
                lost = ""
            text += lost
        reason = Reason(revision, event.at_ms, code, text)
        if found and found[-1].at_ms == event.at_ms:
            found.pop()  # what was so only within one batch of events
        if not found or found[-1].code != code:
            found.append(reason)
    return found


def cluster_at(journal: Journalled, at_ms: int) -> Cluster:
    """The state as of that time: all events up to it. O(events)."""
    cluster = Cluster()
    for _, event in journal:
        if event.at_ms > at_ms:
            break
        apply(cluster, event)
    return cluster


def _may_change(event: ev.Event, job_id: JobId, before: "_Seen | None", job: Job) -> bool:
    if before is None or before.state is not job.state:
        return True
    if isinstance(event, ev.PlanCommitted | ev.Tick):
        return True
    return getattr(event, "job_id", "") == job_id or hasattr(event, "node_id")


# ---- following one job --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was so of the job before an event."""

    state: JobState
    attempt: int
    stop_reason: str
    spec: JobSpec
    promise_ms: int
    lost: LostClaim | None = None  # by this event


def _followed(
    journal: Journalled, job_id: JobId
) -> Iterator[tuple[Cluster, int, ev.Event, _Seen | None]]:
    """Yield (cluster after the event, revision, event, the job before it) while the job lives."""
    cluster = Cluster()
    before: _Seen | None = None
    for revision, event in journal:
        if before is not None and isinstance(event, ev.PlanCommitted) and job_id in event.unclaims:
            before = replace(before, lost=lost_claim(cluster, event, cluster.jobs[job_id]))
        apply(cluster, event)
        job = cluster.jobs.get(job_id)
        if job is None and before is None:
            continue
        yield cluster, revision, event, before
        if job is None or job.state.is_over:
            return
        planned = cluster.planned.get(job_id)
        before = _Seen(
            job.state,
            job.attempt,
            job.attempts[-1].stop_reason if job.attempts else "",
            job.spec,
            planned.start_ms if planned is not None else 0,
        )


def _changed(before: _Seen | None, job: Job | None) -> Iterator[Entry]:
    """The job's transition, with its cause."""
    if job is None or before is None or before.state is job.state:
        return
    text = job.outcome
    if job.state is JobState.STOPPING:
        text = job.current.stop_reason
    elif job.state in (JobState.QUEUED, JobState.HELD) and job.attempts:
        text = job.attempts[-1].outcome
    elif job.state is JobState.RUNNING:
        text = "every shard runs"
    yield Entry(0, 0, job.state.value, text, attempt=job.attempt)


def _said(
    cluster: Cluster, event: ev.Event, job_id: JobId, before: _Seen | None
) -> Iterator[Entry]:
    """What the event itself says of the job."""
    if isinstance(event, ev.PlanCommitted):
        yield from _planned(cluster, event, job_id, before)
        return
    if isinstance(event, ev.JobSubmitted) and before is None:
        text = f"to queue {event.spec.queue}, priority {event.spec.priority}"
        yield Entry(0, 0, "SUBMITTED", text + (", held" if event.held else ""), event.user)
        return
    if getattr(event, "job_id", "") != job_id:
        return
    if isinstance(event, ev.JobHeld):
        yield Entry(0, 0, "HOLD", event.reason, event.by)
    elif isinstance(event, ev.JobReleased):
        yield Entry(0, 0, "RELEASE", "", event.by)
    elif isinstance(event, ev.JobUpdated) and before is not None:
        yield Entry(0, 0, "UPDATED", _differences(before.spec, event.spec), event.by)
    elif isinstance(event, ev.JobRequeueRequested):
        yield Entry(0, 0, "SUSPEND" if event.suspend else "REQUEUE", "", event.by)
    elif isinstance(event, ev.JobCancelRequested):
        yield Entry(0, 0, "CANCEL", f"grace {span_text(event.grace_ms)}", event.by)
    elif isinstance(event, ev.CheckpointReported):
        age = f"complete {span_text(event.age_ms)} before" if event.age_ms else ""
        yield Entry(0, 0, "CHECKPOINT", age, attempt=event.attempt)
    elif isinstance(event, ev.WorkReported) and event.left_ms >= 0:
        yield Entry(0, 0, "PROGRESS", f"{span_text(event.left_ms)} left", attempt=event.attempt)
    elif isinstance(event, ev.ShardExited) and _is_news(event, before):
        yield Entry(0, 0, "SHARD_FAILED", _exit_text(event), attempt=event.attempt)


def _is_news(event: ev.ShardExited, before: _Seen | None) -> bool:
    """A failure that nobody ordered; the gang of a failed shard is stopped as well."""
    was_stopping = before is not None and before.state is JobState.STOPPING
    return not event.exit.is_success and not was_stopping


def _exit_text(event: ev.ShardExited) -> str:
    end = event.exit
    how = f"signal {end.signal}" if end.signal else f"code {end.code}"
    why = "" if end.reason is ExitReason.EXITED else f", {end.reason.value}"
    detail = f": {end.detail}" if end.detail else ""
    return f"shard {event.rank} ended with {how}{why}{detail}"


def _differences(old: JobSpec, new: JobSpec) -> str:
    """`priority 0 -> 5, timeLimit none -> 2 h`; of what is large, or a date, only the name."""
    parts = []
    for field in fields(JobSpec):
        was, now = getattr(old, field.name), getattr(new, field.name)
        if was == now:
            continue
        name, texts = word(field.name), (_value(field.name, was), _value(field.name, now))
        if field.name == "roles" and (sizes := _sizes(old, new)):
            name, texts = "shards", sizes
        parts.append(f"{name} {' -> '.join(texts)}" if all(texts) else f"{name} changed")
    return ", ".join(parts) or "nothing"


def _sizes(old: JobSpec, new: JobSpec) -> tuple[str, str] | None:
    """The shards of both, where nothing else of their roles differs."""
    same = len(old.roles) == len(new.roles) and all(
        replace(was, shards=now.shards) == now
        for was, now in zip(old.roles, new.roles, strict=True)
    )
    if not same:
        return None
    was, now = (" + ".join(str(role.shards) for role in spec.roles) for spec in (old, new))
    return was, now


def _value(field: str, value: object) -> str:
    """A short value of a spec as people write it; empty of others."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, int):
        return value if isinstance(value, str) else ""
    if not field.endswith("_ms"):
        return str(value)
    if field in ("start_after_ms", "deadline_ms", "due_ms"):
        return ""
    return span_text(value) if value else "none"


def _planned(
    cluster: Cluster, event: ev.PlanCommitted, job_id: JobId, before: _Seen | None
) -> Iterator[Entry]:
    """What a plan decided about the job."""
    if before is not None and before.lost is not None:
        lost = before.lost
        yield Entry(0, 0, "CLAIM_LOST", lost.text, lost.by, policy=event.policy)
    for stop in event.stops:
        if stop.job_id == job_id:
            yield _stopped(cluster, stop, event.policy)
    for claim in event.claims:
        if claim.job_id == job_id:
            nodes = list(dict.fromkeys(p.node_id for p in claim.placements))
            others = [i for i in claim.victims if i != job_id]
            text = f"owns places on {some(nodes)}, {claim.reason}"
            if others:
                text += f"; waits for {some([_who(cluster, i) for i in others])} to leave"
            yield Entry(0, 0, "CLAIMED", text, "", claim.attempt, event.policy, claim.trail)
    for start in event.starts:
        if start.job_id == job_id:
            yield _started(start, event.policy)
    for planned in event.planned:
        if planned.job_id == job_id:
            moved = before is not None and before.promise_ms not in (0, planned.start_ms)
            text = "moved, " * moved + planned.reason
            start_ms = planned.start_ms if planned.is_known else 0
            yield Entry(0, 0, "PROMISED", text, policy=event.policy, start_ms=start_ms)
    if job_id in event.unplanned:
        yield Entry(0, 0, "PROMISE_ENDED", "it cannot be kept any more", policy=event.policy)


def _started(start: Start, policy: str) -> Entry:
    return Entry(0, 0, "STARTED", start.reason, "", start.attempt, policy, start.trail)


def _stopped(cluster: Cluster, stop: Stop, policy: str) -> Entry:
    """The receipt of a job that a plan stopped."""
    by = f" for {_who(cluster, stop.by)}" if stop.by and stop.by != stop.job_id else ""
    text = f"under {stop.rule.value}{by}: {stop.reason}"
    return Entry(0, 0, "STOPPED", text, stop.by, stop.attempt, policy, lost_gpu_ms=stop.lost_gpu_ms)


def _who(cluster: Cluster, job_id: JobId) -> str:
    job = cluster.jobs.get(job_id)
    return f"{job_id} ({job.user})" if job is not None and job.user else job_id
