"""Exchange under `mass`: two jobs of one size on two models change places where both together gain.

Who is worth most chooses first, and takes the fastest model even where another would gain far more.
"""

from collections.abc import Mapping

from aimass.policies.allot_view import Held, LiveJob, View
from aimass.policies.mass_worth import Worth
from aimass.policies.optimus import horizon_ms

PASSES = 3  # over all pairs of models: a change makes others worth while
_Gains = list[tuple[int, int]]
"""(what it gains, submit sequence), most first"""


def less_restart(job: LiveJob, model: int, value: int) -> int:
    """What something is worth on the model, less what going there costs who runs on another.

    Twice the restart is to pay within horizon_ms.
    """
    if job.has is None or job.has.model == model:
        return value
    within_ms = horizon_ms(job)
    return value * max(0, within_ms - 2 * job.restart_ms) // within_ms * 9 // 10


def exchange(view: View, worth: Mapping[int, Worth], held: dict[int, Held]) -> None:
    """Change `held` so that no two gain by an exchange. O(PASSES * models^2 * n log n)."""
    jobs = [job for job in view.jobs if job.seq in held]
    models = range(len(view.models))
    pairs = [(one, other) for one in models for other in models if one < other]
    for _ in range(PASSES):
        if not any([_exchange(jobs, worth, held, one, other) for one, other in pairs]):
            break


def _exchange(
    jobs: list[LiveJob], worth: Mapping[int, Worth], held: dict[int, Held], one: int, other: int
) -> bool:
    """Between two models, for each size; True when anybody was moved."""
    there: dict[int, tuple[_Gains, _Gains]] = {}
    for job in jobs:
        has = held[job.seq]
        if has.model in (one, other):
            to = other if has.model == one else one
            gain = _value(job, worth[job.seq], Held(to, has.gpus))
            if gain is not None:
                now = _value(job, worth[job.seq], has)
                sides = there.setdefault(has.gpus, ([], []))
                sides[has.model == other].append((gain - (now or 0), job.seq))
    is_moved = False
    for gpus, sides in there.items():
        for side in sides:
            side.sort(key=lambda entry: (-entry[0], entry[1]))
        for (gain, seq), (others, other_seq) in zip(*sides, strict=False):
            if gain + others <= 0:
                break
            held[seq], held[other_seq] = Held(other, gpus), Held(one, gpus)
            is_moved = True
    return is_moved


def _value(job: LiveJob, worth: Worth, held: Held) -> int | None:
    """What it is worth to the job there; None: it has no such size."""
    speed = next((s for gpus, s in job.levels[held.model] if gpus == held.gpus), None)
    if speed is None:
        return None
    value = worth.of_step(held.model, held.gpus, held.gpus, speed, worth.holding) * held.gpus
    return less_restart(job, held.model, value)
