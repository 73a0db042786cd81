"""Who may be stopped, by which rule and for whom: the part of check() about stops."""

from dataclasses import dataclass, replace

from aimass.core.cell_rules import CellTakers
from aimass.core.cluster import Cluster
from aimass.core.codes import Code
from aimass.core.lost_work import lost_gpu_ms, restart_gpu_ms
from aimass.core.model import Job, JobId, JobState, NodeId, Placement, StopRule
from aimass.core.move_rules import EARLIER_MS_MAX, gain_gpu_ms, stays_until_ms
from aimass.core.plan import Plan, Stop
from aimass.core.policy import Want
from aimass.core.queues import Amounts, Queue
from aimass.core.quota import may_reclaim, within_guarantee
from aimass.core.spec import PreemptMode
from aimass.core.wants import amounts_asked, amounts_placed, forms, sizes_of
from aimass.core.windows import blocked_nodes

OWN_CLAIM = (StopRule.SHRINK, StopRule.GROW, StopRule.MOVE, StopRule.RESHAPE)
DAY_MS = 24 * 3600 * 1000


def are_shared(cluster: Cluster) -> bool:
    """True when no queue is guaranteed anything: one order may count for all. O(queues)."""
    return not any(queue.spec.quota for queue in cluster.queues.values())


ByNode = dict[NodeId, list[tuple[JobId, Placement]]]


def takers_of(places: tuple[Placement, ...], by_node: ByNode) -> dict[JobId, None]:
    """Whose places share a device with these, or the CPU and memory of a node. O(places)."""
    found: dict[JobId, None] = {}
    for place in places:
        for job_id, other in by_node.get(place.node_id, ()):
            is_beside = (place.cpu_milli and other.cpu_milli) or (
                place.memory_mib and other.memory_mib
            )
            if is_beside or not {*place.devices}.isdisjoint(other.devices):
                found[job_id] = None
    return found


