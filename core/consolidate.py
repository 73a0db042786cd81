"""Consolidation: move checkpointed jobs so that a promised one starts earlier, where that pays.

A node with a few GPUs free here and there holds no large job. Whoever is movable makes way on one
node and goes on at once on another: opt-in of the operator (--moves) and of each job. Of all sets
of jobs that free a place the cheapest is taken, and only if what the waiting job gains is more than
what all who move lose; see move_rules.py for both.
"""

from collections.abc import Iterable
from typing import NamedTuple

from aimass.core.cluster import Cluster
from aimass.core.draft import Draft
from aimass.core.lost_work import lost_gpu_ms, restart_gpu_ms
from aimass.core.model import Job, JobId, JobState, NodeId, Placement, StopRule
from aimass.core.move_rules import (
    freed_at_ms,
    gain_gpu_ms,
    is_under_way,
    spent_gpu_ms,
    stays_until_ms,
)
from aimass.core.plan import Claim, Planned, Stop
from aimass.core.policy import Fuel, Placed, Policy, Want
from aimass.core.preempt import claiming
from aimass.core.quota import quota_refusal
from aimass.core.runtimes import stop_ms
from aimass.core.search import Search
from aimass.core.spans import span_text
from aimass.core.text import gpu_hours_text
from aimass.core.victims import is_stoppable
from aimass.core.wants import amounts_asked, forms, sizes_of
from aimass.core.ways import Here, Mover, Way, by_node, ways_of, width
from aimass.core.words import some

TRIES_MAX = 64  # sets that are tried on the draft for one job


class Found(NamedTuple):
    """Where the waiting job goes, and where each goes on who moves for it."""

    placed: Placed
    moves: tuple[tuple[Mover, Placed], ...]

    @property
    def loss(self) -> int:
        """What all of them lose."""
        return sum(mover.loss for mover, _ in self.moves)


def consolidate(search: Search, eased: list[JobId] | None = None) -> list[JobId]:
    """Move jobs for those who are promised a start, in their order; returns who starts for it.

    eased: only these can be moved now or for less since no move paid; None: perhaps anybody. Nobody
    is moved while somebody is on the way: first it is seen what that frees and takes. O(active
    jobs) once, then for each promise O(nodes with movers) and TRIES_MAX tries at most.
    """
    options, cluster = search.policy.options, search.cluster
    if not options.moves or not search.promises or not search.fuel.left:
        return []
    if is_under_way(cluster) or any(stop.rule is StopRule.MOVE for stop in search.stops):
        return []
    most, budget = options.moves, options.move_budget_gpu_ms - spent_gpu_ms(cluster)
    search.wake(freed_at_ms(cluster))  # it is larger then
    everybody = by_node(_movers(search, cluster.active.values())) if eased is None else None
    changed = _beside(search, eased or [])
    helped: list[JobId] = []
    for planned in list(search.promises.values()):
        if not most or budget <= 0 or not search.fuel.left:
            break
        job = cluster.jobs[planned.job_id]
        if everybody is None and changed and job.spec.world_size > 1:
            everybody = by_node(_movers(search, cluster.active.values()))  # with any other node
        here = changed if eased is not None and job.spec.world_size == 1 else everybody
        search.lift([planned])
        mark = search.draft.checkpoint()
        found = _way_for(search, job, planned, here, most, budget) if here else None
        if found is None:
            search.draft.rollback(mark)
            search.lower([planned])
            continue
        del search.promises[job.id]
        _enter(search, job, planned, found)
        helped.append(job.id)
        most, budget = most - len(found.moves), budget - found.loss
    return helped


def would_move(
    cluster: Cluster, policy: Policy, fuel_units: int, eased: list[JobId] | None
) -> tuple[bool, int]:
    """Whether a move pays now, of those who are promised a start already; when to ask again (0).

    eased: see consolidate.
    """
    with Draft(cluster) as draft:
        search = Search(draft, policy, Fuel(fuel_units))
        for planned in search.promised():
            search.promise(cluster.jobs[planned.job_id], planned)
        return bool(consolidate(search, eased)), search.wake_ms


# ---- who, and from where ------------------------------------------------------------------------


