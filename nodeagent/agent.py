"""The node's state and the one task that changes the world to fit what is desired.

Everything here runs on the event loop's thread; only file and process work leaves it. The link
brings desired sets in and takes reports out; shims do the rest whether or not this process lives.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import assert_never

import structlog

from aimass.nodeagent import processes, shards
from aimass.nodeagent.crash import crash_point
from aimass.nodeagent.durable import Record
from aimass.nodeagent.home import Home
from aimass.nodeagent.launch import NodeFacts
from aimass.nodeagent.ports import free_port, hold_port
from aimass.nodeagent.prune import Pruner
from aimass.nodeagent.reconcile import (
    Action,
    Fence,
    Forget,
    Launch,
    Phase,
    ReservePort,
    ShardKey,
    Stop,
    reconcile,
)
from aimass.nodeagent.shim_main import now_ms
from aimass.nodeagent.start import intent, start
from aimass.nodeagent.translate import (
    STATES,
    Report,
    Shard,
    checkpoint_report,
    shard_report,
    wanted_of,
)
from aimass.v1 import agent_pb2

_SETTLE_RETRY_S_MIN, _SETTLE_RETRY_S_MAX = 1.0, 60.0
_RETRY_S = 0.02  # for what cannot be waited on: a shim that somebody else started

log = structlog.get_logger()


class Agent:
    """Holds the local state. `report` is called with every change and checkpoint of a shard."""

    def __init__(
        self,
        home: Home,
        facts: NodeFacts,
        boot_id: str,
        cgroup_parent: str,
        report: Callable[[Report], None],
    ) -> None:
        self.home = home
        self.facts = facts
        self.boot_id = boot_id
        self.cgroup_parent = cgroup_parent
        self.report = report
        self.device_uuids: set[str] = set()
        self.shards: dict[ShardKey, Shard] = {}
        self.desired: dict[ShardKey, agent_pb2.Assignment] | None = None  # None: nothing heard yet
        self._lease_deadline_ms = 0
        self._changed = asyncio.Event()
        self._acted = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pruner = Pruner(home.shards)

    # -- in and out

    def adopt_all(self) -> None:
        """Take over what an earlier agent left; only reads, what is left open is settled later."""
        for key, found in shards.scan(self.home.shards, self.boot_id):
            self.shards[key] = Shard(self.home.shards / key.folder, found.phase)
            self._take(key, found, is_news=False)

    def take_desired(self, desired: agent_pb2.DesiredSet) -> bool:
        """Accept a desired set, unless its (term, generation) is older than one obeyed: False."""
        fence = Fence(desired.term, desired.generation)
        if not self.home.fence.admits(fence.term, fence.generation):
            log.warning("desired set refused: older", term=fence.term, generation=fence.generation)
            return False
        self.home.obey(fence, self.home.cluster_id)
        self.desired = {}
        for assignment in desired.assignments:
            key = ShardKey(assignment.job_id, assignment.attempt, assignment.rank)
            if ShardKey.of_folder(key.folder) != key or "/" in key.job_id or key.job_id[0] == ".":
                log.error("assignment ignored: no usable job id", job=key.job_id)
                continue
            self.desired[key] = assignment
        self._changed.set()
        return True

    def extend_lease(self, sent_ms: int, lease_ms: int) -> None:
        """Count a lease from when its request was SENT (`now_ms`), so it never ends late here."""
        was_leased = self.is_leased()
        self._lease_deadline_ms = sent_ms + lease_ms  # the newest word counts, a shorter one too
        self.home.write_lease(self._lease_deadline_ms, lease_ms)
        if not was_leased:
            self._changed.set()

    def is_leased(self) -> bool:
        """Say whether the scheduler still counts on this node; without that nothing is launched."""
        return now_ms() < self._lease_deadline_ms

    def reports(self) -> list[agent_pb2.ShardReport]:
        """Report every shard the scheduler may not know the state of, for Register."""
        return [shard_report(key, s) for key, s in self.shards.items() if s.phase in STATES]

    def checkpoints(self) -> list[agent_pb2.CheckpointReport]:
        """Report the newest checkpoint of every shard that `reports` has, for Register."""
        found = [(key, shard) for key, shard in self.shards.items() if shard.phase in STATES]
        for _, shard in found:
            shard.sees_checkpoint()
        return [checkpoint_report(key, shard) for key, shard in found if shard.checkpoint]

    def report_checkpoints(self) -> None:
        """Report what running shards have completed since the last look; for every heartbeat."""
        for key, shard in self.shards.items():
            if shard.phase is Phase.RUNNING:
                self._report_checkpoint(key, shard)

    def _report_checkpoint(self, key: ShardKey, shard: Shard) -> None:
        if shard.sees_checkpoint():
            crash_point("agent-before-checkpoint-report")
            self.report(checkpoint_report(key, shard))

    def has_ended(self, key: ShardKey) -> bool:
        """Say whether a shard will write no more output here."""
        shard = self.shards.get(key)
        return shard is None or shard.phase is Phase.EXITED

    async def until_known(self, key: ShardKey) -> None:
        """Wait until a wanted shard has started or ended; at once for one that is not wanted."""
        while key in (self.desired or {}):
            if (shard := self.shards.get(key)) and shard.phase in STATES:
                return
            await self._acted.wait()

    async def run(self) -> None:
        """Do what reconciling asks for, whenever something has changed. Ends by cancellation."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._acted.set()
            self._acted = asyncio.Event()
            if self.desired is None:
                continue
            wanted = {key: wanted_of(a) for key, a in self.desired.items()}
            local = {key: shard.local() for key, shard in self.shards.items()}
            for action in reconcile(wanted, local):
                try:
                    await self._perform(action)
                except (OSError, ValueError) as error:
                    log.error("could not be done", action=repr(action), why=str(error))
                    self._retry(1.0)

    def close(self) -> None:
        """Let go of everything; the shards go on."""
        for shard in self.shards.values():
            self._unwatch(shard)
            if shard.port_socket is not None:
                shard.port_socket.close()

    # -- actions

    async def _perform(self, action: Action) -> None:
        assert self.desired is not None
        match action:
            case Launch(key):
                assignment = self.desired.get(key)  # it may have changed since
                if assignment and assignment.goal != agent_pb2.GOAL_STOP and self.is_leased():
                    await self._launch(key, assignment)
            case Stop():
                await self._stop(action)
            case ReservePort(key):
                await self._reserve_port(key)
            case Forget(key):
                await self._forget(key)
            case _:
                assert_never(action)

    async def _launch(self, key: ShardKey, assignment: agent_pb2.Assignment) -> None:
        if not assignment.HasField("launch"):
            # The scheduler holds it for running and we have no trace of it: never start it twice.
            # It will say so itself when this agent registers next.
            log.error("a running shard is unknown here", shard=key.folder)
            return
        folder = self.home.shards / key.folder
        shard = self.shards.setdefault(key, Shard(folder, Phase.INTENDED))
        shard.grace_ms = assignment.grace_ms
        missing = [u for u in assignment.launch.device_uuids if u not in self.device_uuids]
        if missing:
            detail = f"node {self.facts.node_id} has no device {', '.join(missing)}"
            await self._fail(key, detail, "LAUNCH_FAILED")
            return
        port = assignment.launch.master_port or shard.port or free_port()
        boot, parent = self.boot_id, self.cgroup_parent
        spec = intent(
            key, assignment, self.home, self.facts, port=port, boot_id=boot, cgroup_parent=parent
        )
        if shard.port_socket is not None:
            shard.port_socket.close()
            shard.port_socket = None
        shard.phase = Phase.LAUNCHING
        try:
            started = await asyncio.to_thread(start, folder, spec, boot)
        except (OSError, ValueError) as error:
            await self._fail(key, f"node {self.facts.node_id} could not start it: {error}")
            return
        if isinstance(started, shards.Found):  # it has been started before
            shard.phase = started.phase
            self._take(key, started)
            return
        shard.shim_pid, ready = started
        log.info("launched", shard=key.folder, shim=shard.shim_pid)
        self._watch(shard, ready, self._on_ready, key)
        self._watch(shard, os.pidfd_open(shard.shim_pid), self._on_shim_end, key)

    async def _stop(self, stop: Stop) -> None:
        key, grace_ms, reason = stop.key, stop.grace_ms, stop.reason
        notice = stop.notice_ms, stop.notice_signal
        folder = self.home.shards / key.folder
        shard = self.shards.setdefault(key, Shard(folder, Phase.INTENDED))
        if not shard.phase.is_live:
            end = {"reason": "STOPPED", "detail": f"{reason or 'stopped'}; it never started"}
            self._take(key, await asyncio.to_thread(shards.record_end, folder, end))
        elif shards.order_stop(folder, grace_ms, reason, *notice):
            log.info("stopping", shard=key.folder, grace_ms=grace_ms, notice=notice, why=reason)
            if stop.notice_ms:
                crash_point("agent-after-notice")
            shard.take_stop(grace_ms, stop.notice_ms)
        else:
            self._retry(_RETRY_S)  # its shim is just starting or just ending

    async def _reserve_port(self, key: ShardKey) -> None:
        folder = self.home.shards / key.folder
        port_socket = hold_port(0)
        port = port_socket.getsockname()[1]
        await asyncio.to_thread(shards.write_port, folder, port)
        shard = Shard(folder, Phase.PREPARED, port=port, port_socket=port_socket)
        self.shards[key] = shard
        self.report(shard_report(key, shard))

    async def _forget(self, key: ShardKey) -> None:
        shard = self.shards.pop(key)
        await asyncio.to_thread(shards.forget, shard.folder)
        log.info("forgotten", shard=key.folder)
        self._pruner.want()

    async def _fail(self, key: ShardKey, detail: str, reason: str = "SUPERVISOR_LOST") -> None:
        """End a shard that could not be launched; reason: whose fault. A full disk is no hurdle."""
        shard = self.shards[key]
        end = {"reason": reason, "detail": detail}
        try:
            found = await asyncio.to_thread(shards.record_end, shard.folder, end)
        except OSError as error:
            log.error("end not recorded", shard=key.folder, why=str(error))
            found = shards.Found(Phase.EXITED, exit=end)
        self._take(key, found)

    # -- what shims do

    def _on_ready(self, key: ShardKey, fd: int) -> None:
        shard = self.shards[key]
        word = os.read(fd, 1)
        self._unwatch(shard, fd)
        if word == b"1" and shard.phase is Phase.LAUNCHING:
            self._begin(key, shards.read_folder(shard.folder, self.boot_id))

    def _on_shim_end(self, key: ShardKey, fd: int) -> None:
        self._unwatch(self.shards[key], fd)
        self._spawn_settle(key)

    def _spawn_settle(self, key: ShardKey, retry_s: float = _SETTLE_RETRY_S_MIN) -> None:
        self._spawn(self._settle(key, retry_s))

    async def _settle(self, key: ShardKey, retry_s: float) -> None:
        """See what became of a shard whose shim has ended, or is not ours to wait for."""
        shard = self.shards.get(key)
        if shard is None:
            return
        code = shard.take_shim_status()
        try:
            found = await asyncio.to_thread(shards.look, shard.folder, self.boot_id)
        except (OSError, ValueError) as error:  # a full disk, say: its end is not on record yet
            log.error("cannot settle", shard=key.folder, why=str(error), retry_s=retry_s)
            next_s = min(2 * retry_s, _SETTLE_RETRY_S_MAX)
            asyncio.get_running_loop().call_later(retry_s, self._spawn_settle, key, next_s)
            return
        if found.phase is Phase.INTENDED and code not in (0, shards.ALREADY_OWNED):
            last = await asyncio.to_thread(shards.last_error, shard.folder) or f"status {code}"
            await self._fail(key, f"its shim failed on node {self.facts.node_id}: {last}")
            return
        self._take(key, found)

    def _take(self, key: ShardKey, found: shards.Found, is_news: bool = True) -> None:
        """Make the local state what the folder says, and report it if the link may not know."""
        shard = self.shards[key]
        shard.port = found.port or shard.port
        shard.grace_ms = found.spec.get("grace_ms", shard.grace_ms)
        if found.phase is Phase.EXITED:
            if shard.phase is Phase.LAUNCHING and "wall_ms" in found.exit:
                self._begin(key, found)  # it ran and ended before we looked
            self._end(key, found.exit, is_news)
        elif found.phase is Phase.RUNNING:
            self._begin(key, found, is_news)
            self._watch_adopted(key, found.shim["shim_pid"], found.shim["shim_start"])
        elif found.phase is Phase.LAUNCHING:
            shard.phase = Phase.LAUNCHING
            asyncio.get_running_loop().call_later(_RETRY_S, self._spawn_settle, key)
        else:
            shard.phase = found.phase
            if found.phase is Phase.PREPARED and shard.port_socket is None:
                shard.port_socket = hold_port(found.port)
        self._changed.set()

    def _begin(self, key: ShardKey, found: shards.Found, is_news: bool = True) -> None:
        shard = self.shards[key]
        shard.pid = found.shim.get("pid", 0)
        shard.phase = Phase.RUNNING
        if is_news:
            self.report(shard_report(key, shard))
        self._changed.set()

    def _end(self, key: ShardKey, exit: Record, is_news: bool) -> None:
        shard = self.shards[key]
        shard.phase, shard.exit = Phase.EXITED, exit
        self._unwatch(shard)
        if shard.port_socket is not None:
            shard.port_socket.close()
            shard.port_socket = None
        if is_news:
            self._report_checkpoint(key, shard)  # first: nothing is heard of it once it has ended
            log.info("ended", shard=key.folder, **exit)
            crash_point("agent-before-report")
            self.report(shard_report(key, shard))

    def _watch_adopted(self, key: ShardKey, shim_pid: int, shim_start: int) -> None:
        shard = self.shards[key]
        if shard.fds:
            return
        try:
            fd = os.pidfd_open(shim_pid)
        except ProcessLookupError:
            self._spawn_settle(key)
            return
        self._watch(shard, fd, self._on_shim_end, key)
        if not processes.is_same(shim_pid, shim_start):  # the pid is somebody else's by now
            self._on_shim_end(key, fd)

    # -- small change

    def _watch(
        self, shard: Shard, fd: int, on_readable: Callable[[ShardKey, int], None], key: ShardKey
    ) -> None:
        shard.fds.append(fd)
        asyncio.get_running_loop().add_reader(fd, on_readable, key, fd)

    def _unwatch(self, shard: Shard, only: int | None = None) -> None:
        for fd in [fd for fd in shard.fds if only in (None, fd)]:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
            shard.fds.remove(fd)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _retry(self, delay_s: float) -> None:
        asyncio.get_running_loop().call_later(delay_s, self._changed.set)
