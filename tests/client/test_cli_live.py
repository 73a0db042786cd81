"""massctl while things happen: logs, run, wait, watch; interrupts; pipes and terminals."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimass.client import Client
from aimass.log_lines import LINE_BYTES_MAX, LineMux
from aimass.v1 import job_pb2, node_pb2
from tests.client.conftest import Massctl, a_spec, massctl_env
from tests.client.fake_scheduler import FakeScheduler
from tests.waiting import wait_until


@contextmanager
def started(
    fake: FakeScheduler, *args: str, stdin: int = subprocess.DEVNULL, tty: int | None = None
) -> "Iterator[subprocess.Popen[bytes]]":
    """Run massctl in the background; killed if the test fails."""
    process = subprocess.Popen(
        [sys.executable, "-m", "aimass.cli", *args],
        stdin=stdin if tty is None else tty,
        stdout=subprocess.PIPE if tty is None else tty,
        stderr=subprocess.PIPE if tty is None else tty,
        env=massctl_env(AIMASS_ADDRESS=fake.address, TERM="xterm"),
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


class Terminal:
    """A pseudo-terminal: what a person would see, and could type."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        self.seen = b""

    def read_until(self, text: bytes) -> bytes:
        """Read until `text` was shown."""
        while text not in self.seen:
            self.seen += os.read(self.ours, 65536)
        return self.seen

    def type(self, text: bytes) -> None:
        """Type on the keyboard."""
        os.write(self.ours, text)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal of 80 columns."""
    made = Terminal()
    yield made
    os.close(made.ours)
    os.close(made.theirs)


def test_output_of_one_rank_is_copied_byte_for_byte(
    massctl: Massctl, client: Client, fake: FakeScheduler
) -> None:
    client.submit(a_spec())
    data = bytes(range(256)) + b"\r\nno newline at the end"
    fake.write("j1", data)
    assert massctl("logs", "j1").stdout == data


def test_output_of_several_ranks_comes_in_whole_lines_with_a_prefix(
    massctl: Massctl, client: Client, fake: FakeScheduler
) -> None:
    client.submit(a_spec(shards=2))
    fake.write("j1", b"alpha\nbeta\n\xff\n")
    fake.write("j1", b"gamma\ndelta", rank=1)
    lines = massctl("logs", "j1").stdout.splitlines()
    assert [line for line in lines if line[1:2] == b"0"] == [
        *(b"[0] alpha", b"[0] beta", b"[0] \xff")
    ]
    assert [line for line in lines if line[1:2] == b"1"] == [b"[1] gamma", b"[1] delta"]
    assert massctl("logs", "j1", "--rank", "1").stdout == b"gamma\ndelta"


def test_tail_rank_and_attempt_reach_the_scheduler(
    massctl: Massctl, client: Client, fake: FakeScheduler
) -> None:
    client.submit(a_spec(shards=4))
    assert massctl("logs", "j1", "--tail", "5", "--rank", "3", "--attempt", "1").returncode == 0
    (request,) = [request for name, request in fake.calls if name == "Logs"]
    assert (request.tail_lines, list(request.ranks), request.attempt) == (5, [3], 1)


pieces = st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=12)), max_size=30)


@given(pieces)
def test_no_byte_is_lost_and_every_line_is_whole(pieces: list[tuple[int, bytes]]) -> None:
    mux = LineMux()
    printed = b"".join(mux.feed(rank, data) for rank, data in pieces) + mux.end_all()
    for rank in range(3):
        wrote = b"".join(data for one, data in pieces if one == rank)
        prefix = b"[%d] " % rank
        lines = [line for line in printed.split(b"\n") if line.startswith(prefix)]
        assert b"".join(line[len(prefix) :] + b"\n" for line in lines) in (wrote, wrote + b"\n")


def test_an_endless_line_is_broken_not_kept() -> None:
    mux = LineMux()
    out = b"".join(mux.feed(0, b"x" * 100_000) for _ in range(30))
    assert out.count(b"\n") == 2
    assert len(mux.end_all()) <= LINE_BYTES_MAX + 5


@pytest.mark.parametrize(
    "args", [("run",), ("submit", "--follow"), ("submit", "--wait")], ids=lambda args: args[-1]
)
def test_whoever_follows_gets_the_jobs_own_exit_code(
    fake: FakeScheduler, args: tuple[str, ...]
) -> None:
    with started(fake, *args, "--", "x") as process:
        wait_until(lambda: "j1" in fake.jobs)
        fake.write("j1", b"hello\n")
        wait_until(lambda: fake.count("Watch") or fake.count("Logs"))
        fake.end("j1", 42)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 42
    assert out == (b"hello\n" if "--wait" not in args else b"j1 FAILED\n")
    assert b"Traceback" not in err


def test_an_interrupted_run_without_a_terminal_cancels_its_job(fake: FakeScheduler) -> None:
    with started(fake, "run", "--", "x") as process:
        wait_until(lambda: fake.count("Logs"))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert fake.jobs["j1"].state == job_pb2.JOB_STATE_CANCELLED
    assert b"Traceback" not in err


@pytest.mark.parametrize(
    ("answer", "state"), [(b"c\n", "CANCELLED"), (b"d\n", "RUNNING"), (b"\x04", "RUNNING")]
)
def test_an_interrupted_run_on_a_terminal_asks(
    fake: FakeScheduler, terminal: Terminal, answer: bytes, state: str
) -> None:
    with started(fake, "run", "--", "x", tty=terminal.theirs) as process:
        wait_until(lambda: fake.count("Logs"))
        process.send_signal(signal.SIGINT)
        terminal.read_until(b"[c]ancel it, [d]etach")
        terminal.type(answer)
        assert process.wait(20) == 130
    assert job_pb2.JobState.Name(fake.jobs["j1"].state) == f"JOB_STATE_{state}"


def test_an_interrupted_run_can_go_on(fake: FakeScheduler, terminal: Terminal) -> None:
    with started(fake, "run", "--", "x", tty=terminal.theirs) as process:
        wait_until(lambda: fake.count("Logs"))
        process.send_signal(signal.SIGINT)
        terminal.read_until(b"[g]o on?")
        terminal.type(b"g\n")
        fake.write("j1", b"more")
        terminal.read_until(b"more")
        fake.end("j1", 5)
        assert process.wait(20) == 5
    assert fake.count("Logs") == 1


def interrupt(fake: FakeScheduler, method: str, *args: str) -> tuple[int, bytes]:
    """Start massctl, interrupt it once `method` was called, give exit code and stderr."""
    with started(fake, *args) as process:
        wait_until(lambda: fake.count(method))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    return process.returncode, err


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("Watch", ("wait", "j1")),
        ("Logs", ("logs", "-f", "j1")),
        ("Watch", ("ls", "--watch")),
        ("Watch", ("nodes", "--watch")),
    ],
)
def test_ctrl_c_is_130_and_leaves_the_job_alone(
    client: Client, fake: FakeScheduler, method: str, args: tuple[str, ...]
) -> None:
    client.submit(a_spec())
    code, err = interrupt(fake, method, *args)
    assert (code, err.strip()) == (130, b"")
    assert fake.jobs["j1"].state == job_pb2.JOB_STATE_RUNNING


def read_lines(process: "subprocess.Popen[bytes]", count: int) -> list[dict[str, str]]:
    """Read that many JSON lines."""
    assert process.stdout is not None
    return [json.loads(process.stdout.readline()) for _ in range(count)]


def test_ls_watch_on_a_pipe_appends_a_line_per_change(client: Client, fake: FakeScheduler) -> None:
    client.submit(a_spec())
    with started(fake, "ls", "--watch") as process:
        assert [line["state"] for line in read_lines(process, 1)] == ["RUNNING"]
        wait_until(lambda: fake.count("Watch"))
        fake.end("j1")
        assert [line["state"] for line in read_lines(process, 1)] == ["SUCCEEDED"]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert (fake.count("Watch"), fake.count("List")) == (1, 1)


def test_nodes_watch_on_a_pipe_prints_them_again_after_events(
    client: Client, fake: FakeScheduler
) -> None:
    fake.nodes = [node_pb2.Node(id="n1")]
    with started(fake, "nodes", "--watch") as process:
        assert [line["id"] for line in read_lines(process, 1)] == ["n1"]
        wait_until(lambda: fake.count("Watch"))
        fake.nodes = [node_pb2.Node(id="n2")]
        fake.event(kind="NodeJoined")
        assert [line["id"] for line in read_lines(process, 1)] == ["n2"]


def test_ls_watch_on_a_terminal_draws_again_and_cuts_to_its_width(
    client: Client, fake: FakeScheduler, terminal: Terminal
) -> None:
    client.submit(a_spec("n" * 200))
    with started(fake, "ls", "--watch", tty=terminal.theirs):
        shown = terminal.read_until(b"RUNNING").decode()
        wait_until(lambda: fake.count("Watch"))
        fake.end("j1")
        terminal.read_until(b"SUCCEEDED")
    assert "nnn… " in shown
    assert terminal.seen.count(b"\x1b[H\x1b[2J") == 2


def test_a_terminal_that_is_dumb_gets_no_colour(
    client: Client, fake: FakeScheduler, terminal: Terminal
) -> None:
    client.submit(a_spec())
    assert b"\x1b[32mRUNNING" in _shown(fake, terminal, TERM="xterm")
    assert b"\x1b" not in _shown(fake, terminal, TERM="dumb")
    assert b"\x1b" not in _shown(fake, terminal, TERM="xterm", NO_COLOR="1")


def _shown(fake: FakeScheduler, terminal: Terminal, **env: str) -> bytes:
    terminal.seen = b""
    subprocess.run(
        [sys.executable, "-m", "aimass.cli", "ls"],
        env=massctl_env(AIMASS_ADDRESS=fake.address, **env),
        stdout=terminal.theirs,
        check=True,
        timeout=60,
    )
    return terminal.read_until(b"RUNNING")


def test_a_job_file_too_large_is_not_read_to_its_end(massctl: Massctl, tmp_path: Path) -> None:
    done = massctl("submit", "/dev/zero")
    assert done.returncode == 2
    assert b"at most 1048576" in done.stderr
