"""The screen of `massctl show`."""

import shlex
import sys
from collections.abc import Iterable
from datetime import datetime

from aimass import tables, units, views
from aimass.outlooks import outlook_lines, when
from aimass.output import clean, paint, table, wants_colour
from aimass.specscreen import role_text, spec_rows
from aimass.v1 import job_pb2
from aimass.wire import is_over

QUEUED, RESERVED = job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_RESERVED


def rows(title: str, texts: Iterable[str]) -> list[str]:
    """Put a title before the first text and align the others under it."""
    return [f"  {title if index == 0 else '':<9}{text}" for index, text in enumerate(texts)]


def job_screen(job: job_pb2.Job, colour: str, *, is_wide: bool) -> str:
    """Lay out everything about one job; nothing for what it leaves to defaults."""
    spec = job.spec
    lines = [
        f"{job.id} {clean(spec.name)} is {_state(job, colour)}",
        *rows("reason", [clean(job.reason)] if job.reason else []),
        *rows("user", [clean(job.user)]),
        *rows("times", [_times(job)]),
        *rows("waits", _waits(job)),
        *rows("starts", _starts(job)),
        *rows("array", _array_lines(job)),
        *rows("asks", [clean(role_text(role)) for role in spec.roles]),
        *rows("has", _has(job)),
    ]
    for title, texts in spec_rows(spec):
        lines += rows(title, [clean(text) for text in texts])
    lines += rows("command", [clean(shlex.join(role.command)) for role in spec.roles])
    lines += rows("workdir", [clean(spec.workdir)])
    if is_wide:
        lines += rows("env", [clean(f"{key}={value}") for key, value in sorted(spec.env.items())])
        lines += rows("labels", [clean(f"{k}={v}") for k, v in sorted(spec.labels.items())])
    for attempt in job.attempts:
        lines.append("")
        lines += _attempt_lines(job, attempt, colour, is_wide)
    return "\n".join(lines) + "\n"


def _state(job: job_pb2.Job, colour: str) -> str:
    word = views.state_of(job)
    return paint(word, "bold") if wants_colour(colour, sys.stdout) else word


def _times(job: job_pb2.Job) -> str:
    text = f"submitted {units.span_text(tables.now_ms() - job.submitted_ms)} ago"
    if job.ended_ms:
        text += f", over after {units.span_text(job.ended_ms - job.submitted_ms)}"
    if job.preemptions:
        text += f", preempted {_times_text(job.preemptions)}"
    if job.retries:
        text += f", failed and retried {_times_text(job.retries)}"
    return text


