"""What queues have in reserve: who breaks no cell, who makes way for one, what check proves."""

import random
from dataclasses import replace
from typing import Any

import pytest

from aimass.core import events as ev
from aimass.core.check import check
from aimass.core.codec import encode_snapshot, restore, state_hash
from aimass.core.decide import decide
from aimass.core.explain import explain
from aimass.core.model import Exit, ExitReason, Job, JobId, JobState, NodeId, StopRule
from aimass.core.plan import Claim, Plan, Start, Stop
from aimass.core.queue_problems import queue_problems, queue_warnings, staying_problem
from aimass.core.queues import Cell, QueueSpec
from aimass.core.reserves import CellState, cell_states, cell_text, cells_of
from aimass.core.spec import Elastic, Preemption, PreemptMode, Strategy, Topology
from aimass.core.whatif import Verdict, what_if
from tests.core.plans_by_hand import by_hand, lost_by, place, reasons
from tests.core.queue_world import queue_world
from tests.core.world import World, active_jobs, gpus, inventory, one_role

NODE = Cell(8, "H100", 1)
VISION = QueueSpec("vision", quota={"gpu": 8000}, reserve=(NODE,))
RESEARCH = QueueSpec("research", quota={"gpu": 8000})


def submit(world: World, queue: str, gpus: int, shards: int = 1, **fields: Any) -> Job:
    return world.submit(one_role(shards, gpus=gpus), queue=queue, **fields)


def a_world(*specs: QueueSpec, nodes: int = 2) -> World:
    """Nodes of 8 GPUs; vision has one of them in reserve."""
    return queue_world(*(specs or (VISION, RESEARCH)), nodes=nodes)


def code_of(world: World, job: Job) -> str:
    return explain(world.cluster, job, world.policy).code


def vision(world: World) -> CellState:
    return cell_states(world.cluster)["vision"][0]


def spread_over_both(world: World, **fields: Any) -> Job:
    """A job of research with one GPU on each of the two nodes, which no placer would choose."""
    job = submit(world, "research", 1, 2, **fields)
    places = (place(0, node="n1"), place(0, node="n2"))
    world.commit(by_hand(world, starts=(Start(job.id, 1, places, "by hand"),)))
    world.start(job)
    return job


# ---- who stays ----------------------------------------------------------------------------------


def test_who_stays_leaves_the_last_cell() -> None:
    world = a_world()
    first = submit(world, "research", 2, preemptible=False)
    world.plan()
    world.exit(first)
    submit(world, "research", 4, preemptible=False, node_selector={})
    second = submit(world, "research", 4, preemptible=False)
    world.plan()
    assert {p.node_id for p in second.current.placements} == {"n1"}
    assert vision(world) == CellState(NODE, 0, 0)


@pytest.mark.parametrize("mode", [PreemptMode.SHRINK, PreemptMode.REQUEUE])
def test_who_only_shrinks_stays(mode: PreemptMode) -> None:
    """Its smallest size nobody could take back."""
    world = a_world(nodes=1)
    roles = one_role(2, gpus=1, elastic=Elastic(1, 2))
    job = world.submit(roles, queue="research", preemption=Preemption(mode))
    world.plan()
    assert job.state.is_active == (mode is PreemptMode.REQUEUE)
    if mode is PreemptMode.SHRINK:
        assert code_of(world, job) == "QUOTA_RESERVE"


def test_a_node_alone_takes_all_its_gpus() -> None:
    world = a_world(nodes=1)
    without_gpus = world.submit(
        one_role(cpus=1), queue="research", preemptible=False, exclusive_node=True
    )
    world.plan()
    assert code_of(world, without_gpus) == "QUOTA_RESERVE"


def test_a_queue_may_break_its_own_cell_and_those_below_it_too() -> None:
    world = a_world(VISION, QueueSpec("dev", parent="vision"), nodes=1)
    for queue in ("vision", "dev"):
        job = submit(world, queue, 2, preemptible=False)
        world.plan()
        assert job.state.is_active
    assert vision(world) == CellState(NODE, 1, 0)


