"""What changes under a job while it waits: deadlines, queues, labels, devices. Each was a fault."""

from dataclasses import replace

from aimass.core import events as ev
from aimass.core.codec import encode_snapshot, restore, state_hash
from aimass.core.decide import decide
from aimass.core.decider import Decider
from aimass.core.model import Exit, JobState, NodeId
from aimass.core.queues import QueueSpec
from aimass.core.spec import Topology
from aimass.core.timers import next_timer_ms
from tests.core.world import World, codes, gpus, inventory, one_role, with_failed

STOPPED = Exit(signal=15)


def test_a_deadline_ends_a_job_that_waits_to_go_on() -> None:
    """The tick at the very millisecond did not end."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 1)))
    deadline_ms = world.now_ms + 60_000
    high = world.submit(one_role(gpus=1), "high", priority=10, deadline_ms=deadline_ms)
    world.plan()
    world.start(high)
    world.do(ev.JobRequeueRequested, job_id=high.id, by="ann", suspend=True)
    world.exit(high, how=STOPPED)
    low = world.submit(one_role(gpus=1), "low", grace_ms=600_000)
    world.plan()
    world.start(low)
    world.do(ev.JobReleased, job_id=high.id, by="ann")
    world.plan()
    assert (high.state, high.attempt) == (JobState.RESERVED, 1)
    world.do(ev.Tick, deadline_ms - world.now_ms)
    assert high.state is JobState.RESERVED
    assert next_timer_ms(world.cluster) == deadline_ms + 1
    world.do(ev.Tick, 1)
    assert high.state is JobState.FAILED


def test_a_queue_may_go_when_its_jobs_have_ended() -> None:
    """The snapshot after that could not be read."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 1)))
    world.do(ev.QueuePut, spec=QueueSpec("vision"))
    job = world.submit(one_role(gpus=1), queue="vision")
    world.plan()
    world.start(job)
    world.exit(job)
    world.do(ev.QueueDeleted, name="vision")
    assert state_hash(restore(encode_snapshot(world.cluster))) == state_hash(world.cluster)


def test_a_claim_ends_when_its_nodes_no_longer_share_the_rack() -> None:
    """It was started and rejected in every decision."""
    world = World()
    world.do(ev.LevelsPut, levels=("rack",))
    for node, rack in (("n1", "r0"), ("n2", "r0"), ("n3", "r1")):
        world.join(node, inventory(node, gpus(node, 1), labels={"rack": rack}))
    lows = [world.submit(one_role(gpus=1), grace_ms=600_000) for _ in range(3)]
    world.plan()
    for low in lows:
        world.start(low)
    topology = Topology(required="rack")
    high = world.submit(one_role(2, gpus=1), priority=10, topology=topology)
    world.plan()
    assert high.state is JobState.RESERVED
    moved = inventory("n2", gpus("n2", 1), labels={"rack": "r1"})
    world.do(ev.InventoryChanged, node_id=NodeId("n2"), inventory=moved)
    for low in lows:
        if low.state is JobState.STOPPING:
            world.exit(low, how=STOPPED)
    world.settle()
    for low in lows:
        if low.state.is_active:
            world.exit(low, how=STOPPED)
    world.settle()
    assert sorted(p.node_id for p in high.current.placements) == ["n2", "n3"]


def test_a_claim_ends_when_a_device_comes_back_as_another() -> None:
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 2)))
    low = world.submit(one_role(gpus=2), grace_ms=600_000)
    world.plan()
    world.start(low)
    high = world.submit(one_role(gpus=2, gpu_types=("H100",)), priority=10)
    world.plan()
    assert high.state is JobState.RESERVED
    there = inventory("n1", gpus("n1", 2))
    first, second = there.devices
    other = replace(there, devices=(replace(first, model="A100"), second))
    world.do(ev.InventoryChanged, node_id=NodeId("n1"), inventory=other)
    world.exit(low, how=STOPPED)
    world.settle()
    assert high.state is JobState.QUEUED
    world.do(ev.InventoryChanged, node_id=NodeId("n1"), inventory=there)
    world.settle()
    world.exit(low, how=STOPPED)  # it was back at work meanwhile
    world.settle()
    assert high.state is JobState.PLACED


def test_failed_devices_lend_nothing() -> None:
    """Held and failed they counted as used and not as there, and limits were waived."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 8)))
    world.do(ev.QueuePut, spec=QueueSpec("a", quota={"gpu": 4000}, lend_limit={"gpu": 0}))
    world.do(ev.QueuePut, spec=QueueSpec("b", quota={"gpu": 1000}, borrow_limit={"gpu": 0}))
    holder = world.submit(one_role(gpus=4), queue="a")
    world.plan()
    world.start(holder)
    there = inventory("n1", gpus("n1", 8))
    held = holder.current.device_uuids[0]
    world.do(ev.InventoryChanged, node_id=NodeId("n1"), inventory=with_failed(there, *held))
    other = world.submit(one_role(gpus=4), queue="b")
    assert codes(world, world.plan()) == ["QUOTA_BORROW"]
    assert other.state is JobState.QUEUED


def test_who_waits_for_its_queue_alone_keeps_nothing_from_others() -> None:
    """Its promise kept four GPUs free for a year."""
    world = World()
    for node in ("n1", "n2"):
        world.join(node, inventory(node, gpus(node, 4)))
    world.do(ev.QueuePut, spec=QueueSpec("q", limit={"gpu": 4000}))
    first = [world.submit(one_role(gpus=4)) for _ in range(2)]
    world.settle()
    for job in first:
        world.start(job)
    waiting = [world.submit(one_role(gpus=4), queue="q") for _ in range(2)]
    world.settle()
    assert set(world.cluster.planned) == {job.id for job in waiting}
    for job in first:
        world.exit(job)
        world.settle()
    assert sorted(job.state.value for job in waiting) == ["PLACED", "QUEUED"]
    other = world.submit(one_role(gpus=4))
    world.settle()
    assert other.state is JobState.PLACED


def test_memory_gives_a_newcomer_nothing_that_comes_free_for_a_higher_job() -> None:
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 8)))
    world.do(ev.QueuePut, spec=QueueSpec("q", limit={"gpu": 4000}))
    decider = Decider(world.policy)

    def go() -> None:
        plan = decider.decide(world.cluster)
        if not plan.is_empty:
            world.commit(plan)

    low = world.submit(one_role(gpus=2), queue="q")
    go()
    world.start(low)
    go()
    high = world.submit(one_role(gpus=4), queue="q", priority=10)
    world.cancel(low)
    go()
    newcomer = world.submit(one_role(gpus=2), queue="q")
    assert decide(world.cluster, world.policy).starts == ()
    go()
    assert newcomer.state is JobState.QUEUED
    world.exit(low, how=STOPPED)
    go()
    assert high.state is JobState.PLACED
