"""Arrays and dependencies: who waits for whom, and what the end of one does to the others."""

from collections.abc import Callable
from typing import Any

import pytest

from aimass.core import cluster as cluster_module
from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.arrays import jobs_of, task_id
from aimass.core.codec import encode_snapshot, restore, state_hash
from aimass.core.depends import dependency_problem
from aimass.core.invariants import check_invariants
from aimass.core.model import Exit, Job, JobId, JobState
from aimass.core.spec import Array, Dependency, DependsOn, JobSpec
from tests.core.world import World, gpus, inventory, one_role

ENDS: dict[str, Callable[[World, Job], None]] = {
    "SUCCEEDED": lambda world, job: world.exit(job),
    "FAILED": lambda world, job: world.exit(job, how=Exit(code=1)),
    "CANCELLED": lambda world, job: cancel_and_exit(world, job),
}


def cancel_and_exit(world: World, job: Job) -> None:
    """It is cancelled, and leaves."""
    world.cancel(job)
    world.exit(job)


def a_world() -> World:
    """With room for everybody."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 8)))
    return world


def after(job_id: str, condition: DependsOn = DependsOn.SUCCESS, **fields: Any) -> JobSpec:
    """A job that waits for another."""
    return JobSpec("after", one_role(), depends_on=(Dependency(job_id, condition),), **fields)


def an_array(*indexes: int, most: int = 0) -> JobSpec:
    """An array of one-GPU tasks."""
    return JobSpec("sweep", one_role(gpus=1), array=Array(indexes, most))


@pytest.mark.parametrize("is_early", [True, False])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("condition", [DependsOn.SUCCESS, DependsOn.ANY, DependsOn.FAILURE])
def test_an_end_lets_go_or_fails_who_waits(condition: DependsOn, end: str, is_early: bool) -> None:
    """The same whether the end comes before the submission or after it; then the edge refuses."""
    world = a_world()
    first = world.submit(one_role(gpus=1))
    world.plan()
    spec = after(first.id, condition)
    goes_on = condition is DependsOn.ANY or (condition is DependsOn.SUCCESS) == (end == "SUCCEEDED")
    if is_early:
        second = world.submit_spec(spec)
        assert (second.state, second.unmet) == (JobState.QUEUED, (first.id,))
        assert second.id not in world.cluster.waiting
    ENDS[end](world, first)
    if not is_early:
        assert bool(dependency_problem(world.cluster, spec)) != goes_on
        job_id = JobId(f"j{world.cluster.next_seq}")
        world.do(ev.JobSubmitted, job_id=job_id, spec=spec, user="ann")
        second = world.cluster.jobs[job_id]
    if goes_on:
        assert second.id in world.cluster.waiting
    else:
        wanted = "failure" if condition is DependsOn.FAILURE else "success"
        outcome = f"depends on the {wanted} of j1, which ended as {end}"
        assert (second.state, second.outcome) == (JobState.FAILED, outcome)


def test_a_long_chain_fails_at_once() -> None:
    """Longer than the stack is deep; and nobody waits for ever for what cannot come."""
    world = a_world()
    jobs = [world.submit(one_role())]
    for _ in range(1500):
        spec = after(jobs[-1].id)
        jobs.append(submit_unchecked(world, spec))
    world.cancel(jobs[0])
    assert {job.state for job in jobs[1:]} == {JobState.FAILED}
    assert world.cluster.dependents == {}


def submit_unchecked(world: World, spec: JobSpec) -> Job:
    """Without a look at every invariant, which would take a while."""
    job_id = JobId(f"j{world.cluster.next_seq}")
    apply(world.cluster, ev.JobSubmitted(world.now_ms, job_id, spec, "ann"))
    return world.cluster.jobs[job_id]


def test_several_dependencies_must_all_be_met() -> None:
    """In any order; a job may wait for jobs and for time at once."""
    world = a_world()
    one, two = world.submit(one_role()), world.submit(one_role())
    both = JobSpec(
        "both",
        one_role(),
        depends_on=(Dependency(one.id), Dependency(two.id, DependsOn.ANY)),
        start_after_ms=60_000,
    )
    job = world.submit_spec(both)
    world.cancel(two)
    assert job.unmet == (one.id,)
    world.plan()
    world.exit(one)
    assert job.unmet == ()
    assert job.id not in world.cluster.waiting
    world.wait(60_000)
    assert job.state is JobState.PLACED


def test_tasks_have_sequences_and_ids_of_their_own() -> None:
    """The next job comes after all of them; the array's id stands for its tasks."""
    world = a_world()
    world.submit(one_role())
    task = world.submit_spec(an_array(0, 3, 7), key="once")
    last = world.submit(one_role())
    assert [job.id for job in jobs_of(world.cluster, "j2")] == ["j2_0", "j2_3", "j2_7"]
    assert (task.array_id, task.array_index, task.submit_seq) == ("j2", 0, 2)
    assert (last.id, last.submit_seq) == ("j5", 5)
    assert world.cluster.by_key == {"once": "j2"}
    assert jobs_of(world.cluster, "j5") == [last]
    assert jobs_of(world.cluster, "j3") == []
    assert task_id("j2", 3) == "j2_3"


