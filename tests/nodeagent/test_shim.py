"""The shim on its own: memory limits, bounded output, and who may start it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aimass.nodeagent import cgroup, durable, processes, shards
from aimass.nodeagent.durable import Record
from aimass.nodeagent.prune import prune
from aimass.nodeagent.reconcile import Phase
from tests.waiting import wait_until

SHIM = Path(shards.__file__).with_name("shim.py")
Python = Callable[[str], list[str]]


def prepared(folder: Path, argv: list[str], **fields: object) -> Path:
    """Write the intent of a shard that runs argv."""
    (folder.parent / "devices").mkdir(exist_ok=True)
    spec: Record = {
        "node": "n1",
        "boot_id": processes.boot_id(),
        "argv": argv,
        "env": {"PATH": os.environ["PATH"], "AIMASS_SHARD_DIR": f"{folder}/scratch"},
        "workdir": "/",
        "devices": [],
        "is_shared": False,
        "devices_dir": f"{folder.parent}/devices",
        "lease_file": f"{folder.parent}/lease",
        "grace_ms": 1000,
        "memory_mib": 0,
        "cgroup_parent": "",
        "log_file_bytes_max": 1 << 20,
        "log_files_max": 2,
    }
    shards.write_intent(folder, {**spec, **fields})
    return folder


def shim(folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a shim to its end, as the agent starts it but in this session."""
    command = [sys.executable, "-I", "-S", str(SHIM), str(folder)]
    return subprocess.run(command, timeout=30, stdin=subprocess.DEVNULL, check=False)


def end_of(folder: Path) -> Record:
    """Read how it ended."""
    end = durable.read_json(f"{folder}/exit.json")
    assert end is not None
    return end


ALLOCATE = "b=b'x'*(200<<20)\nimport time\nwhile 1: time.sleep(1)"


def test_a_shard_over_its_memory_is_ended_with_the_numbers(tmp_path: Path, python: Python) -> None:
    """Without cgroups the shim watches what its processes use together."""
    folder = prepared(tmp_path / "j.1.0", python(ALLOCATE), memory_mib=64)
    shim(folder)
    end = end_of(folder)
    assert (end["reason"], end["signal"]) == ("OUT_OF_MEMORY", 9)
    assert end["detail"].endswith("MiB, more than the 64 MiB it asked for")
    assert end["rss_mib_max"] >= 64


def test_the_kernel_holds_the_memory_limit_where_it_may(tmp_path: Path, python: Python) -> None:
    """By cgroup: the kernel's own count is the evidence, and the group is gone afterwards."""
    parent = cgroup.usable_parent()
    if not parent:
        pytest.skip("no cgroup can be made here")
    folder = prepared(tmp_path / "j.1.0", python(ALLOCATE), memory_mib=64, cgroup_parent=parent)
    shim(folder)
    end = end_of(folder)
    assert (end["reason"], end["signal"]) == ("OUT_OF_MEMORY", 9)
    assert "the kernel killed 1 of its processes" in end["detail"]
    assert list(Path(parent).glob("aimass-j.1.0-*")) == []


def test_a_program_that_outlives_a_kill_for_memory_says_so(tmp_path: Path, python: Python) -> None:
    """Only its child was killed, and it ended well itself: EXITED 0, and the kill is told."""
    parent = cgroup.usable_parent()
    if not parent or not parent.startswith("/sys/fs/cgroup/memory"):
        pytest.skip("no cgroup of version 1 can be made here")
    source = f"import os\nif os.fork() == 0:\n exec({ALLOCATE!r})\nos.wait()"
    folder = prepared(tmp_path / "j.1.0", python(source), memory_mib=64, cgroup_parent=parent)
    shim(folder)
    end = end_of(folder)
    assert (end["reason"], end["code"]) == ("EXITED", 0)
    assert end["detail"].startswith("the kernel killed 1 of its processes for more than the 64 MiB")


def test_a_shard_within_its_memory_is_left_alone(tmp_path: Path, python: Python) -> None:
    """A program that runs out by itself is EXITED: its last line says why."""
    folder = prepared(tmp_path / "j.1.0", python("raise MemoryError"), memory_mib=64)
    shim(folder)
    end = end_of(folder)
    assert (end["reason"], end["code"]) == ("EXITED", 1)
    assert end["detail"] == "last line of its output: MemoryError"


def test_output_is_bounded_on_disk(tmp_path: Path, python: Python) -> None:
    """5 MiB through 2 files of 1 MiB: the newest bytes stay, under their offsets."""
    source = "import sys\nfor i in range(80): sys.stdout.write(chr(48+i)*65536)"
    folder = prepared(tmp_path / "j.1.0", python(source))
    shim(folder)
    files = sorted(path.name for path in folder.glob("log*"))
    assert files == ["log", f"log.{3 << 20:020}"]
    newest = "".join(chr(48 + i) * 65536 for i in range(64, 80))
    assert (folder / "log").read_text() == newest


