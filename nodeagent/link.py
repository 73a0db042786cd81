"""The stream to the scheduler: register, beat, take desired sets in, bring reports out.

Opened by the agent and opened again for ever. What was lost with a broken stream needs no memory:
Register repeats all shards, and the scheduler answers with the whole desired set.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Callable
from pathlib import Path

import grpc
import structlog

from aimass.nodeagent.agent import Agent
from aimass.nodeagent.home import NodeError
from aimass.nodeagent.logs import push_logs
from aimass.nodeagent.reconcile import ShardKey
from aimass.nodeagent.shim_main import now_ms
from aimass.v1 import agent_pb2, agent_pb2_grpc, node_pb2

PROTOCOL = 1
_MESSAGE_BYTES_MAX = 4 << 20
_ANSWER_S = 10.0  # for the connection and the Welcome
_BACKOFF_S_MIN, _BACKOFF_S_MAX = 0.1, 3.0
_SILENT_BEATS, _SILENCE_S_MIN = 4, 1.0
_LOG_PUSHES_MAX = 64

log = structlog.get_logger()


class LinkBroken(Exception):
    """The stream ended, or was ended because the other side fell silent or is out of date."""


def address_of(target: str) -> str:
    """Resolve the --scheduler value: HOST:PORT, or @FILE naming a massd.json.

    Errors: LinkBroken when the file is not there (yet) or holds no address.
    """
    if not target.startswith("@"):
        return target
    try:
        return str(json.loads(Path(target[1:]).read_text())["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LinkBroken(f"no scheduler address in {target[1:]} (yet)") from error


class Link:
    """Keeps one stream open. `send` is for the agent; what is sent while it is down is repeated
    by the next Register instead."""

    def __init__(
        self,
        target: str,
        agent: Agent,
        inventory: node_pb2.Inventory,
        version: str,
        on_welcome: Callable[[], None],
    ) -> None:
        self._target = target
        self._agent = agent
        self._inventory = inventory
        self._version = version
        self._on_welcome = on_welcome
        self._outbox: asyncio.Queue[agent_pb2.AgentMessage] | None = None
        self._sent_ms: dict[int, int] = {}
        self._failures = 0

    def send(self, report: agent_pb2.ShardReport) -> None:
        """Bring a shard's change to the scheduler, now or with the next Register."""
        if self._outbox is not None:
            self._outbox.put_nowait(agent_pb2.AgentMessage(shard=report))

    def update(self, inventory: node_pb2.Inventory) -> None:
        """Tell of another inventory; the same one again is no news."""
        if inventory != self._inventory:
            self._inventory = inventory
            if self._outbox is not None:
                self._outbox.put_nowait(agent_pb2.AgentMessage(inventory=inventory))

    async def run(self) -> None:
        """Keep the link up. Ends by cancellation.

        Errors: NodeError when the scheduler will not have this agent at all.
        """
        while True:
            why = "the scheduler closed the link"
            try:
                await self._session(address_of(self._target))
            except LinkBroken as error:
                why = str(error)
            except grpc.aio.AioRpcError as error:
                why = f"{error.code().name}: {error.details()}"
            except TimeoutError:
                why = "no answer in time: no connection, or a silent scheduler"
            except OSError as error:  # what must be on disk before it is obeyed was not
                why = str(error)
            finally:
                self._outbox = None
            backoff_s = min(_BACKOFF_S_MIN * 2**self._failures, _BACKOFF_S_MAX)
            wait_s = backoff_s * random.uniform(0.5, 1)
            self._failures += 1
            log.warning(
                "no link to the scheduler", to=self._target, why=why, wait_s=round(wait_s, 2)
            )
            await asyncio.sleep(wait_s)

    async def _session(self, address: str) -> None:
        """One stream from Register to its end."""
        options = [
            ("grpc.max_send_message_length", _MESSAGE_BYTES_MAX),
            ("grpc.max_receive_message_length", -1),  # what it sends was bounded when submitted
        ]
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            async with asyncio.timeout(_ANSWER_S):
                await channel.channel_ready()
            stub = agent_pb2_grpc.AgentLinkStub(channel)
            call = stub.Link()  # type: ignore[call-arg]
            outbox: asyncio.Queue[agent_pb2.AgentMessage] = asyncio.Queue()
            self._outbox = outbox  # from here on, changes go out after Register
            registered_ms = now_ms()
            await call.write(agent_pb2.AgentMessage(register=self._register()))
            async with asyncio.timeout(_ANSWER_S):
                answer = await call.read()
            welcome = self._welcomed(answer, registered_ms)
            silence_s = max(welcome.heartbeat_ms * _SILENT_BEATS / 1000, _SILENCE_S_MIN)
            helpers = [
                asyncio.create_task(_write(call, outbox)),
                asyncio.create_task(self._beat(outbox, welcome.heartbeat_ms / 1000)),
            ]
            try:
                await self._read(call, stub, silence_s)
            finally:
                for helper in helpers:
                    helper.cancel()
                await asyncio.gather(*helpers, return_exceptions=True)
                call.cancel()

    def _register(self) -> agent_pb2.Register:
        home = self._agent.home
        return agent_pb2.Register(
            protocol=PROTOCOL,
            node_id=home.node_id,
            incarnation=home.incarnation,
            boot_id=self._agent.boot_id,
            agent_version=self._version,
            inventory=self._inventory,
            shards=self._agent.reports(),
            term=home.fence.term,
            generation=home.fence.generation,
            cluster_id=home.cluster_id,
            instance=home.instance,
        )

    def _welcomed(self, message: object, registered_ms: int) -> agent_pb2.Welcome:
        """Check the first answer, and take its lease."""
        if not isinstance(message, agent_pb2.SchedulerMessage):
            raise LinkBroken("the scheduler closed the link before its welcome")
        if message.HasField("refused"):
            raise _refusal(message.refused)
        if not message.HasField("welcome"):
            raise LinkBroken("the first answer is no welcome")
        welcome, home = message.welcome, self._agent.home
        if home.cluster_id and welcome.cluster_id != home.cluster_id:
            raise NodeError(
                f"the scheduler at {self._target} is of another cluster",
                f"this node belongs to cluster {home.cluster_id}, not {welcome.cluster_id}",
                f"correct --scheduler; to move the node, stop its shards and delete {home.path}",
                exit_code=4,
            )
        if welcome.term < home.fence.term:
            raise LinkBroken(f"a scheduler of the old term {welcome.term}, now {home.fence.term}")
        home.obey(home.fence, welcome.cluster_id)
        self._agent.extend_lease(registered_ms, welcome.lease_ms)
        self._failures = 0
        self._on_welcome()
        log.info("linked", to=self._target, term=welcome.term, lease_ms=welcome.lease_ms)
        return welcome

    async def _beat(self, outbox: asyncio.Queue[agent_pb2.AgentMessage], every_s: float) -> None:
        self._sent_ms.clear()
        seq = 0
        while True:
            await asyncio.sleep(every_s)
            seq += 1
            fence = self._agent.home.fence
            self._sent_ms[seq] = now_ms()
            beat = agent_pb2.Heartbeat(seq=seq, term=fence.term, generation=fence.generation)
            outbox.put_nowait(agent_pb2.AgentMessage(heartbeat=beat))

    async def _read(self, call, stub, silence_s: float) -> None:  # type: ignore[no-untyped-def]
        """Take in what the scheduler sends until it ends the stream or falls silent."""
        pushes: set[asyncio.Task[None]] = set()
        try:
            while True:
                async with asyncio.timeout(silence_s):
                    message = await call.read()
                if not isinstance(message, agent_pb2.SchedulerMessage):
                    return
                match message.WhichOneof("kind"):
                    case "desired":
                        self._agent.take_desired(message.desired)
                    case "heartbeat_ack":
                        self._acknowledged(message.heartbeat_ack)
                    case "logs":
                        self._push(stub, message.logs, pushes)
                    case "refused":
                        raise _refusal(message.refused)
        finally:
            for push in pushes:
                push.cancel()

    def _acknowledged(self, ack: agent_pb2.HeartbeatAck) -> None:
        sent_ms = self._sent_ms.get(ack.seq)
        if sent_ms is None:
            return  # a repeated or foreign one grants nothing
        for seq in [seq for seq in self._sent_ms if seq <= ack.seq]:
            del self._sent_ms[seq]
        self._agent.extend_lease(sent_ms, ack.lease_ms)

    def _push(  # type: ignore[no-untyped-def]
        self, stub, request: agent_pb2.LogRequest, pushes: set[asyncio.Task[None]]
    ) -> None:
        if len(pushes) >= _LOG_PUSHES_MAX:
            log.warning("log request dropped: too many at once", request=request.request_id)
            return
        key = ShardKey(request.job_id, request.attempt, request.rank)
        folder = self._agent.home.shards / key.folder
        if "/" in key.folder:
            return
        push = asyncio.create_task(
            push_logs(stub, request, folder, lambda: self._agent.has_ended(key))
        )
        pushes.add(push)
        push.add_done_callback(pushes.discard)


async def _write(call, outbox: asyncio.Queue[agent_pb2.AgentMessage]) -> None:  # type: ignore[no-untyped-def]
    """Send in order; one writer, because a stream takes one message at a time."""
    with contextlib.suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):  # the reader knows
        while True:
            await call.write(await outbox.get())


def _refusal(refused: agent_pb2.Refused) -> Exception:
    if refused.retry:
        return LinkBroken(f"refused for now: {refused.what}")
    return NodeError("the scheduler refused this node", refused.what, refused.fix, exit_code=4)
