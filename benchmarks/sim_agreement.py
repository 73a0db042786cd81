"""How near runs come to published ones, and what coarse simulators hide.

`python -m benchmarks.sim_agreement` runs the cells of the three tables of docs/agreement.md that
are not in the results yet, appends a line for each, and writes tables and pictures into the page:

a  the published simulators' own rounds and counts of GPUs, beside their figures
b  the same jobs in rounds, then in events with one more cost of the real world after the other
c  a cluster of three models of GPU as in Sia's paper, see sim_agreement_mixed.py
"""

import argparse
import gzip
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, product
from pathlib import Path
from typing import Any, NamedTuple

from aimass.simulator.attempts import Record
from aimass.simulator.clusters import parse_cluster
from aimass.simulator.faults import LLAMA3
from aimass.simulator.models import MEASURED_PACES, PLAIN, Costs, Models
from aimass.simulator.run import Outcome, run
from aimass.simulator.run_how import How, play
from aimass.simulator.run_policies import parse_policies
from aimass.simulator.run_summary import HOUR_GPU_MS, Tally, quantile_s
from aimass.simulator.tracejob import TraceJob, spelled
from aimass.simulator.traces import read_trace, tables_at
from benchmarks import sim_agreement_mixed as mixed
from benchmarks import sim_agreement_page as page
from benchmarks.daemons import ROOT

SHARED = ROOT.parent / "shared" / "traces"
RESULTS = Path(__file__).with_name("sim_agreement.jsonl")
PAGE = ROOT / "docs" / "agreement.md"
JUST_THE_SAME_S = 0.0011  # Gavel's times are kept in whole milliseconds
RESIZE_MS = 180_000


class Trace(NamedTuple):
    """A published trace. run: what its reference results are filed under, of {policy}."""

    path: str
    cluster: str
    run: str
    round_s: int = 0
    restart_ms: int = 0


_PHYSICAL, _CONTINUOUS = "6x4xk80+4x4xp100+2x4xv100", "9x4xk80+9x4xp100+9x4xv100"
_POLLUX = "pollux/workloads/workload-{}.csv"
TRACES = {
    "60_job": Trace("tiresias/60_job.csv", "4x4xP100", "tir_60_{}"),
    "ee9e8c": Trace("tiresias/philly_ee9e8c_s0.csv.gz", "32x4xP100", "tir_ee9e8c_{}"),
    "0e4a51": Trace("tiresias/philly_0e4a51_s0.csv", "16x4xP100", "tir_0e4a51_{}"),
    "w6": Trace(_POLLUX.format(6), "16x4xT4", "pol_w6_{}", 60, 30_000),
    "w1": Trace(_POLLUX.format(1), "16x4xT4", "pol_w1_{}", 60, 30_000),
    "phys_mmf": Trace("gavel/physical_max_min_fairness.trace", _PHYSICAL, "phys_mmf_{}", 360),
    "phys_mks": Trace("gavel/physical_minimize_makespan.trace", _PHYSICAL, "phys_mks_{}", 360),
    "multi2": Trace("gavel/continuous_multi_r2.0_n500_s0.trace.gz", _CONTINUOUS, "multi2_{}", 360),
    "single4": Trace(
        "gavel/continuous_single_r4.0_n1000_s0.trace.gz", _CONTINUOUS, "single4_{}", 360
    ),
}
THEIR_NAMES = {
    **{"fifo": "fifo", "fifo-skip": "fjf", "srtf": "shortest", "srtf-gpu": "shortest-gpu"},
    **{"las": "dlas-gpu", "pollux-tiresias": "tiresias", "pollux-optimus": "optimus"},
    **{"sia": "pollux", "gavel-fifo": "fifo", "gavel-fifo-perf": "fifo_perf"},
    **{"gavel-max-min": "max_min_fairness", "gavel-max-min-perf": "max_min_fairness_perf"},
    "gavel-ftf-perf": "finish_time_fairness_perf",
    **{"gavel-makespan": "min_total_duration", "gavel-makespan-perf": "min_total_duration_perf"},
}

