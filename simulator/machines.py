"""Machines: the nodes of a simulated cluster, and what becomes of them.

Nodes join and leave as planned, break and come back. The cluster learns what agents would tell it;
the world, which has the jobs, is told through `Jobs`.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from heapq import heappop, heappush
from itertools import accumulate
from typing import Protocol

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.cluster import Cluster
from aimass.core.model import Exit, Inventory, NodeId
from aimass.core.windows import WindowSpec
from aimass.simulator.clusters import RACK, Kinds, inventories
from aimass.simulator.faults import APP, GPU, NODE, SLOW, FaultStream, gpu_at
from aimass.simulator.faults import RACK as RACK_FAULT
from aimass.simulator.meter import Meter
from aimass.simulator.models import Change, Models
from aimass.simulator.timeline import Observer

# What a program says that its own error ended, and one whose GPU went away (NCCL aborts).
_APP_EXIT = Exit(code=1, detail="its program failed")
_GPU_EXIT = Exit(signal=6, detail="its GPU failed")


class Jobs(Protocol):
    """What machines do to jobs."""

    def fail(self, at_ms: int, node_id: NodeId, device: int, how: Exit, is_first: bool) -> None:
        """Programs on the GPU end so; is_first: only one of them."""
        ...

    def freeze(self, at_ms: int, node_id: NodeId) -> None:
        """Nothing on the node works any more, and nobody says so."""
        ...

    def vanish(self, at_ms: int, node_id: NodeId, event: ev.Event) -> None:
        """With this event the cluster learns that the shards on the node are gone."""
        ...

    def repace(self, at_ms: int, node_id: NodeId) -> None:
        """What works on the node may be faster or slower now."""
        ...


_Act = Callable[[int, Jobs], None]


class Machines:
    """All nodes by name, in the order in which they joined."""

    def __init__(
        self, cluster: Cluster, kinds: Kinds, models: Models, seed: int, meter: Meter
    ) -> None:
        self.silent: set[NodeId] = set()  # down, and their jobs not yet given up
        self.leaving: dict[NodeId, None] = {}  # for good, when they are empty
        self.slow: dict[tuple[NodeId, int], int] = {}  # millionths, of GPUs that are slower
        self.failures = 0
        self.observer: Observer | None = None
        self._cluster, self._kinds, self._meter, self._models = cluster, kinds, meter, models
        self._stream = FaultStream(models.faults, seed)
        self._due: list[tuple[int, int, _Act]] = []
        self._sequence = 0
        self._named = self._kinds_named = self._windows = 0
        self._there: dict[NodeId, Inventory] = {}
        self._totals: list[int] = []
        self._boots: dict[NodeId, int] = {}
        self._down: set[NodeId] = set()
        self._drains: dict[NodeId, int] = {}  # how many hold it

    def open(self, at_ms: int) -> None:
        """The first nodes join."""
        if self._models.levels:
            apply(self._cluster, ev.LevelsPut(at_ms, self._models.levels))
        self._join(self._kinds, at_ms)
        for change in sorted(self._models.changes, key=lambda change: change.at_ms):
            self._later(at_ms + change.at_ms, partial(self._change, change))
            if change.notice_ms:
                told_ms = at_ms + max(0, change.at_ms - change.notice_ms)
                self._later(told_ms, partial(self._announce, change, at_ms + change.at_ms))

    # ---- time -----------------------------------------------------------------------------------

    def next_ms(self, is_busy: bool) -> int | None:
        """When something happens next; is_busy: failures matter to somebody."""
        planned_ms = self._due[0][0] if self._due else None
        fails_ms = self._stream.next_ms if is_busy else None
        if planned_ms is None or fails_ms is None:
            return fails_ms if planned_ms is None else planned_ms
        return min(planned_ms, fails_ms)

    def advance(self, at_ms: int, jobs: Jobs) -> bool:
        """All that happens until then. False: nothing did."""
        happened = False
        while self._due and self._due[0][0] <= at_ms:
            heappop(self._due)[2](at_ms, jobs)
            happened = True
        while self._stream.next_ms is not None and self._stream.next_ms <= at_ms:
            kind, which = self._stream.take()
            self._break(kind, *gpu_at(self._totals, which), at_ms, jobs)
            happened = True
        return happened

    def _later(self, at_ms: int, act: _Act) -> None:
        self._sequence += 1
        heappush(self._due, (at_ms, self._sequence, act))

    # ---- what is planned ------------------------------------------------------------------------

    def _join(self, kinds: Kinds, at_ms: int) -> None:
        for name, there in inventories(kinds, self._named, self._kinds_named):
            node_id = NodeId(name)
            self._there[node_id] = there
            apply(self._cluster, ev.NodeRegistered(at_ms, node_id, there, "1", 1))
        self._named += sum(kind.nodes for kind in kinds)
        self._kinds_named += len(kinds)
        self._recount(at_ms)

    def _recount(self, at_ms: int) -> None:
        self._totals = list(accumulate(len(there.devices) for there in self._there.values()))
        self._stream.resize(at_ms, self._totals[-1] if self._totals else 0)

    def _change(self, change: Change, at_ms: int, jobs: Jobs) -> None:
        index = self._named
        for kind in change.add:
            for _ in range(kind.nodes):
                self._meter.join(NodeId(f"n{index}"), kind)
                index += 1
        first = self._named
        if change.add:
            self._join(change.add, at_ms)
        for at in range(first, index):
            self._tell(NodeId(f"n{at}"), at_ms)
        for node_id in (*change.remove, *change.drain):
            if node_id in self._there and node_id not in self.leaving:
                self._drains[node_id] = self._drains.get(node_id, 0) + 1
                why = "leaves" if node_id in change.remove else "maintenance"
                apply(self._cluster, ev.NodeCordoned(at_ms, node_id, "plan", why, at_ms))
                self._set_out(node_id, at_ms)
                if node_id not in change.remove:
                    self._later(at_ms + change.drain_ms, partial(self._undrain, node_id))
        self.leaving.update(dict.fromkeys(n for n in change.remove if n in self._there))
        self.retire(at_ms)

    def _announce(self, change: Change, begin_ms: int, at_ms: int, jobs: Jobs) -> None:
        """The scheduler is told of a maintenance that begins then, on the nodes that it knows."""
        nodes = tuple(str(node_id) for node_id in change.drain if node_id in self._there)
        if nodes:
            self._windows += 1
            name, length_ms = f"plan-{self._windows}", change.drain_ms
            spec = WindowSpec(name, begin_ms, length_ms, nodes, maintenance=True)
            apply(self._cluster, ev.WindowPut(at_ms, spec, "plan"))

    def _undrain(self, node_id: NodeId, at_ms: int, jobs: Jobs) -> None:
        if node_id not in self._there or node_id in self.leaving:
            return
        self._drains[node_id] -= 1
        if not self._drains[node_id]:
            del self._drains[node_id]
            apply(self._cluster, ev.NodeUncordoned(at_ms, node_id, "plan"))
            self._set_out(node_id, at_ms)

    def retire(self, at_ms: int) -> None:
        """Nodes that leave for good go when nothing is held there any more. O(such nodes)."""
        for node_id in [n for n in self.leaving if not self._cluster.nodes[n].holds]:
            del self.leaving[node_id], self._there[node_id]
            if node_id not in self._down:
                apply(self._cluster, ev.NodeSilent(at_ms, node_id, "it left"))
            apply(self._cluster, ev.LeaseExpired(at_ms, node_id))
            self.silent.discard(node_id)
            self._meter.leave(node_id)
            self._tell(node_id, at_ms)
            self._recount(at_ms)

    # ---- what breaks ----------------------------------------------------------------------------

    def _break(self, kind: int, node: int, device: int, at_ms: int, jobs: Jobs) -> None:
        node_id, faults = list(self._there)[node], self._models.faults
        if node_id in self._down:
            return
        self.failures += kind != SLOW
        if kind == APP:
            jobs.fail(at_ms, node_id, device, _APP_EXIT, True)
        elif kind == GPU:
            self._break_gpu(node_id, device, at_ms, jobs)
        elif kind == NODE:
            self._break_node(node_id, faults.node_ms, at_ms, jobs)
        elif kind == RACK_FAULT:
            rack = self._there[node_id].labels.get(RACK)
            for other, there in self._there.items():
                if other == node_id or (rack is not None and there.labels.get(RACK) == rack):
                    self._break_node(other, faults.rack_ms, at_ms, jobs)
        elif (node_id, device) not in self.slow:
            self.slow[node_id, device] = faults.slow_micro
            jobs.repace(at_ms, node_id)
            self._later(at_ms + faults.slow_ms, partial(self._speed_up, node_id, device))

    def _speed_up(self, node_id: NodeId, device: int, at_ms: int, jobs: Jobs) -> None:
        del self.slow[node_id, device]
        if node_id in self._there:
            jobs.repace(at_ms, node_id)

    def _break_gpu(self, node_id: NodeId, device: int, at_ms: int, jobs: Jobs) -> None:
        if not self._there[node_id].devices[device].healthy:
            return
        self._set_health(node_id, device, False, at_ms)
        jobs.fail(at_ms, node_id, device, _GPU_EXIT, False)
        self._later(at_ms + self._models.faults.gpu_ms, partial(self._mend, node_id, device))

    def _mend(self, node_id: NodeId, device: int, at_ms: int, jobs: Jobs) -> None:
        if node_id in self._there:
            self._set_health(node_id, device, True, at_ms)

    def _set_health(self, node_id: NodeId, device: int, healthy: bool, at_ms: int) -> None:
        there = self._there[node_id]
        devices = list(there.devices)
        detail = "" if healthy else "failed"
        devices[device] = replace(devices[device], healthy=healthy, health_detail=detail)
        self._there[node_id] = there = replace(there, devices=tuple(devices))
        if node_id not in self._down:
            apply(self._cluster, ev.InventoryChanged(at_ms, node_id, there))
            self._set_out(node_id, at_ms)

    def _break_node(self, node_id: NodeId, repair_ms: int, at_ms: int, jobs: Jobs) -> None:
        if node_id in self._down:
            return
        self._down.add(node_id)
        self.silent.add(node_id)
        apply(self._cluster, ev.NodeSilent(at_ms, node_id, "its machine stopped"))
        jobs.freeze(at_ms, node_id)
        lease_ms = self._models.faults.lease_ms
        if lease_ms < repair_ms:
            self._later(at_ms + lease_ms, partial(self._give_up, node_id))
        self._later(at_ms + repair_ms, partial(self._come_back, node_id))
        self._set_out(node_id, at_ms)

    def _give_up(self, node_id: NodeId, at_ms: int, jobs: Jobs) -> None:
        if node_id in self.silent:
            self.silent.discard(node_id)
            jobs.vanish(at_ms, node_id, ev.LeaseExpired(at_ms, node_id))

    def _come_back(self, node_id: NodeId, at_ms: int, jobs: Jobs) -> None:
        self._down.discard(node_id)
        if node_id not in self._there:
            return
        self.silent.discard(node_id)
        boot = self._boots[node_id] = self._boots.get(node_id, 1) + 1
        there = self._there[node_id]
        jobs.vanish(at_ms, node_id, ev.NodeRegistered(at_ms, node_id, there, str(boot), 1))
        if node_id in self._there:  # else it was the last that held it, and it left
            self._set_out(node_id, at_ms)

    # ---- what is in service ---------------------------------------------------------------------

    def _set_out(self, node_id: NodeId, at_ms: int) -> None:
        devices = self._there[node_id].devices
        is_out = node_id in self._down or node_id in self._drains
        out = len(devices) if is_out else sum(not device.healthy for device in devices)
        self._meter.take_out(node_id, 1000 * out)
        self._tell(node_id, at_ms, out)

    def _tell(self, node_id: NodeId, at_ms: int, out: int = 0) -> None:
        if self.observer is not None:
            there = self._there.get(node_id)
            gpus = len(there.devices) - out if there is not None else 0
            self.observer.resized(at_ms, node_id, 1000 * gpus)
