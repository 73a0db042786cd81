"""Ways: on one node the cheapest movers who make room, within a bounded number of looks."""

import random
from itertools import combinations

import pytest

from aimass.core.lost_work import restart_gpu_ms
from aimass.core.model import Job, NodeId
from aimass.core.policy import Fuel
from aimass.core.spec import Checkpoint, Need
from aimass.core.ways import LOOK_FUEL, LOOKS_MAX, Mover, OnNode, _cheapest_on, by_node
from aimass.policies.registry import make_policy
from tests.core.world import World, gpus, inventory, one_role

SAVES = Checkpoint("SIGUSR1", 60_000)
MANY = 10**9


def a_node(shares: list[float], devices: int) -> tuple[World, list[Job]]:
    """One node on which a job holds each of these shares."""
    world = World(make_policy())
    world.join("n1", inventory("n1", gpus("n1", devices), cpus=2000))
    jobs = [
        world.submit(one_role(gpus=share, cpus=1), movable=True, checkpoint=SAVES)
        for share in shares
    ]
    world.settle()
    return world, [job for job in jobs if job.state.is_active]


def movers_of(jobs: list[Job], losses: list[int]) -> list[OnNode]:
    """The jobs as movers, cheapest first."""
    movers = [Mover(loss, -job.submit_seq, job) for loss, job in zip(losses, jobs, strict=True)]
    return by_node(sorted(movers, key=lambda mover: mover[:2]))[NodeId("n1")]


def frees(world: World, chosen: tuple[OnNode, ...], need: Need) -> bool:
    """One shard more fits when these have left, by devices."""
    node = world.cluster.nodes[NodeId("n1")]
    free = [device.soon_milli for device in node.devices]
    before = sum(milli >= need.gpu_milli // need.devices for milli in free) // need.devices
    for place in (place for each in chosen for place in each.places):
        for index in place.devices:
            free[index] += place.share_milli
    share = need.gpu_milli // need.devices
    return sum(milli >= share for milli in free) // need.devices > before


@pytest.mark.parametrize("seed", range(60))
def test_of_all_sets_the_cheapest_makes_room(seed: int) -> None:
    """Against all sets of at most so many, with shares and jobs of several GPUs."""
    draw = random.Random(seed)
    sizes = [draw.choice((0.25, 0.5, 0.75, 1, 1, 2)) for _ in range(draw.randint(3, 9))]
    world, jobs = a_node(sizes, 4)
    here = movers_of(jobs, [draw.randint(1, 6) for _ in jobs])
    most, need = draw.randint(1, 5), Need(gpu_milli=draw.choice((500, 1000, 2000, 3000)))
    sets = [those for count in range(1, most + 1) for those in combinations(here, count)]
    losses = [sum(e.mover.loss for e in those) for those in sets if frees(world, those, need)]
    found = _cheapest_on(world.cluster.nodes[NodeId("n1")], need, here, most, Fuel(MANY))
    assert sum(mover.loss for mover in found) == min(losses, default=0)


@pytest.mark.parametrize("most", [5, 8, 16, 100])
@pytest.mark.parametrize("is_varied", [False, True])
def test_small_shares_on_many_devices_are_few_looks(most: int, is_varied: bool) -> None:
    """64 movers of an eighth of a GPU each, and one who wants a whole one: all 8 of one device."""
    draw = random.Random(most)
    world, jobs = a_node([0.125] * 64, 8)
    losses = [draw.randint(1000, 2000) if is_varied else restart_gpu_ms(jobs[0]) for _ in jobs]
    here, fuel = movers_of(jobs, losses), Fuel(MANY)
    found = _cheapest_on(world.cluster.nodes[NodeId("n1")], Need(gpu_milli=1000), here, most, fuel)
    by_device = [0] * 8
    for each in here:
        by_device[each.places[0].devices[0]] += each.mover.loss
    assert sum(mover.loss for mover in found) == (min(by_device) if most >= 8 else 0)
    assert 0 < MANY - fuel.left <= LOOKS_MAX * (LOOK_FUEL + len(here))
    assert most >= 8 or MANY - fuel.left == LOOK_FUEL + len(here)


def test_without_fuel_nothing_but_a_first_guess_is_looked_at() -> None:
    world, jobs = a_node([0.125] * 64, 8)
    here = movers_of(jobs, [7] * len(jobs))
    node = world.cluster.nodes[NodeId("n1")]
    assert len(_cheapest_on(node, Need(gpu_milli=1000), here, 100, Fuel(0))) == 8
