"""Full passes over 10,000 mixed pending jobs on 2,048 GPUs, in processor time.

`decide_backlog`: decide() from nothing, every GPU held, jobs of 1 to 32 GPUs in four queues, of
many lengths; 8 promises are found by looking ahead. `_kinds`: the same when no two jobs have equal
needs, so that none can be judged by another. `_kinds_held`: and a part of what is free (CPU beside
the GPUs) is kept for promises, so that each is also tried without these. `_drain`: an eighth of the
running jobs has ended at once, with all that starts, is promised and is backfilled.

`decide_exit`: one running job ends: apply, decide and check of all its events together.
"""

import gc
import time

from aimass.core.decide import decide
from benchmarks.busy import Busy
from benchmarks.record import Record, of_rounds, percentiles

ROUNDS = 5
NODES = 256
PENDING = 10_000
EXITS = 60  # in a round


def run(scale: float) -> list[Record]:
    """`decide_backlog`, and its `_kinds`, `_kinds_held` and `_drain`; ms."""
    records = []
    for name, kinds, cpu_milli, is_draining in (
        ("decide_backlog", 1, 2_000, False),
        ("decide_backlog_kinds", PENDING, 16_000, False),
        ("decide_backlog_kinds_held", PENDING, 2_000, False),
        ("decide_backlog_drain", 1, 2_000, True),
    ):
        busy = _busy(scale, kinds, cpu_milli)
        if is_draining:
            running = busy.running()
            for job in running[: len(running) // 8]:
                busy.exit(job.id)
        gc.collect()
        gc.freeze()
        rounds = [_pass_ms(busy) for _ in range(ROUNDS)]
        gc.unfreeze()
        records.append(of_rounds(name, "ms", rounds, ROUNDS))
    return records


def run_exit(scale: float) -> list[Record]:
    """`decide_exit_p50` and `_p99`."""
    busy = _busy(scale, 1, 2_000)
    busy.settle()
    gc.collect()
    gc.freeze()
    count = max(3, round(EXITS * scale))
    rounds = [[_exit_ms(busy) for _ in range(count)] for _ in range(ROUNDS)]
    gc.unfreeze()
    return percentiles("decide_exit", "ms", rounds)


def _busy(scale: float, kinds: int, cpu_milli: int) -> Busy:
    """cpu_milli: what running jobs hold of a node's 128 cores for each of their GPUs."""
    busy = Busy(max(8, round(NODES * scale)))
    busy.fill(cpu_milli=cpu_milli)
    busy.queue_up(max(50, round(PENDING * scale)), kinds=kinds)
    return busy


def _pass_ms(busy: Busy) -> float:
    began = time.process_time()
    plan = decide(busy.cluster, busy.policy)
    spent = time.process_time() - began
    assert plan.fuel_left, "the pass ended early"
    return 1000 * spent


def _exit_ms(busy: Busy) -> float:
    *before, last = busy.exits(busy.running()[0].id)
    for event in before:
        busy.do(event)
    ms, plan = busy.decide_ms(last)
    busy.commit(plan)
    busy.settle()
    return ms
