"""check() proves a plan without trusting its maker: whatever is bent in it is rejected."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimass.core import events as ev
from aimass.core.check import check
from aimass.core.codec import state_hash
from aimass.core.decide import decide
from aimass.core.model import Exit, JobId, NodeId, Placement, placement_of
from aimass.core.plan import Plan, Start
from aimass.core.spec import JobSpec
from tests.core.strategies import inventories, job_specs
from tests.core.world import World, gpus, inventory, one_role, with_failed


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A cluster with something running, something queued, and nodes that nobody may use.

    One gang always starts, on a node of its own.
    """
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 8, island=4), labels={"zone": "a"}))
    world.join("n2", draw(inventories("n2")))
    failed = gpus("failed", 4)
    reported = inventory("failed", failed, labels={"zone": "a"})
    world.join("failed", with_failed(reported, *(d.uuid for d in failed)))
    world.join("suspect", inventory("suspect", gpus("suspect", 8), labels={"zone": "a"}))
    world.do(ev.NodeSilent, node_id=NodeId("suspect"), reason="no heartbeat")
    for spec in draw(st.lists(job_specs(), max_size=2)):
        world.submit_spec(spec)
    world.plan()
    for spec in draw(st.lists(job_specs(), max_size=3)):
        world.submit_spec(spec)
    world.join("own", inventory("own", gpus("own", 5), labels={"zone": "own"}))
    own = {"zone": "own"}
    world.submit(one_role(2, gpus=2, cpus=1, memory_mib=1), priority=10, node_selector=own)
    return world


Bend = Callable[[World, Placement], list[Placement] | None]
"""What becomes of one placement while the gang's others stay; None if it cannot be bent so."""


def _field(name: str, bent: Callable[[Any], Any]) -> Bend:
    return lambda world, p: [replace(p, **{name: bent(getattr(p, name))})]


def _last_device(choose: Callable[[int, Placement], int]) -> Bend:
    """Put another device in the place of the last, given how many the node has."""

    def bend(world: World, p: Placement) -> list[Placement] | None:
        count = len(world.cluster.nodes[p.node_id].devices)
        return [replace(p, devices=(*p.devices[:-1], choose(count, p)))] if p.devices else None

    return bend


def _twice(world: World, p: Placement) -> list[Placement] | None:
    same = (*p.devices[:-1], p.devices[0]) if len(p.devices) > 1 else p.devices
    return [replace(p, devices=same)] if same != p.devices else None


def _one_more(world: World, p: Placement) -> list[Placement] | None:
    count = len(world.cluster.nodes[p.node_id].devices)
    free = [index for index in range(count) if index not in p.devices]
    return [replace(p, devices=(*p.devices, free[0]))] if free else None


def _one_less(world: World, p: Placement) -> list[Placement] | None:
    return [replace(p, devices=p.devices[1:])] if p.devices else None


BENDS: dict[str, Bend] = {
    "a shard is dropped": lambda world, p: [],
    "a shard is placed twice": lambda world, p: [p, p],
    "a shard is of another role": _field("role", lambda role: role + 1),
    "a shard is of a negative role": _field("role", lambda role: -1),
    "a node is unknown": _field("node_id", lambda node_id: NodeId("nowhere")),
    "a node is suspect": _field("node_id", lambda node_id: NodeId("suspect")),
    "a device is out of range": _last_device(lambda count, p: count),
    "a device index is negative": _last_device(lambda count, p: -1),
    "a device is used twice": _twice,
    "a device is missing": _one_less,
    "a device is one too many": _one_more,
    "a share is larger": _field("share_milli", lambda milli: milli + 1),
    "a share is smaller": _field("share_milli", lambda milli: milli - 1),
    "cpus are more": _field("cpu_milli", lambda milli: milli + 1),
    "cpus are fewer": _field("cpu_milli", lambda milli: milli - 1),
    "memory is more": _field("memory_mib", lambda mib: mib + 1),
    "memory is less": _field("memory_mib", lambda mib: mib - 1),
}

few = settings(max_examples=30)


@given(worlds())
def test_what_the_policies_plan_is_accepted_as_it_is(world: World) -> None:
    """And to check is not to act."""
    before = state_hash(world.cluster)
    plan = decide(world.cluster, world.policy)
    assert check(world.cluster, plan) == (plan, ())
    assert state_hash(world.cluster) == before


