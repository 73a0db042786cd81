"""HiGHS, loaded when a program is to be solved: linear programs given as arrays.

Effort is bounded by iterations, never by time, and one thread does the work: equal programs have
equal answers. What was not solved is None, and its caller has something simpler to fall back on.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int32]

INFINITY = float("inf")
INTERIOR_ITERATIONS = 200  # it takes 10 to 30, however large the program
SIMPLEX_ITERATIONS = 50_000
_COLUMNWISE, _MINIMIZE = 1, 1
_PRIMAL_SIMPLEX = 4


@dataclass(frozen=True, slots=True)
class Program:
    """Minimise cost @ x, with 0 <= x <= upper and row_lower <= A @ x <= row_upper.

    A by columns: the entries of column c are starts[c] to starts[c + 1] of rows and values.
    """

    cost: Floats
    upper: Floats
    row_lower: Floats
    row_upper: Floats
    starts: Ints
    rows: Ints
    values: Floats


@dataclass(frozen=True, slots=True)
class Solved:
    """x: (columns,). row_dual: (rows,), what the optimum would change by for a unit more."""

    x: Floats
    row_dual: Floats


class Solver:
    """One HiGHS with options that are set once."""

    def __init__(self) -> None:
        """Raises ImportError where highspy is not installed."""
        import highspy

        self._optimal = highspy.HighsModelStatus.kOptimal
        self._highs = highspy.Highs()
        options: dict[str, Any] = {
            "output_flag": False,
            "threads": 1,
            "parallel": "off",
            "random_seed": 0,
            "run_crossover": "off",
            "presolve": "off",  # it takes longer than it saves on programs without slack
            "ipm_iteration_limit": INTERIOR_ITERATIONS,
            "simplex_iteration_limit": SIMPLEX_ITERATIONS,
            "simplex_strategy": _PRIMAL_SIMPLEX,
        }
        for name, value in options.items():
            self._highs.setOptionValue(name, value)

    def interior(self, program: Program) -> Solved | None:
        """An optimum near the middle of all optima, which hardly depends on the solver."""
        self._highs.setOptionValue("solver", "ipx")  # interior point; no crossover
        self._pass(program)
        return self._run()

    def vertex(self, program: Program) -> Solved | None:
        """An optimum that is a corner: most of x is 0. `again` goes on from there."""
        self._highs.setOptionValue("solver", "simplex")
        self._pass(program)
        return self._run()

    def again(self, rows: list[int], column: int, lower: float) -> Solved | None:
        """The last program once more, in which these rows ask for `lower` without the column."""
        for row in rows:
            self._highs.changeCoeff(row, column, 0.0)
            self._highs.changeRowBounds(row, lower, INFINITY)
        return self._run()

    def _pass(self, program: Program) -> None:
        columns = len(program.cost)
        self._highs.passModel(
            columns,
            len(program.row_lower),
            len(program.values),
            _COLUMNWISE,
            _MINIMIZE,
            0.0,
            program.cost,
            np.zeros(columns),
            program.upper,
            program.row_lower,
            program.row_upper,
            program.starts,
            program.rows,
            program.values,
            np.zeros(columns, np.int32),  # no column is an integer
        )

    def _run(self) -> Solved | None:
        self._highs.run()
        if self._highs.getModelStatus() != self._optimal:
            return None
        solution = self._highs.getSolution()
        return Solved(np.array(solution.col_value), np.array(solution.row_dual))
