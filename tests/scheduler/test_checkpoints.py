"""Checkpoints and notices: which reports are news, what they change, and what nodes are told."""

from pathlib import Path

import pytest

from aimass.core.effects import Assignment, effects
from aimass.core.events import CheckpointReported
from aimass.core.model import Job, JobState, NodeId
from aimass.core.spec import Checkpoint
from aimass.scheduler import reports
from aimass.scheduler.inbox import Context
from aimass.v1 import agent_pb2, job_pb2
from tests.core.world import World, gpus, inventory, one_role
from tests.scheduler.harness import Agent, scheduler, spec
from tests.scheduler.harness import inventory as inventory_message

NOTICE = Checkpoint("SIGUSR1", 60_000)


def running(checkpoint: Checkpoint = NOTICE) -> tuple[World, Job]:
    """A job of two shards that runs on n1 and n2 and fills them."""
    world = World()
    for name in ("n1", "n2"):
        world.join(name, inventory(name, gpus(name, 1)))
    job = world.submit(one_role(2, gpus=1), checkpoint=checkpoint)
    world.plan()
    world.start(job)
    world.wait(60_000)
    return world, job


def preempt(world: World, job: Job) -> None:
    """A job of higher priority takes its place."""
    world.submit(one_role(2, gpus=1), priority=100)
    world.plan()
    assert job.state is JobState.STOPPING


def told(world: World, node: str) -> Assignment:
    """What the node is to do about its shard of the job."""
    (only,) = effects(world.cluster, world.cluster.nodes[NodeId(node)]).assignments
    return only


def say(world: World, job: Job, age_ms: int = 0, node: str = "n1", rank: int = 0) -> bool:
    """A node's agent reports a checkpoint; whether that was news."""
    context = Context(world.cluster, world.now_ms)
    message = agent_pb2.CheckpointReport(
        job_id=job.id, attempt=job.attempt, rank=rank, age_ms=age_ms
    )
    reports.checkpoint(context, NodeId(node), message)
    assert all(isinstance(event, CheckpointReported) for event in context.events)
    return bool(context.events)


def test_a_preempted_job_is_told_before_it_is_stopped() -> None:
    world, job = running()
    assert (told(world, "n1").stop, told(world, "n1").notice_ms) == (False, 0)
    preempt(world, job)
    for node in ("n1", "n2"):
        order = told(world, node)
        assert (order.stop, order.notice_signal, order.notice_ms) == (True, "SIGUSR1", 60_000)


def test_a_job_that_asks_for_no_signal_gets_no_notice() -> None:
    world, job = running(Checkpoint("", 60_000))
    preempt(world, job)
    assert (told(world, "n1").notice_signal, told(world, "n1").notice_ms) == ("", 0)


def test_the_checkpoint_of_one_shard_ends_the_notice_of_all() -> None:
    """Only one of them need say it; the other nodes get a new set for it."""
    world, job = running()
    preempt(world, job)
    nodes = world.cluster.nodes.values()
    before = {node.id: node.generation for node in nodes}
    assert say(world, job)
    for node in nodes:
        assert node.generation > before[node.id]
        assert (told(world, node.id).stop, told(world, node.id).notice_ms) == (True, 0)


def test_a_checkpoint_of_before_the_stop_is_no_answer() -> None:
    world, job = running()
    preempt(world, job)
    world.wait(1000)
    say(world, job, age_ms=world.now_ms - job.current.stopping_ms + 1)
    assert told(world, "n1").notice_ms == 60_000
    assert say(world, job)  # an answer is news, however close to the last one
    assert told(world, "n1").notice_ms == 0


def test_a_cancel_ends_the_notice() -> None:
    world, job = running()
    preempt(world, job)
    world.cancel(job, grace_ms=5)
    assert (told(world, "n1").notice_ms, told(world, "n1").grace_ms) == (0, 5)


def test_checkpoints_less_than_ten_seconds_apart_are_no_news() -> None:
    """Every shard may report, agents repeat, and an age is never exact."""
    world, job = running()
    assert say(world, job)
    at_ms = job.current.checkpoint_ms
    assert not say(world, job, node="n2", rank=1)
    world.wait(30_000)
    assert not say(world, job, age_ms=30_000)  # the same one, repeated
    assert not say(world, job, age_ms=20_001)
    assert job.current.checkpoint_ms == at_ms
    assert say(world, job, age_ms=20_000)
    assert job.current.checkpoint_ms == at_ms + 10_000


@pytest.mark.parametrize(("node", "rank"), [("n2", 0), ("n1", 1), ("n9", 0), ("n1", 7)])
def test_nobody_reports_for_another_nodes_shards(node: str, rank: int) -> None:
    world, job = running()
    assert not say(world, job, node=node, rank=rank)


async def test_an_answer_goes_up_the_link_and_the_hurry_comes_down(tmp_path: Path) -> None:
    """Repeated in the next Register it changes nothing; there it is heard before the exit."""
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1", inventory=inventory_message(1))
        await agent.hello()
        checkpoint = job_pb2.Checkpoint(signal="SIGUSR1", notice_ms=60_000)
        job_id = await s.submit(spec(checkpoint=checkpoint))
        item = (await agent.desired(1)).assignments[0]
        await agent.report(item, job_pb2.SHARD_STATE_RUNNING, pid=7)
        await s.job_in(job_id, job_pb2.JOB_STATE_RUNNING)
        await s.submit(spec("urgent", priority=100))
        while item.notice_ms == 0:
            item = (await agent.desired(1)).assignments[0]
        assert (item.goal, item.notice_signal) == (agent_pb2.GOAL_STOP, "SIGUSR1")
        answer = agent_pb2.CheckpointReport(job_id=job_id, attempt=1, rank=0, age_ms=0)
        await agent.say(checkpoint=answer)
        while item.notice_ms:
            item = (await agent.desired(1)).assignments[0]
        assert item.goal == agent_pb2.GOAL_STOP
        await agent.leave()
        how = job_pb2.Exit(code=143, reason=job_pb2.EXIT_REASON_STOPPED)
        gone = agent_pb2.ShardReport(
            job_id=job_id, attempt=1, rank=0, state=job_pb2.SHARD_STATE_EXITED, exit=how
        )
        back = Agent(
            s,
            "n1",
            inventory=inventory_message(1),
            incarnation=2,
            shards=[gone],
            checkpoints=[answer],
        )
        await back.hello()
        job = await s.job_in(job_id, job_pb2.JOB_STATE_QUEUED)
        first = job.attempts[0]
        assert first.checkpoint_ms >= first.stopping_ms > 0
        await back.leave()
