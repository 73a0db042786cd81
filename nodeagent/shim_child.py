# ruff: noqa: SIM105 -- contextlib would cost a starting shim 3 ms
"""From the shim to the shard's program: fork, limits, exec, and words for an exec that failed.

Pure stdlib, lean. The program waits behind a gate until its pid is on disk: what runs is known.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import resource

from aimass.nodeagent.cgroup import MemoryGroup
from aimass.nodeagent.durable import Record

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_SIGKILL, _SIGPIPE, _SIGXFSZ, _SIG_DFL = 9, 13, 25, 0
_PIPE_BYTES = 1 << 20


def become_subreaper() -> None:
    """Let orphans of the shard become this process's children, double forks and setsid included."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Child:
    """The shard's first process, forked and held at the gate."""

    def __init__(self, spec: Record, group: MemoryGroup | None) -> None:
        """Fork. group: the cgroup to join. Errors: OSError when fork or pipe fails."""
        self.output, output = os.pipe()
        fcntl.fcntl(self.output, fcntl.F_SETFL, os.O_NONBLOCK)
        try:
            fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        except OSError:
            pass  # over the user's share of pipe memory: the usual 64 KiB do as well
        gate, self._gate = os.pipe()
        self._failed, failed = os.pipe()
        shim = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            # Only the parent may hold these ends: a gate or a log must close when the shim dies.
            os.close(self._gate)
            os.close(self._failed)
            _exec(spec, group, gate, failed, output, shim)
        for fd in (output, gate, failed):
            os.close(fd)
        os.setpgid(self.pid, self.pid)

    def open_gate(self) -> str:
        """Let the program start. Gives \"\" once it has, else `STEP ERRNO` of what failed."""
        os.write(self._gate, b"g")
        os.close(self._gate)
        failure = os.read(self._failed, 64)
        os.close(self._failed)
        return failure.decode()


def _exec(
    spec: Record, group: MemoryGroup | None, gate: int, failed: int, output: int, shim: int
) -> None:
    """Become the shard's program, or report why not and exit. Never returns."""
    step = "setup"
    try:
        _LIBC.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        if os.getppid() != shim or os.read(gate, 1) != b"g":
            os._exit(127)  # the shim died first
        # The interpreter ignores these two; a shard expects them as every shell gives them.
        _LIBC.signal(_SIGPIPE, _SIG_DFL)
        _LIBC.signal(_SIGXFSZ, _SIG_DFL)
        os.dup2(output, 1)
        os.dup2(output, 2)
        _limit(spec, group)
        step = "workdir"
        os.chdir(spec["workdir"])
        step = "exec"
        _exec_search(spec["argv"], spec["env"])
    except OSError as error:
        os.write(failed, f"{step} {error.errno}".encode())
    except BaseException:
        os.write(failed, f"{step} {errno.EINVAL}".encode())
    os._exit(127)


def _limit(spec: Record, group: MemoryGroup | None) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, files_max = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))
    try:  # when the machine runs out of memory, a shard goes before the daemons
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")
    except OSError:
        pass
    if group is not None:
        group.join()


def _exec_search(argv: list[str], env: dict[str, str]) -> None:
    """execvpe without its imports. Raises the error that says most: EACCES before ENOENT."""
    if "/" in argv[0]:
        os.execve(argv[0], argv, env)
    seen: int = errno.ENOENT
    for folder in env.get("PATH", os.defpath).split(":"):
        try:
            os.execve(os.path.join(folder or ".", argv[0]), argv, env)
        except OSError as error:
            if error.errno not in (None, errno.ENOENT, errno.ENOTDIR):
                seen = error.errno
    raise OSError(seen, "exec")


def explain_failure(failure: str, spec: Record) -> str:
    """Say what a user can do about `STEP ERRNO`."""
    step, number = failure.split()
    code, node = int(number), spec["node"]
    reason = os.strerror(code)
    if step == "workdir":
        return (
            f"workdir {spec['workdir']!r} on node {node}: {reason}; create it there, or give a "
            "workdir that every node has"
        )
    program = spec["argv"][0]
    if step == "setup":
        return f"could not prepare {program!r} on node {node}: {reason}"
    path = program if "/" in program else ""
    if code == errno.ENOENT and not path:
        folders = len(spec["env"].get("PATH", os.defpath).split(":"))
        return (
            f"command {program!r} was not found on node {node} (its PATH has {folders} "
            f"folder{'s' if folders > 1 else ''}); install it there or give an absolute path"
        )
    if code == errno.ENOENT and os.path.exists(os.path.join(spec["workdir"], path)):
        return f"{program!r} on node {node}: the interpreter in its #! line does not exist there"
    if code == errno.ENOENT:
        return (
            f"command {program!r} does not exist on node {node} (workdir {spec['workdir']!r}); "
            "copy it there or correct the path"
        )
    if code == errno.EACCES:
        return f"command {program!r} on node {node} may not be executed: {reason}; try chmod +x"
    if code == errno.ENOEXEC:
        return (
            f"command {program!r} on node {node} is no program for this machine: {reason}; "
            "a script needs a #! line"
        )
    return f"command {program!r} on node {node} could not be started: {reason}"
