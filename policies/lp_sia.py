"""The integer program of Sia: at most one column for each job, and no more GPUs than there are.

First its linear relaxation, in which hardly more jobs than there are models are split between
columns. Rounding that gives a choice, and what it is above the relaxation bounds how much a column
may cost beyond its share and still be part of a better one: few are left for the integer program.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

GAP = 1e-3  # relative: as near to the best choice as that is near enough
NODES = 2_000  # of the search tree: effort is never time
SIMPLEX_ITERATIONS = 100_000
NONE = -1
_COLUMNWISE, _MINIMIZE = 1, 1


def choose(
    rows: Sequence[tuple[int, int, int, float]], room: Sequence[int], now: Sequence[int]
) -> list[int] | None:
    """The row of each job, NONE for none; None where no solver is, or it gave up.

    rows: (job, model, GPUs, cost), by job. room: GPUs of each model. now: the row that each job
    holds. Each call has a solver of its own: what it answers depends on nothing else.
    """
    try:
        program = _Program()
    except ImportError:
        return None
    table = list(zip(*rows, strict=True)) or [(), (), (), ()]
    jobs, models, gpus = (np.array(column, np.int32) for column in table[:3])
    columns = _Columns(jobs, models, gpus, np.array(table[3], np.float64))
    held = np.array(now, np.int32)
    chosen = program.choose(columns, np.array(room, np.int32), len(now), held)
    return None if chosen is None else [int(row) for row in chosen]


@dataclass(frozen=True, slots=True)
class _Columns:
    """What may be chosen, as arrays: see choose. A job without a column costs nothing."""

    jobs: NDArray[np.int32]
    models: NDArray[np.int32]
    gpus: NDArray[np.int32]
    costs: NDArray[np.float64]


class _Program:
    """One HiGHS, with its options set."""

    def __init__(self) -> None:
        """Raises ImportError where highspy is not installed."""
        import highspy

        self._highspy: Any = highspy
        self._highs = highspy.Highs()
        for name, value in (
            ("output_flag", False),
            ("threads", 1),
            ("parallel", "off"),
            ("random_seed", 0),
            ("mip_rel_gap", GAP),
            ("mip_max_nodes", NODES),
            ("simplex_iteration_limit", SIMPLEX_ITERATIONS),
        ):
            self._highs.setOptionValue(name, value)

    def choose(
        self, columns: _Columns, room: NDArray[np.int32], jobs: int, now: NDArray[np.int32]
    ) -> NDArray[np.int32] | None:
        """As above: what they hold stays if it is within GAP of the best."""
        if not len(columns.costs):
            return now
        relaxed = self._relax(columns, room, jobs)
        if relaxed is None:
            return None
        bound, reduced, x = relaxed
        tolerance = GAP * max(1.0, abs(bound))
        if _cost(columns, now) <= bound + tolerance and _fits(columns, now, room):
            return now
        best = min(
            (c for c in (round_off(columns, x, room, jobs), now) if _fits(columns, c, room)),
            key=lambda chosen: _cost(columns, chosen),
        )
        slack = _cost(columns, best) - bound
        if slack > tolerance:
            keep = np.flatnonzero(reduced <= slack + 1e-9)
            better = self._branch(columns, keep, room, jobs)
            if better is not None and _cost(columns, better) < _cost(columns, best):
                best = better
        is_same = (
            _fits(columns, now, room) and _cost(columns, now) <= _cost(columns, best) + tolerance
        )
        return now if is_same else best

    def _relax(
        self, columns: _Columns, room: NDArray[np.int32], jobs: int
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]] | None:
        """(bound, reduced costs, x) of the linear relaxation."""
        count = len(columns.costs)
        self._pass(columns, np.arange(count), room, jobs, is_integer=False)
        self._highs.run()
        if self._highs.getModelStatus() != self._highspy.HighsModelStatus.kOptimal:
            return None
        solution = self._highs.getSolution()
        duals, x = np.array(solution.row_dual), np.array(solution.col_value)
        reduced = columns.costs - duals[columns.jobs] - columns.gpus * duals[jobs + columns.models]
        return self._highs.getInfo().objective_function_value, reduced, x

    def _branch(
        self, columns: _Columns, keep: NDArray[np.intp], room: NDArray[np.int32], jobs: int
    ) -> NDArray[np.int32] | None:
        """The choice among these columns."""
        self._pass(columns, keep, room, jobs, is_integer=True)
        self._highs.run()
        if not self._highs.getInfo().primal_solution_status:
            return None
        x = np.array(self._highs.getSolution().col_value)
        taken = keep[np.flatnonzero(x > 0.5)]
        chosen: NDArray[np.int32] = np.full(jobs, NONE, np.int32)
        chosen[columns.jobs[taken]] = taken
        return chosen if _fits(columns, chosen, room) else None

    def _pass(
        self,
        columns: _Columns,
        keep: NDArray[np.intp],
        room: NDArray[np.int32],
        jobs: int,
        is_integer: bool,
    ) -> None:
        """Two entries in each column: its job's row, and its model's."""
        count = len(keep)
        rows: NDArray[np.int32] = np.empty(2 * count, np.int32)
        rows[::2], rows[1::2] = columns.jobs[keep], jobs + columns.models[keep]
        values = np.ones(2 * count)
        values[1::2] = columns.gpus[keep]
        limits = np.concatenate((np.ones(jobs), room.astype(np.float64)))
        self._highs.passModel(
            count,
            jobs + len(room),
            2 * count,
            _COLUMNWISE,
            _MINIMIZE,
            0.0,
            columns.costs[keep],
            np.zeros(count),
            np.ones(count) if is_integer else np.full(count, np.inf),
            np.full(len(limits), -np.inf),
            limits,
            np.arange(0, 2 * count, 2, dtype=np.int32),
            rows,
            values,
            np.full(count, int(is_integer), np.int32),
        )


def round_off(
    columns: _Columns, x: NDArray[np.float64], room: NDArray[np.int32], jobs: int
) -> NDArray[np.int32]:
    """A choice near the relaxation: what it chose wholly, then the rest, the best that fits."""
    chosen: NDArray[np.int32] = np.full(jobs, NONE, np.int32)
    left = room.astype(np.int64)
    whole = np.flatnonzero(x > 1 - 1e-6)
    chosen[columns.jobs[whole]] = whole
    np.subtract.at(left, columns.models[whole], columns.gpus[whole])
    for column in np.argsort(columns.costs, kind="stable"):
        job, model, gpus = columns.jobs[column], columns.models[column], columns.gpus[column]
        if columns.costs[column] < 0 and chosen[job] == NONE and gpus <= left[model]:
            chosen[job] = column
            left[model] -= gpus
    return chosen


def _cost(columns: _Columns, chosen: NDArray[np.int32]) -> float:
    return float(columns.costs[chosen[chosen != NONE]].sum())


def _fits(columns: _Columns, chosen: NDArray[np.int32], room: NDArray[np.int32]) -> bool:
    taken = chosen[chosen != NONE]
    used = np.bincount(columns.models[taken], columns.gpus[taken], len(room))
    return bool((used <= room).all())