def test_an_end_that_the_disk_refuses_is_told_when_there_is_space(tmp_path: Path) -> None:
    """Until then the shim holds the lock, so that nobody takes the shard for lost."""
    folder = prepared(tmp_path / "j.1.0", ["true"])
    in_the_way = folder / "exit.json.new"
    in_the_way.mkdir()
    pid, ready = shards.spawn_shim(folder)
    wait_until((folder / "shim.json").exists)
    leader = (durable.read_json(f"{folder}/shim.json") or {})["pid"]
    wait_until(lambda: processes.start_time(leader) == 0)
    assert shards.look(folder, processes.boot_id()).phase is Phase.RUNNING
    in_the_way.rmdir()
    os.waitpid(pid, 0)
    os.close(ready)
    assert end_of(folder)["code"] == 0


@pytest.mark.parametrize("file", ["shim.json", "exit.json"])
def test_a_shard_that_has_run_is_not_run_again(tmp_path: Path, file: str) -> None:
    """A shim started over the folder of an older one leaves it as it is."""
    ran = tmp_path / "ran"
    folder = prepared(tmp_path / "j.1.0", ["touch", str(ran)])
    durable.write_json(f"{folder}/{file}", {"shim_pid": 1})
    assert shim(folder).returncode == shards.ALREADY_OWNED
    assert not ran.exists()


def test_a_shard_has_one_shim(tmp_path: Path) -> None:
    """The second finds the lock taken; the first goes on."""
    folder = prepared(tmp_path / "j.1.0", ["sleep", "600"])
    pid, ready = shards.spawn_shim(folder)
    wait_until((folder / "shim.json").exists)
    assert shim(folder).returncode == shards.ALREADY_OWNED
    assert shards.look(folder, processes.boot_id()).phase is Phase.RUNNING
    assert shards.record_end(folder, {"reason": "STOPPED"}).phase is Phase.RUNNING
    assert shards.order_stop(folder, 1000, "enough")
    os.waitpid(pid, 0)
    os.close(ready)
    assert end_of(folder)["detail"] == "enough"
    assert not shards.order_stop(folder, 1000, "again")


def test_programs_get_the_signals_that_shells_give(tmp_path: Path) -> None:
    """SIGPIPE ends a program whose reader has gone; an interpreter's SIG_IGN is not passed on."""
    folder = prepared(tmp_path / "j.1.0", ["grep", "^Sig[BI]", "/proc/self/status"])
    shim(folder)
    blocked, ignored = (folder / "log").read_text().split()[1::2]
    glibc_own = 0x180000000  # 32 and 33, which make leaves ignored for its recipes
    assert (int(blocked, 16), int(ignored, 16) & ~glibc_own) == (0, 0)


def test_the_shims_own_files_do_not_reach_the_program(tmp_path: Path) -> None:
    """Standard input, output and error; no lock, no log, no pidfd."""
    folder = prepared(tmp_path / "j.1.0", ["ls", "/proc/self/fd"], devices=["GPU-1"])
    shim(folder)
    assert (folder / "log").read_text().split() == ["0", "1", "2", "3"]  # 3: ls's own


def test_records_survive_any_text(tmp_path: Path) -> None:
    """The small JSON writer and the C scanner agree on all that a detail may hold."""
    record = {"a": 'ü"\\\n\x00\x7f\u2028😀', "b": [1, -2, True, None], "c": {"d": ""}}
    durable.write_json(f"{tmp_path}/x", record)
    assert durable.read_json(f"{tmp_path}/x") == record
    assert durable.read_json(f"{tmp_path}/y") is None
    for text in ("", "{", "[]", '{"a": nope}', "\x00"):
        (tmp_path / "bad").write_text(text)
        with pytest.raises(ValueError, match="bad"):
            durable.read_json(f"{tmp_path}/bad")


def test_old_folders_are_bounded_in_number_and_bytes(tmp_path: Path) -> None:
    """Only forgotten ones go, the oldest first."""
    for number in range(5):
        folder = tmp_path / f"j{number}.1.0"
        shards.make_folder(folder)
        (folder / "log").write_bytes(b"x" * 100)
        if number != 0:
            shards.forget(folder)
            os.utime(folder / "forgotten", (number, number))
    assert prune(tmp_path, folders_max=3, bytes_max=10_000) == ["j1.1.0"]
    assert prune(tmp_path, folders_max=3, bytes_max=250) == ["j2.1.0"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["j0.1.0", "j3.1.0", "j4.1.0"]
