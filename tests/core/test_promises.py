"""What is promised comes true: backfilled jobs delay nobody who was promised a start."""

from hypothesis import given, settings
from hypothesis import strategies as st

from aimass.core.spec import JobSpec, Need, Role
from aimass.policies.registry import make_policy
from tests.core.exact_world import ExactWorld

MINUTE_MS = 60_000


def job(gpus: int, shards: int, minutes: int, priority: int = 0) -> JobSpec:
    """A gang with an exact run time; not to be preempted."""
    need = Need(gpu_milli=1000 * gpus, cpu_milli=1000)
    roles = (Role("worker", shards, need, ("train",)),)
    run_ms = minutes * MINUTE_MS
    return JobSpec("job", roles, priority=priority, expected_ms=run_ms, preemptible=False)


jobs = st.builds(job, st.sampled_from((1, 1, 2, 4)), st.integers(1, 4), st.integers(1, 30))
clusters = st.lists(st.sampled_from((2, 4, 4, 8)), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(clusters, st.lists(jobs, max_size=12), st.integers(1, 8))
def test_without_arrivals_every_promise_is_kept_to_the_millisecond(
    devices: list[int], specs: list[JobSpec], promises: int
) -> None:
    """All are there from the start: the last promise of each job is its start, none moves later."""
    world = ExactWorld(devices, make_policy(promises=promises))
    possible = [spec for spec in specs if _fits(devices, spec)]
    world.run([(0, spec) for spec in possible])
    assert world.unfinished() == []
    assert world.late == []
    for job_id, promised_ms in world.first_promise_ms.items():
        assert world.started_ms[job_id] <= promised_ms


@settings(max_examples=150, deadline=None)
@given(clusters, st.lists(st.tuples(st.integers(0, 40), jobs), max_size=14))
def test_whoever_comes_later_delays_nobody_who_was_promised_a_start(
    devices: list[int], arrivals: list[tuple[int, JobSpec]]
) -> None:
    """Equal priorities: a later job may only use what it gives back in time."""
    world = ExactWorld(devices)
    world.run([(m * MINUTE_MS, spec) for m, spec in arrivals if _fits(devices, spec)])
    assert world.unfinished() == []
    assert world.late == []
    for job_id, promised_ms in world.first_promise_ms.items():
        assert world.started_ms[job_id] <= promised_ms


def _fits(devices: list[int], spec: JobSpec) -> bool:
    role = spec.roles[0]
    return sum(count // role.need.devices for count in devices) >= role.shards
