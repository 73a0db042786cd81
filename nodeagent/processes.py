# ruff: noqa: SIM105 -- contextlib would cost a starting shim 3 ms
"""What /proc tells about processes: identity across pid reuse, trees, memory. Pure stdlib, lean.

A process is named by (boot id, pid, start time): a pid alone may be somebody else's by now.
"""

from __future__ import annotations

import os

SIGKILL = 9  # `import signal` costs a starting shim 2 ms
_PAGE = os.sysconf("SC_PAGE_SIZE")


def _read(path: str) -> str | None:
    """Give a /proc file's text, or None when the process is gone or not ours to see."""
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        return None


def boot_id() -> str:
    """Name this boot of the machine; another value means that nothing from before still runs."""
    return (_read("/proc/sys/kernel/random/boot_id") or "unknown").strip()


def _stat(pid: int) -> list[str] | None:
    """Give /proc/PID/stat from field 3 (state) on; the name before it may hold any character."""
    text = _read(f"/proc/{pid}/stat")
    return text.rpartition(")")[2].split() if text else None


def start_time(pid: int) -> int:
    """Give when a process started, in clock ticks since boot; 0: there is none, or a zombie."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else 0


def is_same(pid: int, start: int) -> bool:
    """Say whether the process that had this pid and start time still runs."""
    return start > 0 and start_time(pid) == start


def descendants(pid: int) -> list[int]:
    """List a process's children, their children, and so on, at this moment."""
    found: list[int] = []
    todo = [pid]
    while todo:
        parent = todo.pop()
        try:
            threads = os.listdir(f"/proc/{parent}/task")
        except OSError:
            continue
        for thread in threads:
            children = _read(f"/proc/{parent}/task/{thread}/children") or ""
            fresh = [int(child) for child in children.split()]
            found += fresh
            todo += fresh
    return found


def kill(pid: int, signal: int = SIGKILL) -> None:
    """Send a signal; a process that has ended, or taken another user's rights, is no error."""
    try:
        os.kill(pid, signal)
    except (ProcessLookupError, PermissionError):
        pass


def kill_group(group: int, signal: int = SIGKILL) -> None:
    """Send a signal to a process group; an empty one, or one of another user's, is no error."""
    try:
        os.killpg(group, signal)
    except (ProcessLookupError, PermissionError):
        pass


def rss_mib(pids: list[int]) -> int:
    """Sum the resident memory of processes; pages they share count once per process."""
    pages = 0
    for pid in pids:
        text = _read(f"/proc/{pid}/statm")
        pages += int(text.split()[1]) if text else 0
    return pages * _PAGE >> 20


def pss_mib(pids: list[int]) -> int:
    """Sum the memory of processes, shared pages divided among their users. Slower than rss_mib."""
    kib = 0
    for pid in pids:
        for line in (_read(f"/proc/{pid}/smaps_rollup") or "").splitlines():
            if line.startswith("Pss:"):
                kib += int(line.split()[1])
    return kib >> 10


def marked(mark: str, session: int, since: int) -> list[int]:
    """Find the live processes of one shard whose shim is gone: O(processes of the machine).

    mark: an entry of the environment that only this shard has, as NAME=VALUE.
    session, since: the shim's session (its pid) and start time; the id alone could be reused.
    """
    found = []
    wanted = f"\0{mark}\0"
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        fields = _stat(int(name))
        if not fields or fields[0] in "ZX":
            continue
        in_session = int(fields[3]) == session and int(fields[19]) >= since > 0
        if in_session or wanted in f"\0{_read(f'/proc/{name}/environ') or ''}":
            found.append(int(name))
    return found
