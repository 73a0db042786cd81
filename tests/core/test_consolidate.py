"""Moves: the cheapest that pays and no other, within what a day allows, and nobody in circles."""

import random
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from aimass.core import events as ev
from aimass.core.check import check
from aimass.core.codec import encode_snapshot, restore, state_hash
from aimass.core.decide import decide
from aimass.core.decider import Decider
from aimass.core.lost_work import lost_gpu_ms, restart_gpu_ms
from aimass.core.model import Exit, ExitReason, Job, JobState, NodeId, StopRule
from aimass.core.move_rules import DAY_MS, INTERVAL_MS, spent_gpu_ms
from aimass.core.plan import Plan
from aimass.core.spec import Checkpoint, Preemption
from aimass.policies.registry import make_policy
from tests.core.world import World, gpus, inventory, one_role, replay

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
SAVES = Checkpoint("SIGUSR1", MINUTE_MS)


def a_world(nodes: int = 2, moves: int = 4, **options: int) -> World:
    """Nodes of 4 GPUs."""
    world = World(make_policy(moves=moves, **options))
    for number in range(nodes):
        name = f"n{number}"
        world.join(name, inventory(name, gpus(name, 4), labels={"host": name}))
    return world


def running(
    world: World, node: int, gpu_count: int, hours: int = 9, movable: bool = True, **fields: Any
) -> Job:
    """A movable job that was placed on this node while no other took anything new, and runs."""
    others = [name for name in world.cluster.nodes if name != f"n{node}"]
    for name in others:
        world.do(ev.NodeCordoned, node_id=name, by="ann")
    asked = {"movable": movable, "checkpoint": SAVES, "expected_ms": hours * HOUR_MS, **fields}
    job = world.submit(one_role(gpus=gpu_count), **asked)
    world.plan()
    world.start(job)
    for name in others:
        world.do(ev.NodeUncordoned, node_id=name, by="ann")
    return job


def moves_of(plan: Plan) -> list[str]:
    """Who is moved."""
    return [stop.job_id for stop in plan.stops if stop.rule is StopRule.MOVE]


def loss_of(world: World, *jobs: Job) -> int:
    """What moving them costs, GPU-ms."""
    now_ms = world.cluster.now_ms
    return sum(lost_gpu_ms(job, now_ms) + restart_gpu_ms(job) for job in jobs)


def a_hole(**options: int) -> tuple[World, Job, Job]:
    """2 GPUs are free on each of two nodes, for 9 hours; j1 and j2 run beside them."""
    world = a_world(**options)
    return world, running(world, 0, 2), running(world, 1, 2)


def leaves(world: World, job: Job) -> None:
    """The moved job stops, goes on at its new place, and runs; who waited starts."""
    world.exit(job, how=Exit(reason=ExitReason.STOPPED))
    world.plan()
    world.start(job)


@pytest.mark.parametrize("seed", range(40))
def test_of_all_sets_on_all_nodes_the_cheapest_is_moved(seed: int) -> None:
    """Against all sets of up to 3 jobs, with every way to put them on other nodes."""
    draw = random.Random(seed)
    world = a_world(nodes=4, moves=3)
    on: dict[int, list[Job]] = {node: [] for node in range(4)}
    for node in range(4):
        for _ in range(draw.randint(1, 3)):
            free = sum(
                d.free_milli == 1000 for d in world.cluster.nodes[NodeId(f"n{node}")].devices
            )
            if count := draw.randint(0, min(2, free - (node < 2))):
                on[node].append(running(world, node, count))
    for job in [job for jobs in on.values() for job in jobs]:
        age_ms = draw.randrange(10 * MINUTE_MS)
        fields = {"job_id": job.id, "attempt": 1, "age_ms": age_ms}
        world.do(ev.CheckpointReported, 10 * MINUTE_MS, **fields)
    if any(not jobs for jobs in on.values()):
        return  # a node is free: nobody has to move
    waits = world.submit(one_role(gpus=4), expected_ms=24 * HOUR_MS)
    free = {n: 4 - sum(len(j.current.placements[0].devices) for j in on[n]) for n in on}
    losses = []
    for node, jobs in on.items():
        for count in (1, 2, 3):
            for chosen in combinations(jobs, count):
                if len(chosen) == len(jobs) and _fit_elsewhere(chosen, free, node):
                    losses.append(loss_of(world, *chosen))
    plan = world.plan()
    stops = [stop for stop in plan.stops if stop.rule is StopRule.MOVE]
    moved = [world.cluster.jobs[stop.job_id] for stop in stops]
    assert sum(stop.lost_gpu_ms + stop.restart_gpu_ms for stop in stops) == min(losses, default=0)
    assert (waits.state is JobState.RESERVED) == bool(moved)
    for job in moved:
        assert (
            world.cluster.claims[job.id].placements[0].node_id != job.current.placements[0].node_id
        )


