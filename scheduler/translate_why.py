"""Explanations, plans and histories as protobuf messages."""

from aimass.core.cluster import Cluster
from aimass.core.explain import Explanation
from aimass.core.history import Entry, Reason
from aimass.core.model import Job, JobState, StopRule
from aimass.core.plan import Stop
from aimass.core.relax import Change
from aimass.core.whatif import Answer, Verdict
from aimass.scheduler.translate_jobs import JOB_STATES, outlook_to_proto
from aimass.v1 import scheduler_pb2


def explanation_to_proto(
    cluster: Cluster, job: Job, found: Explanation, now_ms: int
) -> scheduler_pb2.Explanation:
    """The whole explanation."""
    waits = job.state in (JobState.QUEUED, JobState.HELD, JobState.RESERVED)
    message = scheduler_pb2.Explanation(
        job_id=job.id,
        state=JOB_STATES[job.state],
        code=found.code,
        summary=found.summary,
        blockers=[
            scheduler_pb2.Blocker(code=b.code, text=b.text, nodes=b.nodes, examples=b.examples)
            for b in found.blockers
        ],
        ahead=found.ahead,
        shards_asked=found.shards_asked,
        shards_fit_now=found.shards_fit_now,
        fits_when_empty=found.fits_when_empty,
        holders=[holder.job_id for holder in found.holders],
        unblock=found.unblock,
        revision=cluster.revision,
        waiting_ms=max(0, now_ms - job.submitted_ms) if waits else 0,
        kind=found.kind,
        held_by=[
            scheduler_pb2.Holder(
                job_id=holder.job_id,
                user=holder.user,
                gpu_milli=holder.gpu_milli,
                end_ms=holder.end_ms if holder.is_known else 0,
                is_leaving=holder.is_leaving,
            )
            for holder in found.holders
        ],
        holders_total=found.holders_total,
        start=outlook_to_proto(found.start),
        changes=[_change_to_proto(cluster, change) for change in found.changes],
        now_ms=now_ms,
    )
    if found.owned is not None:
        owned = found.owned
        message.owned.CopyFrom(
            scheduler_pb2.Owned(nodes=owned.nodes, victims=owned.victims, by_ms=owned.by_ms)
        )
    return message


def _loss_to_proto(stop: Stop, user: str) -> scheduler_pb2.Loss:
    return scheduler_pb2.Loss(
        job_id=stop.job_id,
        user=user,
        rule=stop.rule.value,
        lost_gpu_ms=stop.lost_gpu_ms,
        reason=stop.reason,
    )


def _change_to_proto(cluster: Cluster, change: Change) -> scheduler_pb2.Change:
    losses = [_loss_to_proto(stop, cluster.jobs[stop.job_id].user) for stop in change.stops]
    losses += [
        scheduler_pb2.Loss(
            job_id=i,
            user=cluster.jobs[i].user,
            rule=StopRule.PRIORITY.value,
            reason="loses the places that it owned, before it started",
        )
        for i in change.dropped
    ]
    return scheduler_pb2.Change(
        kind=change.kind, text=change.text, command=change.command, losses=losses
    )


def reasons_to_proto(found: list[Reason]) -> list[scheduler_pb2.Reason]:
    """How the dominant reason changed."""
    return [
        scheduler_pb2.Reason(revision=r.revision, at_ms=r.at_ms, code=r.code, text=r.text)
        for r in found
    ]


def plan_to_proto(answer: Answer, revision: int, now_ms: int) -> scheduler_pb2.PlanReply:
    """What would happen."""
    found = answer.explanation
    reply = scheduler_pb2.PlanReply(
        verdict=answer.verdict.value,
        summary=answer.reason or found.summary,
        nodes=list(dict.fromkeys(p.node_id for p in answer.placements)),
        reason=answer.reason,
        trail=answer.trail,
        losses=[_loss_to_proto(loss.stop, loss.user) for loss in answer.losses],
        start=outlook_to_proto(answer.start),
        gpu_ms=answer.gpu_ms,
        queues=[
            scheduler_pb2.QueueUse(
                queue=row.queue,
                resource=row.resource,
                used=row.used,
                after=row.after,
                quota=row.quota,
                limit=row.limit,
            )
            for row in answer.queues
        ],
        largest=[
            scheduler_pb2.RoleSize(role=role, asked=asked, most=most)
            for role, asked, most in answer.largest
        ],
        tasks=answer.tasks,
        tasks_total=answer.tasks_total,
        revision=revision,
        now_ms=now_ms,
    )
    if answer.verdict in (Verdict.WAITS, Verdict.NEVER):
        job = answer.job
        reply.explanation.CopyFrom(explanation_to_proto(answer.cluster, job, found, now_ms))
    return reply


def entry_to_proto(entry: Entry) -> scheduler_pb2.HistoryEntry:
    """One thing that happened."""
    return scheduler_pb2.HistoryEntry(
        revision=entry.revision,
        at_ms=entry.at_ms,
        what=entry.what,
        text=entry.text,
        by=entry.by,
        attempt=entry.attempt,
        policy=entry.policy,
        trail=entry.trail,
        lost_gpu_ms=entry.lost_gpu_ms,
        start_ms=entry.start_ms,
        back_ms=entry.back_ms,
        is_back=entry.is_back,
    )
