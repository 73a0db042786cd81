"""Agent links: one stream per node. Desired sets go down, reports come up, leases are kept.

Durations only: the agent counts its lease from when it sent a beat, we from when we received it
plus a margin for clock drift, so the agent's end never comes after
ours and clocks are never compared.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from functools import partial

import grpc
import structlog

from aimass.core.cluster import Cluster
from aimass.core.effects import effects
from aimass.core.events import Event
from aimass.core.model import Node, NodeId, NodeState
from aimass.scheduler import reports
from aimass.scheduler.engine import Engine
from aimass.scheduler.errors import Call, Refused, unavailable
from aimass.scheduler.inbox import Context
from aimass.scheduler.log_relay import LogRelay
from aimass.scheduler.node_link import NodeLink
from aimass.scheduler.translate import desired_to_proto
from aimass.v1 import agent_pb2, agent_pb2_grpc

log = structlog.get_logger()

PROTOCOL = 1
REGISTER_WITHIN_S = 10.0
MISSED_BEATS = 3  # a link without so many beats is cut
WATCH_EVERY_S = 0.25


def lease_end_s(lease_ms: int) -> float:
    """How long after the last beat a node is fenced: the lease, 1 % clock drift and 1 s."""
    return lease_ms / 1000 * 1.01 + 1.0


class AgentLinks(agent_pb2_grpc.AgentLinkServicer):
    """All links, and the watch over leases."""

    def __init__(self, engine: Engine, lease_ms: int, heartbeat_ms: int) -> None:
        self.links: dict[NodeId, NodeLink] = {}
        self.relay = LogRelay()
        self._engine = engine
        self._lease_ms = lease_ms
        self._heartbeat_ms = heartbeat_ms
        self._fence_at_s: dict[NodeId, float] = {}  # nodes without a link, and when to fence them
        self._confirmed: set[NodeId] = (
            set()
        )  # nodes that are known to hold no longer lease than ours
        self._unsaid: dict[NodeId, str] = {}  # silences the journal could not take yet, and why
        self._awaits_until_s = 0.0  # nodes that were ready when this process began
        self._is_leaving = False
        engine.on_commit.append(self._push)
        engine.on_recovered.append(self._cut_all)

    async def begin(self) -> None:
        """Count the leases of all nodes that the journal knows from now, each as it was granted.

        This process may grant shorter ones; the shims out there still hold what they were given.
        Nothing is decided before the nodes are back that were ready, or have had time to: or else
        promises and reserves would be decided on the part of the cluster that came first.
        """
        granted = await self._engine.ask(
            lambda c: {
                n.id: n.lease_ms for n in c.cluster.nodes.values() if n.state is not NodeState.LOST
            }
        )
        now_s = time.monotonic()
        self._fence_at_s = {i: now_s + lease_end_s(lease) for i, lease in granted.items()}
        self._awaits_until_s = now_s + self._quiet_s

    def leave(self) -> None:
        """This process ends: links that break from now on say nothing of their nodes."""
        self._is_leaving = True

    @property
    def _quiet_s(self) -> float:
        return self._heartbeat_ms / 1000 * MISSED_BEATS + 1.0

    def _push(self, cluster: Cluster, events: list[Event]) -> None:
        """After each commit: every linked node whose set has changed gets the new one."""
        for link in self.links.values():
            node = cluster.nodes.get(link.node_id)  # None: its registration was just refused
            if node is not None and node.generation != link.generation:
                link.want(desired_to_proto(cluster, effects(cluster, node)))

    def _cut_all(self) -> None:
        for link in self.links.values():
            link.close("the scheduler read its state back; register again")

    # ---- the stream -----------------------------------------------------------------------------

    async def Link(  # type: ignore[override]  # writes to the call instead of yielding
        self,
        request_iterator: AsyncIterator[agent_pb2.AgentMessage],
        context: Call,
    ) -> None:
        """See agent.proto."""
        try:
            async with asyncio.timeout(REGISTER_WITHIN_S):
                first = await anext(request_iterator)
        except (TimeoutError, StopAsyncIteration):
            return
        try:
            link = await self._admit(first.register)
        except Refused as refused:
            retry = refused.status is grpc.StatusCode.UNAVAILABLE
            await context.write(_refusal(refused.detail.what, refused.detail.fix, retry))
            return
        writer = asyncio.create_task(link.write_to(context))
        reader = asyncio.create_task(self._read(link, request_iterator))
        ender = asyncio.create_task(link.end.wait())
        try:
            await asyncio.wait((writer, reader, ender), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writer, reader, ender):
                task.cancel()
            self._lose(link)
            await asyncio.gather(writer, reader, ender, return_exceptions=True)
            await self._say_silences()
        if link.end_reason:
            await context.write(_refusal(link.end_reason, "", True))

    async def _admit(self, register: agent_pb2.Register) -> NodeLink:
        """Check who it is, take the node in, and open its link. Raises Refused."""
        check_identity(register)
        node_id = NodeId(register.node_id)
        link = NodeLink(node_id)

        def take_in(context: Context) -> tuple[str, int]:
            if link.end.is_set():
                raise unavailable("the link ended before the node was taken in")
            cluster = context.cluster
            known = cluster.nodes.get(node_id)
            check_standing(cluster, known, register, is_linked=node_id in self.links)
            link.lease_ms = self._lease_ms
            if known is not None and node_id not in self._confirmed:
                # Until a beat proves that it has read our lease, its shims may hold a longer one.
                link.lease_ms = max(known.lease_ms, self._lease_ms)
            reports.register(context, register, link.lease_ms)
            self._engine.awaited.discard(node_id)
            # In the same step as the event: a broken older link must not make the node silent now.
            older, self.links[node_id] = self.links.get(node_id), link
            if older is not None:
                older.close("a newer link of this node has replaced it")
            return cluster.cluster_id, cluster.term

        try:
            cluster_id, term = await self._engine.tell(take_in)
        except BaseException:  # refused, not recorded, or cancelled: nobody else knows of this link
            self._lose(link)
            raise
        self._fence_at_s.pop(node_id, None)
        link.send(
            agent_pb2.SchedulerMessage(
                welcome=agent_pb2.Welcome(
                    term=term,
                    cluster_id=cluster_id,
                    heartbeat_ms=self._heartbeat_ms,
                    lease_ms=self._lease_ms,
                )
            )
        )
        log.info("agent linked", node=node_id, shards=len(register.shards))
        return link

    async def _read(self, link: NodeLink, incoming: AsyncIterator[agent_pb2.AgentMessage]) -> None:
        async for message in incoming:
            link.heard_s = time.monotonic()
            kind = message.WhichOneof("kind")
            if kind == "heartbeat":
                link.lease_ms = self._lease_ms  # beats begin when Welcome has been read
                self._confirmed.add(link.node_id)
                ack = agent_pb2.HeartbeatAck(seq=message.heartbeat.seq, lease_ms=self._lease_ms)
                link.send(agent_pb2.SchedulerMessage(heartbeat_ack=ack))
            elif kind == "shard":
                await self._record(
                    partial(reports.report, node_id=link.node_id, message=message.shard)
                )
            elif kind == "checkpoint":
                await self._record(
                    partial(reports.checkpoint, node_id=link.node_id, message=message.checkpoint)
                )
            elif kind == "inventory":
                await self._record(
                    partial(reports.inventory, node_id=link.node_id, message=message.inventory)
                )

    async def _record(self, handler: Callable[[Context], None]) -> bool:
        """False when the journal cannot take it now; the agent repeats it after on_recovered."""
        try:
            await self._engine.tell(handler)
        except Refused as refused:
            log.warning("report not recorded", reason=refused.detail.why)
            return False
        return True

    def _lose(self, link: NodeLink) -> None:
        """Note that the link is gone; the watch says the silence if this call is cut off."""
        link.end.set()  # whoever reads logs through it must look for the next one
        if self.links.get(link.node_id) is not link:
            return
        del self.links[link.node_id]
        self._fence_at_s[link.node_id] = link.heard_s + lease_end_s(link.lease_ms)
        reason = link.end_reason or "its agent's link broke"
        log.info("agent link lost", node=link.node_id, reason=reason)
        self._unsaid[link.node_id] = reason

    async def _say_silences(self) -> None:
        """Record nodes that went silent; what the journal cannot take is tried again."""
        if not self._unsaid or self._is_leaving:
            return

        def say(context: Context) -> list[NodeId]:
            for node_id, reason in self._unsaid.items():
                if node_id not in self.links:  # else it is back already
                    reports.silent(context, node_id, reason)
            return list(self._unsaid)

        try:
            said = await self._engine.tell(say)
        except Refused as refused:
            log.warning("silence not recorded", reason=refused.detail.why)
            return
        for node_id in said:
            self._unsaid.pop(node_id, None)

    async def PushLogs(
        self,
        request_iterator: AsyncIterator[agent_pb2.LogPush],
        context: Call,
    ) -> agent_pb2.LogPushReply:
        """See agent.proto."""
        await self.relay.take(request_iterator)
        return agent_pb2.LogPushReply()

    # ---- leases ---------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Cut links that have gone quiet and fence nodes whose lease is over, for ever."""
        quiet_s = self._quiet_s
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            await self._engine.recheck()
            now_s = time.monotonic()
            for link in list(self.links.values()):
                if now_s - link.heard_s > quiet_s:
                    link.close(f"no heartbeat for {quiet_s:.1f} s")
                    self._lose(link)
            await self._say_silences()
            if self._engine.awaited and now_s > self._awaits_until_s:
                await self._record(self._engine.go_on)
            for node_id in [i for i, at_s in self._fence_at_s.items() if now_s > at_s]:
                if node_id not in self._unsaid and await self._fence(node_id):
                    self._fence_at_s.pop(node_id, None)

    async def _fence(self, node_id: NodeId) -> bool:
        """Declare the node lost, unless it is back; False when the journal cannot take it now."""

        def fence(context: Context) -> None:
            if node_id not in self.links:
                reports.expire(context, node_id)

        log.warning("node fenced", node=node_id)
        return await self._record(fence)


