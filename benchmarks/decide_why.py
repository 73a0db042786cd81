"""`massctl why` on a busy cluster: CPU of one full explanation with the changes tried.

1,024 nodes of 8 GPUs are full of jobs that run for 1 to 12 hours; 10,000 jobs of 40 kinds wait,
the first of them with promises. Asked about waiting jobs of every kind in turn.
"""

import gc
import time

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.apply_jobs import job_id_of
from aimass.core.cluster import Cluster
from aimass.core.decide import decide
from aimass.core.explain import explain
from aimass.core.model import DeviceSpec, Inventory, Job, NodeId
from aimass.core.plan import Start
from aimass.core.policy import Policy
from aimass.core.spec import JobSpec, Need, Role
from aimass.policies.registry import make_policy
from benchmarks.record import Record, of_rounds

NODES = 1024
WAITING = 10_000
ASKED = 100
ROUNDS = 5
HOUR_MS = 3_600_000
SHAPES = ((1, 1), (1, 1), (1, 2), (1, 8), (2, 8), (1, 1), (1, 4), (16, 8), (1, 1), (1, 1))


def spec(number: int, priority: int) -> JobSpec:
    """A gang of one of ten shapes, one of four lengths; every third may be preempted."""
    shards, gpus = SHAPES[number % len(SHAPES)]
    need = Need(1000 * gpus, 4000 * gpus, gpu_types=("H100",) if number % 2 else ())
    hours = (1, 4, 12, 2)[number // 10 % 4]
    roles = (Role("main", shards, need, ("train",)),)
    expected_ms = hours * HOUR_MS + 1000 * (number % 997)
    return JobSpec(
        "train", roles, priority=priority, expected_ms=expected_ms, preemptible=number % 3 == 0
    )


def busy(nodes: int, waiting: int, policy: Policy) -> Cluster:
    """A cluster that is full, with so many jobs waiting; decided."""
    cluster = Cluster()
    apply(cluster, ev.ClusterCreated(1, "bench"))
    for number in range(nodes):
        name = f"n{number}"
        devices = tuple(
            DeviceSpec(f"{name}-{i}", "H100" if number % 4 else "A100", 81_920, island=0)
            for i in range(8)
        )
        there = Inventory(name, name, 128_000, 1 << 20, devices, {"rack": f"r{number // 16}"})
        apply(cluster, ev.NodeRegistered(1, NodeId(name), there, "boot", 1))
    while True:
        for number in range(200):
            _submit(cluster, number, 5)
        starts = _decide(cluster, policy)
        for start in starts:
            for rank in range(len(start.placements)):
                apply(cluster, ev.ShardStarted(2, start.job_id, start.attempt, rank, 1))
        if not starts:
            break
    for number in range(max(0, waiting - len(cluster.waiting))):
        _submit(cluster, number, number // 40 % 3)
    _decide(cluster, policy)
    return cluster


def _submit(cluster: Cluster, number: int, priority: int) -> None:
    job_id = job_id_of(cluster.next_seq)
    apply(cluster, ev.JobSubmitted(2, job_id, spec(number, priority), f"user{number % 20}"))


def _decide(cluster: Cluster, policy: Policy) -> tuple[Start, ...]:
    plan = decide(cluster, policy)
    parts = (plan.starts, plan.stops, plan.claims, plan.unclaims, plan.planned, plan.unplanned)
    apply(cluster, ev.PlanCommitted(cluster.now_ms, plan.basis, plan.policy, *parts))
    return plan.starts


def run(scale: float) -> list[Record]:
    """`why_p50` and `why_p99`, ms of processor time of one explanation."""
    policy = make_policy()
    cluster = busy(max(8, round(NODES * scale)), max(50, round(WAITING * scale)), policy)
    ids = cluster.waiting.ids()
    asked = [cluster.jobs[i] for i in ids[:: max(1, len(ids) // ASKED)]][:ASKED]
    gc.collect()
    gc.freeze()
    rounds = [_round_ms(cluster, asked, policy) for _ in range(ROUNDS)]
    gc.unfreeze()
    count = len(asked) * ROUNDS
    return [
        of_rounds("why_p50", "ms", [times[len(times) // 2] for times in rounds], count),
        of_rounds("why_p99", "ms", [times[len(times) * 99 // 100] for times in rounds], count),
    ]


def _round_ms(cluster: Cluster, asked: list[Job], policy: Policy) -> list[float]:
    spent = []
    for job in asked:
        began = time.process_time()
        explain(cluster, job, policy)
        spent.append(1000 * (time.process_time() - began))
    return sorted(spent)
