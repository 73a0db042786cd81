"""check() and the rules of sizes, drains, queues and arrays."""

from dataclasses import replace
from typing import Any

import pytest

from aimass.core import events as ev
from aimass.core.check import check
from aimass.core.decide import decide
from aimass.core.model import Job, JobId, Placement, StopRule
from aimass.core.plan import Claim, Plan, Start, Stop
from aimass.core.queues import QueueSpec
from aimass.core.spec import Array, Elastic
from tests.core.plans_by_hand import (
    NOBODY,
    Mutation,
    by_hand,
    lost_by,
    of,
    place,
    preempting,
    reasons,
    running,
)
from tests.core.world import World, gpus, inventory, one_role

# ---- sizes --------------------------------------------------------------------------------------


def a_growing_world() -> tuple[World, Plan]:
    """An elastic job of 1 to 4 shards in steps of 1 grows from 1 into what has become free."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 4)))
    fills = running(world, 3)
    elastic = Elastic(1, 4, cost_ms=1, interval_ms=1)
    job = world.submit(one_role(3, gpus=1, elastic=elastic), expected_ms=3_600_000)
    world.plan()
    world.start(job)
    world.exit(fills)
    plan = decide(world.cluster, world.policy)
    assert [stop.rule for stop in plan.stops] == [StopRule.GROW]
    return world, plan


SIZES: dict[str, Mutation] = {
    "it shrinks instead": of("stops", rule=StopRule.SHRINK),
    "it moves instead": of("stops", rule=StopRule.MOVE),
    "for somebody else": of("stops", by=JobId("j1")),
    "without a claim": lambda plan: replace(plan, claims=()),
    "without a stop": lambda plan: replace(plan, stops=()),
    "to the same size": lambda plan: of("claims", placements=plan.claims[0].placements[:1])(plan),
    "to no size": of("claims", placements=()),
    "beyond its largest": lambda plan: of(
        "claims", placements=(*plan.claims[0].placements, place(0))
    )(plan),
    "with another victim": of("claims", victims=()),
}


@pytest.mark.parametrize("name", SIZES)
def test_a_resize_is_what_its_rule_says(name: str) -> None:
    """And of a size that the job allows."""
    world, plan = a_growing_world()
    assert check(world.cluster, plan) == (plan, ())
    accepted, rejected = check(world.cluster, SIZES[name](plan))
    assert rejected
    assert accepted.is_empty


def test_extras_are_taken_only_by_right() -> None:
    """What a job has beyond what it asked goes to anybody, the rest of it to who may preempt."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 4)))
    elastic = Elastic(1, 4, cost_ms=1, interval_ms=1)
    job = world.submit(one_role(4, gpus=1, elastic=elastic), priority=1)
    world.plan()
    world.start(job)
    world.submit(one_role(gpus=2), priority=1)
    world.do(ev.Tick)
    lost = 4 * (world.now_ms - job.current.running_ms)
    stop = Stop(job.id, 1, StopRule.SHRINK, JobId("j2"), "by hand", lost)
    smaller = Claim(job.id, 2, (place(0), place(1)), "by hand", (job.id,))
    gains = Claim(JobId("j2"), 1, (place(2, 3),), "by hand", (job.id,))
    plan = by_hand(world, stops=(stop,), claims=(gains, smaller))
    assert reasons(world, plan) == ["j2 may not take its extras"]
    world.submit(one_role(gpus=2), priority=2)
    lost = 4 * (world.now_ms - job.current.running_ms)
    entitled = by_hand(
        world,
        stops=(replace(stop, by=JobId("j3"), lost_gpu_ms=lost),),
        claims=(replace(gains, job_id=JobId("j3")), smaller),
    )
    assert reasons(world, entitled) == []


# ---- drains, windows ----------------------------------------------------------------------------


def test_a_drain_stops_only_when_it_is_due_and_there() -> None:
    """Whoever runs on the node, and for nobody."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 2)))
    world.join("n2", inventory("n2", gpus("n2", 2)))
    first, second = running(world), running(world, preemptible=False)
    node = second.current.placements[0].node_id
    world.do(ev.NodeCordoned, node_id=node, by="ann", drain_ms=world.now_ms + 10_000)
    early = by_hand(world, stops=(_drained(world, second),))
    assert reasons(world, early) == ["no DRAIN of its nodes is due"]
    world.do(ev.Tick, 60_000)
    assert reasons(world, by_hand(world, stops=(_drained(world, second),))) == []
    other = by_hand(world, stops=(_drained(world, first),))
    assert reasons(world, other) == ["no DRAIN of its nodes is due"]


def _drained(world: World, job: Job) -> Stop:
    lost = 2 * (world.now_ms - job.current.running_ms)
    return Stop(job.id, 1, StopRule.DRAIN, NOBODY, "by hand", lost)


# ---- queues -------------------------------------------------------------------------------------


def in_queues(*specs: QueueSpec, count: int = 8) -> World:
    """One node, and these queues."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", count)))
    for spec in specs:
        world.do(ev.QueuePut, spec=spec, by="ann")
    return world


