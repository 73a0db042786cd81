"""Logs through the scheduler: a scripted agent pushes, a client follows."""

import asyncio
from pathlib import Path

import grpc
import pytest

from aimass.v1 import agent_pb2, agent_pb2_grpc, job_pb2, node_pb2, scheduler_pb2
from tests.scheduler.harness import Agent, Scheduler, eventually, scheduler, spec

SUSPECT = node_pb2.NODE_STATE_SUSPECT


async def push_logs(s: Scheduler, request: agent_pb2.LogRequest, data: bytes, eof: bool) -> None:
    async def pushes() -> object:
        yield agent_pb2.LogPush(
            request_id=request.request_id, offset=request.offset, data=data, eof=eof
        )

    await agent_pb2_grpc.AgentLinkStub(s.channel).PushLogs(pushes())


async def log_request(agent: Agent) -> agent_pb2.LogRequest:
    while not (message := await agent.hear()).HasField("logs"):
        pass
    return message.logs


async def test_following_logs_resumes_where_a_broken_stream_stopped(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        item = await agent.running(s)
        job_id = item.job_id
        call = s.client.Logs(scheduler_pb2.LogsRequest(job=job_id, follow=True))
        request = await log_request(agent)
        assert (request.offset, request.follow) == (0, True)
        await push_logs(s, request, b"one\n", eof=False)  # and the stream ends there
        assert (await call.read()).data == b"one\n"
        request = await log_request(agent)
        assert request.offset == 4
        await agent.ran(item)
        await push_logs(s, request, b"two\n", eof=True)
        chunk = await call.read()
        assert (chunk.offset, chunk.data, chunk.eof, chunk.attempt) == (4, b"two\n", True, 1)
        assert await call.read() is grpc.aio.EOF
        await agent.leave()


async def test_logs_of_an_unreachable_node_say_so(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        item = await agent.running(s)
        job_id = item.job_id
        await agent.leave()
        await s.node_in("n1", SUSPECT)
        call = s.client.Logs(scheduler_pb2.LogsRequest(job=job_id))
        assert "cannot be reached" in (await call.read()).note
        assert await call.read() is grpc.aio.EOF


async def test_logs_of_a_job_that_never_ran_say_why_not(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        await s.submit(spec())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await s.client.Logs(scheduler_pb2.LogsRequest(job="j1")).read()
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_slow_log_reader_stops_the_agent_not_the_scheduler(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        item = await agent.running(s)
        job_id = item.job_id
        call = s.client.Logs(scheduler_pb2.LogsRequest(job=job_id, follow=True))
        request = await log_request(agent)
        pushed = 0

        async def flood() -> object:
            nonlocal pushed
            for n in range(4096):
                pushed = n
                yield agent_pb2.LogPush(
                    request_id=request.request_id, offset=n << 16, data=b"x" * (1 << 16)
                )

        pushing = asyncio.create_task(
            _await(agent_pb2_grpc.AgentLinkStub(s.channel).PushLogs(flood()))
        )
        assert (await call.read()).data
        assert await s.submit(spec()) == "j2"  # the scheduler goes on
        assert pushed < 2000  # 256 MiB did not pile up in it
        call.cancel()
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)
        await agent.leave()


async def _await(call: object) -> None:
    await call  # type: ignore[misc]


async def test_a_follower_of_a_dead_link_goes_on_with_the_next(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        item = await agent.running(s)
        job_id = item.job_id
        call = s.client.Logs(scheduler_pb2.LogsRequest(job=job_id, follow=True))
        request = await log_request(agent)
        await push_logs(s, request, b"one\n", eof=False)
        assert (await call.read()).data == b"one\n"
        await log_request(agent)  # asked again on this link, which dies without an answer
        await agent.leave()
        known = agent_pb2.ShardReport(
            job_id=job_id, attempt=1, rank=0, state=job_pb2.SHARD_STATE_RUNNING, pid=7
        )
        back = Agent(s, "n1", incarnation=2, shards=[known])
        await back.hello()
        await push_logs(s, await log_request(back), b"two\n", eof=True)
        while not (chunk := await call.read()).data:
            pass
        assert (chunk.offset, chunk.data) == (4, b"two\n")
        call.cancel()
        await back.leave()


async def test_a_follower_waits_for_a_shard_that_has_not_started(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        job_id = await s.submit(spec())
        item = (await agent.desired(1)).assignments[0]
        call = s.client.Logs(scheduler_pb2.LogsRequest(job=job_id))
        assert "not started" in (await call.read()).note
        call = s.client.Logs(scheduler_pb2.LogsRequest(job=job_id, follow=True))
        await agent.report(item, job_pb2.SHARD_STATE_RUNNING, pid=7)
        await push_logs(s, await log_request(agent), b"all\n", eof=True)
        assert (await call.read()).data == b"all\n"
        call.cancel()
        await agent.leave()


async def test_a_follower_of_a_lost_node_is_let_go_when_the_shard_has_ended(tmp_path: Path) -> None:
    async with scheduler(tmp_path, lease_ms=100, heartbeat_ms=30_000) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        await agent.say(heartbeat=agent_pb2.Heartbeat(seq=1))
        item = await agent.running(s)
        job_id = item.job_id
        await agent.leave()
        request = scheduler_pb2.LogsRequest(job=job_id, attempt=1, follow=True)
        notes = [chunk.note async for chunk in s.client.Logs(request)]
        assert "cannot be reached" in notes[0]


async def test_a_reader_that_leaves_ends_the_agents_stream_of_a_quiet_shard(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        item = await agent.running(s)
        job_id = item.job_id
        call = s.client.Logs(scheduler_pb2.LogsRequest(job=job_id, follow=True))
        request = await log_request(agent)
        forever = asyncio.Event()

        async def quiet() -> object:
            yield agent_pb2.LogPush(request_id=request.request_id)
            await forever.wait()

        pushing = agent_pb2_grpc.AgentLinkStub(s.channel).PushLogs(quiet())
        await eventually(lambda: s.links.relay._open)
        call.cancel()
        async with asyncio.timeout(20):
            await pushing  # answered by the scheduler though the agent never ended it
        forever.set()
        await agent.leave()
