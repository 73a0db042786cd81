"""What GPUs are worth to a job under `mass`: how large it is, how many wait for it, how fast it is.

Sizes are GPU-ms where the job uses GPUs best. The less is left of a job, the more others wait for
it rather than it for them: who is k-th from the largest counts k times. That is the greedy form of
what keeps the sum of completion times least: SRPT on one GPU, heSRPT (Berg, Vesilo, Harchol-Balter,
2020) where jobs speed up less and less.
"""

from collections.abc import Sequence
from math import isqrt
from typing import NamedTuple

from aimass.core.speeds import NORMAL_MICRO
from aimass.policies.allot_view import UNKNOWN, LiveJob, View

# A job of unknown length is taken to need as much again as it has had, in steps as of 2D-LAS
# (Tiresias, NSDI 2019): of one minute of a GPU, then four times as much each.
FIRST_GPU_MS, STEP = 60_000, 4
# Who holds GPUs counts as four fifths as large, so that two alike do not take turns, and as smaller
# by two restarts: its own, and that of whoever has to make room for it again.
STICKS = 4, 5
RESTARTS = 2
# A job that is due, and may still be in time, counts half as much again, up to what it needs for
# that. On the ElasticFlow trace 156 of 195 are in time instead of 134, for 2.5 % longer completion.
DUE = 3, 2
DUE_RESTARTS = 2  # of what it needs, it is taken to be restarted so often


class Worth(NamedTuple):
    """How one job counts. weight, holding: of growing, and of holding anything at all.

    best: speed for each GPU where that is most, in 10^-6 of millionths. enough: by model, the GPUs
    with which it is over in time; 0: it is not due, or too late.
    """

    weight: int
    holding: int
    best: int
    enough: tuple[int, ...]

    def of_step(self, model: int, gpus: int, more: int, faster: int, weight: int) -> int:
        """Of `more` GPUs that make it that much faster, for each of them; it then holds gpus."""
        part = faster * NORMAL_MICRO // more * NORMAL_MICRO // self.best
        is_due = gpus <= self.enough[model]
        return weight * part * (DUE[0] if is_due else 1) // (DUE[1] if is_due else 1)


def worths(view: View) -> dict[int, Worth]:
    """How each job counts, by submit sequence. O(n log n + levels)."""
    jobs = [job for job in view.jobs if any(job.levels)]
    best = {job.seq: _best(job) for job in jobs}
    sizes = {job.seq: _size(view, job, best[job.seq]) for job in jobs}
    weights = _by_rank(sizes)
    holding = _by_rank({j.seq: _size(view, j, best[j.seq], True) for j in jobs})
    return {
        seq: Worth(weights[seq], holding[seq], best[seq], _enough(view, job))
        for job in jobs
        for seq in (job.seq,)
    }


def _by_rank(sizes: dict[int, int]) -> dict[int, int]:
    """1 for the largest, and so on; ties by submission."""
    order = sorted(sizes, key=lambda seq: (sizes[seq], seq))
    return {seq: len(order) - at for at, seq in enumerate(order)}


def _best(job: LiveJob) -> int:
    return max(speed * NORMAL_MICRO // gpus for levels in job.levels for gpus, speed in levels)


def _size(view: View, job: LiveJob, best: int, sticks: bool = False) -> int:
    """GPU-ms left, less the longer it has waited, and more for gangs, which leave gaps.

    A job that has been there as long as it needs on its least GPUs counts half, and so on: so the
    largest are not kept waiting for ever. Gangs count by their size to the power of 1/4 more.
    """
    least = min(levels[0][0] for levels in job.levels if levels)
    if job.left_ms == UNKNOWN:
        left = attained_step(job.had_gpu_ms)
    else:
        left = max(1, job.left_ms * NORMAL_MICRO * NORMAL_MICRO // best)
    if sticks and job.has is not None:
        left = left * STICKS[0] // STICKS[1] - RESTARTS * job.restart_ms * job.has.gpus
        left = max(1, left)
    aged = left * left // (left + (view.now_ms - job.submitted_ms) * least)
    return aged * isqrt(isqrt(least * 10**12))


def attained_step(had_gpu_ms: int) -> int:
    """The end of the step that so much service is on."""
    end = FIRST_GPU_MS
    while end <= had_gpu_ms:
        end *= STEP
    return end


def next_step_ms(jobs: Sequence[LiveJob], now_ms: int) -> int:
    """When the next job of unknown length comes to its next step; 0: never."""
    ends = [
        now_ms - (job.had_gpu_ms - attained_step(job.had_gpu_ms)) // job.has.gpus
        for job in jobs
        if job.left_ms == UNKNOWN and job.has is not None and job.has.gpus
    ]
    return max(now_ms + 1, min(ends)) if ends else 0


def _enough(view: View, job: LiveJob) -> tuple[int, ...]:
    """By model the fewest GPUs with which it is over when it is due; 0: none are, or it is not."""
    if not job.due_ms or job.left_ms == UNKNOWN:
        return (0,) * len(job.levels)
    found = []
    for model, levels in enumerate(job.levels):
        enough = 0
        for gpus, speed in levels:
            is_held = job.has is not None and job.has == (model, gpus)
            restarts_ms = 0 if is_held else DUE_RESTARTS * job.restart_ms
            if view.now_ms + restarts_ms + job.left_ms * NORMAL_MICRO // speed <= job.due_ms:
                enough = gpus
                break
        found.append(enough)
    return tuple(found)
