"""World: stands in for the agents and their programs. What a plan orders becomes later events.

It applies to the cluster what agents would report, and nothing else; how long things take is in
models.py. Every job is accounted for: the time that it held its GPUs is the work it did, what it
lost when it was stopped, and what starting and stopping cost.
"""

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.apply_jobs import job_id_of
from aimass.core.cluster import Cluster
from aimass.core.model import Exit, ExitReason, JobId, Placement
from aimass.core.plan import Plan, Start, Stop
from aimass.core.queues import QueueSpec
from aimass.core.speeds import NORMAL_MICRO, speed_on
from aimass.simulator.clusters import Kinds, registrations
from aimass.simulator.meter import Meter
from aimass.simulator.models import Costs, kept_ms, run_ms, work_done_ms
from aimass.simulator.timeline import Observer
from aimass.simulator.tracejob import Specs, TraceJob

_DONE = Exit()
_STOPPED = Exit(reason=ExitReason.STOPPED)
_BEGIN, _CHECKPOINT, _END, _LEAVE = range(4)


class Record(NamedTuple):
    """What became of one job. Times in ms on the trace's clock; start_ms, end_ms: -1 for never.

    Of held_ms, the time that it held its places, worked_ms were work that counted and lost_ms work
    that a stop threw away; the rest went into starting and stopping.
    """

    job: TraceJob
    start_ms: int
    end_ms: int
    attempts: int
    preemptions: int
    held_ms: int
    worked_ms: int
    lost_ms: int


@dataclass(slots=True)
class _Run:
    """A job that is not over.

    left_ms: work to do. begin_ms: when its attempt began to work; -1: not yet. is_stopped: its
    attempt was told to stop, and there is no other yet.
    """

    job: TraceJob
    left_ms: int
    start_ms: int = -1
    attempt: int = 0
    placed_ms: int = 0
    begin_ms: int = -1
    speed_micro: int = NORMAL_MICRO
    is_stopped: bool = False
    places: tuple[Placement, ...] = ()
    preemptions: int = 0
    held_ms: int = 0
    worked_ms: int = 0
    lost_ms: int = 0


