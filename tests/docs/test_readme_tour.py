"""The README's five-minute tour, typed in as it stands there: same commands, same answers."""

import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.daemons import environment, running
from tests.house.tree import ROOT
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

PROMPT = "$ "
FENCE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)

# These only look; what they show may take a moment to become true, so they are asked again.
LOOKING = ("nodes", "ls", "why", "logs", "show")

# What differs from machine to machine and from run to run; the rest has to be the same.
VARIES = (
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"\b[0-9a-f]{32}\b", "HASH"),
    (r"\b\d+(\.\d+)?(MiB|GiB|TiB)\b", "MEMORY"),
    (r"(?<=H100-SXM5-80GB )\s*\d+ ", "CORES "),
    (r"\b(\d+[smhd])+\b", "TIME"),
    (r"\brevision \d+", "revision N"),
    (r"\b\d+ events in \d+ batches, \d+ hashes", "N events in N batches, N hashes"),
    (r"\s+", " "),
)


@dataclass(frozen=True)
class Step:
    """One command of the tour and the lines that the README shows beneath it."""

    command: str
    shown: list[str]


def steps_of(text: str) -> list[Step]:
    """The commands of all console blocks, in the order of the page."""
    steps: list[Step] = []
    for block in FENCE.findall(text):
        for line in block.splitlines():
            if line.startswith(PROMPT):
                steps.append(Step(line.removeprefix(PROMPT), []))
            else:
                steps[-1].shown.append(line)
    return steps


def plain(line: str) -> str:
    """The line without what differs from run to run."""
    for pattern, word in VARIES:
        line = re.sub(pattern, word, line)
    return line.strip()


def agrees(shown: list[str], printed: str) -> bool:
    """Say whether the output begins with the lines shown; the README may leave out the rest."""
    wanted = [plain(line) for line in shown]
    return wanted == [plain(line) for line in printed.splitlines()[: len(wanted)]]


class Terminal:
    """A shell in which `massctl` is on the PATH, in a home of its own."""

    def __init__(self, home: Path) -> None:
        self._home = home
        programs = home / "bin"
        programs.mkdir()
        massctl = programs / "massctl"
        massctl.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m aimass.cli "$@"\n')
        massctl.chmod(0o755)
        path = f"{programs}:{os.environ['PATH']}"
        who = {"USER": "ada", "LOGNAME": "ada"}
        self._env = environment(HOME=str(home), PATH=path, XDG_STATE_HOME="", **who)

    def up(self, command: str) -> "subprocess.Popen[bytes]":
        """Start the cluster as the README does, but on free ports."""
        with open(self._home / "up.out", "wb") as out, open(self._home / "up.err", "wb") as err:
            return subprocess.Popen(
                shlex.split(f"{command} --listen 127.0.0.1:0 --http 127.0.0.1:0"),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self._env,
                cwd=self._home,
            )

    def await_up(self, up: "subprocess.Popen[bytes]") -> str:
        """Give what it prints once it is ready, and let the other commands know the address."""
        output = self._home / "up.out"
        wait_until(lambda: output.read_text() or up.poll() is not None, 60, what="the cluster")
        printed = output.read_text()
        assert printed, (self._home / "up.err").read_text()
        self._env["AIMASS_ADDRESS"] = printed.split()[-1]
        return printed

    def run(self, command: str) -> str:
        """Run a command to its end; it must succeed."""
        done = subprocess.run(
            ["bash", "-c", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=self._env,
            cwd=self._home,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def looks(self, step: Step) -> str:
        """Look until it shows what the README shows, or say at the deadline what it shows."""
        printed = ""

        def seen() -> bool:
            nonlocal printed
            printed = self.run(step.command)
            return agrees(step.shown, printed)

        try:
            wait_until(seen, 20, what=step.command, every_s=0.1)
        except AssertionError:
            return printed
        return printed


def test_the_tour_shows_what_it_says(tmp_path: Path) -> None:
    """Every command succeeds and prints what the README shows, in one cluster, in order."""
    first, *others = steps_of((ROOT / "README.md").read_text())
    assert first.command.startswith("massctl up ")
    terminal = Terminal(tmp_path)
    with running(terminal.up(first.command)) as up:
        assert agrees(first.shown, terminal.await_up(up))
        for step in others:
            is_looking = step.command.split()[1] in LOOKING
            printed = terminal.looks(step) if is_looking else terminal.run(step.command)
            assert agrees(step.shown, printed), f"{step.command}\n{printed}"
        up.send_signal(signal.SIGTERM)
        assert up.wait(60) == 0, (tmp_path / "up.err").read_text()


def test_the_tour_is_whole() -> None:
    """What a newcomer should have seen once; `up` first, so that there is a cluster."""
    told = [step.command.split()[1] for step in steps_of((ROOT / "README.md").read_text())]
    assert told[0] == "up"
    assert {"submit", "run", "ls", "why", "logs", "show", "cancel", "wait", "nodes"} <= {*told}
    assert "journal" in told


def test_the_comparison_sees_a_difference() -> None:
    """The checker itself: times and ids may differ, words and counts may not."""
    row = ["n1    READY     2     0  H100-SXM5-80GB         16     64215MiB       0"]
    assert agrees(row, "n1  READY 2  0  H100-SXM5-80GB   2  23.5GiB  0\nmore\n")
    assert not agrees(row, "n1  READY 2  1  H100-SXM5-80GB   2  23.5GiB  0\n")
    assert agrees(["j3 pair has waited 5s."], "j3 pair has waited 1m2s.\n")
    assert not agrees(["0 of 2 shards"], "1 of 2 shards\n")
    assert not agrees(["a", "b"], "a\n")
    page = "```console\n$ a b\nx\n$ c\n```\n```\n$ not this\n```\n"
    assert steps_of(page) == [Step("a b", ["x"]), Step("c", [])]
