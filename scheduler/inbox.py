"""What comes into the engine: requests, what they may do, and how they are answered."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from aimass.core.apply import apply
from aimass.core.cluster import Cluster, GroupKey
from aimass.core.events import Event
from aimass.core.plan import Wait
from aimass.scheduler.deciding import Decisions
from aimass.scheduler.errors import Refused, internal

log = structlog.get_logger()
T = TypeVar("T")


@dataclass(slots=True)
class Context:
    """What a request may do: read the cluster, emit events (applied at once)."""

    cluster: Cluster
    now_ms: int
    decisions: Decisions | None = None
    events: list[Event] = field(default_factory=list)

    @property
    def waits(self) -> dict[GroupKey, Wait]:
        """Which groups wait and why, by the newest decision."""
        return self.decisions.waits if self.decisions is not None else {}

    def emit(self, event: Event) -> None:
        """Make it so in memory; durable with the batch, or the batch's requests are refused."""
        apply(self.cluster, event)
        self.events.append(event)


Handler = Callable[[Context], T]


@dataclass(slots=True)
class Request:
    """A handler, whether it may write, and where its answer goes."""

    handler: Handler[Any]
    writes: bool
    future: asyncio.Future[Any]


Outcome = tuple[Any, Refused | None]


def outcome_of(request: Request, context: Context) -> Outcome:
    """The handler's result or its refusal.

    Any other exception is a bug. One that came before the first event has damaged nothing and is
    its caller's alone; after an event the state may be half changed, and the process ends.
    """
    before = len(context.events)
    try:
        return request.handler(context), None
    except Refused as refused:
        return None, refused
    except Exception as bug:
        if len(context.events) > before:
            raise
        log.exception("request failed", error=repr(bug))
        return None, internal(f"the scheduler failed at this request: {bug!r}")


def answer(outcomes: list[tuple[Request, Outcome]]) -> None:
    """Give each request its result or its refusal."""
    for request, (result, error) in outcomes:
        if request.future.cancelled():
            continue
        if error is not None:
            request.future.set_exception(error)
        else:
            request.future.set_result(result)
