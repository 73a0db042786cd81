"""Resident memory of a fresh process with 8,192 running jobs and 100,000 pending.

Jobs are ordinary ones (see jobs.py) and come in as they come out of a journal, decoded from bytes.
"""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from aimass.core.codec import decode_events, encode_events
from aimass.core.spec import Need
from benchmarks import jobs
from benchmarks.busy import Busy
from benchmarks.daemons import ROOT, BenchmarkError
from benchmarks.record import Record, of_rounds

ROUNDS = 3
NODES = 1_024
PENDING = 100_000


def run(scale: float) -> list[Record]:
    """`memory`, MiB; `memory_python`: of it, the interpreter with all that it has imported."""
    nodes, pending = max(8, round(NODES * scale)), max(50, round(PENDING * scale))
    command = [sys.executable, "-m", "benchmarks.memory", str(nodes), str(pending)]
    rounds = []
    for _ in range(ROUNDS):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchmarkError(done.stderr[-500:])
        rounds.append([float(word) for word in done.stdout.split()])
    return [
        of_rounds("memory", "MiB", [each[1] for each in rounds], ROUNDS),
        of_rounds("memory_python", "MiB", [each[0] for each in rounds], ROUNDS),
    ]


def _resident_mib() -> float:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def _measure(nodes: int, pending: int) -> None:
    at_first = _resident_mib()
    busy = Busy(nodes)
    running = nodes * jobs.GPUS_PER_NODE
    single = Need(1000, 8000, jobs.MEMORY_MIB_PER_GPU // 2)
    for number in range(running + pending):
        spec = replace(jobs.spec(number), priority=0)
        if number < running:
            spec = replace(spec, roles=(replace(spec.roles[0], need=single),))
        event = replace(busy.submission(spec), idempotency_key=f"key-{number}")
        for decoded in decode_events(encode_events([event])):
            busy.do(decoded)
        if number == running - 1:
            busy.settle()
    assert len(busy.cluster.active) == running
    busy.settle()
    assert len(busy.cluster.jobs) == running + pending
    print(at_first, _resident_mib())


if __name__ == "__main__":
    _measure(int(sys.argv[1]), int(sys.argv[2]))
