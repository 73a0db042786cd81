"""The pages of `massctl why`, `massctl plan` and `massctl history`."""

import sys
from collections.abc import Iterable, Iterator

from aimass import tables, units, views
from aimass.outlooks import outlook_lines, second, when
from aimass.output import Column, clean, paint, table, wants_colour
from aimass.screens import rows
from aimass.v1 import job_pb2, scheduler_pb2

WAITING = (job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_HELD, job_pb2.JOB_STATE_RESERVED)


def gpu_hours(gpu_ms: int) -> str:
    """Turn GPU-milliseconds into "3.2 GPU-hours"."""
    hours = gpu_ms / 3_600_000
    if 0 < hours < 0.01:
        return "less than 0.01 GPU-hours"
    text = f"{hours:.1f}" if hours >= 0.1 else f"{hours:.2f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} GPU-hours"


# ---- why ----------------------------------------------------------------------------------------


def why_page(why: scheduler_pb2.Explanation, name: str, colour: str) -> str:
    """Lay out why a job waits: main reason, blockers, who is in the way, start, what would help."""
    is_coloured = wants_colour(colour, sys.stdout)
    lines = [_headline(why, clean(name), is_coloured)]
    if why.summary:
        lines.append(f"  {clean(why.summary)}")
    if why.shards_asked and not why.fits_when_empty and why.state == job_pb2.JOB_STATE_QUEUED:
        lines.append("  never on the present nodes, not even when they are empty")
    if why.blockers:
        table_rows = table(why.blockers, tables.BLOCKERS, colour=colour)
        lines += ["", *(f"  {row.rstrip()}" for row in table_rows), ""]
    lines += rows("order", _order(why))
    lines += rows("held by", _held_by(why))
    lines += rows("starts", outlook_lines(why.start, why.now_ms) or _unknown(why))
    for change in why.changes:
        lines += rows("now", [f"{clean(change.text)}:", f"  {clean(change.command)}"])
        lines += rows("", [f"  {text}" for text in loss_lines(change.losses)])
    lines += rows("unblock", [clean(text) for text in why.unblock])
    if why.reasons:
        lines += ["", *(f"  {row.rstrip()}" for row in table(why.reasons, REASONS, colour=colour))]
    lines.append(f"evidence: revision {why.revision}")
    return "\n".join(lines) + "\n"


def _headline(why: scheduler_pb2.Explanation, name: str, is_coloured: bool) -> str:
    who = f"{why.job_id} {name}".strip()
    code = paint(why.code, "bold") if is_coloured and why.code else clean(why.code)
    if why.state in WAITING:
        waited = units.span_text(why.waiting_ms)
        return f"{who} has waited {waited}. Main reason: {code or 'none given'}"
    return f"{who} does not wait: it is {views.state_of(why)}"


def _order(why: scheduler_pb2.Explanation) -> list[str]:
    if why.state != job_pb2.JOB_STATE_QUEUED:
        return []
    jobs = "job" if why.ahead == 1 else "jobs"
    count = f"{why.ahead} or more" if why.ahead >= 1000 else str(why.ahead)
    return [f"{count} queued {jobs} ahead" if why.ahead else "first in the queue"]


def _held_by(why: scheduler_pb2.Explanation) -> list[str]:
    found = []
    for holder in why.held_by:
        who = clean(f"{holder.job_id} ({holder.user})" if holder.user else holder.job_id)
        verb = "is leaving" if holder.is_leaving else "ends"
        end = f"{verb} {when(holder.end_ms, why.now_ms)}" if holder.end_ms else "gave no run time"
        gpus = units.number(holder.gpu_milli)
        found.append(f"{who}: {gpus} GPU{'' if gpus == 1 else 's'}, {end}")
    more = why.holders_total - len(why.held_by)
    return found + ([f"and {more} more"] if more > 0 else [])


def _unknown(why: scheduler_pb2.Explanation) -> list[str]:
    is_blind = any(not holder.end_ms for holder in why.held_by)
    return ["nobody knows when: not all in the way gave a run time"] if is_blind else []


def loss_lines(losses: Iterable[scheduler_pb2.Loss]) -> Iterator[str]:
    """Give who would be stopped, under which rule, and what they would lose."""
    for loss in losses:
        who = f"{loss.job_id} ({loss.user})" if loss.user else loss.job_id
        gains = f"; it {loss.reason}" if loss.rule == "MOVE" else ""  # and what that costs
        yield clean(
            f"stops {who} under {loss.rule}: it loses {gpu_hours(loss.lost_gpu_ms)} of work{gains}"
        )