class Takers:
    """Who gets what in a plan, and whether they may take it from others.

    Reclaim depends on what queues use while the plan is being made. What is proved does not depend
    on its order: with everybody stopped who is, the taker is within its guarantee; with all starts
    of the plan and without its other victims, the queue of some victim has more than its own.
    """

    def __init__(self, cluster: Cluster, plan: Plan) -> None:
        self.cluster = cluster
        self.stops = {stop.job_id: stop for stop in plan.stops}
        self.claims = {claim.job_id: claim for claim in plan.claims}
        self._places = {start.job_id: start.placements for start in plan.starts}
        self._places |= {claim.job_id: claim.placements for claim in plan.claims}
        self._cells = CellTakers(cluster, plan, self._places)
        self._less: dict[str, Amounts] = {}  # by queue: what the plan frees
        self._more: dict[str, Amounts] = {}  # by queue: what it gives
        self._too_much: dict[tuple[JobId, str], bool] = {}  # by taker and branch
        for job_id in self.stops:
            job = cluster.jobs.get(job_id)
            if job is not None and job.state.is_active:
                self._add(self._less, job, job.current.placements)
        for job_id in plan.unclaims:
            if job_id in cluster.claims:
                self._add(self._less, cluster.jobs[job_id], cluster.claims[job_id].placements)
        for job_id, placements in self._places.items():
            job = cluster.jobs.get(job_id)
            if job is not None and _are_there(cluster, job, placements):
                self._add(self._more, job, placements)

    def _add(
        self, table: dict[str, Amounts], job: Job, placements: tuple[Placement, ...], sign: int = 1
    ) -> None:
        for queue in self.cluster.queues[job.spec.queue].tree.chain:
            row = table.setdefault(queue.spec.name, {})
            for key, amount in amounts_placed(self.cluster, placements).items():
                row[key] = row.get(key, 0) + sign * amount

    def may_take(self, taker: Job, other: Job, rule: StopRule | None = None) -> bool:
        """True when the taker may have what the other has: by this rule, or by any."""
        if not other.spec.preemptible:
            return False
        if rule is StopRule.ORDER:  # the order itself is the policy's, and breaks nothing
            is_within = taker.spec.queue == other.spec.queue or are_shared(self.cluster)
            return is_within and taker.spec.priority >= other.spec.priority
        if taker.spec.queue == other.spec.queue:
            is_above = taker.spec.priority > other.spec.priority
            return is_above and rule not in (StopRule.RECLAIM, StopRule.RESERVE)
        if rule is StopRule.PRIORITY:
            return False
        if rule is not StopRule.RESERVE and self._reclaims(taker, other, {}):
            return True
        return rule is not StopRule.RECLAIM and self._takes_cell(taker, other)

    def _takes_cell(self, taker: Job, other: Job) -> bool:
        """It is within the guarantee of a queue, and in cells that this has in reserve."""
        asked = [amounts_asked(taker, want) for want in self._asked(taker)]
        return any(
            self._cells.may_take(queue, taker, other)
            and any(within_guarantee(queue, amounts, owned=self._ours) for amounts in asked)
            for queue in self.cluster.queues[taker.spec.queue].tree.chain[:-1]
            if queue.spec.reserve
        )

    def _reclaims(self, taker: Job, other: Job, without: dict[str, Amounts]) -> bool:
        def theirs(queue: Queue, key: str) -> int:
            more = self._more.get(queue.spec.name, {}).get(key, 0)
            return queue.owned(key) + more - without.get(queue.spec.name, {}).get(key, 0)

        queue = other.spec.queue
        return any(
            may_reclaim(self.cluster, taker, amounts_asked(taker, w), queue, self._ours, theirs)
            for w in self._asked(taker)
        )

    def _ours(self, queue: Queue, key: str) -> int:
        """What the taker's queue owns without those whom the plan stops."""
        return queue.owned(key) - self._less.get(queue.spec.name, {}).get(key, 0)

    def _asked(self, taker: Job) -> list[Want]:
        """The forms of the taker, in the size that it gets."""
        cluster, places = self.cluster, self._places[taker.id]
        sizes = sizes_of(taker, places)
        asked = [replace(w, sizes=sizes) for w in forms(taker, cluster.now_ms)]
        models = {
            cluster.nodes[place.node_id].devices[index].spec.model
            for place in places
            if not taker.spec.roles[place.role].need.gpu_types
            for index in place.devices
        }
        if len(models) == 1:  # what is guaranteed of one model is had by asking for it
            asked += [replace(w, gpu_types=tuple(models)) for w in asked]
        return asked

    def takes_too_much(self, taker: Job, other: Job) -> bool:
        """True when no order of stopping its victims in the other's branch would be right.

        O(victims) the first time for a branch.
        """
        branch = _branch(self.cluster, taker, other)
        known = self._too_much.get((taker.id, branch))
        if known is None:
            known = self._too_much[taker.id, branch] = self._is_too_much(taker, branch)
        return known

    def _is_too_much(self, taker: Job, branch: str) -> bool:
        jobs = [self.cluster.jobs[i] for i in self.claims[taker.id].victims]
        victims = [
            job
            for job in jobs
            if self.stops[job.id].rule is StopRule.RECLAIM
            and _branch(self.cluster, taker, job) == branch
        ]
        gone: dict[str, Amounts] = {}
        for victim in victims:
            self._add(gone, victim, victim.current.placements)
        for last in victims:
            self._add(gone, last, last.current.placements, -1)
            if self._reclaims(taker, last, gone):
                return False
            self._add(gone, last, last.current.placements)
        return True

    def anybody(self, other: Job) -> bool:
        """True when somebody whom the plan gives places to may take those of the other."""
        jobs = (self.cluster.jobs.get(job_id) for job_id in self._places)
        return any(
            job is not None
            and _are_there(self.cluster, job, self._places[job.id])
            and self.may_take(job, other)
            for job in jobs
        )


def _are_there(cluster: Cluster, job: Job, placements: tuple[Placement, ...]) -> bool:
    """Starts are not proved yet when this is asked: a wrong one gives nobody anything."""
    for placement in placements:
        node = cluster.nodes.get(placement.node_id)
        if node is None or not 0 <= placement.role < len(job.spec.roles):
            return False
        if any(not 0 <= index < len(node.devices) for index in placement.devices):
            return False
    return True


def _branch(cluster: Cluster, taker: Job, other: Job) -> str:
    """The widest queue that the other is in and the taker is not."""
    ours = [queue.spec.name for queue in cluster.queues[taker.spec.queue].tree.chain]
    theirs = [queue.spec.name for queue in cluster.queues[other.spec.queue].tree.chain]
    return next((name for name in reversed(theirs) if name not in ours), theirs[0])


