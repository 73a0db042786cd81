"""The two screens that are more than a table: `massctl show` and `massctl why`."""

import shlex
import sys
from collections.abc import Iterable

from aimass import tables, units, views
from aimass.output import clean, paint, table, wants_colour
from aimass.v1 import job_pb2, scheduler_pb2


def why_screen(why: scheduler_pb2.Explanation, name: str, colour: str) -> str:
    """Lay out why a job waits: the main reason, what fits, every blocker, what would help."""
    is_coloured = wants_colour(colour, sys.stdout)
    lines = [_headline(why, clean(name), is_coloured)]
    if why.summary:
        lines.append(f"  {clean(why.summary)}")
    if why.state == job_pb2.JOB_STATE_QUEUED:
        lines += _rows("fits", _fit_lines(why))
    if why.blockers:
        lines.append("")
        rows = table(why.blockers, tables.BLOCKERS, colour=colour)
        lines += [f"  {row.rstrip()}" for row in rows]
        lines.append("")
    lines += _rows("order", _order(why))
    if why.holders:
        lines += _rows("held by", [clean(", ".join(why.holders))])
    lines += _rows("unblock", [clean(text) for text in why.unblock])
    lines.append(f"evidence: revision {why.revision}")
    return "\n".join(lines) + "\n"


def _headline(why: scheduler_pb2.Explanation, name: str, is_coloured: bool) -> str:
    who = f"{why.job_id} {name}".strip()
    code = paint(why.code, "bold") if is_coloured and why.code else clean(why.code)
    if why.state == job_pb2.JOB_STATE_QUEUED:
        waited = units.span_text(why.waiting_ms)
        return f"{who} has waited {waited}. Main reason: {code or 'none given'}"
    return f"{who} does not wait: it is {views.state_of(why)}"


def _fit_lines(why: scheduler_pb2.Explanation) -> list[str]:
    asked = f"{why.shards_asked} shard{'s' if why.shards_asked != 1 else ''} asked"
    lines = [f"{asked}, {why.shards_fit_now} would fit now"]
    if not why.fits_when_empty:
        lines.append("never on the present nodes, not even when they are empty")
    return lines


def _order(why: scheduler_pb2.Explanation) -> list[str]:
    if why.state != job_pb2.JOB_STATE_QUEUED:
        return []
    jobs = "job" if why.ahead == 1 else "jobs"
    return [f"{why.ahead} queued {jobs} ahead" if why.ahead else "first in the queue"]


def _rows(title: str, texts: Iterable[str]) -> list[str]:
    """Put a title before the first text and align the others under it."""
    return [f"  {title if index == 0 else '':<9}{text}" for index, text in enumerate(texts)]


def job_screen(job: job_pb2.Job, colour: str, *, is_wide: bool) -> str:
    """Lay out everything about one job."""
    spec = job.spec
    lines = [
        f"{job.id} {clean(spec.name)} is {_state(job, colour)}",
        *_rows("reason", [clean(job.reason)] if job.reason else []),
        *_rows("user", [clean(job.user)]),
        *_rows("times", [_times(job)]),
        *_rows("asks", [_role_text(role) for role in spec.roles]),
        *_rows("command", [clean(shlex.join(role.command)) for role in spec.roles]),
        *_rows("workdir", [clean(spec.workdir)]),
    ]
    if is_wide:
        lines += _rows("env", [clean(f"{key}={value}") for key, value in sorted(spec.env.items())])
        lines += _rows("labels", [clean(f"{k}={v}") for k, v in sorted(spec.labels.items())])
    for attempt in job.attempts:
        lines.append("")
        lines += _attempt_lines(attempt, colour)
    return "\n".join(lines) + "\n"


def _state(job: job_pb2.Job, colour: str) -> str:
    word = views.state_of(job)
    return paint(word, "bold") if wants_colour(colour, sys.stdout) else word


def _times(job: job_pb2.Job) -> str:
    text = f"submitted {units.span_text(tables.now_ms() - job.submitted_ms)} ago"
    if job.ended_ms:
        text += f", over after {units.span_text(job.ended_ms - job.submitted_ms)}"
    return text


def _role_text(role: job_pb2.Role) -> str:
    need = role.resources
    parts = [f"{units.number(need.gpu_milli)} GPU"]
    parts += [" or ".join(map(clean, role.gpu_types))] if role.gpu_types else []
    parts += [f"≥ {units.memory_text(role.gpu_memory_mib)} each"] if role.gpu_memory_mib else []
    parts += [f"{units.number(need.cpu_milli)} CPU"] if need.cpu_milli else []
    parts += [units.memory_text(need.memory_mib)] if need.memory_mib else []
    return f"{clean(role.name)}: {role.shards} x {', '.join(parts)}"


def _attempt_lines(attempt: job_pb2.Attempt, colour: str) -> list[str]:
    outcome = f": {clean(attempt.outcome)}" if attempt.outcome else ""
    lines = [f"attempt {attempt.number}{outcome}"]
    lines += [f"  placed: {clean(attempt.reason)}"] if attempt.reason else []
    rows = table(attempt.shards, tables.SHARDS, colour=colour)
    return lines + [f"  {row.rstrip()}" for row in rows]
