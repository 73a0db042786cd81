"""What is written is what is read: any event, any state; damage is an error, never a guess."""

import contextlib
import json
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.codec import (
    CodecError,
    decode_events,
    encode_events,
    encode_snapshot,
    event_json,
    hash_snapshot,
    restore,
    state_hash,
)
from aimass.core.decide import decide
from aimass.core.events import EVENT_TYPES, Event, JobSubmitted, NodeSilent, TermStarted
from aimass.core.invariants import check_invariants
from aimass.core.model import JobId, JobState, NodeId
from aimass.core.queues import QueueSpec
from aimass.core.spec import Array, Dependency, JobSpec, Need, Role
from aimass.core.windows import WindowSpec
from aimass.policies.registry import make_policy
from tests.core.strategies import any_event, values_of
from tests.core.world import World, gpus, inventory, one_role

SILENT = NodeSilent(7, NodeId("n1"), "no heartbeat")


@pytest.mark.parametrize("kind", EVENT_TYPES)
@given(data=st.data())
def test_every_event_comes_back_as_it_went(kind: type[Event], data: st.DataObject) -> None:
    """Whatever its fields hold, sensible or not."""
    event = data.draw(values_of(kind))
    assert decode_events(encode_events([event])) == [event]


@given(st.lists(any_event, max_size=5))
def test_a_batch_keeps_its_order(events: list[Event]) -> None:
    """Also the empty one. A list and a tuple are written alike."""
    data = encode_events(events)
    assert decode_events(data) == events
    assert data == encode_events(tuple(events))


def thin(value: Any) -> Any:
    """A value as JSON without the fields that equal their defaults, at every depth."""
    if not is_dataclass(value):
        if isinstance(value, list | tuple):
            return [thin(item) for item in value]
        return getattr(value, "value", value)
    kept = {}
    for field in fields(value):
        found = getattr(value, field.name)
        factory = field.default_factory
        default = field.default if factory is MISSING else factory()
        if found != default:
            kept[field.name] = thin(found)
    return kept


@pytest.mark.parametrize("kind", EVENT_TYPES)
@given(data=st.data())
def test_an_old_journal_may_lack_fields_that_have_defaults(
    kind: type[Event], data: st.DataObject
) -> None:
    """A field that comes later gets a default, so what was written before it still decodes."""
    event = data.draw(values_of(kind))
    old = json.dumps([[kind.__name__, thin(event)]]).encode()
    assert decode_events(old) == [event]


def test_a_spec_of_the_first_journals_decodes() -> None:
    """The smallest `JobSubmitted` that was ever written, by hand."""
    need = '{"gpu_milli":1000}'
    role = f'{{"name":"worker","shards":2,"need":{need},"command":["train"]}}'
    event = f'{{"at_ms":1,"job_id":"j1","user":"ann","spec":{{"name":"t","roles":[{role}]}}}}'
    spec = JobSpec("t", (Role("worker", 2, Need(1000), ("train",)),))
    expected = [JobSubmitted(1, JobId("j1"), spec, "ann")]
    assert decode_events(f'[["JobSubmitted",{event}]]'.encode()) == expected


def test_equal_events_are_equal_bytes() -> None:
    """A mapping's order is nobody's intention."""
    one = JobSpec("t", one_role(), env={"A": "1", "B": "2"})
    two = replace(one, env={"B": "2", "A": "1"})
    first, second = (JobSubmitted(1, JobId("j1"), spec, "ann") for spec in (one, two))
    assert encode_events([first]) == encode_events([second])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[",
        b"{}",
        b"null",
        b"[1]",
        b"[[]]",
        b'[["NodeSilent"]]',
        b'[["NodeExploded",{}]]',
        b'[["NodeSilent",{}]]',
        b'[["NodeSilent",{"at_ms":1,"node_id":"n1"}]]',
        b'[["NodeSilent",{"at_ms":"1","node_id":"n1","reason":""}]]',
        b'[["NodeSilent",{"at_ms":1.5,"node_id":"n1","reason":""}]]',
        b'[["NodeSilent",{"at_ms":1,"node_id":"n1","reason":"\xff"}]]',
        b'[["NodeSilent",{"at_ms":1,"node_id":"n1","reason":""},0]]',
        b'[["NodeSilent",' + b"[" * 100_000,
        b'[["NodeSilent",{"at_ms":1,"node_id":"n1","reason":""}]] x',
        b'[["ShardExited",{"at_ms":1,"job_id":"j1","attempt":1,"rank":0,'
        b'"exit":{"reason":"ABDUCTED"}}]]',
    ],
)
def test_what_is_not_a_batch_of_known_events_is_refused(data: bytes) -> None:
    """Unknown type or value, missing field, wrong type, bad UTF-8, endless depth, too much."""
    with pytest.raises(CodecError, match="undecodable batch of events"):
        decode_events(data)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_decoder(data: bytes) -> None:
    """It decodes or says that it cannot; there is no third way."""
    for decode in (decode_events, restore):
        with contextlib.suppress(CodecError):
            decode(data)


