"""Goodput of elastic training: throughput times what each example is worth (Pollux, OSDI 2021).

What a program that may choose its own batch needs: a model of its step time in seven parameters,
fitted to what it has measured, and the best batch by that model. Floats, and what is decided with
them is rounded by the caller. The equations are those of the paper, sections 3 and 4.1.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import exp, log, sqrt
from typing import Any, NamedTuple

import numpy as np

LEAST = 1e-8  # of a parameter: nothing, but its logarithm is a number
GAMMA_MAX = 10.0
START_OVERLAP = 1.1
SPREAD_COST = 1.1  # how much slower several nodes are than one, at least, as long as nobody knows
CANDIDATES = 50  # total batches that are weighed, each the same factor above the last
ITERATIONS_MAX = 80
_HALVINGS_MAX = 25
_PRECISION = 1e-6  # of the objective, at which a fit ends
_ROUND = 1e-6  # what rounds off the tip of an error of nothing: 0.1 % is as good


class Params(NamedTuple):
    """Of one GPU model, in seconds: of computing, of synchronising nodes and GPUs of one node.

    A step computes for compute + compute_each * batch on a GPU. Synchronising r GPUs takes a +
    b * (r - 2): spread and spread_each on several nodes, local and local_each on one. overlap: 1:
    one after the other; the larger, the more at once.
    """

    compute: float
    compute_each: float
    spread: float
    spread_each: float
    local: float
    local_each: float
    overlap: float


class Seen(NamedTuple):
    """What was measured with so many GPUs on so many nodes and so large a batch on each."""

    nodes: int
    gpus: int
    size: int
    step_s: float
    sync_s: float


class Limits(NamedTuple):
    """What can be trained: total batches, from the one that it began with, and those of a GPU."""

    batch_first: int
    batch_max: int
    size_min: int
    size_max: int


class Best(NamedTuple):
    """A batch on each GPU, how many are gathered before the last, and the goodput."""

    size: int
    gathered: int
    goodput: float


# ---- the model ----------------------------------------------------------------------------------


def step_s(params: Params, nodes: int, gpus: int, size: int) -> float:
    """Seconds of one step that gathers nothing."""
    return _norm(*_parts(params, nodes, gpus, size), params.overlap)


def _parts(params: Params, nodes: int, gpus: int, size: int) -> tuple[float, float]:
    """Seconds of computing, and of synchronising."""
    computing = params.compute + params.compute_each * size
    if gpus == 1:
        return computing, LEAST
    if nodes > 1:
        return computing, params.spread + params.spread_each * (gpus - 2)
    return computing, params.local + params.local_each * (gpus - 2)


def _norm(first: float, second: float, power: float) -> float:
    most, least = max(first, second), min(first, second)
    return float(most * (1 + (least / most) ** power) ** (1 / power))


def efficiency(batch_first: int, noise: float, batch: int) -> float:
    """What an example of such a batch is worth against one of the first.

    noise: batch_first * variance / squared norm of the gradient (its noise scale).
    """
    return (noise + batch_first) / (noise + batch)


# ---- the best batch -----------------------------------------------------------------------------


def best_batches(
    params: Params, limits: Limits, noises: Sequence[float], settings: tuple[tuple[int, int], ...]
) -> list[Best]:
    """The batch of the highest goodput, for each setting (nodes, GPUs) with its noise scale.

    One of the two may be a single one for all of the other. goodput is 0 where so many GPUs cannot
    train. O(settings * CANDIDATES), in NumPy.
    """
    sizes, gathered, batches, gpus, is_spread, is_alone = _candidates(limits, settings)
    computing = params.compute + params.compute_each * sizes
    spread = params.spread + params.spread_each * (gpus - 2)
    local = params.local + params.local_each * (gpus - 2)
    syncing = np.where(is_alone, LEAST, np.where(is_spread, spread, local))
    most, least = np.maximum(computing, syncing), np.minimum(computing, syncing)
    last = most * (1 + (least / most) ** params.overlap) ** (1 / params.overlap)
    noise = np.array(noises)[:, None]
    worth = (noise + limits.batch_first) / (noise + batches)
    goodput = batches / (gathered * computing + last) * worth
    at = goodput.argmax(axis=1)
    chosen = np.arange(len(at)), at
    found = [np.broadcast_to(table, goodput.shape)[chosen] for table in (sizes, gathered, goodput)]
    return [
        Best(int(size), int(more), float(good)) for size, more, good in zip(*found, strict=True)
    ]


@lru_cache(maxsize=256)
def _candidates(limits: Limits, settings: tuple[tuple[int, int], ...]) -> tuple[Any, ...]:
    """Arrays by setting and candidate; batches of 0 where it would not be allowed."""
    first, most, size_min, size_max = limits
    nodes, gpus = (np.array(column, dtype=float)[:, None] for column in zip(*settings, strict=True))
    least = np.minimum(np.maximum(first, size_min * gpus), most)
    totals = least * (most / least) ** np.linspace(0, 1, CANDIDATES)
    shares = totals / gpus
    gathered = np.maximum(np.ceil(shares / size_max - LEAST) - 1, 0)
    gathered = np.where((gpus == 1) & (shares > first + LEAST), np.maximum(gathered, 1), gathered)
    sizes = np.ceil(shares / (gathered + 1) - LEAST)
    sizes = np.minimum(sizes, np.floor(most / (gpus * (gathered + 1))))
    is_allowed = (sizes >= size_min) & (sizes <= size_max)
    batches = np.where(is_allowed, gpus * sizes * (gathered + 1), 0)
    return sizes, gathered, batches, gpus, nodes > 1, gpus == 1


# ---- the fit ------------------------------------------------------------------------------------


def fit(seen: Sequence[Seen]) -> Params:
    """The parameters that explain best what was measured, which is something.

    The root mean square error of the logarithms of computing and of whole steps, and a little for
    overlap and for growth with the number of GPUs. What cannot be known yet is taken to cost
    nothing, so that a policy tries it. Quasi-Newton in the parameters' logarithms; O(measurements)
    an iteration.
    """
    free = _free(seen)
    values = _guess(seen, free)
    objective = _Objective(seen, values, free)
    params = objective.params(_minimise(objective))
    if not any(one.nodes > 1 for one in seen):
        params = params._replace(
            spread=max(params.spread, SPREAD_COST * params.local),
            spread_each=max(params.spread_each, SPREAD_COST * params.local_each),
        )
    return params


def _guess(seen: Sequence[Seen], free: Sequence[int]) -> list[float]:
    """Where a fit begins: half of computing is for the batch, a tenth of synchronising for GPUs."""
    values = [LEAST] * 6 + [START_OVERLAP]
    values[0] = sum(max(LEAST, one.step_s - one.sync_s) for one in seen) / len(seen) / 2
    values[1] = values[0] / (sum(one.size for one in seen) / len(seen))
    for row, is_spread in ((2, True), (4, False)):
        if row in free:
            known = [one.sync_s for one in seen if one.gpus > 1 and (one.nodes > 1) == is_spread]
            values[row] = max(10 * LEAST, sum(known) / len(known))
        if row + 1 in free:
            values[row + 1] = values[row] / 10
    return values


def _free(seen: Sequence[Seen]) -> list[int]:
    """Numbers of the parameters that the measurements say something about."""
    free = [1, 6] if len({one.size for one in seen}) == 1 else [0, 1, 6]
    if any(one.nodes > 1 for one in seen):
        free += [2, 3] if any(one.gpus > 2 for one in seen) else [2]
    if any(one.nodes == 1 and one.gpus > 1 for one in seen):
        free += [4, 5] if any(one.gpus > 2 for one in seen) else [4]
    return free


class _Objective:
    """What a fit minimises, by the free parameters' logarithms (of the overlap: of what is over 1).

    The weights are those of the Pollux artifact.
    """

    def __init__(self, seen: Sequence[Seen], values: list[float], free: list[int]) -> None:
        self._values, self.free = values, free
        self._rows = []
        for one in seen:
            row = 4 if one.nodes == 1 else 2
            computing = log(max(LEAST, one.step_s - one.sync_s))
            self._rows.append((row, one.gpus, one.size, computing, log(one.step_s)))

    def start(self) -> list[float]:
        """Where to begin."""
        return [log(self._values[at] - (1 if at == 6 else 0)) for at in self.free]

    def params(self, place: Sequence[float]) -> Params:
        """The parameters at a place."""
        values = self._values.copy()
        for at, x in zip(self.free, place, strict=True):
            values[at] = min(GAMMA_MAX, 1 + exp(x)) if at == 6 else exp(x)
        return Params(*values)

    def bound(self, at: int, x: float) -> float:
        """The nearest place that is allowed."""
        low, high = (-20.0, log(GAMMA_MAX - 1)) if self.free[at] == 6 else (log(LEAST), 10.0)
        return min(max(x, low), high)

    def at(self, place: Sequence[float]) -> tuple[float, list[float]]:
        """The value there and its gradient."""
        values = self.params(place)
        power, count = values.overlap, len(self._rows)
        errors = [0.0, 0.0]
        slopes = [[0.0] * 7, [0.0] * 7]
        for row, gpus, size, log_computing, log_step in self._rows:
            computing = values[0] + values[1] * size
            syncing = LEAST if gpus == 1 else values[row] + values[row + 1] * (gpus - 2)
            log_c, log_s = log(computing), log(syncing)
            high = max(log_c, log_s)
            ratio = exp(power * (min(log_c, log_s) - high))
            total = high + log(1 + ratio) / power
            part = 1 / (1 + ratio) if log_c >= log_s else ratio / (1 + ratio)
            parts = (values[0] / computing, values[1] * size / computing)
            wrong = log_c - log_computing
            errors[0] += wrong * wrong
            slopes[0][0] += wrong * parts[0]
            slopes[0][1] += wrong * parts[1]
            wrong = total - log_step
            errors[1] += wrong * wrong
            slopes[1][0] += wrong * part * parts[0]
            slopes[1][1] += wrong * part * parts[1]
            if gpus > 1:
                slopes[1][row] += wrong * (1 - part) * values[row] / syncing
                slopes[1][row + 1] += wrong * (1 - part) * values[row + 1] * (gpus - 2) / syncing
            mean = part * log_c + (1 - part) * log_s
            slopes[1][6] += wrong * (mean - total) / power * (power - 1)
        value, gradient = 1e-3 * (power - 1) ** 2, [0.0] * 7
        gradient[6] = 2e-3 * (power - 1) ** 2
        for error, slope in zip(errors, slopes, strict=True):
            root = sqrt(error / count + _ROUND)
            value += root
            for at in range(7):
                gradient[at] += slope[at] / (count * root)
        for row in (2, 4):
            cost = 1e-2 * (values[row + 1] / values[row]) ** 2
            value += cost
            gradient[row] -= 2 * cost
            gradient[row + 1] += 2 * cost
        return value, [gradient[at] for at in self.free]


def _minimise(objective: _Objective) -> list[float]:
    """BFGS with halved steps, kept within bounds."""
    place = objective.start()
    size = len(place)
    value, gradient = objective.at(place)
    inverse = _identity(size)
    is_fresh = True
    for _ in range(ITERATIONS_MAX):
        step = [-sum(a * b for a, b in zip(row, gradient, strict=True)) for row in inverse]
        slope = sum(a * b for a, b in zip(step, gradient, strict=True))
        if slope >= 0:
            step, slope = [-g for g in gradient], -sum(g * g for g in gradient)
            inverse = _identity(size)
            is_fresh = True
        longest = max(map(abs, step), default=0.0)
        scale = min(1.0, 2.0 / longest) if longest else 1.0
        for _ in range(_HALVINGS_MAX):
            there = [objective.bound(i, x + scale * step[i]) for i, x in enumerate(place)]
            new_value, new_gradient = objective.at(there)
            if new_value <= value + 1e-4 * scale * slope:
                break
            scale /= 2
        else:
            if is_fresh:
                break
            inverse = _identity(size)
            is_fresh = True
            continue
        moved = [b - a for a, b in zip(place, there, strict=True)]
        turned = [b - a for a, b in zip(gradient, new_gradient, strict=True)]
        _update(inverse, moved, turned)
        gained = value - new_value
        place, value, gradient = there, new_value, new_gradient
        if gained < _PRECISION:
            if is_fresh:
                break
            inverse = _identity(size)
            is_fresh = True
        else:
            is_fresh = False
    return place


def _identity(size: int) -> list[list[float]]:
    return [[float(i == j) for j in range(size)] for i in range(size)]


def _update(inverse: list[list[float]], moved: list[float], turned: list[float]) -> None:
    """The inverse Hessian after one more step, where it stays positive."""
    curve = sum(a * b for a, b in zip(moved, turned, strict=True))
    if curve <= 1e-12:
        return
    size = len(moved)
    bent = [sum(a * b for a, b in zip(row, turned, strict=True)) for row in inverse]
    much = (1 + sum(a * b for a, b in zip(turned, bent, strict=True)) / curve) / curve
    for i in range(size):
        for j in range(size):
            inverse[i][j] += (
                much * moved[i] * moved[j] - (bent[i] * moved[j] + moved[i] * bent[j]) / curve
            )