@pytest.mark.parametrize("name", BENDS)
@few
@given(world=worlds(), data=st.data())
def test_a_bent_gang_is_rejected_whole(name: str, world: World, data: st.DataObject) -> None:
    """With a reason; the other gangs of the plan are accepted."""
    plan = decide(world.cluster, world.policy)
    wrong = [
        (index, replace(start, placements=(*start.placements[:rank], *bent, *rest)))
        for index, start in enumerate(plan.starts)
        for rank, placement in enumerate(start.placements)
        if (bent := BENDS[name](world, placement)) is not None
        for rest in [start.placements[rank + 1 :]]
    ]
    index, start = data.draw(st.sampled_from(wrong))
    reject_only(
        world, replace(plan, starts=(*plan.starts[:index], start, *plan.starts[index + 1 :]))
    )


def reject_only(world: World, plan: Plan) -> None:
    """Exactly one start of the plan is rejected, and it is the bent one."""
    honest = decide(world.cluster, world.policy).starts
    accepted, rejected = check(world.cluster, plan)
    assert accepted.starts == tuple(start for start in plan.starts if start in honest)
    assert len(accepted.starts) == len(plan.starts) - 1
    assert len(rejected) == 1
    assert rejected[0].reason


@pytest.mark.parametrize("attempt", [0, 2])
@few
@given(world=worlds())
def test_an_attempt_out_of_turn_is_rejected(attempt: int, world: World) -> None:
    """A repeated plan, or one that skips a try."""
    plan = decide(world.cluster, world.policy)
    wrong = replace(plan.starts[0], attempt=attempt)
    reject_only(world, replace(plan, starts=(wrong, *plan.starts[1:])))


@few
@given(world=worlds())
def test_a_job_is_started_once_in_a_plan(world: World) -> None:
    """The first is accepted, the second is not."""
    plan = decide(world.cluster, world.policy)
    twice = replace(plan, starts=(*plan.starts, plan.starts[0]))
    accepted, rejected = check(world.cluster, twice)
    assert accepted == plan
    assert [(r.job_id, r.reason) for r in rejected] == [
        (plan.starts[0].job_id, "started twice in one plan")
    ]


@few
@given(world=worlds())
def test_a_plan_on_another_revision_starts_nothing(world: World) -> None:
    """Something has happened since: decide again."""
    plan = decide(world.cluster, world.policy)
    world.submit(one_role())
    accepted, rejected = check(world.cluster, plan)
    assert accepted.is_empty
    moves = (*plan.starts, *plan.stops, *plan.claims)
    assert [r.job_id for r in rejected] == [move.job_id for move in moves]
    assert all("the cluster is at" in r.reason for r in rejected)


def start_of(world: World, spec: JobSpec, *devices: tuple[int, ...], node: str = "n1") -> Start:
    """A start of a new job on these devices of a node, whether they are free or not."""
    job = world.submit_spec(spec)
    need, there = spec.roles[0].need, world.cluster.nodes[NodeId(node)]
    placements = tuple(placement_of(there, 0, d, need, spec.exclusive_node) for d in devices)
    return Start(job.id, 1, placements, "by hand")


def reasons(world: World, *starts: Start) -> list[str]:
    """Why a plan of these starts is rejected."""
    plan = Plan(world.cluster.revision, "by hand", starts)
    return [rejection.reason for rejection in check(world.cluster, plan)[1]]


def a_node(count: int = 2, cpus: int = 4) -> World:
    """One node of a few GPUs, 4 CPUs and 8 MiB; its first device is an A100, the others H100."""
    world = World()
    devices = (*gpus("n1", 1, "A100"), *gpus("n1", count)[1:])
    world.join("n1", inventory("n1", devices, cpus=cpus, memory_mib=8))
    return world


FULL = "n1: more is given out than it has"


def test_two_gangs_of_a_plan_share_no_device() -> None:
    """The second that wants it is rejected; of shares, the one that goes beyond a whole."""
    world = a_node()
    whole = JobSpec("whole", one_role(gpus=1))
    assert reasons(world, start_of(world, whole, (0,)), start_of(world, whole, (0,))) == [FULL]
    share = JobSpec("share", one_role(gpus=0.4))
    shares = [start_of(world, share, (1,)) for _ in range(3)]
    assert reasons(world, *shares) == [FULL]


