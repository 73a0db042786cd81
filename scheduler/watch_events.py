"""Events as watchers see them: a plan comes once for each job that it concerns."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from aimass.core.codec import event_json
from aimass.core.events import Event, PlanCommitted
from aimass.v1 import scheduler_pb2

TABLES = ("starts", "stops", "claims", "unclaims", "planned", "unplanned")


def watch_events(revision: int, event: Event, job: str) -> Iterator[scheduler_pb2.WatchEvent]:
    """The event for a watcher of a job or an array ("": of all)."""
    if isinstance(event, PlanCommitted):
        for one, part in _parts(event).items():
            if _is_of(job, one):
                yield _message(revision, replace(_bare(event), **part), one)
        return
    job_id: str = getattr(event, "job_id", "")
    if _is_of(job, job_id):
        yield _message(revision, event, job_id)


def _is_of(wanted: str, job_id: str) -> bool:
    return wanted in ("", job_id) or job_id.startswith(f"{wanted}_")


def _parts(plan: PlanCommitted) -> dict[str, dict[str, Any]]:
    """What the plan says of each job that starts, stops, owns places or is promised a start."""
    parts: dict[str, dict[str, Any]] = {}
    for table in TABLES:
        for row in getattr(plan, table):
            part = parts.setdefault(row if isinstance(row, str) else row.job_id, {})
            part[table] = (*part.get(table, ()), row)
    return parts


def _bare(plan: PlanCommitted) -> PlanCommitted:
    return PlanCommitted(plan.at_ms, plan.basis, plan.policy)


def _message(revision: int, event: Event, job_id: str) -> scheduler_pb2.WatchEvent:
    return scheduler_pb2.WatchEvent(
        revision=revision,
        at_ms=event.at_ms,
        type=type(event).__name__,
        job_id=job_id,
        node_id=getattr(event, "node_id", ""),
        json=event_json(event),
    )
