"""Real daemons for a benchmark: free ports, a temporary folder, ended by pid whatever happens."""

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aimass import Client
from aimass.v1 import node_pb2

ROOT = Path(__file__).resolve().parent.parent
READY_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 20.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class BenchmarkError(Exception):
    """It could not be measured: what happened, for the person at the terminal."""


@contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder on $TMPDIR's disk, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="aimass-bench-") as made:
        yield Path(made)


def environment() -> dict[str, str]:
    """Ours with the checkout importable and none of the user's own settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIMASS_ADDRESS", "MASSD_"))}
    return {**kept, "PYTHONPATH": str(ROOT)}


class Daemon:
    """One daemon that has said it is ready. pid: its process."""

    def __init__(self, module: str, *arguments: str, ready: str, log: Path) -> None:
        """Start `python -m module` and wait for the line that begins with `ready`.

        start_s: how long that took. Errors: BenchmarkError with the end of its log.
        """
        self.log = log
        began = time.monotonic()
        with open(log, "ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment(),
                start_new_session=True,  # Ctrl-C is for us; we end it in order
            )
        try:
            self.ready_line = self._await(ready)
        except BaseException:
            self.end()
            raise
        self.start_s = time.monotonic() - began

    @property
    def pid(self) -> int:
        return self.process.pid

    def _await(self, ready: str) -> str:
        assert self.process.stdout is not None
        fd, seen = self.process.stdout.fileno(), b""
        give_up = time.monotonic() + READY_TIMEOUT_S
        while select.select([fd], [], [], max(0.0, give_up - time.monotonic()))[0]:
            data = os.read(fd, 4096)
            seen += data
            for line in seen.decode(errors="replace").splitlines():
                if line.startswith(ready):
                    return line
            if not data:
                break
        tail = self.log.read_text(errors="replace")[-2000:]
        raise BenchmarkError(f"no {ready!r} from {self.process.args!r}: {tail}")

    def cpu_s(self) -> float:
        """Processor time of the daemon so far, in steps of 10 ms."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self._close()

    def end(self) -> None:
        """SIGTERM, SIGKILL when that does not help, and wait; nothing when it has ended."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self._close()

    def _close(self) -> None:
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def start_massd(data: Path) -> Daemon:
    """A massd on free ports that serves."""
    ports = ("--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
    return Daemon(
        "aimass.scheduler.main",
        *("--data", str(data), *ports),
        ready="massd ready on ",
        log=data.with_suffix(".log"),
    )


def address_of(massd: Daemon) -> str:
    """HOST:PORT that it serves."""
    return massd.ready_line.removeprefix("massd ready on ").strip()


@contextmanager
def massd(data: Path) -> Iterator[Daemon]:
    """The same, ended with the block."""
    daemon = start_massd(data)
    try:
        yield daemon
    finally:
        daemon.end()


@contextmanager
def massnode(data: Path, scheduler: str, devices: str) -> Iterator[Daemon]:
    """A massnode with simulated devices, READY in the cluster; ended with the block."""
    daemon = Daemon(
        "aimass.nodeagent.main",
        *("--data", str(data), "--scheduler", scheduler, "--node-id", "bench"),
        *("--simulate", devices),
        ready="massnode bench ready",
        log=data.with_suffix(".log"),
    )
    try:
        _await_node(scheduler)
        yield daemon
    finally:
        daemon.end()


def _await_node(scheduler: str) -> None:
    give_up = time.monotonic() + READY_TIMEOUT_S
    with Client(scheduler) as client:
        while all(n.state != node_pb2.NODE_STATE_READY for n in client.nodes().nodes):
            if time.monotonic() > give_up:
                raise BenchmarkError("the node did not become READY")
            time.sleep(0.02)
