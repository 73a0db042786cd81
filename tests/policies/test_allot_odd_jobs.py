"""Jobs that are no matter of one model and a size, and places that are not to be had."""

import pytest

from aimass.core import events as ev
from aimass.core.model import Job, NodeId
from aimass.core.queues import QueueSpec
from aimass.core.spec import Need, Role, Topology
from aimass.policies.registry import ALLOTTERS, make_policy
from tests.core.world import World, gpus, inventory, one_role

pytestmark = pytest.mark.parametrize("order", ALLOTTERS)


def world_of(order: str, *models: str, each: int = 4, racks: int = 1) -> World:
    """A node of `each` GPUs of every model that is named."""
    world = World(make_policy(order))
    for number, model in enumerate(models):
        name, labels = f"n{number}", {"rack": f"r{number % racks}"}
        world.join(name, inventory(name, gpus(name, each, model), labels=labels))
    return world


def nodes_of(job: Job) -> set[str]:
    """Where it runs; nothing while it waits."""
    return {p.node_id for p in job.current.placements} if job.state.is_active else set()


@pytest.mark.parametrize(
    ("roles", "fields"),
    [
        (one_role(1, gpus=4), {"node_selector": {"zone": "mars"}}),
        (one_role(1, gpus=4, cpus=1000), {}),
        (one_role(1, gpus=4, gpu_memory_mib=2**30), {}),
    ],
)
def test_who_fits_nowhere_keeps_nobody_waiting(
    order: str, roles: tuple[Role, ...], fields: dict[str, dict[str, str]]
) -> None:
    """It is granted GPUs by number, and cannot have them: then they are for others."""
    world = world_of(order, "A100")
    never = world.submit(roles, allow_future=True, **fields)
    other = world.submit(one_role(1, gpus=4))
    world.carry_out()
    assert (nodes_of(never), nodes_of(other)) == (set(), {"n0"})


def test_who_is_at_the_limit_of_its_queue_keeps_nobody_waiting(order: str) -> None:
    world = world_of(order, "A100")
    world.do(ev.QueuePut, spec=QueueSpec("small", limit={"gpu": 1000}))
    limited = [world.submit(one_role(1, gpus=1), queue="small") for _ in range(4)]
    others = [world.submit(one_role(1, gpus=1)) for _ in range(4)]
    world.carry_out()
    assert sum(bool(nodes_of(job)) for job in limited) <= 1
    assert sum(bool(nodes_of(job)) for job in (*limited, *others)) == 4


def test_a_gang_on_two_models_runs(order: str) -> None:
    """Eight of any, where there are four of each; and roles that name one each."""
    world = world_of(order, "A100", "V100")
    gang = world.submit(one_role(8, gpus=1))
    world.carry_out()
    assert nodes_of(gang) == {"n0", "n1"}
    world = world_of(order, "A100", "V100")
    roles = tuple(
        Role(model.lower(), 1, Need(gpu_milli=2000, gpu_types=(model,)), ("train",))
        for model in ("A100", "V100")
    )
    both = world.submit(roles)
    world.carry_out()
    assert nodes_of(both) == {"n0", "n1"}


def test_a_gang_that_asks_for_one_rack_gets_one(order: str) -> None:
    world = world_of(order, "A100", "A100", "A100", "A100", racks=2)
    world.do(ev.LevelsPut, levels=("rack",))
    gang = world.submit(one_role(8, gpus=1), topology=Topology(required="rack"))
    world.carry_out()
    assert nodes_of(gang) in ({"n0", "n2"}, {"n1", "n3"})


def test_a_job_on_a_cordoned_node_takes_nothing_from_the_others(order: str) -> None:
    """What it holds is no part of what can be given out, and not to be counted twice."""
    world = world_of(order, "A100", "A100")
    first = world.submit(one_role(4, gpus=1))
    world.carry_out()
    (node,) = nodes_of(first)
    world.do(ev.NodeCordoned, node_id=NodeId(node), by="ann")
    second = world.submit(one_role(4, gpus=1))
    world.carry_out()
    assert nodes_of(first) | nodes_of(second) == {"n0", "n1"}
