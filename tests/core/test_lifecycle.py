"""The tables are the whole life: every row is reached by events, and nothing else can happen."""

from typing import Any

import pytest

from aimass.core import events as ev
from aimass.core.lifecycle import (
    JOB_TRANSITIONS,
    NODE_TRANSITIONS,
    JobTrigger,
    NodeTrigger,
    diagram,
    move_job,
    move_node,
)
from aimass.core.model import (
    Exit,
    ExitReason,
    Job,
    JobId,
    JobState,
    Node,
    NodeState,
    Placement,
    StopRule,
)
from aimass.core.plan import Claim, Planned, Start, Stop
from aimass.core.spec import Dependency, Elastic, JobSpec
from tests.core.world import World, active_jobs, gpus, inventory, one_role

ILLEGAL_JOB_MOVES = [
    (state, trigger)
    for state in JobState
    for trigger in JobTrigger
    if (state, trigger) not in JOB_TRANSITIONS
]
ILLEGAL_NODE_MOVES = [
    (state, trigger)
    for state in NodeState
    for trigger in NodeTrigger
    if (state, trigger) not in NODE_TRANSITIONS
]


def a_job() -> Job:
    """Any job."""
    return World().submit(one_role())


def a_node() -> Node:
    """Any node."""
    return World().join("n1", inventory("n1"))


@pytest.mark.parametrize(("state", "trigger"), ILLEGAL_JOB_MOVES)
def test_an_illegal_move_of_a_job_raises_and_changes_nothing(
    state: JobState, trigger: JobTrigger
) -> None:
    """It is a bug in apply, never a user's mistake."""
    job = a_job()
    job.state = state
    with pytest.raises(AssertionError, match=f"j1: {state.value} cannot {trigger.name}"):
        move_job(job, trigger)
    assert job.state is state


@pytest.mark.parametrize(("state", "trigger"), ILLEGAL_NODE_MOVES)
def test_an_illegal_move_of_a_node_raises_and_changes_nothing(
    state: NodeState, trigger: NodeTrigger
) -> None:
    """The stamp of when and why stays as well."""
    node = a_node()
    node.state = state
    before = (node.state, node.since_ms, node.reason)
    with pytest.raises(AssertionError, match=f"n1: {state.value} cannot {trigger.name}"):
        move_node(node, trigger, 10**6, "why")
    assert (node.state, node.since_ms, node.reason) == before


@pytest.mark.parametrize(("row", "target"), JOB_TRANSITIONS.items())
def test_every_row_moves_a_job(row: tuple[JobState, JobTrigger], target: JobState) -> None:
    """The table is what moves."""
    job = a_job()
    job.state = row[0]
    move_job(job, row[1])
    assert job.state is target


def test_nothing_leads_out_of_an_end() -> None:
    """Over is over."""
    assert {state for state, _ in JOB_TRANSITIONS} == {s for s in JobState if not s.is_over}


def test_a_node_is_stamped_when_its_state_changes_and_not_otherwise() -> None:
    """`since` says since when it is as it is; another registration does not renew it."""
    node = a_node()
    joined_ms = node.since_ms
    move_node(node, NodeTrigger.REGISTER, joined_ms + 1, "")
    assert node.since_ms == joined_ms
    move_node(node, NodeTrigger.SILENCE, joined_ms + 2, "no heartbeat")
    assert (node.since_ms, node.reason) == (joined_ms + 2, "no heartbeat")


