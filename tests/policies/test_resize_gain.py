"""Growing counts the network: what idles elsewhere is worth less than what idles beside a job."""

import pytest

from aimass.core.model import Exit, ExitReason, Job
from aimass.core.spec import Checkpoint, Elastic, JobKind
from aimass.core.speeds import SpeedOn, Speeds
from tests.core.world import World, gpus, inventory, one_role

MINUTE_MS = 60_000


def grown(
    idle: int,
    kind: JobKind = JobKind.TRAIN,
    beside: int = 0,
    each: float = 1,
    speeds: Speeds = (),
) -> int:
    """The size of an elastic job of 8 GPUs with NVLink after ten minutes, with hours to go.

    idle: GPUs that are free on another node. beside: on its own.
    """
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 8 + beside, island=8 + beside)))
    job = world.submit(
        one_role(round(8 / each), each, elastic=Elastic(1, round(32 / each))),
        walltime_ms=600 * MINUTE_MS,
        checkpoint=Checkpoint("SIGUSR1", 1000),
        kind=kind,
        speeds=speeds,
    )
    world.plan()
    world.start(job)
    world.join("n2", inventory("n2", gpus("n2", idle, island=idle)))
    world.plan()
    world.wait(10 * MINUTE_MS)
    if job.current.stop_reason:
        world.exit(job, how=Exit(143, reason=ExitReason.STOPPED))
        world.plan()
    return shards_of(job)


def shards_of(job: Job) -> int:
    """Shards of the present attempt."""
    return len(job.current.placements)


@pytest.mark.parametrize(("idle", "size"), [(1, 8), (2, 8), (4, 8), (8, 16), (24, 24)])
def test_a_few_gpus_across_the_network_are_not_worth_it_and_many_are(idle: int, size: int) -> None:
    """A step of 255 ms takes 420 with the network in it: only from 14 GPUs on more is done.

    Where 24 idle on one node it goes there, rather than to 32 on both.
    """
    assert grown(idle) == size


def test_gpus_beside_it_are_worth_it_and_taken_alone_where_those_elsewhere_are_not() -> None:
    """The larger size that crosses the network is passed over for the one that does not."""
    assert grown(0, beside=4) == 12
    assert grown(2, beside=4) == 12


def test_who_does_not_reduce_over_whole_gpus_grows_anywhere() -> None:
    """Batch jobs, and shares of GPUs."""
    assert grown(2, JobKind.BATCH) == 10
    assert grown(2, each=0.5) == 20


@pytest.mark.parametrize(("speed_micro", "size"), [(1_001_000, 8), (1_600_000, 16), (500_000, 8)])
def test_what_a_job_says_of_its_speeds_counts_instead(speed_micro: int, size: int) -> None:
    """On 8 more GPUs it is hardly faster, or much, or slower: it knows its own network."""
    speeds = (SpeedOn("H100", 8, 0, 1_000_000), SpeedOn("H100", 16, 0, speed_micro))
    assert grown(8, speeds=speeds) == size
