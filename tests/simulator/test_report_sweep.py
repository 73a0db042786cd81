"""Pages of massctl sim sweep and sim size: differences with intervals, nodes against goals."""

import json
from pathlib import Path

import pytest

from aimass import cli
from tests.simulator.pages import Read, checked

GRID = """
trace: jobs.jsonl
cluster: [2x4xA100, 3x4xA100]
policy: [fair, srtf, "las:limits=100"]
load: [1, 1.5]
seed: 0-6
resample: 5
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a trace and a grid, and be where they are."""
    jobs = [
        {"id": f"a{i}", "submit_s": 60 * i, "run_s": 60 + 7919 * i % 2000, "gpus": (1, 2, 4)[i % 3]}
        for i in range(40)
    ]
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(job) + "\n" for job in jobs))
    (tmp_path / "grid.yaml").write_text(GRID)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def page(*words: str) -> tuple[str, Read]:
    """Run the command and read the page that it writes."""
    assert cli.run(["sim", *words, "--report", "out/page.html"]) == 0
    text = Path("out/page.html").read_text()
    return text, checked(text)


@pytest.mark.slow
def test_a_sweep_shows_lines_over_load_and_size_and_intervals() -> None:
    text, read = page("sweep", "grid.yaml", "--workers", "1")
    assert "Average completion time, jobs.jsonl on 2x4xA100" in read.words
    assert "Average completion time, jobs.jsonl at load 1.5" in read.words
    assert "Difference: average completion time, against fair" in read.words
    assert 'class="band c1"' in text
    assert any("in 4 of 4 settings" in w or "of 4 settings" in w for w in read.words)
    assert any("differences to fair in it are 95 % sure" in word for word in read.words)
    again, _ = page("sweep", "grid.yaml", "--workers", "1")
    assert again == text


def test_a_sweep_of_one_setting_answers_as_a_run_does() -> None:
    one = "trace: jobs.jsonl\ncluster: 2x4xA100\npolicy: [fifo, srtf]\nseed: 0-6\nresample: 5\n"
    Path("one.yaml").write_text(one)
    _, read = page("sweep", "one.yaml", "--workers", "1")
    assert any(word.startswith("srtf ends jobs soonest") for word in read.words)


def test_a_size_shows_every_size_that_was_tried() -> None:
    words = ("--trace", "jobs.jsonl", "--cluster", "1x4xA100")
    text, read = page("size", "--slo", "wait_p95<10m,jct_mean<2h", *words)
    assert any("is the smallest that meets wait_p95<10m and jct_mean<2h" in w for w in read.words)
    assert read.tags["figure"] == 2
    assert text.count('class="front"') == 2
    tried = text.split("All sizes that were tried</h2>")[1].count('<th scope="row">')
    assert text.count('class="dot c') >= tried


def test_no_page_is_written_when_there_is_no_answer() -> None:
    words = ("--slo", "jct_mean<1s", "--trace", "jobs.jsonl", "--cluster", "1x4xA100")
    assert cli.run(["sim", "size", *words, "--report", "none.html"]) == 1
    assert not Path("none.html").exists()
