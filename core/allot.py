"""Allotments: what a policy that settles all jobs at once grants each is made true, or nearly.

Who holds something else than it is granted, or is granted nothing, may have to leave; grants are
placed in order, each in what those leave and what is free. Who would leave in vain stays. So at
most as much changes as the policy asked for, and what does not fit waits with nothing taken.

Nobody loses what it is sure of: who may not be stopped now stays as it is, and nobody is stopped
for a job of lower priority. While queues are guaranteed something an allotment stops nobody for
another: there `reclaim` says who may take from whom.
"""

from dataclasses import replace
from typing import NamedTuple

from aimass.core.cluster import Group
from aimass.core.feasible import Code, Refusal
from aimass.core.lost_work import lost_gpu_ms
from aimass.core.model import Job, JobId, JobState, Node, Placement, StopRule
from aimass.core.plan import Claim, Start, Stop, Wait
from aimass.core.policy import Allotment, AllotPolicy, Grant, Placed, Want
from aimass.core.preempt import claiming, enter
from aimass.core.resize import may_resize, restart
from aimass.core.search import Search
from aimass.core.stop_rules import ByNode, are_shared, takers_of
from aimass.core.survey import survey
from aimass.core.victims import stoppable
from aimass.core.wants import models_of, sizes_of

ASKS_MAX = 4  # times the policy is asked in one decision


def carry_out(search: Search, policy: AllotPolicy, waits: dict[Group, Wait]) -> None:
    """Enter starts, claims and stops for an allotment; `waits` gets who is left waiting, and why.

    Whoever cannot have what it is granted, however much idles, is left out and the policy asked
    again: or else that would idle. O(active jobs + grants) and a placement for each grant that is
    not held already; that ASKS_MAX times at most.
    """
    without: frozenset[JobId] = frozenset()
    refused: dict[JobId, Refusal] = {}
    for asked in range(1, ASKS_MAX + 1):
        allotment = policy.allot(search.cluster, search.fuel, without)
        search.wake(allotment.wake_ms)
        before = _Entered.of(search)
        new = _enter(search, allotment)
        refused |= new
        hopeless = [job_id for job_id in new if _is_hopeless(search, job_id, new[job_id])]
        if not hopeless or asked == ASKS_MAX:
            break
        before.bring_back(search)
        without = without.union(hopeless)
    _note_waits(search, policy, refused, waits)


class _Entered(NamedTuple):
    """What a decision has entered so far, to go back to."""

    mark: int
    starts: dict[JobId, Start]
    stops: list[Stop]
    claims: list[Claim]
    evicted: set[JobId]
    started: dict[JobId, int]

    @classmethod
    def of(cls, search: Search) -> "_Entered":
        """As it is now. O(starts + stops + claims)."""
        return cls(
            search.draft.checkpoint(),
            dict(search.starts),
            list(search.stops),
            list(search.claims),
            set(search.evicted),
            dict(search.started),
        )

    def bring_back(self, search: Search) -> None:
        """Take back all since."""
        search.draft.rollback(self.mark)
        search.starts, search.stops, search.claims = self.starts, self.stops, self.claims
        search.evicted, search.started = self.evicted, self.started


def _is_hopeless(search: Search, job_id: JobId, refusal: Refusal) -> bool:
    """True when a rule keeps the job from its grant, or idle nodes could not hold it either."""
    job = search.cluster.jobs[job_id]
    return refusal.code is not Code.GPUS_BUSY or not survey(search.cluster, job).is_possible


def _enter(search: Search, allotment: Allotment) -> dict[JobId, Refusal]:
    """Enter what can be had of the allotment; who waits and was turned away."""
    jobs = search.cluster.jobs
    ordered = sorted(allotment.grants, key=lambda grant: -jobs[grant.job_id].spec.priority)
    grants = {grant.job_id: grant for grant in ordered}
    leaving = _may_leave(search, grants, _least_priority(search, grants))
    if are_shared(search.cluster):
        for job in leaving.values():
            search.draft.evict(job)
        moved = {}
    else:
        moved = _resize_alone(search, leaving, grants)
    refused = _place_all(search, grants, leaving, moved)
    _let_stay(search, leaving)
    for job_id, placed in moved.items():
        restart(search, jobs[job_id], StopRule.RESHAPE, None, grants[job_id].reason, placed)
    _stop_for(search, list(leaving.values()))
    return refused


