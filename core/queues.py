"""Queues: who may use how much. A tree with guarantees, limits, borrowing and lending.

Amounts are dicts by resource: "gpu" (milli, any model), "gpu:MODEL", "cpu" (milli), "memory" (MiB).
Every amount of a job counts for its queue and for every queue above it.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from aimass.core.decay import Fair, fade

FAIR = ("gpu", "cpu", "memory")  # the resources of fair share, in the order of Fair
ROOT = "root"
DEFAULT = "default"

Amounts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Cell:
    """What a queue has in reserve in one piece, `count` times.

    gpus: whole GPUs of the model on one node. shards: so many times as many, for a gang, all in one
    domain of the topology level; one shard needs no level.
    """

    gpus: int
    model: str
    count: int
    shards: int = 1
    level: str = ""

    @property
    def gpu_milli(self) -> int:
        """All its GPUs, of every count."""
        return 1000 * self.gpus * self.shards * self.count


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """What an operator says of a queue. A resource that a dict does not name is not bounded by it.

    quota: guaranteed, together with what the queues below guarantee. limit: never more than this.
    borrow_limit: beyond the quota at most this. lend_limit: others get at most this of it.
    reclaim: takes its quota back from those who borrowed it. weight: share of what nobody is
    guaranteed. max_jobs, max_queued: 0 = any number. job_limit: of one job. max_walltime_ms: of one
    job, which must then give one. half_life_ms: of past use in fair share (ROOT's counts for all).
    reserve: of its quota, what it is guaranteed in one piece.
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
    reserve: tuple[Cell, ...] = ()


def _zeros() -> Amounts:
    return defaultdict(int)


@dataclass(slots=True)
class Queue:
    """A queue's row: its spec, what is in use in it and below it, and its decayed past use.

    used: held now (also by those who are leaving). leaving: of used, ordered to stop. claimed:
    owned by next attempts. firm: of what will stay used or claimed, by jobs that cannot be
    preempted. history: amount x ms of gpu, cpu and memory, decayed, exact at settled_ms; `steady`
    has been in use since then (of FAIR alone), whatever a Draft tries.
    """

    spec: QueueSpec
    history: Fair = (0, 0, 0)
    settled_ms: int = 0
    used: Amounts = field(default_factory=_zeros)
    leaving: Amounts = field(default_factory=_zeros)
    claimed: Amounts = field(default_factory=_zeros)
    firm: Amounts = field(default_factory=_zeros)
    steady: Fair = (0, 0, 0)
    active: int = 0  # jobs that hold or own capacity
    stopping: int = 0  # of active: on their way out, for good
    queued: int = 0  # jobs QUEUED or HELD
    # Of this very queue: priority -> active jobs that may be preempted.
    active_by_priority: dict[int, int] = field(default_factory=dict)
    version: int = field(default=0, repr=False, compare=False)  # rises with every charge
    tree: "Tree" = field(init=False, repr=False, compare=False)

    def owned(self, key: str) -> int:
        """What is in use when everybody who is leaving has left and every claim is held."""
        used = self.used.get(key, 0) - self.leaving.get(key, 0)
        return used + self.claimed.get(key, 0)


@dataclass(slots=True)
class Tree:
    """What follows of a queue from all specs; see link().

    chain: itself and the queues above it. own: its quota, with "gpu" as the sum of its models when
    it names only these. guarantee: own, and that of all below. named: resources that it or a queue
    below names in a quota. stock: of guarantee, what it and the queues above may draw on. kept: of
    stock, what it does not lend. keeps: it or a queue below keeps anything. ruled (of ROOT): the
    resources that any queue guarantees, lends or borrows. reserved (of ROOT): what all queues have
    in reserve, the largest first. by_model (of ROOT): some queue bounds GPUs of a model.
    """

    chain: tuple[Queue, ...]
    children: list[Queue]
    own: Amounts
    guarantee: Amounts
    named: set[str]
    stock: Amounts
    kept: Amounts
    keeps: bool
    ruled: tuple[str, ...] = ()
    reserved: tuple["Reserve", ...] = ()
    by_model: bool = False


class Reserve(NamedTuple):
    """A cell of a queue. family: the queue and all below it, whose jobs may use it."""

    queue: str
    cell: Cell
    family: frozenset[str]


def new_queues() -> dict[str, Queue]:
    """The queues of a new cluster: ROOT and DEFAULT."""
    queues = {ROOT: Queue(QueueSpec(ROOT, parent="")), DEFAULT: Queue(QueueSpec(DEFAULT))}
    link(queues)
    return queues


def link(queues: dict[str, Queue]) -> None:
    """Derive every queue's Tree; after any change of specs. O(queues * depth)."""
    for queue in queues.values():
        chain = [queue]
        while chain[-1].spec.parent:
            chain.append(queues[chain[-1].spec.parent])
        own = effective(queue.spec.quota)
        named = set(queue.spec.quota)
        queue.tree = Tree(tuple(chain), [], own, dict(own), named, dict(own), {}, False)
    ruled: dict[str, None] = {}
    for queue in sorted(queues.values(), key=lambda q: -len(q.tree.chain)):  # the deepest first
        tree, spec = queue.tree, queue.spec
        for key, most in spec.lend_limit.items():
            if (kept := tree.stock.get(key, 0) - most) > 0:
                tree.kept[key] = kept
        tree.keeps = tree.keeps or bool(tree.kept)
        ruled.update(dict.fromkeys((*tree.own, *spec.lend_limit, *spec.borrow_limit)))
        if len(tree.chain) > 1:
            above = tree.chain[1].tree
            above.keeps = above.keeps or tree.keeps
            above.named |= tree.named
            for key, amount in tree.guarantee.items():
                above.guarantee[key] = above.guarantee.get(key, 0) + amount
            for key, amount in tree.stock.items():
                lent = amount - tree.kept.get(key, 0)
                above.stock[key] = above.stock.get(key, 0) + lent
    for queue in queues.values():  # by creation
        if queue.spec.parent:
            queue.tree.chain[1].tree.children.append(queue)
    queues[ROOT].tree.ruled = tuple(sorted(ruled))
    queues[ROOT].tree.reserved = _reserved(queues)
    queues[ROOT].tree.by_model = any(map(_names_models, queues.values()))


def _names_models(queue: Queue) -> bool:
    """True when it guarantees or bounds GPUs of a model."""
    spec = queue.spec
    tables = (spec.quota, spec.limit, spec.borrow_limit, spec.lend_limit, spec.job_limit)
    return any(key.startswith("gpu:") for table in tables for key in table)


def _reserved(queues: dict[str, Queue]) -> tuple[Reserve, ...]:
    """By model; then the widest cells first, and a queue before those above it. O(queues)."""
    families: dict[str, set[str]] = {q.spec.name: set() for q in queues.values() if q.spec.reserve}
    if not families:
        return ()
    for queue in queues.values():
        for above in queue.tree.chain:
            if above.spec.name in families:
                families[above.spec.name].add(queue.spec.name)
    found = [
        (cell.model, -cell.gpus, -cell.shards, -len(queue.tree.chain), number, queue, cell)
        for number, queue in enumerate(queues.values())
        for cell in queue.spec.reserve
    ]
    found.sort(key=lambda row: row[:5])
    return tuple(
        Reserve(queue.spec.name, cell, frozenset(families[queue.spec.name]))
        for *_, queue, cell in found
    )


def effective(quota: Amounts) -> Amounts:
    """The quota, with GPUs of any model as the sum of its models where it names only these."""
    total = sum(amount for key, amount in quota.items() if key.startswith("gpu:"))
    return quota if "gpu" in quota or not total else {**quota, "gpu": total}


def count(
    queues: dict[str, Queue], name: str, active: int = 0, stopping: int = 0, queued: int = 0
) -> None:
    """Add to the counts of jobs of a queue and all above it. O(depth)."""
    for queue in queues[name].tree.chain:
        queue.active += active
        queue.stopping += stopping
        queue.queued += queued


def count_preemptible(queue: Queue, priority: int, by: int) -> None:
    """Change the number of active jobs of this queue that may be preempted. O(1)."""
    left = queue.active_by_priority.get(priority, 0) + by
    if left:
        queue.active_by_priority[priority] = left
    else:
        queue.active_by_priority.pop(priority, None)


def settle(queues: dict[str, Queue], name: str, now_ms: int) -> None:
    """Bring the history of a queue and all above it up to now, after its use has changed.

    Until now `steady` was in use, from now on it is `used`. Only for apply: a Draft changes what is
    used, never what was. O(depth). A queue that has a parent for itself has the same past as it:
    worked out once.
    """
    half_life_ms = queues[ROOT].spec.half_life_ms
    past: tuple[int, Fair, Fair] | None = None
    faded: Fair = (0, 0, 0)
    for queue in queues[name].tree.chain:
        if queue.settled_ms != now_ms:
            own = (queue.settled_ms, queue.steady, queue.history)
            if own != past:
                past = own
                faded = fade(queue.history, queue.steady, now_ms - queue.settled_ms, half_life_ms)
            queue.history = faded
            queue.settled_ms = now_ms
        used = queue.used
        queue.steady = (used["gpu"], used["cpu"], used["memory"])


def settle_row(queue: Queue, now_ms: int, half_life_ms: int) -> None:
    """The same for one queue alone. O(1)."""
    queue.history = fade(queue.history, queue.steady, now_ms - queue.settled_ms, half_life_ms)
    queue.settled_ms = now_ms
    queue.steady = rates_of(queue)


def rates_of(queue: Queue) -> Fair:
    """What is in use of the resources of fair share. O(1)."""
    used = queue.used
    return used["gpu"], used["cpu"], used["memory"]


def named(history: Fair) -> Amounts:
    """A history by resource, without zeros."""
    return {key: amount for key, amount in zip(FAIR, history, strict=True) if amount}


def unnamed(history: Amounts) -> Fair:
    """The inverse of named()."""
    return history.get("gpu", 0), history.get("cpu", 0), history.get("memory", 0)


def history_at(queue: Queue, now_ms: int, half_life_ms: int) -> Amounts:
    """The decayed history by resource as of now; nothing is written. O(1)."""
    span_ms = now_ms - queue.settled_ms
    return named(fade(queue.history, queue.steady, span_ms, half_life_ms))
