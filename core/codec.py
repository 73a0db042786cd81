"""Events and snapshots as bytes, and the hash of the state. Deterministic: sorted keys, no floats.

JSON, so that a journal can be read by eye and by tools; msgspec, because replay speed is restart
time (docs/decisions/0004). The only file of the core that leaves the standard library.
"""

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from aimass.core.cluster import Cluster, hold
from aimass.core.events import EVENT_TYPES, Event
from aimass.core.model import Device, HoldKey, Job, JobId, JobState, Node, ShardState

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
class _State:
    """The primary rows; everything else in Cluster follows from them."""

    cluster_id: str
    revision: int
    now_ms: int
    term: int
    next_seq: int
    jobs: list[Job]
    nodes: list[Node]
    over: list[JobId]


_state_decoder = msgspec.json.Decoder(_State)


def encode_snapshot(cluster: Cluster) -> bytes:
    """The whole state. Equal states give equal bytes, on any Python and any hash seed."""
    nodes = [_bare(node) for node in cluster.nodes.values()]
    state = _State(
        cluster.cluster_id,
        cluster.revision,
        cluster.now_ms,
        cluster.term,
        cluster.next_seq,
        list(cluster.jobs.values()),
        nodes,
        list(cluster.over),
    )
    return _encoder.encode(state)


def _bare(node: Node) -> Node:
    """The node without its holds: they follow from the jobs."""
    return Node(
        node.id,
        node.index,
        node.inventory,
        node.boot_id,
        node.incarnation,
        node.agent_version,
        node.state,
        node.since_ms,
        node.reason,
        node.lease_ms,
        node.instance,
        node.generation,
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
    cluster.over = OrderedDict.fromkeys(state.over)
    for node in state.nodes:
        node.devices = [Device(spec) for spec in node.inventory.devices]
        cluster.nodes[node.id] = node
    for job in state.jobs:
        cluster.jobs[job.id] = job
        if job.idempotency_key:
            cluster.by_key[job.idempotency_key] = job.id
        if job.state is JobState.QUEUED:
            cluster.waiting.add(job)
        elif job.state.is_active:
            _hold_again(cluster, job)
    return cluster


def _hold_again(cluster: Cluster, job: Job) -> None:
    attempt = job.current
    for rank, placement in enumerate(attempt.placements):
        if attempt.shards[rank].state is not ShardState.EXITED:
            key = HoldKey(job.id, attempt.number, rank)
            hold(cluster.nodes[placement.node_id], key, placement)


def state_hash(cluster: Cluster) -> str:
    """Hex digest of the state: equal exactly when the primary rows are equal."""
    return hash_snapshot(encode_snapshot(cluster))


def hash_snapshot(data: bytes) -> str:
    """Hex digest of an encoded snapshot."""
    return blake2b(data, digest_size=16).hexdigest()
