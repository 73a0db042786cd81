"""explain(cluster, job, policy) -> Explanation: every reason why a job waits, with counts.

It asks the feasibility function that turned the job away, on every node, and groups the answers by
node class, so that "why" and "decide" cannot disagree.
"""

from collections import Counter
from dataclasses import dataclass

from aimass.core.cluster import Cluster
from aimass.core.decide import decide
from aimass.core.feasible import Code, Refusal, shards_fit, shards_when_empty
from aimass.core.model import Job, JobId, JobState, Node, NodeId
from aimass.core.policy import Policy
from aimass.core.spec import Need, Role

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
    """Why the job is where it is; complete for a queued one. O(roles · nodes · devices)."""
    if job.state is not JobState.QUEUED:
        return _not_waiting(job)
    if not cluster.nodes:
        return Explanation(
            "NO_NODES", "no node has joined the cluster", unblock=("start a node agent: massnode",)
        )
    asked = job.spec.world_size
    fits = [_role_fit(cluster, job, role) for role in job.spec.roles]
    fit_now = sum(f.now for f in fits)
    possible = all(f.empty >= role.shards for f, role in zip(fits, job.spec.roles, strict=True))
    blockers = _blockers(fits)
    holders = _holders(
        cluster, {n.id for f in fits for n, _, r in f.refused if r.code.is_transient}
    )
    ahead = cluster.waiting.ahead_of(job)
    code, summary = _dominant(cluster, job, policy, blockers, fit_now, possible, ahead)
    return Explanation(
        code=code,
        summary=summary,
        blockers=blockers,
        ahead=ahead,
        shards_asked=asked,
        shards_fit_now=fit_now,
        fits_when_empty=possible,
        holders=holders,
        unblock=_unblock(job, fits, possible, holders),
    )


def _not_waiting(job: Job) -> Explanation:
    if job.state.is_over:
        return Explanation(job.state.value, f"it is over: {job.outcome}")
    attempt = job.current
    alive = f"{attempt.live} of {len(attempt.shards)} shards hold capacity"
    if job.state is JobState.STOPPING:
        return Explanation(job.state.value, f"it is stopping ({attempt.stop_reason}); {alive}")
    return Explanation(job.state.value, f"it does not wait: {alive}, placed by {attempt.reason}")


@dataclass(frozen=True, slots=True)
class _RoleFit:
    """How one role fares on all nodes, each taken alone."""

    role: Role
    now: int
    empty: int
    refused: tuple[tuple[Node, int, Refusal], ...]  # nodes that cannot take every shard


def _role_fit(cluster: Cluster, job: Job, role: Role) -> _RoleFit:
    now = empty = 0
    refused = []
    for node in cluster.nodes.values():
        fit, refusal = shards_fit(node, role.need, job.spec.node_selector, role.shards)
        now += fit
        empty += shards_when_empty(node, role.need, job.spec.node_selector)
        if refusal is not None:
            refused.append((node, fit, refusal))
    return _RoleFit(role, min(now, role.shards), empty, tuple(refused))


def _node_class(node: Node) -> str:
    models = Counter(d.spec.model for d in node.devices)
    return " + ".join(f"{n}x{model}" for model, n in sorted(models.items())) or "no GPU"


def _blockers(fits: list[_RoleFit]) -> tuple[Blocker, ...]:
    groups: dict[tuple[str, str], list[NodeId]] = {}
    for fit in fits:
        prefix = f"role {fit.role.name}: " if len(fits) > 1 else ""
        for node, room, refusal in fit.refused:
            text = f"room for {room} of {fit.role.shards} shards" if room else refusal.text
            key = (refusal.code.value, f"{prefix}{_node_class(node)}: {text}")
            groups.setdefault(key, []).append(node.id)
    rows = [Blocker(c, t, len(ids), tuple(ids[:EXAMPLES])) for (c, t), ids in groups.items()]
    return tuple(sorted(rows, key=lambda b: (-b.nodes, b.code, b.text)))


def _holders(cluster: Cluster, nodes: set[NodeId]) -> tuple[JobId, ...]:
    found = {key.job_id for node_id in nodes for key in cluster.nodes[node_id].holds}
    return tuple(sorted(found, key=lambda i: cluster.jobs[i].submit_seq))


def _dominant(
    cluster: Cluster,
    job: Job,
    policy: Policy,
    blockers: tuple[Blocker, ...],
    fit_now: int,
    possible: bool,
    ahead: int,
) -> tuple[str, str]:
    asked = job.spec.world_size
    asks = _asks(job)
    if not possible:
        static = [b for b in blockers if not Code(b.code).is_transient]
        code = static[0].code if static else "CLUSTER_TOO_SMALL"
        return code, f"asks {asks}; the present nodes could never hold it, even when idle"
    if any(start.job_id == job.id for start in decide(cluster, policy).starts):
        return "STARTING_NEXT", f"asks {asks}; it fits and starts with the next decision"
    if fit_now >= asked:
        if policy.order.is_strict and ahead:
            return "BEHIND", f"asks {asks}, which fits, but {ahead} jobs go first in a strict order"
        return "ORDER", f"asks {asks}, which fits, but jobs ahead of it take that capacity first"
    code = blockers[0].code if blockers else "GANG"
    transient = [b for b in blockers if Code(b.code).is_transient]
    if transient:
        code = transient[0].code
    return code, f"asks {asks}; {fit_now} of {asked} shards fit now"


def _asks(job: Job) -> str:
    parts = []
    for role in job.spec.roles:
        parts.append(f"{role.shards} x ({describe_need(role.need)})")
    return " + ".join(parts)


def describe_need(need: Need) -> str:
    """A shard's need in a few words: `1 GPU, 2 CPUs, 512 MiB`."""
    parts = []
    if need.gpu_milli:
        kind = f" {' or '.join(need.gpu_types)}" if need.gpu_types else ""
        parts.append(f"{need.gpu_milli / 1000:g} GPU{kind}")
    if need.cpu_milli:
        parts.append(f"{need.cpu_milli / 1000:g} CPU")
    if need.memory_mib:
        parts.append(f"{need.memory_mib} MiB")
    return ", ".join(parts) or "nothing"


def _unblock(
    job: Job, fits: list[_RoleFit], possible: bool, holders: tuple[JobId, ...]
) -> tuple[str, ...]:
    ways = []
    if possible and holders:
        named = ", ".join(holders[:EXAMPLES]) + (" ..." if len(holders) > EXAMPLES else "")
        ways.append(f"when enough of {named} end, or: massctl cancel {holders[-1]}")
    if len(fits) == 1 and 0 < fits[0].now < job.spec.world_size:
        ways.append(f"with {fits[0].now} shards instead of {job.spec.world_size} it fits now")
    for fit in fits:
        if fit.empty < fit.role.shards:
            need = describe_need(fit.role.need)
            if fit.empty:
                ways.append(f"role {fit.role.name}: at most {fit.empty} shards of {need} ever fit")
            else:
                ways.append(f"role {fit.role.name}: a node that can hold {need}")
    suspects = {r.code for f in fits for _, _, r in f.refused}
    if Code.NODE_SUSPECT in suspects or Code.NODE_LOST in suspects:
        ways.append("when the silent nodes come back: massctl nodes")
    return tuple(ways)
