"""A policy that raises, never ends or plans nonsense: the built-in one goes on in its place."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aimass.core.cluster import Cluster, Group
from aimass.core.draft import Draft
from aimass.core.model import Job, JobId, NodeId, Placement
from aimass.core.policy import Fuel, Placed, Policy, Want
from aimass.policies.registry import make_policy
from aimass.scheduler.deciding import Decisions
from aimass.v1 import job_pb2, scheduler_pb2
from tests.core.world import World, gpus, inventory, one_role
from tests.scheduler.harness import Agent, scheduler, spec


class BadOrder:
    """An order that fails while `is_bad`, and is first come, first served after."""

    name = "bad"
    version = 1
    is_strict = False
    is_across_queues = False

    def __init__(self, how: str) -> None:
        self.how = how
        self.is_bad = True

    def queue(self, cluster: Cluster, blocked: set[Group]) -> Iterator[tuple[Group, JobId]]:
        if self.is_bad and self.how == "raise":
            raise ValueError("no idea")
        while self.is_bad and self.how == "loop":
            pass
        if self.is_bad:
            yield "nobody", JobId("j404")  # type: ignore[misc]
        yield from cluster.waiting.in_order(lambda group: 0, blocked)

    def is_before(self, cluster: Cluster, first: Job, second: Job) -> bool:
        return first.submit_seq < second.submit_seq


class Overlapping:
    """Puts every shard on the same device, and does not tell the draft."""

    name = "overlapping"
    version = 1

    def place(self, draft: Draft, job: Job, want: Want, fuel: Fuel) -> Placed | None:
        here = Placement(0, NodeId("n1"), (0,), 1000, 1000, 0)
        return Placed((here,) * sum(want.sizes), "because")


def bad(how: str) -> tuple[Policy, Any]:
    if how == "overlap":
        return replace(make_policy(), place=Overlapping()), None
    order = BadOrder(how)
    return replace(make_policy(), order=order), order


def two_jobs() -> World:
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 2)))
    world.submit(one_role(gpus=1))
    world.submit(one_role(gpus=1))
    return world


@pytest.mark.parametrize("how", ["raise", "nonsense", "overlap"])
def test_the_built_in_policy_decides_in_its_place(how: str) -> None:
    policy, _ = bad(how)
    decisions = Decisions(policy, make_policy())
    plan = decisions.decide(two_jobs().cluster)
    assert [start.job_id for start in plan.starts] == ["j1", "j2"]
    assert plan.policy == make_policy().tag
    assert decisions.fallbacks == 1
    assert policy.tag in decisions.problem
    assert (decisions.rejected > 0) == (how == "overlap")


def test_the_configured_policy_is_tried_again_after_a_while() -> None:
    policy, order = bad("raise")
    decisions = Decisions(policy, make_policy(), retry_every_s=3600)
    world = two_jobs()
    decisions.decide(world.cluster)
    order.is_bad = False
    assert decisions.decide(world.cluster).policy == make_policy().tag
    decisions = Decisions(policy, make_policy(), retry_every_s=0)
    order.is_bad = True
    decisions.decide(world.cluster)
    order.is_bad = False
    assert decisions.decide(world.cluster).policy == policy.tag
    assert (decisions.problem, decisions.fallbacks) == ("", 1)


def test_when_both_fail_nothing_is_decided_and_the_daemon_lives() -> None:
    policy, _ = bad("raise")
    decisions = Decisions(policy, policy)
    assert decisions.decide(two_jobs().cluster).is_empty
    assert decisions.waits == {}


@pytest.mark.parametrize("how", ["raise", "nonsense", "loop"])
async def test_jobs_run_and_the_operator_is_told(tmp_path: Path, how: str) -> None:
    policy, _ = bad(how)
    async with scheduler(tmp_path, policy=policy) as s:
        s.engine.decisions = Decisions(policy, make_policy(), retry_every_s=3600, stuck_s=0.2)
        agent = Agent(s, "n1")
        await agent.hello()
        item = await agent.running(s)
        await agent.ran(item)
        await s.job_in(item.job_id, job_pb2.JOB_STATE_SUCCEEDED)
        info = await s.client.Info(scheduler_pb2.InfoRequest())
        assert policy.tag in info.policy_problem
        assert info.policy == policy.tag
        assert info.deciding_policy == make_policy().tag
        assert info.policy_fallbacks > 0
        code, out, _ = await s.massctl("version", "--server")
        assert code == 0
        assert policy.tag in out
    async with scheduler(tmp_path) as s:  # what was journalled replays
        assert await s.submit(spec()) == "j2"


async def test_when_both_never_end_nothing_is_decided_and_the_daemon_answers(
    tmp_path: Path,
) -> None:
    """The configured policy and the built-in one are broken off in turn; the engine goes on."""
    policy, _ = bad("loop")
    async with scheduler(tmp_path, policy=policy) as s:
        s.engine.decisions = Decisions(policy, policy, retry_every_s=3600, stuck_s=0.2)
        agent = Agent(s, "n1")
        await agent.hello()
        job_id = await s.submit(spec())
        job = await s.client.Get(scheduler_pb2.GetRequest(job=job_id))
        assert job.state == job_pb2.JOB_STATE_QUEUED
