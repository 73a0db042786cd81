"""A scheduler in this process, and a scripted agent that speaks the real link to it."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from aimass import cli
from aimass.core.policy import Policy
from aimass.policies.registry import make_policy
from aimass.scheduler.agents import AgentLinks
from aimass.scheduler.engine import Engine
from aimass.scheduler.journal_sqlite import SqliteJournal
from aimass.scheduler.log_follow import LogFollower
from aimass.scheduler.server import About, SchedulerServer
from aimass.v1 import (
    agent_pb2,
    agent_pb2_grpc,
    job_pb2,
    node_pb2,
    scheduler_pb2,
    scheduler_pb2_grpc,
)

TIMEOUT_S = 20


@dataclass
class Scheduler:
    """The running parts, and a client stub."""

    engine: Engine
    journal: SqliteJournal
    links: AgentLinks
    address: str
    client: "scheduler_pb2_grpc.SchedulerAsyncStub"
    channel: grpc.aio.Channel

    async def submit(self, spec: job_pb2.JobSpec, key: str = "", user: str = "ada") -> str:
        reply = await self.client.Submit(
            scheduler_pb2.SubmitRequest(spec=spec, idempotency_key=key, user=user)
        )
        return reply.job_id

    async def massctl(self, *words: str) -> tuple[int, str, str]:
        """Run massctl against this scheduler: exit code, stdout, stderr."""

        at = words.index("--") if "--" in words else len(words)  # what follows is the job's own

        def run() -> tuple[int, str, str]:
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = cli.run([*words[:at], "--address", self.address, *words[at:]])
            return code, out.getvalue(), err.getvalue()

        return await asyncio.to_thread(run)

    async def job_in(self, job_id: str, *states: int) -> job_pb2.Job:
        """The job as soon as it is in one of the states; waits on events, not on time."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                job = await self.client.Get(scheduler_pb2.GetRequest(job=job_id))
                if job.state in states:
                    return job
                await self.engine.changed_after(job.revision)

    async def node_in(self, node_id: str, state: int) -> node_pb2.Node:
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                reply = await self.client.Nodes(scheduler_pb2.NodesRequest())
                found = [n for n in reply.nodes if n.id == node_id and n.state == state]
                if found:
                    return found[0]
                await self.engine.changed_after(reply.revision)


async def eventually(look: Callable[[], object]) -> None:
    """Wait until `look` gives something true; for what no event announces."""
    async with asyncio.timeout(TIMEOUT_S):
        while not look():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.01)


@asynccontextmanager
async def scheduler(
    data: Path,
    *,
    order: str = "priority",
    policy: Policy | None = None,
    lease_ms: int = 60_000,
    heartbeat_ms: int = 1_000,
) -> AsyncIterator[Scheduler]:
    """Run a scheduler on a free port; stop it cleanly at the end."""
    journal = SqliteJournal(data)
    engine = Engine(journal, policy or make_policy(order))
    links = AgentLinks(engine, lease_ms, heartbeat_ms)
    await engine.start(lambda: "test-cluster")
    runner = asyncio.create_task(engine.run())
    await links.begin()
    watcher = asyncio.create_task(links.watch())
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 4 << 20)])
    about = About("0", "test-cluster", "sqlite", "", 0)
    scheduler_pb2_grpc.add_SchedulerServicer_to_server(
        SchedulerServer(engine, LogFollower(engine, links), about), server
    )
    agent_pb2_grpc.add_AgentLinkServicer_to_server(links, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    address = f"127.0.0.1:{port}"
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            stub = scheduler_pb2_grpc.SchedulerStub(channel)
            yield Scheduler(engine, journal, links, address, stub, channel)
    finally:
        watcher.cancel()
        await server.stop(0)
        await engine.stop()
        await runner
        journal.close()


def inventory(devices: int = 2, **labels: str) -> node_pb2.Inventory:
    """A machine of `devices` GPUs, 16 CPUs, 64 GiB."""
    return node_pb2.Inventory(
        hostname="host",
        address="127.0.0.1",
        cpu_milli=16_000,
        memory_mib=65_536,
        labels=labels,
        devices=[
            node_pb2.Device(
                index=i, uuid=f"GPU-{i}", model="H100", memory_mib=81_559, healthy=True, island=0
            )
            for i in range(devices)
        ],
        probe="simulated",
    )


def spec(name: str = "job", shards: int = 1, gpus: int = 1, **more: object) -> job_pb2.JobSpec:
    """A job of equal shards."""
    role = job_pb2.Role(
        name="worker",
        shards=shards,
        resources=job_pb2.Resources(gpu_milli=gpus * 1000, cpu_milli=1000),
        command=["/bin/true"],
    )
    return job_pb2.JobSpec(name=name, roles=[role], workdir="/", grace_ms=1000, **more)


class Agent:
    """A scripted agent: what it says is up to the test; what it is told is in `desired`."""

    def __init__(self, scheduler: Scheduler, name: str, **register: object) -> None:
        self._stub = agent_pb2_grpc.AgentLinkStub(scheduler.channel)
        self._call = self._stub.Link()
        self._register = {
            "protocol": 1,
            "node_id": name,
            "incarnation": 1,
            "boot_id": "boot-1",
            "inventory": inventory(),
            **register,
        }

    async def hello(self) -> agent_pb2.SchedulerMessage:
        """Register; the scheduler's first answer."""
        await self.say(register=agent_pb2.Register(**self._register))
        return await self.hear()

    async def say(self, **kind: object) -> None:
        await self._call.write(agent_pb2.AgentMessage(**kind))

    async def hear(self) -> agent_pb2.SchedulerMessage:
        async with asyncio.timeout(TIMEOUT_S):
            message = await self._call.read()
        assert message is not grpc.aio.EOF, "the scheduler closed the link"
        return message

    async def desired(self, count: int) -> agent_pb2.DesiredSet:
        """The next desired set with that many assignments."""
        while True:
            message = await self.hear()
            if message.HasField("desired") and len(message.desired.assignments) == count:
                return message.desired

    async def report(self, item: agent_pb2.Assignment, state: int, **more: object) -> None:
        await self.say(
            shard=agent_pb2.ShardReport(
                job_id=item.job_id, attempt=item.attempt, rank=item.rank, state=state, **more
            )
        )

    async def ran(self, item: agent_pb2.Assignment, code: int = 0) -> None:
        """The shard started and ended."""
        await self.report(item, job_pb2.SHARD_STATE_RUNNING, pid=100)
        how = job_pb2.Exit(code=code, reason=job_pb2.EXIT_REASON_EXITED)
        await self.report(item, job_pb2.SHARD_STATE_EXITED, exit=how)

    async def running(self, scheduler: Scheduler) -> agent_pb2.Assignment:
        """Submit a job of one shard, which this agent is given and says to run as pid 7."""
        job_id = await scheduler.submit(spec())
        item = (await self.desired(1)).assignments[0]
        await self.report(item, job_pb2.SHARD_STATE_RUNNING, pid=7)
        await scheduler.job_in(job_id, job_pb2.JOB_STATE_RUNNING)
        return item

    async def leave(self) -> None:
        """Break the link, as a killed agent does."""
        self._call.cancel()
