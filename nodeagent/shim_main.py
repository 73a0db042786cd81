# ruff: noqa: SIM105 -- contextlib would cost a starting shim 3 ms
"""The shim: owns one shard from before its first instruction until no process of it lives.

Depends on nothing of the agent's life. One thread, one poll() over the leader's pidfd, its output,
the control FIFO and the next deadline. Pure stdlib, lean imports: a user waits for this start.
The folder's files are described in shards.py.
"""

from __future__ import annotations

import fcntl
import os
import select
import time
from errno import EDQUOT, ENOSPC

from aimass.nodeagent import processes
from aimass.nodeagent.cgroup import MemoryGroup, group_path
from aimass.nodeagent.durable import Record, read_json, write_json, write_reserved
from aimass.nodeagent.shim_child import Child, become_subreaper, explain_failure
from aimass.nodeagent.shim_log import RotatingLog
from aimass.nodeagent.shim_stop import CHECKPOINT_FILE, Ending, Stamp, checkpoint_stamp

ALREADY_OWNED = 17  # exit status of a shim that found the shard owned, started or over
_SIGTERM, _SIGCONT = 15, 18
_TICK_MS = 1000  # reap orphans; CLOCK_BOOTTIME deadlines while poll() sleeps through a suspend
_MEMORY_TICK_MS = 200
_NOTICE_TICK_MS = 100  # looks for the checkpoint, while it is waited for
_SWEEP_TICK_MS = 5
_DEVICE_WAIT_MS = 10_000
_LOG_TAIL_BYTES = 2048


