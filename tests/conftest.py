"""What every test gets: the Hypothesis profile, `--accept`, and a check that no process is left."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.waiting import wait_until

# The same examples on every run and machine; a slow machine is no failure.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register `--accept`: scenario tests then rewrite their expected output."""
    parser.addoption(
        "--accept", action="store_true", help="rewrite the expected output of scenario files"
    )


def _ours(marks: list[bytes]) -> dict[int, str]:
    """Give the processes that this session started: its children, and whoever carries a mark.

    A daemon or a shim is no child of ours any more, but its command line or environment still
    names this session's temporary folder or its marker variable.
    """
    found = {}
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            command = (proc / "cmdline").read_bytes()
            marked = command + (proc / "environ").read_bytes()
            parent = int((proc / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended while we looked, or belongs to somebody else
            continue
        if parent == os.getpid() or any(mark in marked for mark in marks):
            text = command.replace(b"\0", b" ").decode(errors="replace").strip()
            found[int(proc.name)] = text or "(a zombie: ended, never waited for)"
    return found


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail the session when a test leaves a process behind, daemons and shims included."""
    marker = f"session-of-{os.getpid()}"
    os.environ["AIMASS_TEST_SESSION"] = marker
    marks = [f"AIMASS_TEST_SESSION={marker}".encode(), str(tmp_path_factory.getbasetemp()).encode()]
    before = {os.getpid(), *_ours(marks)}

    def left() -> dict[int, str]:
        return {pid: text for pid, text in _ours(marks).items() if pid not in before}

    yield
    with contextlib.suppress(AssertionError):  # whoever was told to end may still be at it
        wait_until(lambda: not left(), 5)
    assert not left()