def test_a_queue_above_may_not_break_a_cell_below_it() -> None:
    below = replace(VISION, parent="lab")
    world = a_world(QueueSpec("lab", quota={"gpu": 8000}), below, nodes=1)
    job = submit(world, "lab", 2, preemptible=False)
    world.plan()
    assert code_of(world, job) == "QUOTA_RESERVE"


def test_two_reserves_do_not_count_the_same_node() -> None:
    world = a_world(VISION, replace(VISION, name="speech"), RESEARCH, nodes=3)
    for _ in range(2):
        submit(world, "research", 4, preemptible=False)
    submit(world, "default", 1, preemptible=True)
    world.plan()
    used = {p.node_id for job in world.cluster.active.values() for p in job.current.placements}
    assert "n1" in used
    cells = cells_of(world.cluster)
    assert cells is not None
    cells.refresh()
    assert cells.assign().missing == (0, 0)


def test_what_fits_nowhere_else_goes_where_no_cell_breaks() -> None:
    """The policy would put a gang of 12 on two whole nodes; one may be spared, one is broken."""
    world = a_world(VISION, replace(RESEARCH, quota={"gpu": 16000}), nodes=3)
    submit(world, "research", 3, preemptible=False)
    world.plan()
    gang = submit(world, "research", 1, 12, preemptible=False)
    world.plan()
    assert {p.node_id for p in gang.current.placements} == {"n1", "n2"}


def test_a_running_job_does_not_come_to_stay_in_the_last_cell() -> None:
    world = a_world(nodes=1)
    job = submit(world, "research", 1)
    world.plan()
    problem = staying_problem(world.cluster, job, replace(job.spec, preemptible=False))
    assert "vision" in problem
    world.join("n2", replace(world.cluster.nodes[NodeId("n1")].inventory, hostname="n2"))
    assert not staying_problem(world.cluster, job, replace(job.spec, preemptible=False))


# ---- who makes way ------------------------------------------------------------------------------


def test_a_cell_is_taken_from_who_is_within_its_guarantee() -> None:
    world = a_world()
    victim = spread_over_both(world)
    taker = submit(world, "vision", 8, preemptible=False)
    world.do(ev.Tick)
    plan = world.plan()
    assert [(stop.job_id, stop.rule, stop.by) for stop in plan.stops] == [
        (victim.id, StopRule.RESERVE, taker.id)
    ]
    world.exit(victim, how=Exit(signal=15, reason=ExitReason.STOPPED))
    world.settle()
    assert taker.state.is_active
    assert victim.state.is_active  # it goes on where it takes nothing from anybody
    assert decide(world.cluster, world.policy).is_still


@pytest.mark.parametrize(
    "fields",
    [
        {"preemptible": False},
        {"preemption": Preemption(min_runtime_ms=3_600_000)},
    ],
    ids=["it stays", "it is protected for an hour"],
)
def test_who_is_protected_keeps_its_place(fields: dict[str, Any]) -> None:
    world = a_world(RESEARCH, QueueSpec("vision", quota={"gpu": 8000}))
    spread_over_both(world, **fields)
    world.do(ev.QueuePut, spec=VISION)
    submit(world, "vision", 8)
    assert world.plan().stops == ()


def test_beyond_the_reserve_nobody_makes_way() -> None:
    wide = replace(VISION, quota={"gpu": 16000})
    world = a_world(wide, RESEARCH, nodes=3)
    first = submit(world, "vision", 8)
    world.plan()
    world.start(first)
    job = submit(world, "research", 1, 2)
    places = (place(0, node="n2"), place(0, node="n3"))
    world.commit(by_hand(world, starts=(Start(job.id, 1, places, "by hand"),)))
    world.start(job)
    submit(world, "vision", 8)
    assert world.plan().stops == ()


def test_a_cell_in_use_is_not_taken_by_another_reserve() -> None:
    """Else each would take it back from the other."""
    wide = replace(VISION, quota={"gpu": 16000})
    for has_reserve in (True, False):
        speech = replace(wide, name="speech", reserve=(NODE,) if has_reserve else ())
        world = a_world(wide, speech)
        for node, queue in (("n1", "vision"), ("n2", "speech")):
            job = submit(world, queue, 2)
            start = Start(job.id, 1, (place(0, 1, node=node),), "by hand")
            world.commit(by_hand(world, starts=(start,)))
            world.start(job)
        other = submit(world, "default", 1)
        start = Start(other.id, 1, (place(7, node="n1"),), "by hand")
        world.commit(by_hand(world, starts=(start,)))
        world.start(other)
        submit(world, "vision", 8)
        rules = [stop.rule for stop in world.plan().stops]
        assert (StopRule.RESERVE in rules) != has_reserve


