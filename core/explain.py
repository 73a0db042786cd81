"""explain(cluster, job, policy) -> Explanation: every reason why a job waits, with counts.

It asks the functions that turned the job away, in the order in which decide() asks them, so that
"why" and "decide" cannot disagree. What would help is tried, never guessed: see relax.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from aimass.core.blockers import Blocker, job_blockers, node_blockers, promise_blockers
from aimass.core.cluster import Cluster
from aimass.core.decide import decide
from aimass.core.draft import Draft
from aimass.core.feasible import Code, Refusal
from aimass.core.forecast import Outlook
from aimass.core.holders import Holder, holders_of
from aimass.core.model import Job, JobId, JobState, NodeId, StopRule
from aimass.core.policy import Policy
from aimass.core.protected import protected_blockers
from aimass.core.queue_problems import firm_warning
from aimass.core.relax import Change, relax
from aimass.core.reserves import cell_states, cell_text
from aimass.core.resize_waits import extras_kept, own_interval
from aimass.core.runtimes import stop_ms
from aimass.core.spans import span_text
from aimass.core.survey import Survey, survey
from aimass.core.text import shards_text
from aimass.core.trial import Trial, Tried, as_of
from aimass.core.words import describe_need as describe_need
from aimass.core.words import in_text, some

NOBODY_KNOWS = Outlook()
AHEAD_MAX = 1_000  # more are not counted
LOOKED_AHEAD_MAX = 2_000  # active jobs among which a start is looked for that nobody promised


@dataclass(frozen=True, slots=True)
class Owned:
    """Places that the job owns and others are leaving; by_ms: when they should have left."""

    nodes: tuple[NodeId, ...]
    victims: tuple[JobId, ...]
    by_ms: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """The dominant reason, all others with counts, who holds what it waits for, what would help.

    code: a Code's word while it waits, else the job's state. kind: what would have to change, see
    codes.Kind; empty when it does not wait. holders: the first few of holders_total, who is
    expected to end first leading. ahead: AHEAD_MAX stands for that many or more.
    """

    code: str
    summary: str
    kind: str = ""
    blockers: tuple[Blocker, ...] = ()
    ahead: int = 0
    shards_asked: int = 0
    shards_fit_now: int = 0
    fits_when_empty: bool = True
    holders: tuple[Holder, ...] = ()
    holders_total: int = 0
    start: Outlook = NOBODY_KNOWS
    owned: Owned | None = None
    changes: tuple[Change, ...] = ()
    unblock: tuple[str, ...] = ()


def explain(cluster: Cluster, job: Job, policy: Policy, now_ms: int = 0) -> Explanation:
    """Why the job is where it is; complete for one that waits.

    now_ms: the time it is (0: that of the newest event). O(roles * nodes * devices + waiting jobs +
    changes tried); O(active jobs) to name who holds what it waits for.
    """
    with as_of(cluster, now_ms):
        return _explain(cluster, job, policy)


def _explain(cluster: Cluster, job: Job, policy: Policy) -> Explanation:
    now_ms = cluster.now_ms
    if job.state is JobState.RESERVED:
        return _reserved(cluster, job)
    if job.state not in (JobState.QUEUED, JobState.HELD):
        return replace(_not_waiting(job), blockers=own_interval(cluster, job))
    if not cluster.nodes:
        text = "no node has joined the cluster"
        fix = ("start a node agent: massnode",)
        return Explanation("NO_NODES", text, Code.NO_NODES.kind.value, unblock=fix)
    found = survey(cluster, job)
    with Draft(cluster) as draft:
        trial = Trial(draft, policy)
        tried = trial.attempt(job)
        delayed = _delayed(trial, cluster, job, tried)
        is_allotted = policy.allot is not None  # then no form of one job says what it would get
        changes = [] if is_allotted else relax(trial, cluster, job, tried.turned)
        start = NOBODY_KNOWS if is_allotted else _outlook(trial, cluster, job)
        promises = tuple(trial.behind(job).promises.values())
        kept: tuple[Blocker, ...] = ()
        if tried.turned is not None and not tried.turned.is_quota:
            search = trial.behind(job)
            kept = (
                *protected_blockers(search, job, found),
                *extras_kept(search, job, found),
            )
    refusal = _dominant(cluster, job, policy, found, tried, delayed)
    holders, total = holders_of(cluster, job, found, tried.turned)
    return Explanation(
        code=refusal.code.value,
        summary=refusal.text,
        kind=refusal.code.kind.value,
        blockers=(
            *job_blockers(cluster, job, tried.turned, now_ms),
            *(promise_blockers(cluster, promises, now_ms) if _is_promised_away(tried) else ()),
            *kept,
            *node_blockers(found),
        ),
        ahead=_ahead(cluster, job, policy),
        shards_asked=job.spec.world_size,
        shards_fit_now=found.fit_now,
        fits_when_empty=found.is_possible,
        holders=holders,
        holders_total=total,
        start=NOBODY_KNOWS if refusal.code is Code.STARTING_NEXT else start,
        changes=tuple(changes),
        unblock=_unblock(cluster, job, found, refusal.code),
    )


def outlook(cluster: Cluster, job: Job, policy: Policy, now_ms: int = 0) -> Outlook:
    """When a job that waits will start, as explain() says it, and nothing else of that."""
    with as_of(cluster, now_ms):
        if job.state is JobState.RESERVED:
            return _reserved(cluster, job).start
        if job.state is not JobState.QUEUED or not cluster.nodes:
            return NOBODY_KNOWS
        with Draft(cluster) as draft:
            return _outlook(Trial(draft, policy), cluster, job)


def main_reason(cluster: Cluster, job: Job, policy: Policy) -> Refusal:
    """Only the dominant reason of a job that waits or owns places. O(roles * nodes * devices)."""
    if job.state is JobState.RESERVED:
        found = _reserved(cluster, job)
        return Refusal(Code.RESERVED, found.summary)
    if not cluster.nodes:
        return Refusal(Code.NO_NODES, "no node has joined the cluster")
    with Draft(cluster) as draft:
        trial = Trial(draft, policy)
        tried = trial.attempt(job)
        delayed = _delayed(trial, cluster, job, tried)
    return _dominant(cluster, job, policy, survey(cluster, job), tried, delayed)


def _not_waiting(job: Job) -> Explanation:
    if job.state.is_over:
        return Explanation(job.state.value, f"it is over: {job.outcome}")
    attempt = job.current
    count = len(attempt.shards)
    verb = "holds" if count == 1 else "hold"
    alive = f"{attempt.live} of {shards_text(count)} {verb} capacity"
    if job.state is JobState.STOPPING:
        return Explanation(job.state.value, f"it is stopping ({attempt.stop_reason}); {alive}")
    return Explanation(job.state.value, f"it does not wait: {alive}, placed by {attempt.reason}")


def _reserved(cluster: Cluster, job: Job) -> Explanation:
    """It owns its places already."""
    now_ms = cluster.now_ms
    claim = cluster.claims[job.id]
    nodes = tuple(dict.fromkeys(p.node_id for p in claim.placements))
    leaving = [cluster.jobs[i] for i in claim.victims if i in cluster.jobs]
    leaving = [other for other in leaving if other.state is JobState.STOPPING]
    by_ms = max((o.current.stopping_ms + stop_ms(o) for o in leaving), default=now_ms)
    names = some([other.id for other in leaving]) or "those who are stopping there"
    text = f"it owns places on {some(nodes)} and waits for {names} to leave"
    if by_ms > now_ms:
        text += f", at most {span_text(max(1000, by_ms - now_ms))}"
    for other in leaving[:1]:
        receipt = other.current.receipt
        if receipt is not None and receipt.rule is StopRule.MOVE:
            text += f"; {other.id} {receipt.reason}"  # with what that gains and costs
    holders, total = holders_of(cluster, job, None, None)
    return Explanation(
        Code.RESERVED.value,
        text,
        Code.RESERVED.kind.value,
        shards_asked=job.spec.world_size,
        holders=holders,
        holders_total=total,
        start=Outlook(by_ms, now_ms, by_ms, is_known=True, is_promise=True),
        owned=Owned(nodes, tuple(other.id for other in leaving), by_ms),
    )


def _is_promised_away(tried: Tried) -> bool:
    return tried.turned is not None and tried.turned.refusal.code is Code.PROMISED


def _delayed(trial: Trial, cluster: Cluster, job: Job, tried: Tried) -> int:
    """When it may take somebody's place, if only its own delay keeps it from that now; else 0."""
    until_ms = job.queued_ms + job.spec.preemption.delay_ms
    if tried.turned is None or not tried.turned.may_take or until_ms <= cluster.now_ms:
        return 0
    patient = replace(job, queued_ms=cluster.now_ms - job.spec.preemption.delay_ms)
    return until_ms if trial.attempt(patient, may_take=True).turned is None else 0


