"""Queues for tests: a World with a tree of them, jobs that hold what a test says."""

from typing import Any

from aimass.core import events as ev
from aimass.core.capacity import amounts_of, hold
from aimass.core.cluster import Cluster
from aimass.core.model import HoldKey, Job, JobId, Placement
from aimass.core.queues import Amounts, Queue, QueueSpec
from aimass.core.spec import JobSpec
from tests.core.world import World, gpus, inventory, one_role


def gpu_amounts(count: int, model: str = "H100") -> Amounts:
    """So many whole GPUs of a model, and nothing else."""
    return {"gpu": count * 1000, f"gpu:{model}": count * 1000, "cpu": 0, "memory": 0}


def queue_world(*specs: QueueSpec, nodes: int = 2, model: str = "H100") -> World:
    """A world of nodes with 8 GPUs each, and these queues."""
    world = World()
    for index in range(nodes):
        name = f"n{index + 1}"
        world.join(name, inventory(name, gpus(name, 8, model)))
    for spec in specs:
        world.do(ev.QueuePut, spec=spec)
    return world


def job_in(queue: str, count: int = 1, **fields: Any) -> Job:
    """A job that nobody has submitted, for questions about it."""
    spec = JobSpec("job", one_role(gpus=count), queue=queue, **fields)
    return Job(JobId("j1"), 1, spec, "ann", "", 0)


def hold_in(cluster: Cluster, queue: str, count: int, seq: int, **fields: Any) -> bool:
    """Let a job of the queue hold so many GPUs, wherever they are free, past all rules."""
    job = Job(JobId(f"x{seq}"), seq, job_in(queue, 1, **fields).spec, "ann", "", 0)
    for node in cluster.nodes.values():
        free = [i for i, device in enumerate(node.devices) if not device.used_milli]
        if len(free) >= count:
            placement = Placement(0, node.id, tuple(free[:count]), 1000, 0, 0)
            hold(cluster, job, node, HoldKey(job.id, 1, 0), placement)
            return True
    return False


def recount(cluster: Cluster, holders: dict[str, str], name: str) -> Amounts:
    """What jobs hold in a queue and below it, from the nodes. holders: job -> queue."""
    total: Amounts = {}
    for node in cluster.nodes.values():
        for key, placement in node.holds.items():
            chain = cluster.queues[holders[key.job_id]].tree.chain
            if any(queue.spec.name == name for queue in chain):
                for what, amount in amounts_of(node, placement).items():
                    total[what] = total.get(what, 0) + amount
    return {what: amount for what, amount in total.items() if amount}


def used(queue: Queue) -> Amounts:
    """What a queue says is in use, without zeros."""
    return {what: amount for what, amount in queue.used.items() if amount}