QUOTA = {"gpu": 4000}


@pytest.mark.parametrize(
    ("spec", "fields", "reason"),
    [
        ({"limit": {"gpu": 3000}}, {}, "queue q: more than its limit of 3000 gpu"),
        ({"limit": {"gpu:H100": 3000}}, {}, "queue q: more than its limit of 3000 gpu:H100"),
        ({"job_limit": {"gpu": 1000}}, {}, "queue q: one job has at most 1000 gpu"),
        ({"max_jobs": 1}, {}, "queue q: more than its 1 active jobs"),
        (
            {"quota": {"gpu": 2000}, "borrow_limit": {"gpu": 1000}},
            {},
            "queue q: more gpu than it has and may borrow",
        ),
        (
            {"quota": {"gpu": 2000}},
            {"preemptible": False},
            "queue q: more gpu than it is guaranteed, for good",
        ),
    ],
)
@pytest.mark.parametrize("is_claim", [False, True])
def test_no_queue_gets_more_than_it_may(
    spec: dict[str, Any], fields: dict[str, Any], reason: str, is_claim: bool
) -> None:
    """Two starts, or two claims, of which the first alone is fine."""
    world = in_queues(QueueSpec("q", **spec), QueueSpec("other", quota=QUOTA))
    count = 1 if "job_limit" in spec else 2
    for _ in range(2):
        world.submit(one_role(gpus=count), queue="q", **fields)
        count = 2
    kind = Claim if is_claim else Start
    places = [(place(*range(1 if "job_limit" in spec else 2)),), (place(4, 5),)]
    moves = tuple(kind(JobId(f"j{i + 1}"), 1, place, "by hand") for i, place in enumerate(places))
    part = "claims" if is_claim else "starts"
    assert reasons(world, by_hand(world, **{part: moves[:1]})) == []
    assert reasons(world, by_hand(world, **{part: moves})) == [reason]


def test_a_queue_takes_back_only_what_is_its_own_from_who_has_more() -> None:
    """Beyond its own quota it takes nothing, nor what others are guaranteed."""
    world = in_queues(QueueSpec("a", quota=QUOTA), QueueSpec("b", quota=QUOTA))
    for _ in range(4):
        running(world, 2, queue="b")
    small, large = (world.submit(one_role(gpus=g), queue="a").id for g in (2, 5))
    fair = preempting(world, "j1", small, StopRule.RECLAIM)
    assert reasons(world, fair) == []
    not_by = f"{small} may not take what it has, by PRIORITY"
    assert reasons(world, preempting(world, "j1", small)) == [not_by]
    assert reasons(world, _reclaiming(world, small, (place(0, 1),), "j1", "j2")) == []
    too_much = _reclaiming(world, small, (place(0, 1),), "j1", "j2", "j3")
    why = f"{small} takes more than queue b has beyond its own"
    assert set(reasons(world, too_much)) == {why}
    beyond = _reclaiming(world, large, (place(*range(5)),), "j1", "j2", "j3")
    why = f"{large} may not take what it has, by RECLAIM"
    assert set(reasons(world, beyond)) == {why}


def _reclaiming(world: World, by: JobId, placements: tuple[Placement, ...], *victims: str) -> Plan:
    names = tuple(JobId(name) for name in victims)
    stops = tuple(
        Stop(name, 1, StopRule.RECLAIM, by, "by hand", lost_by(world, name)) for name in names
    )
    return by_hand(world, stops=stops, claims=(Claim(by, 1, placements, "by hand", names),))


def test_an_array_runs_no_more_tasks_at_once_than_it_says() -> None:
    """Counted over starts and claims."""
    world = in_queues()
    world.submit(one_role(gpus=1), array=Array((0, 1, 2), 1))
    tasks = list(world.cluster.jobs.values())
    starts = tuple(Start(job.id, 1, (place(i),), "by hand") for i, job in enumerate(tasks[:2]))
    [reason] = reasons(world, by_hand(world, starts=starts))
    assert "more than 1 tasks at once" in reason


def test_who_waits_for_a_time_does_not_start() -> None:
    """QUEUED is not enough: it must be allowed to start."""
    world = in_queues()
    job = world.submit(one_role(gpus=1), start_after_ms=world.now_ms + 3_600_000)
    start = Start(job.id, 1, (place(0),), "by hand")
    waits = "may not start yet: it waits for a time or for another job"
    assert reasons(world, by_hand(world, starts=(start,))) == [waits]
