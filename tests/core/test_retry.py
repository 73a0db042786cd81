"""Failed and lost attempts: which are tried again, when, where, and how the last one is told."""

import pytest

from aimass.core.model import LOSSES_MAX, Exit, ExitReason, Job, JobState, NodeId
from aimass.core.retry import AVOID_KEPT, avoid
from aimass.core.spec import JobSpec, Preemption, PreemptMode, Retry, RetryAction, RetryRule
from tests.core.world import GIB, World, gpus, inventory, one_role

FAILED = Exit(code=1)
OUT_OF_MEMORY = Exit(code=137, reason=ExitReason.OUT_OF_MEMORY)


def a_world(*nodes: str) -> World:
    """With a GPU on each node."""
    world = World()
    for node in nodes or ("n1",):
        world.join(node, inventory(node, gpus(node, 1)))
    return world


def a_job(world: World, retry: Retry, **fields: int) -> Job:
    """It has started."""
    job = world.submit_spec(JobSpec("job", one_role(gpus=1, memory_mib=GIB), retry=retry, **fields))
    world.plan()
    return job


def fail(world: World, job: Job, how: Exit = FAILED) -> int:
    """The attempt fails; how long the job then waits, in ms, and goes on when it has."""
    world.exit(job, how=how)
    if job.state is not JobState.QUEUED:
        return -1
    waits_ms = max(0, job.not_before_ms - world.now_ms)
    world.wait(waits_ms)
    world.plan()
    return waits_ms


def test_without_retries_a_failure_is_the_end() -> None:
    """And says only what happened."""
    world = a_world()
    job = a_job(world, Retry())
    assert fail(world, job) == -1
    assert (job.state, job.outcome) == (JobState.FAILED, "shard 0 on n1 exited with 1")


def test_pauses_grow_up_to_their_maximum() -> None:
    """In integers: 10, 15, 22.5 and then 30 s."""
    world = a_world()
    job = a_job(world, Retry(5, 10_000, 1500, 30_000))
    assert [fail(world, job) for _ in range(5)] == [10_000, 15_000, 22_500, 30_000, 30_000]
    assert fail(world, job) == -1
    assert job.outcome.startswith("failed 6 times: attempt 3: shard 0 on n1 exited with 1; ")
    assert job.outcome.endswith("; the last: shard 0 on n1 exited with 1")


def test_the_first_rule_that_matches_decides() -> None:
    """By exit code, by signal as a shell says it, by reason; an empty rule matches always."""
    rules = (
        RetryRule(RetryAction.FAIL, exit_codes=(42,)),
        RetryRule(RetryAction.HOLD, exit_codes=(75,)),
        RetryRule(RetryAction.RETRY, reasons=("LAUNCH_FAILED",), counts=False),
        RetryRule(RetryAction.RETRY, exit_codes=(139,)),
        RetryRule(RetryAction.FAIL),
    )
    for how, state, retries in (
        (Exit(code=42), JobState.FAILED, 0),
        (Exit(code=75), JobState.HELD, 0),
        (Exit(reason=ExitReason.LAUNCH_FAILED), JobState.QUEUED, 0),
        (Exit(signal=11), JobState.QUEUED, 1),
        (Exit(code=1), JobState.FAILED, 0),
    ):
        world = a_world()
        job = a_job(world, Retry(3, rules=rules))
        world.exit(job, how=how)
        assert (job.state, job.retries) == (state, retries), how


def test_a_held_failure_goes_on_when_it_is_released() -> None:
    """It says why it is held."""
    world = a_world()
    job = a_job(world, Retry(rules=(RetryRule(RetryAction.HOLD),)))
    world.exit(job, how=FAILED)
    assert (job.state, job.hold_reason) == (JobState.HELD, "shard 0 on n1 exited with 1")


