"""What no policy can exceed: an upper bound of the GPU a cluster can have allocated at once.

A configuration LP (Gilmore and Gomory, 1961), solved by column generation with HiGHS. Nodes with
equal CPU, memory, GPUs and model are one *kind*; a *pattern* is a multiset of pod sizes (gpu_milli)
that together fill at most one GPU.

    maximise    sum of z[k,s] * milli(s)         z[k,s]  pods of shape s on kind k
    subject to  sum_k z[k,s] <= demand(s)        y[k,p]  GPUs of kind k filled by pattern p
                sum_s z[k,s] * cpu(s) <= nodes(k) * cpu(k)             and the same for memory
                sum_{s of size w} z[k,s] * gpus(s) <= sum_p y[k,p] * (count of w in p)
                sum_p y[k,p] <= nodes(k) * gpus(k)

Why it is a bound. Take any placement at any moment, whatever history of starts, ends and moves led
to it. Count its pods by shape and kind: that is z. The pods on one GPU make a pattern: that is y.
All rows hold, because they hold on each node and are only added up; so what is allocated is at most
the LP's optimum. Given up are only that CPU, memory and all GPUs of a pod must be on one node, and
that pods are whole. Which of the demand is taken is free, so dropping pods does not help either.

The solver is not trusted. Its row prices, rounded to integers, are made feasible for the dual LP
(`certified`): a GPU's price is the optimum of an exact knapsack, a pod's price is raised until no
kind would gain by it. By weak duality the value of any such prices bounds the optimum from above,
so no tolerance can lower the bound; the LP's own value only says how tight it is.
"""

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import highspy
import numpy as np

from aimass.core.shapes import Shape
from aimass.simulator.pack_files import WHOLE_MILLI, PackNode, fits_empty

ROUNDS_MAX = 500  # seen: 4 to 25; the bound holds whenever it stops
GAP_MILLI = 0.5  # tighter does not change any figure that is shown
PRICE_SCALE = 2**40  # of integer prices: the knapsack's sums stay below 2**50

Ints = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Pattern = tuple[int, ...]  # how many of each size, in the order of Problem.sizes


@dataclass(frozen=True)
class Bound:
    """An upper bound, and how it was found.

    reached_milli: the value of the LP over the patterns that were tried; the optimum over all
    patterns lies between it and allocated_milli.
    """

    allocated_milli: float
    reached_milli: float
    columns: int
    rounds: int
    cpu_s: float


@dataclass(frozen=True)
class Problem:
    """One instance: kinds of nodes with their number, shapes with their demand, sizes of pods."""

    kinds: list[tuple[PackNode, int]]
    shapes: list[tuple[Shape, int]]
    sizes: list[int]  # gpu_milli, ascending
    uses: list[tuple[int, int]]  # (kind, shape) that go together


@dataclass(frozen=True)
class Prices:
    """What the LP would pay for one more unit of each row."""

    cpu: Ints  # (kinds,), a unit of PRICE_SCALE is one milli-GPU
    memory: Ints  # (kinds,)
    slots: Ints  # (kinds, sizes)


def upper_bound(nodes: Sequence[PackNode], demand: Mapping[Shape, int]) -> Bound:
    """Give an upper bound of the milli-GPU that any policy can have allocated of this demand.

    demand: how many pods of each shape there are. Deterministic. Below a second for openb.
    """
    started_s = time.process_time()
    problem = problem_of(nodes, demand)
    if not problem.uses:
        return Bound(0.0, 0.0, 0, 0, time.process_time() - started_s)
    program = _Program(problem)
    asked = sum(shape.total_milli * number for shape, number in problem.shapes)
    there = sum(kind.gpus * number for kind, number in problem.kinds) * WHOLE_MILLI
    best = Fraction(min(asked, there))
    reached, rounds = 0.0, 0
    while rounds < ROUNDS_MAX:
        rounds += 1
        reached, prices = program.solve()
        value, patterns = certified(problem, prices)
        best = min(best, value)
        if best - reached <= GAP_MILLI or not program.add(patterns):
            break
    cpu_s = time.process_time() - started_s
    return Bound(_float_up(best), reached, program.columns, rounds, cpu_s)


