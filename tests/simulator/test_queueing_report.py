"""What a set of queueing runs says: measures, means over seeds, paired differences."""

import pytest

from aimass.core.shapes import Shape
from aimass.simulator.intervals import interval
from aimass.simulator.pack_files import PackNode
from aimass.simulator.queueing_load import HOUR_MS, Job
from aimass.simulator.queueing_meter import Outcome
from aimass.simulator.queueing_report import (
    QueueRun,
    as_view,
    paired,
    queue_runs,
    runnable,
    summary,
)

NODES = [PackNode(f"n{i}", 8000, 8000, 2, "A") for i in range(3)]


def run(policy: str, seed: int, *waits_s: int, load: float = 0.9) -> QueueRun:
    """Make a run of which only the waits matter."""
    return QueueRun(policy, load, seed, Outcome([1000 * each for each in waits_s], unstarted=seed))


def test_measures_are_mean_median_and_nearest_rank() -> None:
    """Of 200 waits the 198th is the 99th percentile; without 8-GPU jobs there is nothing to say."""
    measures = run("fgd", 1, *range(200, 0, -1)).measures
    assert (measures["wait_mean_s"], measures["wait_p50_s"]) == (100.5, 100)
    assert (measures["wait_p99_s"], measures["wait8_p99_s"]) == (198, None)
    assert run("fgd", 1, 7).measures["wait_p99_s"] == 7


def test_a_summary_is_over_seeds_and_by_load() -> None:
    """What no run has is not there."""
    runs = [run("fgd", 1, 10), run("fgd", 2, 20), run("fgd", 1, 99, load=1.0)]
    light, heavy = summary(runs)
    assert (light["load"], light["policy"]) == (0.9, "fgd")
    assert light["wait_mean_s"] == {"mean": 15, "sd": pytest.approx(50**0.5)}
    assert heavy["wait_mean_s"] == {"mean": 99, "sd": 0}
    assert "wait8_mean_s" not in light


def test_differences_are_paired_by_seed() -> None:
    """Seeds differ by a thousand, policies by two or three: only pairs show it."""
    runs = [run("fgd", seed, 1000 * seed) for seed in (1, 2, 3)]
    runs += [run("mass", seed, 1000 * seed - 2 - seed % 2) for seed in (3, 2, 1)]
    (row,) = paired(runs, "fgd")
    assert (row["policy"], row["against"], row["load"]) == ("mass", "fgd", 0.9)
    found = row["wait_mean_s"]
    assert found["mean"] == pytest.approx(-8 / 3)
    assert -3 <= found["low"] < found["mean"] < found["high"] <= -2
    assert row["unstarted"] == {"mean": 0, "low": 0, "high": 0}
    assert paired(runs, "best-fit") == []


def test_an_interval_has_the_width_that_theory_says() -> None:
    """Of 100 values with a deviation of 10, the mean is known to about 1.96."""
    values = [10.0 * (-1) ** place for place in range(100)]
    low, high = interval(values)
    assert (low, high) == (pytest.approx(-1.96, abs=0.1), pytest.approx(1.96, abs=0.1))
    assert interval(values) == (low, high)
    assert interval([5.0]) == (5, 5)


def test_jobs_that_could_never_start_are_left_out() -> None:
    """Too large for a node, for all nodes together, or for those of its model."""
    one = Job(Shape(1000, 1000, 1, 1000, ()), 1, 0, 5)
    fine = [one, one._replace(pods=6), one._replace(shape=one.shape._replace(gpu_milli=400))]
    never = [
        one._replace(pods=7),
        one._replace(shape=one.shape._replace(cpu_milli=8001)),
        one._replace(shape=one.shape._replace(models=("B",))),
        one._replace(shape=one.shape._replace(gpus=2), pods=4),
        one._replace(shape=one.shape._replace(cpu_milli=8000), pods=4),
    ]
    assert runnable([*never, *fine, *never], NODES) == fine


def test_every_policy_gets_the_same_jobs() -> None:
    """Pairs are worth nothing else; and a run shows as plain values."""
    trace = [Job(Shape(1000, 1000, 1, 500, ()), 1, at * 60_000, HOUR_MS) for at in range(200)]
    runs = list(queue_runs(NODES, trace, ["best-fit", "fgd"], [0.5, 1.5], [1, 2]))
    assert [(each.load, each.seed, each.policy) for each in runs[:3]] == [
        *((0.5, 1, "best-fit"), (0.5, 1, "fgd"), (0.5, 2, "best-fit"))
    ]
    views = [as_view(each) for each in runs]
    assert [view["jobs"] for view in views[0::2]] == [view["jobs"] for view in views[1::2]]
    assert views[0]["jobs"] > 50
    assert views[0]["over_time"]["hours"][-1] == 60
    low, high = (view["alloc_pct"] for view in (views[0], views[4]))
    assert 30 < low < 75 < high <= 100
    assert views[4]["wait_mean_s"] > views[0]["wait_mean_s"] == 0