def check_identity(register: agent_pb2.Register) -> None:
    """Refuse what cannot be an agent of ours. Raises Refused."""
    if register.protocol != PROTOCOL:
        raise Refused(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"agent of {register.node_id or 'a node'} speaks protocol {register.protocol} "
            f"(version {register.agent_version or 'unknown'}), this scheduler speaks {PROTOCOL}",
            fix="install the same aimass version on the node and on the scheduler's machine",
        )
    if not register.node_id or len(register.node_id) > 253:
        raise Refused(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"node id {register.node_id[:40]!r}: 1 to 253 characters",
            fix="give one: massnode --node-id NAME",
        )


def check_standing(
    cluster: Cluster, known: Node | None, register: agent_pb2.Register, *, is_linked: bool
) -> None:
    """Refuse an agent that would take a node away from another. Raises Refused."""
    refusal = partial(Refused, grpc.StatusCode.FAILED_PRECONDITION)
    if register.cluster_id not in ("", cluster.cluster_id):
        raise refusal(
            f"node {register.node_id} belongs to cluster {register.cluster_id}, "
            f"this is {cluster.cluster_id}",
            fix="point it at its own scheduler, or give it a fresh --data folder",
        )
    if known is None:
        return
    if register.instance != known.instance and (is_linked or known.holds):
        raise refusal(
            f"node {known.id} is served by an agent with another data folder",
            fix="give this one a --node-id of its own; if the folder was lost, wait until the node "
            "is LOST (massctl nodes) and start it again",
        )
    if register.instance == known.instance and register.incarnation < known.incarnation:
        raise refusal(
            f"another agent of node {known.id} started later than this one",
            fix="run one agent per node; give a second one its own --node-id and --data",
        )


def _refusal(what: str, fix: str, retry: bool) -> agent_pb2.SchedulerMessage:
    return agent_pb2.SchedulerMessage(refused=agent_pb2.Refused(what=what, fix=fix, retry=retry))