# ---- who leaves ---------------------------------------------------------------------------------


def is_held(search: Search, job: Job, want: Want) -> bool:
    """True when the active job has this form: the size, on models that will do. O(shards)."""
    places = job.current.placements
    if sizes_of(job, places) != want.sizes:
        return False
    nodes, roles = search.cluster.nodes, job.spec.roles
    for place in places:
        models = models_of(roles[place.role].need, want)
        if models and any(
            nodes[place.node_id].devices[i].spec.model not in models for i in place.devices
        ):
            return False
    return True


def _least_priority(search: Search, grants: dict[JobId, Grant]) -> int | None:
    """Of jobs that are granted what they do not hold; None: everybody has what it is granted."""
    jobs = [search.cluster.jobs[job_id] for job_id in grants]
    asking = [
        job.spec.priority
        for job in jobs
        if not job.state.is_active or not is_held(search, job, grants[job.id].want)
    ]
    return min(asking, default=None)


def _may_leave(
    search: Search, grants: dict[JobId, Grant], least_priority: int | None
) -> dict[JobId, Job]:
    """Active jobs that are granted another form, or nothing, and may be stopped now."""
    if least_priority is None:
        return {}
    takes = are_shared(search.cluster)
    found: dict[JobId, Job] = {}
    active = sorted(search.cluster.active.values(), key=lambda job: job.submit_seq)
    for job in active:  # in an order that a restored cluster has as well
        if job.state is JobState.STOPPING or job.id in search.evicted:
            continue
        if job.current.placed_ms == search.cluster.now_ms:
            continue  # or else some might take turns without end at one moment
        grant = grants.get(job.id)
        if grant is not None and is_held(search, job, grant.want):
            continue
        is_resized = grant is not None and _may_change(search, job, grant.want)
        is_taken = takes and job.spec.preemptible and job.spec.priority <= least_priority
        if (is_resized or (grant is None and is_taken)) and stoppable(search, [job]):
            found[job.id] = job
    return found


def _may_change(search: Search, job: Job, want: Want) -> bool:
    """True when it may be restarted in this form: it runs, and has not just been resized."""
    if job.state is not JobState.RUNNING or not job.spec.preemptible:
        return False
    is_same_size = sizes_of(job, job.current.placements) == want.sizes
    return is_same_size or (job.spec.elastic_role >= 0 and may_resize(search, job))


# ---- who gets what ------------------------------------------------------------------------------


def _resize_alone(
    search: Search, leaving: dict[JobId, Job], grants: dict[JobId, Grant]
) -> dict[JobId, Placed]:
    """Each who can have its form beside all others, the smaller first; the others stay."""
    moved = {}
    has = {job.id: sizes_of(job, job.current.placements) for job in leaving.values()}
    for job in sorted(leaving.values(), key=lambda job: grants[job.id].want.sizes > has[job.id]):
        search.draft.evict(job)
        placed = _claim(search, job, grants[job.id])
        if placed is None:
            search.draft.keep(job)
        else:
            moved[job.id] = placed
    leaving.clear()
    return moved


def _place_all(
    search: Search,
    grants: dict[JobId, Grant],
    leaving: dict[JobId, Job],
    moved: dict[JobId, Placed],
) -> dict[JobId, Refusal]:
    """Place grants in order, on the draft; `moved` gets who restarts. Who waiting got nothing."""
    refused: dict[JobId, Refusal] = {}
    for grant in grants.values():
        job = search.cluster.jobs[grant.job_id]
        if job.id in leaving:
            placed = _claim(search, job, grant)
            if placed is not None:
                moved[job.id] = placed
                del leaving[job.id]
            else:
                _stay_if_free(search, leaving, job)
        elif job.id in search.cluster.waiting and job.id not in search.starts:
            refusal = _start_or_claim(search, job, grant)
            if refusal is not None:
                refused[job.id] = refusal
    return refused


def _claim(search: Search, job: Job, grant: Grant) -> Placed | None:
    with claiming(search, job):
        return search.place(job, grant.want, [])


