"""What breaks, and that nothing is lost by it but time: of jobs, of GPUs, and of whoever asks."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from aimass.core.model import NodeId
from aimass.policies.registry import make_policy
from aimass.simulator.attempts import Record
from aimass.simulator.clusters import Kinds, parse_cluster
from aimass.simulator.faults import FIT_HOURS, LLAMA3, Faults, FaultStream, gpu_at
from aimass.simulator.models import PLAIN, Change, Costs, Models, Paces
from aimass.simulator.run import Outcome, run
from aimass.simulator.tracejob import TraceJob

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
FIFO = make_policy("fifo", promises=0)
FREE = Costs()
COSTS = Costs(1500, 7001, 5 * MINUTE_MS, 1234)
ONE_AN_HOUR = FIT_HOURS  # of one GPU


def played(
    jobs: Sequence[TraceJob],
    cluster: str | Kinds,
    models: Models,
    costs: Costs = FREE,
    seed: int = 0,
    policy: object = FIFO,
) -> tuple[dict[str, Record], Outcome]:
    """Play the jobs: records by name, and what they add up to."""
    records: dict[str, Record] = {}
    kinds = parse_cluster(cluster) if isinstance(cluster, str) else cluster

    def note(record: Record) -> None:
        assert record.job.name not in records, "told twice"
        records[record.job.name] = record

    outcome = run(jobs, kinds, policy, note, costs, models=models, seed=seed)  # type: ignore[arg-type]
    return records, outcome


def failing(**rates: int) -> Models:
    """A world in which that fails."""
    return Models(faults=Faults(**rates))


def long_job(hours: int, gpus: int, name: str = "a") -> TraceJob:
    """A job of hours."""
    return TraceJob(name, 0, hours * HOUR_MS, 1000 * gpus)


def test_failures_come_as_often_as_their_rates_say() -> None:
    stream, kinds = FaultStream(LLAMA3, 7), [0] * 5
    stream.resize(0, 16_384)
    while (stream.next_ms or 0) < 54 * 24 * HOUR_MS * 20:
        kind, which = stream.take()
        assert 0 <= which < 16_384
        kinds[kind] += 1
    for seen, published in zip(kinds, (63, 268, 53, 35, 0), strict=True):
        assert abs(seen / 20 - published) <= 0.1 * published + 0.01


def test_a_gpu_is_found_by_its_number() -> None:
    assert [gpu_at((2, 3, 7), which) for which in (0, 1, 2, 3, 6)] == [
        *((0, 0), (0, 1), (1, 0), (2, 0), (2, 3))
    ]


def test_a_failed_program_is_tried_again_from_its_last_checkpoint() -> None:
    records, outcome = played([long_job(20, 1)], "1x1xA", failing(app_fit=ONE_AN_HOUR), COSTS)
    record = records["a"]
    assert outcome.failures >= record.failures > 0  # some find nobody there
    assert record.attempts == record.failures + 1
    assert record.worked_ms == 20 * HOUR_MS
    assert 0 < record.lost_ms < record.failures * 5 * MINUTE_MS
    assert record.preemptions == 0
    assert (
        record.end_ms > record.held_ms + 30_000 * record.failures
    )  # massd waits before it retries


def test_without_checkpoints_a_failure_loses_the_whole_attempt() -> None:
    models = failing(app_fit=ONE_AN_HOUR // 10)
    records, _ = played([long_job(20, 1)], "1x1xA", models, seed=1)
    record = records["a"]
    assert record.failures > 0
    assert record.worked_ms == 20 * HOUR_MS
    assert record.held_ms == record.worked_ms + record.lost_ms


def test_a_failed_gpu_is_out_of_service_until_it_is_mended() -> None:
    models = failing(gpu_fit=ONE_AN_HOUR // 2, gpu_ms=HOUR_MS)
    records, outcome = played([long_job(20, 2)], "1x2xA", models, COSTS)
    assert records["a"].failures > 0
    assert records["a"].end_ms - records["a"].held_ms >= records["a"].failures * (HOUR_MS - 1234)
    assert outcome.down >= records["a"].failures * (HOUR_MS - 1234) * 1000
    assert outcome.held + outcome.idle + outcome.down == 2000 * (outcome.end_ms - outcome.begin_ms)


@pytest.mark.parametrize("repair_min", [5, 45])
def test_a_node_that_restarts_takes_its_gang_down(repair_min: int) -> None:
    """Back before its lease ran out, or long after: the gang holds what it has until then."""
    models = failing(node_fit=ONE_AN_HOUR // 16, node_ms=repair_min * MINUTE_MS)
    models = replace(models, faults=replace(models.faults, lease_ms=10 * MINUTE_MS))
    records, outcome = played([long_job(20, 8)], "9x4xA", models, COSTS)
    record = records["a"]
    assert record.failures > 1
    assert record.worked_ms == 20 * HOUR_MS
    silent_ms = min(repair_min, 10) * MINUTE_MS
    assert record.held_ms - record.worked_ms - record.lost_ms >= record.failures * silent_ms
    assert outcome.held + outcome.idle + outcome.down == 36_000 * (
        outcome.end_ms - outcome.begin_ms
    )


def test_a_rack_goes_down_as_one() -> None:
    kinds = (parse_cluster("4x1xA")[0]._replace(rack_nodes=2),)
    models = replace(failing(rack_fit=ONE_AN_HOUR // 10), levels=("rack",))
    jobs = [long_job(30, 1, name) for name in "abcd"]
    records, _ = played(jobs, kinds, models, COSTS)
    failures = [records[name].failures for name in "abcd"]
    assert sum(failures) > 2
    assert sum(failures) % 2 == 0


def test_a_slower_gpu_slows_its_gang_for_a_time() -> None:
    models = failing(slow_fit=ONE_AN_HOUR // 120, slow_micro=250_000, slow_ms=2 * HOUR_MS)
    records, _ = played([long_job(40, 4)], "1x4xA", models, seed=6)
    over_ms = records["a"].end_ms - 40 * HOUR_MS
    # Each time costs three quarters of two hours, but for the last if the job ends before it.
    assert over_ms > 0
    assert over_ms % (90 * MINUTE_MS) in (0, *range(1, 8))
    assert records["a"].failures == 0


def test_a_gang_is_slower_when_it_is_spread() -> None:
    kinds = (parse_cluster("4x4xA")[0]._replace(rack_nodes=2),)
    models = Models(("rack",), paces=Paces(nodes_micro=800_000, racks_micro=500_000))
    for gpus, hours in ((4, 10), (8, 12.5), (16, 25)):
        records, _ = played([long_job(10, gpus)], kinds, models)
        assert records["a"].end_ms == hours * HOUR_MS


def test_neighbours_on_a_gpu_slow_each_other_while_both_work() -> None:
    models = Models(paces=Paces(beside_micro=500_000))
    jobs = [TraceJob("a", 0, 10 * HOUR_MS, 500), TraceJob("b", 2 * HOUR_MS, HOUR_MS, 500)]
    records, _ = played(jobs, "1x1xA", models)
    assert records["b"].end_ms == 4 * HOUR_MS
    assert records["a"].end_ms == 11 * HOUR_MS


def test_nodes_join_and_leave_as_planned() -> None:
    node = parse_cluster("1x4xA")
    changes = (
        Change(2 * HOUR_MS, add=node),
        Change(4 * HOUR_MS, remove=(NodeId("n0"),)),
    )
    jobs = [long_job(10, 4, "a"), long_job(10, 4, "b")]
    records, outcome = played(jobs, node, Models(changes=changes))
    assert records["b"].start_ms == 2 * HOUR_MS
    assert records["b"].end_ms == 12 * HOUR_MS
    assert records["a"].attempts == 2
    assert records["a"].end_ms == 18 * HOUR_MS  # 4 hours on n0, 6 on n1 after the other
    assert outcome.held + outcome.idle + outcome.down == 4000 * (4 + 16) * HOUR_MS


def test_a_node_is_emptied_for_its_maintenance() -> None:
    changes = (Change(HOUR_MS, drain=(NodeId("n0"),), drain_ms=3 * HOUR_MS),)
    records, outcome = played([long_job(10, 4)], "1x4xA", Models(changes=changes))
    assert records["a"].end_ms == 13 * HOUR_MS
    assert outcome.down == 4000 * 3 * HOUR_MS


def test_of_a_maintenance_that_was_announced_nothing_is_stopped_that_could_wait() -> None:
    """A job that would not be over by then waits for its end; without notice it is stopped."""
    for notice_ms, end_h, attempts in ((0, 7, 2), (5 * HOUR_MS, 10, 1)):
        changes = (Change(5 * HOUR_MS, (), (), (NodeId("n0"),), HOUR_MS, notice_ms),)
        jobs = [
            TraceJob("a", 0, 2 * HOUR_MS, 4000),
            TraceJob("b", HOUR_MS, 4 * HOUR_MS, 4000),
        ]
        records, outcome = played(jobs, "1x4xA", Models(changes=changes))
        assert (records["b"].end_ms, records["b"].attempts) == (end_h * HOUR_MS, attempts)
        assert outcome.down == 4000 * HOUR_MS


def test_a_maintenance_may_be_announced_before_its_nodes_join() -> None:
    node = parse_cluster("1x4xA")
    changes = (
        Change(2 * HOUR_MS, add=node),
        Change(3 * HOUR_MS, (), (), (NodeId("n0"), NodeId("n1")), HOUR_MS, 2 * HOUR_MS),
    )
    jobs = [long_job(3, 4, "a"), TraceJob("b", 2 * HOUR_MS, 2 * HOUR_MS, 4000)]
    records, outcome = played(jobs, node, Models(changes=changes))
    assert records["a"].attempts == 1
    assert (records["b"].end_ms, records["b"].attempts) == (5 * HOUR_MS, 2)
    assert outcome.down == 2 * 4000 * HOUR_MS


def test_what_is_planned_for_a_node_that_is_not_there_yet_is_of_no_account() -> None:
    node, later = parse_cluster("1x4xA"), NodeId("n1")
    changes = (Change(0, drain=(later,), drain_ms=HOUR_MS), Change(0, node, remove=(later,)))
    records, outcome = played([long_job(3, 4)], node, Models(changes=changes))
    assert (records["a"].end_ms, records["a"].attempts) == (3 * HOUR_MS, 1)
    assert (outcome.down, outcome.capacity_milli) == (0, 4000)


def test_a_job_whose_nodes_left_is_listed_as_unfinished() -> None:
    changes = (Change(HOUR_MS, remove=(NodeId("n0"),)),)
    models = replace(failing(app_fit=1000), changes=changes)
    records, outcome = played([long_job(10, 4)], "1x4xA+1x2xA", models)
    assert (records["a"].end_ms, records["a"].worked_ms) == (-1, HOUR_MS)
    assert (outcome.jobs, outcome.finished) == (1, 0)


def test_images_are_pulled_once_on_a_node() -> None:
    jobs = [TraceJob(f"{n}", n * HOUR_MS, MINUTE_MS, 8000, user="ada") for n in range(2)]
    records, _ = played(jobs, "2x4xA", PLAIN, Costs(pull_ms=5000))
    assert [records[name].held_ms for name in "01"] == [MINUTE_MS + 5000, MINUTE_MS]


@pytest.mark.parametrize("seed", range(6))
def test_all_time_is_accounted_for_whatever_breaks(seed: int) -> None:
    """Held time is work, lost work and overhead; held, idle and down time are the cluster's."""
    chance = random.Random(seed)
    jobs, at_ms = [], 0
    for number in range(80):
        at_ms += chance.randrange(8 * MINUTE_MS)
        gpu_milli = chance.choice((250, 500, 1000, 2000, 4000, 8000, 12000))
        least, most = chance.choice(((0, 0), (0, 0), (1, 6))) if gpu_milli >= 1000 else (0, 0)
        work_ms = chance.randrange(1, 60 * MINUTE_MS)
        jobs.append(
            TraceJob(
                f"{number}",
                at_ms,
                work_ms,
                gpu_milli,
                priority=chance.randrange(3),
                gpus_min=least,
                gpus_max=most,
            )
        )
    kinds = (parse_cluster("5x4xA")[0]._replace(rack_nodes=2, price_micro=3),)
    hits = dict.fromkeys(("app_fit", "gpu_fit", "node_fit", "rack_fit", "slow_fit"), 10**7)
    faults = Faults(**hits, gpu_ms=HOUR_MS, lease_ms=chance.choice((1, 10**6, 10**8)))
    changes = (
        Change(HOUR_MS, add=(kinds[0]._replace(nodes=1),)),
        Change(2 * HOUR_MS, drain=(NodeId("n1"), NodeId("n5")), drain_ms=HOUR_MS),
        Change(3 * HOUR_MS, remove=(NodeId("n0"), NodeId("n2"))),
    )
    models = Models(("rack",), changes, faults, Paces(800_000, 900_000, 700_000))
    costs = Costs(1500, 7001, chance.choice((0, 5 * MINUTE_MS)), chance.choice((0, 1234)), 999)
    policy = make_policy(chance.choice(("priority", "fair", "srtf")), promises=0)
    records, outcome = played(jobs, kinds, models, costs, seed, policy)
    assert outcome.jobs == len(records) == 80
    assert outcome.finished == sum(r.end_ms >= 0 and not r.is_failed for r in records.values())
    assert outcome.failures > 3
    for record in records.values():
        assert record.worked_ms + record.lost_ms <= record.held_ms
        assert record.worked <= record.held
        assert record.end_ms < 0 or record.held_ms <= record.end_ms - record.job.submit_ms
    assert outcome.held == sum(r.held for r in records.values())
    assert outcome.paid == 3 * outcome.held
    again = played(jobs, kinds, models, costs, seed, policy)
    assert again == (records, outcome)
