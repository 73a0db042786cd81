"""Policies against each other on every shared job trace: `python -m benchmarks.sim_policies`.

Completion times in s, worst finish-time fairness, due jobs in time. Every policy has the same jobs,
restarts of 30 s, and gangs of single GPUs, so that any free ones of a model will do. A published
policy that looks only at GPUs in rounds is run in events like all others. With --seeds on draws of
the traces, which sim_policies_paired compares.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import islice, product
from pathlib import Path
from typing import Any, NamedTuple

from aimass.cli_sim_base import parse_seeds
from aimass.core.speeds import NORMAL_MICRO, speed_on
from aimass.simulator.attempts import Record
from aimass.simulator.clusters import Kinds, parse_cluster
from aimass.simulator.models import Costs
from aimass.simulator.reshape import drawn
from aimass.simulator.run_how import How, play
from aimass.simulator.run_policies import parse_policies
from aimass.simulator.tracejob import TraceJob, spelled
from aimass.simulator.traces import read_trace, tables_at
from benchmarks.daemons import ROOT

SHARED = ROOT.parent / "shared" / "traces"
COSTS = Costs(restart_ms=30_000, resize_every_ms=0)


class Workload(NamedTuple):
    """A trace, of which so many jobs at most, on a cluster."""

    path: str
    cluster: str
    jobs: int = 100_000


class Draw(NamedTuple):
    """The first so many jobs of what a seed draws: blocks of successive ones, as `sim sweep` does.

    All policies get the same jobs of a seed.
    """

    seed: int
    block: int
    jobs: int = 100_000


_PHYSICAL, _CONTINUOUS = "8x1xV100+16x1xP100+24x1xK80", "36x1xV100+36x1xP100+36x1xK80"
WORKLOADS = {
    "tiresias-60": Workload("tiresias/60_job.csv", "4x4xP100"),
    "ee9e8c": Workload("tiresias/philly_ee9e8c_s0.csv.gz", "32x4xP100"),
    "0e4a51": Workload("tiresias/philly_0e4a51_s0.csv", "16x4xP100"),
    "philly-3000": Workload("philly/philly_2017-09-04_2017-11-13.csv.gz", "32x8xP100", 3000),
    "gavel-phys": Workload("gavel/physical_max_min_fairness.trace", _PHYSICAL),
    "gavel-mks": Workload("gavel/physical_minimize_makespan.trace", _PHYSICAL),
    "gavel-multi2": Workload("gavel/continuous_multi_r2.0_n500_s0.trace.gz", _CONTINUOUS),
    "gavel-single4": Workload("gavel/continuous_single_r4.0_n1000_s0.trace.gz", _CONTINUOUS),
    "pollux-6": Workload("pollux/workloads/workload-6.csv", "16x4xT4"),
    "pollux-1": Workload("pollux/workloads/workload-1.csv", "16x4xT4"),
    "elasticflow": Workload("elasticflow/elasticVpollux_e.csv", "16x4xT4"),
}
POLICIES = (
    *("fifo", "fifo-skip", "srtf", "srtf-gpu", "las"),
    *("gavel-max-min-perf", "gavel-ftf-perf", "optimus", "elasticflow", "sia", "mass"),
)


def measure(name: str, policy: str, draw: Draw | None = None) -> dict[str, Any]:
    """One run of a workload, or of a draw from it: the figures of a row."""
    workload = WORKLOADS[name]
    kinds = parse_cluster(workload.cluster)
    path = SHARED / workload.path
    jobs = [spelled(job, kinds) for job in islice(read_trace(path), workload.jobs)]
    if draw is not None:
        jobs = list(islice(drawn(jobs, draw.block, draw.seed), draw.jobs))
    how = How(kinds, COSTS, is_parity=True, tables=tables_at(path))
    records: list[Record] = []
    began_s = time.process_time()
    (named,) = parse_policies(policy)
    play(how, named, jobs, records.append)
    cpu_s = time.process_time() - began_s
    row = figures(name, policy, records, kinds) | {"cpu_s": cpu_s}
    return row if draw is None else row | {"seed": draw.seed, "block": draw.block}


def figures(name: str, policy: str, records: list[Record], kinds: Kinds) -> dict[str, Any]:
    """What the records come to; times in s. Only for runs in which every job ended."""
    assert all(record.end_ms >= 0 for record in records), "a job that never ended"
    times_s = sorted((r.end_ms - r.job.submit_ms) / 1000 for r in records)
    due = [r for r in records if r.job.slo_ms]
    return {
        "workload": name,
        "policy": policy,
        "jobs": len(records),
        "jct_mean_s": sum(times_s) / len(times_s),
        "jct_p99_s": times_s[min(len(times_s) - 1, len(times_s) * 99 // 100)],
        "worst_ftf": max(fairness(records, kinds)),
        "makespan_s": (max(r.end_ms for r in records) - min(r.job.submit_ms for r in records))
        / 1000,
        "restarts": sum(r.attempts - 1 for r in records) / len(records),
        "in_time": sum(r.end_ms <= r.job.submit_ms + r.job.slo_ms for r in due) if due else None,
    }


def fairness(records: list[Record], kinds: Kinds) -> Iterator[float]:
    """For each job its completion time over that with an equal share of the cluster, all its life.

    The share is 1 / n of the GPUs, n the mean number of jobs in the system while it is there; with
    fewer than it asks for it is slower in proportion, at the speed of the model that suits it best.
    """
    total = sum(kind.total for kind in kinds)
    ordered = sorted(records, key=lambda r: r.job.submit_ms)
    present = list(_present(ordered))
    for record, jobs in zip(ordered, present, strict=True):
        job = record.job
        gpus = max(1, job.gpu_milli // 1000)
        alone_ms = job.work_ms * NORMAL_MICRO / _best_speed(job, kinds)
        fair_ms = alone_ms * max(1.0, gpus * jobs / total)
        yield (record.end_ms - job.submit_ms) / max(1.0, fair_ms)


def _present(ordered: list[Record]) -> Iterator[float]:
    """The mean number of jobs in the system during the life of each. O(n log n) and a look-up."""
    ends: list[int] = []
    moments: list[tuple[int, float, int]] = []  # (at_ms, job-ms until then, jobs from then on)
    times = sorted({r.job.submit_ms for r in ordered} | {r.end_ms for r in ordered})
    upcoming = 0
    sum_ms, last_ms = 0.0, times[0]
    for at_ms in times:
        sum_ms += (at_ms - last_ms) * len(ends)
        last_ms = at_ms
        while ends and ends[0] <= at_ms:
            heappop(ends)
        while upcoming < len(ordered) and ordered[upcoming].job.submit_ms <= at_ms:
            heappush(ends, ordered[upcoming].end_ms)
            upcoming += 1
        moments.append((at_ms, sum_ms, len(ends)))
    until = {at_ms: job_ms for at_ms, job_ms, _ in moments}
    for record in ordered:
        span_ms = max(1, record.end_ms - record.job.submit_ms)
        yield max(1.0, (until[record.end_ms] - until[record.job.submit_ms]) / span_ms)


def _best_speed(job: TraceJob, kinds: Kinds) -> int:
    gpus = job.gpu_milli // 1000
    said = [speed_on(job.speeds, kind.gpu_type, gpus, 1) for kind in kinds]
    return max(NORMAL_MICRO if speed is None else speed for speed in said)


def main() -> int:
    """Run what is asked for and print a line of JSON for each run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sim_policies", description=__doc__)
    parser.add_argument("--workload", default=",".join(WORKLOADS))
    parser.add_argument("--policy", default=",".join(POLICIES))
    parser.add_argument("--out", type=Path, help="append here as well")
    parser.add_argument("--seeds", type=parse_seeds, help="draws of the traces, such as 0-9")
    parser.add_argument("--block", type=int, default=20, help="successive jobs that stay together")
    parser.add_argument("--jobs", type=int, default=100_000, help="of a draw; at most the trace's")
    options = parser.parse_args()
    draws: list[Draw | None] = [
        Draw(seed, options.block, options.jobs) for seed in options.seeds or ()
    ] or [None]
    asked = (options.workload.split(","), draws, options.policy.split(","))
    for name, draw, policy in product(*asked):
        line = json.dumps(measure(name, policy, draw))
        print(line, flush=True)
        if options.out is not None:
            with options.out.open("a") as file:
                file.write(line + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