class World:
    """A cluster and what happens on it, from the moment when its nodes have joined."""

    def __init__(
        self,
        kinds: Kinds,
        costs: Costs,
        sink: Callable[[Record], None],
        is_scattered: bool = False,
        observer: Observer | None = None,
    ) -> None:
        """sink: is told of every job that ends. is_scattered: see Specs."""
        self.cluster = Cluster()
        self.meter = Meter(kinds)
        self.preemptions = 0
        self._costs, self._sink, self._observer = costs, sink, observer
        self._specs = Specs(kinds, is_scattered)
        self._runs: dict[JobId, _Run] = {}
        self._due: list[tuple[int, int, int, JobId, int]] = []
        self._sequence = 0
        self._kinds = kinds

    def open(self, at_ms: int) -> None:
        """The cluster comes into being, with its nodes."""
        cluster = self.cluster
        apply(cluster, ev.ClusterCreated(at_ms, "simulated"))
        apply(cluster, ev.TermStarted(at_ms, 1))
        for joined in registrations(self._kinds, at_ms):
            apply(cluster, joined)
        self.meter.begin(at_ms)
        if self._observer is not None:
            self._observer.opened(at_ms)

    def unfinished(self) -> list[Record]:
        """Records of the jobs that are not over, by submission."""
        return [_record(run, -1) for run in self._runs.values()]

    # ---- what happens ---------------------------------------------------------------------------

    def next_ms(self) -> int | None:
        """When something happens next by itself; None: nothing will."""
        due = self._due
        while due and self._is_stale(due[0]):
            heappop(due)
        return due[0][0] if due else None

    def submit(self, job: TraceJob, at_ms: int) -> None:
        """Somebody submits the job; a queue is made for the first of it."""
        if job.queue not in self.cluster.queues:
            apply(self.cluster, ev.QueuePut(at_ms, QueueSpec(job.queue)))
        job_id = job_id_of(self.cluster.next_seq)
        spec = self._specs.spec(job)
        apply(self.cluster, ev.JobSubmitted(at_ms, job_id, spec, job.user or "trace"))
        self._runs[job_id] = _Run(job, job.work_ms)
        if self._observer is not None:
            self._observer.came(at_ms, job)

    def advance(self, at_ms: int) -> bool:
        """All that happens by itself until then, ends before everything else. False: nothing did.

        O(log jobs) an event.
        """
        self.meter.advance(at_ms)
        due, happened = self._due, False
        while due and due[0][0] <= at_ms:
            entry = heappop(due)
            if not self._is_stale(entry):
                happened = True
                self._happen(entry[2], entry[3], at_ms)
        return happened

    def _is_stale(self, entry: tuple[int, int, int, JobId, int]) -> bool:
        _, _, kind, job_id, attempt = entry
        run = self._runs.get(job_id)
        return run is None or run.attempt != attempt or run.is_stopped != (kind == _LEAVE)

    def _happen(self, kind: int, job_id: JobId, at_ms: int) -> None:
        run = self._runs[job_id]
        if kind == _END:
            self._end(job_id, run, at_ms)
        elif kind == _LEAVE:
            self._leave(job_id, run, at_ms)
        elif kind == _BEGIN:
            self._begin(job_id, run, at_ms)
        else:
            apply(self.cluster, ev.CheckpointReported(at_ms, job_id, run.attempt))
            self._later(at_ms + self._costs.checkpoint_ms, _CHECKPOINT, job_id, run)

    def _later(self, at_ms: int, kind: int, job_id: JobId, run: _Run) -> None:
        self._sequence += 1
        heappush(self._due, (at_ms, self._sequence, kind, job_id, run.attempt))

    # ---- what a plan orders ---------------------------------------------------------------------

    def carry_out(self, plan: Plan) -> None:
        """Commit the plan, and set going what it orders."""
        at_ms = self.cluster.now_ms
        parts = (plan.starts, plan.stops, plan.claims, plan.unclaims, plan.planned, plan.unplanned)
        apply(self.cluster, ev.PlanCommitted(at_ms, plan.basis, plan.policy, *parts))
        for stop in plan.stops:
            self._stop(stop, at_ms)
        for start in plan.starts:
            self._start(start, at_ms)

    def _start(self, start: Start, at_ms: int) -> None:
        run = self._runs[start.job_id]
        run.attempt, run.placed_ms, run.begin_ms = start.attempt, at_ms, -1
        run.is_stopped = False
        run.places = start.placements
        if run.start_ms < 0:
            run.start_ms = at_ms
        self.meter.change(start.placements, 1)
        if self._observer is not None:
            self._observer.started(at_ms, run.job, start.placements)
        if self._costs.start_ms:
            self._later(at_ms + self._costs.start_ms, _BEGIN, start.job_id, run)
        else:
            self._begin(start.job_id, run, at_ms)

    def _begin(self, job_id: JobId, run: _Run, at_ms: int) -> None:
        """All shards run: it reads its checkpoint if it has one, then works."""
        cluster, costs = self.cluster, self._costs
        for rank in range(len(run.places)):
            apply(cluster, ev.ShardStarted(at_ms, job_id, run.attempt, rank, 1))
        run.begin_ms = at_ms + (costs.restart_ms if run.attempt > 1 else 0)
        if run.job.speeds:
            run.speed_micro = self._speed(run)
        self._later(run.begin_ms + run_ms(run.left_ms, run.speed_micro), _END, job_id, run)
        if costs.checkpoint_ms:
            self._later(run.begin_ms + costs.checkpoint_ms, _CHECKPOINT, job_id, run)

    def _speed(self, run: _Run) -> int:
        """A gang is as fast as the slowest of its GPUs."""
        nodes, spread = self.cluster.nodes, len({place.node_id for place in run.places})
        gpus = sum(len(place.devices) for place in run.places)
        types = {nodes[p.node_id].devices[i].spec.model for p in run.places for i in p.devices}
        found = [speed_on(run.job.speeds, gpu_type, gpus, spread) for gpu_type in types]
        return min(NORMAL_MICRO if speed is None else speed for speed in found)

    def _stop(self, stop: Stop, at_ms: int) -> None:
        """From now on it works no more; what its last checkpoint does not hold is lost."""
        run = self._runs[stop.job_id]
        run.is_stopped = True
        run.preemptions += 1
        self.preemptions += 1
        elapsed_ms = max(0, at_ms - run.begin_ms) if run.begin_ms >= 0 else 0
        kept = kept_ms(elapsed_ms, self._costs)
        run.left_ms -= work_done_ms(kept, run.speed_micro)
        run.worked_ms += kept
        run.lost_ms += elapsed_ms - kept
        if elapsed_ms and not self._costs.checkpoint_ms:
            apply(self.cluster, ev.CheckpointReported(at_ms, stop.job_id, run.attempt))
        if self._costs.stop_ms:
            self._later(at_ms + self._costs.stop_ms, _LEAVE, stop.job_id, run)
        else:
            self._leave(stop.job_id, run, at_ms)

    def _leave(self, job_id: JobId, run: _Run, at_ms: int) -> None:
        """The stopped attempt is gone; its places are free."""
        self._release(job_id, run, _STOPPED, at_ms)

    def _end(self, job_id: JobId, run: _Run, at_ms: int) -> None:
        """The job has done its work."""
        run.worked_ms += at_ms - run.begin_ms
        self._release(job_id, run, _DONE, at_ms)
        del self._runs[job_id]
        self._sink(_record(run, at_ms))

    def _release(self, job_id: JobId, run: _Run, how: Exit, at_ms: int) -> None:
        run.held_ms += at_ms - run.placed_ms
        self.meter.change(run.places, -1)
        if self._observer is not None:
            self._observer.left(at_ms, run.job, run.places, how is _DONE)
        for rank in range(len(run.places)):
            apply(self.cluster, ev.ShardExited(at_ms, job_id, run.attempt, rank, how))


def _record(run: _Run, end_ms: int) -> Record:
    return Record(
        run.job,
        run.start_ms,
        end_ms,
        run.attempt,
        run.preemptions,
        run.held_ms,
        run.worked_ms,
        run.lost_ms,
    )
