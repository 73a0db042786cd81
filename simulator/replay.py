"""Replays of a journal: at each of its decisions, would another policy have decided otherwise?

The state is always the journal's own, promises and claims included. So each difference stands by
itself; what would have followed from it is a matter of `export` and a run.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from aimass.core.apply import apply
from aimass.core.cluster import Cluster
from aimass.core.decide import decide
from aimass.core.events import Event, PlanCommitted
from aimass.core.model import JobId
from aimass.core.plan import Plan
from aimass.core.policy import Policy

Places = dict[JobId, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Difference:
    """One decision that would have been another. Job ids, in the order of the plans.

    elsewhere: started both times, on other devices.
    """

    revision: int
    at_ms: int
    only_started: tuple[str, ...]
    only_stopped: tuple[str, ...]
    would_start: tuple[str, ...]
    would_stop: tuple[str, ...]
    elsewhere: tuple[str, ...]


@dataclass(slots=True)
class Redecided:
    """What a replay found. decisions: those that started or stopped somebody."""

    decisions: int = 0
    differences: list[Difference] = field(default_factory=list)
    policies: list[str] = field(default_factory=list)  # that made the journal's decisions


def redecide(events: Iterable[Event], policy: Policy) -> Redecided:
    """Decide again, with this policy, wherever the journal has a plan that starts or stops jobs.

    What it would have done where the journal did nothing is not asked. O(events) + decisions.
    """
    cluster, found = Cluster(), Redecided()
    for event in events:
        if isinstance(event, PlanCommitted) and (event.starts or event.stops):
            found.decisions += 1
            if event.policy not in found.policies:
                found.policies.append(event.policy)
            difference = _difference(cluster, event, decide(cluster, policy))
            if difference is not None:
                found.differences.append(difference)
        apply(cluster, event)
    return found


def _difference(cluster: Cluster, was: PlanCommitted, plan: Plan) -> Difference | None:
    started, would_start = _starts(was), _starts(plan)
    stopped = {stop.job_id: None for stop in was.stops}
    would_stop = {stop.job_id: None for stop in plan.stops}
    difference = Difference(
        cluster.revision + 1,
        was.at_ms,
        tuple(job_id for job_id in started if job_id not in would_start),
        tuple(job_id for job_id in stopped if job_id not in would_stop),
        tuple(job_id for job_id in would_start if job_id not in started),
        tuple(job_id for job_id in would_stop if job_id not in stopped),
        tuple(j for j, places in started.items() if j in would_start and would_start[j] != places),
    )
    is_same = started == would_start and stopped == would_stop
    return None if is_same else difference


def _starts(plan: Plan | PlanCommitted) -> Places:
    return {start.job_id: start.placements for start in plan.starts}
