"""How long jobs run: given, learned from the like, or unknown; and when the active ones end."""

import pytest

from aimass.core import events as ev
from aimass.core import runtimes
from aimass.core.model import Exit, ExitReason, Job
from aimass.core.runtimes import UNKNOWN_MS, expected_end_ms, run_estimate
from aimass.core.spec import Checkpoint, JobSpec
from tests.core.world import World, gpus, inventory, one_role

MINUTE_MS = 60_000


def a_world() -> World:
    """With one GPU."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 1)))
    return world


def run_once(world: World, run_ms: int, name: str = "job", **fields: Checkpoint) -> Job:
    """A job that runs so long and succeeds."""
    job = world.submit_spec(JobSpec(name, one_role(gpus=1), **fields))
    world.plan()
    world.start(job)
    world.do(ev.ShardExited, run_ms, job_id=job.id, attempt=1, rank=0, exit=Exit())
    return job


def test_given_beats_learned_beats_unknown() -> None:
    """Three runs of the like are believed; the estimate is their mean and two deviations."""
    world = a_world()
    for _ in range(2):
        job = run_once(world, 10 * MINUTE_MS)
    assert run_estimate(world.cluster, job) == (UNKNOWN_MS, 0, False)
    run_once(world, 10 * MINUTE_MS)
    learned = world.cluster.runtimes["ann/default/job"]
    assert (learned.count, learned.mean_ms, learned.spread_ms) == (3, 600_000, 168_750)
    assert run_estimate(world.cluster, job) == (600_000 + 2 * 168_750, 168_750, True)
    given = world.submit(one_role(), expected_ms=5, walltime_ms=3)
    assert run_estimate(world.cluster, given) == (3, 0, True)
    other = world.submit_spec(JobSpec("other", one_role()))
    assert run_estimate(world.cluster, other) == (UNKNOWN_MS, 0, False)


def test_recent_runs_count_most() -> None:
    """An eighth of the difference a run; the mean reaches a new length."""
    world = a_world()
    for _ in range(3):
        run_once(world, 80_000)
    run_once(world, 160_000)
    assert world.cluster.runtimes["ann/default/job"].mean_ms == 90_000
    for _ in range(40):
        run_once(world, 160_000)
    assert 159_000 <= world.cluster.runtimes["ann/default/job"].mean_ms <= 160_000


def test_only_whole_runs_that_succeed_teach() -> None:
    """One that went on from a checkpoint did a part of the work; one that failed, nobody knows."""
    world = a_world()
    job = world.submit(one_role(gpus=1), checkpoint=Checkpoint("SIGUSR1"))
    world.plan()
    world.exit(job, how=Exit(reason=ExitReason.NODE_LOST))
    world.plan()
    world.exit(job)
    world.exit(failing(world), how=Exit(code=1))
    assert world.cluster.runtimes == {}


def failing(world: World) -> Job:
    """A job that has started."""
    job = world.submit(one_role(gpus=1))
    world.plan()
    return job


def test_what_is_learned_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key that was longest without a run is forgotten."""
    monkeypatch.setattr(runtimes, "LEARNED_KEPT", 2)
    world = a_world()
    for name in ("a", "b", "a", "c"):
        run_once(world, 1000, name)
    assert list(world.cluster.runtimes) == ["ann/default/a", "ann/default/c"]


def test_an_active_job_ends_after_its_estimate_again_and_again() -> None:
    """Never in the past, and the same for a minute when nothing is known any more."""
    world = a_world()
    job = world.submit(one_role(gpus=1), expected_ms=10 * MINUTE_MS, walltime_ms=20 * MINUTE_MS)
    world.plan()
    assert expected_end_ms(world.cluster, job) == (world.now_ms + 10 * MINUTE_MS, True)
    world.start(job)
    began_ms = job.current.running_ms
    due_ms = began_ms + 10 * MINUTE_MS
    for after_ms, ends_ms in (
        *((-1, due_ms), (0, due_ms), (1, 11 * MINUTE_MS)),
        *((MINUTE_MS, 12 * MINUTE_MS), (2 * MINUTE_MS + 1, 13 * MINUTE_MS)),
    ):
        world.do(ev.Tick, due_ms + after_ms - world.now_ms)
        assert expected_end_ms(world.cluster, job) == (ends_ms, True)
    world.do(ev.Tick, began_ms + 20 * MINUTE_MS - 1 - world.now_ms)
    assert expected_end_ms(world.cluster, job)[0] == began_ms + 20 * MINUTE_MS + job.spec.grace_ms
    world.do(ev.Tick, 1)
    assert expected_end_ms(world.cluster, job) == (world.now_ms + 30_000, True)
    world.do(ev.Tick, 21 * MINUTE_MS + 1 - world.now_ms)
    for _ in range(2):
        assert expected_end_ms(world.cluster, job) == (22 * MINUTE_MS, True)
        world.do(ev.Tick, 49_000)


def test_a_job_that_does_not_stop_is_looked_at_again_by_the_minute() -> None:
    world = a_world()
    job = world.submit(one_role(gpus=1))
    world.plan()
    world.start(job)
    world.cancel(job, grace_ms=10_000)
    due_ms = world.now_ms + 10_000
    for now_ms, ends_ms in (
        *((world.now_ms, due_ms), (due_ms, due_ms), (due_ms + 1, MINUTE_MS)),
        *((MINUTE_MS, MINUTE_MS), (MINUTE_MS + 1, 2 * MINUTE_MS)),
    ):
        world.do(ev.Tick, now_ms - world.now_ms)
        assert expected_end_ms(world.cluster, job) == (ends_ms, True)


def test_jobs_that_overrun_are_looked_at_together() -> None:
    """Each is in the way of another promise, and began at another second: one tick a minute."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 4)))
    for _ in range(4):
        job = world.submit(one_role(gpus=1), expected_ms=MINUTE_MS)
        world.plan()
        world.start(job)
    for _ in range(4):
        world.submit(one_role(gpus=1), expected_ms=MINUTE_MS)
    world.plan()
    world.wait(2 * MINUTE_MS)
    before = len(world.history)
    world.wait(10 * MINUTE_MS)
    ticks = [event for event in world.history[before:] if isinstance(event, ev.Tick)]
    assert len(ticks) == 10


def test_a_deadline_makes_the_end_known() -> None:
    """There it is stopped, however long it would have run."""
    world = a_world()
    deadline_ms = world.now_ms + 60 * MINUTE_MS
    job = world.submit(one_role(gpus=1), deadline_ms=deadline_ms, grace_ms=7)
    left_ms = deadline_ms + 7 - world.now_ms
    assert run_estimate(world.cluster, job) == (left_ms, 0, True)
    world.plan()
    assert expected_end_ms(world.cluster, job) == (deadline_ms + 7, True)
    world.start(job)
    assert expected_end_ms(world.cluster, job) == (deadline_ms + 7, True)
