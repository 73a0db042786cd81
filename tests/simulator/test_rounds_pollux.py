"""Agreement with the Pollux artifact: every job of its four runs ends when it says."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from aimass.simulator import perf_pollux_off_table
from aimass.simulator.attempts import Record
from aimass.simulator.clusters import parse_cluster
from aimass.simulator.perf_pollux import Apps
from aimass.simulator.rounds_pollux import play
from aimass.simulator.run import Outcome
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.traces import read_trace
from tests.simulator.pollux_apps import write_app
from tests.simulator.shared import trace

RUNS = [(6, "tiresias"), (6, "optimus"), (1, "tiresias"), (1, "optimus")]


def played(workload: int, policy: str) -> tuple[list[Record], Outcome]:
    """One run of the artifact, by us."""
    path, records = trace(f"pollux/workloads/workload-{workload}.csv"), list[Record]()
    jobs, apps = read_trace(path), Apps(trace("pollux/apps"))
    outcome = play(jobs, parse_cluster("16x4xT4"), f"pollux-{policy}", apps, records.append)
    return records, outcome


def jct_s(record: Record) -> float:
    """From submission to end."""
    return (record.end_ms - record.job.submit_ms) / 1000


@pytest.mark.skipif(not perf_pollux_off_table.has_scipy(), reason="SciPy is not installed")
@pytest.mark.parametrize(("workload", "policy"), RUNS)
def test_every_job_ends_when_the_artifact_says(workload: int, policy: str) -> None:
    run = f"pol_w{workload}_{policy}"
    with gzip.open(trace("pollux/reference-jct.json.gz")) as file:
        known_jct = json.load(file)[run]
    results = json.loads(trace("pollux/reference-results.json").read_text())["results"]
    (known,) = [result for result in results if result["run"] == run]
    records, outcome = played(workload, policy)
    assert {record.job.name: jct_s(record) for record in records} == known_jct
    restarts = sum(record.attempts - 1 for record in records)
    assert restarts / len(records) == known["avg_restarts"]
    assert -(-outcome.end_ms // 60_000) == known["rounds"]


@pytest.mark.parametrize(("workload", "policy"), RUNS)
def test_without_scipy_averages_are_near(
    workload: int, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perf_pollux_off_table, "_scipy", lambda: None)
    results = json.loads(trace("pollux/reference-results.json").read_text())["results"]
    (known,) = [r["avg_jct"] for r in results if r["run"] == f"pol_w{workload}_{policy}"]
    records, _ = played(workload, policy)
    near = 0.04 if policy == "optimus" else 0.0005
    assert sum(map(jct_s, records)) / len(records) == pytest.approx(known, rel=near)


# ---- by hand: see pollux_apps -------------------------------------------------------------------


def job(name: str, submit_s: int, gpus: int, batch: int) -> TraceJob:
    """A job of the toy application."""
    return TraceJob(
        *(name, submit_s * 1000, 1000, gpus * 1000), app="toy", batch=batch, gpus_min=1, gpus_max=16
    )


def ends(
    path: Path, policy: str, cluster: str, jobs: list[TraceJob], **costs: int
) -> dict[str, float]:
    """When jobs end, in s."""
    write_app(path / "toy")
    records: list[Record] = []
    play(jobs, parse_cluster(cluster), policy, Apps(path), records.append, **costs)
    return {record.job.name: record.end_ms / 1000 for record in records}


@pytest.mark.parametrize("policy", ["pollux-tiresias", "pollux-optimus"])
def test_a_job_works_from_the_end_of_a_round_and_a_restart_on(policy: str, tmp_path: Path) -> None:
    """Three epochs of 100 steps of 80 ms; who comes next waits for the end of a round as well."""
    jobs = [job("a", 0, 1, 8), job("b", 5, 1, 8)]
    assert ends(tmp_path, policy, "1x1xT4", jobs) == {"a": 60 + 30 + 24, "b": 120 + 30 + 24}


def test_rounds_and_restarts_can_be_others(tmp_path: Path) -> None:
    jobs = [job("a", 31, 1, 8)]
    found = ends(tmp_path, "pollux-tiresias", "1x1xT4", jobs, round_s=10, restart_s=3)
    assert found == {"a": 40 + 3 + 24}


def test_nothing_happens_while_nobody_is_there(tmp_path: Path) -> None:
    jobs = [job("a", 60, 1, 8), job("b", 6000, 1, 8)]
    assert ends(tmp_path, "pollux-tiresias", "1x1xT4", jobs) == {"a": 114, "b": 6054}


def test_tiresias_passes_over_who_does_not_fit(tmp_path: Path) -> None:
    jobs = [job("a", 0, 3, 12), job("wide", 1, 4, 32), job("b", 2, 1, 8)]
    found = ends(tmp_path, "pollux-tiresias", "1x4xT4", jobs)
    assert found["b"] == 114 < found["wide"]


def test_optimus_gives_what_is_left_to_whom_it_helps_most(tmp_path: Path) -> None:
    """Alone, a batch of 64 takes all four GPUs: see test_perf_pollux for their rate.

    260 ms a step, of which each counts 10 / 3: 7.8 s an epoch, and epochs end on whole seconds.
    """
    found = ends(tmp_path, "pollux-optimus", "1x4xT4", [job("a", 0, 1, 64)])
    per_epoch_s = round(100 / (10 / 3 / 0.21))
    assert found == {"a": 90 + 3 * per_epoch_s}


def test_what_cannot_be_played_in_rounds_is_refused(tmp_path: Path) -> None:
    jobs = [job("a", 0, 1, 8)]
    with pytest.raises(ValueError, match="nodes that are all alike"):
        ends(tmp_path, "pollux-tiresias", "1x4xT4+1x8xA100", jobs)
    with pytest.raises(ValueError, match="less than a round of 60 s"):
        ends(tmp_path, "pollux-tiresias", "1x4xT4", jobs, restart_s=60)
    with pytest.raises(ValueError, match="a names no application"):
        ends(tmp_path, "pollux-tiresias", "1x4xT4", [replace(jobs[0], app="")])
