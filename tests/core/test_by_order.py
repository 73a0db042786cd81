"""Preemption by order leaves running whom a walk down the order would take, all capacity free."""

import random
from dataclasses import replace

import pytest

from aimass.core import events as ev
from aimass.core.check import check
from aimass.core.cluster import Cluster
from aimass.core.decide import decide
from aimass.core.model import Exit, ExitReason, Job, JobId, JobState, StopRule
from aimass.core.policy import RankedOrder
from aimass.core.queues import QueueSpec
from aimass.core.spec import Elastic
from aimass.core.trial import as_of, as_updated
from aimass.policies.registry import RANKED, make_policy
from tests.core.world import World, gpus, inventory, one_role

GPUS = 12
HOUR_MS = 3_600_000


def world_of(order: str, nodes: int = 3) -> World:
    """Nodes of 4 GPUs under a policy that preempts by itself."""
    world = World(make_policy(order))
    for number in range(1, nodes + 1):
        world.join(f"n{number}", inventory(f"n{number}", gpus(f"n{number}", 4)))
    return world


def decided(world: World) -> None:
    """Decide until nobody moves; who is told to stop has saved its work and is gone at once."""
    for _ in range(50):
        plan = world._plan_once(1_000_000)
        for stop in plan.stops:
            job = world.cluster.jobs[stop.job_id]
            world.do(ev.CheckpointReported, 0, job_id=job.id, attempt=job.attempt)
            world.exit(job, how=Exit(reason=ExitReason.STOPPED))
        for start in plan.starts:
            world.start(world.cluster.jobs[start.job_id])
        if plan.is_still:
            return
    raise AssertionError("it does not come to rest")


def walk(cluster: Cluster, order: RankedOrder) -> set[JobId]:
    """Who runs when each who fits into what those before it leave does."""
    jobs = [job for job in cluster.jobs.values() if not job.state.is_over]
    jobs.sort(key=lambda job: order.rank(cluster, job))
    free_milli, chosen = GPUS * 1000, set()
    for job in jobs:
        if job.spec.gpu_milli <= free_milli:
            free_milli -= job.spec.gpu_milli
            chosen.add(job.id)
    return chosen


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("order", RANKED)
def test_who_runs_is_who_a_walk_down_the_order_takes(order: str, seed: int) -> None:
    chance, world = random.Random(seed), world_of(order)
    ranked = world.policy.ranked
    assert ranked is not None
    for _ in range(60):
        active = [job for job in world.cluster.active.values()]
        if active and chance.random() < 0.4:
            world.exit(min(active, key=lambda job: (chance.random(), job.submit_seq)))
        else:
            shards = chance.choice((1, 1, 2, 3, 5, 8))
            expected_ms, priority = chance.randrange(1, 9) * HOUR_MS, chance.choice((0, 0, 0, 5))
            roles = one_role(shards, gpus=1)
            world.submit(roles, expected_ms=expected_ms, priority=priority, grace_ms=0)
        if chance.random() < 0.3:
            world.do(ev.Tick, chance.randrange(HOUR_MS))
        decided(world)
        running = {job.id for job in world.cluster.active.values()}
        now = {i: ranked.rank(world.cluster, world.cluster.jobs[i]) for i in running}
        assert running == walk(world.cluster, ranked), now


def short_and_long(order: str = "srtf", **fields: object) -> tuple[World, Job, Job]:
    """A long job runs on all GPUs, and a short one comes."""
    world = world_of(order, nodes=1)
    long = world.submit(one_role(gpus=4), expected_ms=9 * HOUR_MS, **fields)
    decided(world)
    short = world.submit(one_role(gpus=2), expected_ms=HOUR_MS)
    return world, long, short


def test_a_stop_names_the_order_and_goes_on_where_its_checkpoint_was() -> None:
    world, long, short = short_and_long()
    world.do(ev.Tick, HOUR_MS)
    (stop,) = decide(world.cluster, world.policy).stops
    assert (stop.job_id, stop.rule, stop.by) == (long.id, StopRule.ORDER, short.id)
    decided(world)
    assert short.state is JobState.RUNNING
    assert long.state is JobState.QUEUED
    assert HOUR_MS < long.saved_ms == long.ran_ms - 1000  # it left a second later
    assert world.policy.ranked is not None
    rank = world.policy.ranked.rank(world.cluster, long)
    assert rank[1] == 9 * HOUR_MS - long.saved_ms


