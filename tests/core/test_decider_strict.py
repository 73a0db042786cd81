"""Under a strict order the Decider remembers who is first: its plans are those of decide()."""

import random
from dataclasses import replace

import pytest

from aimass.core import decider as decider_module
from aimass.core.decide import decide
from aimass.core.decider import Decider
from aimass.core.model import Job
from aimass.policies.registry import make_policy
from tests.core.world import World, gpus, inventory, one_role


def fifo_world() -> World:
    """Two nodes of 4 GPUs under `fifo`."""
    world = World(make_policy("fifo"))
    for name in ("n1", "n2"):
        world.join(name, inventory(name, gpus(name, 4)))
    return world


def decided(world: World, decider: Decider) -> None:
    """Decide with the memory and without it; carry it out."""
    plan, anew = decider.decide(world.cluster), decide(world.cluster, world.policy)
    assert replace(plan, fuel_left=0) == replace(anew, fuel_left=0)
    if not plan.is_empty:
        world.commit(plan)
    for start in plan.starts:
        world.start(world.cluster.jobs[start.job_id])


@pytest.mark.parametrize("seed", range(3))
def test_plans_are_those_of_a_decision_about_everybody(seed: int) -> None:
    chance, world = random.Random(seed), fifo_world()
    decider = Decider(world.policy)
    for _ in range(80):
        active = sorted(world.cluster.active.values(), key=lambda job: job.submit_seq)
        waiting: list[Job] = [world.cluster.jobs[i] for i in world.cluster.waiting.ids()]
        if active and chance.random() < 0.3:
            world.exit(chance.choice(active))
        elif waiting and chance.random() < 0.2:
            world.cancel(chance.choice(waiting))
        else:
            world.submit(one_role(chance.choice((1, 2)), gpus=chance.choice((1, 2, 4))))
        decided(world, decider)


def test_who_comes_behind_the_first_costs_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    world = fifo_world()
    decider = Decider(world.policy)
    for _ in range(3):
        world.submit(one_role(gpus=4))
        decided(world, decider)
    asked = []
    monkeypatch.setattr(decider_module, "decide", lambda *given: asked.append(given))
    for _ in range(5):
        world.submit(one_role(gpus=1))
        plan = decider.decide(world.cluster)
        assert plan.is_empty
        assert plan.basis == world.cluster.revision
    assert asked == []
