"""An order keeps nothing of a cluster on itself: a look at a copy changes no later decision."""

from copy import deepcopy

import pytest

from aimass.core.cluster import Cluster
from aimass.core.codec import encode_snapshot, restore
from aimass.core.decide import decide
from aimass.core.forecast import predict, seed
from aimass.core.model import Job, JobId
from aimass.policies.order_srtf import SrtfOrder
from aimass.policies.ranked import Rank
from aimass.policies.registry import ORDERS, RANKED, make_policy
from tests.core.world import World, gpus, inventory, one_role

HOUR_MS = 3_600_000


def crowded(order: str) -> tuple[World, list[Job]]:
    """Two run, and two wait; the third job starts when the first ends."""
    world = World(make_policy(order))
    world.join("n1", inventory("n1", gpus("n1", 2)))
    jobs = []
    for count, expected_ms in ((1, HOUR_MS // 2), (1, HOUR_MS), (1, 4 * HOUR_MS), (2, 5 * HOUR_MS)):
        jobs.append(world.submit(one_role(gpus=count), expected_ms=expected_ms))
        world.settle()
        if jobs[-1].state.is_active:
            world.start(jobs[-1])
    return world, jobs


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_has_nothing_of_its_own_to_change(order: str) -> None:
    world, jobs = crowded(order)
    policy = make_policy(order)
    before = deepcopy(getattr(policy.order, "__dict__", {}))
    decide(world.cluster, policy)
    snapshot = seed(world.cluster, jobs[-1])
    assert snapshot is not None
    assert predict(snapshot, jobs[-1].id, policy).at_ms
    decide(world.cluster, policy)
    assert getattr(policy.order, "__dict__", {}) == before


@pytest.mark.parametrize("order", RANKED)
def test_a_forecast_leaves_later_decisions_as_they_were(order: str) -> None:
    """In the forecast jobs start at other times than they do later, under the same ids."""
    world, (first, second, third, last) = crowded(order)
    snapshot = seed(world.cluster, last)
    assert snapshot is not None
    predict(snapshot, last.id, world.policy, world.now_ms)
    world.exit(first)
    world.settle()
    world.start(third)
    plan = decide(world.cluster, world.policy)
    predict(snapshot, last.id, world.policy, world.now_ms)
    assert decide(world.cluster, world.policy) == plan == decide(world.cluster, make_policy(order))
    world.exit(second)
    plan = decide(world.cluster, world.policy)
    assert plan == decide(world.cluster, make_policy(order))
    assert plan.wake_ms == (third.current.running_ms + 3_250_000 if order == "las" else 0)


class _Interrupted(SrtfOrder):
    """Where another thread looks at a copy in the middle of a look at a job."""

    copy: Cluster | None = None

    def ranked(self, cluster: Cluster, job: Job) -> Rank:
        """See RankedOrder.rank."""
        found = super().ranked(cluster, job)
        if (copy := self.copy) is not None:
            self.copy = None
            self.rank(copy, copy.jobs[JobId("j2")])
        return found


def test_a_look_at_a_copy_from_another_thread_mixes_nothing_up() -> None:
    world, jobs = crowded("srtf")
    order = _Interrupted()
    copy = restore(encode_snapshot(world.cluster))
    copy.now_ms += HOUR_MS // 4
    order.copy = copy
    order.rank(world.cluster, jobs[0])
    for cluster in (copy, world.cluster):
        for job in jobs:
            same = cluster.jobs[job.id]
            assert order.rank(cluster, same) == SrtfOrder().rank(cluster, same)
