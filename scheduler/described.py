"""plan_on(spec, cluster): the scheduler's answer about nodes that are only described. No daemon."""

from collections.abc import Iterable, Sequence

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.cluster import Cluster
from aimass.core.codec import encode_snapshot
from aimass.core.model import NodeId
from aimass.core.queues import QueueSpec
from aimass.core.whatif import Impossible, More, add_node, what_if
from aimass.policies.registry import make_policy
from aimass.scheduler.errors import Refused as Refused
from aimass.scheduler.errors import invalid
from aimass.scheduler.requests import checked_spec
from aimass.scheduler.translate import inventory_from_proto
from aimass.scheduler.translate_why import plan_to_proto
from aimass.v1 import job_pb2, node_pb2, scheduler_pb2

Described = tuple[list[str], list[tuple[str, node_pb2.Inventory]]]


def plan_on(
    spec: job_pb2.JobSpec,
    described: Described,
    more: Iterable[scheduler_pb2.MoreNodes] = (),
    without: Sequence[str] = (),
) -> scheduler_pb2.PlanReply:
    """What would happen to the job on these nodes when they are empty. Raises Refused."""
    levels, nodes = described
    cluster = Cluster()
    apply(cluster, ev.ClusterCreated(0, "described"))
    apply(cluster, ev.TermStarted(0, 1))
    apply(cluster, ev.LevelsPut(0, tuple(levels)))
    for name, there in nodes:
        if NodeId(name) in cluster.nodes:
            raise invalid(f"node {name} is described twice", fix="name them differently")
        add_node(cluster, 0, NodeId(name), inventory_from_proto(there))
    checked = checked_spec(spec)
    if checked.queue not in cluster.queues:  # nobody described it: it bounds nothing
        apply(cluster, ev.QueuePut(0, QueueSpec(checked.queue)))
    try:
        answer = what_if(
            encode_snapshot(cluster),
            checked,
            "",
            make_policy(),
            0,
            tuple(More(m.count, m.gpus, m.model) for m in more),
            tuple(NodeId(name) for name in without),
        )
    except Impossible as problem:
        raise invalid(f"this cannot be: {problem}", fix="change the job") from None
    return plan_to_proto(answer, cluster.revision, 0)
