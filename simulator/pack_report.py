"""What `massctl sim pack` reports: runs as plain values, their means, and the upper bound."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from statistics import fmean, stdev
from typing import Any

from aimass.core.shapes import Shape
from aimass.policies.pack_policies import KERNELS
from aimass.policies.pack_state import GPU_MILLI
from aimass.simulator.arrivals import arrivals
from aimass.simulator.bound import upper_bound
from aimass.simulator.pack_files import PackNode, PackPod
from aimass.simulator.packing import Curve, PackRun

POLICIES = tuple(KERNELS)
POINTS_PCT = (50, 80, 95, 100, 130)  # arrived demand at which figures are given
BOUND_POINTS_PCT = (95, 100, 130)

Row = dict[str, Any]
Bounds = dict[int, Curve]  # by seed


def as_view(run: PackRun) -> Row:
    """Give a run as plain values. A point that it did not come to is None."""
    taken_us = sorted(run.decide_us)
    return {
        "policy": run.policy,
        "seed": run.seed,
        "alloc_pct": _at_points(run.alloc_pct),
        "frag_pct": _at_points(run.frag_pct),
        "first_failed_gpu_pct": _rounded(run.first_failed_gpu_pct),
        "first_failed_by_gpus": _by_gpus(run.first_failed_by_gpus),
        "failed_by_gpus": _by_gpus(run.failed_by_gpus),
        "impossible": run.impossible,
        "decisions": run.decisions,
        "decide_us_p50": _rounded(_percentile(taken_us, 50)),
        "decide_us_p99": _rounded(_percentile(taken_us, 99)),
        "cpu_s": round(run.cpu_s, 3),
    }


def summary(views: Sequence[Row], bounds: Bounds) -> dict[str, Row]:
    """Give means and sample standard deviations over the seeds, by policy.

    With bounds, also the share of the bound of the same seed that was allocated.
    """
    found: dict[str, Row] = {}
    for policy in dict.fromkeys(view["policy"] for view in views):
        own = [view for view in views if view["policy"] == policy]
        row: Row = {"seeds": len(own)}
        for name in ("alloc_pct", "frag_pct"):
            row[name] = {str(at): _spread(v[name][str(at)] for v in own) for at in POINTS_PCT}
        for name in ("first_failed_gpu_pct", "decide_us_p50", "decide_us_p99", "cpu_s"):
            row[name] = _spread(view[name] for view in own)
        for name in ("first_failed_by_gpus", "failed_by_gpus"):
            counts = sorted({gpus for view in own for gpus in view[name]}, key=int)
            nothing = 0 if name == "failed_by_gpus" else None
            row[name] = {
                gpus: _spread(view[name].get(gpus, nothing) for view in own) for gpus in counts
            }
        if bounds:
            row["of_bound_pct"] = {
                str(at): _spread(_share(view, bounds[view["seed"]], at) for view in own)
                for at in BOUND_POINTS_PCT
            }
        found[policy] = row
    return found


def bounds_of(
    nodes: Sequence[PackNode], pods: Sequence[PackPod], seed: int, inflation: Fraction
) -> Curve:
    """Give the most that any policy can have allocated, in percent of all GPUs, at each point.

    Of the pods that have arrived when demand first passes the point. Seconds each.
    """
    capacity_milli = GPU_MILLI * sum(node.gpus for node in nodes)
    order = arrivals(pods, seed, inflation, capacity_milli)
    found: Curve = {}
    for at, demand in _demands(order, capacity_milli):
        found[at] = 100 * upper_bound(nodes, demand).allocated_milli / capacity_milli
    return found


def _demands(
    order: Sequence[PackPod], capacity_milli: int
) -> Iterator[tuple[int, dict[Shape, int]]]:
    """Give the pods that arrived by each point, by shape; points that are not come to are left out.

    A point counts as come to half a percent before it, as in the curves.
    """
    points = list(BOUND_POINTS_PCT)
    demand: dict[Shape, int] = {}
    arrived = 0
    for pod in order:
        while points and 100 * (arrived + pod.shape.total_milli) > points[0] * capacity_milli:
            yield points.pop(0), dict(demand)
        demand[pod.shape] = demand.get(pod.shape, 0) + 1
        arrived += pod.shape.total_milli
    if points and 200 * arrived >= (2 * points[0] - 1) * capacity_milli:
        yield points[0], demand


def bound_view(bounds: Bounds) -> Row:
    """Give the bounds as plain values: by seed, and their mean and standard deviation."""
    return {
        "by_seed": {
            str(seed): {str(at): _rounded(most) for at, most in curve.items()}
            for seed, curve in bounds.items()
        },
        **{str(at): _spread(curve.get(at) for curve in bounds.values()) for at in BOUND_POINTS_PCT},
    }


def _share(view: Row, bound: Curve, at: int) -> float | None:
    reached = view["alloc_pct"][str(at)]
    return None if reached is None or not bound.get(at) else 100 * reached / bound[at]


def _spread(values: Iterable[float | None]) -> Row | None:
    """Give mean and sample standard deviation of the values that are there; None for none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {
        "mean": _rounded(fmean(known)),
        "sd": _rounded(stdev(known)) if len(known) > 1 else None,
        "n": len(known),
    }


def _at_points(curve: Curve) -> Row:
    return {str(at): _rounded(curve.get(at)) for at in POINTS_PCT}


def _by_gpus(values: dict[int, Any]) -> Row:
    return {str(gpus): _rounded(values[gpus]) for gpus in sorted(values)}


def _percentile(ordered: Sequence[float], percent: int) -> float | None:
    return ordered[(len(ordered) - 1) * percent // 100] if ordered else None


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