def now_ms() -> int:
    """Milliseconds since boot, a suspend included: a machine that wakes up late knows it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def main(folder: str, ready_fd: int) -> None:
    """Run the shard of `folder` to its end and exit. Says `1` on ready_fd when it is running."""
    os.chdir(folder)
    lock = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os._exit(ALREADY_OWNED)
    if os.path.exists("shim.json") or os.path.exists("exit.json"):
        os._exit(ALREADY_OWNED)  # a second start of a shard: once it has run, it has run
    spec = read_json("spec.json")
    assert spec is not None, "the intent is on disk before a shim is started"
    become_subreaper()
    Supervisor(spec, ready_fd).run()
    os._exit(0)


class Supervisor:
    """One shard's life."""

    def __init__(self, spec: Record, ready_fd: int) -> None:
        self.spec = spec
        self.ready_fd = ready_fd
        self.control = self._open_control()
        self.log = RotatingLog(".", spec["log_file_bytes_max"], spec["log_files_max"])
        self.poller = select.poll()
        self.poller.register(self.control, select.POLLIN)
        self.ending = Ending()
        self.checkpoint_before: Stamp | None = None  # when the notice was given
        self.lease_deadline_ms: int | None = None
        self.lease_ms = 0
        self._read_lease()
        self.child: Child | None = None
        self.group: MemoryGroup | None = None
        self.status: int | None = None
        self.cpu_s = 0.0
        self.rss_mib_max = 0
        self.device_locks: list[int] = []
        self.output_ended = False
        self.oom_kills_before = _machine_oom_kills()

    def run(self) -> None:
        """Launch, watch, end, record."""
        failure = self._take_devices()
        if not failure and self.ending.cause is None:
            failure = self._launch()
        if failure:
            self._record({"reason": "LAUNCH_FAILED", "detail": failure})
            return
        if self.child is None:
            assert self.ending.cause is not None
            reason, detail = self.ending.cause
            self._record({"reason": reason, "detail": f"{detail}; it never started"})
            return
        started_ms = now_ms()
        self._watch()
        wall_ms = now_ms() - started_ms
        self._sweep()
        self._record(self._exit(wall_ms))

    # -- launch

    def _open_control(self) -> int:
        if not os.path.exists("control"):
            os.mkfifo("control", 0o600)
        # Read and write: without a writer of its own a FIFO would report an end over and over.
        return os.open("control", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def _take_devices(self) -> str:
        """Lock every device, waiting a little for a holder that is on its way out."""
        spec = self.spec
        mode = fcntl.LOCK_SH if spec["is_shared"] else fcntl.LOCK_EX
        give_up_ms = now_ms() + _DEVICE_WAIT_MS
        for uuid in spec["devices"]:
            fd = os.open(f"{spec['devices_dir']}/{uuid}.lock", os.O_RDWR | os.O_CREAT, 0o644)
            self.device_locks.append(fd)
            while True:
                try:
                    fcntl.flock(fd, mode | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    holder = os.pread(fd, 200, 0).decode(errors="replace").strip()
                    if now_ms() > give_up_ms:
                        return f"device {uuid} on node {spec['node']} is still held by {holder}"
                self._step(20)
                if self.ending.cause is not None:
                    return ""
            os.truncate(fd, 0)
            os.pwrite(fd, f"{os.path.basename(os.getcwd())} (shim {os.getpid()})\n".encode(), 0)
        return ""

    def _launch(self) -> str:
        spec = self.spec
        if spec["memory_mib"] and spec["cgroup_parent"]:
            shard = os.path.basename(os.getcwd())
            path = group_path(spec["cgroup_parent"], shard, os.getpid())
            try:
                self.group = MemoryGroup(path, spec["memory_mib"])
            except OSError:
                self.group = None  # the resident memory is watched instead
        child = Child(spec, self.group)
        # Renamed but not synced: it must survive this process, not the machine. After a loss of
        # power the boot id in spec.json already says that nothing runs.
        write_json(
            "shim.json",
            {
                "boot_id": spec["boot_id"],
                "shim_pid": os.getpid(),
                "shim_start": processes.start_time(os.getpid()),
                "pid": child.pid,
                "start": processes.start_time(child.pid),
            },
            sync=False,
        )
        failure = child.open_gate()
        if failure:
            os.waitpid(child.pid, 0)
            return explain_failure(failure, spec)
        self.child = child
        self._say_ready()
        self.pidfd = os.pidfd_open(child.pid)
        self.poller.register(self.pidfd, select.POLLIN)
        self.poller.register(child.output, select.POLLIN)
        return ""

    def _say_ready(self) -> None:
        if self.ready_fd >= 0:
            try:
                os.write(self.ready_fd, b"1")
            except OSError:
                pass  # the agent has gone; it will find shim.json
            os.close(self.ready_fd)

    # -- watch

    def _watch(self) -> None:
        watches_memory = self.spec["memory_mib"] and self.group is None
        tick_ms = _MEMORY_TICK_MS if watches_memory else _TICK_MS
        while self.status is None:
            self._step(tick_ms)
            self._reap()
            if watches_memory:
                self._watch_memory()

    def _step(self, tick_ms: int) -> None:
        """Wait for the next thing to happen, at most tick_ms, and see to output and deadlines."""
        waits = [tick_ms, self._lease_stop_ms() - now_ms()]
        if (due_ms := self.ending.next_ms()) is not None:
            waits.append(due_ms - now_ms())
        if self.ending.is_noticed:
            waits.append(_NOTICE_TICK_MS)
        for fd, _ in self.poller.poll(max(min(waits), 0)):
            if fd == self.control:
                self._read_control()
            elif self.child is not None and fd == self.child.output:
                self._read_output()
        self._keep_deadlines()

    def _read_output(self) -> bool:
        """Move what the shard wrote to its log. False: there is nothing (more)."""
        assert self.child is not None
        try:
            data = os.read(self.child.output, 1 << 20)
        except BlockingIOError:
            return False
        if not data:
            if not self.output_ended:  # every writer has closed it
                self.poller.unregister(self.child.output)
                self.output_ended = True
            return False
        self.log.write(data)
        return True

    def _read_control(self) -> None:
        """Take orders: lines of `stop GRACE_MS NOTICE_MS SIGNAL REASON`."""
        for line in os.read(self.control, 65536).decode(errors="replace").splitlines():
            word, *rest = line.split(" ", 4)
            if word == "stop" and len(rest) == 4 and all(number.isdigit() for number in rest[:3]):
                self._stop(int(rest[0]), int(rest[1]), int(rest[2]), rest[3])

    def _stop(self, grace_ms: int, notice_ms: int, signal: int, reason: str) -> None:
        """Begin to end the shard, or hurry the end that has begun."""
        if self.ending.cause is None:
            self.checkpoint_before = checkpoint_stamp(CHECKPOINT_FILE)
        is_first = self.ending.order(("STOPPED", reason), now_ms(), grace_ms, notice_ms)
        if is_first and notice_ms and self.child is not None and self.status is None:
            # Only to the shard's first process: most of these signals end one that has no handler
            # for them, and what it has started, data loaders for example, must outlive the notice.
            processes.kill_group(self.child.pid, _SIGCONT)
            processes.kill(self.child.pid, signal)

    def _has_checkpointed(self) -> bool:
        """Say whether a checkpoint has become complete since the notice."""
        return checkpoint_stamp(CHECKPOINT_FILE) not in (None, self.checkpoint_before)

    def _keep_deadlines(self) -> None:
        now, ending = now_ms(), self.ending
        if now >= self.lease_read_ms + _TICK_MS or now >= self._lease_stop_ms():
            self._read_lease()
        if self.lease_deadline_ms is not None and now >= self._lease_stop_ms():
            detail = f"node {self.spec['node']} had no word from the scheduler for its lease"
            ending.order(("LEASE_EXPIRED", detail), now, max(self.lease_deadline_ms - now, 0))
        if self.child is None:
            return
        is_acknowledged = ending.is_noticed and self._has_checkpointed()
        # Without any grace there is no SIGTERM: the end is then the same every time.
        takes_term = ending.takes_term(now, is_acknowledged)
        if takes_term and self.status is None and not ending.is_over_by(now):
            processes.kill_group(self.child.pid, _SIGCONT)
            processes.kill_group(self.child.pid, _SIGTERM)
        if ending.takes_kill(now, _TICK_MS):
            processes.kill_group(self.child.pid)
            for pid in processes.descendants(os.getpid()):
                processes.kill(pid)

    def _lease_stop_ms(self) -> int:
        """Give when to stop, going by what was last read; never, when the end comes before."""
        if self.lease_deadline_ms is None or self.ending.is_over_by(self.lease_deadline_ms):
            return now_ms() + _TICK_MS
        # A grace longer than the lease itself must not stop a shard that is in contact.
        return self.lease_deadline_ms - min(int(self.spec["grace_ms"]), self.lease_ms // 3)

    def _read_lease(self) -> None:
        """Read what the agent last wrote; when it cannot be read, the last word stands."""
        self.lease_read_ms = now_ms()
        try:
            with open(self.spec["lease_file"]) as file:
                deadline, length = file.read().split()
            self.lease_deadline_ms, self.lease_ms = int(deadline), int(length)
        except (OSError, ValueError):
            pass

    def _watch_memory(self) -> None:
        pids = processes.descendants(os.getpid())
        rss_mib, limit_mib = processes.rss_mib(pids), self.spec["memory_mib"]
        if rss_mib > limit_mib:  # confirm without counting shared pages twice
            rss_mib = processes.pss_mib(pids) or rss_mib
        self.rss_mib_max = max(self.rss_mib_max, rss_mib)
        if rss_mib > limit_mib:
            detail = f"its processes used {rss_mib} MiB, more than the {limit_mib} MiB it asked for"
            self.ending.order(("OUT_OF_MEMORY", detail), now_ms(), 0)

    # -- end

    def _reap(self) -> bool:
        """Collect ended children, orphans among them. False: no child is left at all."""
        assert self.child is not None
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            self.cpu_s += usage.ru_utime + usage.ru_stime
            self.rss_mib_max = max(self.rss_mib_max, usage.ru_maxrss >> 10)
            if pid == self.child.pid:
                self.status = status
                self.poller.unregister(self.pidfd)

    def _sweep(self) -> None:
        """Kill whatever the leader left behind, and wait until nothing of the shard lives."""
        assert self.child is not None
        processes.kill_group(self.child.pid)  # once: an empty group's id may become somebody else's
        tick_ms = _SWEEP_TICK_MS
        while self._reap():
            for pid in processes.descendants(os.getpid()):
                processes.kill(pid)
            self._step(tick_ms)
            tick_ms = min(2 * tick_ms, _TICK_MS)  # one that cannot be killed is waited for, calmly
        while self._read_output():
            pass

    def _exit(self, wall_ms: int) -> Record:
        """Say how it ended: our own order first, then proof of memory, else the program itself."""
        assert self.status is not None
        code = os.waitstatus_to_exitcode(self.status)
        exit: Record = {"code": code} if code >= 0 else {"signal": -code}
        oom_kills = self.group.oom_kills() if self.group is not None else 0
        if oom_kills and code != 0:
            reason = "OUT_OF_MEMORY"
            detail = (
                f"used more than the {self.spec['memory_mib']} MiB it asked for; "
                f"the kernel killed {oom_kills} of its processes"
            )
        elif self.ending.cause is not None:
            reason, detail = self.ending.cause
        else:
            reason, detail = "EXITED", self._last_words(code)
        if oom_kills and reason == "EXITED":  # the program itself went on
            detail = (
                f"the kernel killed {oom_kills} of its processes for more than the "
                f"{self.spec['memory_mib']} MiB it asked for"
            )
        if self.log.lost_bytes:
            detail += f" ({self.log.lost_bytes} bytes of output were lost: the disk refused them)"
        return {
            **exit,
            "reason": reason,
            "detail": detail.lstrip(),
            "wall_ms": wall_ms,
            "cpu_ms": int(self.cpu_s * 1000),
            "rss_mib_max": self.rss_mib_max,
        }

    def _last_words(self, code: int) -> str:
        if code == 0:
            return ""
        if code == -processes.SIGKILL:
            oom = _machine_oom_kills() > self.oom_kills_before
            return "killed by a SIGKILL that AI Mass did not send" + (
                "; the machine ran out of memory meanwhile" if oom else ""
            )
        with open("log", "rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - _LOG_TAIL_BYTES, 0))
            lines = file.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"last line of its output: {last[:300]}" if last.isprintable() and last else ""

    def _record(self, exit: Record) -> None:
        """Make the end durable; whoever sees exit.json knows that nothing of the shard lives."""
        if self.group is not None:
            self.group.remove()
        detail, dropped = exit["detail"], 0
        while True:
            try:
                write_reserved("reserve", "exit.json", exit)
                break
            except OSError as error:
                freed = self._free_space() if error.errno in (ENOSPC, EDQUOT) else 0
            dropped += freed
            if dropped:
                exit["detail"] = f"{detail} ({dropped} bytes of its output were dropped: disk full)"
            if not freed:  # the end is told when there is space again
                time.sleep(_TICK_MS / 1000)
        try:
            os.unlink("control")
        except FileNotFoundError:
            pass

    def _free_space(self) -> int:
        """Give up some of the shard's own output for its end; 0: there is none left to give."""
        try:
            return self.log.give_space_back()
        except OSError:
            return 0


def _machine_oom_kills() -> int:
    """Count the kernel's kills for want of memory since boot, of anything on this machine."""
    try:
        with open("/proc/vmstat") as file:
            return next((int(line[9:]) for line in file if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0
