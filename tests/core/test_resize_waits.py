"""`why` names a resize interval where it alone keeps a job from growing, or extras from others."""

from typing import Any

from aimass.core.explain import explain
from aimass.core.model import Exit, ExitReason, Job
from aimass.core.spec import Elastic, Preemption, PreemptMode
from tests.core.world import World, gpus, inventory, one_role

MINUTE_MS = 60_000
HOURS = {"walltime_ms": 600 * MINUTE_MS}  # so that growing is worth a restart


def interval_texts(world: World, job: Job) -> list[str]:
    """What `why` says of intervals."""
    found = explain(world.cluster, job, world.policy)
    return [b.text for b in found.blockers if b.code == "RESIZE_INTERVAL"]


def elastic_world(shards: int = 2, **fields: Any) -> tuple[World, Job]:
    """An elastic job that has just started, alone on a node of four GPUs."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 4)))
    job = world.submit(one_role(shards, 1, elastic=Elastic(1, 4)), **HOURS, **fields)
    world.plan()
    world.start(job)
    return world, job


def grow(world: World, job: Job) -> None:
    """Its interval passes, and it restarts with all there is."""
    world.plan()
    world.wait(10 * MINUTE_MS)
    world.exit(job, how=Exit(143, reason=ExitReason.STOPPED))
    world.plan()
    world.start(job)
    assert len(job.current.placements) == 4


def test_a_job_that_could_grow_is_told_when_it_may() -> None:
    """Until then; and not when it has its largest size."""
    world, job = elastic_world()
    assert interval_texts(world, job) == [
        "has 2 of at most 4 shards and may grow in 10 min: it is resized once in 10 min"
    ]
    grow(world, job)
    assert interval_texts(world, job) == []


def test_who_could_have_extras_later_is_told_whose_and_when() -> None:
    """Extras beyond what was asked for go to anybody, in any queue and of any priority."""
    world, job = elastic_world(shards=2)
    grow(world, job)
    low = world.submit(one_role(2, gpus=1), priority=-5)
    assert interval_texts(world, low) == [
        f"1 job has extras to give up: {job.id}; "
        "it may in 9 min 59 s, when its resize interval is over"
    ]
    world.plan()
    world.wait(10 * MINUTE_MS)
    assert job.current.stop_reason.startswith("shrinks from 4 to 2 shards")


def test_extras_that_are_not_its_to_take_are_not_named() -> None:
    """What an equal asked for itself; nor those of one that may be stopped altogether."""
    world, job = elastic_world(shards=4)
    equal = world.submit(one_role(2, gpus=1))
    assert interval_texts(world, equal) == []
    large = world.submit(one_role(9, gpus=1), priority=5, allow_future=True)
    assert interval_texts(world, large) == []
    keeps = Preemption(PreemptMode.SHRINK)
    world, job = elastic_world(shards=4, preemption=keeps)
    assert interval_texts(world, world.submit(one_role(2, gpus=1))) == []
    high = world.submit(one_role(2, gpus=1), priority=5)
    assert interval_texts(world, high) == [
        f"1 job has extras to give up: {job.id}; it may in 9 min 58 s, when its resize interval is "
        "over"
    ]
