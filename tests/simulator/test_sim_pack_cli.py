"""`massctl sim pack` as users run it: what it prints, draws and refuses."""

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from aimass.simulator.pack_report import bounds_of
from benchmarks.place_trace import generated_nodes, generated_pods
from tests.house.tree import ROOT


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Write a small cluster and its pods."""
    nodes, pods = tmp_path / "nodes.csv", tmp_path / "pods.csv"
    rows = [",".join(map(str, node)) for node in generated_nodes(30)]
    nodes.write_text("\n".join(["sn,cpu_milli,memory_mib,gpu,model", *rows, ""]))
    rows = [
        f"{name},{s.cpu_milli},{s.memory_mib},{s.gpus},{s.gpu_milli},{'|'.join(s.models)}"
        for name, s, _, _ in generated_pods(150)
    ]
    header = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec"
    pods.write_text("\n".join([header, *rows, ""]))
    return nodes, pods


def sim_pack(files: tuple[Path, Path], *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the command on the files."""
    command = [sys.executable, "-m", "aimass.cli", "sim", "pack"]
    where = ["--nodes", str(files[0]), "--pods", str(files[1])]
    return subprocess.run(
        [*command, *where, *words],
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def result(files: tuple[Path, Path], *words: str) -> dict[str, Any]:
    """Run it and read its JSON."""
    done = sim_pack(files, *words, "-o", "json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


def test_the_json_has_every_figure(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Runs, their means, the bound and the share of it, and the picture beside it."""
    picture = tmp_path / "packing.html"
    words = ("--policy", "random,mass", "--seeds", "1-2", "--bound", "--plot", str(picture))
    found = result(files, *words)
    assert [(run["policy"], run["seed"]) for run in found["runs"]] == [
        ("random", 1),
        ("random", 2),
        ("mass", 1),
        ("mass", 2),
    ]
    run = found["runs"][3]
    assert list(run["alloc_pct"]) == list(run["frag_pct"]) == ["50", "80", "95", "100", "130"]
    assert run["decide_us_p50"] <= run["decide_us_p99"]
    assert run["decisions"] > 150
    assert sum(run["failed_by_gpus"].values()) > 0
    mass = found["summary"]["mass"]
    assert mass["alloc_pct"]["100"]["n"] == 2
    mean = sum(run["alloc_pct"]["100"] for run in found["runs"][2:]) / 2
    assert mass["alloc_pct"]["100"]["mean"] == pytest.approx(mean, abs=1e-3)
    assert 50 < mass["of_bound_pct"]["130"]["mean"] <= 100
    assert mass["alloc_pct"]["130"]["mean"] > found["summary"]["random"]["alloc_pct"]["130"]["mean"]
    assert found["bound"]["130"]["mean"] <= 100
    assert "<svg" in picture.read_text()


def test_two_runs_of_one_seed_are_equal(files: tuple[Path, Path]) -> None:
    """Except for how long they took."""
    words = ("--policy", "random,fgd,mass", "--seeds", "7", "--inflate", "1.1")
    runs = [result(files, *words)["runs"] for _ in range(2)]
    for run in runs[0] + runs[1]:
        for name in ("decide_us_p50", "decide_us_p99", "cpu_s"):
            del run[name]
    assert runs[0] == runs[1]
    assert runs[0][0]["alloc_pct"]["130"] is None


def test_the_table_has_a_row_per_policy(files: tuple[Path, Path]) -> None:
    """The default is a table of means, without the bound when it was not asked for."""
    done = sim_pack(files, "--policy", "fgd,best-fit", "--seeds", "1")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["POLICY", "fgd", "best-fit"]
    assert "BOUND" not in done.stdout


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--policy", "fdg"), "fgd"),
        (("--policy", "fgd,fgd"), "twice"),
        (("--seeds", "5-1"), "seeds"),
        (("--inflate", "0"), "--inflate"),
        (("--inflate", "nan"), "--inflate"),
        (("--inflate", "1e99"), "--inflate"),
        (("--plot", "x.gif"), ".png"),
    ],
)
def test_what_cannot_be_is_refused(
    files: tuple[Path, Path], words: tuple[str, ...], what: str
) -> None:
    """With the exit code of a wrong request, what is wrong and what to do."""
    done = sim_pack(files, *words)
    assert done.returncode == 2
    assert what in done.stderr
    assert "Traceback" not in done.stderr


def test_a_picture_that_cannot_be_written_is_refused_before_any_run(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    """Even before the files are read. A picture that is there is not touched by looking."""
    absent = (files[0], tmp_path / "absent.csv")
    (tmp_path / "folder.png").mkdir()
    for place in ("nowhere/x.html", "folder.png"):
        done = sim_pack(absent, "--plot", str(tmp_path / place))
        assert done.returncode == 1
        assert f"cannot use {tmp_path / place}" in done.stderr
    old = tmp_path / "old.html"
    old.write_text("old")
    for picture in (old, tmp_path / "new.html"):
        assert "absent.csv" in sim_pack(absent, "--plot", str(picture)).stderr
    assert old.read_text() == "old"
    assert not (tmp_path / "new.html").exists()


def test_the_help_says_how_to_name_seeds(files: tuple[Path, Path]) -> None:
    """Both forms, which both work."""
    told = " ".join(sim_pack(files, "--help").stdout.split())
    assert "42-51 or 1,2,7" in told
    found = result(files, "--policy", "random", "--seeds", "1-2,7")
    assert [run["seed"] for run in found["runs"]] == [1, 2, 7]


def test_a_file_that_is_wrong_is_named_with_its_line(files: tuple[Path, Path]) -> None:
    """And nothing is run."""
    text = files[1].read_text().splitlines()
    text[5] = text[5].replace(",", ",-", 1)
    files[1].write_text("\n".join([*text, ""]))
    done = sim_pack(files)
    assert done.returncode == 2
    assert f"{files[1]}:6:" in done.stderr
    assert done.stdout == ""


def test_bounds_stand_at_the_points_that_are_come_to() -> None:
    """A demand that ends before a point has no bound there."""
    nodes, pods = generated_nodes(10), generated_pods(40)
    assert list(bounds_of(nodes, pods, 1, Fraction("1.05"))) == [95, 100]
    assert list(bounds_of(nodes, pods, 1, Fraction("0.5"))) == []
