"""World: stands in for the agents and their programs. What a plan orders becomes later events.

It applies to the cluster what agents would report, and nothing else; how long things take is in
models.py and work.py, what becomes of nodes in machines.py. Every job is accounted for: see
attempts.Run.
"""

from collections.abc import Callable
from heapq import heappop, heappush

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.apply_jobs import job_id_of
from aimass.core.cluster import Cluster
from aimass.core.model import Exit, ExitReason, JobId, NodeId, Placement
from aimass.core.plan import Plan, Start, Stop
from aimass.core.queues import QueueSpec
from aimass.core.spec import WHOLE_GPU_MILLI
from aimass.simulator.attempts import Record, Run
from aimass.simulator.clusters import Kinds
from aimass.simulator.images import Images
from aimass.simulator.machines import Machines
from aimass.simulator.meter import Meter
from aimass.simulator.models import EVEN, PLAIN, Costs, Models, kinds_ever
from aimass.simulator.paces import pace_micro
from aimass.simulator.specs import Specs, told_left_ms
from aimass.simulator.timeline import Observer
from aimass.simulator.tracejob import TraceJob
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
        models: Models = PLAIN,
        seed: int = 0,
    ) -> None:
        """sink: is told of every job that ends. is_scattered: see Specs. seed: of what fails."""
        self.cluster = Cluster()
        self.meter = Meter(kinds)
        self.machines = Machines(self.cluster, kinds, models, seed, self.meter)
        self.machines.observer = observer
        self.preemptions = 0
        self._costs, self._sink, self._observer = costs, sink, observer
        self._work_of, self._paces = work_of, models.paces
        ever = kinds_ever(kinds, models)
        self._specs = Specs(ever, costs, is_scattered, is_retried=any(models.faults.rates))
        self._is_even = models.paces == EVEN and not models.faults.slow_fit
        self._images = Images()
        self._runs: dict[JobId, Run] = {}
        self._placed = 0  # attempts that hold places
        self._due: list[tuple[int, int, int, JobId, int]] = []
        self._sequence = 0

    def open(self, at_ms: int) -> None:
        """The cluster comes into being, with its nodes."""
        apply(self.cluster, ev.ClusterCreated(at_ms, "simulated"))
        apply(self.cluster, ev.TermStarted(at_ms, 1))
        self.machines.open(at_ms)
        self.meter.begin(at_ms)
        if self._observer is not None:
            self._observer.opened(at_ms)

    def unfinished(self) -> list[Record]:
        """Records of the jobs that are not over, by submission."""
        return [run.record(-1) for run in self._runs.values()]

    # ---- what happens ---------------------------------------------------------------------------

    def next_ms(self, is_awaited: bool = False) -> int | None:
        """When something happens next by itself; None: nothing will that matters.

        is_awaited: more jobs will come.
        """
        if not (self._runs or is_awaited):
            return None
        due = self._due
        while due and self._is_stale(due[0]):
            heappop(due)
        at_ms = due[0][0] if due else None
        others_ms = self.machines.next_ms(is_awaited or self._placed > 0)
        if at_ms is None or others_ms is None:
            return others_ms if at_ms is None else at_ms
        return min(at_ms, others_ms)

    def submit(self, job: TraceJob, at_ms: int) -> None:
        """Somebody submits the job; a queue is made for the first of it."""
        if job.queue not in self.cluster.queues:
            apply(self.cluster, ev.QueuePut(at_ms, QueueSpec(job.queue)))
        job_id = job_id_of(self.cluster.next_seq)
        spec = self._specs.spec(job, at_ms)
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
        machines_ms = self.machines.next_ms(True)
        if machines_ms is None or machines_ms > at_ms:
            return happened
        return self.machines.advance(at_ms, self) or happened

    def _is_stale(self, entry: tuple[int, int, int, JobId, int]) -> bool:
        run = self._runs.get(entry[3])
        return run is None or run.version != entry[4]

    def _happen(self, kind: int, job_id: JobId, at_ms: int) -> None:
        run = self._runs[job_id]
        if kind == _END:
            run.finish(at_ms)
            self._exit(job_id, run, run.ranks, _DONE, at_ms)
        elif kind == _LEAVE:
            self._leave(job_id, run, at_ms)
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
        run, costs = self._runs[start.job_id], self._costs
        run.attempt, run.placed_ms, run.is_leaving = start.attempt, at_ms, False
        run.is_frozen = False
        run.places = places = start.placements
        run.ranks = [*range(len(places))]
        run.version += 1
        self._placed += 1
        if run.start_ms < 0:
            run.start_ms = at_ms
        run.milli = self.meter.change(places, 1)
        if self._observer is not None:
            self._observer.started(at_ms, run.job, places)
        wait_ms = costs.start_ms
        if costs.pull_ms and not self._images.are_there(run.job, places):
            wait_ms += costs.pull_ms
        if wait_ms:
            self._later(at_ms + wait_ms, _BEGIN, start.job_id, run)
        else:
            self._begin(start.job_id, run, at_ms)

    def _begin(self, job_id: JobId, run: Run, at_ms: int) -> None:
        """All shards run: it reads its checkpoint if it has one, then works."""
        cluster, costs = self.cluster, self._costs
        for rank in run.ranks:
            apply(cluster, ev.ShardStarted(at_ms, job_id, run.attempt, rank, 1))
        run.since_ms = at_ms + (costs.restart_ms if run.attempt > 1 else 0)
        run.on = self._setting(run)
        if beat_ms := costs.checkpoint_ms or run.work.report_every_ms:
            run.save_ms = run.since_ms + beat_ms
        if not self._is_even:
            run.pace_micro = pace_micro(cluster, run, self._paces, self.machines.slow)
            if self._is_shared(run):
                self.repace(at_ms, run.places[0].node_id)
        self._foresee(job_id, run)

    def _foresee(self, job_id: JobId, run: Run) -> None:
        self._later(run.end_ms(), _END, job_id, run)
        if run.save_ms >= 0:
            self._later(run.save_ms, _SAVE, job_id, run)

    def _setting(self, run: Run) -> Setting:
        """Where it runs; of several models of GPUs the one on which it is slowest.

        A node has GPUs of one model.
        """
        nodes, per_node, models = self.cluster.nodes, dict[NodeId, int](), dict[str, None]()
        for place in run.places:
            node_id, held = place.node_id, place.devices
            per_node[node_id] = per_node.get(node_id, 0) + len(held)
            if held:
                models[nodes[node_id].devices[held[0]].spec.model] = None
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
        run.save_ms = at_ms + (costs.checkpoint_ms or every_ms)
        self._later(run.save_ms, _SAVE, job_id, run)

    def _stop(self, stop: Stop, at_ms: int) -> None:
        """From now on it works no more; what its last checkpoint does not hold is lost."""
        run = self._runs[stop.job_id]
        if stop.by != stop.job_id:
            run.preemptions += 1
            self.preemptions += 1
        if not self._costs.checkpoint_ms and 0 <= run.since_ms < at_ms:
            run.save(at_ms)
            apply(self.cluster, ev.CheckpointReported(at_ms, stop.job_id, run.attempt))
            if run.job.gpus_max or run.job.speeds:  # its size and pace change: time says little
                left_ms = told_left_ms(run.job, run.work.left_ms())
                apply(self.cluster, ev.WorkReported(at_ms, stop.job_id, run.attempt, left_ms))
        self._order_out(stop.job_id, run, at_ms)

    # ---- how attempts end -----------------------------------------------------------------------

    def _order_out(self, job_id: JobId, run: Run, at_ms: int) -> None:
        """What is left of the attempt is told to stop."""
        run.lose(at_ms)
        run.version += 1
        run.is_leaving = True
        if self._costs.stop_ms:
            self._later(at_ms + self._costs.stop_ms, _LEAVE, job_id, run)
        else:
            self._leave(job_id, run, at_ms)

    def _leave(self, job_id: JobId, run: Run, at_ms: int) -> None:
        """Its shards are gone, but for those of which nobody hears."""
        ranks = run.ranks
        if silent := self.machines.silent:
            ranks = [rank for rank in ranks if run.places[rank].node_id not in silent]
        if ranks:
            self._exit(job_id, run, ranks, _STOPPED, at_ms)

    def _exit(self, job_id: JobId, run: Run, ranks: list[int], how: Exit, at_ms: int) -> None:
        """These shards end so."""
        self._free(run, ranks, at_ms)
        for rank in ranks:
            apply(self.cluster, ev.ShardExited(at_ms, job_id, run.attempt, rank, how))
        if not self._is_even and self._is_shared(run):
            self.repace(at_ms, run.places[0].node_id)
        self._settle(job_id, run, how is _DONE, at_ms)

    def _free(self, run: Run, ranks: list[int], at_ms: int) -> None:
        """The places of these shards are free; with the last of them the attempt is over."""
        places: tuple[Placement, ...] = run.places
        some = places if len(ranks) == len(places) else tuple(places[rank] for rank in ranks)
        run.leave(at_ms, ranks, self.meter.change(some, -1))
        if self._observer is not None:
            self._observer.left(at_ms, run.job, some, is_over=True)
        if not run.ranks:
            self._placed -= 1

    def _settle(self, job_id: JobId, run: Run, is_done: bool, at_ms: int) -> None:
        """What the end of shards means: the job is over, or leaves the rest of its places."""
        if is_done:
            del self._runs[job_id]
            self._sink(run.record(at_ms))
        elif not run.ranks:
            job = self.cluster.jobs.get(job_id)
            if job is None or job.state.is_over:
                del self._runs[job_id]
                self._sink(run.record(at_ms, is_failed=True))
            elif self._observer is not None:
                self._observer.came(at_ms, run.job)
        elif not run.is_leaving:
            self._order_out(job_id, run, at_ms)
        if self.machines.leaving:
            self.machines.retire(at_ms)

    # ---- what machines do -----------------------------------------------------------------------

    def _held_on(self, node_id: NodeId) -> dict[JobId, list[int]]:
        """Ranks on the node by job."""
        found: dict[JobId, list[int]] = {}
        for key in self.cluster.nodes[node_id].holds:
            found.setdefault(key.job_id, []).append(key.rank)
        return found

    def fail(self, at_ms: int, node_id: NodeId, device: int, how: Exit, is_first: bool) -> None:
        """See machines.Jobs. A program that is stopped already stops."""
        holders = list(self.cluster.nodes[node_id].devices[device].holders)
        for key in holders[:1] if is_first else holders:
            run = self._runs.get(key.job_id)
            if run is not None and not run.is_leaving and key.rank in run.ranks:
                run.lose(at_ms)
                run.version += 1
                run.failures += 1
                self._exit(key.job_id, run, [key.rank], how, at_ms)

    def freeze(self, at_ms: int, node_id: NodeId) -> None:
        """See machines.Jobs."""
        for job_id in self._held_on(node_id):
            run = self._runs[job_id]
            if not (run.is_leaving or run.is_frozen):
                run.is_frozen = True
                run.lose(at_ms)
                run.failures += 1
                run.version += 1

    def vanish(self, at_ms: int, node_id: NodeId, event: ev.Event) -> None:
        """See machines.Jobs."""
        held = self._held_on(node_id)
        for job_id, ranks in held.items():
            self._free(self._runs[job_id], ranks, at_ms)
        apply(self.cluster, event)
        for job_id in held:
            self._settle(job_id, self._runs[job_id], False, at_ms)

    def _is_shared(self, run: Run) -> bool:
        return run.milli % WHOLE_GPU_MILLI > 0

    def repace(self, at_ms: int, node_id: NodeId) -> None:
        """See machines.Jobs."""
        for job_id in self._held_on(node_id):
            run = self._runs.get(job_id)
            if run is None or run.since_ms < 0:
                continue
            micro = pace_micro(self.cluster, run, self._paces, self.machines.slow)
            if micro != run.pace_micro:
                run.go_on(at_ms)
                run.pace_micro = micro
                run.version += 1
                self._foresee(job_id, run)
