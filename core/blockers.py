"""Everything that is in a waiting job's way, with counts, from the functions that turn it away."""

from collections import Counter
from dataclasses import dataclass

from aimass.core.cluster import Cluster
from aimass.core.feasible import Code, suits_some_role
from aimass.core.model import Job, JobState, NodeId
from aimass.core.plan import Planned
from aimass.core.quota import quota_refusal
from aimass.core.runtimes import open_run_ms
from aimass.core.survey import Survey
from aimass.core.text import shards_text
from aimass.core.turned import Turned
from aimass.core.wants import amounts_asked, forms, locality_ends_ms
from aimass.core.windows import admits, next_overlap
from aimass.core.words import in_text

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Blocker:
    """One reason on one class of nodes. nodes == 0: about the gang or the queue as a whole."""

    code: str
    text: str
    nodes: int
    examples: tuple[NodeId, ...]


def node_blockers(found: Survey) -> tuple[Blocker, ...]:
    """What the nodes say, by class of node, the most frequent first."""
    groups: dict[tuple[str, str], list[NodeId]] = {}
    classes: dict[tuple[str, ...], str] = {}
    for fit in found.fits:
        prefix = f"role {fit.role.name}: " if len(found.fits) > 1 else ""
        for node, room, refusal in fit.refused:
            text = f"room for {room} of {shards_text(fit.role.shards)}" if room else refusal.text
            models = tuple([device.spec.model for device in node.devices])
            if models not in classes:
                classes[models] = _node_class(models)
            key = (refusal.code.value, f"{prefix}{classes[models]}: {text}")
            groups.setdefault(key, []).append(node.id)
    rows = [Blocker(c, t, len(ids), tuple(ids[:EXAMPLES])) for (c, t), ids in groups.items()]
    return tuple(sorted(rows, key=lambda b: (-b.nodes, b.code, b.text)))


def _node_class(models: tuple[str, ...]) -> str:
    counts = sorted(Counter(models).items())
    return " + ".join(f"{count}x{model}" for model, count in counts) or "no GPU"


def job_blockers(
    cluster: Cluster, job: Job, turned: Turned | None, now_ms: int
) -> tuple[Blocker, ...]:
    """What is in the way of the gang as a whole: rules, promises, reservations, the hour."""
    rows: list[tuple[Code, str]] = []
    if job.state is JobState.HELD:
        rows.append((Code.HELD, job.hold_reason or "held"))
    rows += [(Code.DEPENDENCY, f"{target} is not over") for target in job.unmet]
    if job.not_before_ms > now_ms:
        is_asked = job.not_before_ms == job.spec.start_after_ms
        code = Code.NOT_BEFORE if is_asked else Code.BACKOFF
        rows.append((code, f"to be considered {in_text(job.not_before_ms - now_ms)}"))
    rows += _quotas(cluster, job)
    own = (Code.PROMISED, Code.WINDOW)  # they have rows of their own
    if (
        turned is not None
        and not (turned.is_physical or turned.is_quota)
        and (turned.refusal.code not in own)
    ):
        rows.append((turned.refusal.code, turned.refusal.text))
    topology = job.spec.topology
    if topology.preferred and now_ms < locality_ends_ms(job):
        left = in_text(locality_ends_ms(job) - now_ms)
        text = f"wants room within one {topology.preferred}, and takes any {left}"
        rows.append((Code.LOCALITY_WAIT, text))
    until_ms = job.queued_ms + job.spec.preemption.delay_ms
    if job.spec.preemption.delay_ms and now_ms < until_ms:
        text = f"asks not to take the place of others yet; it may {in_text(until_ms - now_ms)}"
        rows.append((Code.PREEMPT_DELAY, text))
    found = [Blocker(code.value, text, 0, ()) for code, text in dict.fromkeys(rows)]
    return (*found, *_windows(cluster, job, now_ms))


def promise_blockers(
    cluster: Cluster, promises: tuple[Planned, ...], now_ms: int
) -> tuple[Blocker, ...]:
    """The starts promised to jobs ahead that keep what is free, the next ones first."""
    found = []
    for planned in sorted(promises, key=lambda p: p.start_ms)[:EXAMPLES]:
        when = in_text(planned.start_ms - now_ms) if planned.is_known else "when others end"
        text = f"{planned.job_id} ({cluster.jobs[planned.job_id].user}) is to start there {when}"
        nodes = list(dict.fromkeys(p.node_id for p in planned.placements))
        found.append(Blocker(Code.PROMISED.value, text, len(nodes), tuple(nodes[:EXAMPLES])))
    return tuple(found)


def _quotas(cluster: Cluster, job: Job) -> list[tuple[Code, str]]:
    """What its queues refuse, in whichever form."""
    found = []
    for want in forms(job, cluster.now_ms):
        refusal = quota_refusal(cluster, job, amounts_asked(job, want))
        if refusal is not None:
            found.append((refusal.code, refusal.text))
    return found


def _windows(cluster: Cluster, job: Job, now_ms: int) -> list[Blocker]:
    """Reservations of others that begin before the job would be over, on nodes it could use."""
    found = []
    run_ms = open_run_ms(cluster, job)
    for window in cluster.windows.values():
        span = next_overlap(window, now_ms, now_ms + run_ms)
        if span is None or admits(cluster, window, job):
            continue
        there = [cluster.nodes[i] for i in map(NodeId, window.nodes) if i in cluster.nodes]
        nodes = [node.id for node in there if suits_some_role(node, job)]
        if not nodes:
            continue
        begins = "is in force" if span[0] <= now_ms else f"begins {in_text(span[0] - now_ms)}"
        text = f"reservation {window.name} {begins}"
        found.append(Blocker(Code.WINDOW.value, text, len(nodes), tuple(nodes[:EXAMPLES])))
    return found
