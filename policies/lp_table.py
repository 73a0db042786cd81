"""solve(): a table of gavel_shares.py as arrays, and its goal's program solved."""

from collections import Counter
from itertools import compress
from operator import mul

import numpy as np

from aimass.core.speeds import NORMAL_MICRO
from aimass.policies.gavel_shares import Goal, Table
from aimass.policies.lp_goals import (
    Clocks,
    cheapest,
    finish_time_fair,
    of_fairness,
    of_makespan,
    within,
)
from aimass.policies.lp_highs import Floats, Solver
from aimass.policies.lp_shares import KEPT, Answer, Crowd, proportional, water_filled


def solve(table: Table) -> list[list[float]] | None:
    """Shares by job and model; None: no answer. Raises ImportError where highspy is missing.

    Who can run only where nothing is left for it has no share, and no part in the program.
    """
    served = [any(map(mul, row.speeds, table.capacity)) for row in table.rows]
    rows = tuple(compress(table.rows, served))
    found = _solved(table._replace(rows=rows)) if rows else []
    if found is None:
        return None
    shares, nothing = iter(found), [0.0] * len(table.capacity)
    return [next(shares) if is_served else nothing for is_served in served]


def _solved(table: Table) -> list[list[float]] | None:
    rates: Floats = np.array([row.speeds for row in table.rows], float) / NORMAL_MICRO
    gpus = np.array([row.gpus for row in table.rows], float)
    crowd = Crowd(gpus, np.array(table.capacity, float), rates > 0)
    left: Floats = np.array([max(1, row.left_ms) for row in table.rows], float)
    solver = Solver()
    match table.goal:
        case Goal.MAX_MIN:
            answer = _filled(solver, crowd, of_fairness(crowd, rates, _weights(table)))
        case Goal.MAKESPAN:
            answer = _filled(solver, crowd, of_makespan(rates, left))
        case Goal.FINISH_TIME_FAIRNESS:
            alone = proportional(crowd)
            age = np.array([float(row.age_ms) for row in table.rows])
            all_work = left + np.array([float(row.worked_ms) for row in table.rows])
            clocks = Clocks(age, left, all_work / (rates * alone).sum(axis=1))
            answer = finish_time_fair(solver, crowd, rates, clocks, alone)
        case Goal.COST:
            due = np.array([float(row.due_ms) for row in table.rows])
            needs = np.where(due > 0, left / np.maximum(due, 1.0), 0.0)
            prices = np.array(table.prices or [1.0] * len(table.capacity))
            answer = cheapest(solver, crowd, rates, prices, needs)
    return None if answer is None else answer.shares.tolist()


def _filled(solver: Solver, crowd: Crowd, worth: Floats) -> Answer | None:
    """Water-filled. Where no job is faster on one model than on another, time is spread over all:

    a corner would leave a job on one model for good, though it may only look equal.
    """
    answer = water_filled(solver, crowd, worth)
    most: Floats = worth.max(axis=1)
    if answer is None or (np.where(crowd.can_run, worth, most[:, None]) < most[:, None]).any():
        return answer
    levels = (answer.shares * worth).sum(axis=1)
    return within(solver, crowd, worth, levels * KEPT) or answer


def _weights(table: Table) -> Floats:
    """Each queue's weight, shared by its jobs; 1 on average."""
    known, sizes = dict(table.weights), Counter(row.queue for row in table.rows)
    weights: Floats = np.array([known.get(r.queue, 1) / sizes[r.queue] for r in table.rows])
    return weights * len(table.rows) / weights.sum()
