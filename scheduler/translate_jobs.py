"""Jobs, attempts and exits of the core to messages; a spec's message is translate_spec.py's."""

from collections.abc import Iterable
from typing import Any

from aimass.core.cluster import Cluster
from aimass.core.forecast import Outlook
from aimass.core.model import (
    Attempt,
    Exit,
    ExitReason,
    Job,
    JobId,
    JobState,
    Placement,
    Receipt,
    ShardState,
    StopRule,
)
from aimass.core.receipts import back_ms, lost_at_last
from aimass.scheduler.translate_spec import spec_to_proto
from aimass.v1 import job_pb2

# Protobuf enums carry a prefix; the core's values are the bare words.
JOB_STATES: dict[JobState, Any] = {
    s: job_pb2.JobState.Value(f"JOB_STATE_{s.value}") for s in JobState
}
JOB_STATE_FROM_PROTO = {proto: core for core, proto in JOB_STATES.items()}
_SHARD_STATES: dict[ShardState, Any] = {
    s: job_pb2.ShardState.Value(f"SHARD_STATE_{s.value}") for s in ShardState
}
SHARD_STATE_FROM_PROTO = {proto: core for core, proto in _SHARD_STATES.items()}
_EXIT_REASONS: dict[ExitReason, Any] = {
    r: job_pb2.ExitReason.Value(f"EXIT_REASON_{r.value}") for r in ExitReason
}
_EXIT_REASON_FROM_PROTO = {proto: core for core, proto in _EXIT_REASONS.items()}
_STOP_RULES: dict[StopRule, Any] = {
    r: job_pb2.StopRule.Value(f"STOP_RULE_{r.value}") for r in StopRule
}


def exit_from_proto(message: job_pb2.Exit) -> Exit:
    """How an agent says a shard ended."""
    return Exit(
        code=message.code,
        signal=message.signal,
        reason=_EXIT_REASON_FROM_PROTO.get(message.reason, ExitReason.EXITED),
        detail=message.detail,
        wall_ms=message.wall_ms,
        cpu_ms=message.cpu_ms,
        rss_mib_max=message.rss_mib_max,
    )


def exit_to_proto(how: Exit) -> job_pb2.Exit:
    """How a shard ended, for clients."""
    return job_pb2.Exit(
        code=how.code,
        signal=how.signal,
        reason=_EXIT_REASONS[how.reason],
        detail=how.detail,
        wall_ms=how.wall_ms,
        cpu_ms=how.cpu_ms,
        rss_mib_max=how.rss_mib_max,
    )


def job_to_proto(cluster: Cluster, job: Job, reason: str, *, in_short: bool = False) -> job_pb2.Job:
    """A job; `reason` says why it waits, or is empty.

    in_short, for listings: the newest attempt alone, and a spec as in spec_to_proto.
    """
    attempts = job.attempts[-1:] if in_short else job.attempts
    return job_pb2.Job(
        id=job.id,
        submit_seq=job.submit_seq,
        spec=spec_to_proto(job.spec, in_short=in_short),
        state=JOB_STATES[job.state],
        user=job.user,
        reason=reason,
        submitted_ms=job.submitted_ms,
        ended_ms=job.ended_ms,
        attempts=[_attempt_to_proto(cluster, job, attempt) for attempt in attempts],
        revision=cluster.revision,
        array_id=job.array_id,
        array_index=max(0, job.array_index),
        array=_progress_to_proto(cluster, job.array_id),
        not_before_ms=job.not_before_ms,
        unmet=job.unmet,
        hold_reason=job.hold_reason,
        retries=job.retries,
        preemptions=len(job.preempted_ms),
        queued_ms=job.queued_ms,
        planned=_planned_to_proto(cluster, job.id),
        claim=_claim_to_proto(cluster, job.id),
        avoid_nodes=job.avoid,
    )


def _progress_to_proto(cluster: Cluster, array_id: JobId) -> job_pb2.ArrayProgress | None:
    row = cluster.arrays.get(array_id)
    if row is None:
        return None
    return job_pb2.ArrayProgress(
        total=row.total, over=row.over, failed=row.failed, active=row.active
    )


def _planned_to_proto(cluster: Cluster, job_id: JobId) -> job_pb2.PlannedStart | None:
    planned = cluster.planned.get(job_id)
    if planned is None:
        return None
    return job_pb2.PlannedStart(
        start_ms=planned.start_ms,
        end_ms=planned.end_ms,
        is_known=planned.is_known,
        reason=planned.reason,
        nodes=_nodes_of(planned.placements),
    )


def _claim_to_proto(cluster: Cluster, job_id: JobId) -> job_pb2.Claim | None:
    claim = cluster.claims.get(job_id)
    if claim is None:
        return None
    return job_pb2.Claim(
        attempt=claim.attempt,
        reason=claim.reason,
        victims=claim.victims,
        nodes=_nodes_of(claim.placements),
    )


def _nodes_of(placements: Iterable[Placement]) -> list[str]:
    return list(dict.fromkeys(placement.node_id for placement in placements))


def _attempt_to_proto(cluster: Cluster, job: Job, attempt: Attempt) -> job_pb2.Attempt:
    message = job_pb2.Attempt(
        number=attempt.number,
        placed_ms=attempt.placed_ms,
        running_ms=attempt.running_ms,
        ended_ms=attempt.ended_ms,
        reason=attempt.reason,
        outcome=attempt.outcome or attempt.stop_reason,
        receipt=_receipt_to_proto(cluster, job, attempt, attempt.receipt)
        if attempt.receipt
        else None,
        checkpoint_ms=attempt.checkpoint_ms,
        trail=attempt.trail,
        stopping_ms=attempt.stopping_ms,
    )
    rows = zip(attempt.placements, attempt.device_uuids, attempt.shards, strict=True)
    for rank, (placement, uuids, shard) in enumerate(rows):
        message.shards.add(
            rank=rank,
            role=job.spec.roles[placement.role].name,
            node_id=placement.node_id,
            device_uuids=uuids,
            gpu_milli=placement.share_milli if placement.devices else 0,
            state=_SHARD_STATES[shard.state],
            pid=shard.pid,
            started_ms=shard.started_ms,
            exited_ms=shard.exited_ms,
            exit=exit_to_proto(shard.exit) if shard.exit else None,
        )
    return message


def _receipt_to_proto(
    cluster: Cluster, job: Job, attempt: Attempt, receipt: Receipt
) -> job_pb2.Receipt:
    at_ms, is_back = back_ms(cluster, job, attempt)
    by = cluster.jobs.get(receipt.by)
    return job_pb2.Receipt(
        at_ms=receipt.at_ms,
        rule=_STOP_RULES[receipt.rule],
        by=receipt.by,
        reason=receipt.reason,
        lost_gpu_ms=lost_at_last(attempt),
        back_ms=at_ms,
        is_back=is_back,
        by_user=by.user if by is not None else "",
    )


def outlook_to_proto(start: Outlook) -> job_pb2.Outlook:
    """When a job will start."""
    return job_pb2.Outlook(
        at_ms=start.at_ms,
        earliest_ms=start.earliest_ms,
        latest_ms=start.latest_ms,
        is_known=start.is_known,
        is_promise=start.is_promise,
        after_ms=start.after_ms,
    )
