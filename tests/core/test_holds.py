"""Hold, release, update, requeue and cancel: in every state, and repeated or late."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from aimass.core import events as ev
from aimass.core.apply_jobs import update_problem
from aimass.core.arrays import jobs_of
from aimass.core.codec import state_hash
from aimass.core.invariants import check_invariants
from aimass.core.model import Exit, ExitReason, Goal, Job, JobId, JobState, StopRule
from aimass.core.plan import Claim, Stop
from aimass.core.spec import Array, Checkpoint, Elastic, JobSpec, Retry, RetryAction, RetryRule
from tests.core.world import World, gpus, inventory, one_role

STOPPED = Exit(reason=ExitReason.STOPPED, signal=15)


def a_world() -> World:
    """With eight GPUs."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 8)))
    return world


def queued(world: World) -> Job:
    """It waits."""
    return world.submit(one_role(16, gpus=1))


def held(world: World) -> Job:
    """Its user has held it."""
    job = queued(world)
    world.do(ev.JobHeld, job_id=job.id, by="ann")
    return job


def reserved(world: World) -> Job:
    """It owns what another is leaving."""
    running(world)
    job = world.submit(one_role(8, gpus=1), priority=9)
    world.plan()
    assert job.state is JobState.RESERVED
    return job


def running(world: World) -> Job:
    """All its shards run."""
    job = world.submit(one_role(8, gpus=1), checkpoint=Checkpoint("SIGUSR1", 5000))
    world.plan()
    world.start(job)
    return job


def resizing(world: World) -> Job:
    """It leaves, to go on in another size."""
    job = world.submit(one_role(2, gpus=1, elastic=Elastic(1, 2)))
    world.plan()
    stop = Stop(job.id, job.attempt, StopRule.SHRINK, JobId(""), "smaller")
    claim = Claim(job.id, job.attempt + 1, job.current.placements[:1], "smaller", (job.id,))
    basis = world.cluster.revision
    world.do(ev.PlanCommitted, basis=basis, policy="by hand", stops=(stop,), claims=(claim,))
    return job


def over(world: World) -> Job:
    """It has been cancelled."""
    job = queued(world)
    world.cancel(job)
    return job


STATES = (queued, held, reserved, running, resizing, over)


def hold(world: World, job: Job) -> None:
    """Ann holds it."""
    world.do(ev.JobHeld, job_id=job.id, by="ann", reason="later")


def release(world: World, job: Job) -> None:
    """Ann lets it go."""
    world.do(ev.JobReleased, job_id=job.id, by="ann")


def requeue(world: World, job: Job) -> None:
    """Ann wants it to start anew."""
    world.do(ev.JobRequeueRequested, job_id=job.id, by="ann")


def suspend(world: World, job: Job) -> None:
    """Ann wants it out of the way."""
    world.do(ev.JobRequeueRequested, job_id=job.id, by="ann", suspend=True)


def cancel(world: World, job: Job) -> None:
    """Ann gives it up."""
    world.cancel(job)


EXPECTED: dict[Callable[[World, Job], None], list[str]] = {
    # in the order of STATES; when it had to stop: once it has stopped
    hold: ["HELD", "HELD", "HELD", "RUNNING", "RESERVED", "CANCELLED"],
    release: ["QUEUED", "QUEUED", "RESERVED", "RUNNING", "RESERVED", "CANCELLED"],
    requeue: ["QUEUED", "HELD", "QUEUED", "QUEUED", "QUEUED", "CANCELLED"],
    suspend: ["HELD", "HELD", "HELD", "HELD", "HELD", "CANCELLED"],
    cancel: ["CANCELLED"] * 6,
}


@pytest.mark.parametrize(
    ("ask", "state", "expected"),
    [(ask, state, row[i]) for ask, row in EXPECTED.items() for i, state in enumerate(STATES)],
)
def test_every_request_in_every_state(
    ask: Callable[[World, Job], None], state: Callable[[World], Job], expected: str
) -> None:
    """Asking twice is asking once, and a claim never outlives its reason."""
    world = a_world()
    job = state(world)
    ask(world, job)
    once = replace(job)
    ask(world, job)
    assert (job.state, job.hold_reason) == (once.state, once.hold_reason)
    if job.state is JobState.STOPPING:
        world.exit(job, how=STOPPED)
    assert job.state.value == expected
    assert (job.id in world.cluster.claims) == (job.state is JobState.RESERVED)


@pytest.mark.parametrize("ask", EXPECTED)
def test_a_job_that_nobody_knows_changes_nothing(ask: Callable[[World, Job], None]) -> None:
    """It may have been forgotten since."""
    world = a_world()
    job = queued(world)
    ghost = replace(job, id=JobId("j99"))
    ask(world, ghost)
    world.do(ev.JobUpdated, job_id=ghost.id, spec=job.spec, by="ann")
    assert job.state is JobState.QUEUED


def test_a_requeue_tells_of_the_checkpoint_and_counts_nothing() -> None:
    """As any stop that is not its own."""
    world = a_world()
    job = running(world)
    requeue(world, job)
    assert (job.current.stop_goal, job.current.notice_ms) == (Goal.REQUEUE, 5000)
    world.exit(job, how=STOPPED)
    assert (job.state, job.retries, job.losses) == (JobState.QUEUED, 0, 0)
    assert job.attempts[-1].outcome == "requeued by ann"


