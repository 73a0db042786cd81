"""Gavel's policies as its artifact has them (commit c4fa400), quirks included, for its round loop.

Where a program has many optima the artifact takes what its solver happens to give; here that is the
interior point's (policies/lp_highs.py), which is near: the published averages are met within 1.5 %
where policies know types, and 4 % where they do not.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np

from aimass.policies.lp_goals import (
    Clocks,
    cheapest,
    finish_time_fair,
    of_fairness,
    of_makespan,
    within,
)
from aimass.policies.lp_highs import Floats, Solver
from aimass.policies.lp_shares import Answer, Crowd, max_min, proportional
from aimass.simulator.rounds_gavel import Moment, SharePolicy

MAKESPAN_LOW_S, MAKESPAN_HIGH_S, MAKESPAN_RATIO = 100.0, 1e6, 1.05
MAKESPAN_RAISES_MAX = 20
EXACT = 1 - 1e-9  # what a solver's optimum may be off


class Fifo:
    """`fifo`: jobs keep the type that they were given once. Not a baseline: see below.

    The artifact draws a type and then gives the last one on its list, whether the job fits or not,
    so that nearly all jobs share the fastest type in turns. To the letter, as the runs show it.
    """

    is_shuffled = is_greedy = True

    def __init__(self) -> None:
        self._types: dict[int, int] = {}
        self._random = Random(0)

    def shares(self, moment: Moment) -> dict[int, list[float]]:
        """See SharePolicy.shares."""
        types, left = self._types, list(moment.capacity)
        live = {one.index: one.job for one in moment.live}
        gpus = {index: job.gpus for index, job in live.items()}
        queue = [index for index in live if index not in types]
        for index in sorted(types):
            type_ = types[index]
            if index in live:
                left[type_] -= gpus[index]
                continue
            if queue and gpus[queue[0]] <= left[type_] and live[queue[0]].rates[type_] > 0:
                heir = queue.pop(0)
                types[heir] = type_
                left[type_] -= gpus[heir]
            del types[index]
        there = [type_ for type_, gpus_left in enumerate(left) if gpus_left > 0]
        while queue and there:
            index = queue.pop(0)
            fitting = [at for at, type_ in enumerate(there) if left[type_] >= gpus[index]]
            if not fitting:
                break
            drawn = self._random.randrange(len(fitting))
            type_ = there[-1]
            if live[index].rates[type_] > 0:
                types[index] = type_
                left[type_] -= gpus[index]
                if left[type_] == 0:
                    there.pop(fitting[drawn])
        return {index: _only(type_, len(left)) for index, type_ in types.items()}


class FifoPerf:
    """`fifo_perf`: in order of arrival, each the fastest type with room, to the first with none."""

    is_shuffled, is_greedy = False, True

    def shares(self, moment: Moment) -> dict[int, list[float]]:
        """See SharePolicy.shares. A job whose best type cannot run it takes nothing."""
        left = list(moment.capacity)
        found: dict[int, list[float]] = {}
        for one in moment.live:
            fitting = [type_ for type_, gpus in enumerate(left) if gpus >= one.job.gpus]
            if not fitting:
                break
            type_ = max(fitting, key=one.job.rates.__getitem__)
            if one.job.rates[type_] > 0:
                left[type_] -= one.job.gpus
                found[one.index] = _only(type_, len(left))
        return found


def _only(type_: int, types: int) -> list[float]:
    return [1.0 if at == type_ else 0.0 for at in range(types)]


@dataclass(frozen=True, slots=True)
class _Arrays:
    """A moment as arrays over its live jobs. rates: (jobs, types), steps a second."""

    crowd: Crowd
    rates: Floats
    left: Floats
    age_s: Floats


def _arrays(moment: Moment) -> _Arrays:
    jobs = [one.job for one in moment.live]
    rates = np.array([job.rates for job in jobs])
    gpus = np.array([float(job.gpus) for job in jobs])
    capacity = np.array([float(gpus) for gpus in moment.capacity])
    return _Arrays(
        Crowd(gpus, capacity, rates > 0),
        rates,
        np.array([float(one.left) for one in moment.live]),
        moment.now_s - np.array([job.arrival_s for job in jobs]),
    )


class _Solved(ABC):
    """A policy that is a program; where that is not solved, everybody has its part of all."""

    is_greedy = False

    def __init__(self, is_blind: bool) -> None:
        """is_blind: it takes all types for equally fast."""
        self.is_shuffled = self.is_blind = is_blind
        self.unsolved = 0
        self._solver = Solver()

    def shares(self, moment: Moment) -> dict[int, list[float]]:
        """See SharePolicy.shares."""
        arrays = _arrays(moment)
        answer = self._answer(moment, arrays)
        self.unsolved += answer is None
        shares = proportional(arrays.crowd) if answer is None else answer.shares
        return {one.index: row for one, row in zip(moment.live, shares.tolist(), strict=True)}

    @abstractmethod
    def _answer(self, moment: Moment, arrays: _Arrays) -> Answer | None:
        """The program's solution; None where there is none."""


