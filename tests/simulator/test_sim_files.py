"""massctl sim: inputs are not written over, and a run that breaks off leaves nothing."""

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aimass import cli
from aimass.cli_sim_progress import Progress
from tests.waiting import wait_until

LINES = "".join(
    json.dumps({"id": f"j{at}", "submit_s": 10 * at, "run_s": 60, "gpus": 1}) + "\n"
    for at in range(20)
)
GRID = "trace: jobs.jsonl\ncluster: [1x4xA, c.yaml]\npolicy: fifo\nfailures: f.yaml\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write all inputs, and be where they are."""
    for name, text in (
        ("jobs.jsonl", LINES),
        ("c.yaml", "nodes: [{count: 1, gpus: 4xA}]\n"),
        ("f.yaml", "like: llama3\n"),
        ("grid.yaml", GRID),
    ):
        (tmp_path / name).write_text(text)
    (tmp_path / "link.jsonl").symlink_to("jobs.jsonl")
    (tmp_path / "r").mkdir()
    os.link(tmp_path / "jobs.jsonl", tmp_path / "r/jobs.jsonl.gz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


RUN = ("run", "--trace", "jobs.jsonl", "--cluster", "c.yaml", "--failures", "f.yaml")
SIZE = ("size", "--slo", "wait_p95<1m", *RUN[1:])


@pytest.mark.parametrize(
    "words",
    [
        (*RUN, "--jobs", "jobs.jsonl"),
        (*RUN, "--jobs", "./r/../jobs.jsonl"),
        (*RUN, "--jobs", "link.jsonl"),
        (*RUN, "--jobs", "c.yaml"),
        (*RUN, "--jobs", "f.yaml"),
        (*RUN, "--report", "r"),
        (*RUN, "--report", "new", "--jobs", "new/report.html"),
        (*SIZE, "--report", "jobs.jsonl"),
        (*SIZE, "--report", "c.yaml"),
        ("sweep", "grid.yaml", "--report", "grid.yaml"),
        ("sweep", "grid.yaml", "--report", "link.jsonl"),
        ("sweep", "grid.yaml", "--report", "c.yaml"),
        ("sweep", "grid.yaml", "--report", "f.yaml"),
        ("generate", "--like", "jobs.jsonl", "--out", "link.jsonl"),
        ("convert", "jobs.jsonl", "link.jsonl"),
    ],
)
def test_an_input_is_not_written_over(
    capsys: pytest.CaptureFixture[str], here: Path, words: tuple[str, ...]
) -> None:
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    assert cli.run(["sim", *words]) == 2
    told = capsys.readouterr().err
    assert "would be written over" in told
    assert "fix: name another file" in told
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def test_records_that_were_there_stay_when_the_run_is_refused(here: Path) -> None:
    (here / "old.jsonl").write_text("old")
    with open(here / "jobs.jsonl", "a") as file:
        file.write('{"id":"big","submit_s":999,"run_s":1,"gpus":99}\n')
    words = ("--jobs", "old.jsonl", "--report", "new")
    assert cli.run(["sim", *RUN, *words]) == 2
    assert (here / "old.jsonl").read_text() == "old"
    assert not (here / "new").exists()
    assert not list(here.glob(".*"))


def test_ctrl_c_leaves_nothing_and_says_so(here: Path) -> None:
    lines = (
        json.dumps({"id": f"j{at}", "submit_s": at, "run_s": 5000, "gpus": 1}) + "\n"
        for at in range(200_000)
    )
    (here / "many.jsonl").write_text("".join(lines))
    words = ("--trace", "many.jsonl", "--cluster", "100x8xA", "--jobs", "out.jsonl")
    command = [sys.executable, "-m", "aimass.cli", "sim", "run", *words, "--report", "new"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: bool([p for p in here.glob(".out.jsonl.*") if p.stat().st_size]))
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "stopped after " in told
    assert "nothing was written" in told
    assert not (here / "new").exists()
    assert not [path for path in here.iterdir() if "out.jsonl" in path.name]


def test_records_go_to_a_pipe_or_device_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["sim", *RUN[:5], "--jobs", "/dev/null"]) == 0
    assert Path("/dev/null").is_char_device()
    assert capsys.readouterr().out.startswith("POLICY")


