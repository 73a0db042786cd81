"""What a failed shard means for its job: tried again, held or over; and how long it then waits."""

from dataclasses import replace

from aimass.core.cluster import Cluster
from aimass.core.feasible import shards_when_empty
from aimass.core.model import Exit, ExitReason, Goal, Job, Node, NodeId, NodeState
from aimass.core.spec import Retry, RetryAction, RetryRule

AVOID_KEPT = 16  # nodes that a job stays away from; the oldest is forgotten for another
FAULTS_KEPT = 8  # infrastructure faults in a row that are remembered
FAULTS_FREE = 2  # so many of them delay nothing, and on one node mean nothing
FAULT_BACKOFF_MS = 30_000
FAULT_BACKOFF_MAX_MS = 600_000
HISTORY_NAMED = 3  # earlier failures that the outcome of the last one tells
MEMORY_MIB_MAX = 2**40

_PROGRAM_ENDED = (ExitReason.EXITED, ExitReason.OUT_OF_MEMORY)


def judge_failure(job: Job, rank: int, how: Exit, reason: str) -> tuple[Goal, str]:
    """What becomes of the job when this shard, the first of its gang, failed; and why.

    The job remembers what the rule says: the count, the node to avoid, more memory.
    """
    retry = job.spec.retry
    placement = job.current.placements[rank]
    rule = next((rule for rule in retry.rules if _matches(rule, how)), RetryRule(RetryAction.RETRY))
    if rule.action is RetryAction.HOLD:
        return Goal.HOLD, reason
    if rule.action is RetryAction.FAIL or (rule.counts and job.retries >= retry.limit):
        return Goal.FAIL, _history(job, reason)
    if rule.counts:
        job.retries += 1
    else:
        job.losses += 1
    if rule.avoid_node:
        avoid(job, placement.node_id)
    more = _raise_memory(job, placement.role, rule.memory_factor_milli)
    return Goal.RETRY, reason + more


def _matches(rule: RetryRule, how: Exit) -> bool:
    if not rule.exit_codes and not rule.reasons:
        return True
    code = 128 + how.signal if how.signal else how.code  # as a shell says it
    by_code = how.reason in _PROGRAM_ENDED and code in rule.exit_codes
    return by_code or how.reason.value in rule.reasons


def _history(job: Job, reason: str) -> str:
    """The reason, after those of the attempts before it that had failed too."""
    failed = [a for a in job.attempts[:-1] if a.stop_goal is Goal.RETRY]
    if not failed:
        return reason
    told = [f"attempt {a.number}: {a.outcome}" for a in failed[-HISTORY_NAMED:]]
    times = max(len(failed), job.retries) + 1
    return f"failed {times} times: {'; '.join(told)}; the last: {reason}"


def _raise_memory(job: Job, role: int, factor_milli: int) -> str:
    asked = job.spec.roles[role]
    memory_mib = min(MEMORY_MIB_MAX, asked.need.memory_mib * factor_milli // 1000)
    if memory_mib <= asked.need.memory_mib:
        return ""
    roles = list(job.spec.roles)
    roles[role] = replace(asked, need=replace(asked.need, memory_mib=memory_mib))
    job.spec = replace(job.spec, roles=tuple(roles))
    return f"; its shards get {memory_mib} MiB next time"


def avoid(job: Job, node_id: NodeId) -> None:
    """The job does not go to this node again."""
    if node_id not in job.avoid:
        job.avoid = (*job.avoid, node_id)[-AVOID_KEPT:]


def note_fault(cluster: Cluster, job: Job, node: Node) -> None:
    """An attempt was lost to this node: not the job's failure, but perhaps its bad company.

    A node that takes it down again and again is avoided where the others could hold it without.
    """
    job.losses += 1
    job.faults = (*job.faults, node.id)[-FAULTS_KEPT:]
    if job.faults.count(node.id) > FAULTS_FREE and _fits_elsewhere(cluster, job, node):
        avoid(job, node.id)


def _fits_elsewhere(cluster: Cluster, job: Job, node: Node) -> bool:
    """True when the other ready nodes could hold each role, were they idle. O(nodes * devices)."""
    others = [
        other
        for other in cluster.nodes.values()
        if other.id != node.id and other.state is NodeState.READY and not other.cordon
    ]
    return all(
        sum(shards_when_empty(other, job, role.need) for other in others) >= role.least
        for role in job.spec.roles
    )


def backoff_ms(job: Job, goal: Goal) -> int:
    """How long the job waits before its next attempt."""
    if goal is Goal.RETRY:
        retry: Retry = job.spec.retry
        failed = sum(attempt.stop_goal is Goal.RETRY for attempt in job.attempts)
        times = max(failed, job.retries) - 1
        return _grown(retry.backoff_ms, retry.factor_milli, times, retry.backoff_max_ms)
    if len(job.faults) > FAULTS_FREE:
        times = len(job.faults) - FAULTS_FREE - 1
        return _grown(FAULT_BACKOFF_MS, 2000, times, FAULT_BACKOFF_MAX_MS)
    return 0


def _grown(base_ms: int, factor_milli: int, times: int, max_ms: int) -> int:
    """base * factor^times, at most max_ms, in integers. O(times)."""
    for _ in range(times):
        if base_ms >= max_ms:
            break
        base_ms = base_ms * factor_milli // 1000
    return min(max_ms, base_ms)
