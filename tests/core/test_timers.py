"""Time: what falls due does so at its millisecond, and a Tick is asked for exactly then."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from aimass.core import events as ev
from aimass.core import timers
from aimass.core.apply import apply
from aimass.core.codec import encode_snapshot, restore
from aimass.core.model import Exit, ExitReason, JobState
from aimass.core.spans import span_text
from aimass.core.spec import JobSpec
from aimass.core.timers import next_timer_ms
from tests.core.world import World, gpus, inventory, one_role

HOUR_MS = 3_600_000


def a_world() -> World:
    """With one GPU."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 1)))
    return world


def test_nothing_is_due_of_ordinary_jobs() -> None:
    """Ticks do not flood the journal."""
    world = a_world()
    job = world.submit(one_role(gpus=1))
    world.plan()
    world.start(job)
    assert next_timer_ms(world.cluster) == 0


def test_a_walltime_runs_from_when_every_shard_runs() -> None:
    """Not a millisecond early; and it is no failure that is tried again."""
    world = a_world()
    job = world.submit(one_role(2, gpus=0.5), walltime_ms=HOUR_MS, grace_ms=5)
    world.plan()
    world.start(job, [0])
    assert next_timer_ms(world.cluster) == 0
    world.start(job, [1])
    due_ms = job.current.running_ms + HOUR_MS
    assert next_timer_ms(world.cluster) == due_ms
    world.do(ev.Tick, due_ms - world.now_ms - 1)
    assert job.state is JobState.RUNNING
    world.do(ev.Tick, 1)
    assert (job.state, job.current.grace_ms) == (JobState.STOPPING, 5)
    assert job.current.stop_reason == "walltime of 1 h reached"
    assert next_timer_ms(world.cluster) == 0


def test_any_event_takes_time_along() -> None:
    """A Tick is only for when nothing else happens."""
    world = a_world()
    job = world.submit(one_role(gpus=1), walltime_ms=1500)
    world.plan()
    world.start(job)
    world.do(ev.NodeSilent, 1500, node_id=job.current.placements[0].node_id, reason="no heartbeat")
    assert job.state is JobState.STOPPING


def test_an_update_may_bring_the_end_of_a_running_job_to_now() -> None:
    """What the event makes due is due at once."""
    world = a_world()
    job = world.submit(one_role(gpus=1))
    world.plan()
    world.start(job)
    world.do(ev.Tick, HOUR_MS)
    spec = replace(job.spec, walltime_ms=HOUR_MS // 2)
    world.do(ev.JobUpdated, job_id=job.id, spec=spec, by="ann")
    assert job.current.stop_reason == "walltime of 30 min reached"


def test_a_deadline_leaves_room_for_the_run() -> None:
    """The last moment to start is the deadline less the run time that was given."""
    world = a_world()
    due_ms = world.now_ms + 4 * HOUR_MS
    job = world.submit(one_role(2, gpus=1), deadline_ms=due_ms, walltime_ms=HOUR_MS)
    assert next_timer_ms(world.cluster) == due_ms - HOUR_MS + 1
    world.do(ev.Tick, due_ms - HOUR_MS - world.now_ms)
    assert job.state is JobState.QUEUED
    world.do(ev.Tick, 1)
    assert job.outcome == (
        "it can no longer be over by its deadline: it needs 1 h, 59 min 59 s are left"
    )


def test_who_comes_back_to_the_queue_too_late_fails_at_once() -> None:
    """It is not started only to be stopped."""
    world = a_world()
    job = world.submit(
        one_role(gpus=1), deadline_ms=world.now_ms + HOUR_MS, walltime_ms=HOUR_MS // 2
    )
    world.plan()
    world.do(ev.JobRequeueRequested, job_id=job.id, by="ann")
    world.do(ev.Tick, HOUR_MS - 10_000)
    assert job.state is JobState.STOPPING
    world.exit(job, how=Exit(reason=ExitReason.STOPPED))
    assert job.outcome.startswith("it can no longer be over by its deadline")


@given(
    st.lists(
        st.tuples(st.sampled_from((0, 5000, 60_000)), st.sampled_from((0, 90_000))), max_size=6
    )
)
def test_a_restored_cluster_asks_for_the_same_tick(times: list[tuple[int, int]]) -> None:
    """Timers follow from the rows."""
    world = a_world()
    for after_ms, limit_ms in times:
        world.submit(one_role(gpus=1), start_after_ms=after_ms, walltime_ms=limit_ms)
        world.plan()
    restored = restore(encode_snapshot(world.cluster))
    assert next_timer_ms(restored) == next_timer_ms(world.cluster)


def test_stale_timers_are_swept_out() -> None:
    """A million short jobs with long limits leave no million entries."""
    world = World()
    spec = JobSpec("job", one_role(), deadline_ms=10**12)
    for number in range(1, timers._SLACK + 200):
        submitted = ev.JobSubmitted(world.now_ms, f"j{number}", spec, "ann")  # type: ignore[arg-type]
        apply(world.cluster, submitted)
        apply(world.cluster, ev.JobCancelRequested(world.now_ms, submitted.job_id, "ann", 0))
        del world.cluster.jobs[world.cluster.over.popitem()[0]]
    assert len(world.cluster.timers) <= timers._SLACK + 2
    assert next_timer_ms(world.cluster) == 0
    assert world.cluster.timers == []


def test_spans_are_told_in_two_units() -> None:
    """As a person would say them."""
    told = {0: "0 s", 999: "0 s", 45_000: "45 s", 90_000: "1 min 30 s", HOUR_MS: "1 h"}
    told |= {HOUR_MS + 1000: "1 h", 90 * 60_000: "1 h 30 min", 49 * HOUR_MS + 60_000: "2 d 1 h"}
    assert {ms: span_text(ms) for ms in told} == told
