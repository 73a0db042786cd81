"""effects(cluster, node) -> DesiredSet: what the node should hold now, derived from the state.

Never a command: sending it twice, late or not at all does no harm. An agent refuses a set whose
(term, generation) is older than the last it applied.
"""

from dataclasses import dataclass

from aimass.core.cluster import Cluster
from aimass.core.model import (
    Attempt,
    HoldKey,
    Job,
    JobId,
    Node,
    NodeId,
    Placement,
    ShardState,
)
from aimass.core.spec import WHOLE_GPU_MILLI


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything a shard's start needs except what only the node knows.

    Ranks follow torchrun with one agent per (role, node): LOCAL_RANK counts within that group.
    visible_uuids: for one-GPU shards all devices of the group, so that `cuda:LOCAL_RANK` is right.
    """

    device_uuids: tuple[str, ...]
    visible_uuids: tuple[str, ...]
    role_rank: int
    role_world_size: int
    world_size: int
    local_rank: int
    local_world_size: int
    group_rank: int
    group_world_size: int
    master_addr: str
    master_port: int  # 0: rank 0's agent has not reserved one yet


@dataclass(frozen=True, slots=True)
class Assignment:
    """One shard the node should run, or stop.

    launch is None for a shard that is to stop or is known to run: it will never be started (again),
    and its command and environment need not travel with every set.
    notice_signal, notice_ms: with stop, what it gets before SIGTERM and for how long; "" and 0 when
    it was promised nothing, and once the job's checkpoint is known to be complete.
    """

    job_id: JobId
    attempt: int
    rank: int
    stop: bool
    grace_ms: int
    stop_reason: str
    notice_signal: str
    notice_ms: int
    launch: Launch | None


@dataclass(frozen=True, slots=True)
class DesiredSet:
    """All that one node should hold, under the leader's term and the node's generation."""

    node_id: NodeId
    term: int
    generation: int
    assignments: tuple[Assignment, ...]


def effects(cluster: Cluster, node: Node) -> DesiredSet:
    """The node's whole desired set, by submit order and rank. O(shards of its jobs)."""
    keys = sorted(node.holds, key=lambda k: (cluster.jobs[k.job_id].submit_seq, k.rank))
    assignments = tuple(_assignment(cluster, node, key) for key in keys)
    return DesiredSet(node.id, cluster.term, node.generation, assignments)


def _assignment(cluster: Cluster, node: Node, key: HoldKey) -> Assignment:
    job = cluster.jobs[key.job_id]
    attempt = job.current
    stop = attempt.stop_goal is not None
    signal = job.spec.checkpoint.signal
    notice_ms = 0 if not signal or is_answered(attempt) else attempt.notice_ms
    is_started = attempt.shards[key.rank].state is ShardState.RUNNING
    return Assignment(
        job_id=job.id,
        attempt=attempt.number,
        rank=key.rank,
        stop=stop,
        grace_ms=attempt.grace_ms if stop else job.spec.grace_ms,
        stop_reason=attempt.stop_reason,
        notice_signal=signal if notice_ms else "",
        notice_ms=notice_ms,
        launch=None if stop or is_started else _launch(cluster, node, job, attempt, key.rank),
    )


def is_answered(attempt: Attempt) -> bool:
    """True when a checkpoint has become complete since the attempt was ordered to stop."""
    return attempt.stop_goal is not None and attempt.checkpoint_ms >= attempt.stopping_ms


def _launch(cluster: Cluster, node: Node, job: Job, attempt: Attempt, rank: int) -> Launch:
    placements = attempt.placements
    mine = placements[rank]
    groups = list(dict.fromkeys((p.role, p.node_id) for p in placements))
    group = (mine.role, mine.node_id)
    local = [r for r, p in enumerate(placements) if (p.role, p.node_id) == group]
    first_of_role = next(i for i, p in enumerate(placements) if p.role == mine.role)
    own = _uuids(node, mine)
    one_whole_gpu = len(own) == 1 and mine.share_milli == WHOLE_GPU_MILLI
    head = cluster.nodes[placements[0].node_id]
    return Launch(
        device_uuids=own,
        visible_uuids=tuple(u for r in local for u in _uuids(node, placements[r]))
        if one_whole_gpu
        else own,
        role_rank=rank - first_of_role,
        role_world_size=sum(p.role == mine.role for p in placements),
        world_size=len(placements),
        local_rank=local.index(rank),
        local_world_size=len(local),
        group_rank=groups.index(group),
        group_world_size=len(groups),
        master_addr=head.inventory.address,
        master_port=attempt.master_port,
    )


def _uuids(node: Node, placement: Placement) -> tuple[str, ...]:
    return tuple(node.devices[i].spec.uuid for i in placement.devices)
