"""Who arrives when: the published orders, and what inflation may do."""

import csv
import gzip
from fractions import Fraction
from statistics import fmean

import pytest

from aimass.core.shapes import Shape
from aimass.simulator.arrivals import arrivals, node_order
from aimass.simulator.pack_files import PackPod, read_pods
from benchmarks.place_trace import OPENB, generated_pods

INFLATION = Fraction("1.3")
needs_openb = pytest.mark.skipif(not OPENB.exists(), reason="the openb traces are not there")


def demand_milli(pods: list[PackPod]) -> int:
    """Add up what pods ask for."""
    return sum(pod.shape.total_milli for pod in pods)


def test_an_order_holds_every_pod_once_and_then_copies() -> None:
    """Up to the target and not beyond it, as none of these asks for two devices."""
    pods = [pod for pod in generated_pods(300) if pod.shape.gpus < 2]
    capacity_milli = demand_milli(pods)
    order = arrivals(pods, 42, INFLATION, capacity_milli)
    assert sorted(order[: len(pods)]) == sorted(pods)
    assert set(order[len(pods) :]) <= set(pods)
    assert INFLATION * capacity_milli - 1000 < demand_milli(order) <= INFLATION * capacity_milli
    assert order == arrivals(pods[::-1], 42, INFLATION, capacity_milli)
    assert order != arrivals(pods, 43, INFLATION, capacity_milli)


def test_what_is_beyond_the_target_is_left_out() -> None:
    """Pods that ask for more than the target lose some of them, and nobody comes twice."""
    pods = generated_pods(300)
    capacity_milli = demand_milli(pods) // 2
    order = arrivals(pods, 42, Fraction(1), capacity_milli)
    assert len(set(order)) == len(order) < len(pods)
    assert capacity_milli - 8000 < demand_milli(order) <= capacity_milli


def test_pods_without_devices_come_once() -> None:
    """However often they are drawn, demand would not grow."""
    pods = [PackPod(f"p{at}", Shape(1000, 1, 0, 0, ()), -1, -1) for at in range(5)]
    assert sorted(arrivals(pods, 1, INFLATION, 8000)) == pods


def test_every_node_has_one_place() -> None:
    """Ties go to the first, so that each seed decides them its own way."""
    assert sorted(node_order(10, 42)) == list(range(10))
    assert node_order(10, 42) != node_order(10, 43)


@needs_openb
@pytest.mark.parametrize("variant", ["default", "multigpu20"])
def test_the_arrivals_are_the_published_ones(variant: str) -> None:
    """While everybody finds room, what is allocated is what has arrived, to the last digit."""
    pods = read_pods(OPENB / f"openb_pod_list_{variant}.csv.gz")
    with gzip.open(OPENB / "expected" / "analysis_allo_discrete.csv.gz", "rt") as file:
        published = {
            int(row["seed"]): row
            for row in csv.DictReader(file)
            if row["workload"].endswith(variant) and row["sc_policy"] == "06-FGD"
        }
    for seed in (42, 47):
        order = arrivals(pods, seed, INFLATION, 6_212_000)
        arrived, points = 0, {}
        for pod in order:
            arrived += pod.shape.total_milli
            percent = arrived / 62_120
            points.setdefault(round(percent), []).append(percent)
        for at in range(1, 45):
            assert fmean(points[at]) == pytest.approx(float(published[seed][str(at)]), abs=0.011)
    if variant == "default":
        assert len(arrivals(pods, 42, INFLATION, 6_212_000)) == 10_866
