"""Nobody starves at the limit of its own queue, and nobody stops a queue for ever."""

from aimass.core import events as ev
from aimass.core.model import JobState
from aimass.core.own_limit import PASSED_MS
from aimass.core.queues import QueueSpec
from aimass.core.spec import JobSpec
from tests.core.exact_world import BEGIN_MS, ExactWorld
from tests.core.world import World, codes, gpus, inventory, one_role

MINUTE_MS = 60_000
LIMITED = QueueSpec("q", limit={"gpu": 4000})


def spec(name: str, count: int, minutes: int) -> JobSpec:
    return JobSpec(name, one_role(gpus=count), queue="q", expected_ms=minutes * MINUTE_MS)


def test_a_large_job_starts_though_small_ones_come_all_the_time() -> None:
    """One every ten minutes, for forty: the queue is never empty by itself."""
    world = ExactWorld([8])
    world.do(ev.QueuePut(BEGIN_MS, LIMITED))
    small = [(10 * MINUTE_MS * i, spec("small", 1, 40)) for i in range(60)]
    world.run([*small, (45 * MINUTE_MS, spec("large", 4, 30))])
    jobs = world.cluster.jobs.values()
    large = next(job for job in jobs if job.spec.name == "large")
    waited_ms = world.started_ms[large.id] - large.submitted_ms
    assert PASSED_MS < waited_ms <= PASSED_MS + 40 * MINUTE_MS
    assert all(job.state is JobState.SUCCEEDED for job in jobs)


def test_who_waits_for_one_that_may_never_end_stops_nobody() -> None:
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 8)))
    world.do(ev.QueuePut, spec=LIMITED)
    notebook = world.submit(one_role(gpus=1), "notebook", queue="q")
    world.plan()
    world.start(notebook)
    large = world.submit_spec(spec("large", 4, 30))
    world.plan()
    world.wait(2 * PASSED_MS)
    small = world.submit_spec(spec("small", 1, 40))
    plan = world.plan()
    assert (large.state, small.state) == (JobState.QUEUED, JobState.PLACED)
    assert codes(world, plan) == ["QUEUE_LIMIT"]


def test_after_an_hour_what_comes_free_is_for_the_first() -> None:
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 8)))
    world.do(ev.QueuePut, spec=LIMITED)
    first = world.submit_spec(spec("first", 2, 600))
    world.plan()
    world.start(first)
    large = world.submit_spec(spec("large", 4, 30))
    world.plan()
    world.wait(PASSED_MS - 10_000)
    early = world.submit_spec(spec("early", 1, 40))
    world.plan()
    world.wait(20_000)
    late = world.submit_spec(spec("late", 1, 40))
    world.plan()
    other = world.submit(one_role(gpus=1), "other")
    world.plan()
    states = [job.state.value for job in (large, early, late, other)]
    assert states == ["QUEUED", "PLACED", "QUEUED", "PLACED"]
