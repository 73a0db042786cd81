"""What a node is told: derived from the state, whatever policy placed the shards."""

from aimass.core import events as ev
from aimass.core.check import check
from aimass.core.effects import Launch, effects
from aimass.core.model import JobId, NodeId, Placement
from aimass.core.plan import Plan, Start
from tests.core.world import World, gpus, inventory, one_role


def placed_by_hand(world: World, *places: tuple[str, int]) -> dict[int, Launch]:
    """Rank -> launch of a new job whose shards go to these devices of these nodes."""
    job = world.submit(one_role(len(places), gpus=1))
    placements = tuple(Placement(0, NodeId(n), (i,), 1000, 0, 0) for n, i in places)
    plan = Plan(world.cluster.revision, "by hand", (Start(job.id, 1, placements, "by hand"),))
    assert check(world.cluster, plan) == (plan, ())
    world.do(ev.PlanCommitted, basis=plan.basis, policy=plan.policy, starts=plan.starts)
    sets = [effects(world.cluster, node) for node in world.cluster.nodes.values()]
    return {a.rank: a.launch for found in sets for a in found.assignments}


def two_nodes() -> World:
    """Two nodes of two GPUs."""
    world = World()
    for name in ("n1", "n2"):
        world.join(name, inventory(name, gpus(name, 2)))
    return world


def test_local_ranks_count_within_a_node_however_the_shards_lie() -> None:
    """A policy may deal them out in turns; a local rank beyond the group would be no device."""
    launches = placed_by_hand(two_nodes(), ("n1", 0), ("n2", 0), ("n1", 1), ("n2", 1))
    local = [(launches[r].local_rank, launches[r].local_world_size) for r in range(4)]
    assert local == [(0, 2), (0, 2), (1, 2), (1, 2)]
    assert [launches[r].group_rank for r in range(4)] == [0, 1, 0, 1]


def test_the_visible_device_at_the_local_rank_is_the_shards_own() -> None:
    """`cuda:LOCAL_RANK`, as every torch script says."""
    launches = placed_by_hand(two_nodes(), ("n1", 1), ("n2", 0), ("n1", 0))
    assert launches[0].visible_uuids == ("GPU-n1-1", "GPU-n1-0")
    for launch in launches.values():
        assert (launch.visible_uuids[launch.local_rank],) == launch.device_uuids
        assert launch.master_addr == "n1"


def test_a_set_says_nothing_of_shards_that_have_exited() -> None:
    """By submit order and rank; a new generation whenever it says something else."""
    world = two_nodes()
    placed_by_hand(world, ("n1", 0), ("n1", 1))
    node = world.cluster.nodes[NodeId("n1")]
    before = effects(world.cluster, node)
    assert effects(world.cluster, node) == before
    world.exit(world.cluster.jobs[JobId("j1")], [0])
    after = effects(world.cluster, node)
    assert [a.rank for a in before.assignments] == [0, 1]
    assert [a.rank for a in after.assignments] == [1]
    assert after.generation > before.generation