def problem_of(nodes: Sequence[PackNode], demand: Mapping[Shape, int]) -> Problem:
    """Group equal nodes; leave out what needs no GPU or fits nowhere."""
    kinds = sorted(Counter(node._replace(name="") for node in nodes if node.gpus).items())
    shapes = sorted(
        (shape, number)
        for shape, number in demand.items()
        if number and shape.total_milli and any(fits_empty(shape, kind) for kind, _ in kinds)
    )
    uses = [
        (k, s)
        for k, (kind, _) in enumerate(kinds)
        for s, (shape, _) in enumerate(shapes)
        if fits_empty(shape, kind)
    ]
    return Problem(kinds, shapes, sorted({shape.gpu_milli for shape, _ in shapes}), uses)


class _Program:
    """The LP over the patterns known so far. Rows: demand, CPU, memory, GPUs, slots by size."""

    def __init__(self, problem: Problem) -> None:
        kinds, shapes, sizes = len(problem.kinds), len(problem.shapes), len(problem.sizes)
        self.problem = problem
        self.cpu_row, self.memory_row = shapes, shapes + kinds
        self.gpu_row, self.slot_row = shapes + 2 * kinds, shapes + 3 * kinds
        self.known: set[tuple[int, Pattern]] = set()
        self.solver = highspy.Highs()
        for option, value in (
            ("output_flag", False),
            ("solver", "simplex"),
            ("parallel", "off"),
            ("random_seed", 0),
        ):
            self.solver.setOptionValue(option, value)
        limits = [number for _, number in problem.shapes]
        limits += [number * kind.cpu_milli for kind, number in problem.kinds]
        limits += [number * kind.memory_mib for kind, number in problem.kinds]
        limits += [number * kind.gpus for kind, number in problem.kinds]
        limits += [0] * (kinds * sizes)
        for limit in limits:
            self.solver.addRow(-highspy.kHighsInf, float(limit), 0, [], [])
        for k, s in problem.uses:
            shape, _ = problem.shapes[s]
            slot = self._slot(k, problem.sizes.index(shape.gpu_milli))
            rows = [s, self.cpu_row + k, self.memory_row + k, slot]
            each = [1, shape.cpu_milli, shape.memory_mib, shape.gpus]
            self._column(-shape.total_milli, rows, each)
        one_size = [
            tuple(WHOLE_MILLI // size if i == j else 0 for j, size in enumerate(problem.sizes))
            for i in range(sizes)
        ]
        self.add([(k, pattern) for k in range(kinds) for pattern in one_size])

    @property
    def columns(self) -> int:
        return len(self.problem.uses) + len(self.known)

    def add(self, patterns: Sequence[tuple[int, Pattern]]) -> bool:
        """Add what is new among (kind, pattern); say whether anything was."""
        new = [each for each in dict.fromkeys(patterns) if each not in self.known]
        for k, pattern in new:
            rows = [self._slot(k, i) for i, count in enumerate(pattern) if count]
            counts = [-count for count in pattern if count]
            self._column(0, [self.gpu_row + k, *rows], [1, *counts])
        self.known.update(new)
        return bool(new)

    def solve(self) -> tuple[float, Prices]:
        """Give the optimum over the known patterns in milli, and the rows' prices in integers."""
        self.solver.run()
        status = self.solver.getModelStatus()
        assert status == highspy.HighsModelStatus.kOptimal, f"HiGHS: {status}"
        # A row `at most` of a minimisation has a price of at most zero.
        duals = -np.asarray(self.solver.getSolution().row_dual) * PRICE_SCALE
        prices = np.maximum(np.rint(duals), 0)
        kinds, sizes = len(self.problem.kinds), len(self.problem.sizes)
        slots = prices[self.slot_row :].reshape(kinds, sizes)
        # Any price is allowed; one above the size's own worth would only risk an overflow.
        slots = np.minimum(slots, np.array(self.problem.sizes) * PRICE_SCALE)
        return -self.solver.getInfo().objective_function_value, Prices(
            prices[self.cpu_row : self.cpu_row + kinds].astype(np.int64),
            prices[self.memory_row : self.memory_row + kinds].astype(np.int64),
            slots.astype(np.int64),
        )

    def _slot(self, kind: int, size: int) -> int:
        return self.slot_row + kind * len(self.problem.sizes) + size

    def _column(self, cost: int, rows: list[int], values: list[int]) -> None:
        floats = [float(value) for value in values]
        self.solver.addCol(float(cost), 0.0, highspy.kHighsInf, len(rows), rows, floats)


def certified(problem: Problem, prices: Prices) -> tuple[Fraction, list[tuple[int, Pattern]]]:
    """Make the prices feasible for the dual LP; give their value in milli, and the patterns used.

    The patterns are each kind's best at these prices: what the LP should be offered next.
    Exact: all in Python integers, but for the knapsack, which fits 64 bits.
    """
    gpu_prices, patterns = _knapsacks(problem.sizes, prices.slots)
    cpu, memory, slots = prices.cpu.tolist(), prices.memory.tolist(), prices.slots.tolist()
    pod_prices = [0] * len(problem.shapes)
    for k, s in problem.uses:
        shape, _ = problem.shapes[s]
        cost = shape.cpu_milli * cpu[k] + shape.memory_mib * memory[k]
        cost += shape.gpus * slots[k][problem.sizes.index(shape.gpu_milli)]
        pod_prices[s] = max(pod_prices[s], shape.total_milli * PRICE_SCALE - cost)
    value = 0
    for price, (_, number) in zip(pod_prices, problem.shapes, strict=True):
        value += price * number
    for k, (kind, number) in enumerate(problem.kinds):
        each = kind.cpu_milli * cpu[k] + kind.memory_mib * memory[k] + kind.gpus * gpu_prices[k]
        value += number * each
    return Fraction(value, PRICE_SCALE), [(k, pattern) for k, pattern in enumerate(patterns)]


def _knapsacks(sizes: Sequence[int], worth: Ints) -> tuple[list[int], list[Pattern]]:
    """Solve, for each kind, the unbounded knapsack of one GPU: greatest worth, and its pattern.

    worth: (kinds, sizes), of one slot each. O(kinds * sizes * 1000 / gcd of the sizes).
    """
    unit = math.gcd(WHOLE_MILLI, *sizes)
    steps, capacity = np.array(sizes) // unit, WHOLE_MILLI // unit
    kinds = np.arange(len(worth))
    best: Ints = np.zeros((capacity + 1, len(worth)), np.int64)
    choice = np.full((capacity + 1, len(worth)), -1)  # the size that was put in last; -1: a gap
    for room in range(1, capacity + 1):
        fitting = steps[steps <= room]  # the sizes ascend
        best[room] = best[room - 1]
        if len(fitting):
            values = best[room - fitting].T + worth[:, : len(fitting)]
            last = values.argmax(axis=1)
            greatest = values[kinds, last]
            is_better = greatest > best[room]
            best[room] = np.where(is_better, greatest, best[room])
            choice[room] = np.where(is_better, last, -1)
    patterns = []
    for k in range(len(worth)):
        counts, room = [0] * len(sizes), capacity
        while room > 0:
            size = int(choice[room, k])
            room -= 1 if size < 0 else int(steps[size])
            if size >= 0:
                counts[size] += 1
        patterns.append(tuple(counts))
    return best[capacity].tolist(), patterns


def _float_up(value: Fraction) -> float:
    """Give the least float that is not below the value."""
    near = float(value)
    return near if Fraction(near) >= value else math.nextafter(near, math.inf)
