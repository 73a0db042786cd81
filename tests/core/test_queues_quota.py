"""What quotas allow: limits, borrowing, lending, the firm rule, guarantees and reclaim."""

from hypothesis import given
from hypothesis import strategies as st

from aimass.core.capacity import release
from aimass.core.cluster import Cluster
from aimass.core.codes import Code
from aimass.core.model import HoldKey, JobId
from aimass.core.queues import QueueSpec
from aimass.core.quota import (
    MEASURES,
    available,
    is_guaranteed,
    may_reclaim,
    quota_refusal,
)
from tests.core.queue_world import gpu_amounts, hold_in, job_in, queue_world, recount, used
from tests.core.world import one_role


def gpus_of(**amounts: int) -> dict[str, int]:
    """{"gpu": milli} of whole GPUs, and of models."""
    return {("gpu" if key == "gpu" else f"gpu:{key}"): n * 1000 for key, n in amounts.items()}


def test_a_limit_holds_on_every_level() -> None:
    """With the figures and the queue whose limit it is."""
    cluster = queue_world(QueueSpec("a", limit=gpus_of(gpu=4)), QueueSpec("b", "a")).cluster
    hold_in(cluster, "b", 3, 1)
    assert quota_refusal(cluster, job_in("b"), gpu_amounts(1)) is None
    refusal = quota_refusal(cluster, job_in("b"), gpu_amounts(2))
    assert refusal is not None
    assert refusal.code is Code.QUEUE_LIMIT
    for figure in ("queue a", "3 GPUs", "4 GPUs", "2 GPUs"):
        assert figure in refusal.text


def test_a_limit_by_model_concerns_that_model_alone() -> None:
    """And it cannot be tested before the model is known."""
    cluster = queue_world(QueueSpec("a", limit=gpus_of(H100=1))).cluster
    assert quota_refusal(cluster, job_in("a"), gpu_amounts(2, "A100")) is None
    assert quota_refusal(cluster, job_in("a"), {"gpu": 2000}) is None
    assert quota_refusal(cluster, job_in("a"), gpu_amounts(2)) is not None


def test_what_is_not_lent_is_kept_and_borrowing_is_bounded() -> None:
    """16 GPUs; a keeps 6 of its 8, b may borrow 3 beyond its 2."""
    cluster = queue_world(
        QueueSpec("a", quota=gpus_of(gpu=8), lend_limit=gpus_of(gpu=2)),
        QueueSpec("b", quota=gpus_of(gpu=2), borrow_limit=gpus_of(gpu=3)),
        QueueSpec("c"),
    ).cluster
    room = {
        name: available(cluster, cluster.queues[name], "gpu", MEASURES[0])
        for name in ("a", "b", "c")
    }
    assert room == {"a": 16_000, "b": 5000, "c": 10_000}
    borrow = quota_refusal(cluster, job_in("b"), gpu_amounts(6))
    lent = quota_refusal(cluster, job_in("c"), gpu_amounts(11))
    assert borrow is not None
    assert borrow.code is Code.QUOTA_BORROW
    assert lent is not None
    assert lent.code is Code.QUOTA_LENT
    assert "10 GPUs" in lent.text
    assert quota_refusal(cluster, job_in("c"), gpu_amounts(8)) is None
    hold_in(cluster, "c", 8, 1)
    assert available(cluster, cluster.queues["b"], "gpu", MEASURES[0]) == 2000
    assert available(cluster, cluster.queues["a"], "gpu", MEASURES[0]) == 8000


def test_firm_jobs_stay_within_guarantees() -> None:
    """Where any queue has a quota; on the level where the quota is."""
    free = queue_world(QueueSpec("a")).cluster
    assert quota_refusal(free, job_in("a", preemptible=False), gpu_amounts(8)) is None
    cluster = queue_world(
        QueueSpec("org", quota=gpus_of(gpu=4)),
        QueueSpec("team", "org"),
        QueueSpec("mate", "org", quota=gpus_of(gpu=2)),
    ).cluster
    firm = job_in("team", preemptible=False)
    assert quota_refusal(cluster, firm, gpu_amounts(4)) is None  # of what org has for all below
    refusal = quota_refusal(cluster, firm, gpu_amounts(5))  # 2 of the 6 are mate's
    assert refusal is not None
    assert refusal.code is Code.QUOTA_FIRM
    assert quota_refusal(cluster, job_in("team"), gpu_amounts(5)) is None
    hold_in(cluster, "team", 4, 1, preemptible=False)
    assert cluster.queues["org"].firm["gpu"] == 4000
    assert quota_refusal(cluster, firm, gpu_amounts(1)) is not None
    mate = job_in("mate", preemptible=False)
    assert quota_refusal(cluster, mate, gpu_amounts(2)) is None
    other = job_in("default", preemptible=False)
    assert quota_refusal(cluster, other, gpu_amounts(1)) is not None
    assert quota_refusal(cluster, other, {"gpu": 0, "cpu": 1000, "memory": 0}) is None


def test_max_jobs_counts_within_one_plan() -> None:
    """Three jobs that fit, two that the queue runs at once; the third is told why."""
    world = queue_world(QueueSpec("a", max_jobs=2))
    for _ in range(3):
        world.submit(one_role(gpus=1), queue="a")
    plan = world.plan()
    assert len(plan.starts) == 2
    assert world.cluster.queues["a"].active_by_priority == {0: 2}
    refusal = quota_refusal(world.cluster, job_in("a"), gpu_amounts(1))
    assert refusal is not None
    assert refusal.code is Code.QUEUE_MAX_JOBS


