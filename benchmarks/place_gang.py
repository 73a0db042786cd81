"""One new gang of 64 GPUs that must lie in one rack of 10,000 part-filled nodes: a whole decision.

Racks have 16 to 32 nodes of 8 GPUs, six racks to a block; a third of the racks has H100 and A100
nodes side by side. The cluster is filled with jobs of one to eight GPUs, then in each rack another
part of them ends. Samples in turn ask for 64 shards of one GPU and for 8 whole nodes, of any model
or of one by name; what is measured is apply, decide and check, in processor time. Each gang starts,
and when 24 run, the eldest ends: every decision meets nodes that have changed.
"""

import gc
from collections import deque
from dataclasses import replace

from aimass.core import events as ev
from aimass.core.model import DeviceSpec, Inventory, JobId, NodeId
from aimass.core.spec import Topology
from benchmarks.busy import RUNNING, Busy
from benchmarks.record import Record, percentiles

ROUNDS = 5
SAMPLES = 60  # in a round
NODES = 10_000
NODES_LEAST = 2_000  # below that the gangs fill whole racks
GANGS = 24  # that run at a time
RACKS_PER_BLOCK = 6
SHAPES = ((1, 64), (8, 8))  # GPUs of a shard, shards
MODELS: tuple[tuple[str, ...], ...] = ((), ("H100",), ("A100",))
KINDS = {"shards": SHAPES[0], "nodes": SHAPES[1]}


def run(scale: float) -> list[Record]:
    """`gang_scale_p50` and `_p99` of all samples, and of the two shapes."""
    samples = max(6, round(SAMPLES * scale))
    world = _Racks(max(NODES_LEAST, round(NODES * scale)))
    for number in range(GANGS):
        world.sample(number)
    gc.collect()
    gc.freeze()
    rounds = [[world.sample(i) for i in range(samples)] for _ in range(ROUNDS)]
    gc.unfreeze()
    records = percentiles("gang_scale", "ms", rounds)
    for at, name in enumerate(KINDS):
        each = [part[at :: len(KINDS)] for part in rounds]
        records += percentiles(f"gang_scale_{name}", "ms", each)
    return records


class _Racks:
    """The part-filled cluster, and the gangs that come and go on it."""

    def __init__(self, nodes: int) -> None:
        self.busy = Busy(0)
        self.gangs: deque[JobId] = deque()
        busy = self.busy
        busy.do(ev.LevelsPut(busy.now_ms, ("block", "rack")))
        rack = 0
        while len(busy.cluster.nodes) < nodes:
            self._add_rack(rack)
            rack += 1
        busy.nodes = len(busy.cluster.nodes)
        busy.fill(RUNNING)
        staying = [20 + busy.draw(75) for _ in range(rack)]  # percent of a rack's jobs
        for job in busy.running():
            node = busy.cluster.nodes[job.current.placements[0].node_id]
            if busy.draw(100) >= staying[int(node.inventory.labels["rack"][1:])]:
                busy.exit(job.id)
        busy.settle()

    def sample(self, number: int) -> float:
        """Milliseconds of one gang's decision; it starts."""
        busy = self.busy
        gpus, shards = SHAPES[number % len(SHAPES)]
        models = MODELS[number // len(SHAPES) % len(MODELS)]
        spec = busy.spec(gpus, shards, topology=Topology(required="rack"))
        role = replace(spec.roles[0], need=replace(spec.roles[0].need, gpu_types=models))
        ms, plan = busy.decide_ms(busy.submission(replace(spec, roles=(role,))))
        assert len(plan.starts) == 1, f"{shards} x {gpus} of {models}: {plan.waits}"
        busy.commit(plan)
        self.gangs.append(plan.starts[0].job_id)
        if len(self.gangs) > GANGS:
            busy.exit(self.gangs.popleft())
            busy.settle()
        return ms

    def _add_rack(self, rack: int) -> None:
        busy = self.busy
        is_mixed, usual = rack % 3 == 0, ("H100", "A100")[rack % 2]
        labels = {"rack": f"r{rack}", "block": f"b{rack // RACKS_PER_BLOCK}"}
        for place in range(16 + busy.draw(17)):
            model = ("H100", "A100")[place % 2] if is_mixed else usual
            name = f"r{rack:03}n{place:02}"
            devices = tuple(DeviceSpec(f"{name}-{i}", model, 81_920, i // 4, 0) for i in range(8))
            there = Inventory(name, name, 128_000, 1_048_576, devices, labels)
            busy.do(ev.NodeRegistered(busy.now_ms, NodeId(name), there, "1", 1))
