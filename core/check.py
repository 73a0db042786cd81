"""check(cluster, plan): prove a plan against the cluster without trusting who made it.

It recounts capacity on its own ledgers, so a policy (also a third party's) can waste, never break.
Two sums must hold on every device and node, and for every queue with a limit: what is held now plus
what starts; and what stays plus every claim, old and new, plus what starts. Acceptance is per
start, and per claim with the stops that belong to it: taken whole or rejected with the reason.
"""

from dataclasses import dataclass, field, replace

from aimass.core.cluster import Cluster
from aimass.core.feasible import device_suits, node_refusal
from aimass.core.model import Job, JobId, JobState, Node, NodeId, Placement, StopRule
from aimass.core.plan import Claim, Plan, Start, Stop
from aimass.core.spec import WHOLE_GPU_MILLI
from aimass.core.wants import amounts_placed, sizes_of

_OWN_CLAIM = (StopRule.SHRINK, StopRule.GROW, StopRule.MOVE)
_NOBODY_GAINS = (StopRule.DRAIN, StopRule.WINDOW)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A start, stop or claim that could not be proved, and why."""

    job_id: JobId
    reason: str


@dataclass(slots=True)
class _Sums:
    """Amounts given out on one node."""

    cpu_milli: int = 0
    memory_mib: int = 0
    devices: list[int] = field(default_factory=list)
    owners: dict[JobId, bool] = field(default_factory=dict)  # who stays; True: alone

    def is_shared(self, job_id: JobId, is_exclusive: bool) -> bool:
        """True when the node would be shared though somebody wants it alone."""
        others = [alone for owner, alone in self.owners.items() if owner != job_id]
        return bool(others) and (is_exclusive or any(others))

    def add(self, placement: Placement, sign: int) -> None:
        self.cpu_milli += sign * placement.cpu_milli
        self.memory_mib += sign * placement.memory_mib
        for index in placement.devices:
            self.devices[index] += sign * placement.share_milli

    def is_over(self, node: Node, placement: Placement) -> bool:
        """Only what is added to can refuse: a node may have come back smaller than it was."""
        return bool(
            (placement.cpu_milli and self.cpu_milli > node.inventory.cpu_milli)
            or (placement.memory_mib and self.memory_mib > node.inventory.memory_mib)
            or any(self.devices[i] > WHOLE_GPU_MILLI for i in placement.devices)
        )


class _Check:
    """The ledgers of one check: per node what is held now, and what is once all have left."""

    def __init__(self, cluster: Cluster, plan: Plan) -> None:
        self.cluster = cluster
        self.plan = plan
        self.stops = {stop.job_id: stop for stop in plan.stops}
        self.claims = {claim.job_id: claim for claim in plan.claims}
        self.gone = set(plan.unclaims)
        self.now: dict[NodeId, _Sums] = {}
        self.soon: dict[NodeId, _Sums] = {}
        self.queued: dict[str, list[dict[str, int]]] = {}  # by queue: [starts, claims]
        self.seen: set[JobId] = set()

    def open(self, node: Node) -> tuple[_Sums, _Sums]:
        """Recount from the holds and claims themselves: the running totals may be what is wrong."""
        if node.id not in self.now:
            now = _Sums(devices=[0] * len(node.devices))
            soon = _Sums(devices=[0] * len(node.devices))
            for key, placement in node.holds.items():
                now.add(placement, 1)
                job = self.cluster.jobs[key.job_id]
                if job.state is not JobState.STOPPING and key.job_id not in self.stops:
                    soon.add(placement, 1)
                    soon.owners[key.job_id] = placement.exclusive
            for key, placement in node.claims.items():
                if key.job_id not in self.gone:
                    soon.add(placement, 1)
                    soon.owners[key.job_id] = placement.exclusive
            self.now[node.id], self.soon[node.id] = now, soon
        return self.now[node.id], self.soon[node.id]

    # ---- what both starts and claims must be ----------------------------------------------------

    def problem_of_gang(
        self, job: Job, attempt: int, placements: tuple[Placement, ...]
    ) -> str | None:
        """None when it is a whole gang on nodes that suit it."""
        if job.id in self.seen:
            return "started twice in one plan"
        if attempt != job.attempt + 1:
            return f"attempt {attempt} does not follow {job.attempt}"
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
            problem = _placement_problem(self.cluster, job, placement)
            if problem is not None:
                return problem
        return _topology_problem(self.cluster, job, placements)

    def book(self, job: Job, placements: tuple[Placement, ...], is_claim: bool) -> str | None:
        """Enter the whole gang, or nothing and the reason."""
        booked: list[Placement] = []
        for placement in placements:
            node = self.cluster.nodes[placement.node_id]
            now, soon = self.open(node)
            if soon.is_shared(job.id, placement.exclusive):
                self._unbook(booked, is_claim)
                return f"{node.id}: would be shared though one wants it alone"
            soon.add(placement, 1)
            if not is_claim:
                now.add(placement, 1)
            booked.append(placement)
            if soon.is_over(node, placement) or (not is_claim and now.is_over(node, placement)):
                self._unbook(booked, is_claim)
                return f"{node.id}: more is given out than it has"
        problem = self._quota_problem(job, placements, is_claim)
        if problem is not None:
            self._unbook(booked, is_claim)
        else:
            for placement in placements:
                self.soon[placement.node_id].owners[job.id] = placement.exclusive
        return problem

    def _unbook(self, booked: list[Placement], is_claim: bool) -> None:
        for placement in booked:
            self.soon[placement.node_id].add(placement, -1)
            if not is_claim:
                self.now[placement.node_id].add(placement, -1)

    def _quota_problem(
        self, job: Job, placements: tuple[Placement, ...], is_claim: bool
    ) -> str | None:
        """No queue above its limit, now or soon. Enters the amounts when there is no problem."""
        amounts = amounts_placed(self.cluster, placements)
        chain = []
        name = job.spec.queue
        while name:
            chain.append(name)
            name = self.cluster.queues[name].spec.parent
        for name in chain:
            queue = self.cluster.queues[name]
            starts, claims = self.queued.setdefault(name, [{}, {}])
            for key, limit in queue.spec.limit.items():
                if not amounts.get(key):
                    continue
                given = starts.get(key, 0) + amounts[key]
                stays = queue.used.get(key, 0) - queue.leaving.get(key, 0) - self._freed(name, key)
                soon = stays + queue.claimed.get(key, 0) + given + claims.get(key, 0)
                now = queue.used.get(key, 0) + (0 if is_claim else given)
                if soon > limit or (now > limit and not is_claim):
                    return f"queue {name}: more than its limit of {limit} {key}"
        for name in chain:
            table = self.queued[name][1 if is_claim else 0]
            for key, amount in amounts.items():
                table[key] = table.get(key, 0) + amount
        return None

    def _freed(self, queue: str, key: str) -> int:
        """What the stops of this plan free in the queue and below it."""
        total = 0
        for job_id in self.stops:
            job = self.cluster.jobs[job_id]
            name = job.spec.queue
            while name and name != queue:
                name = self.cluster.queues[name].spec.parent
            if name:
                total += amounts_placed(self.cluster, job.current.placements).get(key, 0)
        return total

    # ---- starts, stops, claims ------------------------------------------------------------------

    def start(self, start: Start) -> str | None:
        """Prove one start and book it. A start on a claim must be where the claim is."""
        job = self.cluster.jobs.get(start.job_id)
        if job is None:
            return "no such job"
        claim = self.cluster.claims.get(job.id)
        if job.state is JobState.RESERVED and claim is not None and job.id not in self.gone:
            if start.placements != claim.placements:
                return "does not start where its claim is"
            self._unclaim(claim)
        elif job.state is not JobState.QUEUED:
            return f"is {job.state.value}, not QUEUED"
        return self.problem_of_gang(job, start.attempt, start.placements) or self.book(
            job, start.placements, is_claim=False
        )

    def _unclaim(self, claim: Claim) -> None:
        amounts = amounts_placed(self.cluster, claim.placements)
        for placement in claim.placements:
            self.open(self.cluster.nodes[placement.node_id])[1].add(placement, -1)
        name = self.cluster.jobs[claim.job_id].spec.queue
        while name:
            claims = self.queued.setdefault(name, [{}, {}])[1]
            for key, amount in amounts.items():
                claims[key] = claims.get(key, 0) - amount
            name = self.cluster.queues[name].spec.parent

    def stop(self, stop: Stop) -> str | None:
        """None when the rule allows it; that its claimant gets something is seen with the claim."""
        job = self.cluster.jobs.get(stop.job_id)
        if job is None or not job.state.is_active or job.state is JobState.STOPPING:
            return "does not run"
        if stop.attempt != job.attempt:
            return f"stops attempt {stop.attempt}, attempt {job.attempt} runs"
        if stop.rule in _OWN_CLAIM:
            return None if job.id in self.claims else "resized without a claim of its own"
        if stop.rule in _NOBODY_GAINS:
            return None
        if not job.spec.preemptible:
            return "cannot be preempted"
        claim = self.claims.get(stop.by)
        if claim is None or job.id not in claim.victims:
            return f"stopped for {stop.by or 'nobody'}, who does not claim what it leaves"
        by = self.cluster.jobs[stop.by]
        is_own_queue = by.spec.queue == job.spec.queue
        if stop.rule is StopRule.PRIORITY and not (
            is_own_queue and by.spec.priority > job.spec.priority
        ):
            return f"{by.id} has no priority over it"
        if stop.rule is StopRule.RECLAIM and is_own_queue:
            return f"{by.id} is of the same queue: nothing to take back"
        return None

    def claim(self, claim: Claim) -> str | None:
        """Prove one claim and book it."""
        job = self.cluster.jobs.get(claim.job_id)
        if job is None:
            return "no such job"
        is_resize = job.id in self.stops and self.stops[job.id].rule in _OWN_CLAIM
        if job.state is not JobState.QUEUED and not is_resize:
            return f"is {job.state.value}, not QUEUED"
        if job.id in self.cluster.claims:
            return "has a claim already"
        missing = [victim for victim in claim.victims if victim not in self.stops]
        if missing:
            return f"waits for {missing[0]}, which is not stopped"
        return self.problem_of_gang(job, claim.attempt, claim.placements) or self.book(
            job, claim.placements, is_claim=True
        )


def check(cluster: Cluster, plan: Plan) -> tuple[Plan, tuple[Rejection, ...]]:
    """Return the plan with what can be proved, and the rest with reasons. O(shards + victims).

    Stops and claims hang together: when one of them is wrong, all of them are rejected.
    """
    if plan.basis != cluster.revision:
        stale = f"decided on revision {plan.basis}, the cluster is at {cluster.revision}"
        moving = [*plan.starts, *plan.stops, *plan.claims]
        return Plan(plan.basis, plan.policy), tuple(Rejection(m.job_id, stale) for m in moving)
    rejected = _moves_problems(cluster, plan)
    if rejected:
        plan = replace(plan, stops=(), claims=())
    ledger = _Check(cluster, plan)
    for job_id in plan.unclaims:
        if job_id not in cluster.claims:
            return Plan(plan.basis, plan.policy), (Rejection(job_id, "has no claim to give up"),)
    for claim in plan.claims:
        assert ledger.claim(claim) is None, "it was proved a moment ago"
        ledger.seen.add(claim.job_id)
    accepted: list[Start] = []
    for start in plan.starts:
        reason = ledger.start(start)
        if reason is None:
            accepted.append(start)
            ledger.seen.add(start.job_id)
        else:
            rejected.append(Rejection(start.job_id, reason))
    rejected += _promise_problems(cluster, plan)
    wrong = {r.job_id for r in rejected}
    planned = tuple(p for p in plan.planned if p.job_id not in wrong)
    return replace(plan, starts=tuple(accepted), planned=planned), tuple(rejected)


def _moves_problems(cluster: Cluster, plan: Plan) -> list[Rejection]:
    """What is wrong with stops and claims, taken together."""
    ledger = _Check(cluster, plan)
    found = []
    if len(ledger.stops) < len(plan.stops) or len(ledger.claims) < len(plan.claims):
        found.append(Rejection(JobId(""), "a job is stopped or claimed for twice"))
    if any(stop.job_id not in cluster.jobs for stop in plan.stops):
        return [Rejection(s.job_id, "no such job") for s in plan.stops]
    for stop in plan.stops:
        if (reason := ledger.stop(stop)) is not None:
            found.append(Rejection(stop.job_id, reason))
    if found:
        return found
    for claim in plan.claims:
        if (reason := ledger.claim(claim)) is not None:
            found.append(Rejection(claim.job_id, reason))
        ledger.seen.add(claim.job_id)
    return found


def _promise_problems(cluster: Cluster, plan: Plan) -> list[Rejection]:
    """A promise holds nothing; it must only be about a job that waits, on nodes that there are."""
    found = []
    for planned in plan.planned:
        job = cluster.jobs.get(planned.job_id)
        if job is None or job.state is not JobState.QUEUED:
            found.append(Rejection(planned.job_id, "is promised a start, and does not wait"))
        elif any(p.node_id not in cluster.nodes for p in planned.placements):
            found.append(Rejection(planned.job_id, "is promised a node that is not there"))
    return found


def _placement_problem(cluster: Cluster, job: Job, placement: Placement) -> str | None:
    need = job.spec.roles[placement.role].need
    node = cluster.nodes.get(placement.node_id)
    if node is None:
        return f"no such node: {placement.node_id}"
    refusal = node_refusal(node, job, need)
    if refusal is not None:
        return f"{node.id}: {refusal.code.value}: {refusal.text}"
    if len(placement.devices) != need.devices or len(set(placement.devices)) != need.devices:
        return f"{node.id}: {placement.devices} are not {need.devices} different devices"
    for index in placement.devices:
        if not 0 <= index < len(node.devices):
            return f"{node.id}: no device {index}"
        spec = node.devices[index].spec
        if not spec.healthy or not device_suits(spec, need):
            return f"{node.id}: device {index} is not fit for the job"
        if placement.share_milli != need.share_on(spec.memory_mib):
            return f"{node.id}: holds {placement.share_milli}, the shard needs something else"
    amounts = (placement.cpu_milli, placement.memory_mib)
    if amounts != (need.cpu_milli, need.memory_mib):
        return f"{node.id}: holds {amounts}, the shard needs something else"
    if placement.exclusive != job.spec.exclusive_node:
        return f"{node.id}: exclusive or not, unlike the job"
    return None


def _topology_problem(cluster: Cluster, job: Job, placements: tuple[Placement, ...]) -> str | None:
    level = job.spec.topology.required
    if level:
        nodes = {cluster.nodes[p.node_id].inventory.labels.get(level) for p in placements}
        if len(nodes) > 1 or None in nodes:
            return f"the gang lies on several domains of level {level}"
    return None