def test_guarantees_are_taken_back_from_who_borrows() -> None:
    """Not from who is within its own, not for what exceeds one's own, not where reclaim is off."""
    world = queue_world(
        QueueSpec("a", quota=gpus_of(gpu=4)),
        QueueSpec("b", quota=gpus_of(gpu=8)),
        QueueSpec("c", quota=gpus_of(gpu=4), reclaim=False),
        QueueSpec("b1", "b", quota=gpus_of(gpu=4)),
        QueueSpec("b2", "b"),
    )
    cluster, four = world.cluster, gpu_amounts(4)
    hold_in(cluster, "b1", 6, 1)
    assert is_guaranteed(cluster, job_in("a"), four)
    assert not is_guaranteed(cluster, job_in("a"), gpu_amounts(5))
    assert not is_guaranteed(cluster, job_in("default"), gpu_amounts(1))
    assert not may_reclaim(cluster, job_in("a"), four, "b1")  # b as a whole is within its 12
    assert may_reclaim(cluster, job_in("b2"), gpu_amounts(1), "b1") is False  # b2 has no quota
    assert is_guaranteed(cluster, job_in("b2"), four)  # but b would stay within its own
    hold_in(cluster, "b1", 8, 2)
    assert may_reclaim(cluster, job_in("a"), four, "b1")
    assert not may_reclaim(cluster, job_in("a"), gpu_amounts(5), "b1")
    assert not may_reclaim(cluster, job_in("c"), four, "b1")
    assert not may_reclaim(cluster, job_in("b1"), four, "b1")


def test_a_guarantee_of_one_model_is_no_guarantee_of_another() -> None:
    """gpu:MODEL covers that model; gpu covers all."""
    cluster = queue_world(
        QueueSpec("a", quota=gpus_of(H100=4)), QueueSpec("b", quota=gpus_of(gpu=4))
    ).cluster
    assert is_guaranteed(cluster, job_in("a"), gpu_amounts(4))
    assert not is_guaranteed(cluster, job_in("a"), gpu_amounts(1, "A100"))
    assert not is_guaranteed(cluster, job_in("a"), {"gpu": 1000})
    assert is_guaranteed(cluster, job_in("b"), gpu_amounts(4, "A100"))


# ---- properties ---------------------------------------------------------------------------------

AMOUNT = st.integers(0, 10).map(lambda n: n * 1000)
TABLE = st.one_of(st.just({}), st.fixed_dictionaries({"gpu": AMOUNT}))


@st.composite
def trees(draw: st.DrawFn) -> list[QueueSpec]:
    """Queues that are possible: limits above guarantees, lending below them."""
    specs: list[QueueSpec] = []
    for index in range(draw(st.integers(1, 5))):
        parent = draw(st.sampled_from(["root", *(spec.name for spec in specs)]))
        quota = draw(TABLE)
        lend = {k: draw(st.integers(0, n // 1000)) * 1000 for k, n in quota.items()}
        spec = QueueSpec(
            f"q{index}",
            parent,
            quota=quota,
            lend_limit=draw(st.sampled_from(({}, lend))),
            borrow_limit=draw(TABLE),
            limit=draw(TABLE),
        )
        specs.append(spec)
    return specs


@given(trees(), st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6), st.booleans())))
def test_no_limit_is_ever_exceeded_and_accounts_are_a_recount(
    specs: list[QueueSpec], moves: list[tuple[int, int, bool]]
) -> None:
    """Whatever is admitted in whatever order (I9), on every level; and nothing goes below zero."""
    cluster = queue_world(*specs).cluster
    names = [*(spec.name for spec in specs), "default"]
    holders: dict[str, str] = {}
    firm_ones: set[str] = set()
    for seq, (pick, count, is_firm) in enumerate(moves):
        name = names[pick % len(names)]
        job = job_in(name, count, preemptible=not is_firm)
        if quota_refusal(cluster, job, gpu_amounts(count)) is None:
            if hold_in(cluster, name, count, seq, preemptible=not is_firm):
                holders[f"x{seq}"] = name
                firm_ones |= {f"x{seq}"} if is_firm else set()
        elif holders and count % 2:  # somebody leaves
            gone = next(iter(holders))
            _release(cluster, gone, holders.pop(gone), gone in firm_ones)
        for queue in cluster.queues.values():
            most = queue.spec.limit.get("gpu")
            assert most is None or queue.used.get("gpu", 0) <= most
            assert used(queue) == recount(cluster, holders, queue.spec.name)
            for measure in MEASURES:
                room = available(cluster, queue, "gpu", measure)
                assert 0 <= room <= 16_000 + sum(s.quota.get("gpu", 0) for s in specs)
        firm = cluster.queues["root"].firm.get("gpu", 0)
        total = cluster.queues["root"].tree.guarantee.get("gpu", 0)
        assert not total or firm <= total


def _release(cluster: Cluster, job_id: str, queue: str, is_firm: bool) -> None:
    key = HoldKey(JobId(job_id), 1, 0)
    for node in cluster.nodes.values():
        if key in node.holds:
            release(cluster, job_in(queue, preemptible=not is_firm), node, key)


@given(trees(), st.integers(1, 10), st.data())
def test_load_may_move_between_levels(
    specs: list[QueueSpec], count: int, data: st.DataObject
) -> None:
    """What a queue can have does not depend on what was there and has gone."""
    cluster = queue_world(*specs).cluster
    queues = list(cluster.queues.values())
    before = [available(cluster, q, "gpu", m) for q in queues for m in MEASURES]
    name = data.draw(st.sampled_from([spec.name for spec in specs]))
    if hold_in(cluster, name, min(count, 8), 1):
        _release(cluster, "x1", name, is_firm=False)
    assert [available(cluster, q, "gpu", m) for q in queues for m in MEASURES] == before
