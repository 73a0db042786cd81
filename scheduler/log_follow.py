"""Follow a job's output: one pump per shard, through its node's agent, attempt after attempt.

A broken link costs nothing: the pump waits for the agent and asks again from where it stopped.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from aimass.core.model import JobId, NodeId, Shard, ShardState
from aimass.scheduler.agents import AgentLinks
from aimass.scheduler.engine import Engine
from aimass.scheduler.errors import invalid, not_found
from aimass.scheduler.inbox import Context
from aimass.scheduler.lookup import find_job
from aimass.v1 import agent_pb2, scheduler_pb2

RETRY_S = 0.2
PUMP_QUEUE_MAX = 16
_Out = asyncio.Queue[scheduler_pb2.LogChunk | None]


@dataclass(frozen=True, slots=True)
class _Source:
    """Where one shard's output lies."""

    job_id: JobId
    attempt: int
    rank: int
    node_id: NodeId


class LogFollower:
    """Streams log chunks for a LogsRequest."""

    def __init__(self, engine: Engine, links: AgentLinks) -> None:
        self._engine = engine
        self._links = links

    async def follow(
        self, request: scheduler_pb2.LogsRequest
    ) -> AsyncIterator[scheduler_pb2.LogChunk]:
        """Yield chunks of all asked shards as they come.

        Without follow it ends with what is there. With it, when the shards have ended, or the job
        where no attempt is named: then one attempt comes after the other.
        """
        offsets = dict(zip(request.ranks, request.offsets, strict=False))
        if not request.ranks:
            offsets = dict(enumerate(request.offsets))
        seen = 0
        while True:
            find = partial(_sources, request=request, seen=seen)
            sources, revision, over = await self._engine.ask(find)
            if sources:
                seen = sources[0].attempt
                pumps = self._pump_all(sources, request, offsets)
                async with aclosing(pumps):
                    async for chunk in pumps:
                        yield chunk
                offsets = {}
            if request.attempt or not request.follow or (over and not sources):
                return
            if not sources:
                await self._engine.changed_after(revision)

    async def _pump_all(
        self,
        sources: list[_Source],
        request: scheduler_pb2.LogsRequest,
        offsets: dict[int, int],
    ) -> AsyncGenerator[scheduler_pb2.LogChunk]:
        out: _Out = asyncio.Queue(PUMP_QUEUE_MAX)
        tasks = [
            asyncio.create_task(self._pump(s, request, offsets.get(s.rank, 0), out))
            for s in sources
        ]
        try:
            open_pumps = len(tasks)
            while open_pumps:
                chunk = await out.get()
                if chunk is None:
                    open_pumps -= 1
                else:
                    yield chunk
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(
        self, source: _Source, request: scheduler_pb2.LogsRequest, offset: int, out: _Out
    ) -> None:
        """One shard's output into `out`, ended by None."""
        tail_lines, noted, started_at = request.tail_lines, False, offset
        while True:
            if not await self._has_output(source, request.follow):
                await out.put(_chunk(source, offset, note="the shard has not started yet"))
                break
            link = self._links.links.get(source.node_id)
            if link is None:
                if not noted:
                    note = f"node {source.node_id} cannot be reached now"
                    await out.put(_chunk(source, offset, note=note))
                    noted = True
                if not request.follow or await self._engine.ask(partial(_is_past, source=source)):
                    break
                await asyncio.sleep(RETRY_S)
                continue
            with self._links.relay.request() as (request_id, pushes):
                ask = agent_pb2.LogRequest(
                    request_id=request_id,
                    job_id=source.job_id,
                    attempt=source.attempt,
                    rank=source.rank,
                    offset=offset,
                    follow=request.follow,
                    tail_lines=tail_lines,
                )
                link.send(agent_pb2.SchedulerMessage(logs=ask))
                ended = asyncio.create_task(link.end.wait())
                try:
                    offset, eof = await _relay(source, pushes, ended, offset, out)
                finally:
                    ended.cancel()
            if eof:
                break
            noted = False
            if offset > started_at:
                tail_lines = 0  # the tail has begun: what follows is a continuation
            await asyncio.sleep(RETRY_S)  # the agent's stream broke: do not ask in a tight loop
        await out.put(None)

    async def _has_output(self, source: _Source, follow: bool) -> bool:
        """Whether there is anything to ask an agent for; a follower waits until there is."""
        while True:
            begun, revision = await self._engine.ask(partial(_has_begun, source=source))
            if begun or not follow:
                return begun
            await self._engine.changed_after(revision)


def _has_begun(context: Context, source: _Source) -> tuple[bool, int]:
    """(the shard runs or has ended, the revision of this look)."""
    shard = _shard_of(context, source)
    states = (ShardState.RUNNING, ShardState.EXITED)
    return shard is None or shard.state in states, context.cluster.revision


def _is_past(context: Context, source: _Source) -> bool:
    """The shard has ended, or its job is forgotten: its node may never come back with more."""
    shard = _shard_of(context, source)
    return shard is None or shard.state is ShardState.EXITED


def _shard_of(context: Context, source: _Source) -> Shard | None:
    job = context.cluster.jobs.get(source.job_id)
    attempts = job.attempts if job is not None else []
    return next((a.shards[source.rank] for a in attempts if a.number == source.attempt), None)


async def _relay(
    source: _Source,
    pushes: asyncio.Queue[agent_pb2.LogPush | None],
    ended: "asyncio.Task[bool]",
    offset: int,
    out: _Out,
) -> tuple[int, bool]:
    """Pass on one agent stream; return (next offset, whether the shard's output is complete)."""
    while True:
        getter = asyncio.create_task(pushes.get())
        try:
            await asyncio.wait((getter, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not getter.done():
                getter.cancel()
        if not getter.done():
            return offset, False
        push = getter.result()
        if push is None:
            return offset, False
        await out.put(
            scheduler_pb2.LogChunk(
                rank=source.rank,
                attempt=source.attempt,
                offset=push.offset,
                data=push.data,
                eof=push.eof,
                skipped_bytes=push.skipped_bytes,
                note=push.note,
            )
        )
        offset = max(offset, push.offset + len(push.data))
        if push.eof:
            return offset, True


def _chunk(source: _Source, offset: int, note: str) -> scheduler_pb2.LogChunk:
    return scheduler_pb2.LogChunk(
        rank=source.rank, attempt=source.attempt, offset=offset, note=note
    )


def _sources(
    context: Context, request: scheduler_pb2.LogsRequest, seen: int
) -> tuple[list[_Source], int, bool]:
    """(shards of the newest attempt after `seen`, the revision, whether the job is over)."""
    cluster = context.cluster
    job = find_job(cluster, request.job, request.user)
    over = job.state.is_over
    wanted = [a for a in job.attempts if request.attempt in (0, a.number)]
    if not wanted:
        if request.attempt or not request.follow:
            raise not_found(
                f"{job.id} has no attempt {request.attempt or ''}".rstrip()
                + f" to show (it is {job.state.value})",
                f"massctl why {job.id}",
                job.id,
            )
        return [], cluster.revision, over
    attempt = wanted[-1]
    if attempt.number <= seen:
        return [], cluster.revision, over
    size = len(attempt.placements)
    bad = [r for r in request.ranks if not 0 <= r < size]
    if bad:
        raise invalid(f"{job.id} has no rank {bad[0]}", why=f"its ranks are 0 to {size - 1}")
    ranks = list(request.ranks) or list(range(size))
    sources = [_Source(job.id, attempt.number, r, attempt.placements[r].node_id) for r in ranks]
    return sources, cluster.revision, over