@given(st.data())
def test_a_cut_batch_is_never_read_as_a_shorter_one(data: st.DataObject) -> None:
    """A torn write is seen."""
    whole = encode_events([SILENT, TermStarted(8, 2), SILENT])
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(CodecError):
        decode_events(whole[:cut])


def test_an_event_is_one_line_for_people() -> None:
    """As `massctl journal dump` prints it."""
    assert event_json(SILENT) == (
        '{"event":{"at_ms":7,"node_id":"n1","reason":"no heartbeat"},"type":"NodeSilent"}'
    )


def a_busy_world() -> World:
    """Every table has rows: jobs in all states, claims, promises, arrays, queues, windows."""
    world = World()
    world.do(ev.LevelsPut, levels=("block", "rack"))
    world.do(ev.QueuePut, spec=QueueSpec("research", limit={"gpu": 4000}))
    world.do(ev.QueuePut, spec=QueueSpec("vision", parent="research", weight=2))
    world.do(ev.WindowPut, spec=WindowSpec("patch", 10**9, 60_000, ("n1",), maintenance=True))
    labels = {"zone": "a", "rack": "1"}
    world.join("n1", inventory("n1", gpus("n1", 4, island=2), labels=labels))
    world.join("n2", inventory("n2", gpus("n2", 2)))
    world.do(ev.NodeCordoned, node_id=NodeId("n2"), by="ann", drain_ms=10**8)
    over, runs = world.submit(one_role(gpus=1)), world.submit(one_role(2, gpus=0.5))
    world.submit_spec(JobSpec("wide", one_role(8, gpus=1)), key="once")
    world.plan()
    world.exit(over)
    world.start(runs, [0])
    array = Array((0, 2), max_parallel=1)
    world.submit_spec(JobSpec("sweep", one_role(), queue="vision", array=array), key="many")
    world.submit_spec(JobSpec("held", one_role()), held=True)
    world.submit(one_role(), depends_on=(Dependency("j4"),))
    world.submit(one_role(), start_after_ms=500_000, deadline_ms=900_000)
    world.submit(one_role(gpus=1), walltime_ms=60_000)
    world.plan()
    world.submit(one_role(4, gpus=1), priority=5)  # owns what others are leaving
    world.submit(one_role(4, gpus=1), priority=4)  # is promised to follow
    world.plan()
    cluster = world.cluster
    for table in ("claims", "planned", "arrays", "runtimes", "dependents", "timers", "windows"):
        assert getattr(cluster, table), f"no rows in {table}"
    assert {job.state for job in cluster.jobs.values()} >= {
        *(JobState.QUEUED, JobState.HELD, JobState.RESERVED, JobState.STOPPING),
        *(JobState.PLACED, JobState.SUCCEEDED),
    }
    return world


def test_a_snapshot_restores_rows_and_indexes() -> None:
    """Equal bytes again, invariants hold, the same events lead on to the same state."""
    world = a_busy_world()
    data = encode_snapshot(world.cluster)
    restored = restore(data)
    check_invariants(restored)
    assert encode_snapshot(restored) == data
    assert restored.by_key == {"once": JobId("j3"), "many": JobId("j4")}
    assert list(restored.over) == list(world.cluster.over)
    assert restored.waiting.ids() == world.cluster.waiting.ids()
    policy = make_policy()
    for cluster in (world.cluster, restored):
        apply(cluster, NodeSilent(10**6, NodeId("n1"), "no heartbeat"))
    assert decide(restored, policy) == decide(world.cluster, policy)
    assert state_hash(restored) == state_hash(world.cluster)


def test_tasks_of_an_array_share_their_spec_again() -> None:
    """Ten thousand copies of one spec would be most of the memory."""
    world = World()
    world.submit_spec(JobSpec("sweep", one_role(), array=Array((0, 1, 2))))
    task = world.cluster.jobs[JobId("j1_1")]
    world.do(ev.JobUpdated, job_id=task.id, spec=replace(task.spec, priority=3), by="ann")
    specs = [job.spec for job in restore(encode_snapshot(world.cluster)).jobs.values()]
    assert specs[0] is specs[2]
    assert specs[1].priority == 3


def test_the_hash_sees_every_row() -> None:
    """A single field of a single row changes it."""
    world = a_busy_world()
    before = state_hash(world.cluster)
    assert before == hash_snapshot(encode_snapshot(world.cluster))
    shard = world.cluster.jobs[JobId("j2")].current.shards[0]
    shard.pid += 1
    assert state_hash(world.cluster) != before
    shard.pid -= 1
    assert state_hash(world.cluster) == before


@pytest.mark.parametrize("data", [b'{"cluster_id":"\xff"}', b'{"cluster_id":' + b"[" * 100_000])
def test_a_snapshot_that_is_no_text_or_has_no_end_is_refused(data: bytes) -> None:
    """As for events."""
    with pytest.raises(CodecError, match="undecodable snapshot"):
        restore(data)


@given(st.data())
def test_a_damaged_snapshot_is_refused(data: st.DataObject) -> None:
    """Cut anywhere, it is no state."""
    whole = encode_snapshot(a_busy_world().cluster)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(CodecError, match="undecodable snapshot"):
        restore(whole[:cut])
