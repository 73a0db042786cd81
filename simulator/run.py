"""run(jobs, ...): the production scheduler in virtual time.

Events in order of time, and after each moment what massd does after a batch: decide, check, commit,
until nothing more follows. At one moment ends come first, then submissions in the order of the
trace. Time jumps from event to event, to the core's own timers, and to when its last plan said that
time alone may change it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from aimass.core.apply import apply
from aimass.core.check import check
from aimass.core.decider import Decider
from aimass.core.events import Tick
from aimass.core.policy import Policy
from aimass.core.timers import next_timer_ms
from aimass.simulator.attempts import Record
from aimass.simulator.clusters import Kinds
from aimass.simulator.models import PLAIN, Costs, Models
from aimass.simulator.timeline import Observer
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.work import Work
from aimass.simulator.world import World, timed_work

ROUNDS_MAX = 10_000  # decisions at one moment; beyond, the policy goes round in circles
TICKS_MAX = 1_000  # moments at which only time passed, after the last job came and while none runs
EPOCH_MS = 1_000_000  # where the cluster's clock begins: 0 means "never" in the core
TOLD_EVERY = 1_000  # jobs


class SimulationError(Exception):
    """The policy planned what cannot be proved, or does not come to rest: a bug, of ours or its."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run added up to. GPU times in milli-GPU x ms: all of it is held, idle or down.

    begin_ms, end_ms: first submission and last end, on the trace's clock. capacity_milli: at the
    end. paid: price x held GPU time, see Meter. failures: of programs, GPUs, nodes and racks.
    """

    jobs: int
    finished: int
    begin_ms: int
    end_ms: int
    held: int
    idle: int
    idle_beside: int
    capacity_milli: int
    preemptions: int
    events: int
    down: int = 0
    paid: int = 0
    failures: int = 0


def run(
    jobs: Iterable[TraceJob],
    kinds: Kinds,
    policy: Policy,
    sink: Callable[[Record], None],
    costs: Costs | None = None,
    is_parity: bool = False,
    progress: Callable[[int], None] | None = None,
    observer: Observer | None = None,
    models: Models = PLAIN,
    seed: int = 0,
    work_of: Callable[[TraceJob], Work] = timed_work,
) -> Outcome:
    """Play the jobs, at least one, which come by submission time, to the end of the last one.

    sink: is told of each job when it ends, and at last of those that never did. is_parity: only
    numbers of GPUs count (Specs: is_scattered), and every decision is about everybody, so that no
    moment at which it would be made anew is left over from the last. progress: is told now and then
    how many jobs have come. observer: is told what happens. seed: of what fails. work_of: makes
    the work of a job. Raises SimulationError.
    """
    simulation = _Simulation(jobs, policy, sink, is_parity)
    is_scattered = is_parity or policy.allot is not None
    simulation.open(
        World(
            kinds,
            costs or Costs(),
            simulation.over,
            is_scattered,
            observer,
            work_of,
            models,
            seed,
        )
    )
    return to_the_end(simulation, progress, TOLD_EVERY)


class Stepped(Protocol):
    """A run that goes on step by step. come: jobs so far."""

    come: int

    def step(self) -> bool:
        """Go on to the next moment; False when there is none."""
        ...

    def outcome(self) -> Outcome:
        """What it added up to."""
        ...


def to_the_end(steps: Stepped, progress: Callable[[int], None] | None, told_every: int) -> Outcome:
    """Step until nothing is left; progress is told each so many jobs that have come."""
    told = told_every
    while steps.step():
        if progress is not None and steps.come >= told:
            progress(steps.come)
            told = steps.come + told_every
    return steps.outcome()


class _Simulation:
    def __init__(
        self,
        jobs: Iterable[TraceJob],
        policy: Policy,
        sink: Callable[[Record], None],
        is_parity: bool,
    ) -> None:
        self.come = 0
        self._arrivals = iter(jobs)
        self._upcoming = next(self._arrivals, None)
        assert self._upcoming is not None, "a trace without jobs"
        self._shift_ms = EPOCH_MS - self._upcoming.submit_ms
        self._sink = sink
        self._decider = Decider(policy)
        self._ranked = policy.ranked
        self._forgets = is_parity and policy.ranked is not None
        self._may_skip = not (policy.options.moves or policy.allot is not None)
        self._decided = 0  # revision that the last decision was about
        self._seen = 0  # additions to the queue that it knew of
        self._wake_ms = 0
        self._end_ms = EPOCH_MS
        self._finished = 0
        self._ticks = 0

    def open(self, world: World) -> None:
        """The world begins, with the first submission."""
        self._world = world
        world.open(EPOCH_MS)

    def over(self, record: Record) -> None:
        """A job is over: it has done its work, or was given up."""
        self._finished += not record.is_failed
        self._end_ms = record.end_ms
        self._tell(record)

    def _tell(self, record: Record) -> None:
        start_ms, end_ms = (
            at_ms - self._shift_ms if at_ms >= 0 else -1
            for at_ms in (record.start_ms, record.end_ms)
        )
        self._sink(record._replace(start_ms=start_ms, end_ms=end_ms))

    def step(self) -> bool:
        """Go on to the next moment at which anything happens; False when there is none."""
        world, upcoming = self._world, self._upcoming
        at_ms = world.next_ms(upcoming is not None)
        if upcoming is not None:
            submit_ms = upcoming.submit_ms + self._shift_ms
            at_ms = submit_ms if at_ms is None else min(at_ms, submit_ms)
        if at_ms is None:
            self._ticks += 1
        for timer_ms in (self._wake_ms, next_timer_ms(world.cluster)):
            if timer_ms and (at_ms is None or timer_ms < at_ms):
                at_ms = timer_ms
        if at_ms is None or self._ticks > TICKS_MAX:
            return False
        if not self._happen(at_ms):
            apply(world.cluster, Tick(at_ms))
        self._decide()
        return True

    def _happen(self, at_ms: int) -> bool:
        """Ends and the like, then submissions. False: only time has passed."""
        happened = self._world.advance(at_ms)
        upcoming = self._upcoming
        while upcoming is not None and upcoming.submit_ms + self._shift_ms <= at_ms:
            self._world.submit(upcoming, at_ms)
            self.come += 1
            happened = True
            upcoming = next(self._arrivals, None)
        self._upcoming = upcoming
        return happened

    def _decide(self) -> None:
        """What massd does after a batch, again for what follows at the same moment."""
        cluster = self._world.cluster
        is_due = self._forgets
        for _ in range(ROUNDS_MAX):
            if not ((is_due or self._may_decide_otherwise()) and self._decide_once()):
                break
            is_due = False
        else:
            raise SimulationError(f"{ROUNDS_MAX} decisions at {cluster.now_ms}, and no end")
        if self._ranked is not None and self._may_skip:
            change_ms = self._ranked.next_change_ms(cluster)
            if change_ms and (not self._wake_ms or change_ms < self._wake_ms):
                self._wake_ms = change_ms

    def _may_decide_otherwise(self) -> bool:
        """False when nothing has come or was freed since the last decision: it still stands.

        massd decides all the same, and finds that. Moves are not so simple.
        """
        cluster = self._world.cluster
        return (
            not self._may_skip
            or cluster.freed_revision > self._decided
            or cluster.waiting.additions != self._seen
            or self._is_woken()
        )

    def _is_woken(self) -> bool:
        return 0 < self._wake_ms <= self._world.cluster.now_ms

    def _decide_once(self) -> bool:
        """Decide and carry it out; False when that changed nothing."""
        cluster = self._world.cluster
        if self._forgets or self._is_woken():
            self._decider.forget()
        self._decided, self._seen = cluster.revision, cluster.waiting.additions
        plan = self._decider.decide(cluster)
        self._wake_ms = plan.wake_ms
        if plan.is_empty:
            return False
        plan, rejected = check(cluster, plan)
        if rejected:
            first = rejected[0]
            raise SimulationError(f"the plan for {first.job_id} was rejected: {first.reason}")
        self._world.carry_out(plan)
        return True

    def outcome(self) -> Outcome:
        """What it added up to; the sink is told of jobs that never ended."""
        for record in self._world.unfinished():
            self._tell(record)
        meter = self._world.meter
        return Outcome(
            self.come,
            self._finished,
            EPOCH_MS - self._shift_ms,
            self._end_ms - self._shift_ms,
            meter.held,
            meter.idle,
            meter.idle_beside,
            meter.capacity_milli,
            self._world.preemptions,
            self._world.cluster.revision,
            meter.down,
            meter.paid,
            self._world.machines.failures,
        )