def _fit_elsewhere(jobs: tuple[Job, ...], free: dict[int, int], node: int) -> bool:
    rooms = [room for other, room in free.items() if other != node]
    sizes = sorted((len(job.current.placements[0].devices) for job in jobs), reverse=True)
    for size in sizes:
        room = min((r for r in rooms if r >= size), default=0)
        if not room:
            return False
        rooms[rooms.index(room)] -= size
    return True


def test_nobody_is_moved_for_less_than_it_loses() -> None:
    """A job that runs for 10 minutes is not worth half an hour; after a checkpoint it is."""
    world, first, second = a_hole()
    world.wait(30 * MINUTE_MS)
    decider = Decider(world.policy)
    waits = world.submit(one_role(gpus=4), expected_ms=10 * MINUTE_MS)
    plan = decider.decide(world.cluster)
    assert (moves_of(plan), [p.job_id for p in plan.planned]) == ([], [waits.id])
    world.commit(plan)
    assert moves_of(decider.decide(world.cluster)) == []
    world.do(ev.CheckpointReported, job_id=second.id, attempt=1)
    plan = decider.decide(world.cluster)
    assert moves_of(plan) == moves_of(decide(world.cluster, world.policy)) == [second.id]
    stop = plan.stops[0]
    assert stop.gain_gpu_ms == 4 * 10 * MINUTE_MS
    assert stop.lost_gpu_ms + stop.restart_gpu_ms == loss_of(world, second) < stop.gain_gpu_ms
    assert loss_of(world, first) > stop.gain_gpu_ms


def test_the_gain_is_bounded_where_nobody_knows_when() -> None:
    """A promise that rests on unknown run times may be a year away: it counts an hour."""
    world = a_world()
    for node in (0, 1):
        running(world, node, 2, hours=0)
    world.submit(one_role(gpus=4), expected_ms=9 * HOUR_MS)
    plan = world.plan()
    assert [stop.gain_gpu_ms for stop in plan.stops] == [4 * HOUR_MS]
    assert "sooner" in plan.stops[0].reason


def test_what_moves_cost_is_bounded_by_the_day_and_survives_a_restart() -> None:
    """The budget holds one move; a day later, also for who was restored, it holds the next."""
    world, _, second = a_hole(move_budget_gpu_ms=10 * MINUTE_MS)
    world.do(ev.CheckpointReported, job_id=second.id, attempt=1)
    waits = world.submit(one_role(gpus=4), expected_ms=HOUR_MS)
    loss = loss_of(world, second)
    assert moves_of(world.plan()) == [second.id]
    leaves(world, second)
    assert spent_gpu_ms(world.cluster) == loss > 0
    assert state_hash(restore(encode_snapshot(world.cluster))) == state_hash(world.cluster)
    assert spent_gpu_ms(restore(encode_snapshot(world.cluster))) == loss
    assert state_hash(replay(world.history)) == state_hash(world.cluster)
    world.start(waits)
    world.do(ev.Tick, DAY_MS)
    assert spent_gpu_ms(world.cluster) == 0


def test_a_spent_budget_moves_nobody_until_it_is_free_again() -> None:
    """The plan says when that is."""
    world, _, second = a_hole(move_budget_gpu_ms=3 * MINUTE_MS)
    world.do(ev.CheckpointReported, job_id=second.id, attempt=1)
    world.submit(one_role(gpus=4), expected_ms=MINUTE_MS * 50)
    assert moves_of(world.plan()) == [second.id]
    leaves(world, second)
    waits = next(j for j in world.cluster.jobs.values() if j.state is JobState.PLACED)
    world.start(waits)
    world.exit(waits)
    third = running(world, 1, 1, hours=60)
    world.do(ev.CheckpointReported, job_id=third.id, attempt=1)
    world.submit(one_role(gpus=4), expected_ms=HOUR_MS)
    plan = world.plan()
    assert moves_of(plan) == []
    assert 0 < plan.wake_ms <= world.cluster.moved[0].at_ms + DAY_MS


def test_who_was_moved_stays_for_an_hour_and_is_not_charged_for_it() -> None:
    """Nor more often than it allows, as if it had been preempted."""
    world, first, second = a_hole()
    world.wait(30 * MINUTE_MS)
    world.do(ev.CheckpointReported, job_id=second.id, attempt=1, age_ms=10 * MINUTE_MS)
    waits = world.submit(one_role(gpus=4), expected_ms=HOUR_MS)
    saved_ms = second.current.checkpoint_ms - second.current.running_ms
    assert moves_of(world.plan()) == [second.id]
    leaves(world, second)
    assert second.current.ran_ms == saved_ms  # of its limit of time; the rest was lost for another
    assert len(second.preempted_ms) == 1
    assert second.current.placements[0].node_id == first.current.placements[0].node_id
    world.start(waits)
    world.exit(waits)
    world.exit(first)
    blocker = running(world, 1, 1, movable=False)
    again = world.submit(one_role(gpus=4), expected_ms=10 * HOUR_MS)
    plan = world.plan()
    assert moves_of(plan) == []
    assert plan.wake_ms == second.current.running_ms + INTERVAL_MS
    world.do(ev.Tick, plan.wake_ms - world.now_ms)
    assert moves_of(world.plan()) == [second.id]
    assert again.state is JobState.RESERVED
    assert blocker.state is JobState.RUNNING


