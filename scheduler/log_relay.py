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


class LogRelay:
    """Open requests by id."""

    def __init__(self) -> None:
        self._open: dict[str, Pushes] = {}
        self._ids = count(1)

    @contextmanager
    def request(self) -> Iterator[tuple[str, Pushes]]:
        """A request id and where its chunks arrive, for as long as the block runs."""
        request_id = f"l{next(self._ids)}"
        queue: Pushes = asyncio.Queue(QUEUE_MAX)
        self._open[request_id] = queue
        try:
            yield request_id, queue
        finally:
            del self._open[request_id]
            while not queue.empty():  # wake a pusher that waits for room; it finds the id closed
                queue.get_nowait()

    async def take(self, pushes: AsyncIterator[agent_pb2.LogPush]) -> None:
        """Hand one agent stream to its request; return when either has ended."""
        queue: Pushes | None = None
        request_id = ""
        try:
            async for push in pushes:
                request_id = push.request_id
                queue = self._open.get(request_id)
                if queue is None:
                    return
                await queue.put(push)
        finally:
            if queue is not None and self._open.get(request_id) is queue:
                await queue.put(None)
