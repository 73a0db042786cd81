"""The published packing experiment: pods arrive and never leave; who finds no room is dropped."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from aimass.core.shapes import Shape
from aimass.policies.pack_engine import NodeSize, Packer
from aimass.policies.pack_mix import mix_of, typical_classes
from aimass.policies.pack_policies import PackPolicy
from aimass.policies.pack_state import GPU_MILLI
from aimass.policies.pack_worth import fragmentation
from aimass.simulator.arrivals import arrivals, node_order
from aimass.simulator.pack_files import PackNode, PackPod, fits_empty

Curve = dict[int, float]  # by arrived demand in whole percent: the mean over the pods there


@dataclass
class PackRun:
    """What one policy did with one seed's arrivals. Shares are percent of all GPUs."""

    policy: str
    seed: int
    alloc_pct: Curve
    frag_pct: Curve
    # Arrived demand when the first pod was dropped that an idle cluster could have taken.
    first_failed_gpu_pct: float | None = None
    first_failed_by_gpus: dict[int, float] = field(default_factory=dict)
    failed_by_gpus: dict[int, int] = field(default_factory=dict)
    impossible: int = 0  # of the failed: no node could take it even when idle
    decisions: int = 0
    decide_us: list[float] = field(default_factory=list)
    cpu_s: float = 0.0


def pack(
    nodes: Sequence[PackNode],
    pods: Sequence[PackPod],
    policy_name: str,
    seed: int,
    inflation: Fraction = Fraction("1.3"),
) -> PackRun:
    """Run one policy over one seed's arrivals. Raises ValueError for a cluster without GPUs."""
    capacity_milli = GPU_MILLI * sum(node.gpus for node in nodes)
    if not capacity_milli:
        raise ValueError("the cluster has no GPU")
    order = arrivals(pods, seed, inflation, capacity_milli)
    classes = typical_classes([pod.shape for pod in pods])
    packer = packer_of(nodes, PackPolicy(policy_name, classes, seed), seed)
    meter = _Meter(packer, nodes, classes, capacity_milli)
    run = PackRun(policy_name, seed, {}, {}, decisions=len(order))
    began = time.process_time()
    for pod in order:
        meter.offer(pod.shape, run)
    run.cpu_s = time.process_time() - began
    run.alloc_pct, run.frag_pct = meter.curves()
    return run


def packer_of(nodes: Sequence[PackNode], policy: PackPolicy, seed: int) -> Packer:
    """Give a packer of idle nodes, in the seed's order."""
    packer = Packer(policy, len(nodes))
    for at, which in enumerate(node_order(len(nodes), seed)):
        node = nodes[which]
        devices = (GPU_MILLI,) * node.gpus
        packer.set_node(at, NodeSize(node.cpu_milli, node.memory_mib, devices, node.model))
    return packer


class _Meter:
    """Offers pods to a packer and keeps the sums that the curves are made of."""

    def __init__(
        self,
        packer: Packer,
        nodes: Sequence[PackNode],
        classes: Mapping[Shape, int],
        capacity_milli: int,
    ) -> None:
        self._packer = packer
        self._kinds = list({node[1:]: node for node in nodes}.values())
        self._mix = mix_of(classes, packer.models)
        self._capacity_milli = capacity_milli
        self._arrived = self._placed = 0
        self._fragments = sum(self._fragments_of(node) for node in range(len(nodes)))
        self._points: dict[int, tuple[int, int, int]] = {}  # pods, placed, fragments

    def offer(self, shape: Shape, run: PackRun) -> None:
        """Let one pod arrive."""
        began = time.perf_counter_ns()
        self._packer.submitted(shape)
        choice = self._packer.best(shape)
        decide_ns = time.perf_counter_ns() - began
        self._arrived += shape.total_milli
        if choice is None:
            self._failed(shape, run)
        else:
            self._fragments -= self._fragments_of(choice.node)
            began = time.perf_counter_ns()
            self._packer.take(choice.node, shape, choice.devices)
            decide_ns += time.perf_counter_ns() - began
            self._fragments += self._fragments_of(choice.node)
            self._placed += shape.total_milli
        run.decide_us.append(decide_ns / 1000)
        at = round(Fraction(100 * self._arrived, self._capacity_milli))
        pods, placed, fragments = self._points.get(at, (0, 0, 0))
        self._points[at] = (pods + 1, placed + self._placed, fragments + self._fragments)

    def curves(self) -> tuple[Curve, Curve]:
        """Give allocated and fragmented GPUs by arrived demand."""
        full = self._capacity_milli / 100
        weight = max(1, self._mix.weight)
        alloc = {at: placed / pods / full for at, (pods, placed, _) in self._points.items()}
        frag = {at: parts / pods / weight / full for at, (pods, _, parts) in self._points.items()}
        return alloc, frag

    def _failed(self, shape: Shape, run: PackRun) -> None:
        arrived_pct = 100 * self._arrived / self._capacity_milli
        run.failed_by_gpus[shape.gpus] = run.failed_by_gpus.get(shape.gpus, 0) + 1
        if not any(fits_empty(shape, node) for node in self._kinds):
            run.impossible += 1
            return
        if shape.gpus and run.first_failed_gpu_pct is None:
            run.first_failed_gpu_pct = arrived_pct
        run.first_failed_by_gpus.setdefault(shape.gpus, arrived_pct)

    def _fragments_of(self, node: int) -> int:
        return int(fragmentation(self._mix, self._packer.nodes, node))
