"""The daemon's `mass`: the choices of the packing engine, on nodes that come, fill and change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numpy")

from aimass.core import events as ev
from aimass.core.draft import Draft
from aimass.core.model import Inventory, Job, NodeId
from aimass.core.policy import Fuel, Placed, Want
from aimass.core.shapes import Shape, pods_of
from aimass.core.spec import JobSpec, Need, Role
from aimass.policies.pack_engine import NodeSize, Packer
from aimass.policies.pack_learn import TERMS
from aimass.policies.pack_mirror import Mirror, mirror_of
from aimass.policies.pack_policies import PackPolicy
from aimass.policies.registry import make_policy
from tests.core.world import World, gpus, inventory, one_role
from tests.policies.crowd import Crowd, crowds, specs

MASS = make_policy(place="mass")
KINDS = (
    (96_000, 393_216, 8, "G2"),
    (104_000, 524_288, 2, "T4"),
    (16_000, 122_880, 2, "P100"),
    (96_000, 393_216, 8, "G2"),
)
NEEDS = (
    Need(gpu_milli=810, cpu_milli=3_000, memory_mib=12_288),
    Need(gpu_milli=1000, cpu_milli=11_000, memory_mib=49_152),
    Need(gpu_milli=1000, cpu_milli=8_000, gpu_types=("T4",)),
    Need(gpu_milli=4000, cpu_milli=32_000, memory_mib=131_072),
    Need(cpu_milli=12_000, memory_mib=32_768),
    Need(gpu_milli=200, cpu_milli=1_000),
)


def world_of(kinds: tuple[tuple[int, int, int, str], ...]) -> World:
    """Nodes of these kinds, each with GPUs of one model."""
    world = World(MASS)
    for number, (cpu_milli, memory_mib, count, model) in enumerate(kinds):
        name = f"n{number}"
        there = Inventory(name, name, cpu_milli, memory_mib, gpus(name, count, model))
        world.join(name, there)
    return world


def one(need: Need) -> tuple[Role, ...]:
    """The roles of a job of one shard."""
    return (Role("worker", 1, need, ("x",)),)


@given(st.lists(st.sampled_from(NEEDS), min_size=1, max_size=60))
def test_a_live_pod_goes_where_the_engine_would_put_it(asked: list[Need]) -> None:
    """One after the other, on four nodes: what `massctl sim` measures is what the daemon does."""
    world = world_of(KINDS)
    packer = Packer(PackPolicy("mass"), len(KINDS))
    for number, (cpu_milli, memory_mib, count, model) in enumerate(KINDS):
        packer.set_node(number, NodeSize(cpu_milli, memory_mib, (1000,) * count, model))
    for need in asked:
        job = world.submit(one(need))
        demand = world.cluster.demand
        packer.know(demand.classes, demand.lasting)
        [(kind, _)] = pods_of(need, 1, need.gpu_milli)
        shape = kind._replace(memory_mib=need.memory_mib)
        choice = packer.best(shape)
        plan = world.plan()
        assert (choice is None) == (not plan.starts)
        if choice is None:
            world.do(ev.JobCancelRequested, job_id=job.id, by="ann", grace_ms=0)
            continue
        [placement] = plan.starts[0].placements
        assert placement.node_id == f"n{choice.node}"
        packer.take(choice.node, shape, placement.devices)


@given(crowds(), specs(), st.booleans())
def test_what_a_mirror_kept_is_what_a_new_one_sees(
    crowd: Crowd, spec: JobSpec, is_soon: bool
) -> None:
    """Whatever happened to the nodes: holds, claims, exits, cordons, failed devices."""
    crowd.cluster.demand.add(Shape(3_000, 0, 1, 500, ()), 1, 100)
    kept = mirror_of(crowd.cluster.index, is_soon)
    kept.packer(crowd.cluster.demand)
    job = crowd.job(spec)
    crowd.try_place(job, is_soon, by="mass")
    for what, at in (("leave", 0), ("change", 3), ("hold", 1), ("change", 7), ("go", 0)):
        crowd.step(what, at, spec)
    old = kept.packer(crowd.cluster.demand)
    new = Mirror(crowd.cluster.index, is_soon).packer(crowd.cluster.demand)
    for shape in (Shape(500, 0, 1, 500, ()), Shape(1_000, 0, 2, 1000, ()), Shape(1, 0, 0, 0, ())):
        for node in range(len(crowd.cluster.nodes)):
            assert old.score(shape, node) == new.score(shape, node)


def place(world: World, job: Job, shards: int = 1) -> Placed:
    """Where the job would go."""
    with Draft(world.cluster) as draft:
        placed = MASS.place.place(draft, job, Want((shards,)), Fuel(1_000))
        assert placed is not None
        return placed


def test_the_trail_gives_the_score_and_its_terms_which_add_up() -> None:
    """So `history` and `plan` can say why this node."""
    world = world_of(KINDS)
    for _ in range(8):
        world.submit(one(NEEDS[1]))
        world.plan()
    [line] = place(world, world.submit(one(NEEDS[0]))).trail
    score, terms = line.split("score ")[1].split(" milli-GPU: ")
    parts = [part.split() for part in terms.split(", ")]
    assert {name for name, _ in parts} <= {*TERMS, "links"}
    assert abs(sum(float(value) for _, value in parts) - float(score)) < 0.01


def test_a_gang_prefers_nodes_whose_links_are_good() -> None:
    """Of two nodes of equal room that with NVLink, by what slow links cost; the trail says so."""
    world = World(MASS)
    world.join("plain", inventory("plain", gpus("plain", 4)))
    world.join("linked", inventory("linked", gpus("linked", 4, island=4)))
    job = world.submit(one_role(shards=4, gpus=1))
    placed = place(world, job, 4)
    assert {p.node_id for p in placed.placements} == {"linked"}
    world.do(ev.NodeCordoned, node_id=NodeId("linked"), by="ann")
    placed = place(world, job, 4)
    assert {p.node_id for p in placed.placements} == {"plain"}
    assert "links -320" in placed.trail[0]


def test_nodes_and_models_that_are_gone_leave_no_trace_in_scores() -> None:
    """A kept mirror and that of a daemon that was started again price alike."""
    w = World(MASS)
    w.join("a1", inventory("a1", gpus("a1", 8, "A100")))
    w.join("h1", inventory("h1", gpus("h1", 8, "H100")))
    for models in (("A100",), ("A100", "H100")):
        for _ in range(4):
            w.submit(one(Need(2000, 4_000, gpu_types=models)))
    mirror_of(w.cluster.index, False).packer(w.cluster.demand)
    w.do(ev.NodeCordoned, node_id=NodeId("h1"), by="ann")
    index, demand = w.cluster.index, w.cluster.demand
    shape = Shape(2_000, 0, 1, 1000, ())
    kept = mirror_of(index, False).packer(demand)
    new = Mirror(index, False).packer(demand)
    assert kept.score(shape, 0) == new.score(shape, 0) is not None


def test_nodes_that_are_not_ready_at_first_sight_break_nothing() -> None:
    """The last one joins and is cordoned before anybody places."""
    w = World(MASS)
    w.join("n1", inventory("n1", gpus("n1", 1)))
    job = w.submit(one(Need(1000)))
    place(w, job)
    w.join("n2", inventory("n2", gpus("n2", 1)))
    w.do(ev.NodeCordoned, node_id=NodeId("n2"), by="ann")
    assert {p.node_id for p in place(w, job).placements} == {"n1"}


def test_what_scores_cannot_see_is_placed_all_the_same() -> None:
    """The rarer model of a mixed node, and devices beyond the eighth: by best fit then."""
    world = World(MASS)
    world.join("big", inventory("big", (*gpus("a", 3, "A100"), *gpus("h", 13))))
    for need, count in ((Need(1000, gpu_types=("A100",)), 3), (Need(13_000), 1)):
        for _ in range(count):
            world.submit(one(need))
    world.join("less", inventory("less", (*gpus("c", 3, "A100"), *gpus("d", 4))))
    plan = world.plan()
    nodes = [start.placements[0].node_id for start in plan.starts]
    assert nodes == ["less", "less", "less", "big"]
    assert [len(start.placements[0].devices) for start in plan.starts] == [1, 1, 1, 13]
