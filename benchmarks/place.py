"""Decisions a second of the packing engine, in processor time, each in a process of its own.

`place_openb`: the published experiment on openb's nodes, with compiled kernels and without.
`place_scale`: the same nodes up to 82 times, and pods drawn until they ask for 95 % of the GPUs; a
rate is that of the whole filling. `warmup`: from importing the engine to its first decision, with
what was compiled before on disk.
"""

import json
import os
import resource
import subprocess
import sys
import time
from fractions import Fraction

from aimass.policies.pack_cache import keep_compiled

keep_compiled()  # before the kernels are imported

from benchmarks.daemons import ROOT, BenchmarkError  # noqa: E402
from benchmarks.record import Record, of_rounds  # noqa: E402

ROUNDS = 3
COPIES = {"1k": 1, "10k": 8, "100k": 82}
LOAD = Fraction("0.95")
TIMEOUT_S = 900


def run_openb(scale: float) -> list[Record]:
    """`place_openb_POLICY`, compiled, and `place_openb_POLICY_plain`, decisions/s."""
    records, rounds = [], max(1, round(ROUNDS * scale))
    for suffix, plain in (("", "0"), ("_plain", "1")):
        for policy in ("fgd", "mass"):
            measured = [_child("openb", policy, scale, plain) for _ in range(rounds)]
            rates = [each["decisions"] / each["spent_s"] for each in measured]
            count = round(sum(each["decisions"] for each in measured))
            name = f"place_openb_{policy}{suffix}"
            records.append(of_rounds(name, "decisions/s", rates, count))
    return records


def run_scale(scale: float) -> list[Record]:
    """`place_scale_NODES`, decisions/s; how much slower each is than the one before; memory."""
    records, rates, most_mib = [], {}, 0.0
    for name, copies in COPIES.items():
        measured = _child("scale", "mass", scale, "0", max(1, round(copies * min(1, 4 * scale))))
        rates[name] = measured["decisions"] / measured["spent_s"]
        most_mib = max(most_mib, measured["memory_mib"])
        count = round(measured["decisions"])
        records.append(of_rounds(f"place_scale_{name}", "decisions/s", [rates[name]], count))
    for smaller, larger in (("1k", "10k"), ("10k", "100k")):
        growth = [rates[smaller] / rates[larger]]
        records.append(of_rounds(f"place_scale_growth_{larger}", "x", growth, 1))
    records.append(of_rounds("place_scale_memory", "MiB", [most_mib], 1))
    return records


def run_warmup(scale: float) -> list[Record]:
    """`warmup`, seconds of real time; the first round, which may compile, does not count."""
    rounds = max(1, round(ROUNDS * scale))
    _child("warmup", "mass", scale, "0")
    spent = [_child("warmup", "mass", scale, "0")["spent_s"] for _ in range(rounds)]
    return [of_rounds("warmup", "s", spent, rounds)]


def _child(what: str, policy: str, scale: float, plain: str, copies: int = 1) -> dict[str, float]:
    """Measure in a fresh process; plain "1" leaves the kernels uncompiled."""
    words = [sys.executable, "-m", "benchmarks.place", what, policy, str(scale), str(copies)]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": plain}
    done = subprocess.run(
        words,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise BenchmarkError(done.stderr[-2000:])
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _measure(what: str, policy_name: str, scale: float, copies: int) -> dict[str, float]:
    began = time.perf_counter()
    from aimass.policies.pack_mix import typical_classes
    from aimass.policies.pack_policies import PackPolicy
    from aimass.policies.pack_state import GPU_MILLI
    from aimass.simulator.arrivals import arrivals
    from aimass.simulator.packing import packer_of
    from benchmarks.place_trace import cluster_and_pods

    imported_s = time.perf_counter() - began
    one, pods = cluster_and_pods()
    nodes = [node for _ in range(copies) for node in one]
    if what == "scale":
        order = arrivals(pods, 42, copies * LOAD, GPU_MILLI * sum(node.gpus for node in one))
    else:
        order = arrivals(pods, 42, Fraction("1.3"), GPU_MILLI * sum(node.gpus for node in one))
        order = order[: max(200, round(len(order) * scale))]
    policy = PackPolicy(policy_name, typical_classes([pod.shape for pod in pods]), 42)
    for few in (1, None) if what != "warmup" else (1,):
        packer = packer_of(nodes if few is None else one, policy, 42)
        clock = time.perf_counter if what == "warmup" else time.process_time
        began = clock()
        for pod in order[:few]:
            packer.submitted(pod.shape)
            choice = packer.best(pod.shape)
            if choice is not None:
                packer.take(choice.node, pod.shape, choice.devices)
        spent_s = clock() - began
    memory_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if what == "warmup":
        spent_s += imported_s
    return {"decisions": len(order), "spent_s": spent_s, "memory_mib": memory_mib}


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))))
