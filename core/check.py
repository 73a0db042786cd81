"""check(cluster, plan): prove a plan against the cluster without trusting who made it.

It recounts capacity on its own ledger, so a policy (also a third party's) can waste, never break.
Acceptance is per gang: a start is taken whole or rejected with the reason.
"""

from dataclasses import dataclass, replace

from aimass.core.cluster import Cluster
from aimass.core.feasible import device_suits, node_refusal
from aimass.core.model import Job, JobId, JobState, Node, NodeId, Placement
from aimass.core.plan import Plan, Start
from aimass.core.spec import WHOLE_GPU_MILLI


@dataclass(frozen=True, slots=True)
class Rejection:
    """A start that could not be proved, and why."""

    job_id: JobId
    reason: str


@dataclass(slots=True)
class _Ledger:
    """What is in use on one node, counting the starts accepted so far."""

    cpu_milli: int
    memory_mib: int
    devices: list[int]


def check(cluster: Cluster, plan: Plan) -> tuple[Plan, tuple[Rejection, ...]]:
    """Return the plan with its provable starts, and the others with reasons. O(shards)."""
    if plan.basis != cluster.revision:
        stale = f"decided on revision {plan.basis}, the cluster is at {cluster.revision}"
        return replace(plan, starts=()), tuple(Rejection(s.job_id, stale) for s in plan.starts)
    ledgers: dict[NodeId, _Ledger] = {}
    accepted: list[Start] = []
    rejected: list[Rejection] = []
    seen: set[JobId] = set()
    for start in plan.starts:
        reason = _start_problem(cluster, start, seen) or _book(cluster, start, ledgers)
        if reason is None:
            accepted.append(start)
            seen.add(start.job_id)
        else:
            rejected.append(Rejection(start.job_id, reason))
    return replace(plan, starts=tuple(accepted)), tuple(rejected)


def _start_problem(cluster: Cluster, start: Start, seen: set[JobId]) -> str | None:
    job = cluster.jobs.get(start.job_id)
    if job is None:
        return "no such job"
    if start.job_id in seen:
        return "started twice in one plan"
    if job.state is not JobState.QUEUED:
        return f"is {job.state.value}, not QUEUED"
    if start.attempt != job.attempt + 1:
        return f"attempt {start.attempt} does not follow {job.attempt}"
    roles = [i for i, role in enumerate(job.spec.roles) for _ in range(role.shards)]
    if [p.role for p in start.placements] != roles:
        return "the gang is not whole: placements do not match the roles and their shards"
    for placement in start.placements:
        problem = _placement_problem(cluster, job, placement)
        if problem is not None:
            return problem
    return None


def _placement_problem(cluster: Cluster, job: Job, placement: Placement) -> str | None:
    need = job.spec.roles[placement.role].need
    node = cluster.nodes.get(placement.node_id)
    if node is None:
        return f"no such node: {placement.node_id}"
    refusal = node_refusal(node, need, job.spec.node_selector)
    if refusal is not None:
        return f"{node.id}: {refusal.code.value}: {refusal.text}"
    amounts = (placement.share_milli, placement.cpu_milli, placement.memory_mib)
    if amounts != (need.share_milli, need.cpu_milli, need.memory_mib):
        return f"{node.id}: holds {amounts}, the shard needs something else"
    if len(placement.devices) != need.devices or len(set(placement.devices)) != need.devices:
        return f"{node.id}: {placement.devices} are not {need.devices} different devices"
    for index in placement.devices:
        if not 0 <= index < len(node.devices):
            return f"{node.id}: no device {index}"
        spec = node.devices[index].spec
        if not spec.healthy or not device_suits(spec, need):
            return f"{node.id}: device {index} is not fit for the job"
    return None


def _book(cluster: Cluster, start: Start, ledgers: dict[NodeId, _Ledger]) -> str | None:
    """Enter the whole gang, or nothing and the reason."""
    booked: list[Placement] = []
    for placement in start.placements:
        node = cluster.nodes[placement.node_id]
        ledger = ledgers.setdefault(node.id, _open(node))
        _enter(ledger, placement, 1)
        booked.append(placement)
        # Only what this shard adds to can refuse it: a node may have come back smaller than it was.
        over = (
            (placement.cpu_milli and ledger.cpu_milli > node.inventory.cpu_milli)
            or (placement.memory_mib and ledger.memory_mib > node.inventory.memory_mib)
            or any(ledger.devices[i] > WHOLE_GPU_MILLI for i in placement.devices)
        )
        if over:
            for entry in booked:
                _enter(ledgers[entry.node_id], entry, -1)
            return f"{node.id}: more is given out than it has"
    return None


def _open(node: Node) -> _Ledger:
    """Recount from the holds themselves: the running totals may be what is wrong."""
    ledger = _Ledger(0, 0, [0] * len(node.devices))
    for placement in node.holds.values():
        _enter(ledger, placement, 1)
    return ledger


def _enter(ledger: _Ledger, placement: Placement, sign: int) -> None:
    ledger.cpu_milli += sign * placement.cpu_milli
    ledger.memory_mib += sign * placement.memory_mib
    for index in placement.devices:
        ledger.devices[index] += sign * placement.share_milli
