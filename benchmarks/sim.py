"""How fast traces run through the production scheduler in virtual time (`massctl sim run`).

Jobs per processor second on the two long traces of the Tiresias simulator, and how many times that
is what their own simulator takes, as measured beside the traces (another machine, as busy as ours).
Without the traces: generated jobs, and no comparison.
"""

import json
import time
from collections.abc import Iterator

from aimass.policies.registry import make_policy
from aimass.simulator.clusters import parse_cluster
from aimass.simulator.run import run as play
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.traces import read_trace
from benchmarks.daemons import ROOT
from benchmarks.record import Record, of_rounds

TIRESIAS = ROOT.parent / "shared" / "traces" / "tiresias"
TRACES = {
    "ee9e8c": ("philly_ee9e8c_s0.csv.gz", "32x4xV100"),
    "0e4a51": ("philly_0e4a51_s0.csv", "16x4xV100"),
}
ORDERS = {"fifo": "fifo", "srtf": "shortest", "las": "dlas-gpu"}
GENERATED = ("generated", "16x4xV100")
ROUNDS = 3


def run(scale: float) -> list[Record]:
    """Jobs per processor second by order and trace. scale: how many of a trace's jobs."""
    return [
        record
        for order in ORDERS
        for name, (jobs, cluster) in _workloads(scale).items()
        for record in _measured(order, name, jobs, cluster)
    ]


def _measured(order: str, name: str, jobs: list[TraceJob], cluster: str) -> Iterator[Record]:
    rates = []
    for _ in range(ROUNDS):
        began_s = time.process_time()
        play(jobs, parse_cluster(cluster), make_policy(order), _forget, is_parity=True)
        rates.append(len(jobs) / (time.process_time() - began_s))
    label = f"sim_tiresias_{order}_{name}"
    yield of_rounds(label, "jobs/s", rates, ROUNDS)
    reference = _reference_rate(order, name)
    if reference:
        ratios = [rate / reference for rate in rates]
        yield of_rounds(f"{label}_of_reference", "x", ratios, ROUNDS)


def _forget(record: object) -> None:
    """What became of the jobs is of no interest here."""


def _workloads(scale: float) -> dict[str, tuple[list[TraceJob], str]]:
    if not TIRESIAS.exists():
        name, cluster = GENERATED
        return {name: (_generated(max(50, round(1000 * scale))), cluster)}
    found = {}
    for name, (file, cluster) in TRACES.items():
        jobs = list(read_trace(TIRESIAS / file))
        found[name] = (jobs[: max(50, round(len(jobs) * scale))], cluster)
    return found


def _generated(count: int) -> list[TraceJob]:
    """Jobs of 1 to 8 GPUs and minutes to days, from a fixed sequence."""
    jobs, at_ms, draw = [], 0, 20_261_121
    for number in range(count):
        draw = draw * 48_271 % 2_147_483_647
        at_ms += draw % 1_500_000
        work_ms = 60_000 << draw // 7 % 11
        jobs.append(TraceJob(f"{number}", at_ms, work_ms, 1000 << draw // 11 % 4))
    return jobs


def _reference_rate(order: str, name: str) -> float:
    """Jobs per processor second of the published simulator; 0 when it was not measured."""
    path = TIRESIAS / "reference-results.json"
    if not path.exists():
        return 0
    wanted = f"tir_{name}_{ORDERS[order]}"
    rows = json.loads(path.read_text())["results"]
    return next((row["jobs"] / row["cpu_s"] for row in rows if row["run"] == wanted), 0)
