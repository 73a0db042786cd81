"""GoodputWork: a job that measures itself, chooses its own batch, and says how fast it would be.

The job model of the Pollux artifact (OSDI 2021) in event mode. What happens follows the tables of
its application (perf_pollux); what it believes and reports follows a model that it fits to what it
has measured so far (policies/goodput.py). It measures a setting as soon as it works there, and
weighs its batch anew in every epoch. Floats inside; milliseconds and millionths at the edge.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from math import ceil
from typing import NamedTuple

from aimass.core.speeds import NORMAL_MICRO, SpeedOn, Speeds
from aimass.policies.goodput import Limits, Params, Seen, best_batches, fit
from aimass.simulator.perf_pollux import (
    FIXED_BATCH,
    GPUS_OF_NODE,
    App,
    Apps,
    Batches,
    Placement,
    packed,
)
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.work import Setting, Work

REPORT_EVERY_MS = 60_000
FIRST_REPORT_MS = 10_000  # of work in a new place, before it reports what it has measured there
TRIALS_MAX = 8  # batches that are measured one after the other when work begins somewhere
LEAST_SIGNAL = 1e-9  # of gradients that are nothing but noise, against that noise
TINY = 1e-300
PARTS = 1000  # a reported speed is rounded to one part in so many of it: less is noise


class _Stretch(NamedTuple):
    """What is left of one epoch: from when on, in s, how far it was, and how it is trained."""

    epoch: int
    from_s: float
    progress: float
    rate: float
    batches: Batches


class GoodputWork:
    """One job, which trains with the batch of the highest goodput that it expects where it is.

    Before it has measured anything that is the smallest. Some applications have only one batch.
    """

    def __init__(
        self,
        app: App,
        batch: int,
        gpus: int,
        of_node: int = GPUS_OF_NODE,
        is_read: bool = True,
        is_fixed: bool = False,
    ) -> None:
        """batch, gpus: what it asked for, its normal setting. of_node: GPUs of a node.

        is_read: somebody reads what it reports; else it reports nothing. is_fixed: it trains with
        the batch that it asked for.
        """
        self.report_every_ms = FIRST_REPORT_MS if is_read else 0
        self._app, self._of_node = app, of_node
        self._fixed = batch if is_fixed else FIXED_BATCH.get(app.name, 0)
        self._limits = Limits(app.batch_first, app.batch_max, app.on_gpu_min, app.on_gpu_max)
        self._epoch, self._progress = 0, 0.0
        self._batch = app.batch_first  # that it trains with, or did last
        self._most_gpus = 0  # that it has ever had
        self._seen: dict[tuple[bool, int, int], Seen] = {}
        self._params: Params | None = None  # None: something was measured since the last fit
        self._placement: Placement = ()
        self._path: list[_Stretch] = []
        self._at = 0  # stretch of the path
        self._at_s = self._end_s = 0.0
        self._is_known = False  # nothing has been measured since the path was made
        self._told: tuple[tuple[Params, int, int], Speeds] | None = None
        asked, batches = packed(gpus), app.split(batch, gpus)
        self._normal = [app.rate(asked, batches, epoch) for epoch in range(app.epochs)]
        steps = [max(0.0, end - begin) for begin, end in pairwise((0.0, *app.progress_ends))]
        times_s = [most / rate for most, rate in zip(steps, self._normal, strict=True)]
        self._after_s = [sum(times_s[epoch + 1 :]) for epoch in range(app.epochs)]

    # ---- where it works -------------------------------------------------------------------------

    def duration_ms(self, on: Setting) -> int:
        """See Work. O(epochs), and some fits where the setting is new."""
        self._go_on(on.per_node)
        return ceil((self._end_s - self._at_s) * 1000)

    def _go_on(self, placement: Placement) -> None:
        """Plan the path from here on, unless it is planned already."""
        if self._is_known and placement == self._placement:
            return
        app, at_s, progress = self._app, 0.0, self._progress
        self._placement = placement
        self._most_gpus = max(self._most_gpus, sum(placement))
        self._settle()
        self._path = []
        for epoch, batches in enumerate(self._choose(placement), self._epoch):
            rate, end = app.rate(placement, batches, epoch), app.progress_ends[epoch]
            self._path.append(_Stretch(epoch, at_s, progress, rate, batches))
            at_s += max(0.0, end - progress) / rate
            progress = max(progress, end)
        self._at, self._at_s, self._end_s = 0, 0.0, at_s
        self._report_next(FIRST_REPORT_MS)
        self._is_known = True

    def advance(self, on: Setting, elapsed_ms: int) -> None:
        """See Work. What was measured on the way counts when it goes on elsewhere."""
        if on.per_node != self._placement:
            self._go_on(on.per_node)
        self._report_next(REPORT_EVERY_MS)
        self._at_s = min(self._end_s, self._at_s + elapsed_ms / 1000)
        before = self._at
        self._at = bisect_right(self._path, self._at_s, key=lambda stretch: stretch.from_s) - 1
        for passed in self._path[before + 1 : self._at + 1]:
            self._measure(passed.batches)
        now = self._path[self._at]
        self._epoch = now.epoch
        self._progress = now.progress + now.rate * (self._at_s - now.from_s)

    def _report_next(self, in_ms: int) -> None:
        if self.report_every_ms:
            self.report_every_ms = in_ms

    # ---- what it knows --------------------------------------------------------------------------

    def _settle(self) -> None:
        """Measure the batch that it takes for the best, until it knows it."""
        for _ in range(TRIALS_MAX):
            if not self._measure(self._choose(self._placement, 1)[0]):
                break

    def _measure(self, batches: Batches) -> bool:
        """Work there with it; False: that is known already."""
        placement, (size, gathered) = self._placement, batches
        gpus = sum(placement)
        self._batch = gpus * size * (gathered + 1)
        key = (len(placement) > 1, gpus, size)
        if self._fixed or key in self._seen:
            return False
        seen = Seen(len(placement), gpus, size, *self._app.times(placement, size))
        self._seen[key] = seen
        self._params, self._is_known = None, False
        return True

    def _fitted(self) -> Params:
        if self._params is None:
            self._params = fit([*self._seen.values()])
        return self._params

    def _noise(self, epoch: int, batch: int) -> float:
        """The noise scale of its gradients with that batch."""
        seen = self._app.validation(batch, epoch)
        return self._limits.batch_first * seen.var / max(seen.sqr, LEAST_SIGNAL * seen.var, TINY)

    def _choose(self, placement: Placement, epochs: int = 0) -> list[Batches]:
        """What it takes for the best batch in so many epochs from this one on; 0: all."""
        app, gpus = self._app, sum(placement)
        ahead = range(self._epoch, self._epoch + epochs if epochs else app.epochs)
        if self._fixed or not self._seen:
            total = self._fixed or max(app.batch_first, app.on_gpu_min * gpus)
            return [app.split(total, gpus) for _ in ahead]
        setting, totals = (min(len(placement), 2), gpus), [self._batch] * len(ahead)
        for _ in range(2):  # the second time with the noise of the batch that was chosen
            noises = [self._noise(epoch, total) for epoch, total in zip(ahead, totals, strict=True)]
            found = best_batches(self._fitted(), self._limits, noises, (setting,))
            chosen = [
                (best.size, best.gathered) if best.goodput else app.split(app.batch_max, gpus)
                for best in found
            ]
            totals = [gpus * size * (gathered + 1) for size, gathered in chosen]
        return chosen

    # ---- what it reports ------------------------------------------------------------------------

    def left_ms(self) -> int:
        """See Work: on the GPUs and with the batch that it asked for."""
        left = max(0.0, self._app.progress_ends[self._epoch] - self._progress)
        return ceil((left / self._normal[self._epoch] + self._after_s[self._epoch]) * 1000)

    def speeds(self) -> Speeds:
        """See Work: for sizes up to twice the largest it has had, on one node and on more.

        The same object as long as nothing has changed by more than one part in PARTS.
        """
        if not self._seen:
            return ()
        params, most = self._fitted(), min(2 * self._most_gpus, self._app.gpus_max())
        basis = (params, self._epoch, most)
        if self._told is None or self._told[0] != basis:
            speeds = self._expected(params, most)
            if self._told is not None and self._told[1] == speeds:
                speeds = self._told[1]
            self._told = (basis, speeds)
        return self._told[1]

    def _expected(self, params: Params, most: int) -> Speeds:
        settings = _settings(most, self._of_node)
        found = best_batches(
            params, self._limits, (self._noise(self._epoch, self._batch),), settings
        )
        normal = self._limits.batch_first * self._normal[self._epoch]
        return tuple(
            SpeedOn("", gpus, nodes % 2, _rounded(NORMAL_MICRO * best.goodput / normal))
            for (nodes, gpus), best in zip(settings, found, strict=True)
            if best.goodput
        )


def _settings(most: int, of_node: int) -> tuple[tuple[int, int], ...]:
    """(1 or 2 nodes, which is any number, GPUs): every size up to two nodes, then whole nodes."""
    sizes = [n for n in range(1, most + 1) if n <= 2 * of_node or not n % of_node or n == most]
    return (
        *((1, gpus) for gpus in sizes if gpus <= of_node),
        *((2, gpus) for gpus in sizes if gpus > 1),
    )


def _rounded(speed_micro: float) -> int:
    whole = max(1, round(speed_micro))
    unit = int(max(1, 10 ** (len(str(whole)) - 1) // (PARTS // 10)))
    return max(1, whole // unit * unit)


# ---- jobs of a trace ----------------------------------------------------------------------------


def goodput_works(apps: Apps, of_node: int, is_read: bool) -> Callable[[TraceJob], Work]:
    """What makes the work of jobs with an application of the tables.

    of_node: GPUs of a node. is_read: a policy reads what jobs report.
    """

    def make(job: TraceJob) -> Work:
        gpus = job.gpu_milli // 1000
        return GoodputWork(apps.app(job.app), job.batch, gpus, of_node, is_read)

    return make


def fixed_works(apps: Apps) -> Callable[[TraceJob], Work]:
    """The same for jobs that keep the batch they ask for, and report nothing."""

    def make(job: TraceJob) -> Work:
        gpus = job.gpu_milli // 1000
        return GoodputWork(apps.app(job.app), job.batch, gpus, is_read=False, is_fixed=True)

    return make


def rigid(job: TraceJob) -> TraceJob:
    """The job with the GPUs that it asks for, no more and no fewer."""
    return replace(job, gpus_min=0, gpus_max=0)


def declared(job: TraceJob, apps: Apps, of_node: int) -> TraceJob:
    """The job with the batch that it asks for, on as many GPUs as can share it.

    It says from the start how fast it is on each number of GPUs, by the tables.
    """
    app, gpus = apps.app(job.app), job.gpu_milli // 1000
    most = app.gpus_max(job.batch)

    def rate(nodes: int, gpus: int) -> float:
        shape = packed(gpus, of_node) if nodes == 1 or gpus > of_node else packed(gpus, gpus - 1)
        return app.rate(shape, app.split(job.batch, gpus), 0)

    normal = app.rate(packed(gpus), app.split(job.batch, gpus), 0)
    speeds = tuple(
        SpeedOn("", n, nodes % 2, _rounded(NORMAL_MICRO * rate(nodes, n) / normal))
        for nodes, n in _settings(most, of_node)
    )
    return replace(job, gpus_min=1, gpus_max=most, speeds=speeds)
