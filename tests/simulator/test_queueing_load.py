"""Workloads for queueing: as much as was asked for, as bursty as the trace, the same for a seed."""

import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimass.core.shapes import Shape
from aimass.simulator.pack_files import NO_TIME_MS, FileProblem, PackPod
from aimass.simulator.queueing_load import (
    BLOCK,
    HOUR_MS,
    LIFE_MS_MAX,
    LIFE_MS_MIN,
    Job,
    jobs_of_pods,
    read_jobs,
    relative_gaps,
    workload,
)

ONE = Shape(1000, 1000, 1, 1000, ())


def trace(jobs: int = 500) -> list[Job]:
    """Ever more jobs per time, of lives from 0 to two days, in bursts of three."""
    at = [int(1e9 * (place // 3 * 3) ** 0.5) for place in range(jobs)]
    return [Job(ONE, 1, ms, (place % 97) * HOUR_MS // 2) for place, ms in enumerate(at)]


@pytest.mark.parametrize("load", [0.7, 1.2])
def test_a_workload_asks_for_its_load_on_average(load: float) -> None:
    """Over seeds; one seed's jobs may ask for more or less, as weeks do."""
    end_ms, capacity = 72 * HOUR_MS, 200_000
    asked = [
        sum(job.work for job in workload(trace(), capacity, load, seed, end_ms))
        for seed in range(20)
    ]
    assert statistics.fmean(asked) / capacity / end_ms == pytest.approx(load, rel=0.05)


def test_a_seed_means_the_same_jobs_for_everybody() -> None:
    """Ordered, within the time, none longer than a day; another seed means others."""
    jobs = workload(trace(), 500_000, 1.0, 1, 48 * HOUR_MS)
    assert jobs == workload(trace(), 500_000, 1.0, 1, 48 * HOUR_MS)
    assert jobs != workload(trace(), 500_000, 1.0, 2, 48 * HOUR_MS)
    arrivals = [job.arrival_ms for job in jobs]
    assert arrivals == sorted(arrivals)
    assert 0 <= arrivals[0] <= arrivals[-1] < 48 * HOUR_MS
    assert all(LIFE_MS_MIN <= job.life_ms <= LIFE_MS_MAX for job in jobs)
    assert len(jobs) > 10 * BLOCK


def test_bursts_stay_and_slow_changes_of_rate_go() -> None:
    """Two of three jobs come together with another one, at the beginning and at the end alike."""
    gaps = relative_gaps([job.arrival_ms for job in trace()])
    assert statistics.fmean(gaps) == pytest.approx(1)
    assert sum(gap == 0 for gap in gaps) == pytest.approx(len(gaps) * 2 / 3, abs=2)
    halves = (statistics.fmean(gaps[:250]), statistics.fmean(gaps[250:]))
    assert halves == (pytest.approx(1, abs=0.1), pytest.approx(1, abs=0.1))
    assert relative_gaps([5, 5, 5]) == [1, 1, 1]


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=50).map(sorted))
def test_relative_gaps_are_gaps(arrivals: list[int]) -> None:
    """Never negative, and one on average, whatever the trace."""
    gaps = relative_gaps(arrivals)
    assert min(gaps) >= 0
    assert statistics.fmean(gaps) == pytest.approx(1)


def test_jobs_without_gpu_time_make_no_load() -> None:
    """The factor would be infinite."""
    with pytest.raises(ValueError, match="no GPU time"):
        workload([Job(Shape(1, 1, 0, 0, ()), 1, 0, 5000)], 1000, 1.0, 1, HOUR_MS)


def test_pods_are_jobs_of_one_pod_and_need_times() -> None:
    """multigpu20 has none."""
    assert jobs_of_pods([PackPod("p", ONE, 5, 12)]) == [Job(ONE, 1, 5, 7)]
    with pytest.raises(ValueError, match="no times; fix: take a list with creation_time"):
        jobs_of_pods([PackPod("p", ONE, NO_TIME_MS, NO_TIME_MS)])


def test_a_list_of_jobs_becomes_gangs_of_equal_pods(tmp_path: Path) -> None:
    """On as few nodes of 8 as can be divided equally; the clock's zone does not matter."""
    path = tmp_path / "jobs.csv"
    rows = [
        *("2017-09-04 10:30:41,2.5,1", "2017-09-04 10:30:42,1,8"),
        *("2017-09-04T10:30:42,1,12", "2017-09-04 10:30:42,1,32"),
    ]
    path.write_text("\n".join(["timestamp,duration,num_gpus", *rows]))
    jobs = read_jobs(path)
    assert [(job.pods, job.shape.gpus, job.life_ms) for job in jobs] == [
        *((1, 1, 2500), (1, 8, 1000), (2, 6, 1000), (4, 8, 1000))
    ]
    assert jobs[1].arrival_ms - jobs[0].arrival_ms == 1000
    assert jobs[3].shape == Shape(32_000, 131_072, 8, 1000, ())


@pytest.mark.parametrize(
    "row", ["yesterday,1,1", "2017-09-04 10:30:41,-1,1", "2017-09-04 10:30:41,1,0", ",1,1"]
)
def test_a_broken_list_of_jobs_is_refused_at_its_line(tmp_path: Path, row: str) -> None:
    """By the same reader as nodes and pods."""
    path = tmp_path / "jobs.csv"
    path.write_text(f"timestamp,duration,num_gpus\n2017-09-04,1,1\n{row}\n")
    with pytest.raises(FileProblem) as caught:
        read_jobs(path)
    assert caught.value.line == 3


def test_a_gang_that_cannot_be_divided_is_refused(tmp_path: Path) -> None:
    """13 GPUs are no two equal pods."""
    path = tmp_path / "jobs.csv"
    path.write_text("timestamp,duration,num_gpus\n2017-09-04,1,13\n")
    with pytest.raises(FileProblem, match="divides"):
        read_jobs(path)
