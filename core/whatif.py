"""what_if(snapshot, spec, policy): what would happen to a job that were submitted now.

On a copy of the cluster, perhaps with other hardware, by the real decide and apply. Nothing of it
is written anywhere.
"""

from dataclasses import dataclass, replace
from enum import Enum

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.apply_jobs import job_id_of
from aimass.core.arrays import jobs_of
from aimass.core.check import check
from aimass.core.cluster import Cluster
from aimass.core.codec import restore
from aimass.core.decide import decide
from aimass.core.explain import Explanation, explain
from aimass.core.forecast import Outlook, merged, predict, seed
from aimass.core.model import (
    DeviceSpec,
    Inventory,
    Job,
    NodeId,
    NodeState,
    Placement,
)
from aimass.core.plan import Claim, Plan, Start, Stop
from aimass.core.policy import Policy
from aimass.core.queues import Amounts
from aimass.core.spec import JobSpec
from aimass.core.survey import survey
from aimass.core.wants import amounts_asked, amounts_placed, forms

DEFAULT_CPU_MILLI = 64_000
DEFAULT_MEMORY_MIB = 512 * 1024
DEFAULT_GPU_MIB = 80 * 1024


class Verdict(Enum):
    """What would become of the job."""

    STARTS = "STARTS"
    TAKES = "TAKES"  # it would own its places at once, and others would be stopped for it
    WAITS = "WAITS"
    NEVER = "NEVER"  # the nodes could not hold it even when idle


@dataclass(frozen=True, slots=True)
class More:
    """Nodes that are not there, of so many GPUs of one model."""

    count: int
    gpus: int
    model: str


@dataclass(frozen=True, slots=True)
class QueueUse:
    """One resource of one queue that bounds it, before and after; see queues.QueueSpec."""

    queue: str
    resource: str
    used: int
    after: int
    quota: int | None
    limit: int | None