def test_progress_says_how_far_the_time_is_and_how_many_ended(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(0, 100, 2))
    monkeypatch.setattr("aimass.cli_sim_progress.time.monotonic", lambda: next(seconds))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    progress = Progress()
    write = progress.watch("fair, run 1 of 2", None)
    write({"submit_s": 100.0, "end_s": 3700.0})
    progress.come(2000)
    write({"submit_s": 200.0, "end_s": None})
    assert capsys.readouterr().err.split("\r\x1b[K") == [
        "",
        "fair, run 1 of 2: 1h of its time, 1 ended",
        "fair, run 1 of 2: 1h of its time, 2,000 jobs have come, 1 ended",
    ]


# ---- what a lenient command leaves out -----------------------------------------------------------


def test_a_file_that_is_cut_off_lacks_everything_from_there_on(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    rows = (f"{at},{1 + at % 3},{at},{9 + at * 7919 % 10007}\n" for at in range(5000))
    whole = gzip.compress(f"job_id,num_gpu,submit_time,duration\n{''.join(rows)}".encode())
    (here / "t.csv.gz").write_bytes(whole[: len(whole) // 2])
    assert cli.run(["sim", "convert", "t.csv.gz", "t.jsonl", "--lenient"]) == 0
    jobs = len((here / "t.jsonl").read_text().splitlines())
    told = capsys.readouterr().err
    assert 0 < jobs < 5000
    assert f"t.csv.gz: everything after line {jobs + 1} is missing" in told
    assert "left out" not in told


def test_a_column_that_is_not_looked_at_is_no_line_left_out(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    (here / "t.csv").write_text("job_id,num_gpu,submit_time,duration,colour\n1,1,0,9,red\n")
    assert cli.run(["sim", "convert", "t.csv", "t.jsonl", "--lenient"]) == 0
    told = capsys.readouterr().err
    assert "t.csv:1: format tiresias has no column colour: not looked at" in told
    assert "left out" not in told
    assert "1 job in t.jsonl" in told


@pytest.mark.parametrize(
    "words", [("run", "--cluster", "1x4xA"), ("size", "--cluster", "1x4xA", "--slo", "jct_mean<1h")]
)
def test_where_nothing_is_left_the_lines_are_named_all_the_same(
    capsys: pytest.CaptureFixture[str], here: Path, words: tuple[str, ...]
) -> None:
    (here / "t.jsonl").write_text('{"id": "a", "submit_s": 0, "run_s": 1}\n')
    assert cli.run(["sim", *words, "--trace", "t.jsonl", "--lenient"]) == 2
    told = capsys.readouterr().err
    assert "1 line of the trace was left out:" in told
    assert "t.jsonl:1: no gpus" in told


def test_an_id_that_comes_twice_is_refused_with_both_lines(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    with open(here / "jobs.jsonl", "a") as file:
        file.write('{"id": "j3", "submit_s": 999, "run_s": 1, "gpus": 1}\n')
    (here / "plain.yaml").write_text("trace: jobs.jsonl\ncluster: 1x4xA\npolicy: fifo\n")
    for words in (RUN, SIZE, ("sweep", "plain.yaml")):
        assert cli.run(["sim", *words]) == 2
        told = capsys.readouterr().err
        assert "jobs.jsonl:21: id 'j3' is on line 4 already\nfix: give every job an id" in told
    assert cli.run(["sim", *RUN, "--lenient"]) == 0
    told = capsys.readouterr()
    assert "1 line of the trace was left out:" in told.err
    assert told.out.splitlines()[1].split()[1] == "20"
    assert cli.run(["sim", "convert", "jobs.jsonl", "copy.jsonl"]) == 0
