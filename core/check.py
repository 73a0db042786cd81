"""check(cluster, plan): prove a plan against the cluster without trusting who made it.

It recounts what is given out in books of its own (core/ledger.py), so a policy, also a third
party's, can waste, never break. A start is taken or rejected by itself. Stops, claims and claims
given up hang together: when one of them is wrong, all are rejected.

Not proved, because it breaks nothing: that what is chosen is best, that nobody is stopped in vain,
and that a promise can be kept.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from aimass.core.cluster import Cluster
from aimass.core.feasible import device_suits, node_refusal
from aimass.core.ledger import Ledger, is_new
from aimass.core.model import Job, JobId, JobState, Node, Placement
from aimass.core.plan import Claim, Plan, Planned, Start, Stop
from aimass.core.runtimes import open_run_ms
from aimass.core.stop_rules import OWN_CLAIM, Takers, stop_problem
from aimass.core.suits import still_suit
from aimass.core.wants import sizes_of
from aimass.core.windows import blocked_nodes


@dataclass(frozen=True, slots=True)
class Rejection:
    """A start, stop, claim or promise that could not be proved, and why."""

    job_id: JobId
    reason: str


def check(cluster: Cluster, plan: Plan) -> tuple[Plan, tuple[Rejection, ...]]:
    """Return the plan with what can be proved, and the rest with reasons.

    O(shards + victims), and O(queues) for each where quotas are guaranteed; where a queue has a
    reserve all cells are given out once for each start or claim of a job that stays.
    """
    if plan.basis != cluster.revision:
        stale = f"decided on revision {plan.basis}, the cluster is at {cluster.revision}"
        ids = [start.job_id for start in plan.starts]
        ids += [stop.job_id for stop in plan.stops] + [claim.job_id for claim in plan.claims]
        return Plan(plan.basis, plan.policy), tuple(Rejection(i, stale) for i in ids)
    ledger = Ledger(cluster)
    rejected = list(_moves_problems(ledger, plan))
    if rejected:
        plan = replace(plan, stops=(), claims=(), unclaims=())
        ledger = Ledger(cluster)
    moving = {claim.job_id for claim in plan.claims}
    accepted: list[Start] = []
    for start in plan.starts:
        reason = _start_problem(ledger, start, moving, plan.unclaims)
        if reason is None:
            accepted.append(start)
            moving.add(start.job_id)
        else:
            rejected.append(Rejection(start.job_id, reason))
    planned: list[Planned] = []
    for promise in plan.planned:
        reason = _promise_problem(cluster, promise, moving)
        if reason is None:
            planned.append(promise)
            moving.add(promise.job_id)
        else:
            rejected.append(Rejection(promise.job_id, reason))
    unplanned = tuple(i for i in plan.unplanned if i in cluster.planned)
    wrong = [i for i in plan.unplanned if i not in cluster.planned]
    rejected += [Rejection(i, "has no promise to lose") for i in wrong]
    if not rejected:
        return plan, ()
    plan = replace(plan, starts=tuple(accepted), planned=tuple(planned), unplanned=unplanned)
    plan, more = check(cluster, plan)  # what was taken may have needed what was rejected
    return plan, (*rejected, *more)


# ---- stops, claims, claims given up -------------------------------------------------------------


def _moves_problems(ledger: Ledger, plan: Plan) -> Iterator[Rejection]:
    """What is wrong with them, taken together; they are booked when nothing is."""
    if not (plan.stops or plan.claims or plan.unclaims):
        return
    cluster = ledger.cluster
    stops = {stop.job_id: stop for stop in plan.stops}
    claims = {claim.job_id: claim for claim in plan.claims}
    for ids in ([stop.job_id for stop in plan.stops], [claim.job_id for claim in plan.claims]):
        for job_id, count in Counter(ids).items():
            if count > 1:
                yield Rejection(job_id, "is stopped or claimed for twice")
    found = False
    for claim in plan.claims:
        reason = _claim_problem(cluster, claim, stops)
        if reason is not None:
            found = True
            yield Rejection(claim.job_id, reason)
    if found or len(stops) < len(plan.stops) or len(claims) < len(plan.claims):
        return
    takers = Takers(cluster, plan)
    for stop in plan.stops:
        reason = stop_problem(takers, stop)
        if reason is not None:
            found = True
            yield Rejection(stop.job_id, reason)
    given_up = set()
    for job_id in plan.unclaims:
        reason = _unclaim_problem(ledger, takers, job_id)
        if reason is not None or job_id in given_up:
            found = True
            yield Rejection(job_id, reason or "gives up its claim twice")
        given_up.add(job_id)
    if not found:
        yield from _book_moves(ledger, plan)


def _book_moves(ledger: Ledger, plan: Plan) -> Iterator[Rejection]:
    cluster = ledger.cluster
    for job_id in plan.unclaims:
        ledger.give_up(cluster.claims[job_id])
    for stop in plan.stops:
        ledger.leave(cluster.jobs[stop.job_id], stop.rule in OWN_CLAIM)
    for claim in plan.claims:
        reason = ledger.book(cluster.jobs[claim.job_id], claim.placements, is_claim=True)
        if reason is not None:
            yield Rejection(claim.job_id, reason)


def _claim_problem(cluster: Cluster, claim: Claim, stops: dict[JobId, Stop]) -> str | None:
    """None when it is a whole gang on nodes that suit it, and its victims leave for it."""
    job = cluster.jobs.get(claim.job_id)
    if job is None:
        return "no such job"
    own = stops.get(job.id)
    is_resize = own is not None and own.rule in OWN_CLAIM
    if job.id in cluster.claims:
        return "has a claim already"
    if not is_resize and (problem := _waiting_problem(cluster, job)):
        return problem
    if is_resize and claim.victims != (job.id,):
        return "restarts, and names others than itself as those who leave"
    if len(set(claim.victims)) < len(claim.victims):
        return "names a victim twice"
    for victim in claim.victims:
        stop = stops.get(victim)
        if stop is None:
            return f"waits for {victim}, which is not stopped"
        if stop.by != job.id and victim != job.id:
            return f"waits for {victim}, which is stopped for {stop.by or 'nobody'}"
    return _gang_problem(cluster, job, claim.attempt, claim.placements, claim.reason)


def _unclaim_problem(ledger: Ledger, takers: Takers, job_id: JobId) -> str | None:
    """A claim is given up when it cannot be kept, or when who is more entitled takes its places."""
    cluster = ledger.cluster
    claim = cluster.claims.get(job_id)
    if claim is None:
        return "has no claim to give up"
    job = cluster.jobs[job_id]
    ends_ms = cluster.now_ms + open_run_ms(cluster, job)
    closed = blocked_nodes(cluster, job, cluster.now_ms, ends_ms)
    if any(placement.node_id in closed for placement in claim.placements):
        return None
    if not still_suit(cluster, job, claim.placements):
        return None
    if ledger.would_be_over(claim) or takers.anybody(job):
        return None
    return "gives up a claim that could be kept"


# ---- starts, promises ---------------------------------------------------------------------------


def _start_problem(
    ledger: Ledger, start: Start, moving: set[JobId], unclaims: tuple[JobId, ...]
) -> str | None:
    """Prove one start and book it. A start on a claim must be where the claim is."""
    cluster = ledger.cluster
    job = cluster.jobs.get(start.job_id)
    if job is None:
        return "no such job"
    if job.id in moving:
        return "started twice in one plan"
    claim = cluster.claims.get(job.id)
    if job.state is JobState.RESERVED and claim is not None and job.id not in unclaims:
        if start.placements != claim.placements:
            return "does not start where its claim is"
    elif problem := _waiting_problem(cluster, job):
        return problem
    return _gang_problem(
        cluster, job, start.attempt, start.placements, start.reason
    ) or ledger.book(job, start.placements, is_claim=False)


def _promise_problem(cluster: Cluster, promise: Planned, moving: set[JobId]) -> str | None:
    """A promise holds nothing; it is about a job that waits, a time to come and places that are."""
    job = cluster.jobs.get(promise.job_id)
    if job is None:
        return "no such job"
    if job.id in moving:
        return "is promised a start, and starts now or is promised another"
    if problem := _waiting_problem(cluster, job):
        return problem
    if not cluster.now_ms <= promise.start_ms < promise.end_ms:
        return f"is promised {promise.start_ms} to {promise.end_ms}, now is {cluster.now_ms}"
    return _gang_problem(
        cluster, job, job.attempt + 1, promise.placements, promise.reason, promise.start_ms
    )


def _waiting_problem(cluster: Cluster, job: Job) -> str | None:
    if job.state is not JobState.QUEUED:
        return f"is {job.state.value}, not QUEUED"
    if job.id not in cluster.waiting:
        return "may not start yet: it waits for a time or for another job"
    return None


# ---- whole gangs on what suits them -------------------------------------------------------------


def _gang_problem(
    cluster: Cluster,
    job: Job,
    attempt: int,
    placements: tuple[Placement, ...],
    reason: str,
    at_ms: int = 0,
) -> str | None:
    """None when it is the job's next attempt, a whole gang on nodes that suit it at_ms (0: now)."""
    if attempt != job.attempt + 1:
        return f"attempt {attempt} does not follow {job.attempt}"
    if not reason:
        return "no reason is given"
    if any(not 0 <= p.role < len(job.spec.roles) for p in placements):
        return "the gang is not whole: a placement is for no role"
    sizes = sizes_of(job, placements)
    if [p.role for p in placements] != [i for i, n in enumerate(sizes) for _ in range(n)]:
        return "the gang is not whole: placements are not in the order of roles"
    for role, size in zip(job.spec.roles, sizes, strict=True):
        allowed = role.elastic.sizes(size)[:1] if role.elastic else [role.shards]
        if size not in allowed:
            return f"the gang is not whole: {size} shards of role {role.name}"
    for placement in placements:
        problem = _placement_problem(cluster, job, placement)
        if problem is not None:
            return problem
    return _window_problem(cluster, job, placements, at_ms) or _topology_problem(
        cluster, job, placements
    )