@dataclass(frozen=True, slots=True)
class Loss:
    """A job that would be stopped, and whose it is."""

    stop: Stop
    user: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What would happen, on whom, when, at what cost.

    job, cluster: as they would be then; for an array its first task, or the first that starts.
    gpu_ms: GPU-milliseconds of its time limit or expected run (0: neither is given). largest: for
    each role (name, shards asked, the most that could ever run). tasks: how many of an array would
    start now; 1 or 0 for a job of its own.
    """

    verdict: Verdict
    job: Job
    cluster: Cluster
    start: Outlook
    explanation: Explanation
    placements: tuple[Placement, ...] = ()
    reason: str = ""
    trail: tuple[str, ...] = ()
    losses: tuple[Loss, ...] = ()
    gpu_ms: int = 0
    queues: tuple[QueueUse, ...] = ()
    largest: tuple[tuple[str, int, int], ...] = ()
    tasks: int = 0
    tasks_total: int = 1


class Impossible(ValueError):
    """The hardware or the job cannot be as it is said; the text says why."""


def what_if(
    snapshot: bytes,
    spec: JobSpec,
    user: str,
    policy: Policy,
    now_ms: int,
    more: tuple[More, ...] = (),
    fewer: tuple[NodeId, ...] = (),
) -> Answer:
    """The answer for this spec, submitted at now_ms. Raises Impossible.

    more, fewer: nodes that are added and that are gone; the others of the queue react first.
    O(state) to copy it, two decisions, and for a job that waits the future (see forecast).
    """
    cluster = restore(snapshot)
    now_ms = max(now_ms, cluster.now_ms)
    apply(cluster, ev.Tick(now_ms))
    if more or fewer:
        _change_nodes(cluster, now_ms, more, fewer)
        _decide(cluster, policy)
    used = {name: dict(queue.used) for name, queue in cluster.queues.items()}
    job_id = job_id_of(cluster.next_seq)
    apply(cluster, ev.JobSubmitted(now_ms, job_id, replace(spec, allow_future=True), user))
    jobs = jobs_of(cluster, job_id)
    if jobs[0].state.is_over:
        raise Impossible(jobs[0].outcome)
    plan = _decide(cluster, policy)
    return _answer(cluster, policy, plan, jobs, used)


def _decide(cluster: Cluster, policy: Policy) -> Plan:
    plan, _ = check(cluster, decide(cluster, policy))
    parts = (plan.starts, plan.stops, plan.claims, plan.unclaims, plan.planned, plan.unplanned)
    apply(cluster, ev.PlanCommitted(cluster.now_ms, plan.basis, plan.policy, *parts))
    return plan


def _answer(
    cluster: Cluster,
    policy: Policy,
    plan: Plan,
    jobs: list[Job],
    used: dict[str, Amounts],
) -> Answer:
    ids = {job.id for job in jobs}
    starts = [start for start in plan.starts if start.job_id in ids]
    claims = [claim for claim in plan.claims if claim.job_id in ids]
    moves: list[Start | Claim] = [*starts, *claims]
    job = cluster.jobs[moves[0].job_id] if moves else jobs[0]
    found = explain(cluster, job, policy)
    start = Outlook(cluster.now_ms, cluster.now_ms, cluster.now_ms, is_known=True)
    largest: tuple[tuple[str, int, int], ...] = ()
    verdict = Verdict.STARTS if starts else Verdict.TAKES
    if not starts and claims:
        start = found.start
    elif not starts:
        verdict = Verdict.WAITS if found.fits_when_empty else Verdict.NEVER
        start = _start_of(cluster, job, policy, found) if found.fits_when_empty else Outlook()
        fits = survey(cluster, job).fits
        largest = tuple((fit.role.name, fit.role.shards, fit.empty) for fit in fits)
    by = {claim.job_id for claim in claims}
    stops = [stop for stop in plan.stops if stop.by in by]
    return Answer(
        verdict,
        job,
        cluster,
        start,
        found,
        moves[0].placements if moves else (),
        moves[0].reason if moves else "",
        moves[0].trail if moves else (),
        tuple(Loss(stop, cluster.jobs[stop.job_id].user) for stop in stops),
        job.spec.gpu_milli * job.spec.run_ms // 1000 * len(jobs),
        _queue_uses(cluster, job, moves[0].placements if moves else (), used),
        largest,
        len(starts),
        len(jobs),
    )


def _start_of(cluster: Cluster, job: Job, policy: Policy, found: Explanation) -> Outlook:
    """What is promised; of a small cluster, what will be."""
    snapshot = seed(cluster, job)
    return merged(found.start, predict(snapshot, job.id, policy)) if snapshot else found.start


def _queue_uses(
    cluster: Cluster, job: Job, placements: tuple[Placement, ...], used: dict[str, Amounts]
) -> tuple[QueueUse, ...]:
    """Every bounded resource of its queues that it would count for."""
    amounts = amounts_asked(job, forms(job, cluster.now_ms)[0])
    if placements:
        amounts = amounts_placed(cluster, placements)
    rows = []
    name = job.spec.queue
    while name:
        spec = cluster.queues[name].spec
        for key, amount in amounts.items():
            quota, limit = spec.quota.get(key), spec.limit.get(key)
            if amount and (quota is not None or limit is not None):
                before = used[name].get(key, 0)
                rows.append(QueueUse(name, key, before, before + amount, quota, limit))
        name = spec.parent
    return tuple(rows)


# ---- other hardware -----------------------------------------------------------------------------


def _change_nodes(
    cluster: Cluster, now_ms: int, more: tuple[More, ...], fewer: tuple[NodeId, ...]
) -> None:
    for node_id in fewer:
        node = cluster.nodes.get(node_id)
        if node is None:
            raise Impossible(f"there is no node {node_id}")
        if node.state is NodeState.READY:
            apply(cluster, ev.NodeSilent(now_ms, node_id, "imagined to be gone"))
        if node.state is NodeState.SUSPECT:
            apply(cluster, ev.LeaseExpired(now_ms, node_id))
        nothing = replace(node.inventory, devices=(), cpu_milli=0, memory_mib=0)
        apply(cluster, ev.InventoryChanged(now_ms, node_id, nothing))  # it does not come back
    number = 0
    for kind in more:
        for _ in range(kind.count):
            number += 1
            add_node(cluster, now_ms, NodeId(f"new{number}"), inventory_like(cluster, kind, number))


def add_node(cluster: Cluster, now_ms: int, node_id: NodeId, there: Inventory) -> None:
    """A node joins the (imagined) cluster."""
    apply(cluster, ev.NodeRegistered(now_ms, node_id, there, "imagined", 1))


def inventory_like(cluster: Cluster, kind: More, number: int) -> Inventory:
    """A node with these GPUs; all else as the largest node with such GPUs has it, or any.

    They are joined as on a node of just these GPUs, or all by NVLink.
    """
    nodes = list(cluster.nodes.values())
    alike = [n for n in nodes if any(d.spec.model == kind.model for d in n.devices)]
    cpus = [n.inventory.cpu_milli for n in alike or nodes]
    memory = [n.inventory.memory_mib for n in alike or nodes]
    each = [d.spec.memory_mib for n in alike for d in n.devices if d.spec.model == kind.model]
    name, memory_mib = f"new{number}", max(each, default=DEFAULT_GPU_MIB)
    models = [kind.model] * kind.gpus
    twin = next((n for n in alike if [d.spec.model for d in n.devices] == models), None)
    specs = [DeviceSpec("", kind.model, memory_mib, island=0)] * kind.gpus
    if twin is not None:
        joined = [(d.spec.numa_node, d.spec.island) for d in twin.devices]
        specs = [replace(specs[0], numa_node=numa, island=island) for numa, island in joined]
    devices = tuple(replace(spec, uuid=f"GPU-{name}-{i}") for i, spec in enumerate(specs))
    return Inventory(
        name,
        name,
        max(cpus, default=DEFAULT_CPU_MILLI),
        max(memory, default=DEFAULT_MEMORY_MIB),
        devices,
        labels=dict(alike[0].inventory.labels) if alike else {},
        links=twin.inventory.links if twin is not None else None,
    )
