"""apply(cluster, event): the only writer of state. Total on journalled events; no IO, clock or RNG.

Late, repeated and reordered observations are normal: agents repeat everything when they reconnect.
One that adds nothing leaves the state as it is. An impossible *decision* is an assertion.
"""

from collections.abc import Callable
from typing import Any, cast

from aimass.core import apply_jobs as jobs
from aimass.core import apply_nodes as nodes
from aimass.core import apply_queues as queues
from aimass.core import apply_shards as shards
from aimass.core import events as ev
from aimass.core.apply_plan import plan_committed
from aimass.core.apply_time import advance
from aimass.core.cluster import Cluster


def apply(cluster: Cluster, event: ev.Event) -> None:
    """Fold one event into the state: `cluster.revision` is one higher. O(shards touched)."""
    cluster.now_ms = event.at_ms
    if cluster.timers:
        advance(cluster)
    _APPLY[type(event)](cluster, event)
    if cluster.timers:
        advance(cluster)  # what the event made due at once
    cluster.revision += 1


def _cluster_created(cluster: Cluster, event: ev.ClusterCreated) -> None:
    assert cluster.revision == 0, "a journal creates its cluster once, first"
    cluster.cluster_id = event.cluster_id


def _term_started(cluster: Cluster, event: ev.TermStarted) -> None:
    assert event.term > cluster.term, f"term {event.term} does not follow {cluster.term}"
    cluster.term = event.term


def _tick(cluster: Cluster, event: ev.Tick) -> None:
    """Time has already been taken by apply()."""


_APPLY: dict[type, Callable[[Cluster, Any], None]] = {
    ev.ClusterCreated: _cluster_created,
    ev.TermStarted: _term_started,
    ev.Tick: _tick,
    ev.LevelsPut: queues.levels_put,
    ev.QueuePut: queues.queue_put,
    ev.QueueDeleted: queues.queue_deleted,
    ev.WindowPut: queues.window_put,
    ev.WindowDeleted: queues.window_deleted,
    ev.JobSubmitted: jobs.job_submitted,
    ev.JobHeld: jobs.job_held,
    ev.JobReleased: jobs.job_released,
    ev.JobUpdated: jobs.job_updated,
    ev.JobRequeueRequested: jobs.job_requeue_requested,
    ev.JobCancelRequested: jobs.job_cancel_requested,
    ev.CheckpointReported: shards.checkpoint_reported,
    ev.WorkReported: shards.work_reported,
    ev.PortReserved: shards.port_reserved,
    ev.ShardStarted: shards.shard_started,
    ev.ShardExited: shards.shard_exited,
    ev.NodeRegistered: nodes.node_registered,
    ev.InventoryChanged: nodes.inventory_changed,
    ev.NodeSilent: nodes.node_silent,
    ev.LeaseExpired: nodes.lease_expired,
    ev.NodeCordoned: nodes.node_cordoned,
    ev.NodeUncordoned: nodes.node_uncordoned,
    ev.PlanCommitted: plan_committed,
}
assert set(_APPLY) == set(cast(tuple[type, ...], ev.EVENT_TYPES)), "an event without its function"
