"""Jobs that come, queue, run and leave, made from traces for any load of any cluster.

A trace covers one load of one cluster, and unevenly: of the openb pods the first 1,000 take 80 % of
the time, and one percent of them ask for 92 % of all GPU time. So a workload keeps who comes after
whom, how bursty they come and how long they stay, and changes three things, openly:

- No job stays longer than `LIFE_MS_MAX`. Else a replay would have to last for months to forget how
  it began.
- Gaps between arrivals are relative to the mean gap of the `NEAR` arrivals around them, so that the
  trace's slow changes of rate go and bursts stay. One factor then sets the load.
- Each seed draws blocks of `BLOCK` successive jobs, with replacement, until there are enough (the
  moving-block bootstrap; Künsch, 1989): seeds differ as weeks of one cluster do.
"""

import datetime
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from aimass.core.shapes import Shape
from aimass.policies.pack_policies import Stream
from aimass.simulator.pack_files import GPUS_MAX, NO_TIME_MS, WHOLE_MILLI, PackPod, Row, read_rows

HOUR_MS = 3_600_000
LIFE_MS_MAX = 24 * HOUR_MS
LIFE_MS_MIN = 1000
NEAR = 101  # arrivals, odd
BLOCK = 50  # jobs

JOB_COLUMNS = ("timestamp", "duration", "num_gpus")
# Philly's list has no CPU and memory: so little that GPUs alone decide on any node of openb.
CPU_MILLI_PER_GPU = 4000
MEMORY_MIB_PER_GPU = 16384


class Job(NamedTuple):
    """A gang of equal pods that start together and end together."""

    shape: Shape  # of each pod
    pods: int
    arrival_ms: int
    life_ms: int

    @property
    def work(self) -> int:
        """Milli-GPU times ms."""
        return self.shape.total_milli * self.pods * self.life_ms


def jobs_of_pods(pods: Sequence[PackPod]) -> list[Job]:
    """Give each pod as a job. Raises ValueError when the file had no times."""
    if any(pod.created_ms == NO_TIME_MS for pod in pods):
        raise ValueError(
            "the pods have no times; fix: take a list with creation_time, deletion_time"
        )
    return [Job(pod.shape, 1, pod.created_ms, pod.deleted_ms - pod.created_ms) for pod in pods]


def read_jobs(path: Path) -> list[Job]:
    """Give the jobs of a list such as Philly's: timestamp, duration in seconds, num_gpus.

    More GPUs than a node can have become a gang on as few nodes as possible, equally divided.
    """
    return [_job(row) for row in read_rows(path, JOB_COLUMNS)]


def _job(row: Row) -> Job:
    gpus = row.count("num_gpus")
    pods = max(1, -(-gpus // GPUS_MAX))
    if gpus % pods or not gpus:
        fix = f"give a number that divides into equal parts of at most {GPUS_MAX}"
        raise row.problem(f"num_gpus is {gpus}", fix)
    each = gpus // pods
    shape = Shape(each * CPU_MILLI_PER_GPU, each * MEMORY_MIB_PER_GPU, each, WHOLE_MILLI, ())
    try:
        arrival = datetime.datetime.fromisoformat(row.text("timestamp"))
    except ValueError:
        fix = "write it as 2017-09-04 10:30:41"
        raise row.problem(f"timestamp is {row.text('timestamp')!r}", fix) from None
    # All in one zone, whichever it is: only differences count.
    arrival_ms = round(arrival.replace(tzinfo=datetime.UTC).timestamp() * 1000)
    return Job(shape, pods, arrival_ms, row.seconds_ms("duration"))


def workload(
    trace: Sequence[Job], capacity_milli: int, load: float, seed: int, end_ms: int
) -> list[Job]:
    """Give jobs that arrive from 0 to `end_ms`, in order, and on average ask for `load`.

    load: GPU time asked for per time, as a part of what the cluster has. Raises ValueError for a
    trace whose jobs ask for no GPU time. O(jobs).
    """
    source = [_clipped(job) for job in sorted(trace, key=lambda job: job.arrival_ms)]
    work = sum(job.work for job in source)
    if not work:
        raise ValueError("the jobs ask for no GPU time")
    mean_gap_ms = work / len(source) / capacity_milli / load
    gaps = relative_gaps([job.arrival_ms for job in source])
    jobs: list[Job] = []
    now = 0.0
    for at in _blocks(len(source), Stream(seed)):
        now += gaps[at] * mean_gap_ms
        if now >= end_ms:
            return jobs
        jobs.append(source[at]._replace(arrival_ms=int(now)))
    raise AssertionError("blocks never end")


def relative_gaps(arrivals_ms: Sequence[int]) -> list[float]:
    """Give the gap before each arrival as a multiple of the mean gap near it; their mean is 1."""
    gaps = [0, *(after - before for before, after in itertools.pairwise(arrivals_ms))]
    sums = [0, *itertools.accumulate(gaps)]
    relative = []
    for at, gap in enumerate(gaps):
        begin, end = max(0, at - NEAR // 2), min(len(gaps), at + NEAR // 2 + 1)
        near = (sums[end] - sums[begin]) / (end - begin)
        relative.append(gap / near if near else 1.0)
    mean = sum(relative) / len(relative)
    return [gap / mean for gap in relative] if mean else [1.0] * len(gaps)


def _clipped(job: Job) -> Job:
    return job._replace(life_ms=min(max(job.life_ms, LIFE_MS_MIN), LIFE_MS_MAX))


def _blocks(length: int, stream: Stream) -> Iterator[int]:
    """Give places in the trace for ever, in blocks of successive ones; after the last the first."""
    while True:
        begin = stream.below(length)
        for step in range(BLOCK):
            yield (begin + step) % length