def _outlook(trial: Trial, cluster: Cluster, job: Job) -> Outlook:
    """What it is promised, else where it would fit after all that was promised to others.

    The latter is a lower bound: those ahead who were promised nothing are not in it.
    """
    planned = cluster.planned.get(job.id)
    if planned is not None:
        if not planned.is_known:
            return Outlook(is_promise=True)
        return Outlook(planned.start_ms, 0, planned.start_ms, is_known=True, is_promise=True)
    is_considered = job.id in cluster.waiting and not trial.policy.order.is_strict
    if not is_considered or len(cluster.active) > LOOKED_AHEAD_MAX:
        return NOBODY_KNOWS
    found = trial.earliest(job)
    if found is None or not found.is_known:
        return NOBODY_KNOWS
    return Outlook(after_ms=found.start_ms)


def _dominant(
    cluster: Cluster, job: Job, policy: Policy, found: Survey, tried: Tried, delayed: int
) -> Refusal:
    """The one reason, in the order in which a person would ask."""
    asks = f"asks {_asks(job)}"
    early = _too_early(cluster, job)
    if early is not None:
        return early
    if not found.is_possible:
        text = f"{asks}; the present nodes could never hold it, even when idle"
        return Refusal(Code(found.code), text)
    turned = tried.turned
    if turned is None:
        return _would_fit(cluster, job, policy, asks)
    if delayed:
        text = f"{asks}; it may take the place of others {in_text(delayed - cluster.now_ms)}"
        return Refusal(Code.PREEMPT_DELAY, text)
    if not turned.is_physical:
        return Refusal(turned.refusal.code, f"{asks}; {turned.refusal.text}")
    return Refusal(Code(found.code), f"{asks}; {found.text}")


