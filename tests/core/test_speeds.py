"""Speeds: what is said of a setting, what a program reports of itself, where a job ran."""

import pytest

from aimass.core import events as ev
from aimass.core.spec import JobSpec
from aimass.core.spec_problems import problems
from aimass.core.speeds import SpeedOn, speed_on
from tests.core.world import World, gpus, inventory, one_role

SPEEDS = (
    SpeedOn("", 0, 0, 1_000_000),
    SpeedOn("A100", 0, 0, 2_000_000),
    SpeedOn("A100", 4, 0, 5_000_000),
    SpeedOn("A100", 4, 1, 7_000_000),
)


@pytest.mark.parametrize(
    ("gpu_type", "gpus", "nodes", "micro"),
    [
        ("V100", 1, 1, 1_000_000),
        ("A100", 2, 1, 2_000_000),
        ("A100", 4, 2, 5_000_000),
        ("A100", 4, 1, 7_000_000),
    ],
)
def test_the_most_exact_entry_counts(gpu_type: str, gpus: int, nodes: int, micro: int) -> None:
    """By model first, then by number, then by nodes."""
    assert speed_on(SPEEDS, gpu_type, gpus, nodes) == micro
    assert speed_on(SPEEDS[::-1], gpu_type, gpus, nodes) == micro
    assert speed_on((SpeedOn("A100", 4, 1, 5),), "A100", 4, 2) is None


@pytest.mark.parametrize(
    "speeds",
    [
        (SpeedOn("A100", 1, 0, -1),),
        (SpeedOn("A100", -1, 0, 1),),
        (SpeedOn("A\n", 1, 0, 1),),
        (SpeedOn("A100", 1, 0, 1), SpeedOn("A100", 1, 0, 2)),
        tuple(SpeedOn("A100", n, 0, 1) for n in range(2000)),
    ],
)
def test_impossible_speeds_are_named(speeds: tuple[SpeedOn, ...]) -> None:
    """A spec that is in the core can be reckoned with."""
    spec = JobSpec("job", one_role(1, gpus=1), speeds=speeds)
    assert [field for field, _ in problems(spec)] == ["speeds"]
    assert not list(problems(JobSpec("job", one_role(1, gpus=1), speeds=SPEEDS)))


def test_what_a_program_reports_stays_with_its_job() -> None:
    """The newest counts; what was measured stays; an old attempt says nothing more."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 1, "A100")))
    job = world.submit(one_role(1, gpus=1))
    world.settle()
    world.start(job)
    world.do(ev.WorkReported, job_id=job.id, attempt=1, left_ms=5000, speeds=SPEEDS)
    world.do(ev.WorkReported, job_id=job.id, attempt=1, left_ms=4000)
    world.do(ev.WorkReported, job_id=job.id, attempt=2, left_ms=1)
    assert (job.told.left_ms, job.told.speeds) == (4000, SPEEDS)


def test_where_a_job_ran_is_counted_by_model() -> None:
    """Of attempts that were stopped: what a share on this model is worth depends on it."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 1, "A100")))
    job = world.submit(one_role(1, gpus=1))
    world.settle()
    world.start(job)
    begin_ms = job.current.running_ms
    world.do(ev.JobRequeueRequested, 10_000, job_id=job.id, by="me")
    world.exit(job)
    assert job.told.ran_on == (("A100", world.cluster.now_ms - begin_ms),)
