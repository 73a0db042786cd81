"""A decision that must find victims among 8,192 running jobs, in processor time.

1,024 nodes of 8 GPUs are full of jobs of one GPU, a third of them with a recent checkpoint, in
three queues that borrow what a fourth is guaranteed. One job comes: apply, decide and check are
measured together. `_one`, `_node`, `_gang`: 1 GPU, 8 GPUs on one node, 4 shards of 8, with a higher
priority than those in its queue. `_reclaim`: the same sizes for the guaranteed queue. `_backlog`:
1 GPU by priority, with 10,000 others pending that may preempt nobody.
"""

import gc
from dataclasses import replace

from aimass.core import events as ev
from aimass.core.queues import QueueSpec
from benchmarks.busy import MINUTE_MS, QUEUES, Busy
from benchmarks.record import Record, percentiles

ROUNDS = 3
SAMPLES = 40  # of each sort in a round
NODES = 1_024
PENDING = 10_000
SIZES = {"one": (1, 1), "node": (8, 1), "gang": (8, 4)}
RUN_MS = 6_000 * MINUTE_MS


def run(scale: float) -> list[Record]:
    """`preempt_p50` and `_p99` of the first four sorts, and of each sort."""
    nodes, samples = max(16, round(NODES * scale)), max(3, round(SAMPLES * scale))
    busy = _full(nodes)
    by_sort: dict[str, list[list[float]]] = {}
    for sort in (*SIZES, "reclaim", "backlog"):
        if sort == "backlog":
            for number in range(max(50, round(PENDING * scale))):
                spec = busy.spec(2 + number % 7, queue=QUEUES[1 + number % 3])
                busy.submit(replace(spec, preemptible=False))
            busy.settle()
        gc.collect()
        gc.freeze()
        by_sort[sort] = [[_sample(busy, sort, i) for i in range(samples)] for _ in range(ROUNDS)]
        gc.unfreeze()
    judged = [rounds for sort, rounds in by_sort.items() if sort != "backlog"]
    everything = [[ms for each in judged for ms in each[i]] for i in range(ROUNDS)]
    records = percentiles("preempt", "ms", everything)
    for sort, rounds in by_sort.items():
        records += percentiles(f"preempt_{sort}", "ms", rounds)
    return records


def _full(nodes: int) -> Busy:
    busy = Busy(nodes)
    quota = {"gpu": nodes * 2_000}
    busy.do(ev.QueuePut(busy.now_ms, QueueSpec(QUEUES[0], quota=quota)))
    block = max(32, nodes)  # one queue after the other, so that a node holds jobs of one alone
    for turn in range(nodes * 8):
        queue = QUEUES[1 + turn // block % 3]
        busy.submit(busy.spec(1, queue=queue, walltime_ms=0, expected_ms=RUN_MS))
        if turn % block == block - 1:
            busy.settle()
            busy.now_ms += MINUTE_MS  # they have run for different times
    busy.settle()
    for number, job in enumerate(busy.running()):
        if number % 3 == 0:
            age_ms = 1_000 * (number % 60)
            busy.do(ev.CheckpointReported(busy.now_ms, job.id, job.attempt, age_ms))
    assert not busy.cluster.waiting.ids(), "the cluster is not full of running jobs"
    return busy


def _sample(busy: Busy, sort: str, number: int) -> float:
    """One decision; the plan is not carried out, so that all samples meet the same cluster."""
    gpus, shards = SIZES.get(sort, list(SIZES.values())[number % 3 if sort == "reclaim" else 0])
    queue = QUEUES[0] if sort == "reclaim" else QUEUES[1 + number % 3]
    priority = 0 if sort == "reclaim" else 10
    event = busy.submission(busy.spec(gpus, shards, queue=queue, priority=priority))
    ms, plan = busy.decide_ms(event)
    assert [claim.job_id for claim in plan.claims] == [event.job_id]
    assert len(plan.stops) == gpus * shards, f"{sort}: {len(plan.stops)} victims"
    busy.cancel(event.job_id)
    busy.decider.forget()
    busy.settle()
    return ms
