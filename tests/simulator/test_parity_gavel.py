"""Agreement with Gavel's published simulator on its own traces, which lie beside the project.

Where no program is solved every completion time of every job is the reference's; with programs the
averages are near (see parity_gavel.py).
"""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from aimass.simulator.parity_gavel import POLICIES
from aimass.simulator.perf import gavel_table
from aimass.simulator.round_jobs import round_jobs
from aimass.simulator.rounds_gavel import RoundJob, Rounds
from aimass.simulator.traces import read_trace

SHARED = Path(__file__).parents[3] / "shared" / "traces" / "gavel"
TYPES = ("k80", "p100", "v100")
TRACES = {
    "phys_mmf": ("physical_max_min_fairness.trace", (24, 16, 8)),
    "phys_mks": ("physical_minimize_makespan.trace", (24, 16, 8)),
    "multi2": ("continuous_multi_r2.0_n500_s0.trace.gz", (36, 36, 36)),
    "single4": ("continuous_single_r4.0_n1000_s0.trace.gz", (36, 36, 36)),
}
PUBLISHED = {
    "gavel-fifo": "fifo",
    "gavel-fifo-perf": "fifo_perf",
    "gavel-max-min": "max_min_fairness",
    "gavel-max-min-perf": "max_min_fairness_perf",
    "gavel-ftf-perf": "finish_time_fairness_perf",
    "gavel-makespan": "min_total_duration",
    "gavel-makespan-perf": "min_total_duration_perf",
}
EXACT = [("phys_mmf", "gavel-fifo"), ("phys_mks", "gavel-fifo")]
EXACT += [("multi2", "gavel-fifo"), ("multi2", "gavel-fifo-perf"), ("single4", "gavel-fifo")]
AWARE, BLIND = 0.015, 0.04  # of the average completion time
NEAR = [
    ("phys_mmf", "gavel-max-min", BLIND),
    ("phys_mmf", "gavel-max-min-perf", AWARE),
    ("phys_mmf", "gavel-ftf-perf", AWARE),
    ("phys_mks", "gavel-makespan", BLIND),
    ("phys_mks", "gavel-makespan-perf", AWARE),
    ("multi2", "gavel-max-min", BLIND),
    ("multi2", "gavel-max-min-perf", AWARE),
    ("multi2", "gavel-ftf-perf", AWARE),
    ("single4", "gavel-max-min", BLIND),
    ("single4", "gavel-max-min-perf", AWARE),
]
shared = pytest.mark.skipif(not SHARED.exists(), reason="Gavel's traces are not on this machine")


class Played(NamedTuple):
    """Completion times by job, and when the last one ended."""

    jct_s: dict[str, float]
    makespan_s: float


@cache
def jobs_of(trace: str) -> list[RoundJob]:
    """The trace with the reference's own throughputs."""
    table = gavel_table(SHARED / "simulation_throughputs.json.gz")
    return round_jobs(read_trace(SHARED / TRACES[trace][0]), TYPES, table)


def play(trace: str, policy: str, seed: int = 0) -> Played:
    """One run of the loop."""
    jobs = jobs_of(trace)
    found: dict[str, float] = {}
    end_s = 0.0
    for round_ in Rounds(jobs, TRACES[trace][1], POLICIES[policy](), seed).play():
        for index, job_end_s in round_.ended:
            found[str(index)] = job_end_s - jobs[index].arrival_s
        end_s = round_.start_s
    return Played(found, end_s)


@cache
def reference() -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Completion times by run and job, and makespans by run."""
    with gzip.open(SHARED / "reference-jct.json.gz") as file:
        times = dict(json.load(file))
    with open(SHARED / "reference-results.json", encoding="utf-8") as file:
        results = json.load(file)["results"]
    return times, {row["run"]: row["makespan"] for row in results}


def mean(values: dict[str, float]) -> float:
    """The average."""
    return sum(values.values()) / len(values)


@shared
@pytest.mark.parametrize(("trace", "policy"), EXACT)
def test_without_a_program_every_job_ends_when_the_reference_says(trace: str, policy: str) -> None:
    times = reference()[0][f"{trace}_{PUBLISHED[policy]}"]
    assert play(trace, policy).jct_s == pytest.approx(times, abs=0.001)


@shared
@pytest.mark.parametrize(("trace", "policy", "near"), NEAR)
def test_with_programs_averages_and_makespans_are_near(
    trace: str, policy: str, near: float
) -> None:
    run = f"{trace}_{PUBLISHED[policy]}"
    times, makespans = reference()
    played = play(trace, policy)
    assert played.jct_s.keys() == times[run].keys()
    assert mean(played.jct_s) == pytest.approx(mean(times[run]), rel=near)
    assert played.makespan_s == pytest.approx(makespans[run], rel=0.03)


def alone(steps: int, arrival_s: float = 0.0, gpus: int = 1, rate: float = 1.0) -> RoundJob:
    """A job for one type of GPU."""
    return RoundJob(arrival_s, steps, gpus, (rate,))


def test_a_job_that_comes_after_the_shares_were_made_holds_gpus_and_does_not_work() -> None:
    jobs = [alone(5000, arrival_s=100.0), alone(360, arrival_s=110.0)]
    rounds = [*Rounds(jobs, (2,), POLICIES["gavel-max-min"]()).play()]
    first_s = next(round_.start_s for round_ in rounds if 1 in round_.holding)
    works_s = next(round_.start_s for round_ in rounds if 1 in round_.working)
    assert (first_s, works_s) == (460.0, 2260.0)  # a round ends, and one ends 1,920 s after 100
    assert [index for round_ in rounds for index, _ in round_.ended] == [1, 0]


def test_two_jobs_take_turns_on_one_gpu() -> None:
    jobs = [alone(720), alone(720)]
    rounds = [*Rounds(jobs, (1,), POLICIES["gavel-max-min"]()).play()]
    held = [next(iter(round_.holding), None) for round_ in rounds]
    assert held[0] != held[1]
    assert sorted(held[:4]) == [0, 0, 1, 1]


def test_steps_too_few_for_the_gang_end_the_job_after_five_rounds() -> None:
    """The artifact drops such a job from its averages; it counts as over here."""
    rounds = Rounds([alone(3, gpus=4)], (4,), POLICIES["gavel-fifo-perf"]())
    ends = [end_s for round_ in rounds.play() for _, end_s in round_.ended]
    assert ends == [15.0]
    assert rounds.cut_short == 1
