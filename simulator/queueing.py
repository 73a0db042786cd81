"""Packing with departures and a queue: jobs that find no room wait, and start when room comes.

The queue is first come, first served, with backfill: on arrival, and whenever something ends, each
job is tried in the order of arrival, and who does not fit lets others pass. So a job that needs a
whole node could be passed for ever. Hence promises: the first few that have waited for
`PATIENCE_MS` (of each shape one) get the nodes that will soonest have room for them by the ends of
what runs there, which are known exactly here, and nothing else starts there before. All in virtual
time.

Jobs of one shape keep their order, so a shape whose first job does not fit needs no second look
until a node is touched on which it fits.
"""

import heapq
import time
from collections import deque
from collections.abc import Sequence

import numpy as np

from aimass.core.shapes import Shape
from aimass.policies.pack_engine import Packer
from aimass.policies.pack_mix import Mix
from aimass.policies.pack_state import GPU_MILLI, Array
from aimass.simulator.queueing_load import Job
from aimass.simulator.queueing_meter import Meter, Outcome, Span

PATIENCE_MS = 3_600_000


Places = list[tuple[int, tuple[int, ...]]]  # of each pod: node, devices


def replay(packer: Packer, jobs: Sequence[Job], mix: Mix, span: Span, promises: int = 0) -> Outcome:
    """Run jobs, ordered by arrival, through a packer whose nodes are idle.

    mix: the classes that fragmentation is measured with; it does not concern the policy.
    promises: how many jobs at most are promised nodes at a time.
    """
    began_s = time.process_time()
    run = _Run(packer, jobs, mix, span, promises)
    run.play()
    run.outcome.cpu_s = time.process_time() - began_s
    return run.outcome


class _Waiting:
    """The jobs that wait, by kind (shape and number of pods), each kind in order of arrival."""

    def __init__(self, packer: Packer, jobs: Sequence[Job]) -> None:
        kinds = dict.fromkeys((job.shape, job.pods) for job in jobs)
        self.number = {kind: number for number, kind in enumerate(kinds)}
        self.queues: list[deque[int]] = [deque() for _ in kinds]
        self.heads: dict[int, int] = {}  # the first job of each kind that has any
        asks = [packer.models.ask(shape) for shape, _ in kinds]
        self._packer = packer
        self._some: Array = np.zeros(len(asks), bool)  # who has any
        self._cpu = np.array([ask.cpu_milli for ask in asks])
        self._memory = np.array([ask.memory_mib for ask in asks])
        self._gpus = np.array([ask.gpus for ask in asks])
        self._gpu_milli = np.array([ask.gpu_milli for ask in asks])
        self._models = np.array([ask.models for ask in asks])

    def add(self, kind: int, job: int) -> None:
        """Let a job wait."""
        self.queues[kind].append(job)
        self._some[kind] = True
        self.heads[kind] = self.queues[kind][0]

    def pop(self, kind: int) -> None:
        """The first of a kind waits no more."""
        queue = self.queues[kind]
        queue.popleft()
        if queue:
            self.heads[kind] = queue[0]
        else:
            del self.heads[kind]
            self._some[kind] = False

    def fitting(self, node: int) -> list[int]:
        """Give the kinds with waiting jobs of which one pod fits on the node now. O(kinds)."""
        if not self.heads:
            return []
        nodes = self._packer.nodes
        able = self._some & (self._cpu <= nodes.cpu_free[node])
        able &= self._memory <= nodes.memory_free[node]
        able &= (self._models >> nodes.model[node] & 1).astype(bool)
        kinds = np.flatnonzero(able)
        has_room = nodes.gpu_free[node] >= self._gpu_milli[kinds, None]
        fitting: list[int] = kinds[has_room.sum(axis=1) >= self._gpus[kinds]].tolist()
        return fitting


