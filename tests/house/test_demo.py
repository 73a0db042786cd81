"""The demo's own eyes, and its promise to clean up when it is interrupted. CI runs it whole."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import ROOT
from tests.waiting import wait_until

EXAMPLES = ROOT / "examples"


@pytest.fixture
def examples_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the demo's files find each other, as they do when it is run."""
    monkeypatch.syspath_prepend(str(EXAMPLES))


@pytest.fixture
def lingering(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process whose only trace of the folder is in its environment."""
    process = subprocess.Popen(["sleep", "600"], env={"SOME_DIR": str(tmp_path)}, cwd="/")
    yield process
    process.kill()
    process.wait()


@pytest.mark.usefixtures("examples_on_path")
def test_a_process_that_is_left_is_found(
    tmp_path: Path, lingering: subprocess.Popen[bytes]
) -> None:
    """By its environment alone, and no more once it is gone."""
    from demo_checks import processes_of, start_ticks

    # During its exec a child has no command line, or still our own environment.
    wait_until(lambda: processes_of(tmp_path) == {lingering.pid: "sleep 600"})
    assert start_ticks(lingering.pid) > 0
    lingering.kill()
    wait_until(lambda: not start_ticks(lingering.pid), what="a zombie counts as gone")
    lingering.wait()
    assert processes_of(tmp_path) == {}


@pytest.mark.usefixtures("examples_on_path")
def test_a_socket_that_is_left_is_found(tmp_path: Path) -> None:
    """A unix socket in the folder, and a listener on an address that should be free."""
    from demo_checks import sockets_of

    with socket.socket(socket.AF_UNIX) as unix, socket.socket() as tcp:
        unix.bind(str(tmp_path / "s"))
        tcp.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{tcp.getsockname()[1]}"
        assert len(sockets_of(tmp_path, [address])) == 1
        tcp.listen()
        assert len(sockets_of(tmp_path, [address])) == 2
    assert sockets_of(tmp_path, [address]) == []


@pytest.mark.usefixtures("examples_on_path")
def test_a_step_done_twice_or_not_at_all_is_seen(tmp_path: Path) -> None:
    """The step log is held to one attempt, every rank, every step, once."""
    from demo_checks import StepLog

    def log(*lines: tuple[int, int, int]) -> StepLog:
        text = "".join(f"rank={r} attempt={a} step={s}\n" for r, a, s in lines)
        (tmp_path / "steps.log").write_text(text)
        return StepLog(tmp_path / "steps.log")

    whole = [(0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)]
    assert log(*whole).is_each_once(ranks=2, steps=2)
    assert log(*whole).done() == 2
    assert not log(*whole, (0, 0, 1)).is_each_once(ranks=2, steps=2)
    assert not log(*whole[:-1]).is_each_once(ranks=2, steps=2)
    assert log(*whole[:-1]).done() == 1
    assert not log(*whole[:-1], (0, 1, 1)).is_each_once(ranks=2, steps=2)


@pytest.mark.torch
@pytest.mark.e2e
def test_an_interrupted_demo_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C while the shards start: exit 130, and no process and no file is left."""
    output = tmp_path / "output"
    with open(output, "w") as file:
        demo = subprocess.Popen(
            [sys.executable, "-u", str(EXAMPLES / "demo.py")], stdout=file, stderr=file
        )
    try:
        wait_until(lambda: "logs -f" in output.read_text() or demo.poll() is not None, 60)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(timeout=40) == 130, output.read_text()
    finally:
        demo.kill()
        demo.wait()
    (folder,) = set(re.findall(r"\S*aimass-demo-\w+", output.read_text()))
    assert not Path(folder).exists()
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            assert folder.encode() not in (proc / "environ").read_bytes()
        except OSError:
            continue
