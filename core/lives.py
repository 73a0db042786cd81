"""How long pods stay, told to the demand: a try begins to hold its places, and gives them back."""

from collections.abc import Iterable

from aimass.core.demand import Demand
from aimass.core.model import Attempt, Job
from aimass.core.shapes import Shape, pods_of


def begin(demand: Demand, job: Job, attempt: Attempt) -> None:
    """The attempt holds its places since placed_ms. O(shards)."""
    for kind, pods in _held(job, attempt):
        demand.started(kind, attempt.placed_ms, pods)


def end(demand: Demand, job: Job, attempt: Attempt) -> None:
    """The inverse, when its last shard has gone: for good, or it will be back. O(shards)."""
    is_over = job.state.is_over
    for kind, pods in _held(job, attempt):
        demand.left(kind, attempt.placed_ms, attempt.ended_ms, pods, is_over)


def _held(job: Job, attempt: Attempt) -> Iterable[tuple[Shape, int]]:
    """The pods of a try, as they were counted when it was submitted, in the size that it got."""
    placements, roles = attempt.placements, job.spec.roles
    if len(roles) == 1:
        return pods_of(roles[0].need, len(placements), placements[0].share_milli)
    found: list[tuple[Shape, int]] = []
    for index, role in enumerate(roles):
        own = [place for place in placements if place.role == index]
        found += pods_of(role.need, len(own), own[0].share_milli) if own else ()
    return found
