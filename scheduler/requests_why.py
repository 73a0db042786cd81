"""Questions that take a while: why, plan, history. Answered beside the engine, on copies.

One replay or look into the future at a time, in a thread: they are long, and the engine goes first.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from aimass.core.cluster import Cluster
from aimass.core.codec import encode_snapshot
from aimass.core.explain import Explanation, explain, outlook
from aimass.core.forecast import Outlook, merged, predict, seed
from aimass.core.history import cluster_at, history, reasons
from aimass.core.model import Job, JobId, JobState, NodeId
from aimass.core.policy import Policy
from aimass.core.spec import JobSpec
from aimass.core.whatif import Answer, Impossible, More, what_if
from aimass.scheduler.admission import Admission
from aimass.scheduler.engine import Engine
from aimass.scheduler.errors import Refused, invalid, not_found
from aimass.scheduler.inbox import Context
from aimass.scheduler.lookup import find_jobs
from aimass.scheduler.requests import checked_spec
from aimass.scheduler.requests import get as get_job
from aimass.scheduler.translate_jobs import outlook_to_proto
from aimass.scheduler.translate_why import (
    entry_to_proto,
    explanation_to_proto,
    plan_to_proto,
    reasons_to_proto,
)
from aimass.v1 import job_pb2, scheduler_pb2

T = TypeVar("T")
MORE_NODES_MAX = 10_000
FORESEEN_STEPS_MAX = 100  # moments ahead for show and history; about a second of 2,000 jobs


class Questions:
    """The answers; see scheduler.proto. Refused is raised as by every request."""

    def __init__(self, engine: Engine, admission: Admission) -> None:
        self._engine = engine
        self._admission = admission
        self._turn = asyncio.Semaphore(1)

    async def _aside(self, work: Callable[[], T]) -> T:
        async with self._turn:
            return await asyncio.to_thread(work)

    async def why(self, request: scheduler_pb2.WhyRequest) -> scheduler_pb2.Explanation:
        """Why a job is where it is, now or at a time that has passed."""
        engine, policy = self._engine, self._engine.decisions.deciding
        if request.at_ms:
            now_ms = await engine.ask(lambda context: context.now_ms)
            if not 0 < request.at_ms <= now_ms:
                raise invalid("--at: a time that has passed", fix="--at 1h", id=request.job)
            return await self._aside(partial(_why_then, engine, request, policy))
        message, snapshot, found, now_ms = await engine.ask(
            lambda context: _why_now(context, request, policy)
        )
        if snapshot is not None:
            job_id = JobId(message.job_id)
            foreseen = await self._aside(partial(predict, snapshot, job_id, policy, now_ms))
            message.start.CopyFrom(outlook_to_proto(merged(found.start, foreseen)))
        if request.history:
            message.reasons.extend(await self._reasons(message.job_id, policy))
        return message

    async def _reasons(self, job_id: str, policy: Policy) -> list[scheduler_pb2.Reason]:
        read = self._engine.read_journal
        return reasons_to_proto(await self._aside(lambda: reasons(read(), JobId(job_id), policy)))

    async def get(self, request: scheduler_pb2.GetRequest) -> job_pb2.Job:
        """One job with when it will start, or come back after a stop."""
        policy = self._engine.decisions.deciding
        message, foresight = await self._engine.ask(
            lambda context: (get_job(context, request), _foresight(context, request, policy))
        )
        start = await self._foresee(foresight, policy)
        message.start.CopyFrom(outlook_to_proto(start))
        last = message.attempts[-1] if message.attempts else None
        if last is not None and last.HasField("receipt") and not last.receipt.is_back:
            last.receipt.back_ms = start.at_ms or last.receipt.back_ms
        return message

    async def _foresee(self, foresight: "_Foresight | None", policy: Policy) -> Outlook:
        """Less than why looks at: people look at a job again and again."""
        if foresight is None:
            return Outlook()
        said, snapshot = foresight.said, foresight.snapshot
        if snapshot is None:
            return said
        job_id, now_ms = foresight.job_id, foresight.now_ms
        look = partial(predict, snapshot, job_id, policy, now_ms, FORESEEN_STEPS_MAX)
        return merged(said, await self._aside(look))

    async def plan(self, request: scheduler_pb2.PlanRequest) -> scheduler_pb2.PlanReply:
        """What would happen to a job; nothing is written."""
        spec = checked_spec(request.spec)
        more = tuple(More(m.count, m.gpus, m.model) for m in request.more)
        if not 0 <= sum(m.count for m in more) <= MORE_NODES_MAX or any(
            m.count < 0 or not 0 <= m.gpus <= 64 or not m.model for m in more
        ):
            raise invalid("more: 1 to 10000 nodes of 0 to 64 GPUs", fix="--node +2x8xH100")
        fewer = tuple(NodeId(name) for name in request.without)

        def copy(context: Context) -> tuple[bytes, int, int]:
            # What never fits now is answered, not refused; and it may fit with other nodes.
            asked = replace(spec, allow_future=True)
            self._admission.admit(context.cluster, asked, request.user, context.now_ms)
            cluster = context.cluster
            return encode_snapshot(cluster), cluster.revision, context.now_ms

        snapshot, revision, now_ms = await self._engine.ask(copy)
        policy = self._engine.decisions.deciding
        answer = await self._aside(
            lambda: _answer(snapshot, spec, request.user, policy, now_ms, more, fewer)
        )
        return plan_to_proto(answer, revision, now_ms)

    async def history(self, request: scheduler_pb2.HistoryRequest) -> scheduler_pb2.HistoryReply:
        """Everything that happened to a job, from the journal."""
        job_id, revision = await self._engine.ask(lambda context: _known_id(context, request))
        read = self._engine.read_journal
        entries = await self._aside(lambda: history(read(), job_id))
        if not entries:
            raise not_found(f"no job {request.job!r} in the journal", "massctl ls --all", job_id)
        reply = scheduler_pb2.HistoryReply(
            job_id=job_id, entries=[entry_to_proto(e) for e in entries], revision=revision
        )
        await self._add_return(reply)
        return reply

    async def _add_return(self, reply: scheduler_pb2.HistoryReply) -> None:
        """Say when a job that was stopped last is expected back."""
        receipt = next((e for e in reversed(reply.entries) if e.what == "STOPPED"), None)
        if receipt is None or receipt.is_back:
            return
        policy, asked = self._engine.decisions.deciding, scheduler_pb2.GetRequest(job=reply.job_id)
        foresight = await self._engine.ask(lambda context: _foresight(context, asked, policy))
        start = await self._foresee(foresight, policy)
        receipt.back_ms = start.at_ms or receipt.back_ms


@dataclass(frozen=True, slots=True)
class _Foresight:
    """What the start of a job is foreseen from. said: what is known without looking ahead.

    snapshot: None when there is nothing to look for, or what is promised will do.
    """

    job_id: JobId
    said: Outlook
    snapshot: bytes | None
    now_ms: int


def _foresight(
    context: Context, request: scheduler_pb2.GetRequest, policy: Policy
) -> _Foresight | None:
    """None for an array, and for a job that memory has forgotten."""
    try:
        found = find_jobs(context.cluster, request.job, request.user)
    except Refused:
        return None
    if found.is_array:
        return None
    job = found.jobs[0]
    said = outlook(context.cluster, job, policy, context.now_ms)
    is_promised = said.is_promise and said.at_ms
    snapshot = None if is_promised else seed(context.cluster, job)
    return _Foresight(job.id, said, snapshot, context.now_ms)


def _answer(
    snapshot: bytes,
    spec: JobSpec,
    user: str,
    policy: Policy,
    now_ms: int,
    more: tuple[More, ...],
    fewer: tuple[NodeId, ...],
) -> Answer:
    try:
        return what_if(snapshot, spec, user, policy, now_ms, more, fewer)
    except Impossible as problem:
        raise invalid(f"this cannot be: {problem}", fix="massctl nodes; massctl ls") from None


def _one_of(cluster: Cluster, ref: str, user: str) -> Job:
    """The job, of an array the first task that waits."""
    found = find_jobs(cluster, ref, user)
    states = (JobState.QUEUED, JobState.HELD, JobState.RESERVED)
    return next((job for job in found.jobs if job.state in states), found.jobs[0])


def _why_now(
    context: Context, request: scheduler_pb2.WhyRequest, policy: Policy
) -> tuple[scheduler_pb2.Explanation, bytes | None, Explanation, int]:
    cluster = context.cluster
    job = _one_of(cluster, request.job, request.user)
    found = explain(cluster, job, policy, context.now_ms)
    message = explanation_to_proto(cluster, job, found, context.now_ms)
    return message, seed(cluster, job), found, context.now_ms


def _why_then(
    engine: Engine, request: scheduler_pb2.WhyRequest, policy: Policy
) -> scheduler_pb2.Explanation:
    """As of a time that has passed; with the policy of today."""
    cluster = cluster_at(engine.read_journal(), request.at_ms)
    try:
        job = _one_of(cluster, request.job, request.user)
    except Refused as refused:
        what = f"{refused.detail.what} at that time (revision {cluster.revision})"
        raise not_found(what, "name a later time", request.job) from None
    found = explain(cluster, job, policy, request.at_ms)
    message = explanation_to_proto(cluster, job, found, request.at_ms)
    snapshot = seed(cluster, job)
    if snapshot is not None:
        foreseen = predict(snapshot, job.id, policy, request.at_ms)
        message.start.CopyFrom(outlook_to_proto(merged(found.start, foreseen)))
    if request.history:
        until = (entry for entry in engine.read_journal() if entry[0] <= cluster.revision)
        message.reasons.extend(reasons_to_proto(reasons(until, job.id, policy)))
    return message


def _known_id(context: Context, request: scheduler_pb2.HistoryRequest) -> tuple[JobId, int]:
    """The id that is meant; of a job that memory has forgotten, as it was written."""
    cluster = context.cluster
    try:
        return _one_of(cluster, request.job, request.user).id, cluster.revision
    except Refused:
        if not request.job.startswith("j"):
            raise
        return JobId(request.job), cluster.revision
