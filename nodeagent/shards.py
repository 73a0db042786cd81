"""A shard's folder on disk, which is all that is durable about it on the node.

spec.json   the intent: written and synced before a shim is started; names the boot
port        the reserved rendezvous port, when this is rank 0 of several shards
lock        held by the shim while it lives
control     FIFO to the shim: `stop GRACE_MS NOTICE_MS SIGNAL REASON`
shim.json   pids and start times, written before the program's first instruction
log, log.N  output (shim_log.py)       shim.err  what the shim itself had to say
exit.json   how it ended, written when no process of it lives any more
reserve     becomes exit.json: the end can be told even when the shard has filled the disk
scratch/    AIMASS_SHARD_DIR           forgotten the scheduler knows the end
scratch/checkpoint.done                AIMASS_CHECKPOINT_FILE, when the program makes it
"""

import contextlib
import fcntl
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from aimass.nodeagent import cgroup, durable, processes
from aimass.nodeagent.crash import crash_point
from aimass.nodeagent.durable import Record
from aimass.nodeagent.reconcile import Phase, ShardKey
from aimass.nodeagent.shim_main import ALREADY_OWNED

__all__ = ["ALREADY_OWNED", "Found", "look", "record_end", "spawn_shim", "write_intent"]

_SHIM = str(Path(__file__).resolve().with_name("shim.py"))
_READY_FD = 3
_SWEEP_S = 0.005
_RESERVE_BYTES = 8 << 10  # a record with the longest detail
_LOST_S_MAX = 1.0  # for processes of a lost shard to be gone; one in D state can take hours
_NODE_REBOOT: Record = {"reason": "NODE_REBOOT", "detail": "its node restarted"}

log = structlog.get_logger()


@dataclass(slots=True)
class Found:
    """What a shard's folder says at one moment."""

    phase: Phase
    spec: Record = field(default_factory=dict)
    shim: Record = field(default_factory=dict)  # shim.json: pids and start times
    exit: Record = field(default_factory=dict)  # exit.json
    port: int = 0
    is_damaged: bool = False  # a file that must have been whole cannot be read


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

    A shard whose shim has died is over: that is recorded here, once no process of it lives.
    boot: this boot's id. Cost: up to _LOST_S_MAX for a lost shard; call it in a thread.
    Errors: OSError, ValueError when that cannot be settled now; asking again later may do.
    """
    while True:
        found = read_folder(folder, boot)
        if not found.phase.is_live:
            return found
        with _owned(folder) as is_owned:
            if not is_owned:
                return found
            if read_folder(folder, boot).phase is not found.phase:
                continue  # its shim moved on just before it ended
            if not found.spec:
                raise ValueError(f"{folder}/spec.json cannot be read")
            if found.phase is Phase.RUNNING or found.is_damaged:
                return _record(folder, boot, _lost(folder, found))
            found.phase = Phase.INTENDED
            return found


def read_folder(folder: Path, boot: str) -> Found:
    """Read the files as they are; LAUNCHING stands for a spec that has no (readable) shim.json.

    A shard of another boot has ended without a record: nothing else in its folder is read, for
    only spec.json and exit.json are synced and so whole after a loss of power.
    Errors: OSError when a file is there and the disk does not give it.
    """
    exit, is_exit_damaged = _read(folder, "exit.json", "reason")
    spec, is_spec_damaged = _read(folder, "spec.json", "boot_id", "node", "env")
    if not exit and spec and spec["boot_id"] != boot:
        return Found(Phase.EXITED, spec, exit=dict(_NODE_REBOOT))
    shim, is_shim_damaged = _read(folder, "shim.json", "shim_pid", "shim_start", "pid")
    port, _ = _read(folder, "port", "port")
    is_damaged = is_exit_damaged or is_spec_damaged or is_shim_damaged
    if exit:
        phase = Phase.EXITED
    elif spec and shim:
        phase = Phase.RUNNING
    else:
        phase = Phase.LAUNCHING if spec or shim or is_damaged else Phase.PREPARED
    return Found(phase, spec, shim, exit, port.get("port", 0), is_damaged)


def _read(folder: Path, name: str, *entries: str) -> tuple[Record, bool]:
    """Give a file's object, or {} when there is none; True: it is there, and not what it was."""
    try:
        record = durable.read_json(f"{folder}/{name}")
    except ValueError:
        return {}, True
    if record is None:
        return {}, False
    is_damaged = any(entry not in record for entry in entries)
    return ({}, True) if is_damaged else (record, False)


