"""Consolidation: move checkpointed jobs so that a promised one starts earlier, where that pays.

A node with a few GPUs free here and there holds no large job. Whoever is movable makes way on one
node and goes on at once on another: opt-in of the operator (--moves) and of each job. Of all sets
of jobs that free a place the cheapest is taken, and only if what the waiting job gains is more than
what all who move lose; see move_rules.py for both.
"""

from collections.abc import Iterable

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
from aimass.core.move_trials import Case, Found, cheapest
from aimass.core.plan import Claim, Planned, Stop
from aimass.core.policy import Fuel, Placed, Policy, Want
from aimass.core.quota import quota_refusal
from aimass.core.runtimes import stop_ms
from aimass.core.search import Search
from aimass.core.spans import span_text
from aimass.core.text import gpu_hours_text
from aimass.core.victims import is_stoppable
from aimass.core.wants import amounts_asked, forms
from aimass.core.ways import Here, Known, Mover, Way, by_node, sums_of, ways_of
from aimass.core.words import some

TRIES_MAX = 128  # sets that are tried on the draft in one decision, for all jobs together
FUEL_MAX = 500_000  # nodes and sets of movers that are looked at for it


def consolidate(search: Search, eased: list[JobId] | None = None) -> list[JobId]:
    """Move jobs for those who are promised a start, in their order; returns who starts for it.

    eased: only these can be moved now or for less since no move paid; None: perhaps anybody. Nobody
    is moved while somebody is on the way: first it is seen what that frees and takes. O(active
    jobs) once, then for each promise O(nodes), within FUEL_MAX, and TRIES_MAX tries for all of
    them: each has an equal part of those that are left when it is looked at.
    """
    options, cluster = search.policy.options, search.cluster
    if not options.moves or not search.promises or not search.fuel.left:
        return []
    if is_under_way(cluster) or any(stop.rule is StopRule.MOVE for stop in search.stops):
        return []
    search.wake(freed_at_ms(cluster))  # the budget is larger then
    fuel = search.fuel
    search.fuel = own = Fuel(min(fuel.left, FUEL_MAX))
    before = own.left
    helped = _help(search, _Who(search, eased))
    search.fuel = fuel
    fuel.burn(before - own.left)
    return helped


def _help(search: Search, who: "_Who") -> list[JobId]:
    options, cluster = search.policy.options, search.cluster
    most, budget = options.moves, options.move_budget_gpu_ms - spent_gpu_ms(cluster)
    helped: list[JobId] = []
    tries, asked = TRIES_MAX, list(search.promises.values())
    for behind, planned in zip(range(len(asked), 0, -1), asked, strict=True):
        if not most or budget <= 0 or not search.fuel.left:
            break
        job = cluster.jobs[planned.job_id]
        search.lift([planned])
        mark, own = search.draft.checkpoint(), Fuel(-(-tries // behind))
        tries -= own.left
        found = _way_for(search, job, planned, who, most, budget, own)
        tries += own.left
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


class _Who:
    """Who may be moved in this decision, by node; each answer is made once, if at all."""

    def __init__(self, search: Search, eased: list[JobId] | None) -> None:
        self._search = search
        self._everybody = self._all() if eased is None else None
        self._eased: Here | None = None
        self._known: Known = {}
        if eased is not None:
            active = search.cluster.active
            rows = (active[job_id] for job_id in eased if job_id in active)
            self._eased = self._on({p.node_id for job in rows for p in job.current.placements})

    def ways(self, job: Job, want: Want, most: int, worth: int, kept: set[JobId]) -> list[Way]:
        """See ways_of. After no move paid: a set that does now has one of those that were eased.

        For a gang of several with any others, for one in a domain with those of its domain.
        """
        search = self._search
        if self._eased is None:
            return ways_of(search, job, want, self.everybody(), most, worth, kept, self._known)
        found = ways_of(search, job, want, self._eased, most, worth, kept, self._known)
        if not found or sum(want.sizes) == 1:
            return found
        here = self.everybody()
        if want.level:
            nodes, level = search.cluster.index.nodes, want.level
            names = {nodes[way.node].inventory.labels.get(level, "") for way in found}
            near = {n.id for n in nodes if n.inventory.labels.get(level, "") in names}
            here = {node_id: there for node_id, there in here.items() if node_id in near}
        return ways_of(search, job, want, here, most, worth, kept, self._known)

    def everybody(self) -> Here:
        """All of them."""
        if self._everybody is None:
            self._everybody = self._all()
        return self._everybody

    def _all(self) -> Here:
        return by_node(_movers(self._search, self._search.cluster.active.values()))

    def _on(self, names: set[NodeId]) -> Here:
        """All who may be moved on these nodes."""
        cluster = self._search.cluster
        jobs = {key.job_id for node_id in names for key in cluster.nodes[node_id].holds}
        movers = _movers(self._search, [cluster.jobs[job_id] for job_id in sorted(jobs)])
        return {i: there for i, there in by_node(movers).items() if i in names}


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
    search: Search, job: Job, planned: Planned, who: _Who, most: int, budget: int, tries: Fuel
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
        ways = who.ways(job, want, most, worth, kept)
        if not ways:
            continue
        sums = sums_of(search, job, want)
        found = cheapest(Case(search, job, want, most, worth, tries, sums), ways)
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
