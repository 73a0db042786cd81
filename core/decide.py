"""decide(cluster, policy, fuel) -> Plan. Pure: same arguments, same plan, nothing changed.

    settle what is free, due or broken
    in the policy's order: place, else wait for who is leaving, else shrink, else
    preempt, else both, else promise a start (the first K)
    move who may be moved for the promised, when an operator allows it; grow what may grow

The least disruptive first. Who cannot start lets others pass, if they end before what was promised
or stay out of its way. Deciding again on its own result is to move nobody. Time is cluster.now_ms.
"""

from functools import cmp_to_key

from aimass.core.allot import carry_out
from aimass.core.by_order import may_by_order, might_by_order, preempt_by_order
from aimass.core.cluster import Cluster, Group
from aimass.core.consolidate import consolidate
from aimass.core.draft import Draft
from aimass.core.model import Job, JobId
from aimass.core.plan import Plan, Planned, Wait
from aimass.core.policy import Fuel, Policy
from aimass.core.preempt import is_leaving_enough, preempt
from aimass.core.promise import (
    Future,
    find_promise,
    holds,
    improve_first,
    keep_promise,
    keep_standing,
)
from aimass.core.queues import ROOT
from aimass.core.resize import grow
from aimass.core.runtimes import run_estimate
from aimass.core.search import Search
from aimass.core.settle import settle_claims, stop_what_is_due
from aimass.core.shrink import shrink_and_preempt, shrink_for
from aimass.core.take_cells import take_cells
from aimass.core.turned import Turned
from aimass.core.victims import is_extra, might_preempt

ROUNDS_MAX = 8  # passes over the queue in one decision
FUEL = 5_000_000  # nodes examined in one decision


def decide(cluster: Cluster, policy: Policy, fuel_units: int = FUEL) -> Plan:
    """Plan what to start, stop, claim and promise now; the cluster is left as it was.

    O(groups + starts) placements, and for each promise O(active jobs) steps.
    """
    with Draft(cluster) as draft:
        search = Search(draft, policy, Fuel(fuel_units))
        settle_claims(search)
        stop_what_is_due(search)
        search.stand()
        waits: dict[Group, Wait] = {}
        if policy.allot is not None:
            carry_out(search, policy.allot, waits)
            return _plan(search, policy, tuple(waits.values()))
        for _ in range(ROUNDS_MAX):
            before = _pass(search, waits)
            keep_standing(search)
            if _again(search, waits, *before):
                continue
            improve_first(search)
            before = (len(search.starts), len(search.stops) + len(search.claims))
            helped = consolidate(search)
            if not _again(search, waits, *before):
                for job_id in helped:  # the search budget is spent
                    waits.pop(cluster.waiting.group(job_id), None)
                break
        if search.fuel.left:
            grow(search)
        return _plan(search, policy, tuple(waits.values()))


def _again(search: Search, waits: dict[Group, Wait], starts: int, moves: int) -> bool:
    """True when this pass changed what an earlier job was told: look at those once more.

    starts, moves: how many there were before it. Deciding again on the result must move nobody.
    """
    if not search.fuel.left:
        return False
    is_moved = len(search.stops) + len(search.claims) > moves
    if search.is_revoked or search.is_later or is_moved:
        # Who lost a start; what leaves may be more than was needed; a promise gave way.
        search.is_revoked = search.is_later = False
        again = list(waits)
    elif len(search.starts) > starts:
        # Roles are placed one after the other: what has started since may have pushed the first of
        # them to where it leaves room for the next.
        # Where somebody is leaving, who started may be one that a job before it has a right over.
        jobs, is_leaving = search.cluster.jobs, any(search.cluster.queues[ROOT].leaving.values())
        again = [
            group
            for group, wait in waits.items()
            if is_leaving or len(jobs[wait.first].spec.roles) > 1
        ]
        if not again:
            return False
    else:
        return False
    for group in again:
        del waits[group]
        search.forget(group)
    return True


