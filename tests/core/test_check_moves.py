"""check() and what makes others leave: stops, claims, claims given up, promises, queues."""

from dataclasses import replace

import pytest

from aimass.core import events as ev
from aimass.core.check import check
from aimass.core.decide import decide
from aimass.core.model import JobId, NodeId, StopRule
from aimass.core.plan import Plan, Start
from aimass.core.spec import Elastic, Preemption, PreemptMode
from tests.core.plans_by_hand import (
    NOBODY,
    UNKNOWN,
    Mutation,
    by_hand,
    of,
    place,
    preempting,
    reasons,
    running,
)
from tests.core.world import World, gpus, inventory, one_role


def a_preemption() -> tuple[World, Plan]:
    """j1 leaves n1 for j5, of higher priority; j2 cannot be preempted, j3 is j5's equal.

    j6 starts on n3, j7 was promised a start before and j8 has one promised now; n4 is silent.
    """
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 8)))
    running(world)
    running(world, preemptible=False)
    running(world, priority=5)
    running(world, priority=5, queue="default")
    world.join("n3", inventory("n3", gpus("n3", 1), labels={"own": "1"}))
    world.join("n4", inventory("n4", gpus("n4", 8)))
    world.do(ev.NodeSilent, node_id=NodeId("n4"), reason="no heartbeat")
    world.submit(one_role(gpus=2), priority=5)
    world.submit(one_role(gpus=1), node_selector={"own": "1"})
    world.submit(one_role(gpus=2), priority=4)
    plan = decide(world.cluster, world.policy)
    assert [(s.job_id, s.by) for s in plan.stops] == [("j1", "j5")]
    assert [c.job_id for c in plan.claims] == ["j5"]
    assert [s.job_id for s in plan.starts] == ["j6"]
    assert [p.job_id for p in plan.planned] == ["j7"]
    assert check(world.cluster, plan) == (plan, ())
    return world, plan


def both(*mutations: Mutation) -> Mutation:
    """One after the other."""

    def mutate(plan: Plan) -> Plan:
        for mutation in mutations:
            plan = mutation(plan)
        return plan

    return mutate


def twice(part: str) -> Mutation:
    """The first element of a part comes again."""
    return lambda plan: replace(plan, **{part: (*getattr(plan, part), getattr(plan, part)[0])})


def victim_is(job_id: str) -> Mutation:
    """Somebody else is stopped for the claim, on whose places it lies."""
    devices = {"j2": (2, 3), "j3": (4, 5), "j4": (6, 7)}.get(job_id, (0, 1))
    return both(
        of("stops", job_id=JobId(job_id)),
        of("claims", victims=(JobId(job_id),), placements=(place(*devices),)),
    )


