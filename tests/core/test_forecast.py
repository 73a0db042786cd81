"""A predicted start is the real start when run times are exact and nobody comes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from aimass.core.codec import encode_snapshot
from aimass.core.forecast import Outlook, predict
from aimass.core.model import JobState
from aimass.core.runtimes import run_key
from aimass.core.spec import JobSpec, Need, Role
from aimass.core.tallies import RunTime
from aimass.policies.order_las import LIMITS_GPU_S
from aimass.policies.registry import make_policy
from tests.core.exact_world import ExactWorld

MINUTE_MS = 60_000


def job(gpus: int, shards: int, minutes: int, priority: int = 0, name: str = "job") -> JobSpec:
    """A gang with an exact run time; not to be preempted."""
    need = Need(gpu_milli=1000 * gpus, cpu_milli=1000)
    roles = (Role("worker", shards, need, ("train",)),)
    run_ms = minutes * MINUTE_MS
    return JobSpec(name, roles, priority=priority, expected_ms=run_ms, preemptible=False)


jobs = st.builds(
    job,
    st.sampled_from((1, 1, 2, 4)),
    st.integers(1, 4),
    st.integers(1, 30),
    st.sampled_from((0, 0, 3)),
)
clusters = st.lists(st.sampled_from((2, 4, 4, 8)), min_size=1, max_size=4)


def fits(devices: list[int], spec: JobSpec) -> bool:
    """Whether empty nodes could hold it."""
    role = spec.roles[0]
    return sum(count // role.need.devices for count in devices) >= role.shards


@settings(max_examples=80, deadline=None)
@given(clusters, st.lists(jobs, min_size=1, max_size=12), st.integers(1, 8))
def test_a_predicted_start_is_the_real_start(
    devices: list[int], specs: list[JobSpec], promises: int
) -> None:
    """Of every job that waits after the first decision; then the world runs to its end."""
    world = ExactWorld(devices, make_policy(promises=promises))
    for spec in specs:
        if fits(devices, spec):
            world.submit(0, spec)
    world.decide()
    snapshot = encode_snapshot(world.cluster)
    waiting = [j.id for j in world.cluster.jobs.values() if j.state is JobState.QUEUED]
    outlooks = {job_id: predict(snapshot, job_id, world.policy) for job_id in waiting}
    world.run([])
    for job_id, outlook in outlooks.items():
        assert outlook.at_ms == world.started_ms[job_id]
        assert (outlook.earliest_ms, outlook.latest_ms) == (outlook.at_ms, outlook.at_ms)
        assert outlook.is_known


def test_what_nobody_knows_is_not_predicted_as_known() -> None:
    """The job in the way gave no run time, and none of its like has run."""
    world = ExactWorld([4])
    world.submit(0, JobSpec("endless", (Role("w", 1, Need(4000), ("x",)),), preemptible=False))
    waiting = world.submit(0, job(4, 1, 10))
    world.decide()
    assert predict(encode_snapshot(world.cluster), waiting.id, world.policy) == Outlook()


def test_learned_run_times_give_a_spread() -> None:
    """Mean 10 minutes, deviation 1: from 8 to 12, most likely 10."""
    world = ExactWorld([4])
    spec = JobSpec("known", (Role("w", 1, Need(4000), ("x",)),), preemptible=False)
    running = world.submit(0, spec)
    learned = RunTime(5, 10 * MINUTE_MS, MINUTE_MS)
    world.cluster.runtimes[run_key(running)] = learned
    waiting = world.submit(0, job(4, 1, 10))
    world.decide()
    found = predict(encode_snapshot(world.cluster), waiting.id, world.policy)
    minutes = [t // MINUTE_MS for t in (found.earliest_ms, found.at_ms, found.latest_ms)]
    assert minutes == [8, 10, 12]


def test_a_search_cut_short_says_from_when_on_it_knows_nothing() -> None:
    """After so many moments the future is not looked at any further."""
    world = ExactWorld([1])
    for _ in range(6):
        last = world.submit(0, job(1, 1, 10))
    world.decide()
    found = predict(encode_snapshot(world.cluster), last.id, world.policy, steps_max=3)
    assert (found.at_ms, found.after_ms) == (0, 30 * MINUTE_MS)


def test_who_starts_meanwhile_is_stopped_when_its_order_says_so() -> None:
    """One GPU under las: the second job runs until it falls to the next level, then the third."""
    world = ExactWorld([1], make_policy("las"))
    roles = (Role("w", 1, Need(1000), ("x",)),)
    first, _, third = (
        world.submit(0, JobSpec("job", roles, expected_ms=minutes * MINUTE_MS, grace_ms=5000))
        for minutes in (30, 240, 240)
    )
    world.decide()
    outlook = predict(encode_snapshot(world.cluster), third.id, world.policy)
    second_ms = first.current.running_ms + 30 * MINUTE_MS
    assert outlook.at_ms == second_ms + LIMITS_GPU_S[0] * 1000 + 5000
