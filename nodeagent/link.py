"""The stream to the scheduler: register, beat, take desired sets in, bring reports out.

Opened by the agent and opened again for ever. What was lost with a broken stream needs no memory:
Register repeats all shards, and the scheduler answers with the whole desired set.
"""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import structlog

from aimass.nodeagent.agent import Agent
from aimass.nodeagent.home import NodeError
from aimass.nodeagent.logs import push_logs, refuse_logs
from aimass.nodeagent.reconcile import ShardKey
from aimass.nodeagent.shim_main import now_ms
from aimass.nodeagent.translate import Report
from aimass.v1 import agent_pb2, agent_pb2_grpc, node_pb2

PROTOCOL = 1
_MESSAGE_BYTES_MAX = 4 << 20
_ANSWER_S = 10.0  # for the connection and the Welcome
_BACKOFF_S_MIN = 0.1
_UNLINKED_S_MAX, _FLAPPING_S_MAX = 3.0, 15.0
_STEADY_S = 10.0  # a link that lived as long was a good one
_SAY_AGAIN = 20  # failures of the same kind
_SILENT_BEATS, _SILENCE_S_MIN = 4, 1.0
_LOG_PUSHES_MAX = 512

_READY = grpc.ChannelConnectivity.READY

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


class Backoff:
    """How long to wait before the next link: longer for each that failed in a row.

    Two counts: a scheduler that comes back is found soon, and one that welcomes this node over and
    over, because the node's disk is full for example, has to write that down less and less often.
    """

    def __init__(self) -> None:
        self._unlinked = self._flapping = 0

    def after(self, lived_s: float | None) -> float:
        """Give the seconds to wait. lived_s: since the link's Welcome; None: there was none."""
        if lived_s is None:
            self._unlinked += 1
            return min(_BACKOFF_S_MIN * 2.0 ** (min(self._unlinked, 20) - 1), _UNLINKED_S_MAX)
        self._unlinked = 0
        self._flapping = 1 if lived_s >= _STEADY_S else self._flapping + 1
        return min(_BACKOFF_S_MIN * 2.0 ** (min(self._flapping, 20) - 1), _FLAPPING_S_MAX)


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
        self._backoff = Backoff()
        self._welcomed_s: float | None = None  # time.monotonic() of this link's Welcome
        self._said: tuple[str, int] = ("", 0)  # the last failure, and how often in a row

    def send(self, report: Report) -> None:
        """Bring news of a shard to the scheduler, now or with the next Register."""
        if self._outbox is None:
            return
        if isinstance(report, agent_pb2.ShardReport):
            self._outbox.put_nowait(agent_pb2.AgentMessage(shard=report))
        else:
            self._outbox.put_nowait(agent_pb2.AgentMessage(checkpoint=report))

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
            self._say(why)
            lived_s = None if self._welcomed_s is None else time.monotonic() - self._welcomed_s
            self._welcomed_s = None
            await asyncio.sleep(self._backoff.after(lived_s) * random.uniform(0.5, 1))

    def _say(self, why: str) -> None:
        """Log a failure at once, and again only when it is another or has gone on for long."""
        last, count = self._said
        count = count + 1 if why == last and self._welcomed_s is None else 1
        self._said = why, count
        if count % _SAY_AGAIN == 1:
            log.warning(
                "no link to the scheduler; trying on", to=self._target, why=why, failures=count
            )

    async def _session(self, address: str) -> None:
        """One stream from Register to its end."""
        options = [
            ("grpc.max_send_message_length", _MESSAGE_BYTES_MAX),
            ("grpc.max_receive_message_length", -1),  # what it sends was bounded when submitted
        ]
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            stub = agent_pb2_grpc.AgentLinkStub(channel)
            async with asyncio.timeout(_ANSWER_S):
                is_connected = await _try_connection(channel)
                call = stub.Link()  # type: ignore[call-arg]
                if not is_connected:
                    await call.read()  # raises at once, with gRPC's own words for why
                    raise LinkBroken("no connection")
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
            checkpoints=self._agent.checkpoints(),
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
        self._welcomed_s = time.monotonic()
        self._on_welcome()
        log.info("linked", to=self._target, term=welcome.term, lease_ms=welcome.lease_ms)
        return welcome

    async def _beat(self, outbox: asyncio.Queue[agent_pb2.AgentMessage], every_s: float) -> None:
        self._sent_ms.clear()
        seq = 0
        while True:
            await asyncio.sleep(every_s)
            seq += 1
            self._agent.report_checkpoints()
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
        key = ShardKey(request.job_id, request.attempt, request.rank)
        folder = self._agent.home.shards / key.folder
        if "/" in key.folder:
            return
        agent = self._agent
        if len(pushes) >= _LOG_PUSHES_MAX:
            note = f"node {agent.home.node_id} serves {_LOG_PUSHES_MAX} log streams already"
            answer = refuse_logs(stub, request, note)
        else:
            answer = push_logs(
                stub, request, folder, lambda: agent.until_known(key), lambda: agent.has_ended(key)
            )
        push = asyncio.create_task(answer)
        pushes.add(push)
        push.add_done_callback(pushes.discard)


async def _try_connection(channel: grpc.aio.Channel) -> bool:
    """Connect, or say False as soon as every address of the target has failed once."""
    while (state := channel.get_state(try_to_connect=True)) is not _READY:
        if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            return False
        await channel.wait_for_state_change(state)
    return True


async def _write(call, outbox: asyncio.Queue[agent_pb2.AgentMessage]) -> None:  # type: ignore[no-untyped-def]
    """Send in order; one writer, because a stream takes one message at a time."""
    with contextlib.suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):  # the reader knows
        while True:
            await call.write(await outbox.get())


def _refusal(refused: agent_pb2.Refused) -> Exception:
    if refused.retry:
        return LinkBroken(f"refused for now: {refused.what}")
    return NodeError("the scheduler refused this node", refused.what, refused.fix, exit_code=4)