def stop_problem(takers: Takers, stop: Stop) -> str | None:
    """None when the rule allows it, now, for who gains by it."""
    cluster = takers.cluster
    job = cluster.jobs.get(stop.job_id)
    if job is None:
        return "no such job"
    if not job.state.is_active or job.state is JobState.STOPPING:
        return "does not run"
    if stop.attempt != job.attempt:
        return f"stops attempt {stop.attempt}, attempt {job.attempt} runs"
    if not stop.reason:
        return "no reason is given"
    lost = lost_gpu_ms(job, cluster.now_ms)
    if stop.lost_gpu_ms != lost:
        return f"loses {lost} GPU-ms, not {stop.lost_gpu_ms}"
    if stop.rule in (StopRule.DRAIN, StopRule.WINDOW):
        return _due_problem(cluster, job, stop)
    if stop.rule in (StopRule.GROW, StopRule.RESHAPE):
        if stop.by != job.id:
            return f"grows for {stop.by or 'nobody'}, not for itself"
    elif stop.rule is StopRule.ALLOT:
        return _allot_problem(takers, job, stop)
    else:
        claim = takers.claims.get(stop.by)
        if claim is None or job.id not in claim.victims or stop.by == job.id:
            return f"stopped for {stop.by or 'nobody'}, who does not claim what it leaves"
    if stop.rule in OWN_CLAIM:
        return _resize_problem(takers, job, stop)
    return _preempt_problem(takers, job, stop)


def _due_problem(cluster: Cluster, job: Job, stop: Stop) -> str | None:
    """A drain whose time has come, or a window of others that has begun, on a node of the job."""
    if stop.by:
        return f"is stopped by {stop.rule.value} for {stop.by}, and that is for nobody"
    now_ms = cluster.now_ms
    nodes = {p.node_id for p in job.current.placements}
    if stop.rule is StopRule.WINDOW:
        is_due = bool(nodes & blocked_nodes(cluster, job, now_ms, now_ms + 1))
    else:
        drains = [cluster.nodes[node_id].drain_ms for node_id in nodes]
        is_due = any(0 < drain_ms <= now_ms for drain_ms in drains)
    return None if is_due else f"no {stop.rule.value} of its nodes is due"


def _resize_problem(takers: Takers, job: Job, stop: Stop) -> str | None:
    """It claims its next places itself, in a size that the rule means."""
    claim = takers.claims.get(job.id)
    if claim is None:
        return "resized without a claim of its own"
    if job.state is not JobState.RUNNING:
        return f"is {job.state.value}: only a running job is resized or moved"
    had, gets = sizes_of(job, job.current.placements), sizes_of(job, claim.placements)
    if stop.rule is StopRule.MOVE:
        if gets != had or not job.spec.movable or not job.spec.checkpoint.signal:
            return "moves to another size, or may not be moved at all"
        return _untimely(takers.cluster, job) or _move_problem(takers, job, stop)
    if stop.rule is StopRule.RESHAPE and (problem := _reshape_problem(takers.cluster, job)):
        return problem
    if stop.rule is StopRule.RESHAPE and gets == had:
        return None
    role = job.spec.elastic_role
    elastic = job.spec.roles[role].elastic if role >= 0 else None
    if elastic is None:
        return "is resized, and is not elastic"
    if takers.cluster.now_ms < job.current.running_ms + elastic.interval_ms:
        return "is resized again too soon"
    if stop.rule is StopRule.RESHAPE:
        return None
    if (stop.rule is StopRule.GROW) != (gets[role] > had[role]) or gets == had:
        return f"{stop.rule.value} from {had[role]} to {gets[role]} shards"
    if stop.rule is StopRule.SHRINK:
        by = takers.cluster.jobs[stop.by]
        has_more_than_asked = had[role] > job.spec.roles[role].shards
        if not has_more_than_asked and not takers.may_take(by, job):
            return f"{by.id} may not take its extras"
    return None


def _reshape_problem(cluster: Cluster, job: Job) -> str | None:
    """An allotment restarts only who may be stopped at all."""
    if not job.spec.preemptible:
        return "cannot be stopped to go on in another form"
    return _untimely(cluster, job)


