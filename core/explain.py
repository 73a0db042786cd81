"""explain(cluster, job, policy) -> Explanation: every reason why a job waits, with counts.

It asks the feasibility function that turned the job away, on every node, and groups the answers by
node class, so that "why" and "decide" cannot disagree.
"""

from collections import Counter
from dataclasses import dataclass

from aimass.core.cluster import Cluster
from aimass.core.decide import FUEL, decide
from aimass.core.draft import Draft
from aimass.core.feasible import Code
from aimass.core.model import Job, JobId, JobState, Node, NodeId
from aimass.core.policy import Fuel, Policy
from aimass.core.spec import Need
from aimass.core.survey import Survey, survey

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Blocker:
    """One reason on one class of nodes. nodes == 0: about the gang or the queue as a whole."""

    code: str
    text: str
    nodes: int
    examples: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The dominant reason, all others with counts, who holds what it waits for, what would help."""

    code: str
    summary: str
    blockers: tuple[Blocker, ...] = ()
    ahead: int = 0
    shards_asked: int = 0
    shards_fit_now: int = 0
    fits_when_empty: bool = True
    holders: tuple[JobId, ...] = ()
    unblock: tuple[str, ...] = ()


def explain(cluster: Cluster, job: Job, policy: Policy) -> Explanation:
    """Why the job is where it is; complete for a queued one. O(roles * nodes * devices + queue)."""
    if job.state is not JobState.QUEUED:
        return _not_waiting(job)
    found = survey(cluster, job)
    if not cluster.nodes:
        return Explanation(
            "NO_NODES", "no node has joined the cluster", unblock=("start a node agent: massnode",)
        )
    holders = _holders(cluster, found)
    ahead = _ahead(cluster, job, policy)
    code, summary = _dominant(cluster, job, policy, found, ahead)
    return Explanation(
        code=code,
        summary=summary,
        blockers=_blockers(found),
        ahead=ahead,
        shards_asked=job.spec.world_size,
        shards_fit_now=found.fit_now,
        fits_when_empty=found.is_possible,
        holders=holders,
        unblock=_unblock(job, found, code, holders),
    )


def _ahead(cluster: Cluster, job: Job, policy: Policy) -> int:
    """How many queued jobs the policy takes first."""
    order = policy.order.queue(cluster, set())
    return next(n for n, (_, job_id) in enumerate(order) if job_id == job.id)


def _not_waiting(job: Job) -> Explanation:
    if job.state.is_over:
        return Explanation(job.state.value, f"it is over: {job.outcome}")
    attempt = job.current
    alive = f"{attempt.live} of {len(attempt.shards)} shards hold capacity"
    if job.state is JobState.STOPPING:
        return Explanation(job.state.value, f"it is stopping ({attempt.stop_reason}); {alive}")
    return Explanation(job.state.value, f"it does not wait: {alive}, placed by {attempt.reason}")


def _node_class(node: Node) -> str:
    models = Counter(d.spec.model for d in node.devices)
    return " + ".join(f"{n}x{model}" for model, n in sorted(models.items())) or "no GPU"


def _blockers(found: Survey) -> tuple[Blocker, ...]:
    groups: dict[tuple[str, str], list[NodeId]] = {}
    for fit in found.fits:
        prefix = f"role {fit.role.name}: " if len(found.fits) > 1 else ""
        for node, room, refusal in fit.refused:
            text = f"room for {room} of {fit.role.shards} shards" if room else refusal.text
            key = (refusal.code.value, f"{prefix}{_node_class(node)}: {text}")
            groups.setdefault(key, []).append(node.id)
    rows = [Blocker(c, t, len(ids), tuple(ids[:EXAMPLES])) for (c, t), ids in groups.items()]
    return tuple(sorted(rows, key=lambda b: (-b.nodes, b.code, b.text)))


def _holders(cluster: Cluster, found: Survey) -> tuple[JobId, ...]:
    """Jobs that hold what this one lacks: those on nodes that would do if they were idle."""
    busy = {n.id: n for f in found.fits for n, _, r in f.refused if r.code.is_busy}
    jobs = {key.job_id for node in busy.values() for key in node.holds}
    return tuple(sorted(jobs, key=lambda i: cluster.jobs[i].submit_seq))


def _dominant(
    cluster: Cluster, job: Job, policy: Policy, found: Survey, ahead: int
) -> tuple[str, str]:
    asks = f"asks {_asks(job)}"
    if not found.is_possible:
        return found.code, f"{asks}; the present nodes could never hold it, even when idle"
    if found.fit_now < job.spec.world_size or not _fits_alone(cluster, job, policy):
        return found.code, f"{asks}; {found.text}"
    if any(start.job_id == job.id for start in decide(cluster, policy).starts):
        return "STARTING_NEXT", f"{asks}; it fits and starts with the next decision"
    if policy.order.is_strict:
        first = "1 job goes" if ahead == 1 else f"{ahead} jobs go"
        return "BEHIND", f"{asks}, which fits, but {first} first in a strict order"
    return "ORDER", f"{asks}, which fits, but jobs ahead of it take that capacity first"


def _fits_alone(cluster: Cluster, job: Job, policy: Policy) -> bool:
    """Would it start now if nobody else waited?"""
    with Draft(cluster) as draft:
        return policy.place.place(draft, job, Fuel(FUEL)) is not None


def _asks(job: Job) -> str:
    parts = []
    for role in job.spec.roles:
        parts.append(f"{role.shards} x ({describe_need(role.need)})")
    return " + ".join(parts)


def describe_need(need: Need) -> str:
    """A shard's need in a few words: `1 GPU H100 of 80000 MiB, 2 CPU, 512 MiB`."""
    parts = []
    if need.gpu_milli:
        kind = f" {' or '.join(need.gpu_types)}" if need.gpu_types else ""
        memory = f" of {need.gpu_memory_mib} MiB" if need.gpu_memory_mib else ""
        parts.append(f"{need.gpu_milli / 1000:g} GPU{kind}{memory}")
    if need.cpu_milli:
        parts.append(f"{need.cpu_milli / 1000:g} CPU")
    if need.memory_mib:
        parts.append(f"{need.memory_mib} MiB")
    return ", ".join(parts) or "nothing"


def _unblock(job: Job, found: Survey, code: str, holders: tuple[JobId, ...]) -> tuple[str, ...]:
    ways = []
    if found.is_possible and holders:
        named = ", ".join(holders[:EXAMPLES]) + (" ..." if len(holders) > EXAMPLES else "")
        ways.append(f"when enough of {named} end, or: massctl cancel {holders[-1]}")
    if len(found.fits) == 1 and 0 < found.fit_now < job.spec.world_size:
        ways.append(f"with {found.fit_now} shards instead of {job.spec.world_size} it fits now")
    for fit in found.fits:
        if fit.empty < fit.role.shards:
            need = describe_need(fit.role.need)
            labels = "".join(f", label {k}={v}" for k, v in sorted(job.spec.node_selector.items()))
            if fit.empty:
                ways.append(f"role {fit.role.name}: at most {fit.empty} shards of {need} ever fit")
            else:
                ways.append(f"role {fit.role.name}: a node that can hold {need}{labels}")
    if code == "ROLES_TOGETHER":
        ways.append("when a node that several roles want has more free, or with smaller roles")
    codes = {refusal.code for fit in found.fits for _, _, refusal in fit.refused}
    if found.is_possible and codes & {Code.NODE_SUSPECT, Code.NODE_LOST}:
        ways.append("when the silent nodes come back: massctl nodes")
    return tuple(ways)
