"""Preemption: the cheapest set of victims that is enough, node by node. Elastic extras went first.

Every victim that proves unnecessary is filled back, so that removing any one of
them would break the fit (volcano#5984 evicted ten where one was needed). The preemptor owns its
places from the moment the plan commits.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from heapq import heapify, heappop, heappush, nsmallest

from aimass.core.feasible import Refusal, device_suits, node_refusal
from aimass.core.lost_work import lost_gpu_ms
from aimass.core.model import Job, JobId, Node, NodeId, Placement, StopRule
from aimass.core.plan import Claim, Stop
from aimass.core.policy import Placed, Want
from aimass.core.quota import may_reclaim, quota_refusal
from aimass.core.search import Search
from aimass.core.spec import Need
from aimass.core.victims import (
    Victim,
    candidates,
    evict,
    keep,
    may_preempt_now,
    price_of,
    smallest_forms,
)
from aimass.core.wants import amounts_asked, amounts_placed, models_of

FEW = 256  # candidates looked at first
TRIES_MAX = 64  # placements tried while the set of victims grows


def preempt(search: Search, job: Job) -> bool:
    """Find victims for the job and enter its claim; False when there are none that help.

    O(active jobs + candidate nodes x their jobs) to choose, a placement per victim to fill back.
    """
    if not may_preempt_now(search, job):
        return False
    draft = search.draft
    for want in smallest_forms(search, job):
        for victims in _stages(candidates(search, job, want)):
            mark = draft.checkpoint()
            with claiming(search, job):
                found = choose(search, job, want, victims)
                if found is not None:
                    enter(search, job, *found)
                    return True
            draft.rollback(mark)
    return False


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
    """The cheapest few, which are nearly always enough; then everybody. Each cheapest first.

    Nobody at all is a stage as well: what is leaving already may do.
    """
    if len(victims) > FEW:
        yield nsmallest(FEW, victims, key=price_of)
    yield sorted(victims, key=price_of)


# ---- the cheapest set that is enough ------------------------------------------------------------


def choose(
    search: Search, job: Job, want: Want, victims: list[Victim]
) -> tuple[Placed, list[Victim]] | None:
    """Evict on the draft, cheapest nodes first, until the gang fits; then fill back.

    With a topology level every domain is tried and the cheapest is taken.
    """
    draft = search.draft
    mark = draft.checkpoint()
    quota: list[Refusal] = []
    placed = search.place(job, want, quota)
    if placed is not None:
        return placed, []  # what is leaving already is enough
    domains = sorted({d for n in search.cluster.nodes.values() if (d := _domain(n, want))})
    best: tuple[tuple[int, int], str] | None = None
    for domain in domains if len(domains) > 1 else []:
        found = _choose_in(search, job, want, victims, domain, quota)
        draft.rollback(mark)
        if found is not None:
            price = (_price_of_all(found[1]), domain)
            best = min(best, price) if best is not None else price
    if len(domains) > 1:
        return _choose_in(search, job, want, victims, best[1], quota) if best is not None else None
    return _choose_in(search, job, want, victims, "", quota)


def _domain(node: Node, want: Want) -> str:
    return node.inventory.labels.get(want.level, "") if want.level else ""


def _choose_in(
    search: Search,
    job: Job,
    want: Want,
    victims: list[Victim],
    domain: str,
    quota: list[Refusal],
) -> tuple[Placed, list[Victim]] | None:
    draft = search.draft
    chosen: list[Victim] = []
    placed, tries = None, 0
    quota = list(quota)
    for victim in _by_node(search, job, want, victims, domain, quota):
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
    for victim in sorted(needed, key=price_of, reverse=True):
        keep(search, victim)
        if fits():
            needed.remove(victim)
        else:
            evict(search, victim)
    final = search.place(job, want, [])
    return (final, needed) if final is not None else None


_Here = list[tuple[Victim, list[Placement]]]


def _by_node(
    search: Search,
    job: Job,
    want: Want,
    victims: list[Victim],
    domain: str,
    quota: list[Refusal],
) -> Iterator[Victim | None]:
    """Yield whom to evict, and None whenever that might be enough; `quota`: what else refused last.

    For each role the node where one shard more costs least, again and again; a victim that was
    evicted for another node costs nothing any more.
    """
    nodes = search.cluster.nodes
    here: dict[NodeId, _Here] = {}
    for victim in victims:
        on: dict[NodeId, list[Placement]] = {}
        for placement in victim.places:
            on.setdefault(placement.node_id, []).append(placement)
        for node_id, placements in on.items():
            here.setdefault(node_id, []).append((victim, placements))
    gone: set[JobId] = set()
    is_single = len(job.spec.roles) == 1
    for role, shards in zip(job.spec.roles, want.sizes, strict=True):
        need = replace(role.need, gpu_types=models_of(role.need, want))
        heap = []
        for node_id, others in here.items():
            node = nodes[node_id]
            if (domain and _domain(node, want) != domain) or node_id in search.draft.closed:
                continue
            price = _price(node, need, others, gone)
            if price is not None and node_refusal(node, job, need) is None:
                heap.append((price, node.index, node_id))
        if is_single and not heap and not quota:
            return  # no node could take one shard more, whoever of these left
        heapify(heap)
        made = 0
        while heap:
            _, index, node_id = heappop(heap)
            node = nodes[node_id]
            for victim in _cheapest(node, need, here[node_id], gone) or ():
                gone.add(victim.job.id)
                yield victim
            made += 1
            if made >= shards:
                yield None
            price = _price(node, need, here[node_id], gone)
            if price is not None:
                heappush(heap, (price, index, node_id))
    yield None
    if is_single and not quota:
        return
    for victim in victims:  # a quota, or several roles, may need others as well
        if victim.job.id not in gone:
            yield victim
            yield None


def _price(node: Node, need: Need, here: _Here, gone: set[JobId]) -> tuple[int, int] | None:
    found = _cheapest(node, need, here, gone)
    return _price_of_all(found) if found is not None else None


def _price_of_all(victims: list[Victim]) -> tuple[int, int]:
    """(highest priority, cost of all) of a set of victims."""
    highest = max((victim.job.spec.priority for victim in victims), default=0)
    return highest, sum(victim.cost for victim in victims)


def _cheapest(node: Node, need: Need, here: _Here, gone: set[JobId]) -> list[Victim] | None:
    """The cheapest of those on the node who make room for one shard more, by sums; None: not these.

    An estimate that the placement then proves. O(devices + victims here).
    """
    room, shares, whole = {}, {}, 0
    for index, device in enumerate(node.devices) if need.has_gpu else ():
        if device.spec.healthy and device_suits(device.spec, need):
            room[index] = device.soon_milli
            shares[index] = need.share_on(device.spec.memory_mib)
            whole += room[index] >= shares[index]
    target = (whole // need.devices + 1) * need.devices if need.has_gpu else 0
    cpu_milli, memory_mib = node.cpu_soon_milli, node.memory_soon_mib
    taken = []
    for victim, placements in here:
        if whole >= target and cpu_milli >= need.cpu_milli and memory_mib >= need.memory_mib:
            break
        if victim.job.id in gone:
            continue
        taken.append(victim)
        for placement in placements:
            cpu_milli += placement.cpu_milli
            memory_mib += placement.memory_mib
            for index in placement.devices:
                if index in room:
                    was_enough = room[index] >= shares[index]
                    room[index] += placement.share_milli
                    whole += room[index] >= shares[index] and not was_enough
    is_enough = whole >= target and cpu_milli >= need.cpu_milli and memory_mib >= need.memory_mib
    return taken if is_enough and taken else None


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
    if victim.rule is StopRule.PRIORITY:
        mine, theirs = job.spec.priority, victim.job.spec.priority
        return f"preempted by {job.id}: priority {mine} over {theirs} in queue {job.spec.queue}"
    return f"preempted by {job.id}: queue {job.spec.queue} takes back what it is guaranteed"
