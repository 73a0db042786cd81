"""massctl sim run: a table, the summary, records of jobs, and refusals."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aimass import cli
from aimass.cli_sim_run import parse_round

KEYS = (
    *("policy", "trace", "jobs", "finished", "jct_mean_s", "jct_p50_s", "jct_p95_s", "jct_p99_s"),
    *("wait_mean_s", "wait_p95_s", "makespan_s", "gpu_util", "frag", "preemptions", "restarts"),
    *("gpu_h_lost", "slo_attainment", "cost", "events", "wall_s", "cpu_s", "peak_rss_mib"),
    *("seed", "input_sha256"),
    *("gpu_h_down", "failures"),
)
MEASURED = ("wall_s", "cpu_s", "peak_rss_mib")
JOBS = "".join(
    json.dumps(
        {
            "id": f"a{i}",
            "submit_s": i * 60,
            "run_s": 60 + 7919 * i % 3000,
            "gpus": (1, 2, 0.5, 4, 8)[i % 5],
            "user": f"user{i % 3}",
            "slo_s": 3600,
        }
    )
    + "\n"
    for i in range(120)
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a trace, and be where it is."""
    (tmp_path / "jobs.jsonl").write_text(JOBS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sim(*words: str, trace: str = "jobs.jsonl", cluster: str = "3x4xA100") -> int:
    """Run the command."""
    return cli.run(["sim", "run", "--trace", trace, "--cluster", cluster, *words])


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """Run it and give its JSON."""
    assert sim(*words, "-o", "json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_summary_has_its_keys_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "--policy", "fifo", "--seed", "7")
    assert tuple(found) == KEYS
    assert (found["jobs"], found["finished"], found["seed"]) == (120, 120, 7)
    assert found["policy"] == "fifo"
    assert 0 < found["gpu_util"] < 1
    assert 0 < found["slo_attainment"] < 1


def test_records_add_up_to_the_summary(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    found = answer(capsys, "--policy", "fair", "--jobs", "records.csv")
    with open(here / "records.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 120
    mean_s = sum(float(row["jct_s"]) for row in rows) / 120
    assert mean_s == pytest.approx(found["jct_mean_s"], abs=1e-6)
    last_s = max(float(row["end_s"]) for row in rows)
    assert last_s == found["makespan_s"]
    assert sum(row["met_slo"] == "True" for row in rows) / 120 == pytest.approx(
        found["slo_attainment"], abs=1e-6
    )


def test_policies_are_compared_on_the_same_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--policy", "fifo", "--compare", "fifo-backfill:promises=1,place=spread,fifo-skip")
    found = answer(capsys, *words, "--seeds", "2", "--error", "0.5")
    runs = [(run["policy"], run["seed"]) for run in found["runs"]]
    labels = ("fifo", "fifo-backfill:promises=1,place=spread", "fifo-skip")
    assert runs == [(label, seed) for label in labels for seed in (0, 1)]
    assert sim(*words) == 0
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in table] == ["POLICY", *labels]


def test_equal_runs_give_equal_bytes_whatever_the_hash_seed(here: Path) -> None:
    """The whole summary but what was measured, and all records."""
    found = set()
    for hash_seed in ("0", "1", "12345"):
        command = [
            *(sys.executable, "-m", "aimass.cli", "sim", "run", "--trace", "jobs.jsonl"),
            *("--cluster", "3x4xA100+1x8xH100", "--policy", "fair", "--error", "0.3"),
            *("--restart", "30s", "--jobs", "records.jsonl", "-o", "json"),
        ]
        env = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        lines = [line for line in done.stdout.splitlines() if line.split('"')[1:2] != []]
        kept = [line for line in lines if line.split('"')[1] not in MEASURED]
        found.add("\n".join(kept) + (here / "records.jsonl").read_text())
    assert len(found) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--policy", "fastest"), "no policy 'fastest'"),
        (("--policy", "fair:size=3"), "no option 'size=3' of fair"),
        (("--round", "0"), "whole seconds from 1 to 86400"),
        (("--round", "1500ms"), "whole seconds from 1 to 86400"),
        (("--round", "60s", "--policy", "gavel-fifo", "--failures", "llama3"), "no failures\nfix:"),
        (("--policy", "fair:place"), "write place=VALUE"),
        (("--policy", "fifo:promises=3"), "a start; fifo has place\n"),
        (("--policy", "las:promises"), "a start; las has place, limits\n"),
        (("--policy", "sia:promises=3"), "no option 'promises' of sia"),
        (("--policy", "gavel-cost:promises=3"), "gavel-cost has place, interval, prices"),
        (("--policy", "fifo-bakfill"), "did you mean fifo-backfill?"),
        (("--compare", "gavel-fifo-perf"), "gavel-fifo-perf decides in rounds alone\nfix: add"),
        (("--policy", "fair:place=far"), "place is 'far'"),
        (("--policy", "fair:promises=-1"), "promises is '-1'"),
        (("--policy", "las:limits=7200/3250"), "limits is '7200/3250'"),
        (("--policy", "srtf:limits=10"), "no option 'limits' of srtf"),
        (("--policy", "fifo", "--compare", "fifo"), "a policy comes twice"),
        (("--format", "philly"), "jobs.jsonl:1: no column timestamp"),
        (("--error", "-1"), "'-1' is not a number from 0 to 10"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    assert sim(*words) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("cluster", ["", "8xH100", "0x8xH100", "3x4x", "1x4xA+", "1x999xA"])
def test_a_cluster_that_is_none_is_refused(
    capsys: pytest.CaptureFixture[str], cluster: str
) -> None:
    assert sim(cluster=cluster) == 2
    assert "no cluster" in capsys.readouterr().err


def test_jobs_too_large_for_the_cluster_are_refused_or_left_out_and_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert sim(cluster="1x4xA100") == 2
    assert "jobs.jsonl:5: a4 asks for 8 GPUs in parts of 4" in capsys.readouterr().err
    assert sim("--lenient", cluster="1x4xA100") == 0
    told = capsys.readouterr()
    assert "24 lines of the trace were left out" in told.err
    assert told.out.splitlines()[1].split()[1] == "96"


def test_a_gpu_type_that_no_node_has_is_named_in_the_fix(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    (here / "t.jsonl").write_text(
        '{"id": "t1", "submit_s": 0, "run_s": 9, "gpus": 1, "gpu_types": ["H100"]}\n'
    )
    assert sim(trace="t.jsonl") == 2
    told = capsys.readouterr().err
    assert "t1 asks for H100, and there are A100" in told
    assert "fix: add nodes with H100, or leave such jobs out with --lenient" in told


def test_a_round_has_its_unit_or_is_seconds() -> None:
    assert [parse_round(word) for word in ("60", "60s", "6m", "24h")] == [60, 60, 360, 86_400]


def test_records_need_a_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert sim("--jobs", "no/such/folder") == 1
    assert "cannot use no/such/folder" in capsys.readouterr().err


def test_las_takes_other_limits(capsys: pytest.CaptureFixture[str]) -> None:
    """With levels that nobody reaches it is submit order in which others pass."""
    far, skip = (
        answer(capsys, "--policy", policy) for policy in ("las:limits=1000000000", "fifo-skip")
    )
    assert far["preemptions"] == 0
    assert far["jct_mean_s"] == skip["jct_mean_s"]
    near = answer(capsys, "--policy", "las:limits=60/600/6000")
    assert near["preemptions"] > 0