def decide_new(
    cluster: Cluster, policy: Policy, last: Plan, fresh: list[JobId], fuel_units: int = FUEL
) -> Plan | None:
    """The plan when only these jobs came since `last` and nothing was freed; None: decide anew.

    Whoever is of a group that waits as one, waits too. Others start if that is in nobody's way;
    when they might take what another has, or a promise, everybody must be looked at again.
    """
    is_full = len(cluster.planned) >= policy.options.promises
    waiting = {w.group for w in last.waits if fresh and not w.is_personal and (w.code or is_full)}
    waits: dict[Group, Wait] = {}
    with Draft(cluster) as draft:
        search = Search(draft, policy, Fuel(fuel_units))
        is_before = policy.order.is_before
        jobs = [cluster.jobs[i] for i in fresh]
        jobs.sort(key=cmp_to_key(lambda a, b: -1 if is_before(cluster, a, b) else 1))
        for job in jobs:
            group = cluster.waiting.group(job.id)
            if group.key in waiting or (group in waits and not waits[group].is_personal):
                if might_by_order(search, job):
                    return None  # it may come before the first of its group
                continue
            turned = search.start_among(job, group.fit)
            if not isinstance(turned, Turned):
                search.add_start(job, turned)
                continue
            if turned.may_take and _may_displace(search, job, turned):
                return None
            waits[group] = _wait(search, group, job.id, turned)
        if search.starts and search.at_work.left_ms(search.evicted):
            return None  # who waits for those who leave may have a better right
        kept = last.waits
        if waits:
            new = {wait.group for wait in waits.values()}
            kept = (*(w for w in last.waits if w.group not in new), *waits.values())
        search.wake(last.wake_ms)
        return _plan(search, policy, kept, is_about_all=False)


def _may_displace(search: Search, job: Job, turned: Turned) -> bool:
    """True when the job, which cannot start, might be owed something."""
    if might_preempt(search, job) or any(map(is_extra, search.at_work.elastic())):
        return True
    if might_by_order(search, job):
        return True
    planned = search.cluster.planned
    if not (turned.may_be_promised and search.policy.options.promises):
        return False
    if len(planned) < search.policy.options.promises:
        return True
    jobs = search.cluster.jobs
    return any(jobs[other].spec.priority < job.spec.priority for other in planned)


def _wait(search: Search, group: Group, job_id: JobId, turned: Turned) -> Wait:
    """Why the group waits; what the nodes say is asked only when somebody wants to know."""
    code, text = turned.refusal.code.value, turned.refusal.text
    if turned.is_physical:
        code = text = ""
    return Wait(group.key, job_id, code, text, turned.is_personal, not search.fuel.left)


def _pass(search: Search, waits: dict[Group, Wait]) -> tuple[int, int]:
    """Try every queued job once, except those of groups that wait and those that have started.

    Returns how many starts, and how many stops and claims there were before.
    """
    before = (len(search.starts), len(search.stops) + len(search.claims))
    cluster, order = search.cluster, search.policy.order
    blocked = set(waits)
    future: list[Future] = []
    for group, job_id in order.queue(cluster, blocked):
        if job_id in search.starts or search.is_claimed(job_id):
            continue
        job = cluster.jobs[job_id]
        turned = try_job(search, group, job, future)
        if turned is None:
            continue
        if job_id not in search.promises:
            search.lose(job)
        if group not in waits:
            waits[group] = _wait(search, group, job_id, turned)
        is_over = not turned.is_personal or not search.has_shorter(group)
        if is_over and job_id not in search.promises:  # else the next may ask for one as well
            blocked.add(group)
        if order.is_strict or not search.fuel.left:
            break
    return before


def try_job(search: Search, group: Group, job: Job, future: list[Future]) -> Turned | None:
    """Start the job, or make it a claim, or promise it a start; why it waits, None if it does not.

    future: empty, or the one list of expected ends that this pass has made.
    """
    found = search.start(job, group.fit)
    if not isinstance(found, Turned):
        search.add_start(job, found)
        return None
    if not found.may_take or not search.fuel.left or group in search.hopeless:
        return found
    with search.setting_aside(job):
        return _give_or_promise(search, group, job, found, future)


