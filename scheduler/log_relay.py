"""Log relay: pairs what agents push with the client call that asked for it.

Each request has a small queue; when the client is slow the queue is full, the agent's stream is not
read, and gRPC's flow control stops the agent: memory stays bounded end to end.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import count

from aimass.v1 import agent_pb2

QUEUE_MAX = 8
Pushes = asyncio.Queue[agent_pb2.LogPush | None]  # None: the agent's stream ended


class _Request:
    """Where a follower's chunks go, and whether it has left."""

    def __init__(self) -> None:
        self.queue: Pushes = asyncio.Queue(QUEUE_MAX)
        self.closed = asyncio.Event()


class LogRelay:
    """Open requests by id."""

    def __init__(self) -> None:
        self._open: dict[str, _Request] = {}
        self._ids = count(1)

    @contextmanager
    def request(self) -> Iterator[tuple[str, Pushes]]:
        """A request id and where its chunks arrive, for as long as the block runs."""
        request_id = f"l{next(self._ids)}"
        request = self._open[request_id] = _Request()
        try:
            yield request_id, request.queue
        finally:
            del self._open[request_id]
            request.closed.set()

    async def take(self, pushes: AsyncIterator[agent_pb2.LogPush]) -> None:
        """Hand one agent stream to its request; return as soon as either has ended.

        The agent's first push names the request and may be empty, so that a stream of a shard that
        writes nothing ends with its reader, too.
        """
        try:
            first = await anext(pushes)
        except StopAsyncIteration:
            return
        request = self._open.get(first.request_id)
        if request is None:
            return
        forward = asyncio.create_task(_forward(first, pushes, request.queue))
        closed = asyncio.create_task(request.closed.wait())
        try:
            await asyncio.wait((forward, closed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            forward.cancel()
            closed.cancel()
            await asyncio.gather(forward, closed, return_exceptions=True)
            if not request.closed.is_set():
                await request.queue.put(None)


async def _forward(
    first: agent_pb2.LogPush, rest: AsyncIterator[agent_pb2.LogPush], queue: Pushes
) -> None:
    if first.data or first.eof or first.note:
        await queue.put(first)
    async for push in rest:
        await queue.put(push)