def test_the_first_failed_shard_speaks_for_the_gang() -> None:
    """The others end because they are told to."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 2)))
    rule = RetryRule(RetryAction.RETRY, exit_codes=(7,))
    spec = JobSpec("job", one_role(2, gpus=1), retry=Retry(1, rules=(rule,)))
    job = world.submit_spec(spec)
    world.plan()
    world.exit(job, [1], Exit(code=7))
    world.exit(job, [0], Exit(code=42))
    assert (job.state, job.retries) == (JobState.QUEUED, 1)


def test_memory_is_raised_for_the_role_that_ran_out_of_it() -> None:
    """Half as much again each time; the limit does not count it."""
    rule = RetryRule(
        RetryAction.RETRY, reasons=("OUT_OF_MEMORY",), counts=False, memory_factor_milli=1500
    )
    world = a_world()
    job = a_job(world, Retry(rules=(rule,)))
    fail(world, job, OUT_OF_MEMORY)
    fail(world, job, OUT_OF_MEMORY)
    assert job.spec.roles[0].need.memory_mib == 2304
    assert (job.retries, job.current.placements[0].memory_mib) == (0, 2304)
    assert job.attempts[0].outcome == (
        "shard 0 on n1 out of memory; its shards get 1536 MiB next time"
    )


def test_a_rule_may_keep_the_job_off_the_node() -> None:
    """Until the job gets another spec."""
    world = a_world("n1", "n2")
    job = a_job(world, Retry(1, rules=(RetryRule(RetryAction.RETRY, avoid_node=True),)))
    fail(world, job)
    assert (job.avoid, job.current.placements[0].node_id) == (("n1",), "n2")


def test_avoided_nodes_are_bounded() -> None:
    """The oldest goes."""
    job = a_job(a_world(), Retry())
    for number in range(AVOID_KEPT + 1):
        avoid(job, NodeId(f"n{number}"))
        avoid(job, NodeId(f"n{number}"))
    assert job.avoid == tuple(f"n{number}" for number in range(1, AVOID_KEPT + 1))


LOST = Exit(reason=ExitReason.NODE_LOST)


def test_lost_nodes_never_count_but_delay_from_the_third_in_a_row() -> None:
    """30 s, 60 s, ...; up to ten minutes. A run that ends otherwise begins the row anew."""
    world = a_world()
    job = a_job(world, Retry(1))
    waits = [fail(world, job, LOST) for _ in range(8)]
    assert [ms // 1000 for ms in waits] == [0, 0, 30, 60, 120, 240, 480, 600]
    assert (job.retries, job.avoid) == (0, ())
    assert fail(world, job) == 30_000
    assert fail(world, job, LOST) == 0


def test_a_node_that_a_gang_cannot_do_without_is_not_avoided() -> None:
    """Two nodes, and a gang that needs both: without the one that failed it would wait for ever."""
    world = World()
    for name in ("n1", "n2"):
        world.join(name, inventory(name, gpus(name, 4)))
    job = world.submit(one_role(2, gpus=4))
    for _ in range(5):
        world.wait(3_600_000)
        world.plan()
        assert job.state is JobState.PLACED
        world.exit(job, [0], Exit(reason=ExitReason.NODE_REBOOT))
        world.exit(job, how=Exit(reason=ExitReason.STOPPED))
    assert job.avoid == ()


def test_a_node_is_avoided_after_its_third_fault_where_another_is_like_it() -> None:
    """Never the only one that could take the job."""
    world = a_world()
    job = a_job(world, Retry())
    for _ in range(3):
        fail(world, job, LOST)
    assert job.avoid == ()
    world.join("cpu", inventory("cpu"))
    fail(world, job, LOST)
    assert job.avoid == ()
    world.join("n2", inventory("n2", gpus("n2", 1)))
    fail(world, job, LOST)
    assert (job.avoid, job.current.placements[0].node_id) == (("n1",), "n2")


def test_who_loses_too_many_attempts_fails() -> None:
    """It may be what breaks the nodes. Requests and preemptions do not count as losses."""
    world = a_world()
    job = a_job(world, Retry())
    job.losses = LOSSES_MAX - 1
    fail(world, job, LOST)
    assert job.outcome == "given up after 100 lost attempts; the last: shard 0 on n1 node lost"


@pytest.mark.parametrize(
    ("mode", "state"),
    [
        (PreemptMode.REQUEUE, JobState.QUEUED),
        (PreemptMode.SUSPEND, JobState.HELD),
        (PreemptMode.CANCEL, JobState.CANCELLED),
    ],
)
def test_a_preempted_job_does_as_its_user_wants(mode: PreemptMode, state: JobState) -> None:
    """And it is no failure."""
    world = a_world()
    job = world.submit_spec(JobSpec("low", one_role(gpus=1), preemption=Preemption(mode)))
    world.plan()
    world.submit(one_role(gpus=1), priority=5)
    world.plan()
    world.exit(job, how=Exit(reason=ExitReason.STOPPED, signal=15))
    assert (job.state, job.retries, job.losses) == (state, 0, 0)
    assert job.preempted_ms == (world.now_ms,)