def _give_or_promise(
    search: Search, group: Group, job: Job, found: Turned, future: list[Future]
) -> Turned | None:
    """Shrink or stop others for the job, or else promise it a start."""
    is_made, can_wait = make_way(search, job)
    if is_made:
        return None
    if not found.may_be_promised:
        if not _is_free(search, job):
            keep_promise(search, job)  # its queue may have room again by then
        return found
    most = search.policy.options.promises
    if search.policy.order.is_strict or not search.has_slot(job, most - search.futile):
        search.hopeless.add(group)  # what its first could not get, the next cannot either
        return found
    planned = find_promise(search, future, job, can_wait)
    if planned is not None:
        search.promise(job, planned)
    else:
        search.hopeless.add(group)
        search.futile += 1
    return found


def _is_free(search: Search, job: Job) -> bool:
    """True when what the job was promised is free: it is not for the nodes that it waits.

    Who waits for its queue alone shall not keep from others what it cannot use.
    """
    old = search.cluster.planned.get(job.id)
    if old is None:
        return False
    mark = search.draft.checkpoint()
    is_free = search.draft.hold_exactly(job, old.placements)
    search.draft.rollback(mark)
    return is_free


def make_way(search: Search, job: Job) -> tuple[bool, bool]:
    """Shrink or stop others for the job: whether that was done, and whether it need not be.

    It need not where those are enough who are leaving anyway. To be called with the promises set
    aside that do not count against the job.
    """
    can_wait = _comes_soon(search, job)
    is_over = can_wait or not search.at_work.left_ms(search.evicted)
    if is_over and not _might_displace(search, job):
        return False, can_wait
    later = _promised_after(search, job)
    search.lift(later)
    try:
        with search.closing(job, search.cluster.now_ms):
            if not can_wait and search.at_work.left_ms(search.evicted):
                can_wait = is_leaving_enough(search, job)
            is_made = not can_wait and (
                shrink_for(search, job)
                or preempt(search, job)
                or preempt_by_order(search, job)
                or shrink_and_preempt(search, job)
                or take_cells(search, job)
            )
    finally:
        search.lower(later)
    return is_made, can_wait


def _might_displace(search: Search, job: Job) -> bool:
    """A quick no: nobody is there whom any rule would let make way for the job."""
    return (
        might_preempt(search, job)
        or any(map(is_extra, search.at_work.elastic()))
        or may_by_order(search, job)
    )


def _comes_soon(search: Search, job: Job) -> bool:
    """True when it was promised what those leave who are leaving anyway: nobody else has to."""
    old = search.cluster.planned.get(job.id)
    return (
        old is not None
        and old.start_ms <= search.at_work.left_ms(search.evicted)
        and holds(search, job, old)
    )


def _promised_after(search: Search, job: Job) -> list[Planned]:
    """Promises that begin when the job, after others made way for it, should have ended.

    Or else a large job that waits for long would keep its places for whoever is on them now, be
    they less entitled than all who wait.
    """
    if not search.others():
        return []
    begin_ms = search.at_work.left_ms(search.evicted)
    if might_preempt(search, job) or any(map(is_extra, search.at_work.elastic())):
        begin_ms = max(begin_ms, search.cluster.now_ms + search.at_work.longest_stop_ms())
    if not begin_ms:
        return []
    ends_ms = begin_ms + run_estimate(search.cluster, job)[0]
    return [p for p in search.others() if p.start_ms >= ends_ms]


def _plan(
    search: Search, policy: Policy, waits: tuple[Wait, ...], is_about_all: bool = True
) -> Plan:
    """What the search has come to. is_about_all: whoever was not promised a start has lost it."""
    for planned in search.promises.values():
        search.wake(planned.start_ms + 1)  # if it has not come true by then, it is made anew
    if policy.ranked is not None:
        search.wake(policy.ranked.next_change_ms(search.cluster))
    old = search.cluster.planned
    moving = {*search.starts, *(claim.job_id for claim in search.claims)}
    ended: list[JobId] = []
    if is_about_all:
        ended = [i for i in old if i not in search.promises and i not in moving]
    return Plan(
        search.cluster.revision,
        policy.tag,
        tuple(search.starts.values()),
        tuple(search.stops),
        tuple(search.claims),
        tuple(sorted(search.dropped, key=lambda i: search.cluster.jobs[i].submit_seq)),
        tuple(p for i, p in search.promises.items() if old.get(i) != p),
        tuple(ended),
        waits,
        search.wake_ms,
        search.fuel.left,
    )