class MaxMin(_Solved):
    """`max_min_fairness` and `max_min_fairness_perf`: the least share as large as can be, once."""

    def _answer(self, moment: Moment, arrays: _Arrays) -> Answer | None:
        rates = np.ones_like(arrays.rates) if self.is_blind else arrays.rates
        crowd = Crowd(arrays.crowd.gpus, arrays.crowd.capacity, np.ones_like(rates, np.bool_))
        weights = np.array([one.job.weight for one in moment.live])
        return max_min(self._solver, crowd, of_fairness(crowd, rates, weights))


class FinishTimeFair(_Solved):
    """`finish_time_fairness_perf`: the job that is slowed down most, as little as can be."""

    def __init__(self, is_blind: bool = False) -> None:
        super().__init__(is_blind)
        self._alone_s: dict[int, float] = {}  # time had alone for the work that is done
        self._last: dict[int, tuple[int, float]] = {}  # steps left then, and its rate alone then

    def _answer(self, moment: Moment, arrays: _Arrays) -> Answer | None:
        alone = proportional(arrays.crowd)
        rate_alone = (arrays.rates * alone).sum(axis=1)
        for one in moment.live:
            had_s = self._alone_s.get(one.index, 0.0)
            if one.index in self._last:
                left, rate = self._last[one.index]
                had_s += (left - one.left) / rate
            self._alone_s[one.index] = had_s
        rates = rate_alone.tolist()
        self._last = {
            one.index: (one.left, rate) for one, rate in zip(moment.live, rates, strict=True)
        }
        had = np.array([self._alone_s[one.index] for one in moment.live])
        clocks = Clocks(arrays.age_s, arrays.left, had + arrays.left / rate_alone)
        return finish_time_fair(self._solver, arrays.crowd, arrays.rates, clocks, alone)


class Makespan(_Solved):
    """`min_total_duration` and `min_total_duration_perf`: by bisection, to within 5 %.

    The blind one takes every type for as fast as the fastest. Whether a makespan can be kept is
    asked once: all that is longer than the least can.
    """

    def _answer(self, moment: Moment, arrays: _Arrays) -> Answer | None:
        rates, crowd = arrays.rates, arrays.crowd
        if self.is_blind:
            rates = np.repeat(rates[:, -1:], rates.shape[1], axis=1)
            crowd = Crowd(crowd.gpus, crowd.capacity, rates > 0)
        best = max_min(self._solver, crowd, of_makespan(rates, arrays.left))
        if best is None:
            return None
        kept_s = _bisected(1 / best.level)
        return within(self._solver, crowd, rates, arrays.left / kept_s) or best


def _bisected(least_s: float) -> float:
    """The last makespan that the artifact's bisection finds possible."""
    low_s, high_s = MAKESPAN_LOW_S, MAKESPAN_HIGH_S
    for _ in range(MAKESPAN_RAISES_MAX):
        found_s = 0.0
        low, high = low_s, high_s
        while MAKESPAN_RATIO * low < high:
            middle = (low + high) / 2
            if middle >= least_s * EXACT:
                high = found_s = middle
            else:
                low = middle
        if found_s:
            return found_s
        low_s, high_s = high_s, high_s * 10
    return least_s


class Cheapest(_Solved):
    """Work for its price, deadlines kept: not among the published runs.

    Work is counted in parts of what a job does on the type on which it is fastest.
    """

    def __init__(self, prices: tuple[float, ...] = ()) -> None:
        """prices: of a GPU of each type for any time; none: all cost the same."""
        super().__init__(is_blind=False)
        self._prices = prices

    def _answer(self, moment: Moment, arrays: _Arrays) -> Answer | None:
        normal = arrays.rates.max(axis=1)
        time_s = np.array([max(1.0, one.job.due_s - moment.now_s) for one in moment.live])
        has_due = np.array([one.job.due_s > 0 for one in moment.live])
        needs = np.where(has_due, arrays.left / normal / time_s, 0.0)
        prices = np.array(self._prices or [1.0] * len(moment.capacity))
        rates = arrays.rates / normal[:, None]
        return cheapest(self._solver, arrays.crowd, rates, prices, needs)


POLICIES: dict[str, Callable[[], SharePolicy]] = {
    "gavel-fifo": Fifo,
    "gavel-fifo-perf": FifoPerf,
    "gavel-max-min": lambda: MaxMin(is_blind=True),
    "gavel-max-min-perf": lambda: MaxMin(is_blind=False),
    "gavel-ftf-perf": FinishTimeFair,
    "gavel-makespan": lambda: Makespan(is_blind=True),
    "gavel-makespan-perf": lambda: Makespan(is_blind=False),
    "gavel-cost": Cheapest,
}
