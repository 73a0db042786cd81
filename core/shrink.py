"""Shrink elastic jobs before anyone is preempted: their extras first, then extras and victims.

Who gives up extras is stopped and goes on at once in a smaller size, where its own claim is. As
with victims, whoever proves unnecessary keeps what it has.
"""

from aimass.core.model import Job, StopRule
from aimass.core.plan import Claim
from aimass.core.policy import Placed, Want
from aimass.core.preempt import choose, claiming, enter
from aimass.core.quota import max_jobs_refusal
from aimass.core.resize import elastic_of, may_resize, restart, size_of
from aimass.core.search import Search
from aimass.core.victims import (
    Victim,
    active_victims,
    candidates,
    evict,
    is_extra,
    may_preempt_now,
    rule_for,
    smallest_forms,
)
from aimass.core.wants import amounts_asked, forms, sizes_of


def shrink_for(search: Search, job: Job) -> bool:
    """Start the job in the extras of elastic jobs; False when they are not enough.

    What a job has beyond the size it asked for may go to anybody; the rest of its extras by the
    rules of preemption. Cheapest first, then whoever proved unnecessary keeps its size.
    """
    draft = search.draft
    if max_jobs_refusal(search.cluster.queues[job.spec.queue]) is not None:
        return False  # who gives up extras goes on, and counts
    for want in smallest_forms(search, job):
        givers = _givers(search, job, want)
        if not givers:
            continue
        mark = draft.checkpoint()
        with claiming(search, job):
            if _shrink(search, job, want, givers):
                return True
        draft.rollback(mark)
    return False


def _givers(search: Search, job: Job, want: Want) -> list[Victim]:
    amounts = amounts_asked(job, want)
    found = []
    for other in search.at_work.elastic():
        if not is_extra(other) or not may_resize(search, other):
            continue
        asked = other.spec.roles[other.spec.elastic_role].shards
        is_right = rule_for(search, job, amounts, other) is not None
        if is_right or size_of(other) > asked:
            least = elastic_of(other).min_shards if is_right else asked
            giver = active_victims(search, [other], StopRule.SHRINK)[0]
            found.append(giver._replace(least=least))
    return sorted(found)


def _shrink(search: Search, job: Job, want: Want, givers: list[Victim]) -> bool:
    mark = search.draft.checkpoint()
    for count in range(1, len(givers) + 1):
        is_enough = _fits_with(search, job, want, givers[:count]) is not None
        search.draft.rollback(mark)
        if not is_enough:
            continue
        chosen = _needed(search, job, want, givers[:count])
        if not chosen:
            return False  # what is free soon is enough: preempt() claims it
        found = _fits_with(search, job, want, chosen)
        if found is None:  # the search budget has ended meanwhile
            search.draft.rollback(mark)
            return False
        _enter_shrink(search, job, found[0], list(zip(chosen, found[1], strict=True)))
        return True
    return False


def _needed(search: Search, job: Job, want: Want, givers: list[Victim]) -> list[Victim]:
    """Those without whom the job does not fit: the others keep their size, the most costly first.

    As if one after the other were asked, but the more costly half of those in question at once:
    O(needed * log givers) times what _fits_with takes. They stay in their order.
    """
    mark = search.draft.checkpoint()
    left = [sorted(givers, reverse=True)]
    while left:
        spared = left.pop()
        rest = [giver for giver in givers if giver not in spared]
        is_enough = _fits_with(search, job, want, rest) is not None
        search.draft.rollback(mark)
        if is_enough:
            givers = rest
        elif len(spared) > 1:
            half = len(spared) // 2
            left += [spared[half:], spared[:half]]
    return givers


def _fits_with(
    search: Search, job: Job, want: Want, givers: list[Victim]
) -> tuple[Placed, list[Placed]] | None:
    """Place the job among their extras, and each of them again in a smaller size. On the draft."""
    draft = search.draft
    mark = draft.checkpoint()
    for giver in givers:
        draft.evict(giver.job)
    placed = search.place(job, want, [])
    if placed is None:
        return None
    smaller = _all_smaller(search, givers)
    if smaller is not None:
        return placed, smaller
    draft.rollback(mark)  # it lies where one of them would have to go on: they choose first
    for giver in givers:
        draft.evict(giver.job)
    smaller = _all_smaller(search, givers, is_least=True)
    placed = search.place(job, want, []) if smaller is not None else None
    return (placed, smaller) if placed is not None and smaller is not None else None


