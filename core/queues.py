"""Queues: who may use how much. A tree with guarantees, limits, borrowing and lending, and its accounts.

Amounts are dicts by resource: "gpu" (milli, any model), "gpu:MODEL", "cpu" (milli), "memory" (MiB).
Every amount of a job counts for its queue and for every queue above it.
"""

from dataclasses import dataclass, field

ROOT = "root"
DEFAULT = "default"

Amounts = dict[str, int]


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """What an operator says of a queue. A resource that a dict does not name is not bounded by it.

    quota: guaranteed, together with what the queues below guarantee. limit: never more than this.
    borrow_limit: beyond the quota at most this. lend_limit: of an idle quota others get at most this.
    reclaim: takes its quota back from those who borrowed it. weight: share of what nobody is
    guaranteed. max_jobs, max_queued: 0 = any number. job_limit: of one job. max_walltime_ms: of one
    job, which must then give one. half_life_ms: of past use in fair share (ROOT's counts for all).
    """

    name: str
    parent: str = ROOT
    weight: int = 1
    quota: Amounts = field(default_factory=dict)
    limit: Amounts = field(default_factory=dict)
    borrow_limit: Amounts = field(default_factory=dict)
    lend_limit: Amounts = field(default_factory=dict)
    reclaim: bool = True
    max_jobs: int = 0
    max_queued: int = 0
    job_limit: Amounts = field(default_factory=dict)
    max_walltime_ms: int = 0
    priority_min: int = -1_000_000
    priority_max: int = 1_000_000
    min_runtime_ms: int = 0  # its jobs are not preempted earlier
    half_life_ms: int = 7 * 24 * 3600 * 1000


@dataclass(slots=True)
class Queue:
    """A queue's row: its spec, what is in use below it, and its decayed past use.

    used: held now (also by those who are leaving). leaving: of used, ordered to stop. claimed:
    owned by reserved attempts. firm: of used and claimed, by jobs that cannot be preempted.
    history: amount x ms, decayed, exact at settled_ms. chain: itself and the queues above it.
    """

    spec: QueueSpec
    history: Amounts = field(default_factory=dict)
    settled_ms: int = 0
    used: Amounts = field(default_factory=dict)
    leaving: Amounts = field(default_factory=dict)
    claimed: Amounts = field(default_factory=dict)
    firm: Amounts = field(default_factory=dict)
    active: int = 0  # jobs that hold or own capacity
    queued: int = 0  # jobs QUEUED or HELD


def charge(
    queues: dict[str, Queue], name: str, preemptible: bool, table: str, amounts: Amounts, sign: int
) -> None:
    """Enter amounts into a table ("used", "leaving", "claimed") of a queue and all above it."""
    while name:
        queue = queues[name]
        row: Amounts = getattr(queue, table)
        for key, amount in amounts.items():
            row[key] = row.get(key, 0) + sign * amount
        name = queue.spec.parent


def settle(queues: dict[str, Queue], name: str, now_ms: int) -> None:
    """Bring the decayed history of a queue and all above it up to now, before its use changes."""
    while name:
        queues[name].settled_ms = now_ms
        name = queues[name].spec.parent
