"""Trial: what the next decision would do with one job, in one form or another.

Not a decision about everybody: those ahead of the job wait, and what they were promised is kept for
them. So a form costs one placement, and what a trial says is what decide() then does, as long as
the cluster was decided before. Use it inside `with Draft(cluster)`.
"""

from dataclasses import dataclass, replace

from aimass.core.cluster import fit_of
from aimass.core.draft import Draft
from aimass.core.model import Job, JobId, Placement
from aimass.core.plan import Stop
from aimass.core.policy import Fuel, Policy
from aimass.core.preempt import preempt
from aimass.core.resize import shrink_for
from aimass.core.search import Search, Turned
from aimass.core.settle import settle_claims
from aimass.core.spec import JobSpec

FUEL = 1_000_000  # nodes examined for one explanation


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it: placed, perhaps after these stops, or turned away.

    placements: empty when it was turned away. stops: of others; then it owns the places and waits
    for them to leave.
    """

    turned: Turned | None = None
    placements: tuple[Placement, ...] = ()
    stops: tuple[Stop, ...] = ()


class Trial:
    """Tries forms of jobs on a draft, one after the other; each is taken back."""

    def __init__(self, draft: Draft, policy: Policy) -> None:
        self.policy = policy
        self.fuel = Fuel(FUEL)
        self._draft = draft
        self._ahead: tuple[JobId, ...] | None = None
        self._search = Search(draft, policy, self.fuel)

    def behind(self, job: Job) -> Search:
        """A search in which everybody ahead of the job has what it was promised."""
        cluster, order = self._draft.cluster, self.policy.order
        ahead = tuple(
            i
            for i in cluster.planned
            if i != job.id and order.is_before(cluster, cluster.jobs[i], job)
        )
        if ahead != self._ahead:
            self._draft.rollback(0)
            self._search = Search(self._draft, self.policy, self.fuel)
            settle_claims(self._search)
            for job_id in ahead:
                self._search.promise(cluster.jobs[job_id], cluster.planned[job_id])
            self._ahead = ahead
        return self._search

    def attempt(self, job: Job, may_take: bool = False) -> Tried:
        """Start the job as it is; may_take: else in what others would have to give up.

        O(promises ahead) for the first, then a placement; with may_take also O(active jobs).
        """
        search = self.behind(job)
        mark = self._draft.checkpoint()
        found = search.start(job, fit_of(job))
        if not isinstance(found, Turned):
            self._draft.rollback(mark)
            return Tried(placements=found.placements)
        if not (may_take and found.may_take):
            return Tried(found)
        took = shrink_for(search, job) or preempt(search, job)
        self._ahead = None  # the search has stopped somebody: it is of no further use
        if not took:
            return Tried(found)
        claim = next(claim for claim in search.claims if claim.job_id == job.id)
        return Tried(None, claim.placements, tuple(search.stops))

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
    return replace(job, spec=spec, avoid=[], not_before_ms=not_before_ms)
