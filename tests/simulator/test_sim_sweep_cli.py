"""massctl sim sweep: tables, resuming, Ctrl-C, and grids that are none."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aimass import cli
from tests.waiting import wait_until

GRID = """
trace: jobs.jsonl
cluster: [2x4xA, 3x4xA]
policy: fifo, srtf
seed: 0-5
resample: 10
restart: 5s
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a trace, and be where it is."""
    write_trace(tmp_path, 60)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_trace(folder: Path, count: int) -> None:
    """Write jobs that keep eight GPUs busy."""
    lines = [
        json.dumps({"id": i, "submit_s": 40 * i, "run_s": 60 + 37 * i % 400, "gpus": 1 + i % 4})
        for i in range(count)
    ]
    (folder / "jobs.jsonl").write_text("\n".join(lines) + "\n")


def sweep(*words: str, grid: str = GRID) -> int:
    """Run the command on a grid, in one process."""
    Path("grid.yaml").write_text(grid)
    return cli.run(["sim", "sweep", "grid.yaml", "--workers", "1", *words])


def test_a_sweep_is_a_table_of_means_and_one_of_differences(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert sweep() == 0
    told = capsys.readouterr()
    above, below = told.out.split("\nDifferences to fifo, seed by seed:\n\n")
    rows = [line.split()[:3] for line in above.splitlines()]
    assert rows[0] == ["CLUSTER", "POLICY", "SEEDS"]  # one load, one trace: no columns
    assert rows[1:] == [[c, p, "6"] for c in ("2x4xA", "3x4xA") for p in ("fifo", "srtf")]
    found = [line.split() for line in below.splitlines()]
    assert found[0][:4] == ["CLUSTER", "POLICY", "FIGURE", "DIFFERENCE"]
    figures = ["JCT-MEAN", "JCT-P99", "WAIT-MEAN", "WAIT-P95", "MAKESPAN", "UTIL%"]  # no SLO
    assert [words[:3] for words in found[1:]] == [
        [cluster, "srtf", figure] for cluster in ("2x4xA", "3x4xA") for figure in figures
    ]
    assert {words[-1] for words in found[1:]} <= {"differs", "shown", "equal"}
    assert "PREEMPT" not in told.out
    assert "24 cells, 0 of them finished before" in told.err
    assert sweep("-o", "wide") == 0
    told = capsys.readouterr()
    assert told.out.count("PREEMPT") == 1 + 2
    assert "24 cells, 24 of them finished before" in told.err


def test_finished_cells_are_not_run_again_and_lost_ones_are(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    assert sweep("-o", "json") == 0
    first = capsys.readouterr().out
    view: dict[str, Any] = json.loads(first)
    assert view["kind"] == "Sweep"
    assert (len(view["means"]), len(view["differences"]), len(view["cells"])) == (4, 2, 24)
    files = sorted((here / "grid.cells").iterdir())
    files[0].unlink()
    files[1].write_text("{")
    assert sweep("-o", "json") == 0
    told = capsys.readouterr()
    assert "24 cells, 22 of them finished before" in told.err
    assert told.out == first
    assert sorted((here / "grid.cells").iterdir()) == files


def test_ctrl_c_keeps_what_is_finished_and_leaves_no_process(here: Path) -> None:
    write_trace(here, 400)
    (here / "grid.yaml").write_text(GRID.replace("0-5", "0-99"))
    command = [sys.executable, "-m", "aimass.cli", "sim", "sweep", "grid.yaml", "--workers", "2"]
    cells = here / "grid.cells"
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        wait_until(lambda: cells.is_dir() and any(cells.glob("*.json")), timeout_s=60)
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=60)
    assert running.returncode == 130
    assert len(children) >= 2
    wait_until(lambda: not any(os.path.exists(f"/proc/{child}") for child in children))
    assert "of 400 cells are finished; run it again to go on" in told
    assert "Traceback" not in told
    assert {path.suffix for path in cells.iterdir()} == {".json"}
    assert all("row" in json.loads(path.read_bytes()) for path in cells.iterdir())


@pytest.mark.parametrize(
    ("grid", "told"),
    [
        (
            GRID.replace("policy", "polices"),
            "grid.yaml:4:1: polices: unknown field; allowed: trace, cluster, policy, load, seed, "
            "error, resample, start, restart, checkpoint, stop, pull, failures, realistic, format, "
            "perf, lenient; did you mean policy?",
        ),
        (GRID.replace("cluster: [2x4xA, 3x4xA]", ""), "grid.yaml:1:1: cluster: missing"),
        (GRID.replace("3x4xA", "3x4"), "grid.yaml:3:18: cluster.1: '3x4'; allowed: a cluster such"),
        (GRID.replace("fifo, srtf", "gavel-fifo"), "grid.yaml:4:9: policy: gavel-fifo decides in"),
        (GRID.replace("srtf", "best"), "policy: no policy 'best'; allowed: choose from fifo,"),
        (GRID.replace("fifo, srtf", "[las, las]"), "grid.yaml:4:9: policy: one value comes twice"),
        (GRID + "load: [1, 0]\n", "grid.yaml:8:11: load.1: '0'; allowed: a number above 0"),
        (GRID + "load: [1, 0.0001]\n", "load.1: '0.0001'; allowed: a number above 0"),
        (GRID + "load: []\n", "load: an empty list; allowed: at least one"),
        (GRID.replace("0-5", "5-0"), "seed: '5-0'; allowed: seeds such as 42-51"),
        (GRID.replace("0-5", "[1, 1]"), "seed: one value comes twice"),
        (GRID.replace("resample: 10", ""), "seed: every seed would give the same"),
        (GRID.replace("10", "-10"), "resample: '-10'; allowed: the jobs of a block"),
        (GRID.replace("5s", "5"), "restart: '5'; allowed: a time of at most 24h with its unit"),
        (GRID + "error: much\n", "error: 'much'; allowed: a number from 0 to 10"),
        (GRID + "format: sheet\n", "format: 'sheet'; allowed: one of auto, jsonl"),
        (GRID + "lenient: 1\n", "lenient: '1'; allowed: true or false"),
        (GRID + "seed: 1\n", "seed: given twice, first on line 5"),
        ("- 1\n", "grid.yaml:1:1: no grid; allowed: fields, of trace"),
        ("a: [\n", "grid.yaml:2:1:"),
        (GRID.replace("jobs.jsonl", "none.jsonl"), "none.jsonl"),
        (GRID.replace("0-5", "0-999") + f"load: {[*range(1, 30)]}\n", "grid.yaml has 116000 cells"),
        (GRID.replace("2x4xA", "1x2xA"), "jobs.jsonl:3: 2 asks for 3 GPUs"),
    ],
)
def test_a_grid_that_is_none_is_refused_with_its_place(
    capsys: pytest.CaptureFixture[str], grid: str, told: str
) -> None:
    assert sweep(grid=grid) in (1, 2)
    assert told in capsys.readouterr().err
    assert not Path("grid.cells").exists()


def test_a_grid_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["sim", "sweep", "none.yaml"]) == 2
    assert "cannot read none.yaml" in capsys.readouterr().err
