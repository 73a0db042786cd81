"""Other workloads made of a trace: arrivals closer together or further apart, other weeks of it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from random import Random

from aimass.simulator.tracejob import TraceJob

NORMAL_LOAD_MILLI = 1000

Change = Callable[[Iterator[TraceJob]], Iterable[TraceJob]]


def changed(load_milli: int, block: int, seed: int) -> Change:
    """What makes such a workload of the jobs of a trace.

    load_milli: thousandths of the trace's own rate of arrivals. block: 0 leaves the jobs as they
    are; else each seed draws blocks of so many successive jobs, see `drawn`.
    """

    def change(jobs: Iterator[TraceJob]) -> Iterable[TraceJob]:
        some: Iterable[TraceJob] = drawn(list(jobs), block, seed) if block else jobs
        return some if load_milli == NORMAL_LOAD_MILLI else scaled(some, load_milli)

    return change


def scaled(jobs: Iterable[TraceJob], load_milli: int) -> Iterator[TraceJob]:
    """The jobs, whose times since the first submission are divided by load_milli / 1000."""
    begin_ms = None
    for job in jobs:
        begin_ms = job.submit_ms if begin_ms is None else begin_ms
        since_ms = (job.submit_ms - begin_ms) * NORMAL_LOAD_MILLI // load_milli
        yield replace(job, submit_ms=begin_ms + since_ms)


def drawn(jobs: list[TraceJob], block: int, seed: int) -> Iterator[TraceJob]:
    """As many jobs again, in blocks of successive ones drawn with replacement, each with the gap
    before it: seeds differ as weeks of one cluster do (the moving-block bootstrap; Künsch, 1989).

    After the last job the first follows. O(jobs) memory.
    """
    chance, at_ms, left = Random(f"{seed}/blocks"), jobs[0].submit_ms, len(jobs)
    while left:
        begin = chance.randrange(len(jobs))
        for step in range(min(block, left)):
            place = (begin + step) % len(jobs)
            if place:
                at_ms += jobs[place].submit_ms - jobs[place - 1].submit_ms
            yield replace(jobs[place], submit_ms=at_ms)
        left -= min(block, left)