def _times_text(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _waits(job: job_pb2.Job) -> list[str]:
    """Say what it waits for, where that is known: a hold, others, a time, a claim, a promise."""
    lines = []
    if job.state == job_pb2.JOB_STATE_HELD:
        why = f" ({job.hold_reason})" if job.hold_reason else ""
        lines.append(f"held{why}: massctl release {job.id}")
    if job.unmet:
        lines.append(f"for the end of {tables.some(list(job.unmet), 10)}")
    if job.not_before_ms > tables.now_ms() and not is_over(job):
        lines.append(f"not before {clock(job.not_before_ms)}")
    if job.avoid_nodes:
        lines.append(f"never again on {tables.some(list(job.avoid_nodes), 10)}")
    if job.HasField("claim"):
        leaving = f"; {tables.some(list(job.claim.victims), 5)} leave for it"
        where = tables.some(list(job.claim.nodes))
        lines.append(f"owns its place on {where}{leaving if job.claim.victims else ''}")
    if job.HasField("planned"):
        lines.append(_planned_text(job.planned))
    return [clean(line) for line in lines]


def _starts(job: job_pb2.Job) -> list[str]:
    """Say when a job that waits is expected to start, if that was asked."""
    if not job.HasField("start") or job.state not in (QUEUED, RESERVED):
        return []
    known = outlook_lines(job.start, tables.now_ms())
    return known or [f"nobody knows when: massctl why {job.id}"]


def _planned_text(planned: job_pb2.PlannedStart) -> str:
    where = f" on {tables.some(list(planned.nodes))}" if planned.nodes else ""
    if not planned.is_known:  # what counts as a year would only mislead
        return f"promised a place{where} once those there end: not every run time is known"
    end = f", to end {clock(planned.end_ms)}" if planned.end_ms else ""
    return f"planned to start {clock(planned.start_ms)}{where}{end}"


def clock(ms: int) -> str:
    """Give a time as a person's clock shows it: 14:02, with the date on another day."""
    at, now = (datetime.fromtimestamp(one / 1000) for one in (ms, tables.now_ms()))
    return f"{at:%H:%M}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M}"


def _array_lines(job: job_pb2.Job) -> list[str]:
    if not job.HasField("array"):
        return []
    array = job.array
    task = f"task {job.array_index} of {job.array_id}: " if job.array_id else ""
    failed = f" ({array.failed} failed)" if array.failed else ""
    return [f"{task}{array.total} tasks, {array.active} active, {array.over} over{failed}"]


def _has(job: job_pb2.Job) -> list[str]:
    """Say in which size an elastic job runs now."""
    held = views.held_of(job)
    if held is None or not views.is_elastic(job):
        return []
    shards = "1 shard" if held[0] == 1 else f"{held[0]} shards"
    return [f"{shards} with {units.number(held[1])} GPU now"]


def _attempt_lines(
    job: job_pb2.Job, attempt: job_pb2.Attempt, colour: str, is_wide: bool
) -> list[str]:
    outcome = f": {clean(attempt.outcome)}" if attempt.outcome else ""
    lines = [f"attempt {attempt.number}{outcome}"]
    lines += [f"  placed: {clean(attempt.reason)}"] if attempt.reason else []
    lines += [f"  weighed: {clean(text)}" for text in attempt.trail] if is_wide else []
    if attempt.checkpoint_ms:
        lines.append(f"  checkpoint: {clock(attempt.checkpoint_ms)}")
    if attempt.HasField("receipt"):
        lines.append(f"  {clean(receipt_text(attempt.receipt))}")
        lines.append(f"  {return_text(job, attempt)}")
    rows = table(attempt.shards, tables.SHARDS, colour=colour)
    return lines + [f"  {row.rstrip()}" for row in rows]


_PREEMPTED = ("PRIORITY", "RECLAIM", "RESERVE", "ORDER", "ALLOT")
_STOPPED = {"SHRINK": "shrunk", "GROW": "resized", "MOVE": "moved", "RESHAPE": "reshaped"}


def receipt_text(receipt: job_pb2.Receipt) -> str:
    """Say who stopped an attempt, when, under which rule, and what it cost."""
    rule = views.rule_of(receipt)
    did = "preempted" if rule in _PREEMPTED else _STOPPED.get(rule, "stopped")
    who = f"{receipt.by} ({receipt.by_user})" if receipt.by_user else receipt.by
    by = f" {'by' if did == 'preempted' else 'for'} {who}" if who else ""
    lost = f"lost {lost_text(receipt.lost_gpu_ms)} since the last checkpoint"
    text = f"{did}{by} at {clock(receipt.at_ms)} under {rule}: {lost}"
    reason = receipt.reason.removeprefix(f"preempted by {receipt.by}: ")
    return f"{text} ({reason})" if reason else text


def return_text(job: job_pb2.Job, attempt: job_pb2.Attempt) -> str:
    """Say when a job that was stopped goes on, or why it does not."""
    receipt, mode = attempt.receipt, job.spec.preemption.mode
    is_preempted = views.rule_of(receipt) in _PREEMPTED
    if receipt.is_back:
        return f"back at {clock(receipt.back_ms)}"
    if is_over(job) or (is_preempted and mode == job_pb2.PREEMPT_MODE_CANCEL):
        return "not back: it is over" if is_over(job) else "not back: it is cancelled, as it asks"
    if job.state == job_pb2.JOB_STATE_HELD or (
        is_preempted and mode == job_pb2.PREEMPT_MODE_SUSPEND
    ):
        return f"back when it is released: massctl release {job.id}"
    if receipt.back_ms:
        return f"expected back {when(receipt.back_ms, tables.now_ms())}"
    return f"nobody knows yet when it is back: massctl why {job.id}"


def lost_text(gpu_ms: int) -> str:
    """Give lost work in a unit that makes it readable."""
    for unit, size_ms in (("hours", 3_600_000), ("minutes", 60_000)):
        if gpu_ms * 10 >= size_ms:
            return f"{gpu_ms / size_ms:.1f} GPU-{unit}"
    return f"{gpu_ms / 1000:.1f} GPU-seconds" if gpu_ms else "nothing"
