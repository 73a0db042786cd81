"""The scheduler in virtual time: what jobs do, and that all GPU time is accounted for."""

import random
from collections.abc import Sequence

import pytest

from aimass.core.speeds import SpeedOn
from aimass.policies.registry import make_policy
from aimass.simulator.attempts import Record
from aimass.simulator.clusters import gpus_of, parse_cluster
from aimass.simulator.models import Costs
from aimass.simulator.run import Outcome, run
from aimass.simulator.tracejob import TraceJob

MINUTE_MS = 60_000
FIFO = make_policy("fifo", promises=0)
PRIORITY = make_policy("priority", promises=0)


def played(
    jobs: Sequence[TraceJob],
    cluster: str = "1x4xV100",
    policy: object = FIFO,
    costs: Costs | None = None,
) -> tuple[dict[str, Record], Outcome]:
    """Play the jobs: records by name, and what they add up to."""
    records: dict[str, Record] = {}

    def note(record: Record) -> None:
        records[record.job.name] = record

    outcome = run(jobs, parse_cluster(cluster), policy, note, costs)  # type: ignore[arg-type]
    return records, outcome


def job(name: str, at_min: int, minutes: int, gpus: int, priority: int = 0) -> TraceJob:
    """A job in minutes."""
    return TraceJob(name, at_min * MINUTE_MS, minutes * MINUTE_MS, gpus * 1000, priority=priority)


def test_a_job_runs_as_long_as_its_work_and_waits_for_those_before_it() -> None:
    records, outcome = played([job("a", 0, 10, 4), job("b", 2, 5, 2)])
    assert (records["a"].start_ms, records["a"].end_ms) == (0, 10 * MINUTE_MS)
    assert (records["b"].start_ms, records["b"].end_ms) == (10 * MINUTE_MS, 15 * MINUTE_MS)
    assert outcome.end_ms == 15 * MINUTE_MS
    assert outcome.held == (4 * 10 + 2 * 5) * MINUTE_MS * 1000
    assert outcome.idle_beside == 2 * 5 * MINUTE_MS * 1000


def test_starting_and_stopping_take_time_and_work_since_the_last_checkpoint_is_lost() -> None:
    costs = Costs(
        start_ms=MINUTE_MS,
        restart_ms=2 * MINUTE_MS,
        checkpoint_ms=4 * MINUTE_MS,
        stop_ms=MINUTE_MS,
    )
    records, outcome = played(
        [job("low", 0, 20, 4), job("high", 10, 5, 4, priority=1)], policy=PRIORITY, costs=costs
    )
    # low works from 1 to 10, keeps 8, leaves at 11; high holds 11 to 17; low reads its checkpoint
    # from 18 to 20 and works 12 more.
    low, high = records["low"], records["high"]
    assert (high.start_ms, high.end_ms) == (11 * MINUTE_MS, 17 * MINUTE_MS)
    assert low.end_ms == 32 * MINUTE_MS
    assert (low.worked_ms, low.lost_ms) == (20 * MINUTE_MS, MINUTE_MS)
    assert (low.preemptions, low.attempts, outcome.preemptions) == (1, 2, 1)


def test_a_gang_is_as_fast_as_the_slowest_of_its_gpus() -> None:
    fast = TraceJob(
        "a", 0, 10 * MINUTE_MS, 1000, gpu_types=("A",), speeds=(SpeedOn("A", 0, 0, 2_500_000),)
    )
    speeds = (SpeedOn("A", 0, 0, 2_500_000), SpeedOn("B", 0, 0, 500_000))
    both = TraceJob("b", 0, 10 * MINUTE_MS, 4000, speeds=speeds)
    records, _ = played([fast], "1x2xA+1x2xB")
    assert records["a"].end_ms == 4 * MINUTE_MS
    records, _ = played([both], "1x2xA+1x2xB")
    assert records["b"].end_ms == 20 * MINUTE_MS


def test_a_gang_larger_than_a_node_lies_on_several() -> None:
    records, _ = played([job("a", 0, 10, 6), job("b", 0, 1, 4)], "2x4xV100")
    assert records["a"].end_ms == 10 * MINUTE_MS
    assert records["b"].start_ms == 10 * MINUTE_MS  # 3 and 3 are held


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("policy", [FIFO, PRIORITY], ids=lambda policy: policy.order.name)
def test_all_gpu_time_is_accounted_for(policy: object, seed: int) -> None:
    """Held time is work, lost work and overhead; held and idle time are the cluster's."""
    chance = random.Random(seed)
    jobs, at_ms = [], 0
    for number in range(150):
        at_ms += chance.randrange(4 * MINUTE_MS)
        gpu_milli = chance.choice((250, 500, 1000, 2000, 4000, 8000, 12000))
        work_ms = chance.randrange(1, 60 * MINUTE_MS)
        jobs.append(TraceJob(f"{number}", at_ms, work_ms, gpu_milli, priority=chance.randrange(3)))
    costs = Costs(1500, 7001, chance.choice((0, 5 * MINUTE_MS)), chance.choice((0, 1234)))
    records, outcome = played(jobs, "5x4xV100", policy, costs)
    assert outcome.finished == outcome.jobs == len(records) == 150
    for record in records.values():
        assert record.worked_ms == record.job.work_ms
        over_ms = record.held_ms - record.worked_ms - record.lost_ms
        least_ms = record.attempts * 1500 + (record.attempts - 1) * 7001
        stopped_ms = record.preemptions * (costs.stop_ms + 1500 + 7001)  # some before they began
        assert least_ms - stopped_ms <= over_ms <= least_ms + stopped_ms
    held = sum(r.held_ms * r.job.gpu_milli for r in records.values())
    assert outcome.held == held
    span_ms = outcome.end_ms - outcome.begin_ms
    assert outcome.held + outcome.idle == gpus_of(parse_cluster("5x4xV100")) * 1000 * span_ms
    if policy is PRIORITY:
        assert outcome.preemptions > 0
