"""What a queue is guaranteed can be taken back, from borrowers only, and no more than they owe."""

from hypothesis import given, settings
from hypothesis import strategies as st

from aimass.core import events as ev
from aimass.core.model import JobState, StopRule
from aimass.core.plan import Plan
from aimass.core.queues import QueueSpec
from aimass.core.quota import direct_use
from aimass.core.spec import JobSpec, Need, Role
from tests.core.exact_world import BEGIN_MS, ExactWorld

GPUS = 8


def job(queue: str, gpus: int, preemptible: bool = True) -> JobSpec:
    """One shard that runs for an hour."""
    roles = (Role("worker", 1, Need(gpu_milli=1000 * gpus), ("train",)),)
    return JobSpec("job", roles, queue=queue, preemptible=preemptible, expected_ms=3_600_000)


def world_of(mine: int, theirs: int) -> ExactWorld:
    """One node of eight GPUs; `mine` and `theirs` are guaranteed to two queues."""
    world = ExactWorld([GPUS])
    for name, quota in (("mine", mine), ("theirs", theirs)):
        world.do(ev.QueuePut(BEGIN_MS, QueueSpec(name, quota={"gpu": 1000 * quota})))
    return world


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 7), st.lists(st.integers(1, 4), min_size=1, max_size=8), st.data())
def test_a_guarantee_is_always_to_be_had(
    mine: int, borrowed: list[int], data: st.DataObject
) -> None:
    """Whatever preemptible jobs fill the node, a job within its guarantee gets its places."""
    world = world_of(mine, GPUS - mine)
    for gpus in borrowed:
        world.submit(BEGIN_MS, job("theirs", gpus))
    world.decide()
    asked = data.draw(st.integers(1, mine))
    claimant = world.submit(BEGIN_MS + 1, job("mine", asked, data.draw(st.booleans())))
    plan = world.decide()
    assert claimant.state in (JobState.PLACED, JobState.RUNNING, JobState.RESERVED)
    _takes_no_more_than_owed(world, plan)


def _takes_no_more_than_owed(world: ExactWorld, plan: Plan) -> None:
    theirs = world.cluster.queues["theirs"]
    guarantee = theirs.spec.quota["gpu"]
    for stop in plan.stops:
        assert stop.rule is StopRule.RECLAIM
        victim = world.cluster.jobs[stop.job_id]
        assert victim.spec.queue == "theirs"
        held = sum(p.share_milli * len(p.devices) for p in victim.current.placements)
        assert direct_use(theirs, "gpu") + held > guarantee, "stopped though nothing was borrowed"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_what_is_guaranteed_to_others_is_not_to_be_had(borrowed: list[int]) -> None:
    """Beyond its guarantee a queue takes nothing back: its job waits while others use their own."""
    world = world_of(2, 6)
    for gpus in borrowed:
        world.submit(BEGIN_MS, job("theirs", gpus))
    world.decide()
    world.submit(BEGIN_MS + 1, job("mine", 4))
    assert world.decide().stops == ()
