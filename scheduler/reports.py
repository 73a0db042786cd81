"""What agents' messages mean: functions that turn reports into events, and only news into events.

Agents repeat everything when they reconnect; a report that says what is known emits nothing.
"""

from aimass.core.cluster import Cluster
from aimass.core.effects import is_answered
from aimass.core.events import (
    CheckpointReported,
    Event,
    InventoryChanged,
    LeaseExpired,
    NodeRegistered,
    NodeSilent,
    PortReserved,
    ShardExited,
    ShardStarted,
)
from aimass.core.model import (
    Exit,
    ExitReason,
    HoldKey,
    Inventory,
    JobId,
    NodeId,
    NodeState,
    Shard,
    ShardState,
)
from aimass.scheduler.inbox import Context
from aimass.scheduler.translate import inventory_from_proto
from aimass.scheduler.translate_jobs import SHARD_STATE_FROM_PROTO, exit_from_proto
from aimass.v1 import agent_pb2, node_pb2

CHECKPOINT_NEWS_MS = 10_000


def register(context: Context, message: agent_pb2.Register, lease_ms: int) -> None:
    """Take the node (back) in, with everything its agent knows about its shards."""
    cluster = context.cluster
    node_id = NodeId(message.node_id)
    context.emit(
        NodeRegistered(
            context.now_ms,
            node_id,
            inventory_from_proto(message.inventory),
            message.boot_id,
            message.incarnation,
            message.agent_version,
            lease_ms,
            message.instance,
        )
    )
    for each in message.checkpoints:  # first: one that has exited is not asked any more
        checkpoint(context, node_id, each)
    for shard in message.shards:
        report(context, node_id, shard)
    known = {HoldKey(JobId(s.job_id), s.attempt, s.rank) for s in message.shards}
    for key in [k for k in cluster.nodes[node_id].holds if k not in known]:
        shard_row = live_shard(cluster, node_id, key)
        if shard_row is not None and shard_row.state is ShardState.RUNNING:
            # It ran here and its agent has no trace of it: starting it again could run it twice.
            gone = Exit(reason=ExitReason.SUPERVISOR_LOST, detail="the agent has no record of it")
            context.emit(ShardExited(context.now_ms, *key, gone))


def report(context: Context, node_id: NodeId, message: agent_pb2.ShardReport) -> None:
    """One shard's state as its agent sees it."""
    key = HoldKey(JobId(message.job_id), message.attempt, message.rank)
    shard = live_shard(context.cluster, node_id, key)
    state = SHARD_STATE_FROM_PROTO.get(message.state)
    if shard is None or state is None:
        return
    event: Event | None = None
    if state is ShardState.EXITED:
        event = ShardExited(context.now_ms, *key, exit_from_proto(message.exit))
    elif state is ShardState.RUNNING and shard.state is not ShardState.RUNNING:
        event = ShardStarted(context.now_ms, *key, message.pid)
    elif (
        state is ShardState.PREPARED
        and shard.state is ShardState.PENDING
        and key.rank == 0
        and message.master_port > 0
    ):
        event = PortReserved(context.now_ms, key.job_id, key.attempt, message.master_port)
    if event is not None:
        context.emit(event)


def checkpoint(context: Context, node_id: NodeId, message: agent_pb2.CheckpointReport) -> None:
    """A shard's program has completed its job's checkpoint.

    News when it answers a notice, or is at least CHECKPOINT_NEWS_MS newer than the last one known:
    every shard may say it, agents repeat it, and ages are not measured to the millisecond.
    """
    key = HoldKey(JobId(message.job_id), message.attempt, message.rank)
    if live_shard(context.cluster, node_id, key) is None:
        return
    attempt = context.cluster.jobs[key.job_id].current
    age_ms = max(0, message.age_ms)
    at_ms = context.now_ms - age_ms
    answers = (
        attempt.stop_goal is not None and not is_answered(attempt) and at_ms >= attempt.stopping_ms
    )
    if answers or at_ms >= attempt.checkpoint_ms + CHECKPOINT_NEWS_MS:
        context.emit(CheckpointReported(context.now_ms, key.job_id, key.attempt, age_ms))


def live_shard(cluster: Cluster, node_id: NodeId, key: HoldKey) -> Shard | None:
    """The shard's row if it holds capacity on this node now; None for old or foreign ones."""
    node = cluster.nodes.get(node_id)
    if node is None or key not in node.holds:
        return None
    return cluster.jobs[key.job_id].current.shards[key.rank]


def inventory(context: Context, node_id: NodeId, message: node_pb2.Inventory) -> None:
    """The machine has changed under its agent."""
    found: Inventory = inventory_from_proto(message)
    context.emit(InventoryChanged(context.now_ms, node_id, found))


def silent(context: Context, node_id: NodeId, reason: str) -> None:
    """The node's link is gone: nothing new goes there, nothing is killed."""
    node = context.cluster.nodes.get(node_id)
    if node is not None and node.state is NodeState.READY:
        context.emit(NodeSilent(context.now_ms, node_id, reason))


def expire(context: Context, node_id: NodeId) -> None:
    """The node's lease has run out: its shards have been stopped by their shims."""
    node = context.cluster.nodes.get(node_id)
    if node is not None and node.state is NodeState.SUSPECT:
        context.emit(LeaseExpired(context.now_ms, node_id))
