"""How fast the Pollux artifact's workloads run: its own policies in rounds, and sia in events.

Jobs per processor second, and how many times that is what the artifact took, as measured beside the
workloads (another machine, as busy as ours). The artifact's own times include fits that these two
policies never read. Of events there is nothing to compare with: there jobs do fit models.
"""

import json
import time

from aimass.simulator.clusters import parse_cluster
from aimass.simulator.models import Costs
from aimass.simulator.run_how import How, play
from aimass.simulator.run_policies import parse_policies
from aimass.simulator.traces import read_trace, tables_at
from benchmarks.daemons import ROOT
from benchmarks.record import Record, of_rounds

POLLUX = ROOT.parent / "shared" / "traces" / "pollux"
RESTART = Costs(restart_ms=30_000, resize_every_ms=180_000)
RUNS = {"pollux-tiresias": 60, "pollux-optimus": 60, "sia": 0}
WORKLOADS = (6, 1)
ROUNDS = 3


def run(scale: float) -> list[Record]:
    """By policy and workload; nothing without the workloads. scale: how many of the jobs."""
    found = []
    for policy, round_s in RUNS.items():
        for workload in WORKLOADS if POLLUX.exists() else ():
            found += _measured(policy, round_s, workload, scale)
    return found


def label_of(policy: str, workload: int) -> str:
    """Of its record."""
    return f"sim_pollux_{policy.removeprefix('pollux-')}_w{workload}"


def _measured(policy: str, round_s: int, workload: int, scale: float) -> list[Record]:
    path = POLLUX / "workloads" / f"workload-{workload}.csv"
    rates = []
    for _ in range(ROUNDS):
        began_s = time.process_time()
        jobs = list(read_trace(path))
        jobs = jobs[: max(8, round(len(jobs) * scale))]
        how = How(parse_cluster("16x4xT4"), RESTART, round_s=round_s, tables=tables_at(path))
        (named,) = parse_policies(policy)
        play(how, named, jobs, lambda record: None)
        rates.append(len(jobs) / (time.process_time() - began_s))
    label = label_of(policy, workload)
    records = [of_rounds(label, "jobs/s", rates, ROUNDS)]
    if round_s:
        reference = _reference_rate(policy.removeprefix("pollux-"), workload)
        ratios = [rate / reference for rate in rates]
        records.append(of_rounds(f"{label}_of_reference", "x", ratios, ROUNDS))
    return records


def _reference_rate(policy: str, workload: int) -> float:
    """Jobs per processor second of the artifact."""
    rows = json.loads((POLLUX / "reference-results.json").read_text())["results"]
    (rate,) = (
        row["jobs"] / row["cpu_s"] for row in rows if row["run"] == f"pol_w{workload}_{policy}"
    )
    return float(rate)