def test_a_rejected_gang_gives_back_what_it_had_booked() -> None:
    """It fails at its second shard; the device of its first is free for the next gang."""
    world = a_node()
    first = start_of(world, JobSpec("a", one_role(gpus=1)), (1,))
    second = start_of(world, JobSpec("b", one_role(2, gpus=1)), (0,), (1,))
    third = start_of(world, JobSpec("c", one_role(gpus=1)), (0,))
    plan = Plan(world.cluster.revision, "by hand", (first, second, third))
    accepted, rejected = check(world.cluster, plan)
    assert accepted.starts == (first, third)
    assert [(r.job_id, r.reason) for r in rejected] == [(second.job_id, FULL)]


def test_what_runs_is_counted() -> None:
    """Devices, CPUs and memory that live shards hold are not there for others."""
    world = a_node()
    world.submit(one_role(gpus=1, cpus=3, memory_mib=6, gpu_types=("A100",)))
    world.plan()
    assert reasons(world, start_of(world, JobSpec("a", one_role(gpus=1)), (0,))) == [FULL]
    assert reasons(world, start_of(world, JobSpec("b", one_role(cpus=2)), ())) == [FULL]
    assert reasons(world, start_of(world, JobSpec("c", one_role(memory_mib=3)), ())) == [FULL]
    assert reasons(world, start_of(world, JobSpec("d", one_role(gpus=1, cpus=1)), (1,))) == []


def test_a_node_that_came_back_smaller_refuses_only_what_it_lacks() -> None:
    """Its CPUs are given out beyond what it has; a shard that needs none of them is welcome."""
    world = a_node()
    world.submit(one_role(cpus=4))
    world.plan()
    world.join("n1", inventory("n1", gpus("n1", 2), cpus=2, memory_mib=8))
    assert reasons(world, start_of(world, JobSpec("a", one_role(gpus=1)), (0,))) == []
    assert reasons(world, start_of(world, JobSpec("b", one_role(memory_mib=8)), ())) == []
    assert reasons(world, start_of(world, JobSpec("c", one_role(cpus=1)), ())) == [FULL]


def test_an_unfit_device_is_rejected() -> None:
    """Of the wrong type, too small, or failed."""
    world = a_node()
    wrong = "n1: device 0 is not fit for the job"
    typed = JobSpec("typed", one_role(gpus=1, gpu_types=("H100",)))
    assert reasons(world, start_of(world, typed, (0,))) == [wrong]
    big = JobSpec("big", one_role(gpus=1, gpu_memory_mib=10**6))
    [reason] = reasons(world, start_of(world, big, (0,)))
    assert "GPU_MEMORY_SMALL" in reason
    failed = with_failed(world.cluster.nodes[NodeId("n1")].inventory, "GPU-n1-0")
    world.do(ev.InventoryChanged, node_id=NodeId("n1"), inventory=failed)
    assert reasons(world, start_of(world, JobSpec("any", one_role(gpus=1)), (0,))) == [wrong]


def test_a_node_that_the_job_does_not_select_is_rejected() -> None:
    """Labels are proved as capacity is."""
    world = a_node()
    [reason] = reasons(
        world, start_of(world, JobSpec("a", one_role(), node_selector={"zone": "a"}), ())
    )
    assert "LABELS_DIFFER" in reason


def test_only_a_queued_job_is_started() -> None:
    """Not one that runs, not one that is over, not one that nobody knows."""
    world = a_node()
    runs, over = world.submit(one_role(gpus=1)), world.submit(one_role())
    world.plan()
    world.exit(over, how=Exit(code=1))
    starts = [
        Start(JobId("j9"), 1, (), "by hand"),
        Start(runs.id, 2, runs.current.placements, "by hand"),
        Start(over.id, 2, over.attempts[0].placements, "by hand"),
    ]
    assert reasons(world, *starts) == [
        "no such job",
        "is PLACED, not QUEUED",
        "is FAILED, not QUEUED",
    ]
