"""A shard's folder on disk, which is all that is durable about it on the node.

spec.json   the intent: written and synced before a shim is started; names the boot
port        the reserved rendezvous port, when this is rank 0 of several shards
lock        held by the shim while it lives
control     FIFO to the shim: `stop GRACE_MS REASON`
shim.json   pids and start times, written before the program's first instruction
log, log.N  output (shim_log.py)       shim.err  what the shim itself had to say
exit.json   how it ended, written when no process of it lives any more
reserve     becomes exit.json: the end can be told even when the shard has filled the disk
scratch/    AIMASS_SHARD_DIR           forgotten the scheduler knows the end
"""

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aimass.nodeagent import cgroup, durable, processes
from aimass.nodeagent.durable import Record
from aimass.nodeagent.reconcile import Phase, ShardKey
from aimass.nodeagent.shim_main import ALREADY_OWNED

__all__ = ["ALREADY_OWNED", "Found", "look", "record_end", "spawn_shim", "write_intent"]

_SHIM = str(Path(__file__).resolve().with_name("shim.py"))
_READY_FD = 3
_SWEEP_S = 0.005
_RESERVE_BYTES = 8 << 10  # a record with the longest detail


@dataclass(slots=True)
class Found:
    """What a shard's folder says at one moment."""

    phase: Phase
    spec: Record = field(default_factory=dict)
    shim: Record = field(default_factory=dict)  # shim.json: pids and start times
    exit: Record = field(default_factory=dict)  # exit.json
    port: int = 0


@contextlib.contextmanager
def _owned(folder: Path) -> Iterator[bool]:
    """Hold the shard's lock as a shim would. False: a shim holds it."""
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


def look(folder: Path, boot: str) -> Found:
    """Read a folder and settle what a crash has left open.

    A shard of another boot, or one whose shim has died, is over: that is recorded here, once no
    process of it lives. boot: this boot's id.
    Errors: OSError, ValueError when the folder cannot be read.
    """
    while True:
        found = read_folder(folder)
        if found.phase is Phase.EXITED or not found.spec:
            return found
        with _owned(folder) as is_owned:
            if not is_owned:
                return found
            if read_folder(folder).phase is not found.phase:
                continue  # its shim moved on just before it ended
            if found.spec["boot_id"] != boot:
                return _record(folder, {"reason": "NODE_REBOOT", "detail": "its node restarted"})
            if found.phase is Phase.RUNNING:
                return _record(folder, _lost(folder, found))
            found.phase = Phase.INTENDED
            return found


def read_folder(folder: Path) -> Found:
    """Read the files as they are; LAUNCHING stands for a spec that has no shim.json (yet)."""
    exit = durable.read_json(f"{folder}/exit.json") or {}
    shim = durable.read_json(f"{folder}/shim.json") or {}
    spec = durable.read_json(f"{folder}/spec.json") or {}
    port = durable.read_json(f"{folder}/port") or {}
    started = Phase.RUNNING if shim else Phase.LAUNCHING if spec else Phase.PREPARED
    return Found(Phase.EXITED if exit else started, spec, shim, exit, port.get("port", 0))


def _lost(folder: Path, found: Found) -> Record:
    """The shim died, so the kernel killed the leader; kill what the leader had started."""
    mark = f"AIMASS_SHARD_DIR={found.spec['env']['AIMASS_SHARD_DIR']}"
    shim = found.shim["shim_pid"], found.shim["shim_start"]
    group = cgroup.group_path(found.spec.get("cgroup_parent", ""), folder.name, shim[0])
    killed = 0
    while left := {*processes.marked(mark, *shim), *cgroup.members(group)}:
        killed += len(left)
        for pid in left:
            processes.kill(pid)
        time.sleep(_SWEEP_S)
    cgroup.remove(group)
    detail = f"its shim (pid {shim[0]}) died on node {found.spec['node']}"
    if killed:
        detail += "; what was left of the shard was killed"
    return {"signal": processes.SIGKILL, "reason": "SUPERVISOR_LOST", "detail": detail}


def _record(folder: Path, exit: Record) -> Found:
    durable.write_reserved(f"{folder}/reserve", f"{folder}/exit.json", exit)
    return read_folder(folder)