def test_events_reach_every_row_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that no event reaches is dead; one that is missing stops the scheduler."""
    jobs: set[tuple[JobState, JobTrigger]] = set()
    nodes: set[tuple[NodeState, NodeTrigger]] = set()

    def watched_job(job: Job, trigger: JobTrigger) -> None:
        jobs.add((job.state, trigger))
        move_job(job, trigger)

    def watched_node(node: Node, trigger: NodeTrigger, at_ms: int, reason: str) -> None:
        nodes.add((node.state, trigger))
        move_node(node, trigger, at_ms, reason)

    monkeypatch.setattr("aimass.core.moves.move_job", watched_job)
    monkeypatch.setattr("aimass.core.moves._STEPS", {})  # what it knows of the table beforehand
    monkeypatch.setattr("aimass.core.apply_nodes.move_node", watched_node)
    live_through_everything(World())
    live_through_holds_and_dependencies(World())
    live_through_claims(World())
    assert jobs == set(JOB_TRANSITIONS)
    assert nodes == set(NODE_TRANSITIONS)


def live_through_everything(world: World) -> None:
    """Every way through the life of a job and of a node."""
    reported = inventory("n1", gpus("n1", 8))
    node = world.join("n1", reported)
    world.join("n1", reported)
    world.cancel(world.submit(one_role()))  # QUEUED
    pairs = [world.submit(one_role(2, gpus=1)) for _ in range(4)]
    world.plan()
    placed, starting, running, done = pairs
    world.cancel(placed)
    world.start(starting, [0])
    world.exit(starting, [1], Exit(reason=ExitReason.LAUNCH_FAILED))
    for job in (running, done):
        world.start(job, [0])
        world.start(job, [1])
    world.exit(running, [0], Exit(signal=9))
    for job in pairs:
        world.exit(job)
    alone = world.submit(one_role(gpus=1))
    world.plan()
    world.start(alone)
    world.exit(alone, how=Exit(reason=ExitReason.SUPERVISOR_LOST))
    world.do(ev.NodeSilent, node_id=node.id, reason="no heartbeat")
    world.join("n1", reported)
    world.do(ev.NodeSilent, node_id=node.id, reason="no heartbeat")
    world.do(ev.LeaseExpired, node_id=node.id)
    world.join("n1", reported)


def live_through_holds_and_dependencies(world: World) -> None:
    """Every way in and out of HELD, and the ends that come without an attempt."""
    world.join("n1", inventory("n1", gpus("n1", 8)))
    held = world.submit_spec(JobSpec("held", one_role()), held=True)
    world.do(ev.JobReleased, job_id=held.id, by="ann")
    world.do(ev.JobHeld, job_id=held.id, by="ann")
    waits = JobSpec("waits", one_role(), depends_on=(Dependency(held.id),))
    world.submit_spec(waits)
    world.submit_spec(waits, held=True)
    world.cancel(held)
    runs = world.submit(one_role(gpus=1))
    world.plan()
    world.do(ev.JobRequeueRequested, job_id=runs.id, by="ann", suspend=True)
    world.exit(runs, how=Exit(reason=ExitReason.STOPPED))
    world.do(ev.JobReleased, job_id=runs.id, by="ann")
    world.plan()
    world.do(ev.JobRequeueRequested, job_id=runs.id, by="ann")
    world.exit(runs)  # before the order reached it


def live_through_claims(world: World) -> None:
    """Every way in and out of RESERVED."""
    world.join("n1", inventory("n1", gpus("n1", 8)))
    for end in (dropped, held_back, cancelled, too_late, placed):
        victim = world.submit(one_role(8, gpus=1))
        world.plan()
        owner = world.submit(one_role(gpus=1), deadline_ms=world.now_ms + 600_000)
        preempt(world, victim, owner)
        end(world, owner)
        world.cancel(victim)
        if victim.state.is_active:
            world.exit(victim, how=Exit(reason=ExitReason.STOPPED))
        for job in active_jobs(world.cluster):
            world.exit(job)
    resize(world)


def preempt(world: World, victim: Job, owner: Job) -> None:
    """A plan stops one for the other, which owns a place of it."""
    place = victim.current.placements[0]
    stop = Stop(victim.id, victim.attempt, StopRule.PRIORITY, owner.id, "it is first")
    claim = Claim(owner.id, owner.attempt + 1, (place,), "it is first", (victim.id,))
    commit(world, stops=(stop,), claims=(claim,))


def commit(world: World, **parts: Any) -> None:
    """A plan that somebody made by hand."""
    world.do(ev.PlanCommitted, basis=world.cluster.revision, policy="by hand", **parts)


def resize(world: World) -> None:
    """The job stops, and owns its next places at once."""
    job = world.submit(one_role(2, gpus=1, elastic=Elastic(1, 2)))
    world.plan()
    stop = Stop(job.id, job.attempt, StopRule.SHRINK, JobId(""), "smaller")
    claim = Claim(job.id, job.attempt + 1, job.current.placements[:1], "smaller", (job.id,))
    commit(world, stops=(stop,), claims=(claim,))
    world.exit(job, how=Exit(reason=ExitReason.STOPPED))
    assert job.state is JobState.RESERVED


def dropped(world: World, owner: Job) -> None:
    """Its claim cannot be kept."""
    commit(world, unclaims=(owner.id,))
    world.cancel(owner)


def held_back(world: World, owner: Job) -> None:
    """Its user holds it."""
    world.do(ev.JobHeld, job_id=owner.id, by="ann")
    world.cancel(owner)


def cancelled(world: World, owner: Job) -> None:
    """Its user gives it up."""
    world.cancel(owner)


def too_late(world: World, owner: Job) -> None:
    """It can no longer be over by its deadline."""
    world.do(ev.Tick, owner.spec.deadline_ms + 1 - world.now_ms)
    assert owner.state is JobState.FAILED


def placed(world: World, owner: Job) -> None:
    """Its victim has left."""
    victim = active_jobs(world.cluster)[0]
    world.exit(victim, how=Exit(reason=ExitReason.STOPPED))
    claim = world.cluster.claims[owner.id]
    start = Start(owner.id, claim.attempt, claim.placements, claim.reason)
    commit(world, starts=(start,))


def test_a_held_device_may_say_that_it_is_of_another_model() -> None:
    """What is taken out of the queues' accounts is what was entered; World checks them."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 2)))
    job = world.submit(one_role(gpus=1))
    world.plan()
    renamed = inventory("n1", gpus("n1", 2, "A100"))
    world.do(ev.InventoryChanged, node_id=job.current.placements[0].node_id, inventory=renamed)
    assert world.cluster.queues["root"].used["gpu:A100"] == 1000
    world.exit(job)
    assert not any(world.cluster.queues["root"].used.values())


def test_a_promise_ends_when_the_devices_it_names_change() -> None:
    """It names them by index, and does not keep them as a claim does."""
    world = World()
    node = world.join("n1", inventory("n1", gpus("n1", 2)))
    world.submit(one_role(gpus=2))
    world.plan()
    job = world.submit(one_role(gpus=2))
    place = Placement(0, node.id, (0, 1), 1000, 0, 0)
    commit(world, planned=(Planned(job.id, 10**6, 10**7, (place,), False, "some day"),))
    world.join("n1", inventory("n1", gpus("n1", 2)))
    assert job.id in world.cluster.planned
    world.join("n1", inventory("n1", gpus("n1", 1)))
    assert world.cluster.planned == {}


def test_the_diagram_has_a_line_per_row() -> None:
    """ARCHITECTURE.md shows what the tables say."""
    lines = diagram().splitlines()
    rows = len(JOB_TRANSITIONS) + len(NODE_TRANSITIONS)
    assert sum("-->" in line for line in lines) == rows
    assert "    QUEUED --> PLACED: a plan gave every shard a place" in lines
    assert lines.count("```mermaid") == 2
