"""Victims: who may be stopped for whom, under which rule, and in which order.

Inside a queue by priority; across queues only to take back a guarantee. A job that owns places and
has not started, or that this very decision would start, loses nothing by giving them up.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from aimass.core.cluster import Cluster
from aimass.core.model import Goal, Job, JobState, NodeId, Placement, StopRule
from aimass.core.plan import Claim
from aimass.core.policy import Want
from aimass.core.queues import ROOT
from aimass.core.quota import is_guaranteed, may_reclaim
from aimass.core.reserves import stays
from aimass.core.search import Search
from aimass.core.spec import PreemptMode
from aimass.core.wants import amounts_asked, forms, sized

DAY_MS = 24 * 3600 * 1000


class Taking(NamedTuple):
    """A job that takes cells of a queue that it belongs to: from whom, and where.

    cells: nodes where one can be. in_use: (queue, node) of cells that other queues use as theirs.
    """

    cluster: Cluster
    queue: str
    family: frozenset[str]
    cells: frozenset[NodeId]
    in_use: frozenset[tuple[str, NodeId]]

    def is_open(self, queue: str, places: Iterable[Placement]) -> bool:
        """True when who has these places, of another queue, stands in such a cell. O(places)."""
        if queue in self.family:
            return False
        chain = [above.spec.name for above in self.cluster.queues[queue].tree.chain]
        return any(
            place.node_id in self.cells
            and not any((above, place.node_id) in self.in_use for above in chain)
            for place in places
        )


class Victim(NamedTuple):
    """A job that may lose its places to another, under which rule, and at what cost.

    Ordered as victims are chosen: lowest priority, cheapest, newest (`newest` is minus its submit
    sequence, so no comparison reaches the job). Priority first, because whoever is stopped instead
    of a lower job would stop that one next.

    places: what it holds, or only owns: a RESERVED job has not started and loses nothing but those.
    """

    priority: int
    cost: int
    newest: int
    job: Job
    rule: StopRule
    places: tuple[Placement, ...]
    is_owner: bool = False
    least: int = 0  # elastic shards that it keeps at least when it only gives up extras


def may_preempt_now(search: Search, job: Job) -> bool:
    """False while nobody could be its victim, or its own delay has not passed."""
    if not might_preempt(search, job):
        return False
    until_ms = job.queued_ms + job.spec.preemption.delay_ms
    search.wake(until_ms)
    return until_ms <= search.cluster.now_ms


def active_victims(search: Search, jobs: list[Job], rule: StopRule) -> list[Victim]:
    """These active jobs as victims, each at its cost. O(jobs)."""
    cluster, cost_of = search.cluster, search.policy.victims.cost
    return [
        Victim(
            job.spec.priority,
            cost_of(cluster, job),
            -job.submit_seq,
            job,
            rule,
            job.attempts[-1].placements,
        )
        for job in jobs
    ]


def _owner(job: Job, rule: StopRule, places: tuple[Placement, ...]) -> Victim:
    """Who only owns its places, as a victim: it loses no work."""
    return Victim(job.spec.priority, 0, -job.submit_seq, job, rule, places, is_owner=True)


def smallest_forms(search: Search, job: Job) -> list[Want]:
    """Its forms in the smallest size: nobody makes way so that a job may be larger than it must."""
    wants = forms(job, search.cluster.now_ms)
    if search.by_model and any(r.need.has_gpu and not r.need.gpu_types for r in job.spec.roles):
        # What is guaranteed of one model is had only by asking for it.
        models = [key[4:] for key in search.cluster.index.totals.amounts() if key[:4] == "gpu:"]
        wants += [Want(w.sizes, (model,), w.level) for w in wants for model in sorted(models)]
    role = job.spec.elastic_role
    if role < 0:
        return wants
    elastic = job.spec.roles[role].elastic
    assert elastic is not None
    return [sized(job, want, elastic.min_shards) for want in wants]


def might_preempt(search: Search, job: Job) -> bool:
    """A quick no, without looking at active jobs. O(priorities in use)."""
    cluster = search.cluster
    queue = cluster.queues[job.spec.queue]
    if not search.policy.order.is_strict and any(
        priority < job.spec.priority for priority in queue.active_by_priority
    ):
        return True
    if cluster.claims or search.starts or search.claims:
        claimed = (*cluster.claims, *search.starts, *(claim.job_id for claim in search.claims))
        owners = [o for i in claimed if (o := cluster.jobs[i]).spec.queue == queue.spec.name]
        if any(o.spec.preemptible and outranks(search, job, o) for o in owners):
            return True
    ruled = cluster.queues[ROOT].tree.ruled
    if ruled and any(other.spec.quota for other in cluster.queues.values()):
        sizes = smallest_forms(search, job)
        return any(is_guaranteed(cluster, job, amounts_asked(job, want)) for want in sizes)
    return False


def candidates(search: Search, job: Job, want: Want, taking: Taking | None = None) -> list[Victim]:
    """Who may be stopped for this one, in no order; taking: also for a cell of its queue.

    O(active) the first time in a decision; then O(those found), and O(queues) for a guarantee.
    """
    cluster = search.cluster
    amounts = amounts_asked(job, want)
    found = []
    for queue in search.at_work.by_queue():
        if queue != job.spec.queue:
            in_cells = _in_cells(search, queue, taking)
            found += in_cells
            if may_reclaim(cluster, job, amounts, queue):
                names = {victim.job.id for victim in in_cells}
                lent = _stoppable_in(search, queue, StopRule.RECLAIM)
                found += [v for v in lent if v.job.id not in names] if names else lent
        elif not search.policy.order.is_strict:
            found += _stoppable_in(search, queue, StopRule.PRIORITY, job.spec.priority)
    for claim in cluster.claims.values():
        owner = cluster.jobs[claim.job_id]
        is_waiting = owner.state is JobState.RESERVED and not _is_resized(owner)
        if is_waiting and owner.id not in search.dropped:
            owner_rule = rule_for(search, job, amounts, owner, taking, claim.placements)
            is_started = owner.id in search.starts
            if owner_rule and (is_started or _has_right(search, job, amounts, claim, taking)):
                found.append(_owner(owner, owner_rule, claim.placements))
    for made in search.claims:  # on what was leaving anyway, a moment ago
        maker = cluster.jobs[made.job_id]
        if maker.state is JobState.QUEUED and not made.victims:
            made_rule = rule_for(search, job, amounts, maker, taking, made.placements)
            if made_rule is not None:
                found.append(_owner(maker, made_rule, made.placements))
    for start in search.starts.values():  # it has not started yet, and had better not
        if start.job_id not in cluster.claims:
            starter = cluster.jobs[start.job_id]
            start_rule = rule_for(search, job, amounts, starter, taking, start.placements)
            if start_rule is not None:
                found.append(_owner(starter, start_rule, start.placements))
    return found


def _in_cells(search: Search, queue: str, taking: Taking | None) -> list[Victim]:
    """Active jobs of the queue that may be stopped where they are, as cells of another."""
    if taking is None or queue in taking.family:
        return []
    found = _stoppable_in(search, queue, StopRule.RESERVE)
    return [victim for victim in found if taking.is_open(queue, victim.places)]


def _stoppable_in(
    search: Search, queue: str, rule: StopRule, below: int | None = None
) -> list[Victim]:
    """Active jobs of one queue that may be stopped now; below: of lower priority than this."""
    found: list[Victim] = []
    for priority, others in search.at_work.by_queue()[queue].items():
        if below is not None and priority >= below:
            continue
        known = search.stoppable.get((queue, priority, rule))
        if known is None:
            known = active_victims(search, stoppable(search, others), rule)
            search.stoppable[queue, priority, rule] = known
        found += known
    evicted = search.evicted
    return [v for v in found if v.job.id not in evicted] if evicted else found


def _is_resized(job: Job) -> bool:
    """True when the job was at work until a resize stopped it: what protects it goes on."""
    return bool(job.attempts) and job.attempts[-1].stop_goal is Goal.RESIZE


def _has_right(
    search: Search, job: Job, amounts: dict[str, int], claim: Claim, taking: Taking | None
) -> bool:
    """True when the job might itself have stopped those who are leaving for this claim.

    Or else a job could get by another of its queue what it has no right to.
    """
    leaving = (search.cluster.jobs[i] for i in claim.victims if i in search.cluster.jobs)
    return all(
        rule_for(search, job, amounts, victim, taking, victim.current.placements) is not None
        for victim in leaving
        if victim.state is JobState.STOPPING
    )


def evict(search: Search, victim: Victim) -> None:
    """Take its places away on the draft."""
    job, draft = victim.job, search.draft
    if not victim.is_owner:
        draft.evict(job)
    elif job.id in search.starts:
        draft.unplace(job, job.attempt + 1, victim.places)
    else:
        draft.unclaim(job, job.attempt + 1, victim.places)
        for claim in search.displaced.get(job.id, ()):  # who gave way for it is back
            draft.claim(search.cluster.jobs[claim.job_id], claim.attempt, claim.placements)


def keep(search: Search, victim: Victim) -> None:
    """The inverse of evict, for a victim that proved unnecessary."""
    job, draft = victim.job, search.draft
    if not victim.is_owner:
        draft.keep(job)
    elif job.id in search.starts:
        for rank, placement in enumerate(victim.places):
            draft.hold(job, job.attempt + 1, rank, placement)
    else:
        for claim in search.displaced.get(job.id, ()):
            draft.unclaim(search.cluster.jobs[claim.job_id], claim.attempt, claim.placements)
        draft.claim(job, job.attempt + 1, victim.places)


def outranks(search: Search, job: Job, other: Job) -> bool:
    """True when priority counts and the job has more of it."""
    return job.spec.priority > other.spec.priority and not search.policy.order.is_strict


def rule_for(
    search: Search,
    job: Job,
    amounts: dict[str, int],
    other: Job,
    taking: Taking | None = None,
    places: tuple[Placement, ...] = (),
) -> StopRule | None:
    """Under which rule `job` may take what `other` holds; None: under none.

    taking: also for a cell of its queue, where the other has these places.
    """
    if not other.spec.preemptible or other.id in search.evicted:
        return None
    if other.spec.queue == job.spec.queue:
        return StopRule.PRIORITY if outranks(search, job, other) else None
    if taking is not None and not stays(other.spec) and taking.is_open(other.spec.queue, places):
        return StopRule.RESERVE
    is_theirs = may_reclaim(search.cluster, job, amounts, other.spec.queue)
    return StopRule.RECLAIM if is_theirs else None


def rule_as_preemptible(
    search: Search, job: Job, amounts: dict[str, int], other: Job
) -> StopRule | None:
    """As rule_for, of a job that is perhaps not preemptible: what the right alone would allow."""
    spec = replace(other.spec, preemptible=True)
    return rule_for(search, job, amounts, replace(other, spec=spec))


def is_stoppable(search: Search, other: Job) -> bool:
    """True when it may be stopped now: it has run long enough and not been stopped too often."""
    return bool(stoppable(search, [other]))


def stoppable(search: Search, others: list[Job]) -> list[Job]:
    """Those of a queue's active jobs that may be stopped now. O(jobs), for many of them."""
    least_ms = search.cluster.queues[others[0].spec.queue].spec.min_runtime_ms
    shrink, stopping = PreemptMode.SHRINK, JobState.STOPPING
    found = []
    for other in others:
        asks = other.spec.preemption
        if other.state is stopping or asks.mode is shrink:
            continue
        if least_ms or asks.min_runtime_ms or asks.max_per_day:
            until_ms = _protected_until_ms(search.cluster.now_ms, other, least_ms)
            if until_ms:
                search.wake(until_ms)
                continue
        found.append(other)
    return found


def _protected_until_ms(now_ms: int, other: Job, least_ms: int) -> int:
    """Until when it may not be stopped; 0: it may now. least_ms: its queue's least run time."""
    asks = other.spec.preemption
    least_ms = max(least_ms, asks.min_runtime_ms)
    until_ms = (other.current.running_ms or now_ms) + least_ms
    if least_ms and now_ms < until_ms:
        return until_ms
    if asks.max_per_day:
        recent = [at_ms for at_ms in other.preempted_ms if at_ms > now_ms - DAY_MS]
        if len(recent) >= asks.max_per_day:
            return recent[-asks.max_per_day] + DAY_MS
    return 0


def is_extra(job: Job) -> bool:
    """True when the job runs with more elastic shards than its smallest size."""
    role = job.spec.elastic_role
    if role < 0 or job.state is JobState.STOPPING:
        return False
    elastic = job.spec.roles[role].elastic
    assert elastic is not None
    return sum(p.role == role for p in job.current.placements) > elastic.min_shards
