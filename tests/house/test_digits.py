"""The training example on its own, two ranks with torchrun's environment and no launcher at all."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT
from tests.waiting import wait_until

RANKS = 2
STEPS = 176  # 8 epochs of 22

pytestmark = [pytest.mark.torch, pytest.mark.timeout(240)]

Ranks = list[subprocess.Popen[str]]


def free_port() -> int:
    """Find a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(folder: Path, attempt: int = 0, *options: str) -> Ranks:
    """Start both ranks; each writes to rank-N.attempt.log and marks checkpoints in rank-N.done."""
    folder.mkdir(exist_ok=True)
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(RANKS),
        "LOCAL_RANK": "0",
        "TORCHELASTIC_RESTART_COUNT": str(attempt),
    }
    command = [sys.executable, "-u", str(ROOT / "examples" / "digits_ddp.py")]
    ranks = []
    for rank in range(RANKS):
        with open(folder / f"rank-{rank}.{attempt}.log", "w") as log:
            ranks.append(
                subprocess.Popen(
                    [*command, "--checkpoint-dir", str(folder), *options],
                    env={
                        **os.environ,
                        **shared,
                        "RANK": str(rank),
                        "AIMASS_CHECKPOINT_FILE": f"{folder}/rank-{rank}.done",
                    },
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
    return ranks


def steps_done(folder: Path, rank: int) -> list[int]:
    """List the steps that one rank logged, in order."""
    log = folder / "steps.log"
    text = log.read_text() if log.exists() else ""
    return [int(step) for step in re.findall(rf"^rank={rank} .*step=(\d+)$", text, re.MULTILINE)]


def finish(ranks: Ranks) -> list[int]:
    """Wait for the ranks, then make sure that none is left; give their exit codes."""
    try:
        return [rank.wait(timeout=120) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    """One rank is told to stop, both stop after the same step; the next attempt does the rest."""
    ranks = start(tmp_path)
    try:
        wait_until(lambda: len(steps_done(tmp_path, 0)) >= 5, 60, what="five steps of rank 0")
        ranks[1].send_signal(signal.SIGTERM)
    finally:
        codes = finish(ranks)
    assert codes == [128 + signal.SIGTERM] * RANKS
    first = len(steps_done(tmp_path, 0))
    assert 5 <= first < STEPS
    assert len(steps_done(tmp_path, 1)) == first

    assert finish(start(tmp_path, attempt=1)) == [0, 0]
    assert [steps_done(tmp_path, rank) for rank in range(RANKS)] == [[*range(STEPS)]] * RANKS
    report = (tmp_path / "rank-0.1.log").read_text()
    assert f"at step {first}\n" in report
    assert float(re.findall(r"done: .* accuracy ([\d.]+)", report)[0]) >= 0.95
    assert f"step {STEPS // 10 * 10}/{STEPS}" in (tmp_path / "rank-1.1.log").read_text()


def test_a_run_that_is_given_notice_saves_its_work_and_goes_on(tmp_path: Path) -> None:
    """One rank is told; rank 0 marks the checkpoint once it is whole, and nobody stops for it."""
    for_ever = ("--checkpoint-every", "1000000", "--epochs", "1000000")
    ranks = start(tmp_path, 0, *for_ever)
    try:
        wait_until(lambda: len(steps_done(tmp_path, 0)) >= 5, 60, what="five steps of rank 0")
        ranks[1].send_signal(signal.SIGUSR1)
        wait_until((tmp_path / "rank-0.done").exists, 60, what="the checkpoint is marked")
        assert (tmp_path / "digits.pt").exists()
        done = len(steps_done(tmp_path, 0))
        wait_until(lambda: len(steps_done(tmp_path, 0)) > done + 1, 60, what="it goes on")
        ranks[0].send_signal(signal.SIGTERM)
    finally:
        codes = finish(ranks)
    assert codes == [128 + signal.SIGTERM] * RANKS
    assert not (tmp_path / "rank-1.done").exists()