def _beside(search: Search, eased: list[JobId]) -> Here:
    """The nodes of these jobs, with all who may be moved there."""
    cluster = search.cluster
    rows = (cluster.active.get(job_id) for job_id in eased)
    nodes = dict.fromkeys(p.node_id for job in rows if job for p in job.current.placements)
    names = dict.fromkeys(key.job_id for i in nodes for key in cluster.nodes[i].holds)
    here = by_node(_movers(search, [cluster.jobs[job_id] for job_id in names]))
    return {node_id: there for node_id, there in here.items() if node_id in nodes}


def _movers(search: Search, jobs: Iterable[Job]) -> list[Mover]:
    """Those of these active jobs who may be moved now, cheapest first."""
    now_ms, found = search.cluster.now_ms, []
    for job in jobs:
        spec = job.spec
        if not spec.movable or not spec.checkpoint.signal or job.state is not JobState.RUNNING:
            continue
        if job.id in search.evicted or not is_stoppable(search, job):
            continue
        until_ms = stays_until_ms(job)
        if now_ms < until_ms:
            search.wake(until_ms)
            continue
        found.append(Mover(lost_gpu_ms(job, now_ms) + restart_gpu_ms(job), -job.submit_seq, job))
    return sorted(found, key=_cost)


def _cost(mover: Mover) -> tuple[int, int]:
    return (mover.loss, mover.newest)


def _way_for(
    search: Search, job: Job, planned: Planned, here: Here, most: int, budget: int
) -> Found | None:
    """The cheapest way that pays, in the first of the job's forms that has one; on the draft."""
    cluster = search.cluster
    worth = min(_gain(search, job, planned, planned.placements, ()), budget + 1)
    if worth <= 0 or search.refusal_before_place(job) is not None:
        return None
    kept = search.evicted | _counted_on(search, job)
    for want in forms(job, cluster.now_ms):
        if quota_refusal(cluster, job, amounts_asked(job, want)) is not None:
            continue
        ways = ways_of(search, job, want, here, most, worth, kept)
        found = _cheapest(search, job, want, ways, most, worth)
        if found is not None:
            gain = _gain(search, job, planned, found.placed.placements, found.moves)
            if found.loss < gain:
                return found
    return None


def _counted_on(search: Search, job: Job) -> set[JobId]:
    """Who is on places that others are promised: a restart would let them end later."""
    nodes = search.cluster.nodes
    others = (promise for promise in search.others() if promise.job_id != job.id)
    places = [place for promise in others for place in promise.placements]
    devices = [nodes[place.node_id].devices[index] for place in places for index in place.devices]
    found = {key.job_id for device in devices for key in device.holders}
    bare = (nodes[place.node_id] for place in places if not place.devices)
    return found | {key.job_id for node in bare for key in node.holds}


def _gain(
    search: Search,
    job: Job,
    planned: Planned,
    placements: tuple[Placement, ...],
    moves: Iterable[tuple[Mover, Placed]],
) -> int:
    """GPU-milliseconds that it is worth to start when those have left who move."""
    earlier_ms = _earlier_ms(search, planned, moves)
    return gain_gpu_ms(search.cluster, job, placements, earlier_ms, planned.is_known)


def _earlier_ms(search: Search, planned: Planned, moves: Iterable[tuple[Mover, Placed]]) -> int:
    """By how much the job starts earlier than promised, if they take all their time to leave."""
    now_ms = search.cluster.now_ms
    left_ms = max(now_ms, search.at_work.left_ms(search.evicted))
    leave_ms = max((stop_ms(mover.job) for mover, _ in moves), default=0)
    return planned.start_ms - max(left_ms, now_ms + leave_ms)


# ---- the cheapest that can be carried out -------------------------------------------------------


def _cheapest(
    search: Search, job: Job, want: Want, ways: list[Way], most: int, worth: int
) -> Found | None:
    """The cheapest of them, or for a gang of several, after which all have a place; on the draft.

    With a topology level every domain is tried, and the cheapest is taken.
    """
    if not want.level or sum(want.sizes) == 1:
        return _first(search, job, want, ways, most, worth)
    mark, nodes = search.draft.checkpoint(), search.cluster.index.nodes
    by_domain: dict[str, list[Way]] = {}
    for way in ways:
        by_domain.setdefault(nodes[way.node].inventory.labels.get(want.level, ""), []).append(way)
    best: tuple[int, str] | None = None
    for name in sorted(by_domain):
        found = _first(search, job, want, by_domain[name], most, worth)
        search.draft.rollback(mark)
        if found is not None and (best is None or found.loss < best[0]):
            best = (found.loss, name)
    return _first(search, job, want, by_domain[best[1]], most, worth) if best is not None else None


