"""Explanations, plans and histories as JSON: additive only."""

from typing import Any

from aimass import units
from aimass.specview import API_VERSION
from aimass.v1 import job_pb2, scheduler_pb2
from aimass.views import outlook_view, state_of, time_view

View = dict[str, Any]


def why_view(why: scheduler_pb2.Explanation) -> View:
    """Give one explanation."""
    view = {
        "apiVersion": API_VERSION,
        "kind": "Explanation",
        "id": why.job_id,
        "state": state_of(why),
        "code": why.code,
        "codeKind": why.kind,
        "summary": why.summary,
        "at": time_view(why.now_ms),
        "waitingMs": why.waiting_ms,
        "shardsAsked": why.shards_asked,
        "shardsFitNow": why.shards_fit_now,
        "fitsWhenEmpty": why.fits_when_empty,
        "ahead": why.ahead,
        "blockers": [
            {"code": one.code, "text": one.text, "nodes": one.nodes, "examples": [*one.examples]}
            for one in why.blockers
        ],
        "holders": list(why.holders),
        "heldBy": [
            {
                "id": one.job_id,
                "user": one.user,
                "gpus": units.number(one.gpu_milli),
                "endsAt": time_view(one.end_ms),
                "isLeaving": one.is_leaving,
            }
            for one in why.held_by
        ],
        "holdersTotal": why.holders_total,
        "start": outlook_view(why.start),
        "owned": None,
        "changes": [
            {
                "kind": one.kind,
                "text": one.text,
                "command": one.command,
                "losses": [_loss_view(loss) for loss in one.losses],
            }
            for one in why.changes
        ],
        "unblock": list(why.unblock),
        "reasons": [
            {"revision": r.revision, "at": time_view(r.at_ms), "code": r.code, "text": r.text}
            for r in why.reasons
        ],
        "revision": why.revision,
    }
    if why.HasField("owned"):
        owned = why.owned
        view["owned"] = {
            "nodes": list(owned.nodes),
            "victims": list(owned.victims),
            "by": time_view(owned.by_ms),
        }
    return view


def _loss_view(loss: scheduler_pb2.Loss) -> View:
    return {
        "id": loss.job_id,
        "user": loss.user,
        "rule": loss.rule,
        "lostGpuHours": round(loss.lost_gpu_ms / 3_600_000, 4),
        "reason": loss.reason,
    }


def plan_view(plan: scheduler_pb2.PlanReply, spec: job_pb2.JobSpec) -> View:
    """Give what would happen."""
    has_reason = plan.HasField("explanation")
    return {
        "apiVersion": API_VERSION,
        "kind": "Plan",
        "name": spec.name,
        "verdict": plan.verdict,
        "summary": plan.summary,
        "nodes": list(plan.nodes),
        "trail": list(plan.trail),
        "losses": [_loss_view(loss) for loss in plan.losses],
        "start": outlook_view(plan.start),
        "gpuHours": round(plan.gpu_ms / 3_600_000, 4),
        "queues": [
            {
                "queue": row.queue,
                "resource": row.resource,
                "used": row.used,
                "after": row.after,
                "quota": row.quota if row.HasField("quota") else None,
                "limit": row.limit if row.HasField("limit") else None,
            }
            for row in plan.queues
        ],
        "largest": [{"role": r.role, "asked": r.asked, "most": r.most} for r in plan.largest],
        "explanation": why_view(plan.explanation) if has_reason else None,
        "tasks": plan.tasks,
        "tasksTotal": plan.tasks_total,
        "revision": plan.revision,
    }


def history_view(history: scheduler_pb2.HistoryReply) -> View:
    """Give everything that happened to a job."""
    return {
        "apiVersion": API_VERSION,
        "kind": "History",
        "id": history.job_id,
        "revision": history.revision,
        "items": [entry_view(entry) for entry in history.entries],
    }


def entry_view(entry: scheduler_pb2.HistoryEntry) -> View:
    """Give one thing that happened."""
    return {
        "revision": entry.revision,
        "at": time_view(entry.at_ms),
        "what": entry.what,
        "text": entry.text,
        "by": entry.by,
        "attempt": entry.attempt,
        "policy": entry.policy,
        "trail": list(entry.trail),
        "lostGpuHours": round(entry.lost_gpu_ms / 3_600_000, 4),
        "startsAt": time_view(entry.start_ms),
        "backAt": time_view(entry.back_ms),
        "isBack": entry.is_back,
    }