def _too_early(cluster: Cluster, job: Job) -> Refusal | None:
    if job.state is JobState.HELD:
        return Refusal(Code.HELD, f"it is {job.hold_reason or 'held'}, until somebody releases it")
    if job.unmet:
        return Refusal(Code.DEPENDENCY, f"it waits for the end of {some(job.unmet)}")
    left_ms = job.not_before_ms - cluster.now_ms
    if left_ms <= 0:
        return None
    if job.not_before_ms == job.spec.start_after_ms:
        return Refusal(Code.NOT_BEFORE, f"it is to start {in_text(left_ms)} at the earliest")
    return Refusal(Code.BACKOFF, f"an attempt failed; it is tried again {in_text(left_ms)}")


def _would_fit(cluster: Cluster, job: Job, policy: Policy, asks: str) -> Refusal:
    """Alone it would start; so it is somebody else's turn, or it starts in a moment."""
    if any(start.job_id == job.id for start in decide(cluster, policy).starts):
        return Refusal(Code.STARTING_NEXT, f"{asks}; it fits and starts with the next decision")
    if policy.allot is not None:
        return Refusal(Code.ORDER, f"{asks}, which fits, but {policy.allot.name} grants it nothing")
    if policy.order.is_strict:
        ahead = _ahead(cluster, job, policy)
        first = "1 job goes" if ahead == 1 else f"{ahead} jobs go"
        return Refusal(Code.BEHIND, f"{asks}, which fits, but {first} first in a strict order")
    return Refusal(Code.ORDER, f"{asks}, which fits, but jobs ahead of it take that capacity first")


def _ahead(cluster: Cluster, job: Job, policy: Policy) -> int:
    """How many waiting jobs the policy takes first, counted up to AHEAD_MAX."""
    if job.id not in cluster.waiting:
        return 0
    order = enumerate(islice(policy.order.queue(cluster, set()), AHEAD_MAX))
    return next((n for n, (_, job_id) in order if job_id == job.id), AHEAD_MAX)


def _asks(job: Job) -> str:
    return " + ".join(f"{role.shards} x ({describe_need(role.need)})" for role in job.spec.roles)


def _unblock(cluster: Cluster, job: Job, found: Survey, code: Code) -> tuple[str, ...]:
    """What would help besides a change of the job."""
    ways = []
    never = firm_warning(cluster, job.spec)
    if never:
        ways.append(f"as it is, nothing: {never}")
    for fit in found.fits:
        if fit.empty < fit.role.least:
            need = describe_need(fit.role.need)
            labels = "".join(f", label {k}={v}" for k, v in sorted(job.spec.node_selector.items()))
            if fit.empty:
                ways.append(
                    f"role {fit.role.name}: at most {shards_text(fit.empty)} of {need} ever fit"
                )
            else:
                ways.append(f"role {fit.role.name}: a node that can hold {need}{labels}")
    if code is Code.ROLES_TOGETHER:
        ways.append("when a node that several roles want has more free, or with smaller roles")
    codes = {refusal.code for fit in found.fits for _, _, refusal in fit.refused}
    if found.is_possible and codes & {Code.NODE_SUSPECT, Code.NODE_LOST}:
        ways.append("when the silent nodes come back: massctl nodes")
    if found.is_possible and Code.NODE_CORDONED in codes:
        ways.append("when the cordoned nodes are used again: massctl uncordon NODE")
    return (*ways, *_lacking_cells(cluster, job))


def _lacking_cells(cluster: Cluster, job: Job) -> Iterator[str]:
    """What of the reserves of its queues cannot be had now, whoever were stopped."""
    states = cell_states(cluster)
    for queue in cluster.queues[job.spec.queue].tree.chain:
        for state in states.get(queue.spec.name, ()):
            if state.missing:
                cells = f"{state.cell.count} x ({cell_text(state.cell)})"
                yield (
                    f"{state.missing} of the {cells} that queue {queue.spec.name} has in reserve "
                    "cannot be had: when nodes come back, or jobs end that stay on them"
                )
