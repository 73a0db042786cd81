# ruff: noqa: SIM105 -- contextlib would cost a starting shim 3 ms
"""Memory limits by cgroup where the host lets us, version 1 or 2. Pure stdlib, lean.

Where it does not, the shim watches the resident memory of the shard's processes instead.
"""

from __future__ import annotations

import os

_ROOT = "/sys/fs/cgroup"


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _own(controllers: str) -> str | None:
    """Give this process's own path below a hierarchy (\"\" names version 2's)."""
    with open("/proc/self/cgroup") as file:
        for line in file:
            _, names, path = line.rstrip("\n").split(":", 2)
            if controllers in names.split(","):
                return path
    return None


def usable_parent() -> str:
    """Give the folder below which a shard's cgroup can be made with a memory limit, or \"\".

    The agent asks once at its start. Version 2 wants the memory controller already delegated to
    the children of the agent's own cgroup (systemd: Delegate=yes and DelegateSubgroup=agent).
    """
    try:
        for names, base in (("memory", f"{_ROOT}/memory"), ("", _ROOT), ("", f"{_ROOT}/unified")):
            path = _own(names)
            if path is None:
                continue
            if names == "":
                # A group with processes in it cannot limit children: the agent sits in a leaf.
                path = os.path.dirname(path.rstrip("/")) or "/"
                with open(f"{base}{path}/cgroup.subtree_control") as file:
                    if "memory" not in file.read().split():
                        continue
            parent = f"{base}{path}".rstrip("/")
            trial = f"{parent}/aimass-trial-{os.getpid()}"
            os.mkdir(trial)
            os.rmdir(trial)
            return parent
    except OSError:
        pass
    return ""


def group_path(parent: str, shard: str, shim_pid: int) -> str:
    """Name a shard's group; unique even when two agents' folders hold the same shard."""
    return f"{parent}/aimass-{shard}-{shim_pid}"


def members(path: str) -> list[int]:
    """List the processes of a group; none when there is no such group."""
    try:
        with open(f"{path}/cgroup.procs") as file:
            return [int(line) for line in file]
    except OSError:
        return []


def remove(path: str) -> None:
    """Delete a group if it is there and empty; a shard's end must not fail on this."""
    try:
        os.rmdir(path)
    except OSError:
        pass


class MemoryGroup:
    """One shard's cgroup: made before it starts, removed after its last process is gone."""

    def __init__(self, path: str, memory_mib: int) -> None:
        """Make the group. Errors: OSError when the host refuses; nothing is left behind then."""
        self._path = path
        os.mkdir(path)
        try:
            self._limit(memory_mib << 20)
        except OSError:
            self.remove()
            raise

    def _limit(self, limit_bytes: int) -> None:
        self._is_v2 = os.path.exists(f"{self._path}/memory.max")
        if self._is_v2:
            _write(f"{self._path}/memory.max", str(limit_bytes))
            names = {"memory.swap.max": "0", "memory.oom.group": "1"}
        else:
            _write(f"{self._path}/memory.limit_in_bytes", str(limit_bytes))
            names = {"memory.memsw.limit_in_bytes": str(limit_bytes)}
        for name, text in names.items():
            if os.path.exists(f"{self._path}/{name}"):
                _write(f"{self._path}/{name}", text)

    def join(self) -> None:
        """Move the calling process in; what it starts afterwards is in as well."""
        _write(f"{self._path}/cgroup.procs", "0")

    def oom_kills(self) -> int:
        """Count the processes of the group that the kernel killed for want of memory."""
        name = "memory.events" if self._is_v2 else "memory.oom_control"
        try:
            with open(f"{self._path}/{name}") as file:
                counts = dict(line.split() for line in file)
        except OSError:
            return 0
        return int(counts.get("oom_kill", 0))

    def remove(self) -> None:
        """Delete the group; its last process is gone."""
        remove(self._path)
