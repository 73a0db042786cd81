"""Kinds of jobs and arrivals as in a trace, for synthetic ones like it."""

from collections.abc import Iterable
from typing import NamedTuple

from aimass.simulator.generate import HOUR_MS, HOURS, Arrivals, Kind, quantiles
from aimass.simulator.tracejob import TraceJob

DAY_MS = HOURS * HOUR_MS


class Likeness(NamedTuple):
    """What a trace is like. jobs: their number."""

    jobs: int
    kinds: tuple[Kind, ...]
    arrivals: Arrivals


def fit(jobs: Iterable[TraceJob]) -> Likeness:
    """Fit the distributions of a trace. O(jobs) memory.

    Jobs of one size, GPU types, queue, priority, speeds and bounds are a kind, with the share that
    they have, and run times from the quantiles of all jobs of their size. Jobs come at the mean
    rate of each hour of the day. Users, applications with their steps, arrays and what follows
    what are not kept. Raises ValueError for jobs that all come at once.
    """
    counts: dict[tuple[object, ...], int] = {}
    examples: dict[tuple[object, ...], TraceJob] = {}
    works: dict[int, list[int]] = {}
    times_ms = []
    for job in jobs:
        key = (
            *(job.gpu_milli, job.gpu_types, job.queue, job.priority),
            *(job.speeds, job.gpus_min, job.gpus_max),
        )
        counts[key] = counts.get(key, 0) + 1
        examples.setdefault(key, job)
        works.setdefault(job.gpu_milli, []).append(job.work_ms)
        times_ms.append(job.submit_ms)
    durations = {size: quantiles(sorted(found)) for size, found in works.items()}
    kinds = tuple(
        Kind(
            counts[key],
            job.gpu_milli,
            durations[job.gpu_milli],
            job.gpu_types,
            job.queue,
            job.priority,
            job.speeds,
            job.gpus_min,
            job.gpus_max,
        )
        for key, job in examples.items()
    )
    return Likeness(len(times_ms), kinds, Arrivals(hourly(times_ms)))


def hourly(times_ms: list[int]) -> tuple[float, ...]:
    """Jobs an hour for each hour of the day, of ordered times; of less than a day their mean rate.

    The last job only ends the time over which the others are counted. Raises ValueError.
    """
    begin_ms, end_ms = times_ms[0], times_ms[-1]
    if begin_ms == end_ms:
        raise ValueError("all jobs of the trace come at once; fix: name one with times")
    if end_ms - begin_ms < DAY_MS:
        return ((len(times_ms) - 1) * HOUR_MS / (end_ms - begin_ms),) * HOURS
    counts = [0] * HOURS
    for at_ms in times_ms[:-1]:
        counts[at_ms // HOUR_MS % HOURS] += 1
    whole_days, rest_ms = divmod(end_ms - begin_ms, DAY_MS)
    open_ms = [whole_days * HOUR_MS] * HOURS
    at_ms, rest_end_ms = begin_ms, begin_ms + rest_ms
    while at_ms < rest_end_ms:
        next_ms = min(rest_end_ms, (at_ms // HOUR_MS + 1) * HOUR_MS)
        open_ms[at_ms // HOUR_MS % HOURS] += next_ms - at_ms
        at_ms = next_ms
    return tuple(n * HOUR_MS / span for n, span in zip(counts, open_ms, strict=True))
