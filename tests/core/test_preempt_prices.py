"""Nodes come in the order of their prices, though nearly all of them are never priced."""

from hypothesis import given, settings
from hypothesis import strategies as st

from aimass.core.draft import Draft
from aimass.core.feasible import node_refusal
from aimass.core.model import Job, JobId, NodeId
from aimass.core.node_prices import NodePrices, OnNodes, Price, cheapest, price_of_all
from aimass.core.policy import Fuel, Want
from aimass.core.preempt import claiming
from aimass.core.search import Search
from aimass.core.spec import JobSpec, Need, Role
from aimass.core.victims import Victim, candidates, evict
from tests.core.exact_world import BEGIN_MS, ExactWorld
from tests.core.world import GIB

needs = st.builds(
    Need,
    gpu_milli=st.sampled_from((0, 300, 500, 1000, 1000, 2000, 4000)),
    cpu_milli=st.sampled_from((1000, 9000, 20_000)),
    memory_mib=st.sampled_from((0, 200 * GIB)),
    gpu_types=st.sampled_from(((), ("H100",), ("A100",))),
)
running = st.tuples(needs, st.integers(1, 4), st.integers(0, 2), st.integers(0, 3))


def spec(need: Need, shards: int, priority: int) -> JobSpec:
    """A gang of one role."""
    role = Role("worker", shards, need, ("train",))
    return JobSpec("job", (role,), priority=priority, expected_ms=3_600_000)


def full_world(devices: list[int], jobs: list[tuple[Need, int, int, int]]) -> ExactWorld:
    """Whatever of these jobs fits runs, for different times."""
    world = ExactWorld(devices)
    now_ms = BEGIN_MS
    for need, shards, priority, minutes in jobs:
        now_ms += 60_000 * minutes
        world.submit(now_ms, spec(need, shards, priority))
        world.decide()
    return world


class AllPriced:
    """The same by pricing every node at the beginning."""

    def __init__(self, search: Search, job: Job, found: OnNodes, gone: set[JobId]) -> None:
        self.search, self.job, self.found, self.gone = search, job, found, gone
        self.prices: dict[NodeId, Price] = {}
        for node_id in found.here:
            self.price(node_id)

    def price(self, node_id: NodeId) -> None:
        """Enter what one shard more costs on the node now, if there is a way."""
        node, need = self.search.cluster.nodes[node_id], self.job.spec.roles[0].need
        chosen = cheapest(node, need, self.found.here[node_id], self.gone)
        if chosen is not None and node_refusal(node, self.job, need) is None:
            self.prices[node_id] = price_of_all(chosen)

    def pop(self) -> NodeId | None:
        """The cheapest node, of equals the first."""
        nodes = self.search.cluster.nodes
        first = min(self.prices, key=lambda i: (self.prices[i], nodes[i].index), default=None)
        if first is not None:
            del self.prices[first]
        return first


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from((1, 2, 4, 8)), min_size=1, max_size=6),
    st.lists(running, min_size=1, max_size=16),
    needs,
    st.integers(0, 3),
)
def test_nodes_come_in_the_order_of_their_prices(
    devices: list[int], jobs: list[tuple[Need, int, int, int]], need: Need, first: int
) -> None:
    """Also after gangs were evicted that lie on several nodes; `first`: for a role before it."""
    world = full_world(devices, jobs)
    job = world.submit(world.cluster.now_ms, spec(need, 1, 9))
    with Draft(world.cluster) as draft:
        search = Search(draft, world.policy, Fuel(1 << 30))
        want = Want((1,))
        found = OnNodes(candidates(search, job, want))
        with claiming(search, job):
            gone = {victim.job.id for victim in found.victims[:first]}
            for victim in found.victims[:first]:
                evict(search, victim)
            everything = AllPriced(search, job, found, gone)
            prices = NodePrices(search, job, want, job.spec.roles[0], found, gone)
            while (node := prices.pop()) is not None:
                assert everything.pop() == node.id
                leaving: list[Victim] = prices.leave(node)
                for victim in leaving:
                    evict(search, victim)
                prices.push(node)
                everything.price(node.id)
            assert everything.pop() is None
