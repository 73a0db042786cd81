"""Profile: the GPUs that will be free from now on, as plans for jobs fill it up."""

from typing import NamedTuple

from aimass.core.speeds import NORMAL_MICRO
from aimass.policies.allot_view import Held, LiveJob, View

_NEVER = 1 << 60


class Filled(NamedTuple):
    """When a plan for a job begins and ends, and what it holds now; None: it begins later."""

    end_ms: int
    now: Held | None


class _Use(NamedTuple):
    """From piece `first` on the plan takes gpus[i] of the i-th; the last piece is cut at end_ms."""

    end_ms: int
    gpus: list[int]


class Profile:
    """Free GPUs of every model over time: pieces (end_ms, free) from now on, the last open."""

    def __init__(self, view: View) -> None:
        self._now_ms = view.now_ms
        self._pieces = [[(_NEVER, model.gpus)] for model in view.models]

    @property
    def size(self) -> int:
        """How many pieces there are."""
        return sum(map(len, self._pieces))

    def could(self, job: LiveJob, margin_restarts: int) -> bool:
        """True when it would be over in time if everything were free."""
        due_ms = job.due_ms - margin_restarts * job.restart_ms
        fastest = max((levels[-1][1] for levels in job.levels if levels), default=0)
        return fastest > 0 and self._now_ms + job.left_ms * NORMAL_MICRO // fastest <= due_ms

    def reserve(self, job: LiveJob, margin_restarts: int) -> Filled | None:
        """Reserve the smallest size that is enough; None: none is, and nothing is reserved.

        It takes that size, or what there is of it, from now on until it is done, on the model that
        it runs on if that will do. O(sizes * pieces).
        """
        due_ms = job.due_ms - margin_restarts * job.restart_ms
        models = range(len(self._pieces))
        for model in sorted(models, key=lambda m: (job.has is None or job.has.model != m, m)):
            for at in range(len(job.levels[model])):
                use = self._fill(job, model, at, due_ms)
                if use is not None:
                    return self._take(model, use)
        return None

    def _fill(self, job: LiveJob, model: int, at: int, due_ms: int) -> _Use | None:
        """How the job would be done by then with at most its size number `at`."""
        levels = job.levels[model]
        begin_ms, left = self._now_ms, job.left_ms * NORMAL_MICRO
        gpus: list[int] = []
        has = job.has.gpus if job.has is not None and job.has.model == model else 0
        for end_ms, free in self._pieces[model]:
            if begin_ms >= due_ms:
                return None
            top = at
            while top >= 0 and levels[top][0] > free:
                top -= 1
            size, speed = levels[top] if top >= 0 else (0, 0)
            gpus.append(size)
            work_ms = begin_ms
            if size and size != has:
                work_ms = min(end_ms, begin_ms + job.restart_ms)
            has = size
            if speed and work_ms + -(-left // speed) <= min(end_ms, due_ms):
                return _Use(work_ms + -(-left // speed), gpus)
            left -= (min(end_ms, due_ms) - work_ms) * speed if work_ms < due_ms else 0
            begin_ms = end_ms
        return None

    def _take(self, model: int, use: _Use) -> Filled:
        pieces = self._pieces[model]
        last = len(use.gpus) - 1
        end_ms, free = pieces[last]
        if use.end_ms < end_ms:
            pieces[last : last + 1] = [(use.end_ms, free), (end_ms, free)]
        for index, gpus in enumerate(use.gpus):
            end_ms, free = pieces[index]
            pieces[index] = (end_ms, free - gpus)
        return Filled(use.end_ms, Held(model, use.gpus[0]) if use.gpus[0] else None)
