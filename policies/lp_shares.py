"""Shares of time on models of GPUs for all jobs at once: what Gavel's programs have in common.

X[j, t] is the part of the time in which job j has its whole gang on GPUs of model t:

    X >= 0    sum over t of X[j, t] <= 1    sum over j of gpus[j] * X[j, t] <= capacity[t]

(Gavel, OSDI 2020, section 3.1). A level of a job is the sum over t of worth[j, t] * X[j, t]: what
it gets, in units that objectives choose (lp_goals.py). None: the solver did not find an answer.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from aimass.policies.lp_highs import INFINITY, Floats, Ints, Program, Solver

Flags: TypeAlias = NDArray[np.bool_]

PRICED = 1e-6  # a row with such a price is tight in every optimum: its job can have no more
KEPT = 1 - 1e-7  # of a level that is final, what is asked for: room for the solver's tolerance


@dataclass(frozen=True, slots=True)
class Crowd:
    """Jobs that share GPUs.

    gpus: (jobs,), of a gang. capacity: (models,), GPUs. can_run: (jobs, models) bool; every job can
    run on some model, and every worth and rate is 0 where its job cannot.
    """

    gpus: Floats
    capacity: Floats
    can_run: Flags


@dataclass(frozen=True, slots=True)
class Answer:
    """shares: (jobs, models), X. level: the least that any job gets."""

    shares: Floats
    level: float


class Layout:
    """The rows of a crowd: a level of each job, its time, and the GPUs of each model.

    Columns are the cells of X, job by job, and z, which all levels that still rise have in common.
    """

    def __init__(self, crowd: Crowd) -> None:
        jobs, models = crowd.can_run.shape
        self.jobs, self.models, self.cells = jobs, models, jobs * models
        j: Ints = np.repeat(np.arange(jobs), models)
        t: Ints = np.tile(np.arange(models), jobs)
        of_cells = np.stack([j, jobs + j, 2 * jobs + t], axis=1).ravel()
        self.rows: Ints = np.concatenate([of_cells, np.arange(jobs)]).astype(np.int32)
        starts: Ints = np.append(np.arange(0, 3 * self.cells + 1, 3), 3 * self.cells + jobs)
        self.starts: Ints = starts.astype(np.int32)
        self.limits: Floats = np.concatenate([np.ones(jobs), crowd.capacity])
        self.upper: Floats = np.append(np.where(crowd.can_run.ravel(), INFINITY, 0.0), INFINITY)
        self._taken = np.stack([np.ones(self.cells), crowd.gpus[j]], axis=1)

    def program(self, worth: Floats, cost: Floats, floor: Floats, rises: bool = True) -> Program:
        """Minimise cost @ (X, z), with worth @ X >= floor, or >= floor + z if it rises.

        worth: (jobs, models). floor: (jobs,). cost: (cells + 1,).
        """
        of_cells = np.column_stack([worth.ravel(), self._taken]).ravel()
        return Program(
            cost=cost,
            upper=self.upper,
            row_lower=np.concatenate([floor, np.full(len(self.limits), -INFINITY)]),
            row_upper=np.concatenate([np.full(self.jobs, INFINITY), self.limits]),
            starts=self.starts,
            rows=self.rows,
            values=np.concatenate([of_cells, np.full(self.jobs, -1.0 if rises else 0.0)]),
        )

    def of_level(self) -> Floats:
        """The cost with which z is maximised."""
        cost = np.zeros(self.cells + 1)
        cost[-1] = -1.0
        return cost

    def shares(self, x: Floats) -> Floats:
        """X of a solution."""
        return np.clip(x[: self.cells], 0.0, 1.0).reshape(self.jobs, self.models)


def max_min(solver: Solver, crowd: Crowd, worth: Floats) -> Answer | None:
    """Raise the least level as high as can be: one program, near the middle of its optima.

    Who could have more than the least need not get it; see `water_filled`.
    """
    layout = Layout(crowd)
    scale = highest(worth)
    program = layout.program(worth / scale, layout.of_level(), np.zeros(layout.jobs))
    solved = solver.interior(program)
    if solved is None:
        return None
    return Answer(layout.shares(solved.x), float(solved.x[-1]) * scale)


def water_filled(solver: Solver, crowd: Crowd, worth: Floats) -> Answer | None:
    """Raise the least level, then the next, until nobody can have more but from who has less.

    The levels are unique, whatever the solver; X is not, and is mostly zeros. Each of at most
    `jobs` steps goes on from the last one's corner: a level whose row has a price cannot rise in
    any optimum (complementary slackness), and is final.
    """
    layout = Layout(crowd)
    scale = highest(worth)
    solved = solver.vertex(layout.program(worth / scale, layout.of_level(), np.zeros(layout.jobs)))
    least: float | None = None
    rising: Flags = np.ones(layout.jobs, np.bool_)
    while solved is not None:
        level = float(solved.x[-1])
        least = level if least is None else least
        prices = np.where(rising, np.abs(solved.row_dual[: layout.jobs]), 0.0)
        is_final = prices > min(PRICED, prices.max() / 2)
        rising &= ~is_final
        if not rising.any() or not is_final.any():
            return Answer(layout.shares(solved.x), least * scale)
        solved = solver.again(np.flatnonzero(is_final).tolist(), layout.cells, level * KEPT)
    return None


def highest(worth: Floats) -> float:
    """What the least level cannot exceed: the solver's tolerances are for values about 1."""
    return max(float(worth.max(axis=1).min()), 1e-300)


def proportional(crowd: Crowd) -> Floats:
    """What each of n jobs would have of its n-th part of every model: X without any solver.

    (jobs, models); feasible always. Gavel's isolated share (section 4.2).
    """
    shares = crowd.capacity / (len(crowd.gpus) * crowd.gpus[:, None]) * crowd.can_run
    return shares / np.maximum(1.0, shares.sum(axis=1))[:, None]
