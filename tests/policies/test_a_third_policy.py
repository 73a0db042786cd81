"""A policy is one file: this one has an order and a placer, and the core runs them unchanged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from aimass.core.check import check
from aimass.core.cluster import Cluster, Group
from aimass.core.decide import decide
from aimass.core.draft import Draft
from aimass.core.explain import explain
from aimass.core.model import HoldKey, Job, JobId, Node, placement_of
from aimass.core.plan import Plan
from aimass.core.policy import Fuel, Placed, PlacePolicy, Policy, Want
from aimass.policies.gang import GangPlacer
from aimass.policies.registry import make_policy
from aimass.policies.room import Room
from tests.core.world import World, gpus, inventory, one_role


class SmallestFirst:
    """The job with the fewest shards goes first; who cannot start lets others pass."""

    name = "smallest-first"
    version = 7
    is_strict = False
    is_across_queues = False

    def queue(self, cluster: Cluster, blocked: set[Group]) -> Iterator[tuple[Group, JobId]]:
        """See OrderPolicy.queue."""

        def shards(group: Group) -> int:
            return cluster.jobs[group.jobs[0][1]].spec.world_size

        return cluster.waiting.in_order(shards, blocked)

    def is_before(self, cluster: Cluster, first: Job, second: Job) -> bool:
        """See OrderPolicy.is_before."""
        ranks = [(job.spec.world_size, job.submit_seq) for job in (first, second)]
        return ranks[0] < ranks[1]


def worst_fit(room: Room, shards: int) -> list[tuple[Node, int]] | None:
    """As many as fit on the node with the most free GPUs, and so on."""
    chosen: list[tuple[Node, int]] = []
    while shards:
        candidate = room.emptiest(1)
        if candidate is None:
            return None
        chosen.append((candidate.node, min(candidate.fits, shards)))
        room.take(candidate.node)
        shards -= chosen[-1][1]
    return chosen


def a_policy(place: PlacePolicy) -> Policy:
    """Smallest first; without promises, so that everything but order and place is out of it."""
    return replace(make_policy(promises=0), order=SmallestFirst(), place=place)


THIRD = a_policy(GangPlacer("worst-fit", 1, worst_fit, {}))


def a_cluster(policy: Policy = THIRD) -> World:
    """Two nodes of four GPUs, on the first of which one is in use."""
    world = World(policy)
    world.join("n1", inventory("n1", gpus("n1", 4)))
    world.join("n2", inventory("n2", gpus("n2", 4)))
    world.submit(one_role(gpus=1))
    world.plan()
    return world


def where(plan: Plan) -> dict[str, list[str]]:
    """Job -> the node of each of its shards, in the order of the starts."""
    return {start.job_id: [p.node_id for p in start.placements] for start in plan.starts}


def test_a_policy_of_ones_own_decides_order_and_place() -> None:
    """Smallest first, on the emptiest node; the tag in the plan names it."""
    world = a_cluster()
    world.submit(one_role(6, gpus=1))
    world.submit(one_role(4, gpus=1))
    world.submit(one_role(2, gpus=1))
    plan = world.plan()
    assert where(plan) == {"j4": ["n2", "n2"], "j3": ["n1", "n1", "n1", "n2"]}
    assert plan.policy.startswith("smallest-first@7+worst-fit@1+")
    assert [wait.first for wait in plan.waits] == ["j2"]


def test_it_is_explained_like_any_other() -> None:
    """`why` decides with the policy it is given."""
    world = a_cluster()
    large, small = world.submit(one_role(7, gpus=1)), world.submit(one_role(2, gpus=1))
    assert explain(world.cluster, small, world.policy).code == "STARTING_NEXT"
    assert explain(world.cluster, large, world.policy).code == "ORDER"


@dataclass(frozen=True)
class Placer:
    """A placer out of a function that says where each shard goes."""

    where: Callable[[Job], list[tuple[str, int]]]
    name: str = "by hand"
    version: int = 1

    def place(self, draft: Draft, job: Job, want: Want, fuel: Fuel) -> Placed | None:
        """See PlacePolicy.place."""
        fuel.burn(1)
        need = job.spec.roles[0].need
        placements = []
        for rank, (name, device) in enumerate(self.where(job)):
            node = next(node for node in draft.cluster.nodes.values() if node.id == name)
            placements.append(placement_of(node, 0, (device,), need))
            draft.place(job, HoldKey(job.id, job.attempt + 1, rank), placements[-1])
        return Placed(tuple(placements), "by hand")


def test_a_wrong_policy_wastes_but_does_not_break() -> None:
    """It starts half a gang; check() takes the whole gangs and gives the reason for the other."""
    world = a_cluster(a_policy(Placer(lambda job: [("n2", int(job.id[1:]) % 4)])))
    half, whole = world.submit(one_role(2, gpus=1)), world.submit(one_role(1, gpus=1))
    plan = decide(world.cluster, world.policy)
    accepted, rejected = check(world.cluster, plan)
    assert [start.job_id for start in accepted.starts] == [whole.id]
    assert [rejection.job_id for rejection in rejected] == [half.id]
    assert "the gang is not whole" in rejected[0].reason