@pytest.mark.parametrize("goal", ["preempted", "failed", "cancelled"])
def test_a_stop_under_way_may_become_a_suspension_but_no_cancel_does(goal: str) -> None:
    """Nor is a failure that nobody retries undone."""
    world = a_world()
    job = running(world)
    if goal == "preempted":
        world.submit(one_role(8, gpus=1), priority=9)
        world.plan()
    elif goal == "failed":
        world.exit(job, [0], Exit(code=1))
    else:
        world.cancel(job)
    suspend(world, job)
    world.exit(job, how=STOPPED)
    states = {"preempted": JobState.HELD, "failed": JobState.FAILED}
    assert job.state is states.get(goal, JobState.CANCELLED)


@pytest.mark.parametrize("ask", [requeue, suspend])
def test_who_ends_by_itself_meanwhile_has_succeeded(ask: Callable[[World, Job], None]) -> None:
    """Nothing is run twice; and after a walltime as well."""
    world = a_world()
    job = running(world)
    ask(world, job)
    world.exit(job)
    assert (job.state, job.outcome) == (JobState.SUCCEEDED, "every shard exited with 0")


def test_a_resize_that_ends_in_success_gives_up_its_claim() -> None:
    """Its next places are free for others."""
    world = a_world()
    job = resizing(world)
    world.exit(job)
    assert (job.state, world.cluster.claims) == (JobState.SUCCEEDED, {})


def test_a_stopped_program_that_exits_with_0_has_not_succeeded() -> None:
    """It wrote its checkpoint, and goes on from there."""
    world = a_world()
    job = running(world)
    requeue(world, job)
    world.exit(job, how=Exit(reason=ExitReason.STOPPED))
    assert job.state is JobState.QUEUED


def test_a_job_may_be_submitted_held() -> None:
    """All tasks of an array alike."""
    world = a_world()
    first = world.submit_spec(JobSpec("sweep", one_role(), array=Array((0, 1))), held=True)
    tasks = jobs_of(world.cluster, first.array_id)
    assert [(task.state, task.hold_reason) for task in tasks] == [
        (JobState.HELD, "held by ann")
    ] * 2
    assert len(world.cluster.waiting) == 0


def test_an_update_moves_a_waiting_job_to_where_it_now_belongs() -> None:
    """Its place by submit order stays; the nodes that it avoided are forgotten."""
    world = a_world()
    job = world.submit(one_role(gpus=1))
    job.avoid = (world.cluster.nodes["n1"].id,)  # type: ignore[index]
    spec = replace(job.spec, priority=7, start_after_ms=60_000)
    world.do(ev.JobUpdated, job_id=job.id, spec=spec, by="ann")
    assert (job.avoid, job.not_before_ms) == ((), 60_000)
    assert job.id not in world.cluster.waiting
    world.wait(60_000)
    assert job.state is JobState.PLACED


def test_an_update_of_the_next_in_line_gives_up_its_claim() -> None:
    """It asks for something else now."""
    world = a_world()
    job = reserved(world)
    spec = replace(job.spec, roles=one_role(2, gpus=1))
    world.do(ev.JobUpdated, job_id=job.id, spec=spec, by="ann")
    assert (job.state, world.cluster.claims) == (JobState.QUEUED, {})


def test_of_a_running_job_only_limits_and_rules_change() -> None:
    """The edge says what cannot; apply takes nothing else."""
    world = a_world()
    job = running(world)
    rule = RetryRule(RetryAction.HOLD)
    may = replace(
        job.spec,
        **{"priority": 3, "walltime_ms": 9_000_000, "preemptible": False, "grace_ms": 1},
        retry=Retry(1, rules=(rule,)),
    )
    assert update_problem(job, may) == ""
    may_not = replace(may, name="other", env={"A": "1"})
    assert update_problem(job, may_not).startswith("j1 is RUNNING: name, env cannot change now")
    world.do(ev.JobUpdated, job_id=job.id, spec=may_not, by="ann")
    assert job.spec == may
    always = a_world()
    always.submit(one_role(8, gpus=1), preemptible=False)
    always.plan()
    root = world.cluster.queues["root"]
    assert root.firm == always.cluster.queues["root"].firm
    world.exit(job)
    assert not any(root.firm.values())
    assert not any(root.used.values())


def test_an_array_keeps_its_indexes() -> None:
    """Its tasks are there already; and what is over stays as it was."""
    world = a_world()
    task = world.submit_spec(JobSpec("sweep", one_role(), array=Array((0, 1))))
    assert "fixed when it is submitted" in update_problem(task, replace(task.spec, array=None))
    world.cancel(task)
    assert "what is over is not changed" in update_problem(task, task.spec)


def test_a_late_request_changes_nothing() -> None:
    """For a job that is over, the state stays as it is but for the revision."""
    world = a_world()
    job = over(world)
    before = replace(job)
    for ask in EXPECTED:
        ask(world, job)
    world.do(ev.JobUpdated, job_id=job.id, spec=replace(job.spec, priority=1), by="ann")
    assert job == before
    check_invariants(world.cluster)
    assert state_hash(world.cluster)