def test_an_array_is_over_with_its_last_task() -> None:
    """It has succeeded when no task failed; one that did is enough to fail who wanted success."""
    world = a_world()
    tasks = jobs_of(world.cluster, world.submit_spec(an_array(0, 1)).array_id)
    success, failure = (
        world.submit_spec(after("j1", condition))
        for condition in (DependsOn.SUCCESS, DependsOn.FAILURE)
    )
    world.plan()
    world.exit(tasks[0], how=Exit(code=1))
    assert {success.state, failure.state} == {JobState.QUEUED}
    world.exit(tasks[1])
    row = world.cluster.arrays[JobId("j1")]
    assert (row.total, row.over, row.failed, row.active) == (2, 2, 1, 0)
    assert success.state is JobState.FAILED
    assert failure.id in world.cluster.waiting


def test_each_task_waits_for_its_own() -> None:
    """Also when some have ended before."""
    world = a_world()
    first = jobs_of(world.cluster, world.submit_spec(an_array(0, 1, 2)).array_id)
    world.plan()
    world.exit(first[1])
    spec = after("j1", DependsOn.EACH, array=Array((1, 2)))
    second = jobs_of(world.cluster, world.submit_spec(spec).array_id)
    assert [job.unmet for job in second] == [(), ("j1_2",)]
    world.exit(first[2])
    assert all(job.id in world.cluster.waiting for job in second)


def test_the_edge_says_why_a_dependency_is_impossible() -> None:
    """Unknown, forgotten, no array, other indexes, ended otherwise."""
    world = a_world()
    single, task = world.submit(one_role()), world.submit_spec(an_array(0, 1))
    world.cancel(single)

    def problem(job_id: str, condition: DependsOn, **fields: Any) -> str:
        return dependency_problem(world.cluster, after(job_id, condition, **fields))

    assert problem("j9", DependsOn.ANY) == "there is no job j9; massctl ls shows those there are"
    assert "is forgotten" in problem("j3", DependsOn.ANY)
    two, three = Array((0, 1)), Array((0, 1, 2))
    assert "j1 is no array" in problem("j1", DependsOn.EACH, array=two)
    assert problem(task.array_id, DependsOn.EACH, array=two) == ""
    assert "other indexes" in problem(task.array_id, DependsOn.EACH, array=three)
    assert "which ended as CANCELLED" in problem("j1", DependsOn.SUCCESS)
    assert problem("j1", DependsOn.FAILURE) == ""


@pytest.mark.parametrize("link", ["j1", "j1_0"])
def test_a_cycle_through_an_update_is_seen(link: str) -> None:
    """Through an array as a whole, too: each of its tasks would wait for itself."""
    world = a_world()
    first = world.submit_spec(an_array(0, 1) if link == "j1_0" else JobSpec("one", one_role()))
    target = first.array_id or first.id
    second = world.submit_spec(after(target))
    third = world.submit_spec(after(second.id))
    cluster = world.cluster
    found = dependency_problem(cluster, after(third.id), first.id)
    assert found == (
        f"they would wait for each other: {link} -> {third.id} -> {second.id} -> {link}"
    )
    assert dependency_problem(cluster, after(first.id), third.id) == ""
    assert "wait for each other" in dependency_problem(cluster, after(target), first.id)


def test_an_update_changes_who_is_waited_for() -> None:
    """What was met stays met, even when it is forgotten by then."""
    world = a_world()
    one, two = world.submit(one_role()), world.submit(one_role())
    job = world.submit_spec(after(one.id))
    world.do(ev.JobUpdated, job_id=job.id, spec=after(two.id), by="ann")
    assert (job.unmet, list(world.cluster.dependents)) == ((two.id,), [two.id])
    world.plan()
    world.exit(two)
    world.cluster.over.pop(two.id)
    del world.cluster.jobs[two.id]
    spec = after(two.id, priority=5)
    assert dependency_problem(world.cluster, spec, job.id) == ""
    world.do(ev.JobUpdated, job_id=job.id, spec=spec, by="ann")
    assert job.id in world.cluster.waiting
    cancel_and_exit(world, one)
    world.do(ev.JobUpdated, job_id=job.id, spec=after(one.id), by="ann")
    assert job.outcome == "depends on the success of j1, which ended as CANCELLED"


def test_an_array_is_forgotten_with_its_last_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then its key may be used again; until then snapshots keep its counts."""
    monkeypatch.setattr("aimass.core.endings.OVER_KEPT", 2)
    assert cluster_module.OVER_KEPT > 2
    world = a_world()
    world.submit_spec(an_array(0, 1), key="once")
    for job in jobs_of(world.cluster, "j1"):
        world.cancel(job)
    world.cancel(world.submit(one_role()))
    row = world.cluster.arrays[JobId("j1")]
    assert (row.kept, row.over) == (1, 2)
    restored = restore(encode_snapshot(world.cluster))
    check_invariants(restored)
    assert state_hash(restored) == state_hash(world.cluster)
    world.cancel(world.submit(one_role()))
    assert (world.cluster.arrays, world.cluster.by_key) == ({}, {})
