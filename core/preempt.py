"""Preemption: the cheapest set of victims that is enough, node by node. Elastic extras went first.

Every victim that proves unnecessary is filled back, so that removing any one of
them would break the fit (volcano#5984 evicted ten where one was needed). The preemptor owns its
places from the moment the plan commits.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from heapq import nsmallest

from aimass.core.feasible import Refusal
from aimass.core.lost_work import lost_gpu_ms
from aimass.core.model import Job, JobId, NodeId, StopRule
from aimass.core.node_prices import NodePrices, OnNodes, Price, price_of_all
from aimass.core.plan import Claim, Stop
from aimass.core.policy import Placed, Want
from aimass.core.quota import may_reclaim, quota_refusal
from aimass.core.search import Search
from aimass.core.victims import (
    Victim,
    candidates,
    evict,
    keep,
    may_preempt_now,
    smallest_forms,
)
from aimass.core.wants import amounts_asked, amounts_placed

FEW = 256  # candidates looked at first
TRIES_MAX = 64  # placements tried while the set of victims grows


def preempt(search: Search, job: Job) -> bool:
    """Find victims for the job and enter its claim; False when there are none that help.

    O(active jobs) once in a decision, then O(candidates) to choose, and a placement per victim to
    fill back.
    """
    if not may_preempt_now(search, job):
        return False
    for want in smallest_forms(search, job):
        victims = candidates(search, job, want)
        mark = search.draft.checkpoint()
        with claiming(search, job):
            found = choose(search, job, want, _stages(victims))
            if found is not None:
                enter(search, job, *found)
                return True
        search.draft.rollback(mark)
    return False


def is_leaving_enough(search: Search, job: Job) -> bool:
    """True when the job fits as soon as those have left who are on their way out: it can wait."""
    mark = search.draft.checkpoint()
    with claiming(search, job):
        found = any(search.place(job, want, []) for want in smallest_forms(search, job))
    search.draft.rollback(mark)
    return found


@contextmanager
def claiming(search: Search, job: Job) -> Iterator[None]:
    """Meanwhile the draft gives what is free soon, on nodes that no window closes to the job."""
    draft = search.draft
    before = (draft.is_soon, draft.closed)
    draft.is_soon, draft.closed = True, search.closed_for(job, search.cluster.now_ms)
    try:
        yield
    finally:
        draft.is_soon, draft.closed = before


def _stages(victims: list[Victim]) -> Iterator[list[Victim]]:
    """The cheapest few, which are nearly always enough; then everybody."""
    if len(victims) > FEW:
        yield nsmallest(FEW, victims)
    yield victims


# ---- the cheapest set that is enough ------------------------------------------------------------


def choose(
    search: Search, job: Job, want: Want, stages: Iterable[list[Victim]]
) -> tuple[Placed, list[Victim]] | None:
    """Evict on the draft, cheapest nodes first, until the gang fits; then fill back.

    stages: whom to choose from, one list after the other until one does. With a topology level
    every domain is tried and the cheapest is taken.
    """
    draft = search.draft
    mark = draft.checkpoint()
    quota: list[Refusal] = []
    placed = search.place(job, want, quota)
    if placed is not None:
        return placed, []  # what is leaving already is enough
    for victims in stages:
        found = _choose_among(search, job, want, OnNodes(victims), quota)
        if found is not None:
            return found
        draft.rollback(mark)
    return None


def _choose_among(
    search: Search, job: Job, want: Want, found: OnNodes, quota: list[Refusal]
) -> tuple[Placed, list[Victim]] | None:
    domains: dict[str, list[NodeId]] = {}
    if want.level:
        domains = {name: [] for name in sorted(search.cluster.index.domains(want.level)) if name}
    if len(domains) < 2:
        return _choose_in(search, job, want, found, quota)
    for node_id in found.here:
        name = search.cluster.nodes[node_id].inventory.labels.get(want.level, "")
        if name:
            domains[name].append(node_id)
    mark = search.draft.checkpoint()
    best: tuple[Price, str] | None = None
    for name, nodes in domains.items():
        chosen = _choose_in(search, job, want, found.only(nodes), quota)
        search.draft.rollback(mark)
        if chosen is not None:
            price = (price_of_all(chosen[1]), name)
            best = min(best, price) if best is not None else price
    if best is None:
        return None
    return _choose_in(search, job, want, found.only(domains[best[1]]), quota)


def _choose_in(
    search: Search, job: Job, want: Want, found: OnNodes, quota: list[Refusal]
) -> tuple[Placed, list[Victim]] | None:
    draft = search.draft
    chosen: list[Victim] = []
    placed, tries = None, 0
    quota = list(quota)
    for victim in _by_node(search, job, want, found, quota):
        if victim is not None:
            if _is_still_right(search, job, want, victim):
                chosen.append(victim)
                evict(search, victim)
            continue
        tries += 1
        mark = draft.checkpoint()
        quota.clear()
        placed = search.place(job, want, quota)
        draft.rollback(mark)
        if placed is not None or tries >= TRIES_MAX or not search.fuel.left:
            break
    return _fill_back(search, job, want, placed, chosen) if placed is not None else None


def _is_still_right(search: Search, job: Job, want: Want, victim: Victim) -> bool:
    """A queue gives back what it has borrowed and no more: count who has been evicted already."""
    if victim.rule is not StopRule.RECLAIM:
        return True
    return may_reclaim(search.cluster, job, amounts_asked(job, want), victim.job.spec.queue)


def _fill_back(
    search: Search, job: Job, want: Want, placed: Placed, chosen: list[Victim]
) -> tuple[Placed, list[Victim]] | None:
    """Keep everybody who is not needed after all, the most costly first; then place for good.

    Removing any one of those that are left breaks the fit. O(victims) placements.
    """
    draft = search.draft

    def fits() -> bool:
        mark = draft.checkpoint()
        found = search.place(job, want, [])
        draft.rollback(mark)
        return found is not None

    nodes = {p.node_id for p in placed.placements}
    apart = [v for v in chosen if not any(p.node_id in nodes for p in v.places)]
    for victim in apart:
        keep(search, victim)
    if not fits():  # a quota needed them, not the nodes
        for victim in apart:
            evict(search, victim)
        apart = []
    needed = [v for v in chosen if v not in apart]
    for victim in sorted(needed, reverse=True):
        keep(search, victim)
        if fits():
            needed.remove(victim)
        else:
            evict(search, victim)
    if not _were_borrowing(search, job, want, needed):
        return None
    final = search.place(job, want, [])
    return (final, needed) if final is not None else None


def _were_borrowing(search: Search, job: Job, want: Want, victims: list[Victim]) -> bool:
    """False when a queue gives back what it borrowed only by starts that are taken back as well.

    It borrows no more then: who is at work there was within its guarantee all the time.
    """
    reclaimed = [victim for victim in victims if victim.rule is StopRule.RECLAIM]
    if not any(victim.is_owner for victim in reclaimed):
        return True
    is_right: dict[str, bool] = {}
    for victim in reclaimed:
        if not victim.is_owner:
            keep(search, victim)
            queue = victim.job.spec.queue
            is_right[queue] = is_right.get(queue, False) or _is_still_right(
                search, job, want, victim
            )
            evict(search, victim)
    return all(is_right.values())


def _by_node(
    search: Search,
    job: Job,
    want: Want,
    found: OnNodes,
    quota: list[Refusal],
) -> Iterator[Victim | None]:
    """Yield whom to evict, and None whenever that might be enough; `quota`: what else refused last.

    For each role the node where one shard more costs least, again and again; a victim that was
    evicted for another node costs nothing any more.
    """
    gone: set[JobId] = set()
    is_single = len(job.spec.roles) == 1
    for role, shards in zip(job.spec.roles, want.sizes, strict=True):
        prices = NodePrices(search, job, want, role, found, gone)
        node = prices.pop()
        if is_single and node is None and not quota:
            return  # no node could take one shard more, whoever of these left
        made = 0
        while node is not None:
            yield from prices.leave(node)
            made += 1
            if made >= shards:
                yield None
            prices.push(node)
            node = prices.pop()
    yield None
    if is_single and not quota:
        return
    for victim in sorted(found.victims):  # a quota, or several roles, may need others as well
        if victim.job.id not in gone:
            yield victim
            yield None


def enter(
    search: Search, job: Job, placed: Placed, victims: list[Victim], givers: tuple[JobId, ...] = ()
) -> None:
    """The claim and the stops, with what each victim loses; a start when nobody has to leave.

    givers: who gives up extras for it as well.
    """
    draft, now_ms = search.draft, search.cluster.now_ms
    for owner in victims:
        if owner.is_owner:
            search.revoke(owner.job)
    dropped = (search.cluster.claims.get(victim.job.id) for victim in victims if victim.is_owner)
    search.displaced[job.id] = [claim for claim in dropped if claim is not None]
    stops = [
        Stop(
            victim.job.id,
            victim.job.attempt,
            victim.rule,
            job.id,
            _reason(job, victim),
            lost_gpu_ms(victim.job, now_ms),
        )
        for victim in sorted(victims, key=lambda v: v.job.submit_seq)
        if not victim.is_owner
    ]
    attempt = job.attempt + 1
    if not stops and not givers:
        mark = draft.checkpoint()
        draft.unclaim(job, attempt, placed.placements)
        amounts = amounts_placed(search.cluster, placed.placements)
        is_allowed = quota_refusal(search.cluster, job, amounts) is None  # now, not only soon
        if is_allowed and draft.hold_exactly(job, placed.placements):
            search.add_start(job, placed)
            return
        draft.rollback(mark)
    names = (*givers, *(stop.job_id for stop in stops))
    claim = Claim(job.id, attempt, placed.placements, placed.reason, names, placed.trail)
    search.add_claim(claim, stops)


def _reason(job: Job, victim: Victim) -> str:
    if victim.rule is StopRule.ORDER:
        return f"preempted by {job.id}: it comes first in the order"
    if victim.rule is StopRule.PRIORITY:
        mine, theirs = job.spec.priority, victim.job.spec.priority
        return f"preempted by {job.id}: priority {mine} over {theirs} in queue {job.spec.queue}"
    queue = job.spec.queue
    if victim.rule is StopRule.RESERVE:
        return f"preempted by {job.id}: queue {queue} takes a cell that is in reserve for it"
    return f"preempted by {job.id}: queue {queue} takes back what it is guaranteed"
