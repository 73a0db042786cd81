"""Journals recorded by earlier versions replay to the state they were recorded with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aimass.core.codec import decode_events
from tests.core.record_journal import main as record
from tests.core.replay_journal import replay_file, report

ROOT = Path(__file__).parents[2]
JOURNALS = sorted((ROOT / "tests" / "golden" / "journals").glob("*.jsonl"))


@pytest.mark.parametrize("path", JOURNALS, ids=lambda path: path.stem)
def test_a_recorded_journal_replays_to_the_recorded_hash(
    path: Path, pytestconfig: pytest.Config
) -> None:
    """NAME.txt holds revision and hash; `--accept` rewrites it, and a reviewer asks why."""
    recorded = path.with_suffix(".txt")
    found = "".join(report(path).splitlines(keepends=True)[:2])
    if pytestconfig.getoption("--accept"):
        recorded.write_text(found)
    else:
        assert found == recorded.read_text()


def test_the_same_journal_gives_the_same_hashes_under_any_hash_seed() -> None:
    """State, plans, explanations and desired sets: nothing iterates over a set of strings."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.core.replay_journal", str(JOURNALS[0])],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("0", "1", "4242")
    ]
    said = {process.communicate(timeout=60)[0] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert said == {report(JOURNALS[0])}


def test_every_batch_of_a_journal_decodes_alone() -> None:
    """A line is a batch: `massctl journal` reads them one by one."""
    lines = JOURNALS[0].read_bytes().splitlines()
    assert sum(len(decode_events(line)) for line in lines) == replay_file(JOURNALS[0]).revision


def test_a_recorded_journal_is_never_written_over(tmp_path: Path) -> None:
    """It stands for the version that wrote it."""
    path = tmp_path / "again.jsonl"
    record(path)
    with pytest.raises(FileExistsError):
        record(path)
