"""mass: one policy for rigid, elastic, due and best-effort jobs on GPUs of several models.

GPUs are given out step by step, each where it is worth most (mass_worth.py): first sizes and
models for who waits or runs, and growth, all in one order. Queues come first up to their shares by
weight. What a job holds it keeps unless the change pays for the restart. Nothing is to be tuned: a
job that tells its run time, its speeds, when it is due, is served by that; of one that tells
nothing what it has had decides.
"""

from collections.abc import Iterator
from dataclasses import replace
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from aimass.core.policy import Fuel
from aimass.policies.allot_view import Held, LiveJob, View
from aimass.policies.allotter import Allotter, Choice, Chosen, next_round_ms
from aimass.policies.mass_exchange import exchange, less_restart
from aimass.policies.mass_shares import Shares
from aimass.policies.mass_worth import Worth, next_step_ms, worths
from aimass.policies.optimus import keep_where_it_pays

SETTLE_MAX = 8  # how often it looks at its own result before that has to do


class Mass(Allotter):
    """O(levels log levels) over all jobs, and at most SETTLE_MAX times that."""

    def __init__(self, name: str = "mass") -> None:
        super().__init__(name)

    def choose(self, view: View, fuel: Fuel) -> Chosen:
        """See Allotter.choose. Chosen again until it agrees with itself, or comes round.

        Of choices that follow each other in a circle the first is taken: what is held, if that is
        among them.
        """
        seen = [{job.seq: job.has for job in view.jobs if job.has is not None}]
        for _ in range(SETTLE_MAX):
            held = _once(_as_if(view, seen[-1]))
            if held in seen:
                break
            seen.append(held)
        else:
            held = seen[-1]
        choices = [
            Choice(j, held[j.seq], _reason(j, held[j.seq])) for j in view.jobs if j.seq in held
        ]
        wakes = (next_step_ms(_as_if(view, held).jobs, view.now_ms), next_round_ms(view))
        return Chosen(choices, min((at_ms for at_ms in wakes if at_ms), default=0))


def _as_if(view: View, held: dict[int, Held]) -> View:
    """The view when everybody holds that; the same one when they do."""
    if all(held.get(job.seq) == job.has for job in view.jobs):
        return view
    jobs = (
        job if held.get(job.seq) == job.has else replace(job, has=held.get(job.seq))
        for job in view.jobs
    )
    return replace(view, jobs=tuple(jobs))


class _Step(NamedTuple):
    """A step that might be taken: the next GPUs of a job on a model. Ordered by worth."""

    minus_worth: int
    seq: int
    model: int
    at: int  # index of the level that it leads to


def _once(view: View) -> dict[int, Held]:
    """What each would hold, by submit sequence."""
    worth = worths(view)
    jobs = {job.seq: job for job in view.jobs}
    left = [model.gpus for model in view.models]
    shares = Shares(view)
    held: dict[int, Held] = {}
    steps = [step for seq in worth for step in _first_steps(jobs[seq], worth[seq])]
    later: list[_Step] = []
    for heap, is_within in ((steps, True), (later, False)):
        heapify(heap)
        while heap and any(left):
            step = heappop(heap)
            job, now = jobs[step.seq], held.get(step.seq)
            if now is not None and (now.model != step.model or not step.at):
                continue
            gpus = job.levels[step.model][step.at][0]
            more = gpus - (now.gpus if now is not None else 0)
            if more > left[step.model]:
                continue
            if is_within and not shares.is_open(job.queue):
                later.append(step)
                continue
            left[step.model] -= more
            shares.take(job.queue, more)
            held[step.seq] = Held(step.model, gpus)
            if step.at + 1 < len(job.levels[step.model]):
                heappush(heap, _next_step(job, worth[step.seq], step.model, step.at + 1))
    exchange(view, worth, held)
    return keep_where_it_pays(view, held)


def _first_steps(job: LiveJob, worth: Worth) -> Iterator[_Step]:
    """Its least size on each model; on another than where it runs, less what the restart costs."""
    for model, levels in enumerate(job.levels):
        if levels:
            gpus, speed = levels[0]
            value = worth.of_step(model, gpus, gpus, speed, worth.holding)
            yield _Step(-less_restart(job, model, value), job.seq, model, 0)


def _next_step(job: LiveJob, worth: Worth, model: int, at: int) -> _Step:
    """From one level to the next; one that it has already is worth a little more."""
    (has, speed), (gpus, faster) = job.levels[model][at - 1 : at + 1]
    value = worth.of_step(model, gpus, gpus - has, faster - speed, worth.weight)
    if job.has is not None and job.has.model == model and gpus <= job.has.gpus:
        value = value * 5 // 4
    return _Step(-value, job.seq, model, at)


def _reason(job: LiveJob, held: Held) -> str:
    if job.has == held:
        return "keeps what it has"
    return f"{held.gpus} GPUs: most waiting is saved for all"
