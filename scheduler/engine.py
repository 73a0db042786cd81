"""The engine: one task that owns the state. Requests in, one durable append per batch, replies out.

    inbox -> apply to memory -> decide -> check -> apply the plan -> ONE append -> replies, desired
    sets, watchers

It sleeps until something comes into the inbox or something falls due, which a Tick then says.
Nothing leaves before it is durable, reads included: they pass through the same inbox. When the disk
is full the batch is refused, the state is read back from the journal, and writes are refused until
a small test write succeeds. Any other failure ends the process: the next one recovers.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

import structlog

from aimass.core.apply import apply
from aimass.core.cluster import Cluster
from aimass.core.codec import encode_events
from aimass.core.events import (
    ClusterCreated,
    Event,
    NodeSilent,
    PlanCommitted,
    TermStarted,
    Tick,
)
from aimass.core.journal import Journal, JournalError, JournalFullError
from aimass.core.model import NodeId, NodeState
from aimass.core.policy import Policy
from aimass.core.timers import next_timer_ms
from aimass.policies.registry import make_policy
from aimass.scheduler.crash import crash_point
from aimass.scheduler.deciding import Decisions, StuckError
from aimass.scheduler.errors import Refused, unavailable
from aimass.scheduler.inbox import Context, Handler, Request, answer, outcome_of
from aimass.scheduler.recovery import collect_all, freeze_rows, recover, take_snapshot

log = structlog.get_logger()
T = TypeVar("T")

BATCH_MAX = 200  # requests settled by one append; of 4 MiB each they fit one row of SQLite
RECENT_MAX = 10_000  # events kept in memory for watchers
SNAPSHOT_EVERY = 200_000  # events between snapshots; a restart replays at most so many
DECISIONS_MAX = 4  # in a row; what is left comes with the next event
FREEZE_EVERY = 5_000  # events between freezes of what they made
PROBE_EVERY_S = 0.5  # doubled at each loss in a row: reading the state back costs all
PROBE_EVERY_S_MAX = 30.0
TICK_EVERY_MS = 100  # ticks are at least so far apart
SLEEP_S_MAX = 60.0  # then look at the clock again: somebody may have set it


class Engine:
    """Owns the Cluster and its journal. Everything else asks it."""

    def __init__(self, journal: Journal, policy: Policy) -> None:
        self.decisions = Decisions(policy, make_policy("priority", "best-fit"))
        self.refusing = ""  # why writes are refused now; empty: they are not
        self.recent: deque[tuple[int, Event]] = deque(maxlen=RECENT_MAX)
        self.on_commit: list[Callable[[Cluster, list[Event]], None]] = []
        self.on_recovered: list[Callable[[], None]] = []  # memory was read back: ask agents again
        # Nodes that were ready when this process began, and are not back: nothing is decided yet.
        self.awaited: set[NodeId] = set()
        self._journal = journal
        self._inbox: asyncio.Queue[Request] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._cluster = Cluster()
        self._durable = 0
        self._snapshot_at = 0
        self._frozen_at = 0
        self._next_probe_s = 0.0
        self._probe_every_s = PROBE_EVERY_S
        self._probe_bytes = 0  # of the batch that found no space: as many must fit again
        self._ticked_ms = 0
        self._alarm: asyncio.TimerHandle | None = None  # wakes run() when something falls due
        self._stopping = False
        self._ended = False

    # ---- for everybody --------------------------------------------------------------------------

    async def tell(self, handler: Handler[T]) -> T:
        """Run a handler that may change state; returns when its events are durable.

        Raises what the handler raises (nothing changed), or Refused when the journal is full.
        """
        return await self._ask(handler, writes=True)

    async def ask(self, handler: Handler[T]) -> T:
        """Run a handler that only reads; returns when what it saw is durable."""
        return await self._ask(handler, writes=False)

    def _ask(self, handler: Handler[T], writes: bool) -> asyncio.Future[T]:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._ended:
            future.set_exception(unavailable("the scheduler is stopping", fix="try again soon"))
            return future
        self._inbox.put_nowait(Request(handler, writes, future))
        return future

    @property
    def policy(self) -> Policy:
        """The configured policy."""
        return self.decisions.policy

    @property
    def next_tick_ms(self) -> int:
        """When time alone may change something; 0: never."""
        due = (next_timer_ms(self._cluster), self.decisions.last.wake_ms)
        return min((at_ms for at_ms in due if at_ms), default=0)

    @property
    def revision(self) -> int:
        """Number of events that are durable."""
        return self._durable

    def go_on(self, context: Context) -> None:
        """Decide from now on, though some nodes are not back; a handler for tell()."""
        log.warning("nodes did not come back", nodes=sorted(self.awaited))
        self.awaited.clear()
        context.emit(Tick(context.now_ms))

    async def recheck(self) -> None:
        """While writes are refused, look whether there is space again; does nothing otherwise."""
        if self.refusing:
            with contextlib.suppress(Refused):
                await self.tell(lambda context: None)

    async def changed_after(self, revision: int) -> None:
        """Return when there is a durable event after that revision."""
        while self._durable <= revision:
            await self._changed.wait()

    async def events_after(self, revision: int) -> list[tuple[int, Event]]:
        """Durable events after a revision, at most RECENT_MAX; from memory, else the journal."""
        if self.recent and self.recent[0][0] <= revision + 1:
            skip = max(0, revision + 1 - self.recent[0][0])
            return [self.recent[i] for i in range(skip, len(self.recent))]
        return await asyncio.to_thread(self._read_some, revision)

    def read_journal(self) -> Iterator[tuple[int, Event]]:
        """(revision, event) of all that is durable, from the first; for a thread of its own."""
        return self._journal.read(0)

    def _read_some(self, revision: int) -> list[tuple[int, Event]]:
        found = []
        for entry in self._journal.read(revision):
            found.append(entry)
            if len(found) == RECENT_MAX:
                break
        return found

    # ---- start, run, stop -----------------------------------------------------------------------

    async def start(self, cluster_id: Callable[[], str]) -> None:
        """Recover, take the leadership, and mark every node silent until its agent is back."""
        self._cluster = await asyncio.to_thread(recover, self._journal)
        self._durable = self._snapshot_at = self._cluster.revision
        term = await asyncio.to_thread(self._journal.lead)
        context = Context(self._cluster, self._now_ms(), self.decisions)
        if self._cluster.revision == 0:
            context.emit(ClusterCreated(context.now_ms, cluster_id()))
        context.emit(TermStarted(context.now_ms, term))
        for node in self._cluster.nodes.values():
            if node.state is NodeState.READY:
                self.awaited.add(node.id)
                reason = "the scheduler restarted; its agent has not come back yet"
                context.emit(NodeSilent(context.now_ms, node.id, reason))
        await self._store(context.events)
        self._publish(context.events)
        log.info("leading", term=term, revision=self._durable, jobs=len(self._cluster.jobs))

    async def run(self) -> None:
        """Settle batches until stop(). Raises JournalError when it must not go on."""
        try:
            while not self._stopping:
                self._set_alarm()
                batch = [await self._inbox.get()]
                while len(batch) < BATCH_MAX and not self._inbox.empty():
                    batch.append(self._inbox.get_nowait())
                await self._settle(batch)
        finally:  # nobody waits for an engine that is no more
            self._ended = True
            if self._alarm is not None:
                self._alarm.cancel()
            while not self._inbox.empty():
                self._inbox.get_nowait().future.cancel()

    def _set_alarm(self) -> None:
        """Have an empty request in the inbox when something falls due.

        Not while writes are refused: a tick could not be recorded, and recheck() comes often.
        """
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        due_ms = self.next_tick_ms
        if due_ms and not self.refusing:
            left_ms = max(due_ms, self._ticked_ms + TICK_EVERY_MS) - self._now_ms()
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(
                min(max(0, left_ms) / 1000, SLEEP_S_MAX), self._ask, _nothing, False
            )

    async def stop(self) -> None:
        """Settle what is in the inbox, end run(), and leave a snapshot for the next start."""

        def last(context: Context) -> None:
            self._stopping = True

        await self.ask(last)
        await self.snapshot()

    async def snapshot(self) -> None:
        """Write a snapshot of what is durable, so that the next start replays little."""
        if self._durable > self._snapshot_at:
            self._snapshot_at = self._durable  # also when it fails: the next try is a while later
            snapshot = take_snapshot(self._cluster)
            try:
                await asyncio.to_thread(self._journal.save_snapshot, snapshot)
            except JournalError as error:  # a snapshot is a cache: the events are all there
                log.warning("no snapshot", reason=str(error))
                return
            log.info("snapshot", revision=snapshot.revision, bytes=len(snapshot.data))

    # ---- one batch ------------------------------------------------------------------------------

    async def _settle(self, batch: list[Request]) -> None:
        if self.refusing and any(r.writes for r in batch) and not await self._has_space():
            self._refuse([r for r in batch if r.writes])
            batch = [r for r in batch if not r.writes]
        context = Context(self._cluster, self._now_ms(), self.decisions)
        outcomes = [(request, outcome_of(request, context)) for request in batch]
        if not context.events and not self.refusing and self._is_due(context.now_ms):
            context.emit(Tick(context.now_ms))
        if context.events:
            self._ticked_ms = context.now_ms  # every event tells the time
            await self._decide(context)
            try:
                await self._store(context.events)
            except JournalFullError as full:
                await self._lose([r for r in batch if r.writes], full, context.events)
                reading = Context(self._cluster, self._now_ms(), self.decisions)
                outcomes = [(r, outcome_of(r, reading)) for r in batch if not r.writes]
            else:
                self._probe_every_s = PROBE_EVERY_S
                self._publish(context.events)
        answer(outcomes)
        if self._durable - self._frozen_at >= FREEZE_EVERY:
            self._frozen_at = self._durable
            freeze_rows()
        if self._durable - self._snapshot_at >= SNAPSHOT_EVERY:
            await self.snapshot()
            collect_all()

    def _is_due(self, now_ms: int) -> bool:
        due_ms = self.next_tick_ms
        return bool(due_ms) and max(due_ms, self._ticked_ms + TICK_EVERY_MS) <= now_ms

    async def _decide(self, context: Context) -> None:
        """Decide and commit; whoever lost a claim is looked at again at once."""
        if self.awaited:
            return
        for _ in range(DECISIONS_MAX):
            if not await self._decide_once(context):
                return

    async def _decide_once(self, context: Context) -> bool:
        try:
            plan = self.decisions.decide(self._cluster)
        except StuckError:
            await self._rebuild(context)
            try:
                plan = self.decisions.decide(self._cluster)
            except StuckError:  # the built-in policy as well: nothing is decided this time
                await self._rebuild(context)
                return False
        if not plan.is_empty:
            context.emit(
                PlanCommitted(
                    context.now_ms,
                    plan.basis,
                    plan.policy,
                    plan.starts,
                    plan.stops,
                    plan.claims,
                    plan.unclaims,
                    plan.planned,
                    plan.unplanned,
                )
            )
        return bool(plan.unclaims)

    async def _rebuild(self, context: Context) -> None:
        """A decision was broken off between any two steps: only the journal knows the state."""
        self._cluster = await asyncio.to_thread(recover, self._journal)
        self.decisions.forget()
        for event in context.events:
            apply(self._cluster, event)
        context.cluster = self._cluster

    async def _store(self, events: list[Event]) -> None:
        crash_point("scheduler-before-append")
        first, term = self._durable + 1, self._cluster.term
        await asyncio.to_thread(self._journal.append, events, first, term)
        crash_point("scheduler-after-append")
        self.recent.extend(enumerate(events, first))
        self._durable += len(events)
        assert self._durable == self._cluster.revision, "memory and journal have parted"

    def _publish(self, events: list[Event]) -> None:
        for observer in self.on_commit:
            observer(self._cluster, events)
        self._changed.set()
        self._changed = asyncio.Event()

    def _now_ms(self) -> int:
        """Wall time that never runs backwards: the core orders by it."""
        return max(time.time_ns() // 1_000_000, self._cluster.now_ms)

    # ---- no space -------------------------------------------------------------------------------

    async def _lose(
        self, writes: list[Request], error: JournalFullError, events: list[Event]
    ) -> None:
        """The batch is not in the journal: take it out of memory as well, and say so."""
        self.refusing = str(error)
        self._probe_bytes = len(encode_events(events))
        self._probe_every_s = min(PROBE_EVERY_S_MAX, 2 * self._probe_every_s)
        log.error("writes refused", reason=self.refusing, revision=self._durable)
        self._cluster = await asyncio.to_thread(recover, self._journal)
        self.decisions.forget()
        assert self._cluster.revision == self._durable, "a refused batch is in the journal"
        self._refuse(writes)

    async def _has_space(self) -> bool:
        if time.monotonic() < self._next_probe_s:
            return False
        self._next_probe_s = time.monotonic() + self._probe_every_s
        try:
            await asyncio.to_thread(self._journal.probe, self._probe_bytes)
        except JournalError as error:
            log.warning("still no space", reason=str(error))
            return False
        log.info("writes accepted again", after=self.refusing)
        self.refusing = ""
        for observer in self.on_recovered:
            observer()
        return True

    def _refuse(self, requests: list[Request]) -> None:
        for request in requests:
            if not request.future.cancelled():
                request.future.set_exception(
                    unavailable(
                        "the scheduler cannot record anything now; nothing was changed",
                        why=self.refusing,
                        fix="free disk space under the scheduler's --data folder, then try again",
                    )
                )


def _nothing(context: Context) -> None:
    """The request that only wakes the engine."""
