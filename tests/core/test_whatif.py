"""What would happen is what does happen: the answer agrees with submitting for real."""

from dataclasses import replace

import pytest
from hypothesis import given, settings

from aimass.core import events as ev
from aimass.core.codec import encode_snapshot, state_hash
from aimass.core.decide import decide
from aimass.core.links import Links
from aimass.core.model import Inventory, JobState, NodeId
from aimass.core.queues import QueueSpec
from aimass.core.spec import Array, Dependency, JobSpec, Need, Role
from aimass.core.whatif import Answer, Impossible, More, Verdict, what_if
from tests.core.test_relax import specs, worlds
from tests.core.world import World, gpus, inventory

HOUR_MS = 3_600_000


def asked(world: World, spec: JobSpec, *more: More, without: tuple[str, ...] = ()) -> Answer:
    """What would happen to it in this world."""
    gone = tuple(NodeId(name) for name in without)
    snapshot = encode_snapshot(world.cluster)
    return what_if(snapshot, spec, "ann", world.policy, world.now_ms, more, gone)


def job(gpus: int, shards: int = 1, **more: object) -> JobSpec:
    """A job of equal shards."""
    roles = (Role("w", shards, Need(1000 * gpus), ("x",)),)
    return JobSpec("job", roles, **more)  # type: ignore[arg-type]


def test_imagined_nodes_are_joined_like_known_ones() -> None:
    """As on a node of just these GPUs; where there is none, all by NVLink."""
    world = World()
    pair = Links(((0, 4), (4, 0)))
    world.join("n1", replace(inventory("n1", gpus("n1", 2)), links=pair))
    world.join("n2", inventory("n2", gpus("n2", 4)))

    def imagined(kind: More) -> Inventory:
        answer = asked(world, job(kind.gpus), kind)
        return answer.cluster.nodes[NodeId("new1")].inventory

    assert imagined(More(1, 2, "H100")).links == pair
    plain = imagined(More(1, 4, "H100"))
    assert (plain.links, [spec.island for spec in plain.devices]) == (None, [-1] * 4)
    unknown = imagined(More(1, 8, "H100"))
    assert (unknown.links, [spec.island for spec in unknown.devices]) == (None, [0] * 8)


@settings(max_examples=60, deadline=None)
@given(worlds(), specs())
def test_the_answer_is_what_then_happens(world: World, spec: JobSpec) -> None:
    """Starts where it says, stops whom it says; and asking has changed nothing."""
    before = state_hash(world.cluster)
    answer = asked(world, spec)
    assert state_hash(world.cluster) == before
    active = set(world.cluster.active)
    made = world.submit_spec(spec)
    world.commit(decide(world.cluster, world.policy))
    assert made.id == answer.job.id
    if answer.verdict is Verdict.STARTS:
        assert made.current.placements == answer.placements
    elif answer.verdict is Verdict.TAKES:
        assert world.cluster.claims[made.id].placements == answer.placements
        leaving = {i for i in active if world.cluster.jobs[i].state is JobState.STOPPING}
        assert {loss.stop.job_id for loss in answer.losses} <= leaving
    else:
        assert made.state in (JobState.QUEUED, JobState.RESERVED)


def test_other_hardware_is_only_imagined() -> None:
    """With two nodes more it starts, without the one there is it never would."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 4)))
    assert asked(world, job(4)).verdict is Verdict.STARTS
    assert asked(world, job(4, shards=3)).verdict is Verdict.NEVER
    more = asked(world, job(4, shards=3), More(2, 4, "H100"))
    assert more.verdict is Verdict.STARTS
    assert {p.node_id for p in more.placements} == {"n1", "new1", "new2"}
    gone = asked(world, job(4), without=("n1",))
    assert gone.verdict is Verdict.NEVER
    with pytest.raises(Impossible, match="there is no node n7"):
        asked(world, job(4), without=("n7",))
    assert list(world.cluster.nodes) == ["n1"]


def test_those_who_wait_already_take_new_nodes_first() -> None:
    """A job of equal standing that came earlier is before it."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 4)))
    for _ in range(2):
        world.submit_spec(job(4, expected_ms=HOUR_MS))
    world.plan()
    answer = asked(world, job(4, expected_ms=HOUR_MS), More(1, 4, "H100"))
    assert answer.verdict is Verdict.WAITS
    assert answer.start.at_ms - world.now_ms == HOUR_MS


def test_an_array_and_a_bounded_queue_are_told() -> None:
    """Two tasks of three fit now; the queue's use before and after."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 4)))
    world.submit_spec(job(1))
    world.plan()
    tasks = asked(world, job(1, array=Array((0, 1, 2), 2)))
    assert (tasks.tasks, tasks.tasks_total) == (2, 3)


def test_cost_and_queues() -> None:
    """GPU-hours of the time limit; what the queue uses, is guaranteed, and may use."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 8)))
    world.do(ev.QueuePut, spec=QueueSpec("team", quota={"gpu": 4000}, limit={"gpu": 6000}))
    answer = asked(world, job(2, queue="team", walltime_ms=3 * HOUR_MS))
    assert answer.gpu_ms == 6 * HOUR_MS
    assert [(q.queue, q.used, q.after, q.quota, q.limit) for q in answer.queues] == [
        ("team", 0, 2000, 4000, 6000)
    ]


def test_a_job_that_could_only_fail_is_impossible() -> None:
    """It depends on the success of one that failed."""
    world = World()
    failed = world.submit_spec(job(1))
    world.cancel(failed)
    with pytest.raises(Impossible, match="depends on the success of j1"):
        asked(world, job(1, depends_on=(Dependency("j1"),)))