# ---- check --------------------------------------------------------------------------------------


def taking(world: World, victim: Job, by: Job, rule: StopRule, *nodes: str) -> Plan:
    """`by` claims whole nodes, for which the victim is stopped."""
    stop = Stop(victim.id, victim.attempt, rule, by.id, "by hand", lost_by(world, victim.id))
    places = tuple(place(*range(8), node=node) for node in nodes)
    return by_hand(world, stops=(stop,), claims=(Claim(by.id, 1, places, "by hand", (victim.id,)),))


def test_check_takes_a_stop_for_a_cell_and_no_other() -> None:
    world = a_world(VISION, RESEARCH, QueueSpec("third", quota={"gpu": 8000}), nodes=3)
    victim = spread_over_both(world)
    vision_job, third = submit(world, "vision", 8), submit(world, "third", 8)
    gang = submit(world, "vision", 8, 2)
    right = taking(world, victim, vision_job, StopRule.RESERVE, "n1")
    assert check(world.cluster, right) == (right, ())
    for plan in (
        taking(world, victim, vision_job, StopRule.RECLAIM, "n1"),  # it borrows nothing
        taking(world, victim, vision_job, StopRule.PRIORITY, "n1"),
        taking(world, victim, third, StopRule.RESERVE, "n1"),  # no reserve
        taking(world, victim, gang, StopRule.RESERVE, "n1", "n2"),  # more than its reserve
        taking(world, victim, vision_job, StopRule.RESERVE, "n3"),  # the victim is not there
    ):
        accepted, rejected = check(world.cluster, plan)
        assert rejected
        assert accepted.is_empty


def test_check_keeps_a_cell_from_who_stays() -> None:
    world = a_world()
    jobs = [submit(world, "research", 1, preemptible=n > 1) for n in range(3)]
    starts = [
        Start(job.id, 1, (place(number, node=f"n{number % 2 + 1}"),), "by hand")
        for number, job in enumerate(jobs)
    ]
    accepted, rejected = check(world.cluster, by_hand(world, starts=tuple(starts)))
    assert [start.job_id for start in accepted.starts] == [jobs[0].id, jobs[2].id]
    assert [rejection.job_id for rejection in rejected] == [jobs[1].id]
    assert "vision" in rejected[0].reason


def test_check_counts_what_it_is_told_and_not_what_is_remembered() -> None:
    world = a_world()
    job = submit(world, "research", 1, preemptible=False)
    world.do(ev.NodeCordoned, node_id=NodeId("n1"), by="ann")
    plan = by_hand(world, starts=(Start(job.id, 1, (place(0, node="n2"),), "by hand"),))
    assert any("reserve" in reason for reason in reasons(world, plan))


# ---- what is said of it -------------------------------------------------------------------------


def test_plan_why_and_decide_agree() -> None:
    world = a_world(nodes=1)
    spec = submit(world, "research", 1, preemptible=False).spec
    snapshot = encode_snapshot(world.cluster)
    answer = what_if(snapshot, spec, "ann", world.policy, world.now_ms)
    assert answer.verdict is Verdict.WAITS
    job = world.cluster.jobs[JobId("j1")]
    found = explain(world.cluster, job, world.policy)
    assert found.code == "QUOTA_RESERVE"
    assert [change.kind for change in found.changes] == ["QUEUE", "PREEMPTIBLE"]
    world.do(ev.JobUpdated, job_id=job.id, spec=found.changes[1].spec, by="ann")
    world.plan()
    assert job.state.is_active


