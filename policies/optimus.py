"""Optimus (Peng et al., EuroSys 2018): the next GPU to whom it saves most time, with hysteresis.

Everybody gets its smallest size first, the smallest first; then sizes grow step by step where the
time that is left falls most for each GPU. A job is restarted for more only where that pays before
it may be restarted again (horizon_ms), and made smaller only when another needs what it has. It
needs run times and speeds; of a job of unknown length as much is taken to be left as it has worked,
and a minute.
"""

from collections.abc import Callable, Container, Iterable
from heapq import heappop, heappush

from aimass.core.policy import Fuel
from aimass.core.speeds import NORMAL_MICRO
from aimass.policies.allot_view import UNKNOWN, Held, LiveJob, View
from aimass.policies.allotter import Allotter, Choice, Chosen, next_round_ms

# By the Pollux artifact's workloads 6 and 1 with restarts of 30 s: 300 s is as good as any for jobs
# that are nearly over. Without the quarter of what is left, with restarts of 100 s, a job stays on
# one GPU for days: under mass on workload 6 the last ends after 304,356 s instead of 69,201.
HORIZON_MS = 300_000
FIRST_LEFT_MS = 60_000


class Optimus(Allotter):
    """By marginal gain. O(GPUs log jobs)."""

    def __init__(self, name: str = "optimus") -> None:
        super().__init__(name)

    def choose(self, view: View, fuel: Fuel) -> Chosen:
        """See Allotter.choose. Nobody is stopped for good: who runs keeps at least its least."""
        held = keep_where_it_pays(view, marginal(view))
        choices = [
            Choice(j, held[j.seq], _reason(j, held[j.seq])) for j in view.jobs if j.seq in held
        ]
        return Chosen(choices, next_round_ms(view))


def marginal(view: View) -> dict[int, Held]:
    """What each would hold if restarts were free, by submit sequence. O(GPUs log jobs).

    Also what remains of programs that no solver has answered.
    """
    left = [model.gpus for model in view.models]
    held: dict[int, Held] = {}
    for job in sorted(view.jobs, key=lambda j: (j.has is None, _least(j), j.seq)):
        found = smallest(job, left)
        if found is not None:
            held[job.seq] = found
            left[found.model] -= found.gpus
    Steps(_saved).grow(view.jobs, held, left)
    return held


def _least(job: LiveJob) -> int:
    return min((levels[0][0] for levels in job.levels if levels), default=0)


def smallest(job: LiveJob, left: list[int]) -> Held | None:
    """Its smallest size: on the model that it runs on, else where it is fastest of those left."""
    fits = [
        (job.has is None or job.has.model != model, -levels[0][1], model, levels[0][0])
        for model, levels in enumerate(job.levels)
        if levels and levels[0][0] <= left[model]
    ]
    if not fits:
        return None
    _, _, model, gpus = min(fits)
    return Held(model, gpus)


class Steps:
    """Growth step by step, the step that is worth most first."""

    def __init__(self, worth: Callable[[LiveJob, int, int], int]) -> None:
        """worth: of going on the model from size number `at` - 1 to the next, for each GPU."""
        self._worth = worth

    def grow(self, jobs: Iterable[LiveJob], held: dict[int, Held], left: list[int]) -> None:
        """Give what is left to those who hold something. O(GPUs log jobs)."""
        heap: list[tuple[int, int, LiveJob, int]] = []
        for job in jobs:
            if job.seq in held:
                levels, has = job.levels[held[job.seq].model], held[job.seq].gpus
                self._offer(heap, job, held[job.seq], sum(gpus <= has for gpus, _ in levels))
        while heap:
            _, _, job, at = heappop(heap)
            now = held[job.seq]
            more = job.levels[now.model][at][0]
            if more - now.gpus <= left[now.model]:
                left[now.model] -= more - now.gpus
                held[job.seq] = Held(now.model, more)
                self._offer(heap, job, held[job.seq], at + 1)

    def _offer(
        self, heap: list[tuple[int, int, LiveJob, int]], job: LiveJob, now: Held, at: int
    ) -> None:
        if 0 < at < len(job.levels[now.model]):
            heappush(heap, (-self._worth(job, now.model, at), job.seq, job, at))


def _saved(job: LiveJob, model: int, at: int) -> int:
    """Quarters of a thousandth of a ms that each GPU of the next size saves; more if it has them.

    Or else two alike would take turns: whoever worked last has less left to save.
    """
    (has, speed), (more, faster) = job.levels[model][at - 1 : at + 1]
    saved = work_left_ms(job) * NORMAL_MICRO * (faster - speed) // (faster * speed)
    is_held = job.has is not None and job.has.model == model and more <= job.has.gpus
    return saved * 1000 // (more - has) * (5 if is_held else 4)


def work_left_ms(job: LiveJob) -> int:
    """Work left at normal speed; of unknown work, as much as has been done, and a minute."""
    return job.worked_ms + FIRST_LEFT_MS if job.left_ms == UNKNOWN else job.left_ms


def pays(job: LiveJob, new: Held) -> bool:
    """True when going on there saves twice what the restart costs, within the horizon."""
    assert job.has is not None
    now, faster = job.speed(job.has), job.speed(new)
    return faster > now and horizon_ms(job) * (faster - now) >= 2 * job.restart_ms * faster


def horizon_ms(job: LiveJob) -> int:
    """Within what time a restart is to pay: a quarter of what is left, by then it may go again."""
    return max(HORIZON_MS, work_left_ms(job) // 4)


def keep_where_it_pays(
    view: View, targets: dict[int, Held], needed: Container[int] = ()
) -> dict[int, Held]:
    """Targets, but for who would be restarted for too little, or shrunk for nobody. O(n log n).

    needed: who is to have its target in any case, if that is more than it has.
    """
    held = dict(targets)
    left = [model.gpus for model in view.models]
    shrinks: list[tuple[int, int, LiveJob]] = []
    for job in view.jobs:
        target = targets.get(job.seq)
        if target is None:
            continue
        if job.has is not None and job.has.model == target.model:
            more = target.gpus - job.has.gpus
            if more < 0:
                shrinks.append((more, job.seq, job))
            elif more and job.seq not in needed and not pays(job, target):
                held[job.seq] = job.has
        left[held[job.seq].model] -= held[job.seq].gpus
    for more, seq, job in sorted(shrinks, key=lambda s: (-s[0], s[1])):  # the least first
        assert job.has is not None
        if -more <= left[job.has.model]:
            left[job.has.model] += more
            held[seq] = job.has
    return held


def _reason(job: LiveJob, held: Held) -> str:
    if job.has == held:
        return "keeps what it has"
    return f"{held.gpus} GPUs: where the next GPU saves most time"
