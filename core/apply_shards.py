"""What the shards of an attempt do to it: port, start, exit; and how a gang is stopped and ends."""

from dataclasses import replace

from aimass.core import events as ev
from aimass.core.capacity import leave, release
from aimass.core.cluster import Cluster
from aimass.core.effects import is_answered
from aimass.core.endings import end_attempt
from aimass.core.lifecycle import JobTrigger
from aimass.core.model import (
    Attempt,
    Exit,
    ExitReason,
    Goal,
    HoldKey,
    Job,
    JobId,
    JobState,
    Node,
    ShardState,
)
from aimass.core.move_rules import was_moved
from aimass.core.moves import count_job, move
from aimass.core.queues import settle
from aimass.core.retry import judge_failure, note_fault
from aimass.core.runtimes import expected_end_ms


def touch_nodes(cluster: Cluster, attempt: Attempt) -> None:
    """Every node of the attempt has something new to hold: one generation more, each once."""
    nodes, placements = cluster.nodes, attempt.placements
    if len(placements) == 1:
        nodes[placements[0].node_id].generation += 1
        return
    for node_id in dict.fromkeys([placement.node_id for placement in placements]):
        nodes[node_id].generation += 1


def live(cluster: Cluster, job_id: JobId, number: int, rank: int) -> tuple[Job, Attempt] | None:
    """The job and attempt of a shard that has not exited; None for anything old or unknown."""
    job = cluster.jobs.get(job_id)
    if job is None or not job.state.is_active or job.attempt != number:
        return None
    attempt = job.attempts[-1]
    shards = attempt.shards
    if not 0 <= rank < len(shards) or shards[rank].state is ShardState.EXITED:
        return None
    return job, attempt


def port_reserved(cluster: Cluster, event: ev.PortReserved) -> None:
    """See events.PortReserved. The first port stands."""
    found = live(cluster, event.job_id, event.attempt, 0)
    if found is None or found[1].master_port:
        return
    attempt = found[1]
    attempt.master_port = event.port
    if attempt.shards[0].state is ShardState.PENDING:
        attempt.shards[0].state = ShardState.PREPARED
    touch_nodes(cluster, attempt)


def shard_started(cluster: Cluster, event: ev.ShardStarted) -> None:
    """See events.ShardStarted."""
    found = live(cluster, event.job_id, event.attempt, event.rank)
    if found is None:
        return
    job, attempt = found
    shard = attempt.shards[event.rank]
    if shard.state is ShardState.RUNNING:
        return
    shard.state = ShardState.RUNNING
    shard.pid = event.pid
    shard.started_ms = event.at_ms
    _count_started(cluster, job, attempt, event.at_ms)


def _count_started(cluster: Cluster, job: Job, attempt: Attempt, at_ms: int) -> None:
    attempt.started += 1
    if attempt.started == len(attempt.shards):
        was_ms = expected_end_ms(cluster, job)[0] if cluster.planned else 0
        attempt.running_ms = at_ms
        if job.spec.movable:
            cluster.eased.add(job.id)
            if was_moved(job, 2):
                cluster.freed_revision = cluster.revision + 1  # now others may be
        if job.id in cluster.elastic:
            cluster.freed_revision = cluster.revision + 1  # it may be resized from now on
        elif cluster.planned:
            end_ms = expected_end_ms(cluster, job)[0]
            if any(was_ms <= planned.start_ms < end_ms for planned in cluster.planned.values()):
                cluster.freed_revision = cluster.revision + 1  # a promise that counts on its end
        if job.state is not JobState.STOPPING:
            move(cluster, job, JobTrigger.ALL_SHARDS)
    elif job.state is JobState.PLACED:
        move(cluster, job, JobTrigger.FIRST_SHARD)


def shard_exited(cluster: Cluster, event: ev.ShardExited) -> None:
    """See events.ShardExited."""
    found = live(cluster, event.job_id, event.attempt, event.rank)
    if found is not None:
        job, attempt = found
        exit_shard(cluster, job, attempt, event.rank, event.exit, event.at_ms)


