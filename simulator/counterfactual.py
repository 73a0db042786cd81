"""A recorded journal once more in virtual time: under its own policy, another one, or elsewhere.

Whatever came from outside comes again when it came: jobs as they were submitted, cancels, holds,
queues, nodes that join, fall silent, are drained. Plans are made anew by `decide`, and proved;
starts, checkpoints and ends follow from the work that each job was and from the measured delays.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.check import check
from aimass.core.cluster import Cluster
from aimass.core.decider import Decider
from aimass.core.model import Exit, ExitReason, Job, JobId, ShardState
from aimass.core.policy import Policy
from aimass.core.speeds import NORMAL_MICRO
from aimass.core.timers import next_timer_ms
from aimass.simulator.clusters import Kinds, registrations
from aimass.simulator.observed import Observer
from aimass.simulator.recorded import ENDLESS, Recorded, speed_micro
from aimass.simulator.run import ROUNDS_MAX, TICKS_MAX, SimulationError

_ON_NODES = (
    ev.NodeRegistered,
    ev.InventoryChanged,
    ev.NodeSilent,
    ev.LeaseExpired,
    ev.NodeCordoned,
    ev.NodeUncordoned,
    ev.WindowPut,
    ev.WindowDeleted,
)
_STOP_NOBODY = (ev.JobSubmitted, ev.JobUpdated, ev.QueuePut)
_STOPPED = Exit(reason=ExitReason.STOPPED)
_LOST = Exit(reason=ExitReason.NODE_LOST)
_BEGIN, _SAVE, _END, _LEAVE, _LEAVE_EARLY, _RANK = range(6)  # _RANK + n: rank n ends
_LEAVING = (_LEAVE, _LEAVE_EARLY)


def again(
    recorded: Recorded, policy: Policy, kinds: Kinds | None = None, has_own_delays: bool = False
) -> Observer:
    """What would have become of the recorded jobs. kinds: on these nodes instead of its own.

    Starts and stops take the medians; has_own_delays: what they took of the same attempt, where the
    journal has one. That is known only afterwards: it tells how much of a deviation is delays.

    Nodes of other kinds are there from the first event on and never fail; reservations of nodes do
    not come then. Raises SimulationError.
    """
    outside = recorded.outside if kinds is None else list(_elsewhere(recorded.outside, kinds))
    replay = _Again(recorded, outside, policy, has_own_delays)
    while replay.step():
        pass
    return replay.seen


def _elsewhere(outside: list[ev.Event], kinds: Kinds) -> Iterator[ev.Event]:
    is_open = False
    for event in outside:
        if not isinstance(event, _ON_NODES):
            yield event
        if isinstance(event, ev.TermStarted) and not is_open:
            is_open = True
            yield from registrations(kinds, event.at_ms)


@dataclass(slots=True)
class _Run:
    """An attempt that holds places. begin_ms: -1: it does not work yet. is_stopped: was told to."""

    attempt: int
    speed: int
    begin_ms: int = -1
    is_stopped: bool = False
    saves: bool = False  # on notice: before it is gone
    saved_ms: int = 0


class _Again:
    def __init__(
        self, recorded: Recorded, outside: list[ev.Event], policy: Policy, has_own_delays: bool
    ) -> None:
        self._has_own_delays = has_own_delays
        self.seen = Observer()
        self._cluster = Cluster()
        self._decider = Decider(policy)
        self._outside, self._next = outside, 0
        self._stories, self._delays = recorded.stories, recorded.delays
        self._left: dict[JobId, tuple[int, int]] = {}  # of which leg, and how much is to do of it
        self._runs: dict[JobId, _Run] = {}
        self._due: list[tuple[int, int, int, JobId, int]] = []
        self._sequence = self._ticks = self._wake_ms = 0

    def step(self) -> bool:
        """Go on to the next moment at which anything happens; False when there is none."""
        at_ms = self._moment()
        if at_ms is None:
            return False
        is_timed = 0 < next_timer_ms(self._cluster) <= at_ms
        happened = self._happen(at_ms)
        came = self._outside_until(at_ms)
        if not (happened or came):
            self._tell(ev.Tick(at_ms))
        if is_timed or any(not isinstance(event, _STOP_NOBODY) for event in came):
            self._follow()
        self._decide()
        return True

    def _moment(self) -> int | None:
        due = self._due
        while due and self._is_stale(due[0]):
            heappop(due)
        times_ms = [due[0][0]] if due else []
        if self._next < len(self._outside):
            times_ms.append(self._outside[self._next].at_ms)
        if not times_ms:
            self._ticks += 1
            if self._ticks > TICKS_MAX:
                return None
        cluster = self._cluster
        times_ms += [ms for ms in (self._wake_ms, next_timer_ms(cluster)) if ms]
        return max(cluster.now_ms, min(times_ms)) if times_ms else None

    def _tell(self, event: ev.Event) -> None:
        apply(self._cluster, event)
        self.seen.note(self._cluster, event)

    # ---- what came from outside -----------------------------------------------------------------

    def _outside_until(self, at_ms: int) -> list[ev.Event]:
        """Let it come again; what did."""
        first = self._next
        while self._next < len(self._outside) and self._outside[self._next].at_ms <= at_ms:
            event = self._outside[self._next]
            self._next += 1
            if self._is_possible(event, at_ms):
                self._tell(replace(event, at_ms=at_ms))
        return self._outside[first : self._next]

    def _is_possible(self, event: ev.Event, at_ms: int) -> bool:
        """Whether it can happen here as well; makes room for an agent that begins anew."""
        cluster = self._cluster
        if isinstance(event, ev.QueueDeleted):
            jobs = cluster.jobs.values()
            return not any(j.spec.queue == event.name and not j.state.is_over for j in jobs)
        if isinstance(event, ev.NodeRegistered):
            node = cluster.nodes.get(event.node_id)
            if node is not None and node.instance != event.instance:
                for key in list(node.holds):
                    self._tell(ev.ShardExited(at_ms, key.job_id, key.attempt, key.rank, _LOST))
        return True

    # ---- what happens by itself -----------------------------------------------------------------

    def _is_stale(self, entry: tuple[int, int, int, JobId, int]) -> bool:
        run = self._runs.get(entry[3])
        return run is None or run.attempt != entry[4] or run.is_stopped != (entry[2] in _LEAVING)

    def _later(self, at_ms: int, kind: int, job_id: JobId, run: _Run) -> None:
        self._sequence += 1
        heappush(self._due, (at_ms, self._sequence, kind, job_id, run.attempt))

    def _happen(self, at_ms: int) -> bool:
        happened = False
        acts: dict[int, Callable[[JobId, _Run, int], None]] = {
            _BEGIN: self._begin,
            _SAVE: self._save,
            _END: self._end,
            _LEAVE: self._leave,
            _LEAVE_EARLY: self._leave_early,
        }
        while self._due and self._due[0][0] <= at_ms:
            entry = heappop(self._due)
            if not self._is_stale(entry):
                happened = True
                kind, job_id, run = entry[2], entry[3], self._runs[entry[3]]
                if kind >= _RANK:
                    rank = kind - _RANK
                    self._tell(ev.ShardExited(at_ms, job_id, run.attempt, rank, Exit()))
                else:
                    acts[kind](job_id, run, at_ms)
        return happened

    def _begin(self, job_id: JobId, run: _Run, at_ms: int) -> None:
        """All its shards run."""
        for rank in range(len(self._cluster.jobs[job_id].current.shards)):
            self._tell(ev.ShardStarted(at_ms, job_id, run.attempt, rank, 1))
        run.begin_ms = at_ms
        story, (number, left_ms) = self._stories[job_id], self._left_of(job_id)
        if left_ms != ENDLESS and run.speed:
            end_ms = at_ms - (-left_ms * NORMAL_MICRO // run.speed)
            early_ms = story.legs[number].early_ms
            if len(early_ms) == len(self._cluster.jobs[job_id].current.shards):
                for rank, ms in enumerate(early_ms):
                    if ms:
                        self._later(max(at_ms, end_ms - ms), _RANK + rank, job_id, run)
            self._later(end_ms, _END, job_id, run)
        if story.save_every_ms:
            self._later(at_ms + story.save_every_ms, _SAVE, job_id, run)

    def _save(self, job_id: JobId, run: _Run, at_ms: int) -> None:
        self._tell(ev.CheckpointReported(at_ms, job_id, run.attempt))
        self._later(at_ms + self._stories[job_id].save_every_ms, _SAVE, job_id, run)

    def _end(self, job_id: JobId, run: _Run, at_ms: int) -> None:
        """The program ends as it did; one that failed takes its gang with it."""
        job, (number, _) = self._cluster.jobs[job_id], self._left_of(job_id)
        legs = self._stories[job_id].legs
        how, rank = legs[number].exit, legs[number].rank
        number = min(number + 1, len(legs) - 1)
        self._left[job_id] = (number, legs[number].work_ms)
        shards = len(job.current.shards)
        if how.is_success:
            for each, shard in enumerate(job.current.shards):
                if shard.state is not ShardState.EXITED:
                    self._tell(ev.ShardExited(at_ms, job_id, run.attempt, each, how))
        else:
            self._tell(ev.ShardExited(at_ms, job_id, run.attempt, min(rank, shards - 1), how))
        run.begin_ms = -1  # what it did counts already
        self._halt(job, run, at_ms)

    def _leave_early(self, job_id: JobId, run: _Run, at_ms: int) -> None:
        """All shards of the stopped attempt but the last that lives are gone."""
        shards = self._cluster.jobs[job_id].current.shards
        self._answer(job_id, run, at_ms)
        live = [n for n, shard in enumerate(shards) if shard.state is not ShardState.EXITED]
        for rank in live[:-1]:
            self._tell(ev.ShardExited(at_ms, job_id, run.attempt, rank, _STOPPED))

    def _leave(self, job_id: JobId, run: _Run, at_ms: int) -> None:
        """The stopped attempt is gone."""
        self._answer(job_id, run, at_ms)
        for rank, shard in enumerate(self._cluster.jobs[job_id].current.shards):
            if shard.state is not ShardState.EXITED:
                self._tell(ev.ShardExited(at_ms, job_id, run.attempt, rank, _STOPPED))
        del self._runs[job_id]

    def _answer(self, job_id: JobId, run: _Run, at_ms: int) -> None:
        """Tell of the checkpoint that it made on notice."""
        if run.saves:
            age_ms = at_ms - run.saved_ms
            self._tell(ev.CheckpointReported(at_ms, job_id, run.attempt, age_ms))
            run.saves = False

    # ---- stops ----------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Whoever was told to stop stops, and whose nodes are lost is gone. O(active)."""
        for job_id, run in list(self._runs.items()):
            self._halt(self._cluster.jobs[job_id], run, self._cluster.now_ms)

    def _halt(self, job: Job, run: _Run, at_ms: int) -> None:
        """Stop the run if it was told to, or drop it if no shard of it lives."""
        is_there = job.state.is_active and job.attempt == run.attempt
        if is_there and job.current.stop_goal is None:
            return
        if not run.is_stopped:
            story = self._stories[job.id]
            elapsed_ms = at_ms - run.begin_ms if run.begin_ms >= 0 else 0
            run.is_stopped = True
            run.saves = is_there and elapsed_ms > 0 and story.saves_when_told
            kept_ms = elapsed_ms - elapsed_ms % story.save_every_ms if story.save_every_ms else 0
            first_ms, last_ms = self._stop_ms(job, run)
            if run.saves:
                run.saved_ms = at_ms + min(first_ms, self._delays.save_ms)
                kept_ms = run.saved_ms - run.begin_ms
            self._keep(job.id, kept_ms * run.speed // NORMAL_MICRO)
            if is_there:
                if first_ms < last_ms:
                    self._later(at_ms + first_ms, _LEAVE_EARLY, job.id, run)
                self._later(at_ms + last_ms, _LEAVE, job.id, run)
        if not is_there:
            del self._runs[job.id]

    def _stop_ms(self, job: Job, run: _Run) -> tuple[int, int]:
        """How long after the order all shards but the last are gone, and that one."""
        own_ms = self._stories[job.id].stops_ms if self._has_own_delays else {}
        stop_ms = own_ms.get(run.attempt, self._delays.stop_ms)
        is_gang = len(job.attempts[-1].shards) > 1
        return max(0, stop_ms - self._delays.stop_spread_ms) if is_gang else stop_ms, stop_ms

    def _keep(self, job_id: JobId, work_ms: int) -> None:
        number, left_ms = self._left_of(job_id)
        if left_ms != ENDLESS:
            self._left[job_id] = (number, max(1, left_ms - work_ms))

    def _left_of(self, job_id: JobId) -> tuple[int, int]:
        return self._left.get(job_id) or (0, self._stories[job_id].legs[0].work_ms)

    # ---- decisions ------------------------------------------------------------------------------

    def _decide(self) -> None:
        """What massd does after a batch, again for what follows at the same moment."""
        cluster = self._cluster
        for _ in range(ROUNDS_MAX):
            plan = self._decider.decide(cluster)
            self._wake_ms = plan.wake_ms if plan.wake_ms > cluster.now_ms else 0
            if plan.is_empty:
                return
            plan, rejected = check(cluster, plan)
            if rejected:
                why = f"the plan for {rejected[0].job_id} was rejected: {rejected[0].reason}"
                raise SimulationError(why)
            parts = (plan.starts, plan.stops, plan.claims, plan.unclaims)
            promises = (plan.planned, plan.unplanned)
            at_ms = cluster.now_ms
            self._tell(ev.PlanCommitted(at_ms, plan.basis, plan.policy, *parts, *promises))
            for stop in plan.stops:
                self._halt(cluster.jobs[stop.job_id], self._runs[stop.job_id], at_ms)
            for start in plan.starts:
                speed = speed_micro(cluster, cluster.jobs[start.job_id], start.placements)
                run = self._runs[start.job_id] = _Run(start.attempt, speed)
                delays, story = self._delays, self._stories[start.job_id]
                own_ms = story.starts_ms if self._has_own_delays else {}
                is_first = start.attempt == 1
                median_ms = delays.first_start_ms if is_first else delays.next_start_ms
                begin_ms = at_ms + own_ms.get(start.attempt, median_ms)
                self._later(begin_ms, _BEGIN, start.job_id, run)
        raise SimulationError(f"{ROUNDS_MAX} decisions at {cluster.now_ms}, and no end")
