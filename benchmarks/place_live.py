"""Where one pod goes on a busy cluster, in the daemon's loop: processor time of one decision.

`place_latency`: openb's nodes eight times (9,704), filled to 85 % with openb's pods by `mass` and
the real decide and apply; then pods end at random, and for each another comes. `_place` is the
placer's own part of decide; `_loop` is apply, decide and check together, as `decide_submit` has it.
"""

import gc
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.check import check
from aimass.core.draft import Draft
from aimass.core.model import DeviceSpec, Inventory, Job, JobId, NodeId
from aimass.core.policy import Fuel, Placed, PlacePolicy, Want
from aimass.core.spec import JobSpec, Need, Role
from aimass.policies.pack_cache import keep_compiled
from aimass.policies.registry import make_policy
from benchmarks.busy import Busy
from benchmarks.record import Record, percentiles

if TYPE_CHECKING:
    from aimass.simulator.pack_files import PackNode, PackPod

COPIES = 8
LOAD_PERCENT = 85
ROUNDS = 5
SAMPLES = 400
BATCH = 200  # pods that come together while the cluster fills


def run(scale: float) -> list[Record]:
    """`place_latency_*` and its parts, ms."""
    keep_compiled()  # before the kernels are imported
    world = _World(max(1, round(COPIES * scale)))
    world.fill()
    samples = max(3, round(SAMPLES * scale))
    parts: dict[str, list[list[float]]] = {"": [], "_place": [], "_loop": []}
    gc.collect()
    gc.freeze()
    for _ in range(ROUNDS):
        measured = [world.sample() for _ in range(samples)]
        for name, times in zip(parts, zip(*measured, strict=True), strict=True):
            parts[name].append(list(times))
    gc.unfreeze()
    return [
        record
        for name, rounds in parts.items()
        for record in percentiles(f"place_latency{name}", "ms", rounds)
    ]


@dataclass
class _Timed:
    """A placer that remembers how long its last answers took."""

    placer: PlacePolicy
    spent_s: float = 0.0

    @property
    def name(self) -> str:
        return self.placer.name

    @property
    def version(self) -> int:
        return self.placer.version

    def place(self, draft: Draft, job: Job, want: Want, fuel: Fuel) -> Placed | None:
        """See PlacePolicy.place."""
        began = time.process_time()
        placed = self.placer.place(draft, job, want, fuel)
        self.spent_s += time.process_time() - began
        return placed


class _World:
    """The busy cluster of openb's nodes and pods."""

    def __init__(self, copies: int) -> None:
        from benchmarks.place_trace import cluster_and_pods

        nodes, self.pods = cluster_and_pods()
        policy = make_policy(place="mass")
        self.timed = _Timed(policy.place)
        self.busy = Busy(0, replace(policy, place=self.timed))
        self.alive: list[JobId] = []
        self.room_milli = 0
        for number in range(copies * len(nodes)):
            node = nodes[number % len(nodes)]
            self.busy.do(_joined(self.busy.now_ms, number, node))
            self.room_milli += node.gpus * 1000

    def fill(self) -> None:
        """Let pods come until they ask for so much of all GPUs."""
        left = self.room_milli * LOAD_PERCENT // 100
        while left > 0:
            for _ in range(BATCH):
                pod = self._drawn()
                left -= pod.shape.total_milli
                self.busy.submit(_job(pod))
            self._commit()

    def sample(self) -> tuple[float, float, float]:
        """Milliseconds of the decision, of its placing, and of the loop, for one pod more."""
        busy = self.busy
        busy.exit(self.alive.pop(busy.draw(len(self.alive))))
        self._commit()
        event = busy.submission(_job(self._drawn()))
        self.timed.spent_s = 0.0
        began = time.process_time()
        apply(busy.cluster, event)
        applied = time.process_time()
        plan = busy.decider.decide(busy.cluster)
        decided = time.process_time()
        check(busy.cluster, plan)
        checked = time.process_time()
        place_s = self.timed.spent_s
        self._commit()
        return 1000 * (decided - applied), 1000 * place_s, 1000 * (checked - began)

    def _commit(self) -> None:
        plan = self.busy.decider.decide(self.busy.cluster)
        self.busy.commit(plan)
        self.alive += [start.job_id for start in plan.starts]

    def _drawn(self) -> "PackPod":
        return self.pods[self.busy.draw(len(self.pods))]


def _joined(at_ms: int, number: int, node: "PackNode") -> ev.NodeRegistered:
    name = f"n{number:06}"
    model = node.model or "none"
    devices = tuple(DeviceSpec(f"{name}-{i}", model, 16_384, island=0) for i in range(node.gpus))
    labels = {"rack": f"r{number // 16}"}
    there = Inventory(name, name, node.cpu_milli, node.memory_mib, devices, labels)
    return ev.NodeRegistered(at_ms, NodeId(name), there, "1", 1)


def _job(pod: "PackPod") -> JobSpec:
    shape = pod.shape
    need = Need(shape.total_milli, shape.cpu_milli, shape.memory_mib, shape.models)
    return JobSpec("pod", (Role("main", 1, need, ("serve",)),), walltime_ms=3_600_000)
