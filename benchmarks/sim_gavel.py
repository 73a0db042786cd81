"""How fast Gavel's traces run under max-min fairness: its loop alone, with the core, and in events.

Jobs per processor second, and how many times that is what Gavel's own simulator took, as measured
beside the traces (another machine, as busy as ours). `loop` is what that simulator does: rounds and
programs. `core` is the same with every choice as a plan of the production core, proved and applied;
`events` is `gavel-max-min-perf` without rounds. With them the average completion time in events,
as a multiple of the reference's.
"""

import gzip
import json
import time
from collections.abc import Callable, Iterable
from functools import partial

from aimass.simulator.attempts import Record as JobRecord
from aimass.simulator.clusters import parse_cluster
from aimass.simulator.models import Costs
from aimass.simulator.parity_gavel import POLICIES
from aimass.simulator.perf import gavel_table
from aimass.simulator.round_jobs import capacity_of, round_jobs, types_of
from aimass.simulator.rounds_gavel import Rounds
from aimass.simulator.run_how import How, play
from aimass.simulator.run_policies import parse_policies
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.traces import read_trace, tables_at
from benchmarks.daemons import ROOT
from benchmarks.record import Record, of_rounds

GAVEL = ROOT.parent / "shared" / "traces" / "gavel"
POLICY = "gavel-max-min-perf"
PHYSICAL, SINGLE = "6x4xk80+4x4xp100+2x4xv100", "36x1xk80+36x1xp100+36x1xv100"
TRACES = {
    "phys_mmf": ("physical_max_min_fairness.trace", PHYSICAL),
    "multi2": ("continuous_multi_r2.0_n500_s0.trace.gz", SINGLE),
    "single4": ("continuous_single_r4.0_n1000_s0.trace.gz", SINGLE),
}
LOOP_ROUNDS = 3  # one of the others, which are long

Play = Callable[[list[TraceJob], str, str], None]


def run(scale: float) -> list[Record]:
    """By trace; nothing without the traces. scale: how many of the jobs."""
    found: list[Record] = []
    for trace, (file, cluster) in TRACES.items() if GAVEL.exists() else ():
        jobs = list(read_trace(GAVEL / file))
        jobs = jobs[: max(20, round(len(jobs) * scale))]
        ended: list[JobRecord] = []
        for name, rounds, playing in (
            ("loop", LOOP_ROUNDS, _loop),
            ("core", 1, _core),
            ("events", 1, partial(_events, ended)),
        ):
            found += _measured(f"sim_gavel_{name}_{trace}", trace, rounds, jobs, cluster, playing)
        found.append(of_rounds(f"sim_gavel_jct_{trace}_of_reference", "x", [_jct(trace, ended)], 1))
    return found


def _jct(trace: str, ended: list[JobRecord]) -> float:
    """The average completion time, of that of the same jobs in the published run."""
    with gzip.open(GAVEL / "reference-jct.json.gz") as file:
        published: dict[str, float] = json.load(file)[f"{trace}_max_min_fairness_perf"]
    ours_ms = sum(one.end_ms - one.job.submit_ms for one in ended)
    return ours_ms / 1000 / sum(published[one.job.name] for one in ended)


def _measured(
    label: str, trace: str, rounds: int, jobs: list[TraceJob], cluster: str, playing: Play
) -> Iterable[Record]:
    rates = []
    for _ in range(rounds):
        began_s = time.process_time()
        playing(jobs, cluster, TRACES[trace][0])
        rates.append(len(jobs) / (time.process_time() - began_s))
    reference = _reference(trace)
    ratios = [rate * reference["cpu_s"] / reference["jobs"] for rate in rates]
    yield of_rounds(label, "jobs/s", rates, rounds)
    yield of_rounds(f"{label}_of_reference", "x", ratios, rounds)


def _loop(jobs: list[TraceJob], cluster: str, file: str) -> None:
    kinds = parse_cluster(cluster)
    types = types_of(kinds, jobs)
    table = gavel_table(GAVEL / "simulation_throughputs.json.gz")
    there = round_jobs(jobs, types, table)
    for _ in Rounds(there, capacity_of(kinds, types), POLICIES[POLICY]()).play():
        pass


def _core(jobs: list[TraceJob], cluster: str, file: str) -> None:
    how = How(parse_cluster(cluster), Costs(), round_s=360, tables=tables_at(GAVEL / file))
    play(how, parse_policies(POLICY)[0], jobs, lambda record: None)


def _events(ended: list[JobRecord], jobs: list[TraceJob], cluster: str, file: str) -> None:
    play(How(parse_cluster(cluster), Costs()), parse_policies(POLICY)[0], jobs, ended.append)


def _reference(trace: str) -> dict[str, float]:
    """What the published run took."""
    rows = json.loads((GAVEL / "reference-results.json").read_text())["results"]
    (row,) = (row for row in rows if row["run"] == f"{trace}_max_min_fairness_perf")
    return {name: float(row[name]) for name in ("jobs", "cpu_s")}
