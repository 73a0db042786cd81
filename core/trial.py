"""Trial: what the next decision would do with one job, in one form or another.

Not a decision about everybody: those ahead of the job wait, and what they were promised is kept for
them. So a form costs one placement, and what a trial says is what decide() then does, as long as
the cluster was decided before. Use it inside `with Draft(cluster)`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from aimass.core.cluster import Cluster, fit_of
from aimass.core.decide import make_way
from aimass.core.draft import Draft
from aimass.core.model import Job, JobId, Placement
from aimass.core.plan import Claim, Planned, Start, Stop
from aimass.core.policy import Fuel, Policy
from aimass.core.promise import find_promise
from aimass.core.search import Search
from aimass.core.settle import settle_claims
from aimass.core.spec import JobSpec
from aimass.core.turned import Turned

FUEL = 1_000_000  # nodes examined for one explanation


@contextmanager
def as_of(cluster: Cluster, now_ms: int) -> Iterator[None]:
    """Within the block it is now_ms in the cluster, which only events tell the time otherwise."""
    before_ms = cluster.now_ms
    cluster.now_ms = max(before_ms, now_ms)
    try:
        yield
    finally:
        cluster.now_ms = before_ms


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it: placed, perhaps after these stops, or turned away.

    placements: empty when it was turned away. stops: of others; then it owns the places and waits
    for them to leave. dropped: jobs that lose places which they owned, not having started.
    """

    turned: Turned | None = None
    placements: tuple[Placement, ...] = ()
    stops: tuple[Stop, ...] = ()
    dropped: tuple[JobId, ...] = ()


class Trial:
    """Tries forms of jobs on a draft, one after the other; each is taken back."""

    def __init__(self, draft: Draft, policy: Policy) -> None:
        self.policy = policy
        self.fuel = Fuel(FUEL)
        self._draft = draft
        self._stands: tuple[tuple[JobId, ...], JobId | None] | None = None
        self._search = Search(draft, policy, self.fuel)

    def behind(self, job: Job) -> Search:
        """A search as it is when a pass comes to the job: what was promised to others is kept.

        Its own promise counts only for the job as it is: an update ends it.
        """
        cluster, order = self._draft.cluster, self.policy.order
        planned = cluster.planned
        ahead = tuple(
            i for i in planned if i != job.id and order.is_before(cluster, cluster.jobs[i], job)
        )
        is_as_it_is = job.spec is cluster.jobs[job.id].spec
        stands = (ahead, None if is_as_it_is else job.id)
        if stands != self._stands:
            self._draft.rollback(0)
            self._search = Search(self._draft, self.policy, self.fuel)
            settle_claims(self._search)
            for job_id in ahead:
                self._search.promise(cluster.jobs[job_id], planned[job_id])
            left_out = {*ahead, stands[1]}
            self._search.standing = {i: p for i, p in planned.items() if i not in left_out}
            self._search.lower(list(self._search.standing.values()))
            self._stands = stands
        return self._search

    def attempt(self, job: Job, may_take: bool = False) -> Tried:
        """Start the job as it is; may_take: else in what others would have to give up.

        O(promises) for the first, then a placement; with may_take also O(active jobs).
        """
        search = self.behind(job)
        mark, standing = self._draft.checkpoint(), dict(search.standing)
        found = search.start(job, fit_of(job))
        if not (isinstance(found, Turned) and may_take and found.may_take):
            self._draft.rollback(mark)
            search.standing = standing
            return Tried(found) if isinstance(found, Turned) else Tried(None, found.placements)
        self._stands = None  # from here on the search is of no further use
        dropped = set(search.dropped)
        with search.setting_aside(job):
            if not make_way(search, job)[0]:
                return Tried(found)
        moves: list[Claim | Start] = [*search.claims, *search.starts.values()]
        placements = next(move.placements for move in moves if move.job_id == job.id)
        lost = sorted(search.dropped - dropped)
        return Tried(None, placements, tuple(search.stops), tuple(lost))

    def earliest(self, job: Job) -> Planned | None:
        """When and where it would be promised a start, after all who are ahead of it.

        O(active jobs) to look into the future, then O(log of them) placements.
        """
        search = self.behind(job)
        self._stands = None
        own = search.standing.pop(job.id, None)
        if own is not None:
            search.lift([own])
        with search.setting_aside(job):
            return find_promise(search, [], job)

    def is_passed_over(self, job: Job) -> bool:
        """True when a strict order lets somebody else go first."""
        if not self.policy.order.is_strict:
            return False
        cluster = self._draft.cluster
        queue = self.policy.order.queue(cluster, set())
        first = next((cluster.jobs[i] for _, i in queue if i != job.id), None)
        return first is not None and self.policy.order.is_before(cluster, first, job)


def as_updated(job: Job, spec: JobSpec) -> Job:
    """The queued job as an update would make it; the row itself stays as it is."""
    not_before_ms = job.not_before_ms
    if spec.start_after_ms != job.spec.start_after_ms:
        not_before_ms = spec.start_after_ms
    return replace(job, spec=spec, avoid=(), not_before_ms=not_before_ms)
