"""Long traces and large clusters through the production scheduler in virtual time.

Philly's 63,911 jobs under fair share with backfill, promises and racks, on as many GPUs as Philly
had; and a million generated jobs on 100,000 GPUs under fifo-backfill, with a tenth and a hundredth
of both beside it. Every run is a process of its own, so that its memory can be told.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import islice

from aimass.policies.registry import make_policy
from aimass.simulator.clusters import Kinds, NodeKind
from aimass.simulator.generate import Arrivals, Kind, generate, lognormal
from aimass.simulator.models import Models
from aimass.simulator.run import run as play
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.traces import read_trace
from benchmarks.daemons import ROOT, BenchmarkError
from benchmarks.record import Record, of_rounds

PHILLY = ROOT.parent / "shared/traces/philly/philly_2017-09-04_2017-11-13.csv.gz"
PHILLY_JOBS, PHILLY_GPUS = 63_911, 2_474
RACK_NODES = 16
MILLION, MILLION_GPUS = 1_000_000, 100_000
DECADES = {"10k": 100, "100k": 10, "1m": 1}
# Philly's sizes, and the fit of its run times; it asks for all GPUs on average.
SIZES = {1: 939, 2: 19, 4: 23, 8: 17, 16: 2}
MEDIAN_MS, SIGMA, MEAN_MS = 960_000, 1.5, 2_957_000


def run_philly(scale: float) -> list[Record]:
    """Processor seconds and peak MiB. scale: how many of the jobs, on all GPUs."""
    cpu_s, _, peak_mib = _apart("philly", max(50, round(PHILLY_JOBS * scale)), PHILLY_GPUS)
    return [
        of_rounds("sim_philly_cpu", "s", [cpu_s], 1),
        of_rounds("sim_philly_memory", "MiB", [peak_mib], 1),
    ]


def run_million(scale: float) -> list[Record]:
    """Wall seconds and peak MiB of the largest; jobs a processor second, and what a job takes more.

    scale: how many of the jobs and GPUs of each.
    """
    rates, records = {}, []
    for name, part in DECADES.items():
        jobs = max(50, round(MILLION * scale / part))
        cpu_s, wall_s, peak_mib = _apart("million", jobs, max(16, MILLION_GPUS * jobs // MILLION))
        rates[name] = jobs / cpu_s
        records.append(of_rounds(f"sim_million_rate_{name}", "jobs/s", [rates[name]], 1))
    for less, more in (("10k", "100k"), ("100k", "1m")):
        growth = rates[less] / rates[more]
        records.append(of_rounds(f"sim_million_growth_{more}", "x", [growth], 1))
    records.append(of_rounds("sim_million_wall", "s", [wall_s], 1))
    records.append(of_rounds("sim_million_memory", "MiB", [peak_mib], 1))
    return records


def _apart(name: str, jobs: int, gpus: int) -> tuple[float, float, float]:
    """(processor seconds, wall seconds, peak MiB) of a run in a new process."""
    command = [sys.executable, "-m", "benchmarks.sim_large", name, str(jobs), str(gpus)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(done.stderr[-500:])
    cpu_s, wall_s, peak_mib = json.loads(done.stdout)
    return cpu_s, wall_s, peak_mib


def _measure(name: str, count: int, gpus: int) -> None:
    gpu_type = "P100" if name == "philly" else "V100"
    kinds: Kinds = (NodeKind(gpus // 8, 8, gpu_type, rack_nodes=RACK_NODES),)
    if gpus % 8:
        kinds += (NodeKind(1, gpus % 8, gpu_type, rack_nodes=RACK_NODES),)
    jobs: Iterable[TraceJob]
    if name == "philly" and PHILLY.exists():
        policy, models = make_policy("fair"), Models(levels=("rack",))
        jobs = islice(read_trace(PHILLY), count)
    elif name == "philly":
        policy, models = make_policy("fair"), Models(levels=("rack",))
        jobs = _generated(count, gpus)
    else:
        policy, models = make_policy("fifo-backfill"), Models()
        jobs = _generated(count, gpus)
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    outcome = play(jobs, kinds, policy, lambda record: None, models=models)
    assert outcome.finished == count, f"{outcome.finished} of {count} jobs have ended"
    cpu_s, wall_s = time.process_time() - began_cpu_s, time.monotonic() - began_s
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([cpu_s, wall_s, peak_mib]))


def _generated(count: int, gpus: int) -> Iterator[TraceJob]:
    """So many jobs that come as fast as such a cluster can serve them."""
    kinds = [
        Kind(weight, 1000 * size, lognormal(MEDIAN_MS, SIGMA)) for size, weight in SIZES.items()
    ]
    mean_gpus = sum(size * weight for size, weight in SIZES.items()) / sum(SIZES.values())
    per_hour = 3_600_000 * gpus / (mean_gpus * MEAN_MS)
    return generate(count, kinds, Arrivals((per_hour,) * 24), seed=1)


if __name__ == "__main__":
    _measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
