"""Every benchmark runs and gives records in the agreed form. Nothing here looks at a time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aimass.core.apply import apply
from aimass.core.cluster import Cluster
from aimass.core.invariants import check_invariants
from aimass.core.model import JobState
from benchmarks.catalogue import AIMS, BENCHMARKS, GROUPS
from benchmarks.jobs import SIZES, lives, opening
from benchmarks.record import Aim, Record, as_json, as_table, of_rounds, percentiles

ROOT = Path(__file__).resolve().parents[2]


def bench(
    *arguments: str, folder: Path, timeout_s: float = 100
) -> "subprocess.CompletedProcess[str]":
    """Run `python -m benchmarks` with its temporary files below `folder`."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_gives_records_in_the_agreed_form(name: str, tmp_path: Path) -> None:
    """Tiny, with real daemons; nothing is left in the temporary folder."""
    done = bench(name, "-o", "json", "--scale", "0.001", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    records = json.loads(done.stdout)
    assert records
    for record in records:
        assert list(record) == ["name", "value", "unit", "spread", "n"]
        assert record["name"].startswith(name)
        assert record["value"] >= 0 <= record["spread"]
        assert record["n"] > 0
    names = [record["name"] for record in records]
    assert len(set(names)) == len(names)
    assert {aim for aim in AIMS if aim.startswith(name)} <= set(names)
    assert list(tmp_path.iterdir()) == []


def test_the_list_names_every_benchmark_and_group(tmp_path: Path) -> None:
    """One line each; a group is made of benchmarks."""
    done = bench("list", folder=tmp_path)
    assert [line.split()[0] for line in done.stdout.splitlines()] == [*BENCHMARKS, *GROUPS]
    assert all(set(names) <= set(BENCHMARKS) for names in GROUPS.values())


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["no-such-benchmark"], 2)])
def test_the_command_line_explains_itself(arguments: list[str], code: int, tmp_path: Path) -> None:
    """Help and a mistyped name both say what there is."""
    done = bench(*arguments, folder=tmp_path)
    assert done.returncode == code
    assert all(name in done.stdout + done.stderr for name in BENCHMARKS)


def test_a_record_is_the_median_and_the_range_of_its_rounds() -> None:
    """Four digits are kept."""
    assert of_rounds("x", "1/s", [30, 10.00049, 20], 9) == Record("x", 20, "1/s", 20, 9)
    assert percentiles("y", "ms", [[1, 2, 3, 4], [3, 4, 5, 6]]) == [
        Record("y_p50", 3, "ms", 2, 8),
        Record("y_p99", 6, "ms", 2, 8),
    ]


def test_a_table_says_which_aims_are_met() -> None:
    """An aim bounds from above or from below."""
    records = [Record("fast", 2500, "1/s", 100, 5), Record("slow", 60.5, "ms", 1, 5)]
    aims = {"fast": Aim(2000, is_upper=False), "slow": Aim(50, is_upper=True)}
    assert [line.split() for line in as_table(records, aims).splitlines()] == [
        ["NAME", "VALUE", "UNIT", "SPREAD", "N", "AIM", "MET"],
        ["fast", "2,500", "1/s", "100", "5", "≥", "2,000", "yes"],
        ["slow", "60.5", "ms", "1", "5", "≤", "50", "NO"],
    ]
    assert json.loads(as_json(records))[0] == {
        "name": "fast", "value": 2500, "unit": "1/s", "spread": 100, "n": 5
    }  # fmt: skip


def test_the_lives_that_are_measured_are_lawful() -> None:
    """Whole lives on a full cluster: apply takes every event, and the invariants hold at peaks."""
    cluster = Cluster()
    for event in opening():
        apply(cluster, event)
    jobs = 3_000
    for wave in lives(jobs):
        for events in wave:
            for event in events:
                apply(cluster, event)
            check_invariants(cluster)
    assert len(cluster.jobs) == jobs
    assert {job.state for job in cluster.jobs.values()} == {JobState.SUCCEEDED, JobState.FAILED}
    assert {len(j.attempts[0].placements[0].devices) for j in cluster.jobs.values()} == set(SIZES)