COUNTS, LISTS, ROUNDS = "counts", "lists", "rounds"  # as the published simulators have it
FREE, RESTART, RESTART_100, CHECKPOINT, ALL = "free", "30 s", "100 s", "checkpoint", "all"
EVENTS: dict[str, tuple[Costs, Models]] = {
    FREE: (Costs(resize_every_ms=RESIZE_MS), PLAIN),
    RESTART: (Costs(restart_ms=30_000, resize_every_ms=RESIZE_MS), PLAIN),
    RESTART_100: (Costs(restart_ms=100_000, resize_every_ms=RESIZE_MS), PLAIN),
    CHECKPOINT: (Costs(0, 30_000, 1_800_000, resize_every_ms=RESIZE_MS), PLAIN),
    ALL: (
        Costs(0, 30_000, 1_800_000, resize_every_ms=RESIZE_MS),
        Models(faults=LLAMA3, paces=MEASURED_PACES),
    ),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One run. world: COUNTS (a pool of GPUs), LISTS (and the reference's own orders), ROUNDS, or
    of EVENTS; in table c: what jobs are. seed: of what fails, in table c of the jobs."""

    table: str
    trace: str
    policy: str
    world: str
    seed: int = 0


def cells(tables: str) -> Iterator[Cell]:
    """All runs of these tables; a run that two of them need comes once."""
    if "a" in tables:
        yield from _cells_a()
    if "b" in tables:
        yield from _cells_b()
    if "c" in tables:
        for seed, jobs in product(mixed.SEEDS, mixed.LOADS):
            for policy, kind in mixed.RUNS:
                yield Cell("c", f"mixed-{jobs}", policy, kind, seed)


def _cells_a() -> Iterator[Cell]:
    for trace in ("60_job", "ee9e8c", "0e4a51"):
        for policy in ("fifo", "fifo-skip", "srtf", "srtf-gpu", "las"):
            yield Cell("a", trace, policy, LISTS)
        yield Cell("a", trace, "las", COUNTS)
    for trace in ("w6", "w1"):
        yield Cell("a", trace, "pollux-tiresias", ROUNDS)
        yield Cell("a", trace, "pollux-optimus", ROUNDS)
        yield Cell("a", trace, "sia", RESTART)
    for trace, policies in GAVEL_RUNS.items():
        for policy in policies:
            yield Cell("a", trace, policy, ROUNDS)


GAVEL_RUNS = {
    "phys_mmf": ("gavel-fifo", "gavel-max-min", "gavel-max-min-perf", "gavel-ftf-perf"),
    "phys_mks": ("gavel-fifo", "gavel-makespan", "gavel-makespan-perf"),
    "multi2": (
        *("gavel-fifo", "gavel-fifo-perf", "gavel-max-min", "gavel-max-min-perf"),
        "gavel-ftf-perf",
    ),
    "single4": ("gavel-fifo", "gavel-max-min", "gavel-max-min-perf"),
}
HIDDEN = {
    "0e4a51": ("fifo", "srtf", "las", "mass"),
    "ee9e8c": ("fifo", "srtf", "las"),
    "w6": ("pollux-tiresias", "pollux-optimus", "sia", "mass"),
    "w1": ("pollux-tiresias", "pollux-optimus", "sia"),
    "phys_mmf": ("gavel-fifo-perf", "gavel-max-min-perf", "fifo", "las", "srtf", "mass"),
    "multi2": ("gavel-fifo-perf", "gavel-max-min-perf", "fifo", "las", "srtf"),
}


def _cells_b() -> Iterator[Cell]:
    for trace, policies in HIDDEN.items():
        for policy in policies:
            if trace in ("0e4a51", "ee9e8c") and policy != "mass":
                yield Cell("a", trace, policy, LISTS)
            elif policy.startswith(("gavel-", "pollux-")):
                yield Cell("a", trace, policy, ROUNDS)
            if policy != "gavel-fifo-perf":  # there is none in events
                for world in EVENTS:
                    is_of_a = policy == "sia" and world == RESTART
                    yield Cell("a" if is_of_a else "b", trace, policy, world)


def measure(cell: Cell, folder: Path, jobs_max: int = 1_000_000) -> dict[str, Any]:
    """One run: what the cell is, and its figures. jobs_max: so many jobs of the trace.

    theirs_s: the published average; same: jobs that end when the published ones do. None: nobody
    published any.
    """
    tally, ends_s = Tally(), dict[str, float]()

    def note(record: Record) -> None:
        tally.add(record)
        if record.end_ms >= 0 and not record.is_failed:
            ends_s[record.job.name] = (record.end_ms - record.job.submit_ms) / 1000

    began_s = time.process_time()
    if cell.table == "c":
        jobs = min(jobs_max, int(cell.trace.partition("-")[2]))
        outcome = mixed.played(cell.policy, cell.world, cell.seed, folder, note, jobs)
    else:
        outcome = _played(cell, folder, note, jobs_max)
    jct = sorted(tally.jct_ms)
    return {
        **asdict(cell),
        "jobs": outcome.jobs,
        "finished": outcome.finished,
        "jct_mean_s": round(sum(jct) / len(jct) / 1000, 3),
        "jct_p99_s": quantile_s(jct, 99),
        "makespan_s": (outcome.end_ms - outcome.begin_ms) / 1000,
        "restarts": round(tally.restarts / outcome.jobs, 3),
        "gpu_h_lost": round(tally.lost / HOUR_GPU_MS, 1),
        "gpu_h_held": round(outcome.held / HOUR_GPU_MS, 1),
        "failures": outcome.failures,
        **_beside(cell, folder, ends_s),
        "cpu_s": round(time.process_time() - began_s, 1),
    }


def _played(cell: Cell, folder: Path, note: Callable[[Record], None], jobs_max: int) -> Outcome:
    trace = TRACES[cell.trace]
    path, kinds = folder / trace.path, parse_cluster(trace.cluster)
    jobs: Iterator[TraceJob] = islice((spelled(job, kinds) for job in read_trace(path)), jobs_max)
    (named,) = parse_policies(cell.policy)
    if cell.world == COUNTS:
        return run(jobs, kinds, named.make(), note, is_parity=True)
    costs, models = EVENTS.get(cell.world, (Costs(restart_ms=trace.restart_ms), PLAIN))
    round_s = trace.round_s if cell.world == ROUNDS else 0
    how = How(
        *(kinds, costs, cell.world == LISTS, round_s, tables_at(path)),
        seed=cell.seed,
        models=models,
    )
    return play(how, named, jobs, note)


def _beside(cell: Cell, folder: Path, ends_s: dict[str, float]) -> dict[str, Any]:
    """What was published of this run, where anything was."""
    is_theirs = cell.world in (COUNTS, LISTS, ROUNDS)
    if cell.table != "a" or not (is_theirs or cell.policy == "sia"):
        return {"theirs_s": None, "their_p99_s": None, "same": None}
    theirs = _their_times(cell, folder)
    if not theirs:
        return {"theirs_s": None, "their_p99_s": None, "same": None}
    same = sum(
        abs(ends_s[name] - end_s) < JUST_THE_SAME_S
        for name, end_s in theirs.items()
        if name in ends_s
    )
    return {
        "theirs_s": round(sum(theirs.values()) / len(theirs), 3),
        "their_p99_s": quantile_s(sorted(round(1000 * end_s) for end_s in theirs.values()), 99),
        "same": same,
    }


def _their_times(cell: Cell, folder: Path) -> dict[str, float]:
    """The published completion time of each job; nothing where only an average is known."""
    trace, name = TRACES[cell.trace], THEIR_NAMES[cell.policy]
    beside = folder / trace.path.partition("/")[0]
    if cell.policy == "sia":
        published = json.loads((beside / "published-results.json").read_text())
        workload = Path(trace.path).stem
        return dict(published[name][workload]["jct"])
    with gzip.open(beside / "reference-jct.json.gz") as file:
        return dict(json.load(file).get(trace.run.format(name), {}))


def results(path: Path) -> list[dict[str, Any]]:
    """The runs that were measured; none where there is no file yet."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("trace", "policy", "world", "seed"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, then write the page."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sim_agreement",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--table", default="abc", help="of these only")
    parser.add_argument("--only", default="", help="of TRACE/POLICY/WORLD/SEED, an expression")
    parser.add_argument("--traces", type=Path, default=SHARED, help="the folder of shared traces")
    parser.add_argument("--results", type=Path, default=RESULTS, help="what was measured so far")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the tables go")
    parser.add_argument("--jobs", type=int, default=1_000_000, help="of each trace, at most")
    options = parser.parse_args(arguments)
    done = {_key(row) for row in results(options.results)}
    for cell in cells(options.table):
        key = _key(asdict(cell))
        if key in done or not re.search(options.only, "/".join(map(str, key))):
            continue
        line = json.dumps(measure(cell, options.traces, options.jobs))
        done.add(key)
        print(line, flush=True)
        with options.results.open("a") as file:
            file.write(line + "\n")
    page.write(options.page, results(options.results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