# What each row bends; every field of a move is in some row but the trail, which is a comment, and
# `is_known`, which says of a promise how far it can be relied on.
WRONG: dict[str, Mutation] = {
    "stops: a job that cannot be preempted": victim_is("j2"),
    "stops: a job of equal priority": victim_is("j3"),
    "stops: a job that nobody knows": victim_is(UNKNOWN),
    "stops: a job that waits": victim_is("j7"),
    "stops: another than the claim names": of("stops", job_id=JobId("j3")),
    "stops: an earlier attempt": of("stops", attempt=0),
    "stops: a later attempt": of("stops", attempt=2),
    "stops: for a queue of its own": of("stops", rule=StopRule.RECLAIM),
    "stops: to shrink what is not elastic": of("stops", rule=StopRule.SHRINK),
    "stops: to grow": of("stops", rule=StopRule.GROW),
    "stops: to move without going anywhere": of("stops", rule=StopRule.MOVE),
    "stops: for a drain that is not due": of("stops", rule=StopRule.DRAIN, by=NOBODY),
    "stops: for a window that is not there": of("stops", rule=StopRule.WINDOW, by=NOBODY),
    "stops: for nobody": of("stops", by=NOBODY),
    "stops: for somebody unknown": of("stops", by=UNKNOWN),
    "stops: for who claims nothing": of("stops", by=JobId("j6")),
    "stops: for itself": of("stops", by=JobId("j1")),
    "stops: without a reason": of("stops", reason=""),
    "stops: with another loss": of("stops", lost_gpu_ms=1),
    "stops: twice": twice("stops"),
    "stops: not at all": lambda plan: replace(plan, stops=()),
    "claims: not at all": lambda plan: replace(plan, claims=()),
    "claims: a job that runs": of("claims", job_id=JobId("j3")),
    "claims: a job that nobody knows": both(of("claims", job_id=UNKNOWN), of("stops", by=UNKNOWN)),
    "claims: another job than it is stopped for": of("claims", job_id=JobId("j7")),
    "claims: an attempt that has been": of("claims", attempt=0),
    "claims: an attempt too far": of("claims", attempt=2),
    "claims: what stays held": of("claims", placements=(place(1, 2),)),
    "claims: a silent node": of("claims", placements=(place(0, 1, node="n4"),)),
    "claims: a node that is not there": of("claims", placements=(place(0, 1, node="n9"),)),
    "claims: one device": of("claims", placements=(place(0),)),
    "claims: a device that is not there": of("claims", placements=(place(0, 8),)),
    "claims: two shards of one": of("claims", placements=(place(0, 1), place(2, 3))),
    "claims: no shard": of("claims", placements=()),
    "claims: another role": of("claims", placements=(place(0, 1, role=1),)),
    "claims: half the share": of("claims", placements=(place(0, 1, share_milli=500),)),
    "claims: CPU it does not ask": of("claims", placements=(place(0, 1, cpu_milli=1),)),
    "claims: memory it does not ask": of("claims", placements=(place(0, 1, memory_mib=1),)),
    "claims: a node alone, unasked": of("claims", placements=(place(0, 1, exclusive=True),)),
    "claims: without a reason": of("claims", reason=""),
    "claims: for no victim, though one is stopped": of("claims", victims=()),
    "claims: a victim that is not stopped": of("claims", victims=(JobId("j1"), JobId("j3"))),
    "claims: a victim twice": of("claims", victims=(JobId("j1"), JobId("j1"))),
    "claims: twice": twice("claims"),
    "unclaims: a job without a claim": lambda plan: replace(plan, unclaims=(JobId("j6"),)),
    "unclaims: a job that nobody knows": lambda plan: replace(plan, unclaims=(UNKNOWN,)),
    "starts: without a reason": of("starts", reason=""),
    "starts: what a claim takes": of("starts", job_id=JobId("j7"), placements=(place(0, 1),)),
    "starts: what has a claim": lambda plan: replace(
        plan, starts=(Start(JobId("j5"), 1, (place(0, 1),), "by hand"),)
    ),
    "planned: a job that runs": of("planned", job_id=JobId("j3")),
    "planned: a job that nobody knows": of("planned", job_id=UNKNOWN),
    "planned: a job that starts now": of("planned", job_id=JobId("j6")),
    "planned: a job that claims": of("planned", job_id=JobId("j5")),
    "planned: in the past": of("planned", start_ms=0),
    "planned: to end before it starts": of("planned", end_ms=1),
    "planned: a silent node": of("planned", placements=(place(0, 1, node="n4"),)),
    "planned: half a gang": of("planned", placements=()),
    "planned: a device too few": of("planned", placements=(place(0),)),
    "planned: without a reason": of("planned", reason=""),
    "planned: twice": twice("planned"),
    "unplanned: a job without a promise": lambda plan: replace(plan, unplanned=(JobId("j1"),)),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_bent_move_is_rejected(name: str) -> None:
    """With a reason. What hangs together is rejected together; what is left can be carried out."""
    world, plan = a_preemption()
    part = name.partition(":")[0]
    bent = WRONG[name](plan)
    assert bent != plan
    accepted, rejected = check(world.cluster, bent)
    assert rejected
    assert all(r.reason for r in rejected)
    if part in ("stops", "claims", "unclaims"):
        assert (accepted.stops, accepted.claims, accepted.unclaims) == ((), (), ())
    else:
        assert getattr(accepted, part) != getattr(bent, part)
        assert part == "starts" or accepted.starts == plan.starts
    assert check(world.cluster, accepted) == (accepted, ())
    world.commit(accepted)


def test_a_claim_is_kept_and_started_where_it_is() -> None:
    """Nobody starts elsewhere than claimed, gives it up for nothing or claims it again."""
    world, plan = a_preemption()
    world.commit(plan)
    claim = plan.claims[0]
    assert reasons(world, by_hand(world, unclaims=("j5",))) == [
        "gives up a claim that could be kept"
    ]
    again = by_hand(world, claims=(replace(claim, job_id=JobId("j7"), victims=()),))
    assert reasons(world, again) == ["n1: more is given out than it has"]
    early = Start(claim.job_id, 1, claim.placements, "by hand")
    assert reasons(world, by_hand(world, starts=(early,))) == ["n1: more is given out than it has"]
    world.exit(world.cluster.jobs[JobId("j1")])
    moved = replace(early, placements=(place(0, 2),))
    assert reasons(world, by_hand(world, starts=(moved,))) == ["does not start where its claim is"]
    other = replace(early, job_id=JobId("j7"))
    assert reasons(world, by_hand(world, starts=(other,))) == ["n1: more is given out than it has"]
    assert reasons(world, by_hand(world, starts=(early,))) == []
    world.do(ev.NodeCordoned, node_id=NodeId("n1"), by="ann", drain_ms=0)
    assert reasons(world, by_hand(world, unclaims=("j5",))) == []
    assert reasons(world, by_hand(world, unclaims=("j5", "j5"))) == ["gives up its claim twice"]


def test_a_node_that_one_wants_alone_is_not_shared() -> None:
    """Neither now, by who is still leaving, nor soon, by who stays."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 4)))
    first, second = running(world), running(world)
    alone = world.submit(one_role(gpus=2), priority=5, exclusive_node=True)
    plan = decide(world.cluster, world.policy)
    assert [stop.job_id for stop in plan.stops] == [first.id, second.id]
    half = replace(
        plan, stops=plan.stops[:1], claims=(replace(plan.claims[0], victims=(first.id,)),)
    )
    assert reasons(world, half) == ["n1: would be shared though one wants it alone"]
    world.commit(plan)
    world.exit(first)
    start = Start(alone.id, 1, plan.claims[0].placements, "by hand")
    shared = ["n1: would be shared though one wants it alone"]
    if set(start.placements[0].devices) == {0, 1}:
        assert reasons(world, by_hand(world, starts=(start,))) == shared
    world.exit(second)
    assert reasons(world, by_hand(world, starts=(start,))) == []


def test_a_job_is_protected_as_it_asked_and_a_preemptor_waits_its_delay() -> None:
    """Its first minutes, how often in a day, and a mode that never stops it."""
    for asks in (
        Preemption(min_runtime_ms=3_600_000),
        Preemption(mode=PreemptMode.SHRINK),
        Preemption(max_per_day=1),
    ):
        world = World()
        world.join("n1", inventory("n1", gpus("n1", 2)))
        elastic = Elastic(1, 1) if asks.mode is PreemptMode.SHRINK else None
        low = world.submit(one_role(gpus=2, elastic=elastic), preemption=asks)
        world.plan()
        world.start(low)
        if asks.max_per_day:
            low.preempted_ms += (world.now_ms,)
        world.submit(one_role(gpus=2), priority=5, preemption=Preemption())
        assert reasons(world, preempting(world, "j1", "j2"))
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 2)))
    running(world)
    world.submit(one_role(gpus=2), priority=5, preemption=Preemption(delay_ms=60_000))
    delay = ["j2 preempts before its delay has passed"]
    assert reasons(world, preempting(world, "j1", "j2")) == delay
    world.do(ev.Tick, 60_000)
    assert reasons(world, preempting(world, "j1", "j2")) == []
