"""why, plan and history over real gRPC, against a scheduler with a scripted agent."""

from pathlib import Path

import grpc
import pytest

from aimass.v1 import job_pb2, scheduler_pb2
from tests.scheduler.harness import Agent, Scheduler, scheduler, spec

QUEUED, RUNNING = job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_RUNNING
STOPPING = job_pb2.JOB_STATE_STOPPING
HOUR_MS = 3_600_000


async def running_job(s: Scheduler, agent: Agent, name: str = "first", **more: object) -> str:
    """A job that holds both GPUs of the agent's node."""
    await agent.hello()
    job_id = await s.submit(spec(name, gpus=2, **more), user="bob")
    desired = await agent.desired(1)
    await agent.report(desired.assignments[0], job_pb2.SHARD_STATE_RUNNING, pid=100)
    await s.job_in(job_id, RUNNING)
    return job_id


async def ask(s: Scheduler, job: str, **more: object) -> scheduler_pb2.Explanation:
    """The explanation."""
    return await s.client.Why(scheduler_pb2.WhyRequest(job=job, **more))


async def test_why_names_kind_holders_start_and_changes_that_were_tried(tmp_path: Path) -> None:
    """The job in the way runs for an hour, so the next starts in an hour."""
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        first = await running_job(s, agent, walltime_ms=HOUR_MS)
        waiting = await s.submit(spec("second", shards=2, gpus=1, walltime_ms=HOUR_MS))
        why = await ask(s, waiting)
        assert (why.code, why.kind) == ("GPUS_BUSY", "CAPACITY")
        assert [(h.job_id, h.user, h.gpu_milli) for h in why.held_by] == [(first, "bob", 2000)]
        assert why.start.is_known
        assert why.start.is_promise
        assert abs(why.start.at_ms - why.held_by[0].end_ms) <= 1000
        (change,) = why.changes
        assert change.kind == "PRIORITY"
        assert change.command == f"massctl update {waiting} --priority 1"
        assert [(loss.job_id, loss.user, loss.rule) for loss in change.losses] == [
            (first, "bob", "PRIORITY")
        ]


async def test_why_can_be_asked_of_a_time_that_has_passed(tmp_path: Path) -> None:
    """Then it waited; now it runs. Reasons over time are told as well."""
    async with scheduler(tmp_path) as s:
        job_id = await s.submit(spec("early"))
        then = (await s.client.Get(scheduler_pb2.GetRequest(job=job_id))).submitted_ms
        agent = Agent(s, "n1")
        await agent.hello()
        desired = await agent.desired(1)
        await agent.report(desired.assignments[0], job_pb2.SHARD_STATE_RUNNING, pid=100)
        await s.job_in(job_id, RUNNING)
        assert (await ask(s, job_id)).code == "RUNNING"
        why = await ask(s, job_id, at_ms=then)
        assert (why.code, why.state, why.now_ms) == ("NO_NODES", QUEUED, then)
        reasons = (await ask(s, job_id, history=True)).reasons
        assert (reasons[0].code, reasons[-1].code) == ("NO_NODES", "RUNNING")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(s, job_id, at_ms=1)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def plan(s: Scheduler, asked: job_pb2.JobSpec, **more: object) -> scheduler_pb2.PlanReply:
    """What would happen to it."""
    request = scheduler_pb2.PlanRequest(spec=asked, user="ada", **more)
    return await s.client.Plan(request)


async def test_a_plan_says_what_would_happen_and_changes_nothing(tmp_path: Path) -> None:
    """Starts, takes, waits, never; with imagined nodes it is another answer."""
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await running_job(s, agent, walltime_ms=HOUR_MS)
        before = s.engine.revision
        wide = spec("wide", gpus=2, walltime_ms=HOUR_MS)
        waits = await plan(s, wide)
        assert waits.verdict == "WAITS"
        assert waits.start.at_ms
        assert waits.explanation.code == "GPUS_BUSY"
        assert waits.gpu_ms == 2 * HOUR_MS
        takes = await plan(s, spec("high", gpus=2, priority=9))
        assert takes.verdict == "TAKES"
        assert [(loss.user, loss.rule) for loss in takes.losses] == [("bob", "PRIORITY")]
        more = [scheduler_pb2.MoreNodes(count=1, gpus=8, model="H100")]
        starts = await plan(s, wide, more=more)
        assert (starts.verdict, list(starts.nodes)) == ("STARTS", ["new1"])
        never = await plan(s, spec("huge", shards=3, gpus=2))
        assert never.verdict == "NEVER"
        assert [(r.role, r.asked, r.most) for r in never.largest] == [("worker", 3, 1)]
        gone = await plan(s, spec("small"), without=["n1"])
        assert gone.verdict in ("WAITS", "NEVER")
        assert s.engine.revision == before


async def test_a_plan_of_what_cannot_be_is_refused(tmp_path: Path) -> None:
    """A node that is not there; a spec that is impossible."""
    async with scheduler(tmp_path) as s:
        await Agent(s, "n1").hello()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await plan(s, spec("a"), without=["nowhere"])
        assert "there is no node nowhere" in (caught.value.details() or "")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await plan(s, spec("a", shards=0))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_history_tells_who_took_the_place_and_what_was_lost(tmp_path: Path) -> None:
    """Submitted, started, preempted by a colleague of higher priority, waiting again."""
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        first = await running_job(s, agent, walltime_ms=HOUR_MS)
        high = await s.submit(spec("high", gpus=2, priority=9, walltime_ms=HOUR_MS), user="ann")
        await s.job_in(first, STOPPING)
        reply = await s.client.History(scheduler_pb2.HistoryRequest(job=first))
        assert reply.job_id == first
        words = [entry.what for entry in reply.entries]
        assert words == ["SUBMITTED", "STARTED", "PLACED", "RUNNING", "STOPPED", "STOPPING"]
        started, stopped = reply.entries[1], reply.entries[4]
        assert started.attempt == 1
        assert started.policy
        assert stopped.by == high
        assert f"under PRIORITY for {high} (ann)" in stopped.text
        own = await s.client.History(scheduler_pb2.HistoryRequest(job=high))
        assert [entry.what for entry in own.entries] == ["SUBMITTED", "CLAIMED", "RESERVED"]
        assert f"{first} (bob)" in own.entries[1].text
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await s.client.History(scheduler_pb2.HistoryRequest(job="j99"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_job_that_owns_places_is_told_for_whom_it_waits(tmp_path: Path) -> None:
    """Its victim has a second to leave."""
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        first = await running_job(s, agent)
        high = await s.submit(spec("high", gpus=2, priority=9))
        why = await ask(s, high)
        assert (why.code, list(why.owned.nodes), list(why.owned.victims)) == (
            "RESERVED",
            ["n1"],
            [first],
        )
        assert why.held_by[0].is_leaving
