"""Allotter: what allotters share. Whoever keeps what it has is set aside, the rest is by priority.

A kernel chooses among jobs of one priority that may be stopped, in what those before them leave. It
must choose the same again when everybody holds what it chose.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from aimass.core.cluster import Cluster
from aimass.core.policy import Allotment, Fuel, Grant
from aimass.policies.allot_view import Held, LiveJob, View, view_of


class Choice(NamedTuple):
    """What one job should hold, and why, in a line."""

    job: LiveJob
    held: Held
    reason: str


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
        """Share view.models out among view.jobs, none of which is fixed."""

    def allot(self, cluster: Cluster, fuel: Fuel) -> Allotment:
        """See AllotPolicy.allot."""
        view = view_of(cluster)
        choices, wake_ms = self.share_out(view, fuel)
        grants = [Grant(job_id, want, "needs no GPU") for job_id, want in view.without_gpus]
        grants += [Grant(c.job.id, c.job.want(view, c.held), c.reason) for c in choices]
        return Allotment(tuple(grants), wake_ms)

    def share_out(self, view: View, fuel: Fuel) -> Chosen:
        """What every job should hold: by priority, then the largest first, then by submission."""
        fixed = [job for job in view.jobs if job.is_fixed and job.has is not None]
        choices = [Choice(j, j.has, "was started lately") for j in fixed if j.has is not None]
        wakes = [job.free_ms for job in fixed if job.free_ms > view.now_ms]
        left = less(view, [choice.held for choice in choices])
        free = sorted((job for job in view.jobs if not job.is_fixed), key=_rank)
        for _, band in groupby(free, key=lambda job: job.priority):
            chosen = self.choose(replace(left, jobs=tuple(band)), fuel)
            choices += chosen.choices
            left = less(left, [choice.held for choice in chosen.choices])
            if chosen.wake_ms:
                wakes.append(chosen.wake_ms)
        choices.sort(key=lambda c: (-c.job.priority, -c.held.gpus, c.job.seq))
        return Chosen(choices, min(wakes, default=0))


def _rank(job: LiveJob) -> tuple[int, int]:
    return (-job.priority, job.seq)


def less(view: View, helds: Sequence[Held]) -> View:
    """The view without these GPUs."""
    gpus = [model.gpus for model in view.models]
    for held in helds:
        gpus[held.model] -= held.gpus
    models = (m._replace(gpus=max(0, n)) for m, n in zip(view.models, gpus, strict=True))
    return replace(view, models=tuple(models))
