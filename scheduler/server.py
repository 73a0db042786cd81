"""The client API: gRPC calls in, engine requests out. No decisions here."""

from collections.abc import AsyncIterator, Awaitable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import grpc

from aimass.core.codec import event_json
from aimass.core.events import Event, PlanCommitted
from aimass.core.spec import JobSpec
from aimass.scheduler import requests
from aimass.scheduler.engine import Context, Engine
from aimass.scheduler.errors import Call, Refused, abort
from aimass.scheduler.log_follow import LogFollower
from aimass.v1 import job_pb2, scheduler_pb2, scheduler_pb2_grpc

T = TypeVar("T")
Entry = scheduler_pb2.SubmitBatchReply.Entry
CHUNK_JOBS_MAX = 1000


@dataclass(frozen=True, slots=True)
class About:
    """What Info says of this process."""

    version: str
    cluster_id: str
    journal: str
    http_address: str
    started_ms: int


class SchedulerServer(scheduler_pb2_grpc.SchedulerServicer):
    """See scheduler.proto for what each call promises."""

    def __init__(self, engine: Engine, logs: LogFollower, about: About) -> None:
        self._engine = engine
        self._logs = logs
        self._about = about

    async def Submit(
        self, request: scheduler_pb2.SubmitRequest, context: Call
    ) -> scheduler_pb2.SubmitReply:
        """See scheduler.proto."""
        return await _or_abort(context, self._submit(request))

    async def _submit(self, request: scheduler_pb2.SubmitRequest) -> scheduler_pb2.SubmitReply:
        spec = requests.checked_spec(request)
        handler = partial(
            requests.submit, spec=spec, user=request.user, idempotency_key=request.idempotency_key
        )
        return await self._engine.tell(handler)

    async def SubmitBatch(
        self,
        request_iterator: AsyncIterator[scheduler_pb2.SubmitBatchRequest],
        context: Call,
    ) -> AsyncIterator[scheduler_pb2.SubmitBatchReply]:
        """See scheduler.proto. A bad job is an error entry; the others of its chunk go on."""
        async for chunk in request_iterator:
            if len(chunk.jobs) > CHUNK_JOBS_MAX:
                refused = Refused(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"{len(chunk.jobs)} jobs in one chunk: at most {CHUNK_JOBS_MAX}",
                    fix="send smaller chunks on the same stream",
                )
                await abort(context, refused)
            yield scheduler_pb2.SubmitBatchReply(entries=await self._submit_all(chunk.jobs))

    async def _submit_all(self, jobs: Iterable[scheduler_pb2.SubmitRequest]) -> list[Entry]:
        """One engine request for the whole chunk: a task per job would cost more than the job."""
        checked = [(job, _spec_or_refusal(job)) for job in jobs]

        def submit(context: Context) -> list[Entry]:
            return [_entry(context, job, spec) for job, spec in checked]

        try:
            return await self._engine.tell(submit)
        except Refused as refused:  # the journal is full: so it is for each of them
            return [Entry(error=refused.detail) for _ in checked]

    async def Get(self, request: scheduler_pb2.GetRequest, context: Call) -> job_pb2.Job:
        """See scheduler.proto."""
        engine = self._engine
        return await _or_abort(
            context,
            engine.ask(lambda c: requests.get(c, request.job, request.user, engine.waits)),
        )

    async def List(
        self, request: scheduler_pb2.ListRequest, context: Call
    ) -> scheduler_pb2.ListReply:
        """See scheduler.proto."""
        engine = self._engine
        return await _or_abort(
            context, engine.ask(lambda c: requests.list_jobs(c, request, engine.waits))
        )

    async def Cancel(self, request: scheduler_pb2.CancelRequest, context: Call) -> job_pb2.Job:
        """See scheduler.proto."""
        engine = self._engine
        return await _or_abort(
            context, engine.tell(lambda c: requests.cancel(c, request, engine.waits))
        )

    async def Why(
        self, request: scheduler_pb2.WhyRequest, context: Call
    ) -> scheduler_pb2.Explanation:
        """See scheduler.proto."""
        engine = self._engine
        return await _or_abort(
            context, engine.ask(lambda c: requests.why(c, request, engine.policy))
        )

    async def Nodes(
        self, request: scheduler_pb2.NodesRequest, context: Call
    ) -> scheduler_pb2.NodesReply:
        """See scheduler.proto."""
        return await _or_abort(context, self._engine.ask(requests.nodes))

    async def Info(
        self, request: scheduler_pb2.InfoRequest, context: Call
    ) -> scheduler_pb2.InfoReply:
        """See scheduler.proto."""
        term, revision = await self._engine.ask(lambda c: (c.cluster.term, c.cluster.revision))
        return scheduler_pb2.InfoReply(
            version=self._about.version,
            cluster_id=self._about.cluster_id,
            term=term,
            revision=revision,
            journal=self._about.journal,
            policy=self._engine.policy.tag,
            started_ms=self._about.started_ms,
            http_address=self._about.http_address,
            refusing_writes=self._engine.refusing,
        )

    async def Watch(
        self, request: scheduler_pb2.WatchRequest, context: Call
    ) -> AsyncIterator[scheduler_pb2.WatchEvent]:
        """See scheduler.proto. Pulled by position, so a slow reader costs no memory here."""
        revision = request.from_revision or self._engine.revision
        if revision > self._engine.revision:
            refused = Refused(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"revision {revision} is in the future; the newest is {self._engine.revision}",
                why="this is another journal than the one you watched before",
                fix="list again and watch from the revision that the list gives",
            )
            await abort(context, refused)
        while True:
            await self._engine.changed_after(revision)
            for at, event in await self._engine.events_after(revision):
                revision = at
                for message in _watch_events(at, event, request.job):
                    yield message

    async def Logs(
        self, request: scheduler_pb2.LogsRequest, context: Call
    ) -> AsyncIterator[scheduler_pb2.LogChunk]:
        """See scheduler.proto."""
        try:
            async for chunk in self._logs.follow(request):
                yield chunk
        except Refused as refused:
            await abort(context, refused)