class _Run:
    """One replay: a heap of ends, a list of arrivals, the queue, and nodes kept for some."""

    def __init__(
        self, packer: Packer, jobs: Sequence[Job], mix: Mix, span: Span, promises: int
    ) -> None:
        self.packer, self.jobs, self.span, self.promises = packer, jobs, span, promises
        self.waiting = _Waiting(packer, jobs)
        self.meter = Meter(packer, mix, span)
        self.ends: list[tuple[int, int]] = []  # (ms, job)
        self.places: dict[int, Places] = {}  # of running jobs
        self.end_ms: dict[int, int] = {}  # of running jobs
        self.on_node: dict[int, set[int]] = {}  # running jobs
        self.kept: dict[int, list[int]] = {}  # promised job -> its nodes
        self.is_open: Array = np.ones(len(packer.nodes.model), bool)  # not kept for anybody
        self.touches: Array = np.zeros(len(packer.nodes.model), np.int64)  # of each node
        # By shape: when a pod of it will have room on each node, after so many touches.
        self.ready: dict[Shape, tuple[Array, Array]] = {}
        self.outcome = Outcome()

    def play(self) -> None:
        """Play all that happens until the replay stops."""
        arriving = 0
        while True:
            now = self.jobs[arriving].arrival_ms if arriving < len(self.jobs) else self.span.stop
            now = min(now, self.ends[0][0] if self.ends else now)
            if now >= self.span.stop:
                break
            self.meter.advance(now)
            self._settle(now, self._end(now))
            while arriving < len(self.jobs) and self.jobs[arriving].arrival_ms == now:
                self._arrive(arriving, now)
                arriving += 1
            self._promise(now)
        self.meter.advance(self.span.stop)
        for job in sorted(job for queue in self.waiting.queues for job in queue):
            self._count(job, self.span.stop, is_started=False)
        self.meter.report(self.outcome, GPU_MILLI * int(self.packer.nodes.gpus.sum()))

    def _arrive(self, job: int, now: int) -> None:
        kind, (shape, pods, _, _) = self._kind(job), self.jobs[job]
        for _ in range(pods):
            self.packer.submitted(shape, now)
        if self.waiting.queues[kind] or not self._start(job, now, self.is_open):
            self.waiting.add(kind, job)
            self.meter.wait(1)

    def _end(self, now: int) -> dict[int, None]:
        """Release what ends now; give the nodes."""
        touched: dict[int, None] = {}
        while self.ends and self.ends[0][0] == now:
            job = heapq.heappop(self.ends)[1]
            shape, started_ms = self.jobs[job].shape, now - self.jobs[job].life_ms
            del self.end_ms[job]
            for node, devices in self.places.pop(job):
                self.meter.take(node, shape, devices, -1)
                self.packer.left(shape, started_ms, now)
                self.on_node[node].discard(job)
                self.touches[node] += 1
                touched[node] = None
        return touched

    def _settle(self, now: int, touched: dict[int, None]) -> None:
        """Let those start whom the change of some nodes helps, in the order of arrival."""
        for job in [
            job for job, nodes in self.kept.items() if not touched.keys().isdisjoint(nodes)
        ]:
            is_its: Array = np.zeros(len(self.is_open), bool)
            is_its[self.kept[job]] = True
            touched.update(dict.fromkeys(self.kept[job]))
            if self._start(job, now, is_its):
                self.waiting.pop(self._kind(job))
                self.meter.wait(-1)
        tried: set[int] = set()
        fitting: dict[int, list[int]] = {}  # kinds by node, while nothing changed there
        heads = self.waiting.heads
        while heads:
            for node in touched:
                if node not in fitting and self.is_open[node]:
                    fitting[node] = self.waiting.fitting(node)
            kinds = {kind for some in fitting.values() for kind in some if kind in heads} - tried
            if not kinds:
                return
            kind = min(kinds, key=heads.__getitem__)
            job = heads[kind]
            touched.update(dict.fromkeys(self.kept.get(job, ())))  # which it gives up if it starts
            if self._start(job, now, self.is_open):
                self.waiting.pop(kind)
                self.meter.wait(-1)
                for node, _ in self.places[job]:
                    fitting.pop(node, None)
            else:
                tried.add(kind)  # a gang that does not fit as a whole

    def _start(self, job: int, now: int, is_allowed: Array) -> bool:
        """Place all pods of a job, or none."""
        shape, pods, _, life_ms = self.jobs[job]
        self.outcome.decisions += 1
        placed: Places = []
        for _ in range(pods):
            choice = self.packer.best(shape, is_allowed if self.kept else None)
            if choice is None:
                for node, devices in placed:
                    self.meter.take(node, shape, devices, -1)
                return False
            self.meter.take(choice.node, shape, choice.devices, 1)
            placed.append((choice.node, choice.devices))
        self.places[job] = placed
        for node, _ in placed:
            self.packer.started(shape, now)
            self.on_node.setdefault(node, set()).add(job)
            self.touches[node] += 1
        self.end_ms[job] = now + life_ms
        heapq.heappush(self.ends, (now + life_ms, job))
        self.is_open[self.kept.pop(job, [])] = True
        self._count(job, now, is_started=True)
        return True

    def _promise(self, now: int) -> None:
        """Keep nodes for those who have waited for long, first come first."""
        while len(self.kept) < self.promises:
            late = [
                job
                for job in self.waiting.heads.values()
                if job not in self.kept and now - self.jobs[job].arrival_ms >= PATIENCE_MS
            ]
            nodes = self._soonest(min(late)) if late else []
            if not nodes:
                return
            self.kept[min(late)] = nodes
            self.is_open[nodes] = False

    def _soonest(self, job: int) -> list[int]:
        """Give the open nodes that will first have room for the pods of a job, one pod on each."""
        packer, (shape, pods, _, _) = self.packer, self.jobs[job]
        books, ask = packer.books, packer.models.ask(shape)
        able = self.is_open & ((ask.models >> packer.nodes.model & 1) > 0)
        able &= (books.cpu_size >= ask.cpu_milli) & (books.memory_size >= ask.memory_mib)
        able &= (books.gpu_size > 0).sum(axis=1) >= ask.gpus
        able_nodes = np.flatnonzero(able)
        if len(able_nodes) < pods:
            return []
        ready_ms = self._ready(shape, able_nodes)[able_nodes]
        nodes: list[int] = able_nodes[np.argsort(ready_ms, kind="stable")[:pods]].tolist()
        return nodes

    def _ready(self, shape: Shape, nodes: Array) -> Array:
        """Give when a pod has room on nodes, right for these: again only what was touched."""
        if shape not in self.ready:
            self.ready[shape] = np.zeros_like(self.touches), np.full_like(self.touches, -1)
        ready_ms, as_of = self.ready[shape]
        for node in nodes[as_of[nodes] != self.touches[nodes]]:
            ready_ms[node] = self._ready_ms(int(node), shape)
        as_of[nodes] = self.touches[nodes]
        return ready_ms

    def _ready_ms(self, node: int, shape: Shape) -> int:
        """When a pod has room on a node on which nothing else starts; it fits there when empty."""
        nodes = self.packer.nodes
        cpu, memory = int(nodes.cpu_free[node]), int(nodes.memory_free[node])
        free = nodes.gpu_free[node].tolist()
        gpus, gpu_milli = shape.gpus, shape.gpu_milli
        fitting = sum(milli >= gpu_milli for milli in free)
        for end, job in sorted((self.end_ms[job], job) for job in self.on_node.get(node, ())):
            ending = self.jobs[job].shape
            for at, devices in self.places[job]:
                if at == node:
                    cpu, memory = cpu + ending.cpu_milli, memory + ending.memory_mib
                    for device in devices:
                        fitting += free[device] < gpu_milli <= free[device] + ending.gpu_milli
                        free[device] += ending.gpu_milli
            if cpu >= shape.cpu_milli and memory >= shape.memory_mib and fitting >= gpus:
                return end
        return 0

    def _kind(self, job: int) -> int:
        return self.waiting.number[self.jobs[job].shape, self.jobs[job].pods]

    def _count(self, job: int, now: int, is_started: bool) -> None:
        shape, _, arrival_ms, _ = self.jobs[job]
        if not (shape.gpus and self.span.begin <= arrival_ms < self.span.end):
            return
        self.outcome.waits_ms.append(now - arrival_ms)
        if shape.gpus == 8:
            self.outcome.waits_8_ms.append(now - arrival_ms)
        self.outcome.unstarted += not is_started