def record_end(folder: Path, exit: Record) -> Found:
    """Record the end of a shard that no shim has; if one has it after all, say what it does.

    Under the shard's lock, so a shim that starts this moment finds the end and does not run.
    """
    make_folder(folder)
    with _owned(folder) as is_owned:
        found = read_folder(folder)
        if not is_owned or found.phase in (Phase.EXITED, Phase.RUNNING):
            return found
        return _record(folder, exit)


def make_folder(folder: Path) -> None:
    """Create a shard's folder, durably; it may be there already."""
    if not folder.is_dir():
        folder.mkdir(mode=0o750)
        durable.sync_folder(str(folder.parent))


def write_port(folder: Path, port: int) -> None:
    """Keep the reserved rendezvous port over an agent's restart."""
    make_folder(folder)
    durable.write_json(f"{folder}/port", {"port": port})


def write_intent(folder: Path, spec: Record) -> None:
    """Write down what is about to be launched. After this the shard counts as intended.

    Errors: OSError, when the disk is full for example.
    """
    make_folder(folder)
    (folder / "scratch").mkdir(exist_ok=True)
    durable.reserve(f"{folder}/reserve", _RESERVE_BYTES)
    durable.write_json(f"{folder}/spec.json", spec)


def spawn_shim(folder: Path) -> tuple[int, int]:
    """Start the shim of an intended shard. Gives (pid, fd): the fd reads `1` once it runs.

    os.posix_spawn and not the event loop's subprocesses: no page tables are copied. ~0.1 ms.
    Errors: OSError when no process can be made.
    """
    ready, ready_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    write = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", _SHIM, str(folder), str(_READY_FD)],
            {"PATH": os.environ.get("PATH", os.defpath)},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, ready_write, _READY_FD),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, f"{folder}/shim.err", write, 0o640),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=[],
        )
    except OSError:
        os.close(ready)
        raise
    finally:
        os.close(ready_write)
    return pid, ready


def order_stop(folder: Path, grace_ms: int, reason: str) -> bool:
    """Tell the shim to end its shard. False: no shim is listening (not yet, or no more)."""
    words = " ".join(reason.split())[:1000] or "stopped by the scheduler"
    try:
        fd = os.open(folder / "control", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, f"stop {max(grace_ms, 0)} {words}\n".encode())
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def scan(root: Path, boot: str) -> Iterator[tuple[ShardKey, Found]]:
    """Look at every shard that the scheduler may still ask about."""
    for entry in sorted(root.iterdir()):
        key = ShardKey.of_folder(entry.name)
        if key is not None and entry.is_dir() and not (entry / "forgotten").exists():
            yield key, look(entry, boot)


def forget(folder: Path) -> None:
    """Mark a shard whose end the scheduler knows: reported no more, free to be deleted."""
    with contextlib.suppress(FileNotFoundError):
        (folder / "forgotten").touch()


def remember(folder: Path) -> None:
    """Take the mark back: the scheduler asks about this shard again."""
    (folder / "forgotten").unlink(missing_ok=True)


def prune(root: Path, folders_max: int, bytes_max: int) -> list[str]:
    """Delete the oldest forgotten folders above either bound; gives their names. O(files)."""
    old = []
    for left in root.glob(".doomed-*"):  # a crash came between
        shutil.rmtree(left, ignore_errors=True)
    for entry in root.iterdir():
        mark = entry / "forgotten"
        with contextlib.suppress(FileNotFoundError):
            size = sum(file.stat().st_size for file in entry.rglob("*") if file.is_file())
            old.append((mark.stat().st_mtime_ns, size, entry))
    old.sort(reverse=True)
    kept_bytes = 0
    pruned = []
    for number, (_, size, entry) in enumerate(old):
        kept_bytes += size
        if number >= folders_max or kept_bytes > bytes_max:
            # Renamed first: half a folder must never be taken for a shard's.
            doomed = tempfile.mkdtemp(prefix=".doomed-", dir=root)
            entry.rename(os.path.join(doomed, entry.name))
            shutil.rmtree(doomed, ignore_errors=True)
            pruned.append(entry.name)
    return pruned
