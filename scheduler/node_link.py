"""One open stream to one agent: what is queued for it and when it was last heard."""

import asyncio
import time

from aimass.core.model import NodeId
from aimass.scheduler.errors import Call
from aimass.v1 import agent_pb2


class NodeLink:
    """One open stream to one agent. The newest desired set replaces an unsent older one."""

    def __init__(self, node_id: NodeId) -> None:
        self.node_id = node_id
        self.lease_ms = 0  # the longest that the node's shims may hold
        self.heard_s = time.monotonic()
        self.generation = -1  # of the newest set given to the writer
        self.end = asyncio.Event()
        self.end_reason = ""
        self._desired: agent_pb2.DesiredSet | None = None
        self._messages: list[agent_pb2.SchedulerMessage] = []
        self._wake = asyncio.Event()

    def send(self, message: agent_pb2.SchedulerMessage) -> None:
        """Queue a small message; beats and log requests are few."""
        self._messages.append(message)
        self._wake.set()

    def want(self, desired: agent_pb2.DesiredSet) -> None:
        """Replace what the node should hold."""
        self.generation = desired.generation
        self._desired = desired
        self._wake.set()

    def close(self, reason: str) -> None:
        """End the stream; the agent will come back."""
        self.end_reason = self.end_reason or reason
        self.end.set()

    async def write_to(self, context: Call) -> None:
        """Send what is queued, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            messages, self._messages = self._messages, []
            for message in messages:
                await context.write(message)
            if self._desired is not None:
                desired, self._desired = self._desired, None
                await context.write(agent_pb2.SchedulerMessage(desired=desired))
