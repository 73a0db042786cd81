"""Synthetic traces: jobs that come, as large and as long as distributions say; all by seed.

Each purpose draws from a stream of its own, so that another arrival process brings the same jobs.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from statistics import NormalDist

from aimass.core.speeds import Speeds
from aimass.simulator.tracejob import QUEUE, TraceJob

HOUR_MS = 3_600_000
HOURS = 24
WORK_MS_MIN, WORK_MS_MAX = 1000, 100 * HOURS * HOUR_MS
BURST_JOBS = 10  # on average
BURST_GAP_MS = 5000  # between jobs of one burst, on average
# Three times as many jobs an hour come by day as by night; as parts of the mean rate.
DAY = tuple(1.5 if 8 <= hour < 20 else 0.5 for hour in range(HOURS))

Duration = Callable[[float], float]
"""An inverse distribution function: a chance from 0 to 1, both left out, to a time in ms."""

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Kind:
    """Jobs that have all but times in common. weight: how many of all jobs, as a relative part.

    gpus_min, gpus_max: as of a TraceJob.
    """

    weight: float
    gpu_milli: int
    duration: Duration
    gpu_types: tuple[str, ...] = ()
    queue: str = QUEUE
    priority: int = 0
    speeds: Speeds = ()
    gpus_min: int = 0
    gpus_max: int = 0


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When jobs come. per_hour: jobs an hour, for each hour of the day; from 0:00 of day 0.

    is_bursty: in bursts of BURST_JOBS on average (geometric), BURST_GAP_MS apart.
    """

    per_hour: tuple[float, ...]
    is_bursty: bool = False


def lognormal(median_ms: int, sigma: float) -> Duration:
    """Times whose logarithm is normal with that standard deviation."""
    return lambda chance: median_ms * math.exp(sigma * _NORMAL.inv_cdf(chance))


def exponential(mean_ms: int) -> Duration:
    """Memoryless times."""
    return lambda chance: -mean_ms * math.log(chance)


def uniform(least_ms: int, most_ms: int) -> Duration:
    """Times of which none between the two is likelier than another."""
    return lambda chance: least_ms + (most_ms - least_ms) * chance


def quantiles(ordered_ms: Sequence[int]) -> Duration:
    """Times as often as in an ordered sample of them; between two of it linearly. O(1)."""

    def duration(chance: float) -> float:
        at = chance * (len(ordered_ms) - 1)
        place = int(at)
        low, high = ordered_ms[place], ordered_ms[min(place + 1, len(ordered_ms) - 1)]
        return low + (high - low) * (at - place)

    return duration


def generate(
    count: int, kinds: Sequence[Kind], arrivals: Arrivals, seed: int, slo_milli: int = 0
) -> Iterator[TraceJob]:
    """So many jobs by submission time. O(1) memory.

    slo_milli: each should have ended within so many thousandths of its run time; 0: whenever. Run
    times are kept between WORK_MS_MIN and WORK_MS_MAX.
    """
    steps = list(accumulate(kind.weight for kind in kinds))
    chosen, lasting = Random(f"{seed}/kinds"), Random(f"{seed}/durations")
    times = _times_ms(arrivals, Random(f"{seed}/arrivals"))
    for number in range(count):
        (kind,) = chosen.choices(kinds, cum_weights=steps)
        drawn_ms = kind.duration(_chance(lasting))
        work_ms = round(min(max(drawn_ms, WORK_MS_MIN), WORK_MS_MAX))
        yield TraceJob(
            f"g{number}",
            next(times),
            work_ms,
            kind.gpu_milli,
            queue=kind.queue,
            priority=kind.priority,
            gpu_types=kind.gpu_types,
            slo_ms=work_ms * slo_milli // 1000,
            speeds=kind.speeds,
            gpus_min=kind.gpus_min,
            gpus_max=kind.gpus_max,
        )


def _chance(stream: Random) -> float:
    """Between 0 and 1, and neither."""
    return (stream.getrandbits(52) + 0.5) / 2**52


def _times_ms(arrivals: Arrivals, stream: Random) -> Iterator[int]:
    """Times of submission for ever: a Poisson process whose rate changes with the hour.

    An exponential amount of expected jobs lies between two; in bursts mostly a short time instead.
    """
    now_ms, rates = 0.0, arrivals.per_hour
    mean_per_hour = sum(rates) / len(rates)
    within_ms = min(BURST_GAP_MS, HOUR_MS / mean_per_hour / 10)
    # So that jobs of bursts and first ones together come at the mean rate.
    between = BURST_JOBS - (BURST_JOBS - 1) * within_ms * mean_per_hour / HOUR_MS
    while True:
        amount = -math.log(_chance(stream))
        if arrivals.is_bursty and _chance(stream) * BURST_JOBS > 1:
            now_ms += amount * within_ms
        else:
            now_ms = _after(now_ms, amount * (between if arrivals.is_bursty else 1), rates)
        yield int(now_ms)


def _after(now_ms: float, jobs: float, rates: Sequence[float]) -> float:
    """When so many jobs are expected to have come since then."""
    while True:
        hour = int(now_ms // HOUR_MS)
        rate, left_ms = rates[hour % HOURS], (hour + 1) * HOUR_MS - now_ms
        if jobs * HOUR_MS < rate * left_ms:
            return now_ms + jobs * HOUR_MS / rate
        jobs -= rate * left_ms / HOUR_MS
        now_ms = (hour + 1) * float(HOUR_MS)