def _allot_problem(takers: Takers, job: Job, stop: Stop) -> str | None:
    """Who may be stopped at all leaves for a claim, of no lower priority, on what it has."""
    cluster, claim = takers.cluster, takers.claims.get(stop.by)
    if claim is None or stop.by == job.id:
        return f"stopped for {stop.by or 'nobody'}, who claims nothing"
    by_node: ByNode = {}
    for place in claim.placements:
        by_node.setdefault(place.node_id, []).append((claim.job_id, place))
    if not takers_of(job.current.placements, by_node):
        return f"stopped for {stop.by}, who claims nothing of what it has"
    if _never(job) is not None:
        return "cannot be preempted"
    by = cluster.jobs[stop.by]
    if not are_shared(cluster) or by.spec.priority < job.spec.priority:
        return f"{by.id} may not take what it has, by {stop.rule.value}"
    if by.state is JobState.QUEUED and cluster.now_ms < by.queued_ms + by.spec.preemption.delay_ms:
        return f"{by.id} preempts before its delay has passed"
    return _untimely(cluster, job)


def _move_problem(takers: Takers, job: Job, stop: Stop) -> str | None:
    """It has not just been moved, and all who move for the other lose less than that gains."""
    cluster = takers.cluster
    if cluster.now_ms < stays_until_ms(job):
        return "is moved again too soon"
    restart = restart_gpu_ms(job)
    if stop.restart_gpu_ms != restart:
        return f"restarts at {restart} GPU-ms, not {stop.restart_gpu_ms}"
    moved = [s for s in takers.stops.values() if s.by == stop.by and s.rule is StopRule.MOVE]
    loss = sum(other.lost_gpu_ms + other.restart_gpu_ms for other in moved)
    by = cluster.jobs[stop.by]
    most = gain_gpu_ms(cluster, by, takers.claims[by.id].placements, EARLIER_MS_MAX, True)
    if any(other.gain_gpu_ms != stop.gain_gpu_ms for other in moved) or stop.gain_gpu_ms > most:
        return f"{by.id} cannot gain {stop.gain_gpu_ms} GPU-ms, {most} at most, or by each the same"
    if loss >= stop.gain_gpu_ms:
        return f"loses with all who move for {by.id} {loss} GPU-ms, to gain {stop.gain_gpu_ms}"
    return None


def _preempt_problem(takers: Takers, job: Job, stop: Stop) -> str | None:
    cluster = takers.cluster
    by = cluster.jobs[stop.by]
    if _never(job) is not None:
        return "cannot be preempted"
    if not takers.may_take(by, job, stop.rule):
        return f"{by.id} may not take what it has, by {stop.rule.value}"
    if stop.rule is StopRule.RECLAIM and takers.takes_too_much(by, job):
        return f"{by.id} takes more than queue {job.spec.queue} has beyond its own"
    if cluster.now_ms < by.queued_ms + by.spec.preemption.delay_ms:
        return f"{by.id} preempts before its delay has passed"
    return _untimely(cluster, job)


def _untimely(cluster: Cluster, job: Job) -> str | None:
    kept = _for_a_time(cluster, job)
    return kept.text if kept is not None else None


# ---- what protects a job ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Protection:
    """Why an active job may not be preempted. until_ms: 0 as long as it is active."""

    code: Code
    text: str
    until_ms: int = 0


def protection(cluster: Cluster, job: Job) -> Protection | None:
    """What it asked for itself, or its queue for all; None: it may be preempted now, by right."""
    code = _never(job)
    if code is not None:
        return Protection(code, "cannot be preempted")
    return _for_a_time(cluster, job)


def _never(job: Job) -> Code | None:
    if not job.spec.preemptible:
        return Code.NOT_PREEMPTIBLE
    return Code.EXTRAS_ONLY if job.spec.preemption.mode is PreemptMode.SHRINK else None


def _for_a_time(cluster: Cluster, job: Job) -> Protection | None:
    """Not too early, not too often. O(preemptions remembered)."""
    now_ms, asks = cluster.now_ms, job.spec.preemption
    least_ms = max(asks.min_runtime_ms, cluster.queues[job.spec.queue].spec.min_runtime_ms)
    until_ms = (job.current.running_ms or now_ms) + least_ms
    if least_ms and now_ms < until_ms:
        return Protection(Code.MIN_RUNTIME, f"has not run for {least_ms} ms", until_ms)
    recent = [at_ms for at_ms in job.preempted_ms if at_ms > now_ms - DAY_MS]
    if asks.max_per_day and len(recent) >= asks.max_per_day:
        text = f"was preempted {len(recent)} times in a day"
        return Protection(Code.PREEMPT_BUDGET, text, recent[-asks.max_per_day] + DAY_MS)
    return None