def test_nobody_is_moved_more_often_than_it_allows() -> None:
    """Once a day is what it says; what protects it from preemption protects it from moves."""
    world = a_world()
    once = Preemption(max_per_day=1)
    for node in (0, 1):
        job = running(world, node, 2, preemption=once)
        job.preempted_ms = (world.now_ms,)
    world.submit(one_role(gpus=4), expected_ms=9 * HOUR_MS)
    assert moves_of(world.plan()) == []


def test_nobody_is_moved_while_somebody_is_on_the_way() -> None:
    """Two holes on four nodes, two who wait: one decision serves both, or the second waits."""
    world = a_world(nodes=4, moves=1)
    for node in range(4):
        running(world, node, 2)
    for _ in range(2):
        world.submit(one_role(gpus=4), expected_ms=9 * HOUR_MS)
    first = moves_of(world.plan())
    assert len(first) == 1
    assert moves_of(world.plan()) == []
    leaves(world, next(j for j in world.cluster.jobs.values() if j.id == first[0]))
    second = moves_of(decide(world.cluster, world.policy))
    assert len(second) == 1
    assert second != first
    world = a_world(nodes=4, moves=2)
    for node in range(4):
        running(world, node, 2)
    for _ in range(2):
        world.submit(one_role(gpus=4), expected_ms=9 * HOUR_MS)
    assert len(moves_of(world.plan())) == 2


def test_equal_jobs_behind_the_one_that_gains_keep_their_promises() -> None:
    """They wait as one group: after the move it is looked at once more, as a whole."""
    world = a_world(nodes=6, moves=0)
    for node in range(4):
        running(world, node, 2, hours=9 + node, movable=False)
    last = running(world, 4, 1, hours=99)
    running(world, 5, 3, hours=99, movable=False)
    for _ in range(4):
        world.submit(one_role(gpus=4), expected_ms=50 * HOUR_MS)
    world.plan()
    before = dict(world.cluster.planned)
    world.policy = make_policy(moves=1)
    assert moves_of(world.plan()) == [last.id]
    after = world.cluster.planned
    assert list(after) == list(before)[1:]
    assert all(after[job_id].start_ms <= before[job_id].start_ms for job_id in after)


def test_a_gang_of_two_nodes_gets_both() -> None:
    """One way after the other until it fits."""
    world = a_world(nodes=4, moves=2)
    for node in range(4):
        running(world, node, 2)
    waits = world.submit(one_role(shards=2, gpus=4), expected_ms=9 * HOUR_MS)
    plan = world.plan()
    assert len(moves_of(plan)) == 2
    assert waits.state is JobState.RESERVED
    assert len({place.node_id for place in world.cluster.claims[waits.id].placements}) == 2


def test_nobody_moves_who_is_counted_on_by_a_promise() -> None:
    """j1 ends in an hour, and j3 is promised its place: moved it would end later."""
    world = a_world()
    running(world, 0, 2, hours=1)
    running(world, 1, 2, movable=False)
    near = {"host": "n0"}
    world.submit(one_role(gpus=4), expected_ms=HOUR_MS, node_selector=near, priority=5)
    world.submit(one_role(gpus=4), expected_ms=9 * HOUR_MS, node_selector=near)
    plan = decide(world.cluster, world.policy)
    assert {stop.by for stop in plan.stops} <= {"j3"}


WRONG = {
    "loses with all who move": {"gain_gpu_ms": 1},
    "cannot gain": {"gain_gpu_ms": 4 * 24 * HOUR_MS + 1},
    "restarts at": {"restart_gpu_ms": 1},
}


@pytest.mark.parametrize("said", WRONG)
def test_a_move_that_does_not_pay_is_rejected(said: str) -> None:
    """Whoever planned it."""
    world, _, _ = a_hole()
    world.submit(one_role(gpus=4), expected_ms=48 * HOUR_MS)
    plan = decide(world.cluster, world.policy)
    assert check(world.cluster, plan) == (plan, ())
    bent = replace(plan, stops=(replace(plan.stops[0], **WRONG[said]),))
    accepted, rejected = check(world.cluster, bent)
    assert (accepted.stops, accepted.claims) == ((), ())
    assert said in rejected[0].reason