def _lost(folder: Path, found: Found) -> Record:
    """The shim died, so the kernel killed the leader; kill what the leader had started.

    A shard whose shim.json is damaged may have run: it is lost too, and never launched again.
    Errors: TimeoutError when something of it will not die now.
    """
    mark = f"AIMASS_SHARD_DIR={found.spec['env'].get('AIMASS_SHARD_DIR', f'{folder}/scratch')}"
    shim = found.shim.get("shim_pid", 0), found.shim.get("shim_start", 0)
    group = cgroup.group_path(found.spec.get("cgroup_parent", ""), folder.name, shim[0])
    killed = 0
    give_up_at = time.monotonic() + _LOST_S_MAX
    while left := {*processes.marked(mark, *shim), *cgroup.members(group)}:
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"processes of {folder.name} do not die: {sorted(left)}")
        killed += len(left)
        for pid in left:
            processes.kill(pid)
        time.sleep(_SWEEP_S)
    cgroup.remove(group)
    detail = f"its shim (pid {shim[0] or 'unknown'}) died on node {found.spec['node']}"
    if killed:
        detail += "; what was left of the shard was killed"
    return {"signal": processes.SIGKILL, "reason": "SUPERVISOR_LOST", "detail": detail}


def _record(folder: Path, boot: str, exit: Record) -> Found:
    durable.write_reserved(f"{folder}/reserve", f"{folder}/exit.json", exit)
    return read_folder(folder, boot)


def record_end(folder: Path, exit: Record) -> Found:
    """Record the end of a shard that no shim has; if one has it after all, say what it does.

    Under the shard's lock, so a shim that starts this moment finds the end and does not run.
    """
    boot = processes.boot_id()
    make_folder(folder)
    with _owned(folder) as is_owned:
        found = read_folder(folder, boot)
        if not is_owned or found.phase in (Phase.EXITED, Phase.RUNNING):
            return found
        return _record(folder, boot, exit)


def make_folder(folder: Path) -> None:
    """Create a shard's folder, durably; it may be there already."""
    if not folder.is_dir():
        folder.mkdir(mode=0o750)
        durable.sync_folder(str(folder.parent))


def write_port(folder: Path, port: int) -> None:
    """Keep the reserved rendezvous port over an agent's restart."""
    make_folder(folder)
    crash_point("agent-before-port")
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


def last_error(folder: Path) -> str:
    """Give the last line of what the shim had to say, "" when there is none."""
    try:
        words = (folder / "shim.err").read_text(errors="replace").strip()
    except OSError:
        return ""
    return words.splitlines()[-1] if words else ""


def order_stop(
    folder: Path, grace_ms: int, reason: str, notice_ms: int = 0, notice_signal: str = ""
) -> bool:
    """Tell the shim to end its shard. False: no shim is listening (not yet, or no more).

    notice_signal: by name; one that this machine does not know is no notice.
    """
    number = signal.Signals[notice_signal] if notice_signal in signal.Signals.__members__ else 0
    times = f"{max(grace_ms, 0)} {max(notice_ms, 0) if number else 0} {int(number)}"
    words = " ".join(reason.split())[:1000] or "stopped by the scheduler"
    try:
        fd = os.open(folder / "control", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, f"stop {times} {words}\n".encode())
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def scan(root: Path, boot: str) -> Iterator[tuple[ShardKey, Found]]:
    """Read every shard that the scheduler may still ask about; nothing is settled or waited for.

    A folder that cannot be read is logged and left out: the others' shards need their agent.
    """
    for entry in sorted(root.iterdir()):
        key = ShardKey.of_folder(entry.name)
        try:
            if key is None or not entry.is_dir() or (entry / "forgotten").exists():
                continue
            found = read_folder(entry, boot)
            if found.phase.is_live and not found.spec:
                raise ValueError("its spec.json cannot be read")
            if found.phase is Phase.PREPARED and not found.port:
                delete(entry)  # its agent died before it wrote anything: no shard yet
                continue
        except (OSError, ValueError) as error:
            log.error("folder left out", folder=str(entry), why=str(error))
            continue
        yield key, found


def forget(folder: Path) -> None:
    """Mark a shard whose end the scheduler knows: reported no more, free to be deleted."""
    with contextlib.suppress(FileNotFoundError):
        (folder / "forgotten").touch()


def remember(folder: Path) -> None:
    """Take the mark back: the scheduler asks about this shard again."""
    (folder / "forgotten").unlink(missing_ok=True)


def delete(folder: Path) -> None:
    """Delete a shard's folder, renamed first: half a one must never be taken for a shard's."""
    doomed = tempfile.mkdtemp(prefix=".doomed-", dir=folder.parent)
    folder.rename(os.path.join(doomed, folder.name))
    shutil.rmtree(doomed, ignore_errors=True)