def _placement_problem(cluster: Cluster, job: Job, placement: Placement) -> str | None:
    need = job.spec.roles[placement.role].need
    node = cluster.nodes.get(placement.node_id)
    if node is None:
        return f"no such node: {placement.node_id}"
    refusal = node_refusal(node, job, need)
    if refusal is not None:
        return f"{node.id}: {refusal.code.value}: {refusal.text}"
    problem = _devices_problem(node, job, placement)
    if problem is not None:
        return problem
    amounts = (placement.cpu_milli, placement.memory_mib)
    if amounts != (need.cpu_milli, need.memory_mib):
        return f"{node.id}: holds {amounts}, the shard needs something else"
    if placement.exclusive != job.spec.exclusive_node:
        return f"{node.id}: exclusive or not, unlike the job"
    return None


def _devices_problem(node: Node, job: Job, placement: Placement) -> str | None:
    need, devices = job.spec.roles[placement.role].need, placement.devices
    if len(devices) != need.devices or len(set(devices)) != need.devices:
        return f"{node.id}: {devices} are not {need.devices} different devices"
    if not devices and placement.share_milli:
        return f"{node.id}: a share of no device"
    for index in devices:
        if not 0 <= index < len(node.devices):
            return f"{node.id}: no device {index}"
        spec = node.devices[index].spec
        if not spec.healthy or not device_suits(spec, need):
            return f"{node.id}: device {index} is not fit for the job"
        if placement.share_milli != need.share_on(spec.memory_mib):
            return f"{node.id}: holds {placement.share_milli}, the shard needs something else"
    return None


def _window_problem(
    cluster: Cluster, job: Job, placements: tuple[Placement, ...], at_ms: int
) -> str | None:
    from_ms = at_ms or cluster.now_ms
    closed = blocked_nodes(cluster, job, from_ms, from_ms + 1)
    for placement in placements if closed and is_new(job) else ():
        if placement.node_id in closed:
            return f"{placement.node_id}: reserved for others"
    return None


def _topology_problem(cluster: Cluster, job: Job, placements: tuple[Placement, ...]) -> str | None:
    level = job.spec.topology.required
    if level:
        nodes = {cluster.nodes[p.node_id].inventory.labels.get(level) for p in placements}
        if len(nodes) > 1 or None in nodes:
            return f"the gang lies on several domains of level {level}"
    return None