def _start_or_claim(search: Search, job: Job, grant: Grant) -> Refusal | None:
    """Where it is free, else where others are leaving; why neither, if neither."""
    refusal = search.refusal_before_place(job)
    if refusal is not None:
        return refusal
    quota: list[Refusal] = []
    with search.closing(job, search.cluster.now_ms):
        placed = search.place(job, grant.want, quota)
    if placed is not None:
        search.add_start(job, _with_reason(placed, grant))
        return None
    until_ms = job.queued_ms + job.spec.preemption.delay_ms
    search.wake(until_ms)
    if not quota and until_ms <= search.cluster.now_ms:
        with claiming(search, job):
            placed = search.place(job, grant.want, quota)
            if placed is not None:
                enter(search, job, _with_reason(placed, grant), [])
                return None
    return quota[0] if quota else _NO_ROOM


def _with_reason(placed: Placed, grant: Grant) -> Placed:
    return Placed(placed.placements, f"{grant.reason}; {placed.reason}", placed.trail)


_NO_ROOM = Refusal(Code.GPUS_BUSY, "")


# ---- who stays after all ------------------------------------------------------------------------


def _let_stay(search: Search, leaving: dict[JobId, Job]) -> None:
    """Whoever's places nobody was given goes on as it is."""
    for job in list(leaving.values()):
        _stay_if_free(search, leaving, job)


def _stay_if_free(search: Search, leaving: dict[JobId, Job], job: Job) -> None:
    search.draft.keep(job)
    if any(_is_over(search.cluster.nodes[p.node_id], p) for p in job.current.placements):
        search.draft.evict(job)
    else:
        del leaving[job.id]


def _is_over(node: Node, place: Placement) -> bool:
    """True when more is owned there than there is, of what the place holds."""
    for index in place.devices:
        device = node.devices[index]
        if device.used_milli - device.leaving_milli + device.claimed_milli > 1000:
            return True
    there = node.inventory
    cpu_milli = node.cpu_used_milli - node.cpu_leaving_milli + node.cpu_claimed_milli
    memory_mib = node.memory_used_mib - node.memory_leaving_mib + node.memory_claimed_mib
    return (place.cpu_milli > 0 and cpu_milli > there.cpu_milli) or (
        place.memory_mib > 0 and memory_mib > there.memory_mib
    )


def _stop_for(search: Search, leaving: list[Job]) -> None:
    """Each who leaves is stopped for the first who was given something of what it has."""
    claims = {claim.job_id: claim for claim in search.claims}
    by_node: ByNode = {}
    for claim in claims.values():
        for place in claim.placements:
            by_node.setdefault(place.node_id, []).append((claim.job_id, place))
    victims: dict[JobId, list[Job]] = {}
    for job in leaving:
        takers = takers_of(job.current.placements, by_node)
        taker = max(takers, key=lambda job_id: search.cluster.jobs[job_id].spec.priority)
        victims.setdefault(taker, []).append(job)
    name = search.policy.allot.name if search.policy.allot is not None else ""
    for taker, jobs in victims.items():
        stops = [
            Stop(
                job.id,
                job.attempt,
                StopRule.ALLOT,
                taker,
                f"gives way to {taker}: {name} grants it nothing now",
                lost_gpu_ms(job, search.cluster.now_ms),
            )
            for job in jobs
        ]
        search.stops += stops
        search.evicted.update(stop.job_id for stop in stops)
        claim = claims[taker]
        if taker not in search.evicted:  # else it waits for itself: see check
            at = search.claims.index(claim)
            search.claims[at] = replace(claim, victims=tuple(stop.job_id for stop in stops))


def _note_waits(
    search: Search, policy: AllotPolicy, refused: dict[JobId, Refusal], waits: dict[Group, Wait]
) -> None:
    """Why the others wait: no room for what they are granted, or nothing is granted."""
    is_cut_short = not search.fuel.left
    for group in search.cluster.waiting.groups.values():
        left = [i for _, i in group.jobs if i not in search.starts and not search.is_claimed(i)]
        if not left:
            continue
        first = next((i for i in left if i in refused), left[0])
        code, text = Code.ORDER.value, f"{policy.name} gives the GPUs to others for now"
        if first in refused:
            text = refused[first].text
            code = refused[first].code.value if text else ""
        waits[group] = Wait(group.key, first, code, text, True, is_cut_short)
