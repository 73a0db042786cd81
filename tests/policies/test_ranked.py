"""What a ranked order keeps from moment to moment is what it would find if it looked anew."""

import random
from dataclasses import replace

import pytest

from aimass.core import events as ev
from aimass.core.model import Exit, ExitReason, JobState
from aimass.policies.ranked import Ranked
from aimass.policies.registry import RANKED, make_policy
from tests.core.world import World, gpus, inventory, one_role

HOUR_MS = 3_600_000


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", RANKED)
def test_rows_that_are_kept_are_those_that_would_be_made(name: str, seed: int) -> None:
    """Jobs come, go, are preempted, get another priority; some ranks last, some do not."""
    chance, world = random.Random(seed), World(make_policy(name))
    for node in ("n1", "n2"):
        world.join(node, inventory(node, gpus(node, 4)))
    cluster, jobs = world.cluster, []
    for _ in range(80):
        what = chance.random()
        alive = [job for job in jobs if not job.state.is_over]
        stopping = [job for job in alive if job.state is JobState.STOPPING]
        active = [job for job in cluster.active.values() if job not in stopping]
        if stopping:
            world.exit(stopping[0], how=Exit(reason=ExitReason.STOPPED))
        elif what < 0.3 and active:
            world.exit(chance.choice(sorted(active, key=lambda job: job.submit_seq)))
        elif what < 0.4 and alive:
            world.cancel(chance.choice(alive))
        elif what < 0.5 and alive:
            job = chance.choice(alive)
            spec = replace(job.spec, priority=chance.choice((0, 1)))
            world.do(ev.JobUpdated, job_id=job.id, spec=spec, by="ann")
        elif what < 0.6:
            world.wait(chance.choice((HOUR_MS // 4, HOUR_MS)))
        else:
            expected_ms = chance.choice((0, HOUR_MS // 2, HOUR_MS, 5 * HOUR_MS))
            shards = chance.choice((1, 1, 2, 3))
            jobs.append(world.submit(one_role(shards, gpus=1), expected_ms=expected_ms))
        world.settle()
        for job in cluster.active.values():
            if job.state is JobState.PLACED:
                world.start(job)
        _agrees(world, name)
    assert jobs


def _agrees(world: World, name: str) -> None:
    """The order as it stands against a new one that knows nothing."""
    kept, fresh, cluster = world.policy.order, RANKED[name](), world.cluster
    assert isinstance(kept, Ranked)
    assert isinstance(fresh, Ranked)
    waiting = sorted(cluster.waiting.ids(), key=lambda i: fresh.ranked(cluster, cluster.jobs[i]))
    assert [job_id for _, job_id in kept.queue(cluster, set())] == waiting
    active = sorted(cluster.active.values(), key=lambda job: fresh.ranked(cluster, job))
    assert [stands.job for stands in kept.standing(cluster)] == active
    for rank, job, _ in kept.standing(cluster):
        assert rank == fresh.ranked(cluster, job) == kept.rank(cluster, job)