def exit_shard(
    cluster: Cluster, job: Job, attempt: Attempt, rank: int, how: Exit, at_ms: int
) -> None:
    """The live shard is gone; one that failed takes its gang with it, the last ends the attempt."""
    shard = attempt.shards[rank]
    if shard.state is not ShardState.RUNNING and how.reason is ExitReason.EXITED:
        # It came and went between two reports: it did run.
        shard.started_ms = max(0, at_ms - how.wall_ms)
        _count_started(cluster, job, attempt, at_ms)
    shard.state = ShardState.EXITED
    shard.exited_ms = at_ms
    shard.exit = how
    attempt.live -= 1
    node = cluster.nodes[attempt.placements[rank].node_id]
    release(cluster, job, node, HoldKey(job.id, attempt.number, rank))
    settle(cluster.queues, job.spec.queue, cluster.now_ms)
    cluster.freed_revision = cluster.revision + 1  # what it held can be given out
    node.generation += 1
    if attempt.stop_goal is None and not how.is_success:
        goal, reason = Goal.REQUEUE, describe_exit(rank, node, how)
        if how.reason.is_infrastructure:
            note_fault(cluster, job, node)
        else:
            goal, reason = judge_failure(job, rank, how, reason)
        stop_gang(cluster, job, goal, reason, job.spec.grace_ms)
    if attempt.live == 0:
        end_attempt(cluster, job, attempt, at_ms)


def describe_exit(rank: int, node: Node, how: Exit) -> str:
    """One line that a user can act on: which shard, where, how."""
    if how.reason is ExitReason.EXITED:
        end = f"was killed by signal {how.signal}" if how.signal else f"exited with {how.code}"
    else:
        end = how.reason.value.lower().replace("_", " ")
    detail = f": {how.detail}" if how.detail else ""
    return f"shard {rank} on {node.id} {end}{detail}"


def stop_gang(
    cluster: Cluster, job: Job, goal: Goal, reason: str, grace_ms: int, notice_ms: int = 0
) -> None:
    """Order the whole gang to stop: what it holds is leaving. A cancel outranks every other end."""
    attempt = job.current
    if job.state is JobState.STOPPING:  # with another goal it may be counted otherwise
        count_job(cluster, job, -1)
        attempt.stop_goal = goal
        count_job(cluster, job, 1)
    attempt.stop_goal = goal
    attempt.stop_reason = reason
    attempt.grace_ms = grace_ms
    attempt.notice_ms = notice_ms
    # What is leaving can be claimed; of who was leaving it may come earlier, or for good.
    cluster.freed_revision = cluster.revision + 1
    if job.state is not JobState.STOPPING:
        attempt.stopping_ms = cluster.now_ms
        move(cluster, job, JobTrigger.STOP)
        for rank, placement in enumerate(attempt.placements):
            if attempt.shards[rank].state is not ShardState.EXITED:
                node = cluster.nodes[placement.node_id]
                leave(cluster, job, node, HoldKey(job.id, attempt.number, rank))
    touch_nodes(cluster, attempt)


def checkpoint_reported(cluster: Cluster, event: ev.CheckpointReported) -> None:
    """See events.CheckpointReported. Late ones change nothing."""
    job = cluster.jobs.get(event.job_id)
    if job is None or not job.state.is_active or job.attempt != event.attempt:
        return
    attempt = job.current
    attempt.checkpoint_ms = max(attempt.checkpoint_ms, event.at_ms - event.age_ms)
    if job.spec.elastic_role >= 0:
        cluster.freed_revision = cluster.revision + 1  # a restart costs it less now
    if job.spec.movable:
        cluster.eased.add(job.id)
    if is_answered(attempt):
        touch_nodes(cluster, attempt)  # no shard needs the rest of its notice


def work_reported(cluster: Cluster, event: ev.WorkReported) -> None:
    """See events.WorkReported. Late ones change nothing."""
    job = cluster.jobs.get(event.job_id)
    if job is None or not job.state.is_active or job.attempt != event.attempt:
        return
    speeds = event.speeds or job.told.speeds
    job.told = replace(job.told, left_ms=event.left_ms, at_ms=event.at_ms, speeds=speeds)
