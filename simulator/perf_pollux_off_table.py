"""off_table(points): the Pollux artifact's interpolation between the settings it measured.

Piecewise linear on a Delaunay triangulation of (nodes, GPUs, batch on each GPU), by SciPy. The
points lie on a grid, where simplices overlap: nothing else gives the same figures. Without SciPy it
is linear along one axis after the other, and the artifact's averages move by up to 4 %.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import isnan
from typing import Any

Point = tuple[float, float, float]
"""Nodes, GPUs, batch on each."""

Pair = tuple[float, float]
"""Seconds of one step, and how much of it goes into synchronising."""

Interpolant = Callable[[Point], Pair]


def has_scipy() -> bool:
    """True when the artifact's interpolation can be had."""
    return _scipy() is not None


def off_table(points: Sequence[tuple[Point, Pair]]) -> Interpolant:
    """The best interpolation there is. Points outside of the measured ones: see nested."""
    simple, scipy = nested(points), _scipy()
    if scipy is None:
        return simple
    interpolate, spatial = scipy
    with _one_thread():
        triangulation = spatial.Delaunay([point for point, _ in points])
        assert triangulation.transform is not None  # made here, not at the first point
        exact = interpolate.LinearNDInterpolator(triangulation, [pair for _, pair in points])

    def at(point: Point) -> Pair:
        step_s, sync_s = exact([point])[0].tolist()
        return simple(point) if isnan(step_s) else (step_s, sync_s)

    return at


def _scipy() -> tuple[Any, Any] | None:
    try:
        from scipy import interpolate, spatial
    except ImportError:
        return None
    return interpolate, spatial


def _one_thread() -> AbstractContextManager[object]:
    """Thousands of tiny matrices: the threads of a BLAS would only spin, for seconds."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits


def nested(points: Sequence[tuple[Point, Pair]]) -> Interpolant:
    """Linear in the batch, then in GPUs on as many nodes, then in nodes; at the ends beyond."""
    grid: dict[float, dict[float, dict[float, Pair]]] = {}
    for (nodes, gpus, size), pair in points:
        grid.setdefault(nodes, {}).setdefault(gpus, {})[size] = pair
    known = sorted(grid)

    def on_nodes(nodes: float, gpus: float, size: float) -> Pair:
        there = grid[nodes]
        return between([(n, between(sorted(there[n].items()), size)) for n in sorted(there)], gpus)

    def at(point: Point) -> Pair:
        nodes, gpus, size = point
        high = bisect_left(known, nodes)
        nearest = known[max(0, high - 1) : high + 1]
        return between([(n, on_nodes(n, gpus, size)) for n in nearest], nodes)

    return at


def between(rows: Sequence[tuple[float, Pair]], place: float) -> Pair:
    """Linear between rows in rising order; the first or the last row beyond them. O(log rows)."""
    at = bisect_left(rows, place, key=lambda row: row[0])
    if at == len(rows) or rows[at][0] == place or at == 0:
        return rows[min(at, len(rows) - 1)][1]
    (low, below), (high, above) = rows[at - 1], rows[at]
    part = (place - low) / (high - low)
    return below[0] + (above[0] - below[0]) * part, below[1] + (above[1] - below[1]) * part