REASONS: list[Column[scheduler_pb2.Reason]] = [
    Column("SINCE", lambda reason: second(reason.at_ms)),
    Column("REASON", lambda reason: reason.code),
    Column("WHAT", lambda reason: reason.text),
]


# ---- plan ---------------------------------------------------------------------------------------


def plan_page(plan: scheduler_pb2.PlanReply, name: str, colour: str) -> str:
    """Lay out what would happen to a job that were submitted now."""
    lines = [f"{clean(name)} {_verdict(plan)}"]
    lines += rows("why", [clean(plan.summary)])
    lines += rows(
        "asks",
        [
            f"{r.role}: {r.asked} shard{'s' if r.asked > 1 else ''}, at most {r.most}"
            for r in plan.largest
        ]
        if plan.verdict == "NEVER"
        else [],
    )
    lines += rows("weighed", [clean(text) for text in plan.trail])
    lines += rows("takes", loss_lines(plan.losses))
    lines += rows("starts", outlook_lines(plan.start, plan.now_ms) if not plan.nodes else [])
    if plan.tasks_total > 1:
        lines += rows("tasks", [f"{plan.tasks} of {plan.tasks_total} would start now"])
    lines += rows("cost", [f"{gpu_hours(plan.gpu_ms)} by its limit of time"] if plan.gpu_ms else [])
    lines += rows("queue", [_queue_line(row) for row in plan.queues])
    if plan.verdict in ("WAITS", "NEVER"):
        lines += rows("held by", _held_by(plan.explanation))
        for change in plan.explanation.changes:
            lines += rows("now", [clean(change.text)])
            lines += rows("", [f"  {text}" for text in loss_lines(change.losses)])
        lines += rows("unblock", [clean(text) for text in plan.explanation.unblock])
    return "\n".join(lines) + "\n"


def _verdict(plan: scheduler_pb2.PlanReply) -> str:
    nodes = clean(tables.some(list(plan.nodes), 4))
    return {
        "STARTS": f"would start now on {nodes}",
        "TAKES": f"would get its places on {nodes} as soon as others have left them",
        "WAITS": f"would wait: {clean(plan.explanation.code)}",
        "NEVER": "would never fit on these nodes, not even when they are empty",
    }[plan.verdict]


def _queue_line(row: scheduler_pb2.QueueUse) -> str:
    from aimass.amounts import amount_text

    parts = [f"{amount_text(row.resource, row.used)} -> {amount_text(row.resource, row.after)}"]
    parts += [f"guaranteed {amount_text(row.resource, row.quota)}"] if row.HasField("quota") else []
    parts += [f"limit {amount_text(row.resource, row.limit)}"] if row.HasField("limit") else []
    return clean(f"{row.queue}: {row.resource} {', '.join(parts)}")


# ---- history ------------------------------------------------------------------------------------


def history_page(history: scheduler_pb2.HistoryReply, *, is_wide: bool) -> str:
    """Lay out everything that happened, a line each; wide: also how it was weighed."""
    lines = []
    for entry in history.entries:
        attempt = f" (attempt {entry.attempt})" if entry.what == "STARTED" else ""
        lines.append(clean(f"{second(entry.at_ms)}  {entry.what}{attempt}{_said(entry)}"))
        if is_wide and entry.policy:
            lines.append(clean(f"    by {entry.policy}, revision {entry.revision}"))
        lines += [clean(f"    {text}") for text in entry.trail if is_wide]
    return "\n".join(lines) + "\n"


def _said(entry: scheduler_pb2.HistoryEntry) -> str:
    parts = [entry.text] if entry.text else []
    if entry.what == "STOPPED":
        lost = gpu_hours(entry.lost_gpu_ms)
        parts.append(
            f"lost {lost} since its last checkpoint" if entry.lost_gpu_ms else "lost no work"
        )
        if entry.back_ms:
            parts.append(
                f"{'back' if entry.is_back else 'expected back'} at {second(entry.back_ms)}"
            )
    elif entry.what == "PROMISED":
        known = f"at {second(entry.start_ms)}" if entry.start_ms else "some day"
        parts.insert(0, known)
    elif entry.by:
        parts.insert(0, f"by {entry.by}")
    return f": {'; '.join(parts)}" if parts else ""
