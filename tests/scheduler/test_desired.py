"""What travels to an agent: the sizes a gang really has, names of its job, and back the taints."""

from dataclasses import replace

from aimass.core.effects import effects
from aimass.core.links import Links
from aimass.core.model import NodeId
from aimass.core.spec import Array, Elastic
from aimass.scheduler.translate import desired_to_proto, inventory_from_proto, inventory_to_proto
from aimass.v1 import agent_pb2
from tests.core.world import World, gpus, inventory, one_role


def one_node(devices: int) -> World:
    """A node of so many GPUs."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", devices)))
    return world


def launches(world: World) -> list[agent_pb2.Launch]:
    """What n1 is to start, by submit order and rank."""
    found = effects(world.cluster, world.cluster.nodes[NodeId("n1")])
    return [item.launch for item in desired_to_proto(world.cluster, found).assignments]


def test_an_elastic_gang_is_told_the_size_it_got() -> None:
    """Not the one it asked for: ranks that never come would be waited for."""
    world = one_node(3)
    world.submit(one_role(4, gpus=1, elastic=Elastic(min_shards=1, max_shards=4)))
    world.plan()
    sizes = [(one.world_size, one.role_world_size, one.local_world_size) for one in launches(world)]
    assert sizes == [(3, 3, 3)] * 3


def test_a_shard_knows_its_queue_and_its_task() -> None:
    """The first task of an array has index 0; a job that is no task has no array's name."""
    world = one_node(3)
    world.submit(one_role(gpus=1), array=Array((0, 7)))
    world.submit(one_role(gpus=1))
    world.plan()
    names = [(one.queue, one.array_id, one.array_index) for one in launches(world)]
    assert names == [("default", "j1", 0), ("default", "j1", 7), ("default", "", 0)]


def test_a_share_by_memory_is_launched_as_its_share_of_the_device() -> None:
    """The agent locks a shared device as shared, whichever way the share was asked for."""
    world = one_node(1)
    (device,) = gpus("n1", 1)
    world.submit(one_role(gpu_share_mib=device.memory_mib // 4))
    world.plan()
    (launch,) = launches(world)
    assert 0 < launch.gpu_milli < 1000


def test_taints_survive_the_wire() -> None:
    """As every other part of an inventory."""
    tainted = replace(inventory("n1", gpus("n1", 1)), taints=("dedicated=research", "slow"))
    assert inventory_from_proto(inventory_to_proto(tainted)) == tainted


def test_links_go_over_the_wire_row_by_row() -> None:
    """Each direction as its device reported it; none at all is something else than no NVLink."""
    plain = inventory("n1", gpus("n1", 2))
    assert inventory_from_proto(inventory_to_proto(plain)).links is None
    linked = replace(plain, links=Links(((0, 4), (3, 0)), (-1, 0)))
    assert inventory_from_proto(inventory_to_proto(linked)) == linked
    none = replace(plain, links=Links())
    assert inventory_from_proto(inventory_to_proto(none)) == none
