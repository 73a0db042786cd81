"""The course of a run, bin by bin: exact sums, bounded memory, and who held what."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aimass.core.model import NodeId, Placement
from aimass.policies.registry import make_policy
from aimass.simulator.attempts import Record
from aimass.simulator.clusters import parse_cluster
from aimass.simulator.models import Costs, Models
from aimass.simulator.run import Outcome, run
from aimass.simulator.run_policies import parse_policies
from aimass.simulator.timeline import BINS, OTHERS, QUEUES_MAX, ROWS_MAX, Course, Timeline
from aimass.simulator.tracejob import TraceJob
from tests.simulator import test_sim_conserves as conserves

HOUR_MS = 3_600_000


def played(jobs: list[TraceJob], cluster: str, policy: str = "fifo") -> tuple[Outcome, Course]:
    """Run the jobs and give what it came to, and its course."""
    kinds = parse_cluster(cluster)
    watch = Timeline(kinds)
    (named,) = parse_policies(policy)
    outcome = run(jobs, kinds, named.make(), lambda record: None, observer=watch)
    return outcome, watch.close(outcome.end_ms - outcome.begin_ms)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3 * HOUR_MS), st.integers(1, HOUR_MS), st.integers(1, 8)),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from(["fifo", "srtf", "las"]),
)
def test_the_course_adds_up_to_what_the_run_measured(
    shapes: list[tuple[int, int, int]], policy: str
) -> None:
    jobs = [
        TraceJob(f"j{i}", submit_ms, work_ms, 1000 * gpus, queue=f"q{i % 3}")
        for i, (submit_ms, work_ms, gpus) in enumerate(sorted(shapes))
    ]
    outcome, course = played(jobs, "2x4xV100+1x2xA100", policy)
    assert sum(course.held) == outcome.held
    assert sum(course.there) == outcome.held + outcome.idle
    assert sum(course.beside) == outcome.idle_beside
    assert sum(map(course.span_ms, range(course.bins))) == outcome.end_ms - outcome.begin_ms
    assert sum(sum(queue.held) for queue in course.queues) == outcome.held
    for i, waiting in enumerate(course.waiting):
        asked = sum(queue.asked[i] for queue in course.queues)
        assert asked == course.held[i] + waiting


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    conserves.JOBS,
    conserves.COSTS,
    conserves.MODELS,
    st.sampled_from(("fair", "srtf", "optimus")),
    st.integers(0, 9),
)
def test_it_adds_up_whatever_breaks_and_grows(
    drawn: list[tuple[int, int, dict[str, int], int]],
    costs: Costs,
    models: Models,
    policy: str,
    seed: int,
) -> None:
    kinds = (conserves.KIND,)
    watch, over = Timeline(kinds), list[Record]()
    outcome = run(
        conserves.as_jobs(drawn),
        kinds,
        make_policy(policy),
        over.append,
        costs,
        observer=watch,
        models=models,
        seed=seed,
    )
    course = watch.close(outcome.end_ms - outcome.begin_ms)
    if all(record.end_ms >= 0 for record in over):
        assert sum(course.held) == outcome.held == sum(record.held for record in over)
        assert sum(course.waiting_jobs) == sum(
            record.end_ms - record.job.submit_ms - record.held_ms for record in over
        )
        assert sum(course.waiting) == sum(
            (record.end_ms - record.job.submit_ms - record.held_ms) * record.job.gpu_milli
            for record in over
        )
    assert sum(course.there) <= outcome.held + outcome.idle
    for values in (course.there, course.held, course.beside, course.waiting):
        assert min(values) >= 0


def test_what_waits_is_counted_from_submission_to_start() -> None:
    jobs = [TraceJob("a", 0, 10_000, 4000), TraceJob("b", 2_000, 5_000, 2000)]
    _, course = played(jobs, "1x4xV100")
    assert (course.width_ms, course.length_ms) == (1000, 15_000)
    assert course.waiting_jobs == [0, 0, *[1000] * 8, *[0] * 5]
    assert course.waiting == [0, 0, *[2_000_000] * 8, *[0] * 5]
    assert course.beside == [0] * 10 + [2_000_000] * 5


def test_bins_grow_with_time_and_not_in_number() -> None:
    jobs = [TraceJob(f"j{i}", i * HOUR_MS, HOUR_MS // 2, 1000) for i in range(1000)]
    outcome, course = played(jobs, "1x4xV100")
    assert BINS // 2 <= course.bins <= BINS
    assert course.width_ms * course.bins >= outcome.end_ms - outcome.begin_ms
    assert sum(course.held) == 1000 * 1000 * HOUR_MS // 2


def test_rows_of_a_large_cluster_are_few_and_never_of_two_kinds() -> None:
    watch = Timeline(parse_cluster("300x8xV100+7x4xA100"))
    watch.opened(0)
    course = watch.close(1000)
    assert len(course.rows) <= ROWS_MAX
    assert course.rows[0].label == "n0-n4 V100"
    assert course.rows[-1].label == "n305-n306 A100"
    assert sum(course.there) == (300 * 8 + 7 * 4) * 1000 * 1000


def test_queues_beyond_the_most_are_one() -> None:
    watch = Timeline(parse_cluster("1x8xV100"))
    watch.opened(0)
    for i in range(3 * QUEUES_MAX):
        watch.came(0, TraceJob(f"j{i}", 0, 1000, 1000, queue=f"q{i}"))
    queues = watch.close(1000).queues
    assert len(queues) == QUEUES_MAX
    assert queues[-1].name == OTHERS
    assert sum(queue.asked[0] for queue in queues) == 3 * QUEUES_MAX * 1000 * 1000


def test_a_node_out_of_service_idles_nowhere() -> None:
    watch = Timeline(parse_cluster("2x4xV100"))
    watch.opened(0)
    job, place = TraceJob("a", 0, 1, 1000), Placement(0, NodeId("n0"), (0,), 1000, 0, 0)
    watch.came(0, job)
    watch.started(0, job, [place])
    watch.resized(1000, NodeId("n1"), 0)
    watch.resized(2000, NodeId("n0"), 2000)
    watch.resized(3000, NodeId("n9"), 4000)  # bought
    course = watch.close(4000)
    assert course.there == [8_000_000, 4_000_000, 2_000_000, 6_000_000]
    assert [row.label for row in course.rows] == ["n0 V100", "n1 V100", "n9 added"]
    assert course.rows[2].there == [0, 0, 0, 4_000_000]
    assert course.beside == [3_000_000, 3_000_000, 1_000_000, 1_000_000]
