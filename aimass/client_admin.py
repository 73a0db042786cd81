"""What operators ask of a scheduler: queues, reservations, nodes. Reached as `client.admin`."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aimass.v1 import scheduler_pb2 as pb


class Admin:
    """The operator's calls of `Client`; each raises MassError.

    call: makes one request with a method of the stub, under the client's own limits.
    """

    def __init__(self, stub: Any, call: Callable[[Any, Any], Any], user: str) -> None:
        self._stub = stub
        self._call = call
        self._user = user

    def put_queue(self, spec: pb.QueueSpec) -> pb.PutQueueReply:
        """Make a queue, or change the fields that `spec` gives of one that exists."""
        request = pb.PutQueueRequest(spec=spec, user=self._user)
        reply: pb.PutQueueReply = self._call(self._stub.PutQueue, request)
        return reply

    def delete_queue(self, name: str) -> pb.DeleteReply:
        """Remove a queue without jobs and without queues below it."""
        request = pb.DeleteRequest(name=name, user=self._user)
        reply: pb.DeleteReply = self._call(self._stub.DeleteQueue, request)
        return reply

    def queues(self, name: str = "") -> pb.QueuesReply:
        """Give queues with accounts and shares: `name` and those below it, or all."""
        request = pb.QueuesRequest(name=name)
        reply: pb.QueuesReply = self._call(self._stub.Queues, request)
        return reply

    def put_window(self, window: pb.Window) -> pb.Window:
        """Make or replace a reservation of nodes."""
        request = pb.PutWindowRequest(window=window, user=self._user)
        reply: pb.Window = self._call(self._stub.PutWindow, request)
        return reply

    def delete_window(self, name: str) -> pb.DeleteReply:
        """Remove a reservation."""
        request = pb.DeleteRequest(name=name, user=self._user)
        reply: pb.DeleteReply = self._call(self._stub.DeleteWindow, request)
        return reply

    def windows(self) -> pb.WindowsReply:
        """Give all reservations, by name."""
        request = pb.WindowsRequest()
        reply: pb.WindowsReply = self._call(self._stub.Windows, request)
        return reply

    def cordon(self, nodes: Iterable[str], reason: str = "") -> pb.NodesReply:
        """Let nothing new onto the nodes."""
        request = pb.CordonRequest(nodes=nodes, user=self._user, reason=reason)
        reply: pb.NodesReply = self._call(self._stub.Cordon, request)
        return reply

    def drain(self, nodes: Iterable[str], deadline_ms: int = 0, reason: str = "") -> pb.NodesReply:
        """Let nothing new onto the nodes and stop what runs there by deadline_ms (0: now)."""
        request = _drain(nodes, self._user, reason, deadline_ms)
        reply: pb.NodesReply = self._call(self._stub.Cordon, request)
        return reply

    def uncordon(self, nodes: Iterable[str]) -> pb.NodesReply:
        """Let jobs onto the nodes again, and call a drain off."""
        request = pb.UncordonRequest(nodes=nodes, user=self._user)
        reply: pb.NodesReply = self._call(self._stub.Uncordon, request)
        return reply


class AsyncAdmin:
    """The same calls for `AsyncClient`, awaited."""

    def __init__(self, stub: Any, call: Callable[[Any, Any], Awaitable[Any]], user: str) -> None:
        self._stub = stub
        self._call = call
        self._user = user

    async def put_queue(self, spec: pb.QueueSpec) -> pb.PutQueueReply:
        """As `Admin.put_queue`."""
        request = pb.PutQueueRequest(spec=spec, user=self._user)
        reply: pb.PutQueueReply = await self._call(self._stub.PutQueue, request)
        return reply

    async def delete_queue(self, name: str) -> pb.DeleteReply:
        """As `Admin.delete_queue`."""
        request = pb.DeleteRequest(name=name, user=self._user)
        reply: pb.DeleteReply = await self._call(self._stub.DeleteQueue, request)
        return reply

    async def queues(self, name: str = "") -> pb.QueuesReply:
        """As `Admin.queues`."""
        request = pb.QueuesRequest(name=name)
        reply: pb.QueuesReply = await self._call(self._stub.Queues, request)
        return reply

    async def put_window(self, window: pb.Window) -> pb.Window:
        """As `Admin.put_window`."""
        request = pb.PutWindowRequest(window=window, user=self._user)
        reply: pb.Window = await self._call(self._stub.PutWindow, request)
        return reply

    async def delete_window(self, name: str) -> pb.DeleteReply:
        """As `Admin.delete_window`."""
        request = pb.DeleteRequest(name=name, user=self._user)
        reply: pb.DeleteReply = await self._call(self._stub.DeleteWindow, request)
        return reply

    async def windows(self) -> pb.WindowsReply:
        """As `Admin.windows`."""
        request = pb.WindowsRequest()
        reply: pb.WindowsReply = await self._call(self._stub.Windows, request)
        return reply

    async def cordon(self, nodes: Iterable[str], reason: str = "") -> pb.NodesReply:
        """As `Admin.cordon`."""
        request = pb.CordonRequest(nodes=nodes, user=self._user, reason=reason)
        reply: pb.NodesReply = await self._call(self._stub.Cordon, request)
        return reply

    async def drain(
        self, nodes: Iterable[str], deadline_ms: int = 0, reason: str = ""
    ) -> pb.NodesReply:
        """As `Admin.drain`."""
        request = _drain(nodes, self._user, reason, deadline_ms)
        reply: pb.NodesReply = await self._call(self._stub.Cordon, request)
        return reply

    async def uncordon(self, nodes: Iterable[str]) -> pb.NodesReply:
        """As `Admin.uncordon`."""
        request = pb.UncordonRequest(nodes=nodes, user=self._user)
        reply: pb.NodesReply = await self._call(self._stub.Uncordon, request)
        return reply


def _drain(nodes: Iterable[str], user: str, reason: str, deadline_ms: int) -> pb.CordonRequest:
    return pb.CordonRequest(
        nodes=nodes, user=user, reason=reason, drain=True, deadline_ms=deadline_ms
    )
