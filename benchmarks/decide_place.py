"""Placements a second, in processor time: single GPUs that fill 5,000 nodes, and whole gangs.

Only what a decision does to find places and hold them; order, quota and promises are elsewhere.
Nodes have 8 GPUs. `place_rate`: one job after the other on one draft until the cluster is full.
`gang_rate_NODES`: 16 shards of one GPU placed and taken back, on an empty cluster and on one where
every node has something in use.
"""

import gc
import time

from aimass.core.cluster import Cluster
from aimass.core.draft import Draft
from aimass.core.model import Device, Inventory, Job, JobId, Node, NodeId, NodeState
from aimass.core.policy import Fuel, Want
from aimass.core.spec import JobSpec, Need, Role
from aimass.policies.registry import make_policy
from benchmarks.jobs import GPUS_PER_NODE, MEMORY_MIB_PER_GPU, devices_of
from benchmarks.record import Record, of_rounds

ROUNDS = 5
NODES = 5_000
GANG_SHARDS = 16
GANG_NODES = (8, 1_024)
GANGS = 2_000
_FUEL = 1 << 40
_NEED = Need(1000, 8000, MEMORY_MIB_PER_GPU)


def cluster_of(nodes: int) -> Cluster:
    """A cluster of so many idle nodes, in racks of 16."""
    cluster = Cluster()
    cluster.levels = ("rack",)
    for index in range(nodes):
        name, devices = NodeId(f"n{index}"), devices_of(f"n{index}")
        labels = {"rack": f"r{index // 16}"}
        inventory = Inventory(name, "127.0.0.1", 128_000, 1 << 20, devices, labels)
        node = Node(name, index, inventory, "boot", 1, "", NodeState.READY, 0)
        node.devices = [Device(spec) for spec in devices]
        cluster.nodes[name] = node
        cluster.index.put(node)
    return cluster


def run_place(scale: float) -> list[Record]:
    """`place_rate`, placements/s."""
    nodes = max(10, round(NODES * scale))
    cluster, jobs = cluster_of(nodes), _jobs("job", 1, nodes * GPUS_PER_NODE)
    gc.collect()
    gc.freeze()
    rates = [len(jobs) / _place_s(cluster, jobs) for _ in range(ROUNDS)]
    gc.unfreeze()
    return [of_rounds("place_rate", "placements/s", rates, len(jobs) * ROUNDS)]


def run_gangs(scale: float) -> list[Record]:
    """`gang_rate_8` and `gang_rate_1024`, gangs/s."""
    records = []
    for nodes in GANG_NODES:
        count = max(10, round(GANGS * scale))
        cluster, gang = cluster_of(nodes), _jobs("gang", GANG_SHARDS, 1)[0]
        small = _jobs("small", 1, nodes * 3)
        gc.collect()
        gc.freeze()
        rates = [count / _gangs_s(cluster, gang, small, count) for _ in range(ROUNDS)]
        gc.unfreeze()
        records.append(of_rounds(f"gang_rate_{nodes}", "gangs/s", rates, count * ROUNDS))
    return records


def _jobs(name: str, shards: int, count: int) -> list[Job]:
    spec = JobSpec(name, (Role("main", shards, _NEED, ("train",)),))
    return [Job(JobId(f"{name}{i}"), i, spec, "bench", "", 0) for i in range(count)]


def _place_s(cluster: Cluster, jobs: list[Job]) -> float:
    place, want, fuel = make_policy().place.place, Want((1,)), Fuel(_FUEL)
    with Draft(cluster) as draft:
        began = time.process_time()
        for job in jobs:
            assert place(draft, job, want, fuel) is not None
        return time.process_time() - began


def _gangs_s(cluster: Cluster, gang: Job, small: list[Job], count: int) -> float:
    """Half of the gangs on idle nodes, half beside small jobs spread over all of them."""
    spread = make_policy(place="spread").place.place
    place, want, fuel = make_policy().place.place, Want((GANG_SHARDS,)), Fuel(_FUEL)
    spent = 0.0
    with Draft(cluster) as draft:
        for beside in ([], small):
            for job in beside:
                assert spread(draft, job, Want((1,)), fuel) is not None
            mark = draft.checkpoint()
            began = time.process_time()
            for _ in range(-(-count // 2)):
                assert place(draft, gang, want, fuel) is not None
                draft.rollback(mark)
            spent += time.process_time() - began
    return spent
