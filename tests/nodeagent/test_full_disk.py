"""A disk that a shard has filled: its end is recorded, told, and its devices are free."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aimass.nodeagent import durable
from aimass.v1 import job_pb2
from tests.nodeagent.fake_scheduler import FakeScheduler
from tests.nodeagent.node import Node
from tests.nodeagent.test_shim import end_of, prepared, shim
from tests.waiting import wait_until

Python = Callable[[str], list[str]]
KEY = ("j1", 1, 0)
WRITES_10_MB = "import os\nfor _ in range(160): os.write(1, b'x'*65536)"
FILLS_ITS_SCRATCH = """
import os
fd = os.open(os.environ["AIMASS_SHARD_DIR"] + "/big", os.O_WRONLY | os.O_CREAT)
try:
    while os.write(fd, b"x" * 4096): pass
except OSError: pass
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize("source", [WRITES_10_MB, FILLS_ITS_SCRATCH])
def test_a_shard_that_fills_the_disk_ends_as_it_ended(
    small_disk: Path, python: Python, source: str
) -> None:
    """The space for exit.json was set aside before it started."""
    folder = prepared(small_disk / "j.1.0", python(source), log_file_bytes_max=64 << 20)
    shim(folder)
    end = end_of(folder)
    assert (end["reason"], end["code"]) == ("EXITED", 0)
    assert ("bytes of output were lost" in end["detail"]) == (source == WRITES_10_MB)
    assert not (folder / "reserve").exists()


def test_without_a_reserve_the_shards_own_output_makes_room(
    small_disk: Path, python: Python
) -> None:
    """The oldest part goes, and the end says how much."""
    source = f"import os; os.unlink('{small_disk}/j.1.0/reserve')\n{WRITES_10_MB}"
    folder = prepared(small_disk / "j.1.0", python(source), log_files_max=16)
    shim(folder)
    end = end_of(folder)
    assert (end["reason"], end["code"]) == ("EXITED", 0)
    assert f"({1 << 20} bytes of its output were dropped: disk full)" in end["detail"]


def test_the_scheduler_hears_of_an_end_on_a_full_disk(
    scheduler: FakeScheduler, small_disk: Path, python: Python
) -> None:
    """The agent works on the same disk, its own log included, and goes on."""
    node = Node(small_disk, scheduler.address).start()
    try:
        scheduler.want(KEY, python(WRITES_10_MB))
        end = wait_until(lambda: scheduler.exit_of(KEY))
        assert (end.code, end.reason) == (0, job_pb2.EXIT_REASON_EXITED)
        assert durable.read_json(f"{node.folder(KEY)}/exit.json")
        beats = len(scheduler.seen.beats)
        wait_until(lambda: len(scheduler.seen.beats) > beats)
        assert len(scheduler.seen.registers) == 1
    finally:
        node.close()
