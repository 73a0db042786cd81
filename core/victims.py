"""Victims: who may be stopped for whom, under which rule, and in which order.

Inside a queue by priority; across queues only to take back a guarantee. A job that owns places and
has not started, or that this very decision would start, loses nothing by giving them up.
"""

from dataclasses import replace
from typing import NamedTuple

from aimass.core.model import Job, JobState, Placement, StopRule
from aimass.core.policy import Want
from aimass.core.quota import is_guaranteed, may_reclaim
from aimass.core.search import Search
from aimass.core.spec import PreemptMode
from aimass.core.wants import amounts_asked, forms, sized

DAY_MS = 24 * 3600 * 1000


class Victim(NamedTuple):
    """A job that may lose its places to another, under which rule, and at what cost.

    places: what it holds, or only owns: a RESERVED job has not started and loses nothing but those.
    """

    job: Job
    rule: StopRule
    cost: int
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


def price_of(victim: Victim) -> tuple[int, int, int]:
    """The order in which victims are chosen: lowest priority, cheapest, newest.

    Priority first, because whoever is stopped instead of a lower job would stop that one next.
    """
    return (victim.job.spec.priority, victim.cost, -victim.job.submit_seq)


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
    claimed = (*cluster.claims, *search.starts, *(claim.job_id for claim in search.claims))
    owners = [o for i in claimed if (o := cluster.jobs[i]).spec.queue == queue.spec.name]
    if any(o.spec.preemptible and outranks(search, job, o) for o in owners):
        return True
    if any(other.spec.quota for other in cluster.queues.values()):
        sizes = smallest_forms(search, job)
        if any(is_guaranteed(cluster, job, amounts_asked(job, want)) for want in sizes):
            return True
    return any(is_extra(other) for other in search.elastic_jobs())


def candidates(search: Search, job: Job, want: Want) -> list[Victim]:
    """Active jobs that may be stopped for this one, in no order. O(active)."""
    cluster = search.cluster
    amounts = amounts_asked(job, want)
    cost_of, priority = search.policy.victims.cost, job.spec.priority
    found = []
    for queue, others in search.active_by_queue().items():
        rule = StopRule.PRIORITY
        if queue != job.spec.queue:
            if not others or not may_reclaim(cluster, job, amounts, queue):
                continue
            rule = StopRule.RECLAIM
        elif search.policy.order.is_strict:
            continue
        for other in others:
            if rule is StopRule.PRIORITY and other.spec.priority >= priority:
                continue
            if other.id not in search.evicted and is_stoppable(search, other):
                places = other.current.placements
                found.append(Victim(other, rule, cost_of(cluster, other), places))
    for claim in cluster.claims.values():
        owner = cluster.jobs[claim.job_id]
        if owner.state is JobState.RESERVED and owner.id not in search.dropped:
            owner_rule = rule_for(search, job, amounts, owner)
            if owner_rule is not None:
                found.append(Victim(owner, owner_rule, 0, claim.placements, is_owner=True))
    for made in search.claims:  # on what was leaving anyway, a moment ago
        maker = cluster.jobs[made.job_id]
        if maker.state is JobState.QUEUED and not made.victims:
            made_rule = rule_for(search, job, amounts, maker)
            if made_rule is not None:
                found.append(Victim(maker, made_rule, 0, made.placements, is_owner=True))
    for start in search.starts.values():  # it has not started yet, and had better not
        if start.job_id not in cluster.claims:
            starter = cluster.jobs[start.job_id]
            start_rule = rule_for(search, job, amounts, starter)
            if start_rule is not None:
                found.append(Victim(starter, start_rule, 0, start.placements, is_owner=True))
    return found


def evict(search: Search, victim: Victim) -> None:
    """Take its places away on the draft."""
    job, draft = victim.job, search.draft
    if not victim.is_owner:
        draft.evict(job)
    elif job.id in search.starts:
        draft.unplace(job, job.attempt + 1, victim.places)
    else:
        draft.unclaim(job, job.attempt + 1, victim.places)


def keep(search: Search, victim: Victim) -> None:
    """The inverse of evict, for a victim that proved unnecessary."""
    job, draft = victim.job, search.draft
    if not victim.is_owner:
        draft.keep(job)
    elif job.id in search.starts:
        for rank, placement in enumerate(victim.places):
            draft.hold(job, job.attempt + 1, rank, placement)
    else:
        draft.claim(job, job.attempt + 1, victim.places)


def outranks(search: Search, job: Job, other: Job) -> bool:
    """True when priority counts and the job has more of it."""
    return job.spec.priority > other.spec.priority and not search.policy.order.is_strict


def rule_for(search: Search, job: Job, amounts: dict[str, int], other: Job) -> StopRule | None:
    """Under which rule `job` may take what `other` holds; None: under none."""
    if not other.spec.preemptible or other.id in search.evicted:
        return None
    if other.spec.queue == job.spec.queue:
        return StopRule.PRIORITY if outranks(search, job, other) else None
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
    if other.state is JobState.STOPPING or other.spec.preemption.mode is PreemptMode.SHRINK:
        return False
    now_ms, asks = search.cluster.now_ms, other.spec.preemption
    least_ms = search.cluster.queues[other.spec.queue].spec.min_runtime_ms
    if asks.min_runtime_ms > least_ms:
        least_ms = asks.min_runtime_ms
    if least_ms:
        until_ms = (other.current.running_ms or now_ms) + least_ms
        if now_ms < until_ms:
            search.wake(until_ms)
            return False
    if asks.max_per_day:
        recent = [at_ms for at_ms in other.preempted_ms if at_ms > now_ms - DAY_MS]
        if len(recent) >= asks.max_per_day:
            search.wake(recent[-asks.max_per_day] + DAY_MS)
            return False
    return True


def is_extra(job: Job) -> bool:
    """True when the job runs with more elastic shards than its smallest size."""
    role = job.spec.elastic_role
    if role < 0 or job.state is JobState.STOPPING:
        return False
    elastic = job.spec.roles[role].elastic
    assert elastic is not None
    return sum(p.role == role for p in job.current.placements) > elastic.min_shards
