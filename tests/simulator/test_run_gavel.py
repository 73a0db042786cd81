"""Gavel's policies by name, in events and in rounds; Q1: events are no worse than its rounds."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from aimass.simulator.attempts import Record
from aimass.simulator.clusters import parse_cluster
from aimass.simulator.models import Costs
from aimass.simulator.run_how import How, play
from aimass.simulator.run_policies import parse_policies
from aimass.simulator.traces import read_trace, tables_at
from tests.simulator.test_parity_gavel import SHARED, TRACES, shared
from tests.simulator.test_rounds import trace_job

CLUSTERS = {
    "phys_mmf": "6x4xk80+4x4xp100+2x4xv100",
    "multi2": "36x1xk80+36x1xp100+36x1xv100",
}


def completion_s(how: How, policy: str, path: Path) -> dict[str, float]:
    """Completion times by job."""
    found: dict[str, float] = {}

    def note(record: Record) -> None:
        found[record.job.name] = (record.end_ms - record.job.submit_ms) / 1000

    play(how, parse_policies(policy)[0], read_trace(path), note)
    return found


@shared
@pytest.mark.parametrize("trace", ["phys_mmf", pytest.param("multi2", marks=pytest.mark.slow)])
def test_in_events_jobs_are_done_sooner_on_average_than_in_the_published_rounds(
    trace: str,
) -> None:
    """On single4 as well: `python -m benchmarks gavel`."""
    with gzip.open(SHARED / "reference-jct.json.gz") as file:
        published = json.load(file)[f"{trace}_max_min_fairness_perf"]
    how = How(parse_cluster(CLUSTERS[trace]), Costs())
    found = completion_s(how, "gavel-max-min-perf", SHARED / TRACES[trace][0])
    assert found.keys() == published.keys()
    assert sum(found.values()) <= sum(published.values())


@shared
def test_rounds_by_name_take_the_throughputs_of_the_trace() -> None:
    path = SHARED / TRACES["phys_mmf"][0]
    how = How(parse_cluster(CLUSTERS["phys_mmf"]), Costs(), round_s=360, tables=tables_at(path))
    with gzip.open(SHARED / "reference-jct.json.gz") as file:
        published = json.load(file)["phys_mmf_fifo"]
    assert completion_s(how, "gavel-fifo", path) == pytest.approx(published, abs=0.001)


def test_prices_are_heeded_in_rounds_and_in_events() -> None:
    """One job, faster on what is dearer by more than it is faster."""
    job = trace_job("only", 3600)
    kinds = parse_cluster("1x1xold+1x1xnew")
    label = "gavel-cost:prices=new=3/old=1"
    for round_s in (0, 360):
        found: list[Record] = []
        how = How(kinds, Costs(), round_s=round_s)
        play(how, parse_policies(label)[0], [job], found.append)
        assert [record.end_ms for record in found] == [3_600_000]


def asked(label: str, round_s: int = 0, costs: Costs | None = None) -> Callable[[], object]:
    """A run of one job."""
    how = How(parse_cluster("1x1xA"), costs or Costs(), round_s=round_s)
    return lambda: play(how, parse_policies(label)[0], [trace_job("a", 10)], lambda record: None)


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        (asked("gavel-fifo"), "gavel-fifo is a policy of rounds; fix: add --round 360"),
        (asked("gavel-max-min:interval=60", 360), "rounds have no interval"),
        (asked("gavel-max-min", 360, Costs(restart_ms=1000)), "Gavel's rounds know no restarts"),
        (asked("gavel-max-min:interval=0"), "interval is '0'; fix: seconds, from 1 to 86400"),
        (asked("gavel-max-min:prices=A=1"), "only gavel-cost goes by prices"),
        (asked("gavel-cost:prices=A=-1"), "write TYPE=PRICE/TYPE=PRICE, above 0"),
        (asked("fifo:interval=60"), "only Gavel's policies have it"),
        (asked("gavel-max-min:limits=1/2"), "only las has levels"),
    ],
)
def test_what_cannot_be_is_refused_with_a_fix(ask: Callable[[], object], why: str) -> None:
    with pytest.raises(ValueError, match="fix: ") as refused:
        ask()
    assert why in str(refused.value)