def test_who_must_not_be_preempted_is_not() -> None:
    for fields in ({"preemptible": False}, {"priority": 1}):
        world, long, short = short_and_long(**fields)
        decided(world)
        assert (long.state, short.state) == (JobState.RUNNING, JobState.QUEUED)


def test_a_queue_may_protect_its_jobs_for_a_while() -> None:
    world, long, short = short_and_long()
    world.do(ev.QueuePut, spec=QueueSpec("default", min_runtime_ms=2 * HOUR_MS))
    decided(world)
    assert long.state is JobState.RUNNING
    assert world.wake_ms == long.current.running_ms + 2 * HOUR_MS
    world.do(ev.Tick, world.wake_ms - world.now_ms)
    decided(world)
    assert short.state is JobState.RUNNING


def test_where_queues_are_guaranteed_something_the_order_stays_within_one() -> None:
    world, long, _ = short_and_long()
    world.do(ev.QueuePut, spec=QueueSpec("other"))
    other = world.submit(one_role(gpus=2), expected_ms=HOUR_MS // 2, queue="other")
    plan = decide(world.cluster, world.policy)
    assert plan.stops[0].by == other.id
    world.do(ev.QueuePut, spec=QueueSpec("third", quota={"gpu": 1000}))
    (stop,) = decide(world.cluster, world.policy).stops
    assert (stop.job_id, stop.by) == (long.id, "j2")
    stale = decide(world.cluster, world.policy)
    accepted, rejected = check(world.cluster, stale)
    assert (accepted, rejected) == (stale, ())


def test_las_looks_again_when_a_job_falls_to_its_next_level() -> None:
    world, long, short = short_and_long("las")
    decided(world)
    assert (long.state, short.state) == (JobState.RUNNING, JobState.QUEUED)
    assert world.wake_ms == long.current.running_ms + -(-3_250_000 // 4)
    world.do(ev.Tick, world.wake_ms - world.now_ms)
    decided(world)
    assert (long.state, short.state) == (JobState.QUEUED, JobState.RUNNING)


def test_las_counts_the_gpus_that_are_held_and_not_those_asked_for() -> None:
    """It is told to shrink, and holds what it held until it does so; then that was its share."""
    world = world_of("las", nodes=1)
    job = world.submit(one_role(4, gpus=1, elastic=Elastic(1, 4, 1)), expected_ms=9 * HOUR_MS)
    decided(world)
    world.submit(one_role(gpus=4))
    (role,) = job.spec.roles
    spec = replace(job.spec, roles=(replace(role, shards=1),))
    world.do(ev.JobUpdated, job_id=job.id, spec=spec, by="ann")
    order = world.policy.ranked
    assert order is not None
    falls_ms = job.current.running_ms + -(-3_250_000 // 4)
    assert order.next_change_ms(world.cluster) == falls_ms
    world.do(ev.Tick, falls_ms - 1 - world.now_ms)
    assert order.rank(world.cluster, job)[1] == 0
    world.do(ev.Tick, 1)
    assert order.rank(world.cluster, job)[1] == 1
    world.do(ev.JobRequeueRequested, job_id=job.id, by="ann")
    world.exit(job, how=Exit(reason=ExitReason.STOPPED))
    assert job.state is JobState.QUEUED
    assert order.rank(world.cluster, job)[1] == 1


@pytest.mark.parametrize("order", RANKED)
def test_a_rank_is_that_of_the_form_and_the_moment_asked_about(order: str) -> None:
    """Whatever has been asked before at the same revision."""
    world, long, short = short_and_long(order)
    world.do(ev.Tick, 1)
    ranked, cluster = world.policy.ranked, world.cluster
    assert ranked is not None
    other = as_updated(short, replace(short.spec, priority=3))
    before = ranked.rank(cluster, long), ranked.rank(cluster, short)
    assert ranked.rank(cluster, other)[0] == -3
    with as_of(cluster, cluster.now_ms + HOUR_MS):
        later = make_policy(order).ranked
        assert later is not None
        assert before[0] != ranked.rank(cluster, long) == later.rank(cluster, long)
    assert (ranked.rank(cluster, long), ranked.rank(cluster, short)) == before
