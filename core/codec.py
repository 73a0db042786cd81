"""Events and snapshots as bytes, and the hash of the state. Deterministic: sorted keys, no floats.

JSON, so that a journal can be read by eye and by tools; msgspec, because replay speed is restart
time (docs/decisions/0004). The only file of the core that leaves the standard library.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field, replace
from hashlib import blake2b

import msgspec

from aimass.core import lives
from aimass.core.capacity import claim, hold, leave
from aimass.core.cluster import Cluster
from aimass.core.demand import Demand, Lives
from aimass.core.events import EVENT_TYPES, Event
from aimass.core.model import Device, HoldKey, Job, JobId, JobState, Node, ShardState
from aimass.core.moves import count_job
from aimass.core.plan import Claim, Planned
from aimass.core.queues import Amounts, Queue, QueueSpec, link, named, rates_of, unnamed
from aimass.core.shapes import Shape
from aimass.core.spec import JobSpec
from aimass.core.tallies import ArrayRow, Moved, RunTime
from aimass.core.timers import set_timers
from aimass.core.windows import WindowSpec

# The rules of the fold. Raise it when the same events give other rows than in the last release:
# then snapshots that were made before are left aside, and every event is replayed.
FOLD = 3

# Damaged bytes can also be bad UTF-8 (a ValueError) or nested without end.
_DAMAGE = (msgspec.MsgspecError, KeyError, ValueError, RecursionError)
_encoder = msgspec.json.Encoder(order="deterministic")
_decoders = {cls.__name__: msgspec.json.Decoder(cls) for cls in EVENT_TYPES}
_batch_decoder = msgspec.json.Decoder(list[tuple[str, msgspec.Raw]])


class CodecError(ValueError):
    """The bytes are not what this version writes or can read."""


def encode_events(events: tuple[Event, ...] | list[Event]) -> bytes:
    """A batch as one JSON array of [type, event]."""
    return _encoder.encode([(type(event).__name__, event) for event in events])


def decode_events(data: bytes) -> list[Event]:
    """The batch back. Raises CodecError on anything unknown or damaged."""
    try:
        return [_decoders[name].decode(raw) for name, raw in _batch_decoder.decode(data)]
    except _DAMAGE as error:
        raise CodecError(f"undecodable batch of events: {error}") from error


def event_json(event: Event) -> str:
    """One event as a line for people and tools."""
    return _encoder.encode({"type": type(event).__name__, "event": event}).decode()


@dataclass(frozen=True, slots=True)
class _QueueRow:
    """What a queue is beyond its accounts of present use, which follow from the jobs."""

    spec: QueueSpec
    history: Amounts
    settled_ms: int


@dataclass(frozen=True, slots=True)
class _DemandRow:
    """The window of submissions; by class, in the order in which they were first seen."""

    seen: int
    look_at: int
    fade_at: int
    weights: list[tuple[Shape, int]]
    classes: list[tuple[Shape, int]]
    lasting: list[tuple[Shape, int]] = field(default_factory=list)
    lives: list[tuple[Shape, int, int]] = field(default_factory=list)  # held_ms, left; of the past


def _demand_row(demand: Demand) -> _DemandRow:
    by_class = (demand.weights, demand.classes, demand.lasting)
    weights, classes, lasting = (list(each.items()) for each in by_class)
    seen = (demand.seen, demand.look_at, demand.fade_at)
    past = sorted(
        (kind, each.held_ms, each.left)
        for kind, each in demand.lives.items()
        if each.held_ms or each.left
    )
    return _DemandRow(*seen, weights, classes, lasting, past)


@dataclass(frozen=True, slots=True)
class _State:
    """The primary rows; everything else in Cluster follows from them. Lists keep their order."""

    cluster_id: str
    revision: int
    now_ms: int
    term: int
    next_seq: int
    freed_revision: int
    levels: tuple[str, ...]
    queues: list[_QueueRow]
    windows: list[WindowSpec]
    nodes: list[Node]
    jobs: list[Job]
    arrays: list[ArrayRow]
    over: list[JobId]
    claims: list[Claim]
    planned: list[Planned]
    runtimes: list[tuple[str, RunTime]]
    moved: list[Moved] | msgspec.UnsetType = msgspec.UNSET  # left out while there are none
    demand: _DemandRow = field(default_factory=lambda: _demand_row(Demand()))


_state_decoder = msgspec.json.Decoder(_State)


def encode_snapshot(cluster: Cluster, with_ended: bool = True) -> bytes:
    """The whole state. Equal states give equal bytes, on any Python and any hash seed.

    with_ended: False leaves out jobs that are over: enough, and less, for a look into the future.
    """
    jobs = cluster.jobs.values()
    state = _State(
        cluster.cluster_id,
        cluster.revision,
        cluster.now_ms,
        cluster.term,
        cluster.next_seq,
        cluster.freed_revision,
        cluster.levels,
        [_queue_row(queue) for queue in cluster.queues.values()],
        list(cluster.windows.values()),
        [_bare(node) for node in cluster.nodes.values()],
        list(jobs) if with_ended else [job for job in jobs if not job.state.is_over],
        [replace(row, active=0, kept=0) for row in cluster.arrays.values()],
        list(cluster.over) if with_ended else [],
        list(cluster.claims.values()),
        list(cluster.planned.values()),
        list(cluster.runtimes.items()),
        list(cluster.moved) or msgspec.UNSET,
        _demand_row(cluster.demand),
    )
    return _encoder.encode(state)


def _queue_row(queue: Queue) -> _QueueRow:
    """A reserve that is empty is left out: so hashes recorded before there were any still hold."""
    spec = queue.spec
    if not spec.reserve:
        spec = replace(spec, reserve=msgspec.UNSET)  # type: ignore[arg-type]
    return _QueueRow(spec, named(queue.history), queue.settled_ms)


def _bare(node: Node) -> Node:
    """The node without what follows from the jobs and claims.

    Links that were not reported are left out: so hashes recorded before there were any still hold.
    """
    inventory = node.inventory
    if inventory.links is None:
        inventory = replace(inventory, links=msgspec.UNSET)  # type: ignore[arg-type]
    return Node(
        node.id,
        node.index,
        inventory,
        node.boot_id,
        node.incarnation,
        node.agent_version,
        node.state,
        node.since_ms,
        node.reason,
        node.lease_ms,
        node.instance,
        node.generation,
        node.cordon,
        node.drain_ms,
    )


def restore(data: bytes) -> Cluster:
    """The cluster of a snapshot, indexes rebuilt. Raises CodecError on damage."""
    try:
        state = _state_decoder.decode(data)
    except _DAMAGE as error:
        raise CodecError(f"undecodable snapshot: {error}") from error
    cluster = Cluster()
    cluster.cluster_id = state.cluster_id
    cluster.revision = state.revision
    cluster.now_ms = state.now_ms
    cluster.term = state.term
    cluster.next_seq = state.next_seq
    cluster.freed_revision = state.freed_revision
    cluster.levels = state.levels
    cluster.over = OrderedDict.fromkeys(state.over)
    cluster.runtimes = OrderedDict(state.runtimes)
    cluster.moved = deque(state.moved or ())
    row = state.demand
    weights, classes, lasting = (dict(each) for each in (row.weights, row.classes, row.lasting))
    past = {kind: Lives(held_ms=held_ms, left=left) for kind, held_ms, left in row.lives}
    cluster.demand = Demand(row.seen, row.look_at, row.fade_at, weights, classes, lasting, past)
    rows = ((each.spec.name, each) for each in state.queues)
    cluster.queues = {n: Queue(q.spec, unnamed(q.history), q.settled_ms) for n, q in rows}
    link(cluster.queues)
    cluster.windows = {window.name: window for window in state.windows}
    cluster.arrays = {row.id: row for row in state.arrays}
    cluster.planned = {planned.job_id: planned for planned in state.planned}
    for node in state.nodes:
        node.devices = [Device(spec) for spec in node.inventory.devices]
        cluster.nodes[node.id] = node
        cluster.index.put(node)
    specs: dict[str, JobSpec] = {}
    for job in state.jobs:
        if job.array_id:  # tasks share one spec, unless one was updated
            shared = specs.setdefault(job.array_id, job.spec)
            job.spec = shared if shared == job.spec else job.spec
        _index_job(cluster, job)
    for owned in state.claims:
        _claim_again(cluster, owned)
    for queue in cluster.queues.values():
        queue.steady = rates_of(queue)
    set_timers(cluster)
    return cluster


def _index_job(cluster: Cluster, job: Job) -> None:
    cluster.jobs[job.id] = job
    if not job.state.is_over:  # the queue of one that is over may be gone
        count_job(cluster, job, 1)
    if job.array_id:
        cluster.arrays[job.array_id].kept += 1
    if job.idempotency_key:
        cluster.by_key[job.idempotency_key] = job.array_id or job.id
    for target in job.unmet:
        cluster.dependents.setdefault(target, {})[job.id] = None
    if job.state is JobState.QUEUED:
        if not job.unmet and job.not_before_ms <= cluster.now_ms:
            cluster.waiting.add(job)
    elif job.state.is_active:
        cluster.active[job.id] = job
        if job.spec.elastic_role >= 0:
            cluster.elastic[job.id] = job
        lives.begin(cluster.demand, job, job.current)
        _hold_again(cluster, job)


def _hold_again(cluster: Cluster, job: Job) -> None:
    attempt = job.current
    for rank, placement in enumerate(attempt.placements):
        if attempt.shards[rank].state is not ShardState.EXITED:
            key, node = HoldKey(job.id, attempt.number, rank), cluster.nodes[placement.node_id]
            hold(cluster, job, node, key, placement)
            if job.state is JobState.STOPPING:
                leave(cluster, job, node, key)


def _claim_again(cluster: Cluster, owned: Claim) -> None:
    cluster.claims[owned.job_id] = owned
    job = cluster.jobs[owned.job_id]
    for rank, placement in enumerate(owned.placements):
        node, key = cluster.nodes[placement.node_id], HoldKey(job.id, owned.attempt, rank)
        claim(cluster, job, node, key, placement)


def state_hash(cluster: Cluster) -> str:
    """Digest of the state: equal exactly when the primary rows are equal."""
    return hash_snapshot(encode_snapshot(cluster))


def hash_snapshot(data: bytes) -> str:
    """Hex digest of an encoded snapshot, behind the number of the fold's rules."""
    return f"{FOLD}-{blake2b(data, digest_size=16).hexdigest()}"


def is_of_this_fold(state_hash: str) -> bool:
    """Say whether a hash was made by these rules: others may give another state, rightly."""
    return state_hash.startswith(f"{FOLD}-")
