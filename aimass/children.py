"""Daemons as child processes of `massctl up`: started, waited for, stopped. No gRPC in here."""

import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aimass.errors import MassError, TimedOut

STOP_TIMEOUT_S = 15.0


@dataclass
class Child:
    """One daemon. Its stdout is read for the line that says it is ready; stderr goes to a file."""

    name: str
    process: subprocess.Popen[str]
    log: Path
    log_start: int  # bytes of earlier runs before its own
    changed: threading.Event  # shared: set when one of several daemons ends
    ready_line: str = ""
    is_settled: threading.Event = field(default_factory=threading.Event)  # ready, or ended

    @property
    def is_running(self) -> bool:
        """Whether the process still is there."""
        return self.process.poll() is None

    def stop(self) -> None:
        """Ask it to end, and kill it when it does not within STOP_TIMEOUT_S."""
        if self.is_running:
            self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def failure(self) -> MassError:
        """Say how it ended, with the last lines that it logged; the exit code is passed on."""
        code = self.process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        error = MassError(
            f"{self.name} ended with {how}",
            why=_tail(self.log, self.log_start) or "it logged nothing",
            fix=f"see {self.log}",
            id=self.name,
        )
        # Its own codes mean the same as ours: 4, say, is a data directory in use.
        error.exit_code = code if 0 < code < 126 else 1
        return error


def _tail(log: Path, start: int, lines_max: int = 5) -> str:
    text = log.read_bytes()[start:][-4096:].decode(errors="replace")
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines_max:])


def start(name: str, argv: Sequence[str], log: Path, ready: str, changed: threading.Event) -> Child:
    """Start a daemon in a process group of its own, so that Ctrl-C reaches only us.

    ready: how the line on its stdout begins that says it serves. changed: set when it ends.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as errors:  # another cluster may be at work in this folder
        log_start = errors.tell()
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            errors="replace",
            process_group=0,
        )
    child = Child(name, process, log, log_start, changed)
    threading.Thread(target=_read, args=(child, ready, changed), daemon=True).start()
    return child


def _read(child: Child, ready: str, changed: threading.Event) -> None:
    """Read stdout to its end: a full pipe would stop the daemon."""
    assert child.process.stdout is not None
    with child.process.stdout as lines:
        for line in lines:
            if line.startswith(ready) and not child.ready_line:
                child.ready_line = line.strip()
                child.is_settled.set()
    child.process.wait()
    child.is_settled.set()
    changed.set()


def await_ready(child: Child, timeout_s: float) -> str:
    """Give the line that says it is ready; raise its failure when it ended instead."""
    if not child.is_settled.wait(timeout_s):
        fix = f"see {child.log}"
        raise TimedOut(f"{child.name} was not ready within {timeout_s:g} s", fix=fix, id=child.name)
    if not child.ready_line:
        raise child.failure()
    return child.ready_line
