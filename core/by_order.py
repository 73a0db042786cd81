"""Preemption by order: who comes later in it makes way for who comes earlier. SRTF, LAS.

What is left running is what a walk down the order would choose that took all capacity for free:
each who fits into what those before it leave. Reached from what runs now: the last in the order are
stopped, one after the other, until the job fits; of these, whoever still fits stays, the first of
them first. Where only sums of GPUs count the two are the same; on nodes a job may also stop others
so that a gang finds its GPUs on as few of them as it asks for.

Between queues there is no such preemption once any queue is guaranteed something: there `reclaim`
says who may take from whom.
"""

from bisect import bisect_right
from itertools import accumulate

from aimass.core.at_work import idle_milli
from aimass.core.model import Job, JobState, StopRule
from aimass.core.policy import Placed, RankedOrder, Standing, Want
from aimass.core.preempt import claiming, enter
from aimass.core.search import Search
from aimass.core.stop_rules import are_shared
from aimass.core.victims import Victim, evict, keep, smallest_forms, stoppable
from aimass.core.wants import amounts_asked, amounts_least


def might_by_order(search: Search, job: Job) -> bool:
    """True when the policy preempts by order and somebody comes after the job. O(active) once."""
    order = search.policy.ranked
    if order is None or not _held_later(search, order, job):
        return False
    return bool(_later(search, order, job))


def may_by_order(search: Search, job: Job) -> bool:
    """False when all who come later hold too little for the job, or its own delay has not passed.

    O(active log active) once in a decision, then O(log active).
    """
    order = search.policy.ranked
    if order is None:
        return False
    until_ms = job.queued_ms + job.spec.preemption.delay_ms
    search.wake(until_ms)
    if until_ms > search.cluster.now_ms:
        return False
    held = _held_later(search, order, job)
    least_milli = amounts_least(job, search.cluster.now_ms)["gpu"]
    return held > 0 and idle_milli(search.cluster) + held >= least_milli


def preempt_by_order(search: Search, job: Job) -> bool:
    """Stop who comes later until the job fits, and enter its claim; False when it never does.

    O(active log active) once in a decision, then O(those stopped) placements.
    """
    order = search.policy.ranked
    if order is None or not may_by_order(search, job):
        return False
    later = _later(search, order, job)
    if not later:
        return False
    mark = search.draft.checkpoint()
    for want in smallest_forms(search, job):
        with claiming(search, job):
            found = _choose(search, job, want, later)
            if found is not None:
                enter(search, job, *found)
                return True
        search.draft.rollback(mark)
    return False


def _held_later(search: Search, order: RankedOrder, job: Job) -> int:
    """Milli-GPU of all who come after the job, whether they may be stopped or not.

    O(active) once in a decision, then O(log active).
    """
    standing = order.standing(search.cluster)
    if not search.held_from:
        sums = accumulate((stands.held_milli for stands in reversed(standing)), initial=0)
        search.held_from = [*sums][::-1]
    rank = order.rank(search.cluster, job)
    return search.held_from[bisect_right(standing, rank, key=_rank)]


def _rank(standing: Standing) -> tuple[int, ...]:
    return standing.rank


def _later(search: Search, order: RankedOrder, job: Job) -> list[Victim]:
    """Who may be stopped for the job, the last in the order first. Their cost: what they hold."""
    cluster, by_queue = search.cluster, search.at_work.by_queue()
    name = "" if are_shared(cluster) else job.spec.queue
    known = search.stoppable.get((name, 0, StopRule.ORDER))
    if known is None:
        found = []
        for queue in by_queue if not name else (name,):
            for others in by_queue[queue].values() if queue in by_queue else ():
                found += stoppable(search, others)
        names = {other.id for other in found}
        standing = [stands for stands in order.standing(cluster) if stands.job.id in names]
        known = [
            Victim(0, held_milli, -at, other, StopRule.ORDER, other.attempts[-1].placements)
            for at, (_, other, held_milli) in enumerate(reversed(standing))
        ]
        search.stoppable[name, 0, StopRule.ORDER] = known
    rank = order.rank(cluster, job)
    later = []
    for victim in known:
        other = victim.job
        if order.rank(cluster, other) < rank:
            break
        if other.id not in search.evicted and other.state is not JobState.STOPPING:
            later.append(victim)
    return later


def _choose(
    search: Search, job: Job, want: Want, later: list[Victim]
) -> tuple[Placed, list[Victim]] | None:
    """Evict on the draft, the last first, until the job fits; then let stay who still can."""
    draft, gpu_milli = search.draft, amounts_asked(job, want)["gpu"]
    if idle_milli(search.cluster) + sum(victim.cost for victim in later) < gpu_milli:
        return None
    chosen: list[Victim] = []
    next_try = 1
    is_found = False
    for victim in later:
        evict(search, victim)
        chosen.append(victim)
        if len(chosen) < next_try and victim is not later[-1]:
            continue
        if idle_milli(search.cluster) < gpu_milli:
            next_try = len(chosen) + 1
            continue
        mark = draft.checkpoint()
        is_found = search.place(job, want, []) is not None
        draft.rollback(mark)
        if is_found or not search.fuel.left:
            break
        next_try = 2 * len(chosen)
    if not is_found:
        return None
    needed = []
    for victim in reversed(chosen):
        keep(search, victim)
        if idle_milli(search.cluster) >= gpu_milli:
            mark = draft.checkpoint()
            stays = search.place(job, want, []) is not None
            draft.rollback(mark)
            if stays:
                continue
        evict(search, victim)
        needed.append(victim)
    placed = search.place(job, want, [])
    return (placed, needed) if placed is not None else None