def _first(
    search: Search, job: Job, want: Want, ways: list[Way], most: int, worth: int
) -> Found | None:
    """Add one way after the other, the cheapest first, until the gang fits; then leave out again.

    A way is given up when one of its movers has nowhere to go.
    """
    mark, chosen = search.draft.checkpoint(), list[Way]()
    for way in ways[:TRIES_MAX]:
        trial = [*chosen, way]
        movers = _together(trial)
        if len(movers) > most or sum(mover.loss for mover in movers) >= worth:
            continue
        found = _carry_out(search, job, want, movers)
        search.draft.rollback(mark)
        if isinstance(found, Found):
            for spared in sorted(trial, reverse=True) if len(trial) > 1 else ():
                rest = [other for other in trial if other is not spared]
                less = _carry_out(search, job, want, _together(rest)) if rest else None
                search.draft.rollback(mark)
                trial = rest if isinstance(less, Found) else trial
            last = _carry_out(search, job, want, _together(trial))
            return last if isinstance(last, Found) else None
        if sum(want.sizes) > 1:
            stuck = found.job.id if found is not None else None
            chosen = [each for each in trial if stuck not in {m.job.id for m in each.movers}]
        if not search.fuel.left:
            break
    return None


def _together(ways: list[Way]) -> list[Mover]:
    """All who move, once each: a gang may be in the way on several nodes."""
    return list({mover.job.id: mover for way in ways for mover in way.movers}.values())


def _carry_out(search: Search, job: Job, want: Want, movers: list[Mover]) -> Found | Mover | None:
    """Place the job where they leave, then each of them where it can go on at once; on the draft.

    Returns who has nowhere to go, or None when the job does not fit.
    """
    draft = search.draft
    for mover in movers:
        draft.evict(mover.job)
    with claiming(search, job):
        placed = search.place(job, want, [])
    if placed is None:
        return None
    leaving = frozenset(node.id for node in search.cluster.nodes.values() if node.leaving)
    moves = []
    for mover in sorted(movers, key=lambda mover: (-width(mover.job), *mover[:2])):
        again = _elsewhere(search, mover.job, leaving)
        if again is None:
            return mover
        moves.append((mover, again))
    return Found(placed, tuple(moves))


def _elsewhere(search: Search, job: Job, leaving: frozenset[NodeId]) -> Placed | None:
    """Its next attempt in the same size, on nodes that nobody is leaving: it is to wait for nobody.

    So its old nodes are none of them.
    """
    sizes = sizes_of(job, job.current.placements)
    for form in forms(job, search.cluster.now_ms):
        with claiming(search, job):
            search.draft.closed |= leaving
            again = search.place(job, Want(sizes, form.gpu_types, form.level), [])
        if again is not None:
            return again
    return None


def _enter(search: Search, job: Job, planned: Planned, found: Found) -> None:
    """The claims of the job and of all who move for it, with what it gains and they lose."""
    gain = _gain(search, job, planned, found.placed.placements, found.moves)
    earlier_ms = _earlier_ms(search, planned, found.moves)
    sooner = f"{span_text(earlier_ms)} earlier" if planned.is_known else "sooner"
    worth = f"gains {gpu_hours_text(gain)} GPU-hours, loses {gpu_hours_text(found.loss)}"
    placed, names = found.placed, tuple(mover.job.id for mover, _ in found.moves)
    search.add_claim(
        Claim(
            job.id,
            job.attempt + 1,
            placed.placements,
            f"{placed.reason}, {sooner} by moving {some(names)}: {worth}",
            names,
            placed.trail,
        ),
        [],
    )
    for mover, again in found.moves:
        other = mover.job
        others = some([name for name in names if name != other.id])
        reason = f"moves{f' with {others}' if others else ''} so that {job.id} can start {sooner}"
        lost = lost_gpu_ms(other, search.cluster.now_ms)
        stop = Stop(
            other.id,
            other.attempt,
            StopRule.MOVE,
            job.id,
            f"{reason}: {worth}",
            lost,
            mover.loss - lost,
            gain,
        )
        why = f"{reason}; {again.reason}"
        search.add_claim(
            Claim(other.id, other.attempt + 1, again.placements, why, (other.id,), again.trail),
            [stop],
        )