def _all_smaller(
    search: Search, givers: list[Victim], is_least: bool = False
) -> list[Placed] | None:
    """Place each of them again at the largest smaller size; None when one has nowhere to go.

    is_least: at its smallest size instead.
    """
    smaller = []
    for giver in givers:
        most = giver.least if is_least else size_of(giver.job) - elastic_of(giver.job).step
        again = _place_again(search, giver.job, most, giver.least)
        if again is None:
            return None
        smaller.append(again)
    return smaller


def _place_again(search: Search, job: Job, most: int, least: int) -> Placed | None:
    """The active job's next attempt at its largest size from `least` to `most`."""
    for want in forms(job, search.cluster.now_ms):
        with claiming(search, job):
            placed = search.at_largest(job, want, [], most, least)
        if placed is not None:
            return placed
    return None


def shrink_and_preempt(search: Search, job: Job) -> bool:
    """Start the job where neither extras nor victims are enough, but both together are.

    Beside all extras the fewest victims are chosen, then who gives extras in vain keeps its size.
    """
    draft = search.draft
    if (
        not may_preempt_now(search, job)
        or max_jobs_refusal(search.cluster.queues[job.spec.queue]) is not None
    ):
        return False
    for want in smallest_forms(search, job):
        victims = candidates(search, job, want)
        names = {victim.job.id for victim in victims}
        givers = [g for g in _givers(search, job, want) if g.job.id not in names]
        if not givers or not victims:
            continue
        mark = draft.checkpoint()
        with claiming(search, job):
            for are_first in (False, True):
                leaving = _victims_beside(search, job, want, givers, victims, are_first)
                draft.rollback(mark)
                if leaving is not None and _both(search, job, want, givers, leaving):
                    return True
                draft.rollback(mark)
    return False


def _victims_beside(
    search: Search,
    job: Job,
    want: Want,
    givers: list[Victim],
    victims: list[Victim],
    are_first: bool,
) -> list[Victim] | None:
    """The fewest victims who must leave when all givers give their extras; None: not enough.

    are_first: the givers choose where they go on, and the job takes the rest; else it chooses.
    """
    for giver in givers:
        search.draft.evict(giver.job)
    if are_first and _all_smaller(search, givers, is_least=True) is None:
        return None
    found = choose(search, job, want, [victims])
    if found is None or (not are_first and _all_smaller(search, givers) is None):
        return None
    return found[1]


def _both(
    search: Search, job: Job, want: Want, givers: list[Victim], leaving: list[Victim]
) -> bool:
    """Enter the claim with these victims, and with the extras that are needed beside them."""
    for victim in leaving:
        evict(search, victim)
    needed = _needed(search, job, want, givers)
    found = _fits_with(search, job, want, needed)
    if found is None:
        return False
    enter(search, job, found[0], leaving, tuple(giver.job.id for giver in needed))
    _restart_smaller(search, job, list(zip(needed, found[1], strict=True)))
    return True


def _enter_shrink(
    search: Search, job: Job, placed: Placed, givers: list[tuple[Victim, Placed]]
) -> None:
    names = tuple(giver.job.id for giver, _ in givers)
    attempt = job.attempt + 1
    mine = Claim(job.id, attempt, placed.placements, placed.reason, names, placed.trail)
    search.add_claim(mine, [])
    _restart_smaller(search, job, givers)


def _restart_smaller(search: Search, job: Job, givers: list[tuple[Victim, Placed]]) -> None:
    for giver, again in givers:
        has, gets = size_of(giver.job), sizes_of(giver.job, again.placements)
        reason = f"shrinks from {has} to {gets[giver.job.spec.elastic_role]} shards for {job.id}"
        restart(search, giver.job, StopRule.SHRINK, job, reason, again)
