"""Gavel's objectives (OSDI 2020, section 4), each as worths for the programs of lp_shares.py.

rates: (jobs, models), work a second on GPUs of a model, 0 where a job cannot run. left: (jobs,), in
the same unit of work.
"""

from dataclasses import dataclass

import numpy as np

from aimass.policies.lp_highs import Floats, Solver
from aimass.policies.lp_shares import KEPT, Answer, Crowd, Layout, highest, max_min

FAIRNESS_STEPS = 50  # it takes about four
FAIRNESS_EPSILON = 1e-6


def of_fairness(crowd: Crowd, rates: Floats, weights: Floats) -> Floats:
    """Worths for max-min fairness: GPUs times the rate, of the rate on an average GPU."""
    average = rates @ crowd.capacity / max(1.0, float(crowd.capacity.sum()))
    return rates * (crowd.gpus / (weights * np.maximum(average, 1e-300)))[:, None]


def of_makespan(rates: Floats, left: Floats) -> Floats:
    """Worths for the makespan: the part of what is left that is done in a second.

    The least level is one over the time until the last job ends.
    """
    return rates / left[:, None]


@dataclass(frozen=True, slots=True)
class Clocks:
    """What finish-time fairness is about, each (jobs,). Seconds, and work left.

    alone: the job's time if it always had its own part of the cluster, from its arrival to its end.
    """

    age: Floats
    left: Floats
    alone: Floats


def finish_time_fair(
    solver: Solver, crowd: Crowd, rates: Floats, clocks: Clocks, start: Floats
) -> Answer | None:
    """Make the largest of (age + left / rate) / alone as small as can be; level: how large.

    start: any feasible X. A ratio asks for rates, and z is how many times these everybody can have:
    the ratio is sought at which z is 1, by Newton's method, whose slope is in the rows' prices. At
    the end an interior solution. About five programs.
    """
    layout = Layout(crowd)
    least = float((clocks.age / clocks.alone).max())  # of who would be done at once
    ratio = _ratio(rates, clocks, start)
    for _ in range(FAIRNESS_STEPS):
        worth = rates * ((ratio * clocks.alone - clocks.age) / clocks.left)[:, None]
        scale = highest(worth)
        zeros = np.zeros(layout.jobs)
        solved = solver.vertex(layout.program(worth / scale, layout.of_level(), zeros))
        if solved is None:
            return None
        z, prices = float(solved.x[-1]) * scale, np.abs(solved.row_dual[: layout.jobs])
        rate = (rates * layout.shares(solved.x)).sum(axis=1)
        slope = float((prices * rate * clocks.alone / clocks.left).sum())
        if abs(z - 1) < FAIRNESS_EPSILON or slope <= 0:
            break
        ratio = max(ratio - (z - 1) / slope, (ratio + 9 * least) / 10)
    found = max_min(
        solver, crowd, rates * ((ratio * clocks.alone - clocks.age) / clocks.left)[:, None]
    )
    return None if found is None else Answer(found.shares, ratio)


def _ratio(rates: Floats, clocks: Clocks, shares: Floats) -> float:
    rate = np.maximum((rates * shares).sum(axis=1), 1e-300)
    return float(((clocks.age + clocks.left / rate) / clocks.alone).max())


def within(solver: Solver, crowd: Crowd, rates: Floats, needs: Floats) -> Answer | None:
    """Any X, near the middle of all, that gives each job at least the rate that it needs."""
    layout = Layout(crowd)
    cost: Floats = np.zeros(layout.cells + 1)
    scale = np.maximum(rates.max(axis=1), 1e-300)
    program = layout.program(rates / scale[:, None], cost, needs / scale, rises=False)
    solved = solver.interior(program)
    return None if solved is None else Answer(layout.shares(solved.x), 0.0)


def cheapest(
    solver: Solver, crowd: Crowd, rates: Floats, prices: Floats, needs: Floats
) -> Answer | None:
    """The most work for its price, with every job's need met as far as all needs can be together.

    rates: in parts of the job's own normal rate, so that works of different jobs can be added up.
    prices: (models,). needs: (jobs,), the rate with which a job keeps its deadline; 0: it has none.
    """
    needs = np.minimum(needs, rates.max(axis=1))
    layout = Layout(crowd)
    if needs.any():
        urgent = needs > 0
        some = Crowd(crowd.gpus[urgent], crowd.capacity, crowd.can_run[urgent])
        met = max_min(solver, some, rates[urgent] / needs[urgent][:, None])
        if met is None:
            return None
        needs = needs * min(1.0, met.level) * KEPT
    gains = (rates / prices).ravel()
    cost: Floats = np.append(-gains / max(float(gains.max()), 1e-300), 0.0)
    solved = solver.vertex(layout.program(rates, cost, needs, rises=False))
    return None if solved is None else Answer(layout.shares(solved.x), 0.0)
