"""World: stands in for the agents and their programs. What a plan orders becomes later events.

It applies to the cluster what agents would report, and nothing else; how long things take is in
models.py and work.py. Every job is accounted for: see attempts.Run.
"""

from collections.abc import Callable
from heapq import heappop, heappush

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.apply_jobs import job_id_of
from aimass.core.cluster import Cluster
from aimass.core.model import Exit, ExitReason, JobId, Placement, StopRule
from aimass.core.plan import Plan, Start, Stop
from aimass.core.queues import QueueSpec
from aimass.core.spec import WHOLE_GPU_MILLI
from aimass.simulator.attempts import Record, Run
from aimass.simulator.clusters import Kinds, registrations
from aimass.simulator.meter import Meter
from aimass.simulator.models import Costs
from aimass.simulator.timeline import Observer
from aimass.simulator.tracejob import Specs, TraceJob
from aimass.simulator.work import Setting, TimedWork, Work

_DONE = Exit()
_STOPPED = Exit(reason=ExitReason.STOPPED)
_BEGIN, _SAVE, _END, _LEAVE = range(4)


def timed_work(job: TraceJob) -> Work:
    """The work that the trace says."""
    return TimedWork(job.work_ms, -(-job.gpu_milli // WHOLE_GPU_MILLI), job.speeds)


class World:
    """A cluster and what happens on it, from the moment when its nodes have joined."""

    def __init__(
        self,
        kinds: Kinds,
        costs: Costs,
        sink: Callable[[Record], None],
        is_scattered: bool = False,
        observer: Observer | None = None,
        work_of: Callable[[TraceJob], Work] = timed_work,
    ) -> None:
        """sink: is told of every job that ends. is_scattered: see Specs."""
        self.cluster = Cluster()
        self.meter = Meter(kinds)
        self.preemptions = 0
        self._costs, self._sink, self._observer = costs, sink, observer
        self._work_of = work_of
        self._specs = Specs(kinds, is_scattered)
        self._runs: dict[JobId, Run] = {}
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
        return [run.record(-1) for run in self._runs.values()]

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
        self._runs[job_id] = Run(job, self._work_of(job))
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
        run = self._runs.get(entry[3])
        return run is None or run.version != entry[4]

    def _happen(self, kind: int, job_id: JobId, at_ms: int) -> None:
        run = self._runs[job_id]
        if kind == _END:
            self._end(job_id, run, at_ms)
        elif kind == _LEAVE:
            self._release(job_id, run, _STOPPED, at_ms)
        elif kind == _BEGIN:
            self._begin(job_id, run, at_ms)
        else:
            self._save(job_id, run, at_ms)

    def _later(self, at_ms: int, kind: int, job_id: JobId, run: Run) -> None:
        self._sequence += 1
        heappush(self._due, (at_ms, self._sequence, kind, job_id, run.version))

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
        run.attempt, run.placed_ms = start.attempt, at_ms
        run.places = places = start.placements
        run.version += 1
        if run.start_ms < 0:
            run.start_ms = at_ms
        run.milli = self.meter.change(places, 1)
        if self._observer is not None:
            self._observer.started(at_ms, run.job, places)
        if self._costs.start_ms:
            self._later(at_ms + self._costs.start_ms, _BEGIN, start.job_id, run)
        else:
            self._begin(start.job_id, run, at_ms)

    def _begin(self, job_id: JobId, run: Run, at_ms: int) -> None:
        """All shards run: it reads its checkpoint if it has one, then works."""
        cluster, costs = self.cluster, self._costs
        for rank in range(len(run.places)):
            apply(cluster, ev.ShardStarted(at_ms, job_id, run.attempt, rank, 1))
        run.since_ms = at_ms + (costs.restart_ms if run.attempt > 1 else 0)
        run.on = self._setting(run)
        self._later(run.end_ms(), _END, job_id, run)
        if beat_ms := costs.checkpoint_ms or run.work.report_every_ms:
            self._later(run.since_ms + beat_ms, _SAVE, job_id, run)

    def _setting(self, run: Run) -> Setting:
        """Where it runs; of several models of GPUs the one on which it is slowest."""
        nodes, per_node = self.cluster.nodes, dict[str, int]()
        models: dict[str, None] = {}
        for place in run.places:
            held = place.devices
            per_node[place.node_id] = per_node.get(place.node_id, 0) + len(held)
            devices = nodes[place.node_id].devices
            for index in held:
                models[devices[index].spec.model] = None
        shape = tuple(per_node.values())
        if len(models) < 2:
            return Setting(next(iter(models), ""), shape)
        return max((Setting(model, shape) for model in sorted(models)), key=run.work.duration_ms)

    def _save(self, job_id: JobId, run: Run, at_ms: int) -> None:
        """It saves what it has done, and reports what it reports."""
        cluster, costs, every_ms = self.cluster, self._costs, run.work.report_every_ms
        run.save(at_ms)
        if costs.checkpoint_ms:
            apply(cluster, ev.CheckpointReported(at_ms, job_id, run.attempt))
        if every_ms:
            left_ms, speeds = run.work.left_ms(), run.work.speeds()
            apply(cluster, ev.WorkReported(at_ms, job_id, run.attempt, left_ms, speeds))
        self._later(at_ms + (costs.checkpoint_ms or every_ms), _SAVE, job_id, run)

    def _stop(self, stop: Stop, at_ms: int) -> None:
        """From now on it works no more; what its last checkpoint does not hold is lost."""
        run, costs = self._runs[stop.job_id], self._costs
        run.version += 1
        if stop.rule is not StopRule.GROW:
            run.preemptions += 1
            self.preemptions += 1
        if not costs.checkpoint_ms and 0 <= run.since_ms < at_ms:
            run.save(at_ms)
            apply(self.cluster, ev.CheckpointReported(at_ms, stop.job_id, run.attempt))
        run.lose(at_ms)
        if costs.stop_ms:
            self._later(at_ms + costs.stop_ms, _LEAVE, stop.job_id, run)
        else:
            self._release(stop.job_id, run, _STOPPED, at_ms)

    def _end(self, job_id: JobId, run: Run, at_ms: int) -> None:
        """The job has done its work."""
        run.finish(at_ms)
        self._release(job_id, run, _DONE, at_ms)
        del self._runs[job_id]
        self._sink(run.record(at_ms))

    def _release(self, job_id: JobId, run: Run, how: Exit, at_ms: int) -> None:
        """Its attempt is gone; its places are free."""
        places: tuple[Placement, ...] = run.places
        self.meter.change(places, -1)
        if self._observer is not None:
            self._observer.left(at_ms, run.job, places, how is _DONE)
        run.release(at_ms)
        for rank in range(len(places)):
            apply(self.cluster, ev.ShardExited(at_ms, job_id, run.attempt, rank, how))
