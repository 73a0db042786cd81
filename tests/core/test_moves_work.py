"""What looking for moves may cost: tries and nodes are bounded over all who wait, by count."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from aimass.core import consolidate as consolidate_module
from aimass.core import events as ev
from aimass.core.consolidate import TRIES_MAX
from aimass.core.decide import decide
from aimass.core.decider import Decider
from aimass.core.model import StopRule
from aimass.core.plan import Plan
from aimass.core.spec import Checkpoint, Strategy, Topology
from aimass.policies.registry import make_policy
from tests.core.world import World, gpus, inventory, one_role

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
RACKS = 20


def racks_with_holes(width: int = 1, **options: int) -> World:
    """Racks of 2 nodes of 4 GPUs; on each one GPU is free, `width` are held by who may move."""
    world = World(make_policy(**options))
    world.do(ev.LevelsPut, levels=("rack",))
    for number in range(2 * RACKS):
        name = f"n{number}"
        world.join(name, inventory(name, gpus(name, 4), labels={"rack": f"r{number // 2}"}))
    saves = Checkpoint("SIGUSR1", MINUTE_MS)
    for count in (2, 1):
        for _ in range(2 * RACKS):
            world.submit(
                one_role(gpus=count),
                strategy=Strategy.SPREAD,
                movable=count == width,
                checkpoint=saves,
                expected_ms=90 * HOUR_MS,
            )
        world.settle()
    for job in list(world.cluster.active.values()):
        world.start(job)
    return world


def gangs(world: World, count: int, expected_ms: int, gpu_count: int = 2) -> None:
    """As many wait for two nodes of one rack, so many GPUs of each."""
    for more_ms in range(count):
        shards, topology = one_role(2, gpus=gpu_count), Topology(required="rack")
        world.submit(shards, topology=topology, expected_ms=expected_ms + more_ms)


def moved(plan: Plan) -> int:
    """How many move."""
    return sum(stop.rule is StopRule.MOVE for stop in plan.stops)


@contextmanager
def counted(patch: pytest.MonkeyPatch, world: World) -> Iterator[list[int]]:
    """Placements that are asked for within the block."""
    asked, place = [0], type(world.policy.place).place

    def count(*given: object) -> object:
        asked[0] += 1
        return place(*given)  # type: ignore[arg-type]

    with patch.context() as patched:
        patched.setattr(type(world.policy.place), "place", count)
        yield asked


def test_all_who_wait_share_the_tries_of_a_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight gangs, each of which would have a set in each of 20 racks."""
    world = racks_with_holes(moves=16, move_budget_gpu_ms=99 * HOUR_MS)
    gangs(world, 8, 20 * HOUR_MS)
    with counted(monkeypatch, world) as without:
        decide(world.cluster, make_policy())
    with counted(monkeypatch, world) as asked:
        plan = decide(world.cluster, world.policy)
    assert moved(plan) == 16
    again = without[0] * 2  # what is moved has everybody looked at once more
    assert asked[0] <= again + 3 * TRIES_MAX  # the gang and two movers


def test_sums_rule_out_what_has_nowhere_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside one GPU of each node there is room for one who holds two, and two would have to go."""
    world = racks_with_holes(width=2, moves=16, move_budget_gpu_ms=99 * HOUR_MS)
    world.join("spare", inventory("spare", gpus("spare", 2)))
    gangs(world, 8, 20 * HOUR_MS, gpu_count=3)
    with counted(monkeypatch, world) as without:
        decide(world.cluster, make_policy())
    with counted(monkeypatch, world) as asked:
        assert moved(decide(world.cluster, world.policy)) == 0
    assert asked == without


def test_after_a_checkpoint_only_its_rack_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody else loses what they lost when no move paid."""
    world = racks_with_holes(moves=16)
    world.wait(HOUR_MS)
    gangs(world, 8, 10 * MINUTE_MS)
    decider = Decider(world.policy)
    plan = decider.decide(world.cluster)
    assert (moved(plan), len(plan.planned)) == (0, 8)
    world.commit(plan)
    assert decider.decide(world.cluster).is_empty
    nodes, ways_of = list[int](), consolidate_module.ways_of

    def count(*given):  # type: ignore[no-untyped-def]
        nodes.append(len(given[3]))
        return ways_of(*given)

    monkeypatch.setattr(consolidate_module, "ways_of", count)
    mover = next(job for job in world.cluster.active.values() if job.spec.movable)
    world.do(ev.CheckpointReported, job_id=mover.id, attempt=1)
    assert moved(decider.decide(world.cluster)) == 0
    assert nodes
    assert max(nodes) <= 2
