"""apply(cluster, event): the only writer of state. Total on journalled events; no IO, clock or RNG.

Late, repeated and reordered observations are normal: agents repeat everything when they reconnect.
One that adds nothing leaves the state as it is. An impossible *decision* is an assertion.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from aimass.core import events as ev
from aimass.core.cluster import OVER_KEPT, Cluster, hold, release
from aimass.core.lifecycle import JobTrigger, NodeTrigger, move_job, move_node
from aimass.core.model import (
    ATTEMPTS_KEPT,
    ATTEMPTS_MAX,
    Attempt,
    Device,
    Exit,
    ExitReason,
    Goal,
    HoldKey,
    Inventory,
    Job,
    JobId,
    JobState,
    Node,
    NodeState,
    Shard,
    ShardState,
)


def apply(cluster: Cluster, event: ev.Event) -> None:
    """Fold one event into the state: `cluster.revision` is one higher. O(shards touched)."""
    _APPLY[type(event)](cluster, event)
    cluster.revision += 1
    cluster.now_ms = event.at_ms


def _cluster_created(cluster: Cluster, event: ev.ClusterCreated) -> None:
    assert cluster.revision == 0, "a journal creates its cluster once, first"
    cluster.cluster_id = event.cluster_id


def _term_started(cluster: Cluster, event: ev.TermStarted) -> None:
    assert event.term > cluster.term, f"term {event.term} does not follow {cluster.term}"
    cluster.term = event.term


# ---- jobs ---------------------------------------------------------------------------------------


def _job_submitted(cluster: Cluster, event: ev.JobSubmitted) -> None:
    seq = cluster.next_seq
    assert event.job_id == job_id_of(seq), f"{event.job_id} is not the next id"
    cluster.next_seq = seq + 1
    job = Job(event.job_id, seq, event.spec, event.user, event.idempotency_key, event.at_ms)
    cluster.jobs[job.id] = job
    if event.idempotency_key:
        cluster.by_key[event.idempotency_key] = job.id
    cluster.waiting.add(job)


def job_id_of(seq: int) -> JobId:
    """The id of the job with this submit sequence: ids come from the event sequence."""
    return JobId(f"j{seq}")


def _job_cancel_requested(cluster: Cluster, event: ev.JobCancelRequested) -> None:
    job = cluster.jobs.get(event.job_id)
    if job is None or job.state.is_over:
        return
    outcome = f"cancelled by {event.by}" if event.by else "cancelled"
    if job.state is JobState.QUEUED:
        cluster.waiting.remove(job)
        _end(cluster, job, JobTrigger.CANCEL, outcome, event.at_ms)
        return
    attempt = job.current
    if attempt.stop_goal is Goal.CANCEL:
        # A second cancel may only hurry the first.
        attempt.grace_ms = min(attempt.grace_ms, event.grace_ms)
        _touch_nodes(cluster, attempt)
    else:
        _stop(cluster, job, Goal.CANCEL, outcome, event.grace_ms)


def _plan_committed(cluster: Cluster, event: ev.PlanCommitted) -> None:
    assert event.basis <= cluster.revision, "a plan cannot be based on the future"
    for start in event.starts:
        job = cluster.jobs[start.job_id]
        assert start.attempt == job.attempt + 1, f"{job.id}: attempt {start.attempt} out of order"
        cluster.waiting.remove(job)
        move_job(job, JobTrigger.PLACE)
        job.attempt = start.attempt
        uuids = []
        for rank, placement in enumerate(start.placements):
            node = cluster.nodes[placement.node_id]
            assert node.state is NodeState.READY, f"{node.id} is {node.state.value}"
            hold(node, HoldKey(job.id, start.attempt, rank), placement)
            uuids.append([node.devices[i].spec.uuid for i in placement.devices])
        shards = [Shard() for _ in uuids]
        attempt = Attempt(
            start.attempt,
            start.placements,
            uuids,
            shards,
            event.at_ms,
            start.reason,
            live=len(shards),
        )
        job.attempts.append(attempt)
        del job.attempts[:-ATTEMPTS_KEPT]
        _touch_nodes(cluster, attempt)


def _touch_nodes(cluster: Cluster, attempt: Attempt) -> None:
    """Every node of the attempt has something new to hold: one generation more, each once."""
    for node_id in dict.fromkeys(p.node_id for p in attempt.placements):
        cluster.nodes[node_id].generation += 1


# ---- shards -------------------------------------------------------------------------------------


def _live(cluster: Cluster, job_id: JobId, number: int, rank: int) -> tuple[Job, Attempt] | None:
    """The job and attempt of a shard that has not exited; None for anything old or unknown."""
    job = cluster.jobs.get(job_id)
    if job is None or not job.state.is_active or job.attempt != number:
        return None
    attempt = job.current
    if not 0 <= rank < len(attempt.shards) or attempt.shards[rank].state is ShardState.EXITED:
        return None
    return job, attempt


def _port_reserved(cluster: Cluster, event: ev.PortReserved) -> None:
    found = _live(cluster, event.job_id, event.attempt, 0)
    if found is None or found[1].master_port:
        return
    attempt = found[1]
    attempt.master_port = event.port
    if attempt.shards[0].state is ShardState.PENDING:
        attempt.shards[0].state = ShardState.PREPARED
    _touch_nodes(cluster, attempt)


def _shard_started(cluster: Cluster, event: ev.ShardStarted) -> None:
    found = _live(cluster, event.job_id, event.attempt, event.rank)
    if found is None:
        return
    job, attempt = found
    shard = attempt.shards[event.rank]
    if shard.state is ShardState.RUNNING:
        return
    shard.state = ShardState.RUNNING
    shard.pid = event.pid
    shard.started_ms = event.at_ms
    _count_started(job, attempt, event.at_ms)


def _count_started(job: Job, attempt: Attempt, at_ms: int) -> None:
    attempt.started += 1
    if attempt.started == len(attempt.shards):
        attempt.running_ms = at_ms
        if job.state is not JobState.STOPPING:
            move_job(job, JobTrigger.ALL_SHARDS)
    elif job.state is JobState.PLACED:
        move_job(job, JobTrigger.FIRST_SHARD)


def _shard_exited(cluster: Cluster, event: ev.ShardExited) -> None:
    found = _live(cluster, event.job_id, event.attempt, event.rank)
    if found is not None:
        _exit_shard(cluster, *found, event.rank, event.exit, event.at_ms)


def _exit_shard(
    cluster: Cluster, job: Job, attempt: Attempt, rank: int, how: Exit, at_ms: int
) -> None:
    shard = attempt.shards[rank]
    if shard.state is not ShardState.RUNNING and how.reason is ExitReason.EXITED:
        # It came and went between two reports: it did run.
        shard.started_ms = max(0, at_ms - how.wall_ms)
        _count_started(job, attempt, at_ms)
    shard.state = ShardState.EXITED
    shard.exited_ms = at_ms
    shard.exit = how
    attempt.live -= 1
    node = cluster.nodes[attempt.placements[rank].node_id]
    release(node, HoldKey(job.id, attempt.number, rank))
    node.generation += 1
    if not how.is_success and attempt.stop_goal is None:
        goal = Goal.REQUEUE if how.reason.is_infrastructure else Goal.FAIL
        _stop(cluster, job, goal, describe_exit(rank, node, how), job.spec.grace_ms)
    if attempt.live == 0:
        _end_attempt(cluster, job, attempt, at_ms)


def describe_exit(rank: int, node: Node, how: Exit) -> str:
    """One line that a user can act on: which shard, where, how."""
    if how.reason is ExitReason.EXITED:
        end = f"was killed by signal {how.signal}" if how.signal else f"exited with {how.code}"
    else:
        end = how.reason.value.lower().replace("_", " ")
    detail = f": {how.detail}" if how.detail else ""
    return f"shard {rank} on {node.id} {end}{detail}"


def _stop(cluster: Cluster, job: Job, goal: Goal, reason: str, grace_ms: int) -> None:
    """Order the whole gang to stop; a cancel outranks every other ending."""
    attempt = job.current
    attempt.stop_goal = goal
    attempt.stop_reason = reason
    attempt.grace_ms = grace_ms
    if job.state is not JobState.STOPPING:
        move_job(job, JobTrigger.STOP)
    _touch_nodes(cluster, attempt)


_ENDINGS = {
    Goal.FAIL: JobTrigger.FAIL,
    Goal.CANCEL: JobTrigger.CANCEL,
    Goal.REQUEUE: JobTrigger.REQUEUE,
}


def _end_attempt(cluster: Cluster, job: Job, attempt: Attempt, at_ms: int) -> None:
    attempt.ended_ms = at_ms
    if attempt.stop_goal is None:
        attempt.outcome = "every shard exited with 0"
        _end(cluster, job, JobTrigger.SUCCEED, attempt.outcome, at_ms)
        return
    attempt.outcome = attempt.stop_reason
    trigger = _ENDINGS[attempt.stop_goal]
    if trigger is JobTrigger.REQUEUE and attempt.number >= ATTEMPTS_MAX:
        trigger = JobTrigger.FAIL
        attempt.outcome = f"given up after {attempt.number} attempts; the last: {attempt.outcome}"
    if trigger is JobTrigger.REQUEUE:
        move_job(job, trigger)
        cluster.waiting.add(job)
    else:
        _end(cluster, job, trigger, attempt.outcome, at_ms)


def _end(cluster: Cluster, job: Job, trigger: JobTrigger, outcome: str, at_ms: int) -> None:
    move_job(job, trigger)
    job.outcome = outcome
    job.ended_ms = at_ms
    cluster.over[job.id] = None
    if len(cluster.over) > OVER_KEPT:
        oldest, _ = cluster.over.popitem(last=False)
        forgotten = cluster.jobs.pop(oldest)
        if forgotten.idempotency_key:
            del cluster.by_key[forgotten.idempotency_key]


# ---- nodes --------------------------------------------------------------------------------------


def _node_registered(cluster: Cluster, event: ev.NodeRegistered) -> None:
    node = cluster.nodes.get(event.node_id)
    if node is None:
        node = Node(
            event.node_id,
            len(cluster.nodes),
            event.inventory,
            event.boot_id,
            event.incarnation,
            event.agent_version,
            NodeState.READY,
            event.at_ms,
        )
        cluster.nodes[node.id] = node
    else:
        if event.instance == node.instance:
            assert event.incarnation >= node.incarnation, f"{node.id}: an older agent registered"
        else:
            assert not node.holds, f"{node.id}: a stranger registered while it holds shards"
        move_node(node, NodeTrigger.REGISTER, event.at_ms, "")
        if event.boot_id != node.boot_id:
            _exit_all(cluster, node, ExitReason.NODE_REBOOT, "the machine restarted", event.at_ms)
        node.boot_id = event.boot_id
        node.incarnation = event.incarnation
        node.agent_version = event.agent_version
    node.lease_ms = event.lease_ms
    node.instance = event.instance
    _take_inventory(node, event.inventory)
    node.generation += 1


def _inventory_changed(cluster: Cluster, event: ev.InventoryChanged) -> None:
    _take_inventory(cluster.nodes[event.node_id], event.inventory)


def _take_inventory(node: Node, inventory: Inventory) -> None:
    """Keep what is held, by UUID. A device that is held but no longer reported stays, as failed."""
    held = {d.spec.uuid: d for d in node.devices if d.holders}
    if held:
        inventory = keep_held(node, inventory)
    node.inventory = inventory
    node.devices = [held.get(spec.uuid, Device(spec)) for spec in inventory.devices]
    for device, spec in zip(node.devices, inventory.devices, strict=True):
        device.spec = spec


def keep_held(node: Node, reported: Inventory) -> Inventory:
    """The reported inventory, arranged so that every held device keeps its index.

    Placements name devices by index, so an index in use must go on meaning the same device.
    """
    new = {spec.uuid: spec for spec in reported.devices}
    slots = []
    for device in node.devices:
        gone = replace(device.spec, healthy=False, health_detail="no longer reported")
        slots.append(new.pop(device.spec.uuid, gone))
    return replace(reported, devices=(*slots, *new.values()))


def _node_silent(cluster: Cluster, event: ev.NodeSilent) -> None:
    node = cluster.nodes[event.node_id]
    if node.state is NodeState.READY:
        move_node(node, NodeTrigger.SILENCE, event.at_ms, event.reason)


def _lease_expired(cluster: Cluster, event: ev.LeaseExpired) -> None:
    node = cluster.nodes[event.node_id]
    if node.state is not NodeState.SUSPECT:
        return
    move_node(node, NodeTrigger.EXPIRY, event.at_ms, "silent for longer than its lease")
    _exit_all(cluster, node, ExitReason.NODE_LOST, node.reason, event.at_ms)


def _exit_all(cluster: Cluster, node: Node, reason: ExitReason, detail: str, at_ms: int) -> None:
    """Every shard on the node has ended, whether or not its exit was seen."""
    for key in sorted(node.holds, key=lambda k: (cluster.jobs[k.job_id].submit_seq, k.rank)):
        found = _live(cluster, *key)
        assert found is not None, f"{key} holds capacity on {node.id} but is not alive"
        _exit_shard(cluster, *found, key.rank, Exit(reason=reason, detail=detail), at_ms)


_APPLY: dict[type, Callable[[Cluster, Any], None]] = {
    ev.ClusterCreated: _cluster_created,
    ev.TermStarted: _term_started,
    ev.JobSubmitted: _job_submitted,
    ev.JobCancelRequested: _job_cancel_requested,
    ev.NodeRegistered: _node_registered,
    ev.InventoryChanged: _inventory_changed,
    ev.NodeSilent: _node_silent,
    ev.LeaseExpired: _lease_expired,
    ev.PortReserved: _port_reserved,
    ev.ShardStarted: _shard_started,
    ev.ShardExited: _shard_exited,
    ev.PlanCommitted: _plan_committed,
}
assert set(_APPLY) == set(cast(tuple[type, ...], ev.EVENT_TYPES)), "an event without its function"