def test_lost_nodes_are_said_and_stop_nobody() -> None:
    world = a_world()
    job = submit(world, "research", 1, preemptible=False)
    world.plan()
    world.start(job)
    assert vision(world) == CellState(NODE, 0, 0)
    world.do(ev.NodeSilent, node_id=NodeId("n2"), reason="no heartbeat")
    assert vision(world) == CellState(NODE, 0, 1)
    assert world.plan().is_empty
    assert any("cannot be had" in text for text in queue_warnings(world.cluster, VISION))
    world.join("n2", world.cluster.nodes[NodeId("n2")].inventory)
    assert vision(world) == CellState(NODE, 0, 0)
    assert queue_warnings(world.cluster, VISION) == []


def test_why_of_its_own_jobs_says_what_of_the_reserve_is_missing() -> None:
    world = a_world()
    world.do(ev.NodeSilent, node_id=NodeId("n2"), reason="no heartbeat")
    submit(world, "research", 8)
    world.plan()
    world.do(ev.NodeSilent, node_id=NodeId("n1"), reason="no heartbeat")
    job = submit(world, "vision", 8)
    found = explain(world.cluster, job, world.policy)
    assert any(text.startswith("1 of the 1 x (8 H100 on one node)") for text in found.unblock)


def test_why_names_who_stands_in_a_cell_and_is_protected() -> None:
    world = a_world()
    victim = spread_over_both(world, preemption=Preemption(min_runtime_ms=3_600_000))
    job = submit(world, "vision", 8)
    world.plan()
    found = explain(world.cluster, job, world.policy)
    kept = [blocker.text for blocker in found.blockers if blocker.code == "MIN_RUNTIME"]
    assert len(kept) == 1
    assert victim.id in kept[0]


def test_a_snapshot_has_reserves_and_without_any_is_what_it_was() -> None:
    world = a_world()
    again = restore(encode_snapshot(world.cluster))
    assert again.queues["vision"].spec == VISION
    assert state_hash(again) == state_hash(world.cluster)
    world.do(ev.QueuePut, spec=replace(VISION, reserve=()))
    assert b"reserve" not in encode_snapshot(world.cluster)
    assert cells_of(world.cluster) is None


# ---- the guarantee ------------------------------------------------------------------------------

RACKS = {f"n{number}": {"rack": f"r{(number - 1) // 2}"} for number in range(1, 5)}
SHAPES = (Cell(8, "H100", 2), Cell(4, "H100", 4), Cell(8, "H100", 1, 2, "rack"))


def a_crowd(world: World, draw: random.Random) -> None:
    """Jobs of others come and go, in any size; whoever cannot be preempted is among them."""
    for _ in range(60):
        if draw.random() < 0.6:
            submit(
                world,
                draw.choice(("research", "default")),
                draw.choice((1, 1, 2, 4, 8)),
                draw.choice((1, 1, 2, 3)),
                preemptible=draw.random() < 0.5,
                strategy=draw.choice((Strategy.DEFAULT, Strategy.SPREAD)),
            )
        elif active := active_jobs(world.cluster):
            world.exit(draw.choice(active))
        world.settle()
        for job in active_jobs(world.cluster):
            if job.state is JobState.PLACED:
                world.start(job)


@pytest.mark.parametrize("shape", SHAPES, ids=cell_text)
@pytest.mark.parametrize("seed", range(8))
def test_whatever_others_do_a_queue_gets_its_cells(seed: int, shape: Cell) -> None:
    """At once, or when those have left who agreed to be preemptible; and all of them together."""
    world = World()
    world.do(ev.LevelsPut, levels=("rack",))
    for name, labels in RACKS.items():
        world.join(name, inventory(name, gpus(name, 8), labels=labels))
    for spec in (replace(VISION, quota={"gpu": 16000}, reserve=(shape,)), RESEARCH):
        assert list(queue_problems(world.cluster, spec)) == []
        world.do(ev.QueuePut, spec=replace(spec, quota={"gpu": 16000}))
    a_crowd(world, random.Random(seed))
    topology = Topology(required=shape.level)
    jobs = [
        submit(world, "vision", shape.gpus, shape.shards, topology=topology, preemptible=False)
        for _ in range(shape.count)
    ]
    for _ in range(2 * shape.count):
        world.settle()
        for job in active_jobs(world.cluster):
            if job.state is JobState.STOPPING:
                world.exit(job, how=Exit(signal=15, reason=ExitReason.STOPPED))
    assert [job.state for job in jobs] == [JobState.PLACED] * shape.count