async def _or_abort(context: Call, reply: Awaitable[T]) -> T:
    """The reply, or the refusal as the call's status."""
    try:
        return await reply
    except Refused as refused:
        await abort(context, refused)
        raise  # abort has raised already


def _spec_or_refusal(request: scheduler_pb2.SubmitRequest) -> JobSpec | Refused:
    try:
        return requests.checked_spec(request)
    except Refused as refused:
        return refused


def _entry(
    context: Context, request: scheduler_pb2.SubmitRequest, spec: JobSpec | Refused
) -> Entry:
    """What became of one job of a chunk."""
    try:
        if isinstance(spec, Refused):
            raise spec
        reply = requests.submit(context, spec, request.user, request.idempotency_key)
    except Refused as refused:
        return Entry(error=refused.detail)
    return Entry(reply=reply)


def _watch_events(revision: int, event: Event, job: str) -> list[scheduler_pb2.WatchEvent]:
    """The event for a watcher of `job` ("": all): a plan once per job it starts, all else once."""
    if isinstance(event, PlanCommitted):
        own = [start for start in event.starts if job in ("", start.job_id)]
        return [_message(revision, replace(event, starts=(s,)), s.job_id) for s in own]
    job_id = getattr(event, "job_id", "")
    return [_message(revision, event, job_id)] if job in ("", job_id) else []


def _message(revision: int, event: Event, job_id: str) -> scheduler_pb2.WatchEvent:
    return scheduler_pb2.WatchEvent(
        revision=revision,
        at_ms=event.at_ms,
        type=type(event).__name__,
        job_id=job_id,
        node_id=getattr(event, "node_id", ""),
        json=event_json(event),
    )
