"""Gavel's rounds as events of the production core."""

import gzip
import json

import pytest

from aimass.core.speeds import SpeedOn
from aimass.simulator.attempts import Record
from aimass.simulator.clusters import parse_cluster
from aimass.simulator.perf import gavel_table
from aimass.simulator.round_jobs import round_jobs, types_of
from aimass.simulator.rounds import play
from aimass.simulator.run import Outcome
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.traces import read_trace
from tests.simulator.test_parity_gavel import SHARED, shared


def trace_job(name: str, work_s: int, submit_s: int = 0, gpus: int = 1, **more: object) -> TraceJob:
    """A job of the normal speed, unless it says otherwise."""
    return TraceJob(name, submit_s * 1000, work_s * 1000, gpus * 1000, **more)  # type: ignore[arg-type]


def played(
    jobs: list[TraceJob], cluster: str, policy: str = "gavel-max-min", round_s: int = 360
) -> tuple[dict[str, Record], Outcome]:
    """Records by name, and the outcome."""
    found: dict[str, Record] = {}

    def note(record: Record) -> None:
        found[record.job.name] = record

    return found, play(jobs, parse_cluster(cluster), policy, note, round_s)


def test_who_has_no_share_yet_holds_gpus_and_does_not_work() -> None:
    jobs = [trace_job("first", 5000, 100), trace_job("late", 360, 110)]
    records, outcome = played(jobs, "1x2xA")
    late = records["late"]
    # Held from the next round on, at work once shares are made again, 1,920 s after the first.
    assert (late.start_ms, late.end_ms) == (460_000, 2_620_000)
    assert (late.held_ms, late.worked_ms, late.lost_ms) == (2_160_000, 360_000, 0)
    assert (outcome.jobs, outcome.finished, outcome.end_ms) == (2, 2, 5_100_000)


def test_who_keeps_its_type_goes_on_without_a_restart() -> None:
    records, outcome = played([trace_job("long", 3600)], "1x1xA")
    assert (records["long"].attempts, outcome.preemptions) == (1, 0)
    assert records["long"].end_ms == 3_600_000


def test_taking_turns_is_stops_and_starts_of_the_core() -> None:
    records, outcome = played([trace_job("a", 720), trace_job("b", 720)], "1x1xA")
    assert sum(record.preemptions for record in records.values()) == outcome.preemptions > 0
    assert {record.worked_ms for record in records.values()} == {720_000}
    assert outcome.held == 1_440_000 * 1000


def test_a_gang_is_held_by_types_whatever_its_nodes() -> None:
    records, _ = played([trace_job("wide", 360, gpus=6)], "4x2xA")
    assert records["wide"].held == 6 * 360_000 * 1000


def test_a_trace_without_a_table_goes_by_its_speeds() -> None:
    speeds = (SpeedOn("old", 0, 0, 500_000), SpeedOn("new", 0, 0, 2_000_000))
    jobs = [trace_job("any", 1000, speeds=speeds), trace_job("picky", 1000, gpu_types=("OLD",))]
    kinds = parse_cluster("1x1xnew+1x1xold")
    assert types_of(kinds, jobs) == ("old", "new")
    assert [job.rates for job in round_jobs(jobs, ("old", "new"))] == [(500, 2000), (1000, 0)]
    records, _ = played(jobs, "1x1xnew+1x1xold", "gavel-max-min-perf")
    assert {name: record.end_ms for name, record in records.items()} == {
        "any": 500_000,
        "picky": 1_000_000,
    }


def test_a_few_jobs_that_are_far_faster_somewhere_do_not_make_that_the_fastest_type() -> None:
    """As on Gavel's trace single4, where its P100 would come before its V100."""
    usual = (SpeedOn("P100", 0, 0, 600_000),)
    odd = (SpeedOn("P100", 0, 0, 9_000_000),)
    jobs = [trace_job(f"{n}", 1000, speeds=usual if n else odd) for n in range(5)]
    assert types_of(parse_cluster("1x1xP100+1x1xV100"), jobs) == ("P100", "V100")


@shared
@pytest.mark.parametrize("policy", ["gavel-fifo", "gavel-max-min-perf"])
def test_the_production_core_ends_every_job_when_the_loop_does(policy: str) -> None:
    path = SHARED / "physical_max_min_fairness.trace"
    found: dict[str, float] = {}

    def note(record: Record) -> None:
        found[record.job.name] = (record.end_ms - record.job.submit_ms) / 1000
        assert record.held_ms >= record.worked_ms > 0

    table = gavel_table(SHARED / "simulation_throughputs.json.gz")
    play([*read_trace(path)], parse_cluster("6x4xk80+4x4xp100+2x4xv100"), policy, note, table=table)
    with gzip.open(SHARED / "reference-jct.json.gz") as file:
        known = json.load(file)
    if policy == "gavel-fifo":
        assert found == pytest.approx(known["phys_mmf_fifo"], abs=0.001)
    else:
        times = known["phys_mmf_max_min_fairness_perf"]
        assert sum(found.values()) == pytest.approx(sum(times.values()), rel=0.015)
