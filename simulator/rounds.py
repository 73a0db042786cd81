"""play(jobs, ...): the rounds of Gavel's simulator, on the production core.

The loop (rounds_gavel.py) says for each round who holds which type of GPU; everything is made of it
by the daemon's decide(), check() and apply(), with an allotter that grants what the round chose.
Jobs are submitted, work and end at their own times, in whole milliseconds. Who keeps its type goes
on as it is; who holds GPUs without a share of time holds them, and does no work.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.apply_jobs import job_id_of
from aimass.core.check import check
from aimass.core.cluster import Cluster
from aimass.core.decide import decide
from aimass.core.model import Exit, ExitReason, JobId, Placement
from aimass.core.plan import Plan
from aimass.core.policy import Allotment, Fuel, Grant, Want
from aimass.core.queues import QueueSpec
from aimass.policies.registry import make_policy
from aimass.simulator.attempts import Record
from aimass.simulator.clusters import Kinds, registrations
from aimass.simulator.meter import Meter
from aimass.simulator.models import Costs
from aimass.simulator.parity_gavel import POLICIES, Cheapest
from aimass.simulator.perf import GavelTable
from aimass.simulator.round_jobs import capacity_of, round_jobs, types_of
from aimass.simulator.rounds_gavel import Round, Rounds
from aimass.simulator.run import EPOCH_MS, Outcome, SimulationError
from aimass.simulator.specs import Specs
from aimass.simulator.timeline import Observer
from aimass.simulator.tracejob import TraceJob

DECISIONS_MAX = 4  # of a round; it takes two when GPUs change hands
TOLD_EVERY = 100  # jobs
RESET_ROUNDS = 16 / 3  # shares are made anew after so many at the earliest: 1,920 s of 360 s
_DONE = Exit()
_STOPPED = Exit(reason=ExitReason.STOPPED)


def play(
    jobs: Iterable[TraceJob],
    kinds: Kinds,
    name: str,
    sink: Callable[[Record], None],
    round_s: int = 360,
    seed: int = 0,
    table: GavelTable | None = None,
    prices: Mapping[str, float] | None = None,
    progress: Callable[[int], None] | None = None,
    observer: Observer | None = None,
) -> Outcome:
    """Play the jobs, at least one, by submission time, to the end of the last one. O(jobs) memory.

    name: one of parity_gavel.POLICIES. table: the throughputs that the trace was made with, if any.
    seed: of the order of types, under policies that do not tell them apart. prices: by type, of
    gavel-cost; 1 where there is none. sink, progress and observer: as in run.
    Raises SimulationError.
    """
    jobs = [*jobs]
    types = types_of(kinds, jobs)
    policy = POLICIES[name]()
    if prices:
        policy = Cheapest(tuple(prices.get(name, 1.0) for name in types))
    loop = Rounds(
        round_jobs(jobs, types, table),
        capacity_of(kinds, types),
        policy,
        seed,
        float(round_s),
        round_s * RESET_ROUNDS,
    )
    stage = _Stage(jobs, kinds, name, types, sink, observer)
    told = TOLD_EVERY
    for round_ in loop.play():
        stage.enter(round_)
        if progress is not None and stage.come >= told:
            progress(stage.come)
            told = stage.come + TOLD_EVERY
    return stage.outcome()


@dataclass(slots=True)
class _Held:
    """A job that is not over. type_: of the GPUs that it holds."""

    job: TraceJob
    start_ms: int = -1
    attempt: int = 0
    placed_ms: int = -1
    type_: str = ""
    places: tuple[Placement, ...] = ()
    preemptions: int = 0
    held_ms: int = 0
    worked_ms: int = 0

    def record(self, end_ms: int) -> Record:
        job, milli = self.job, self.job.gpu_milli
        times = (self.attempt, self.preemptions, self.held_ms, self.worked_ms, 0)
        return Record(
            job, self.start_ms, end_ms, *times, self.held_ms * milli, self.worked_ms * milli
        )


class _Chosen:
    """The allotter: grants what the round chose."""

    version = 1

    def __init__(self, name: str) -> None:
        self.name = f"{name}-rounds"
        self.grants: tuple[Grant, ...] = ()

    def allot(
        self, cluster: Cluster, fuel: Fuel, without: frozenset[JobId] = frozenset()
    ) -> Allotment:
        """See AllotPolicy.allot."""
        return Allotment(self.grants)


class _Stage:
    """The cluster, and the jobs on it, as the rounds have it. Its clock begins at EPOCH_MS."""

    def __init__(
        self,
        jobs: Sequence[TraceJob],
        kinds: Kinds,
        name: str,
        types: Sequence[str],
        sink: Callable[[Record], None],
        observer: Observer | None,
    ) -> None:
        self.come = 0
        self._jobs, self._types, self._sink, self._observer = jobs, types, sink, observer
        self._shift_ms = EPOCH_MS - jobs[0].submit_ms
        self._specs = Specs(kinds, Costs(), is_scattered=True)
        self._allot = _Chosen(name)
        self._policy = replace(make_policy("fifo-skip"), allot=self._allot)
        self._ids: list[JobId] = []
        self._held: dict[JobId, _Held] = {}
        self._end_ms = EPOCH_MS
        self._preemptions = 0
        self._cluster = Cluster()
        self._meter = Meter(kinds)
        apply(self._cluster, ev.ClusterCreated(EPOCH_MS, "simulated"))
        apply(self._cluster, ev.TermStarted(EPOCH_MS, 1))
        for joined in registrations(kinds, EPOCH_MS):
            apply(self._cluster, joined)
        self._meter.begin(EPOCH_MS)
        if observer is not None:
            observer.opened(EPOCH_MS)

    # ---- what happens in a round ----------------------------------------------------------------

    def enter(self, round_: Round) -> None:
        """What has happened since the last round, each at its time; then what this one changes."""
        at_ms = self._clock_ms(round_.start_s)
        ends = sorted((self._clock_ms(end_s), index) for index, end_s in round_.ended)
        for end_ms, index in ends:
            self._submit_until(end_ms - 1)
            self._end(self._ids[index], end_ms)
        self._submit_until(at_ms)
        self._advance(at_ms)
        self._choose(round_)
        for index, end_s in round_.working.items():
            self._held[self._ids[index]].worked_ms += self._clock_ms(end_s) - at_ms

    def _clock_ms(self, at_s: float) -> int:
        """The loop's seconds, which are the trace's, on the cluster's clock."""
        return self._shift_ms + round(at_s * 1000)

    def _advance(self, at_ms: int) -> None:
        self._meter.advance(at_ms)
        if self._cluster.now_ms < at_ms:
            apply(self._cluster, ev.Tick(at_ms))

    def _submit_until(self, until_ms: int) -> None:
        jobs = self._jobs
        while self.come < len(jobs) and jobs[self.come].submit_ms + self._shift_ms <= until_ms:
            job = jobs[self.come]
            self.come += 1
            self._submit(job, job.submit_ms + self._shift_ms)

    def _submit(self, job: TraceJob, at_ms: int) -> None:
        """Its priority and its types are in the shares already: a round does as it likes."""
        cluster = self._cluster
        if job.queue not in cluster.queues:
            apply(cluster, ev.QueuePut(at_ms, QueueSpec(job.queue)))
        job_id = job_id_of(cluster.next_seq)
        spec = self._specs.spec(replace(job, priority=0, gpu_types=()), at_ms)
        apply(cluster, ev.JobSubmitted(at_ms, job_id, spec, job.user or "trace"))
        self._ids.append(job_id)
        self._held[job_id] = _Held(job)
        if self._observer is not None:
            self._observer.came(at_ms, job)

    def _end(self, job_id: JobId, at_ms: int) -> None:
        """Ends come in order of time."""
        self._meter.advance(at_ms)
        self._end_ms = at_ms
        self._release(job_id, _DONE, at_ms)
        record = self._held.pop(job_id).record(at_ms - self._shift_ms)
        self._sink(record._replace(start_ms=record.start_ms - self._shift_ms))

    def _release(self, job_id: JobId, how: Exit, at_ms: int) -> None:
        held = self._held[job_id]
        self._meter.change(held.places, -1)
        held.held_ms += at_ms - held.placed_ms
        if self._observer is not None:
            self._observer.left(at_ms, held.job, held.places, how is _DONE)
        for rank in range(len(held.places)):
            apply(self._cluster, ev.ShardExited(at_ms, job_id, held.attempt, rank, how))
        held.type_, held.places = "", ()

    # ---- what the round changes -----------------------------------------------------------------

    def _choose(self, round_: Round) -> None:
        chosen = {self._ids[index]: self._types[at] for index, at in round_.holding.items()}
        if all(self._held[job_id].type_ == name for job_id, name in chosen.items()):
            return
        cluster = self._cluster
        self._allot.grants = tuple(
            Grant(job_id, _want(cluster, job_id, name), f"its turn on {name}")
            for job_id, name in chosen.items()
        )
        for _ in range(DECISIONS_MAX):
            plan = decide(cluster, self._policy)
            if plan.is_empty:
                break
            plan, rejected = check(cluster, plan)
            if rejected:
                first = rejected[0]
                raise SimulationError(f"the plan for {first.job_id} was rejected: {first.reason}")
            self._carry_out(plan)
        for job_id, name in chosen.items():
            if self._held[job_id].type_ != name:
                raise SimulationError(f"{job_id} does not hold {name}, as its round has it")

    def _carry_out(self, plan: Plan) -> None:
        at_ms, cluster = self._cluster.now_ms, self._cluster
        parts = (plan.starts, plan.stops, plan.claims, plan.unclaims, plan.planned, plan.unplanned)
        apply(cluster, ev.PlanCommitted(at_ms, plan.basis, plan.policy, *parts))
        for stop in plan.stops:
            held = self._held[stop.job_id]
            held.preemptions += 1
            self._preemptions += 1
            apply(cluster, ev.CheckpointReported(at_ms, stop.job_id, held.attempt))
            self._release(stop.job_id, _STOPPED, at_ms)
        for start in plan.starts:
            held = self._held[start.job_id]
            held.attempt, held.placed_ms, held.places = start.attempt, at_ms, start.placements
            held.start_ms = at_ms if held.start_ms < 0 else held.start_ms
            first = start.placements[0]
            held.type_ = cluster.nodes[first.node_id].devices[first.devices[0]].spec.model
            self._meter.change(start.placements, 1)
            if self._observer is not None:
                self._observer.started(at_ms, held.job, start.placements)
            for rank in range(len(start.placements)):
                apply(cluster, ev.ShardStarted(at_ms, start.job_id, start.attempt, rank, 1))

    def outcome(self) -> Outcome:
        """What it added up to."""
        meter = self._meter
        return Outcome(
            self.come,
            self.come - len(self._held),
            self._jobs[0].submit_ms,
            self._end_ms - self._shift_ms,
            meter.held,
            meter.idle,
            meter.idle_beside,
            meter.capacity_milli,
            self._preemptions,
            self._cluster.revision,
        )


def _want(cluster: Cluster, job_id: JobId, name: str) -> Want:
    return Want(tuple(role.shards for role in cluster.jobs[job_id].spec.roles), (name,))
