"""Allotter: what allotters share. One priority after the other; who is fixed keeps what it has.

A kernel chooses among jobs of one priority, in what those before them leave. It must choose the
same again when everybody holds what it chose.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from aimass.core.cluster import Cluster
from aimass.core.model import JobId
from aimass.core.policy import Allotment, Fuel, Grant
from aimass.policies.allot_view import Held, LiveJob, View, view_of


class Choice(NamedTuple):
    """What one job should hold, and why, in a line."""

    job: LiveJob
    held: Held
    reason: str


ROUND_MS = 60_000  # while programs measure speeds; nothing else says that they know more


class Chosen(NamedTuple):
    """What a kernel chose, and when time alone may change it (0: never)."""

    choices: list[Choice]
    wake_ms: int = 0


class Allotter(ABC):
    """An AllotPolicy around a kernel."""

    version = 1

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def choose(self, view: View, fuel: Fuel) -> Chosen:
        """Share view.models out among view.jobs, as if none were fixed."""

    def allot(
        self, cluster: Cluster, fuel: Fuel, without: frozenset[JobId] = frozenset()
    ) -> Allotment:
        """See AllotPolicy.allot."""
        view = view_of(cluster, without=without)
        choices, wake_ms = self.share_out(view, fuel)
        grants = [Grant(job_id, want, "runs as it asks") for job_id, want in view.as_asked]
        grants += [Grant(c.job.id, c.job.want(view, c.held), c.reason) for c in choices]
        return Allotment(tuple(grants), wake_ms)

    def share_out(self, view: View, fuel: Fuel) -> Chosen:
        """What every job should hold: by priority, then the largest first, then by submission.

        Nobody grows beyond what it would hold if nobody were fixed: it would have to give that back
        as soon as those are free.
        """
        ideal = self._by_priority(view, view.jobs, fuel)
        fixed = {job.seq: job for job in view.jobs if job.is_fixed}
        due = {choice.job.seq: choice.held for choice in ideal.choices}
        if any(due.get(seq) != job.has for seq, job in fixed.items()):
            kept = [Choice(j, j.has, _FIXED) for j in fixed.values() if j.has is not None]
            left = less(view, [choice.held for choice in kept])
            taken = dict(view.taken)
            for job in fixed.values():
                held = job.has.gpus if job.has is not None else 0
                taken[job.queue] = taken.get(job.queue, 0) + held
            left = replace(left, taken=taken)
            free = [job for job in view.jobs if not job.is_fixed]
            chosen = self._by_priority(left, free, fuel)
            capped = [_capped(choice, due.get(choice.job.seq)) for choice in chosen.choices]
            ideal = Chosen(kept + capped, chosen.wake_ms)
        wakes = [job.free_ms for job in fixed.values() if job.free_ms > view.now_ms]
        if ideal.wake_ms:
            wakes.append(ideal.wake_ms)
        choices = sorted(ideal.choices, key=lambda c: (-c.job.priority, -c.held.gpus, c.job.seq))
        return Chosen(choices, min(wakes, default=0))

    def _by_priority(self, view: View, jobs: Iterable[LiveJob], fuel: Fuel) -> Chosen:
        """The kernel's choices, for one priority after the other."""
        choices: list[Choice] = []
        wakes: list[int] = []
        for _, band in groupby(sorted(jobs, key=_rank), key=lambda job: job.priority):
            chosen = self.choose(replace(view, jobs=tuple(band)), fuel)
            choices += chosen.choices
            view = less(view, [choice.held for choice in chosen.choices])
            if chosen.wake_ms:
                wakes.append(chosen.wake_ms)
        return Chosen(choices, min(wakes, default=0))


_FIXED = "was started lately"


def _capped(choice: Choice, due: Held | None) -> Choice:
    """At most what it has, or would hold if nobody were fixed; at least its least size."""
    job, (model, gpus) = choice.job, choice.held
    most = [held.gpus for held in (job.has, due) if held is not None and held.model == model]
    if not most or gpus <= max(most):
        return choice
    sizes = [size for size, _ in job.levels[model] if size <= max(most)]
    return choice._replace(held=Held(model, max(sizes, default=gpus)))


def next_round_ms(view: View) -> int:
    """When to look again at what programs have measured; 0: none do."""
    is_due = any(job.is_learning for job in view.jobs)
    return (view.now_ms // ROUND_MS + 1) * ROUND_MS if is_due else 0


def _rank(job: LiveJob) -> tuple[int, int]:
    return (-job.priority, job.seq)


def less(view: View, helds: Sequence[Held]) -> View:
    """The view without these GPUs."""
    gpus = [model.gpus for model in view.models]
    for held in helds:
        gpus[held.model] -= held.gpus
    models = (m._replace(gpus=max(0, n)) for m, n in zip(view.models, gpus, strict=True))
    return replace(view, models=tuple(models))
