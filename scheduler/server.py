"""The client API: gRPC calls in, engine requests out. No decisions here."""

from collections.abc import AsyncIterator, Awaitable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import grpc

from aimass.core.spec import JobSpec
from aimass.scheduler import requests, requests_admin, requests_jobs
from aimass.scheduler.admission import Admission
from aimass.scheduler.engine import Engine
from aimass.scheduler.errors import Call, Refused, abort
from aimass.scheduler.inbox import Context, Handler
from aimass.scheduler.log_follow import LogFollower
from aimass.scheduler.requests_why import Questions
from aimass.scheduler.watch_events import watch_events
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
        self._admission = Admission()
        self._questions = Questions(engine, self._admission)
        engine.on_recovered.append(self._admission.forget)

    async def _tell(self, context: Call, handler: Handler[T]) -> T:
        return await _or_abort(context, self._engine.tell(handler))

    async def _ask(self, context: Call, handler: Handler[T]) -> T:
        return await _or_abort(context, self._engine.ask(handler))

    # ---- jobs -----------------------------------------------------------------------------------

    async def Submit(
        self, request: scheduler_pb2.SubmitRequest, context: Call
    ) -> scheduler_pb2.SubmitReply:
        """See scheduler.proto."""
        return await _or_abort(context, self._submit(request))

    async def _submit(self, request: scheduler_pb2.SubmitRequest) -> scheduler_pb2.SubmitReply:
        spec = requests.checked_submission(request)
        return await self._engine.tell(
            partial(requests.submit, spec=spec, message=request, admission=self._admission)
        )

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
            return [_entry(context, job, spec, self._admission) for job, spec in checked]

        try:
            return await self._engine.tell(submit)
        except Refused as refused:  # the journal is full: so it is for each of them
            return [Entry(error=refused.detail) for _ in checked]

    async def Get(self, request: scheduler_pb2.GetRequest, context: Call) -> job_pb2.Job:
        """See scheduler.proto."""
        if request.foresee:
            return await _or_abort(context, self._questions.get(request))
        return await self._ask(context, partial(requests.get, message=request))

    async def List(
        self, request: scheduler_pb2.ListRequest, context: Call
    ) -> scheduler_pb2.ListReply:
        """See scheduler.proto."""
        return await self._ask(context, partial(requests.list_jobs, message=request))

    async def Why(
        self, request: scheduler_pb2.WhyRequest, context: Call
    ) -> scheduler_pb2.Explanation:
        """See scheduler.proto."""
        return await _or_abort(context, self._questions.why(request))

    async def Plan(
        self, request: scheduler_pb2.PlanRequest, context: Call
    ) -> scheduler_pb2.PlanReply:
        """See scheduler.proto."""
        return await _or_abort(context, self._questions.plan(request))

    async def History(
        self, request: scheduler_pb2.HistoryRequest, context: Call
    ) -> scheduler_pb2.HistoryReply:
        """See scheduler.proto."""
        return await _or_abort(context, self._questions.history(request))

    async def Cancel(self, request: scheduler_pb2.CancelRequest, context: Call) -> job_pb2.Job:
        """See scheduler.proto."""
        return await self._tell(context, partial(requests_jobs.cancel, message=request))

    async def Hold(self, request: scheduler_pb2.JobRequest, context: Call) -> job_pb2.Job:
        """See scheduler.proto."""
        return await self._tell(context, partial(requests_jobs.hold, message=request))

    async def Release(self, request: scheduler_pb2.JobRequest, context: Call) -> job_pb2.Job:
        """See scheduler.proto."""
        return await self._tell(context, partial(requests_jobs.release, message=request))

    async def Requeue(self, request: scheduler_pb2.JobRequest, context: Call) -> job_pb2.Job:
        """See scheduler.proto."""
        return await self._tell(context, partial(requests_jobs.requeue, message=request))

    async def Suspend(self, request: scheduler_pb2.JobRequest, context: Call) -> job_pb2.Job:
        """See scheduler.proto."""
        return await self._tell(context, partial(requests_jobs.suspend, message=request))

    async def Update(self, request: scheduler_pb2.UpdateRequest, context: Call) -> job_pb2.Job:
        """See scheduler.proto."""
        return await _or_abort(context, self._update(request))

    async def _update(self, request: scheduler_pb2.UpdateRequest) -> job_pb2.Job:
        spec = requests.checked_spec(request.spec)
        return await self._engine.tell(
            partial(requests_jobs.update, spec=spec, message=request, admission=self._admission)
        )

    # ---- nodes, queues, reservations ------------------------------------------------------------

    async def Nodes(
        self, request: scheduler_pb2.NodesRequest, context: Call
    ) -> scheduler_pb2.NodesReply:
        """See scheduler.proto."""
        return await self._ask(context, requests_admin.nodes)

    async def Cordon(
        self, request: scheduler_pb2.CordonRequest, context: Call
    ) -> scheduler_pb2.NodesReply:
        """See scheduler.proto."""
        return await self._tell(context, partial(requests_admin.cordon, message=request))

    async def Uncordon(
        self, request: scheduler_pb2.UncordonRequest, context: Call
    ) -> scheduler_pb2.NodesReply:
        """See scheduler.proto."""
        return await self._tell(context, partial(requests_admin.uncordon, message=request))

    async def PutQueue(
        self, request: scheduler_pb2.PutQueueRequest, context: Call
    ) -> scheduler_pb2.PutQueueReply:
        """See scheduler.proto."""
        return await self._tell(context, partial(requests_admin.put_queue, message=request))

    async def DeleteQueue(
        self, request: scheduler_pb2.DeleteRequest, context: Call
    ) -> scheduler_pb2.DeleteReply:
        """See scheduler.proto."""
        return await self._tell(context, partial(requests_admin.delete_queue, message=request))

    async def Queues(
        self, request: scheduler_pb2.QueuesRequest, context: Call
    ) -> scheduler_pb2.QueuesReply:
        """See scheduler.proto."""
        return await self._ask(context, partial(requests_admin.queues, message=request))

    async def PutWindow(
        self, request: scheduler_pb2.PutWindowRequest, context: Call
    ) -> scheduler_pb2.Window:
        """See scheduler.proto."""
        return await self._tell(context, partial(requests_admin.put_window, message=request))

    async def DeleteWindow(
        self, request: scheduler_pb2.DeleteRequest, context: Call
    ) -> scheduler_pb2.DeleteReply:
        """See scheduler.proto."""
        return await self._tell(context, partial(requests_admin.delete_window, message=request))

    async def Windows(
        self, request: scheduler_pb2.WindowsRequest, context: Call
    ) -> scheduler_pb2.WindowsReply:
        """See scheduler.proto."""
        return await self._ask(context, requests_admin.windows)

    # ---- the cluster ----------------------------------------------------------------------------

    async def Info(
        self, request: scheduler_pb2.InfoRequest, context: Call
    ) -> scheduler_pb2.InfoReply:
        """See scheduler.proto."""
        term, revision, levels = await self._engine.ask(
            lambda c: (c.cluster.term, c.cluster.revision, c.cluster.levels)
        )
        decisions = self._engine.decisions
        return scheduler_pb2.InfoReply(
            version=self._about.version,
            cluster_id=self._about.cluster_id,
            term=term,
            revision=revision,
            levels=levels,
            journal=self._about.journal,
            policy=self._engine.policy.tag,
            started_ms=self._about.started_ms,
            http_address=self._about.http_address,
            refusing_writes=self._engine.refusing,
            policy_problem=decisions.problem,
            deciding_policy=decisions.last.policy,
            policy_fallbacks=decisions.fallbacks,
            decisions_rejected=decisions.rejected,
            next_tick_ms=self._engine.next_tick_ms,
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
                for message in watch_events(at, event, request.job):
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
        return requests.checked_submission(request)
    except Refused as refused:
        return refused


def _entry(
    context: Context,
    request: scheduler_pb2.SubmitRequest,
    spec: JobSpec | Refused,
    admission: Admission,
) -> Entry:
    """What became of one job of a chunk."""
    try:
        if isinstance(spec, Refused):
            raise spec
        reply = requests.submit(context, spec, request, admission)
    except Refused as refused:
        return Entry(error=refused.detail)
    return Entry(reply=reply)
