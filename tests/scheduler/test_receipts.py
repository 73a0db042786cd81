"""Receipts as the stopped user reads them: by whom, which rule, what was lost, when it is back."""

import json
from pathlib import Path

import pytest

from aimass.core.events import CheckpointReported
from aimass.core.history import history
from aimass.core.model import Exit, ExitReason, JobState
from aimass.core.receipts import lost_at_last
from aimass.core.spec import Checkpoint
from aimass.v1 import agent_pb2, job_pb2
from tests.core.world import World, gpus, inventory, one_role
from tests.scheduler.harness import Agent, Scheduler, scheduler, spec
from tests.scheduler.harness import inventory as inventory_message

HOUR_MS = 3_600_000
RUNNING, STOPPING = job_pb2.JOB_STATE_RUNNING, job_pb2.JOB_STATE_STOPPING
QUEUED, HELD = job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_HELD
STOPPED = job_pb2.Exit(code=143, reason=job_pb2.EXIT_REASON_STOPPED)


async def ok(s: Scheduler, *words: str) -> str:
    code, out, err = await s.massctl(*words)
    assert code == 0, err
    return out


async def run_one(s: Scheduler, agent: Agent, job_id: str, attempt: int) -> None:
    """The agent starts the only shard that it is given for the job."""
    while True:
        desired = await agent.desired(1)
        item = desired.assignments[0]
        if (item.job_id, item.attempt, item.goal) == (job_id, attempt, agent_pb2.GOAL_RUN):
            break
    await agent.report(item, job_pb2.SHARD_STATE_RUNNING, pid=7)
    await s.job_in(job_id, RUNNING)


async def end(agent: Agent, job_id: str, attempt: int, how: job_pb2.Exit) -> None:
    item = agent_pb2.Assignment(job_id=job_id, attempt=attempt, rank=0)
    await agent.report(item, job_pb2.SHARD_STATE_EXITED, exit=how)


async def test_a_preempted_job_is_told_when_it_is_expected_back(tmp_path: Path) -> None:
    """While it stops, while it waits, and afterwards when it did come back."""
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1", inventory=inventory_message(1))
        await agent.hello()
        low = await s.submit(spec("low"))
        await run_one(s, agent, low, 1)
        high = await s.submit(spec("high", priority=5, walltime_ms=HOUR_MS), user="bob")
        await s.job_in(low, STOPPING)
        assert "expected back in" in await ok(s, "show", low)
        await end(agent, low, 1, STOPPED)
        await s.job_in(low, QUEUED)
        await run_one(s, agent, high, 1)

        page = await ok(s, "show", low)
        assert f"preempted by {high} (bob) at " in page
        assert " under PRIORITY: lost " in page
        assert "starts   at the latest in 59m" in page or "starts   at the latest in 1h" in page
        view = json.loads(await ok(s, "show", low, "-o", "json"))
        receipt = view["attempts"][0]["receipt"]
        assert (receipt["byUser"], receipt["isBack"]) == ("bob", False)
        assert receipt["backAt"] == view["start"]["at"] is not None
        line = next(x for x in (await ok(s, "history", low)).splitlines() if "STOPPED" in x)
        assert f"expected back at {receipt['backAt'][:19]}Z" in line

        await end(agent, high, 1, job_pb2.Exit(reason=job_pb2.EXIT_REASON_EXITED))
        await run_one(s, agent, low, 2)
        assert "  back at " in await ok(s, "show", low)
        entries = json.loads(await ok(s, "history", low, "-o", "json"))["items"]
        stopped, started = (
            [e for e in entries if e["what"] == what][-1] for what in ("STOPPED", "STARTED")
        )
        assert (stopped["isBack"], stopped["backAt"]) == (True, started["at"])


@pytest.mark.parametrize(
    ("mode", "state", "text"),
    [
        (job_pb2.PREEMPT_MODE_SUSPEND, HELD, "back when it is released: massctl release"),
        (job_pb2.PREEMPT_MODE_CANCEL, job_pb2.JOB_STATE_CANCELLED, "not back: it is over"),
        (job_pb2.PREEMPT_MODE_REQUEUE, QUEUED, "nobody knows yet when it is back: massctl why"),
    ],
)
async def test_who_does_not_come_back_by_itself_is_told_so(
    tmp_path: Path, mode: int, state: int, text: str
) -> None:
    """The third: who took its place gave no run time."""
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1", inventory=inventory_message(1))
        await agent.hello()
        low = await s.submit(spec("low", preemption=job_pb2.Preemption(mode=mode)))  # type: ignore[arg-type]
        await run_one(s, agent, low, 1)
        await s.submit(spec("high", priority=5))
        await s.job_in(low, STOPPING)
        await end(agent, low, 1, STOPPED)
        await s.job_in(low, state)
        assert text in await ok(s, "show", low)


def preempted() -> World:
    """A job of two GPUs that saves itself when it is told, after an hour, that it must leave."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 2)))
    job = world.submit(one_role(2, gpus=1), checkpoint=Checkpoint("SIGUSR1", 60_000))
    world.plan()
    world.start(job)
    world.wait(HOUR_MS)
    world.submit(one_role(2, gpus=1), priority=100)
    world.plan()
    assert job.state is JobState.STOPPING
    return world


def told(world: World) -> int:
    """What history says that the job has lost."""
    entries = history(enumerate(world.history, 1), next(iter(world.cluster.jobs)))
    return next(entry for entry in entries if entry.what == "STOPPED").lost_gpu_ms


@pytest.mark.parametrize("is_saved", [True, False])
def test_a_checkpoint_made_on_notice_is_not_lost(is_saved: bool) -> None:
    """Lost is what came after the last checkpoint, until the last shard had gone."""
    world = preempted()
    job = next(iter(world.cluster.jobs.values()))
    attempt = job.current
    assert told(world) == lost_at_last(attempt) >= 2 * HOUR_MS
    world.wait(20_000)
    if is_saved:
        world.do(CheckpointReported, job_id=job.id, attempt=1)
        assert told(world) == 0
    world.wait(5_000)
    world.exit(job, how=Exit(code=143, reason=ExitReason.STOPPED))
    lost_ms = attempt.ended_ms - (attempt.checkpoint_ms or attempt.running_ms)
    assert told(world) == lost_at_last(attempt) == 2 * lost_ms
    assert (lost_ms < 10_000) == is_saved


def test_who_was_done_before_the_order_came_has_lost_nothing() -> None:
    world = preempted()
    job = next(iter(world.cluster.jobs.values()))
    world.exit(job)
    assert job.state is JobState.SUCCEEDED
    assert told(world) == lost_at_last(job.attempts[0]) == 0
