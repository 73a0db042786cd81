"""Fair share: turns, weights, guarantees first; total, deterministic, priority inside a queue."""

from itertools import islice, pairwise

from hypothesis import given
from hypothesis import strategies as st

from aimass.core.cluster import Cluster, Group
from aimass.core.fair_share import share_report
from aimass.core.model import Job
from aimass.core.queues import QueueSpec
from aimass.policies.order_fair import FairOrder
from aimass.policies.order_priority import PriorityOrder
from tests.core.queue_world import hold_in, queue_world
from tests.core.world import World, one_role


def run_order(cluster: Cluster, starts: int) -> list[Job]:
    """The first jobs of the order when each of them starts at once."""
    jobs = []
    for group, job_id in islice(FairOrder().queue(cluster, set()), starts):
        job = cluster.jobs[job_id]
        assert group is cluster.waiting.group(job_id)
        assert hold_in(cluster, job.spec.queue, job.spec.gpu_milli // 1000, job.submit_seq)
        jobs.append(job)
    return jobs


def submit_to(world: World, **counts: int) -> None:
    """So many 1-GPU jobs to each queue, all of one queue after the other."""
    for queue, count in counts.items():
        for _ in range(count):
            world.submit(one_role(gpus=1), queue=queue)


def turns(world: World, starts: int) -> str:
    """The queues of the first starts."""
    return "".join(job.spec.queue for job in run_order(world.cluster, starts))


def test_equal_queues_take_turns() -> None:
    """Whoever submitted first."""
    world = queue_world(QueueSpec("a"), QueueSpec("b"), QueueSpec("c"))
    submit_to(world, b=4, a=4, c=4)
    assert turns(world, 9) == "bac" * 3


def test_weights_two_to_one_give_two_to_one() -> None:
    """In any run of three starts."""
    world = queue_world(QueueSpec("a", weight=2), QueueSpec("b"))
    submit_to(world, a=12, b=12)
    order = turns(world, 12)
    assert order.count("a") == 8
    assert all(order[i : i + 3].count("a") == 2 for i in range(0, 12, 3))


def test_a_queue_below_its_guarantee_precedes_borrowers() -> None:
    """Though it has more than they; and no longer for a job that would borrow."""
    world = queue_world(QueueSpec("a"), QueueSpec("b", quota={"gpu": 4000}))
    submit_to(world, a=8, b=8)
    hold_in(world.cluster, "b", 2, 900)
    assert turns(world, 8) == "bbaaaaab"  # after b's 4 GPUs, a is first until both have 4


def test_shares_count_on_every_level() -> None:
    """A team's two queues together get what the other team's only queue gets."""
    world = queue_world(
        *(QueueSpec("s"), QueueSpec("t"), QueueSpec("x", "s"), QueueSpec("y", "s")),
        QueueSpec("z", "t"),
    )
    submit_to(world, x=8, y=8, z=8)
    order = turns(world, 12)
    assert (order.count("x"), order.count("y"), order.count("z")) == (3, 3, 6)


def test_past_use_counts_against_a_queue() -> None:
    """a has used the cluster until now; b comes first until it has caught up."""
    world = queue_world(QueueSpec("root", parent="", half_life_ms=60_000), QueueSpec("a"))
    job = world.submit(one_role(gpus=8), queue="a")
    world.plan()
    world.start(job)
    world.exit(job)
    submit_to(world, a=2, default=2)
    assert turns(world, 1) == "default"


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A tree with jobs waiting in it."""
    specs: list[QueueSpec] = []
    for index in range(draw(st.integers(0, 4))):
        parent = draw(st.sampled_from(["root", "default", *(spec.name for spec in specs)]))
        quota = draw(st.sampled_from(({}, {"gpu": 2000}, {"gpu:H100": 1000}, {"cpu": 4000})))
        weight = draw(st.integers(1, 3))
        specs.append(QueueSpec(f"q{index}", parent, weight=weight, quota=quota))
    world = queue_world(*specs)
    names = ["default", *(spec.name for spec in specs)]
    for _ in range(draw(st.integers(0, 12))):
        world.submit(
            one_role(gpus=draw(st.sampled_from((0, 1, 1, 2))), cpus=1),
            queue=draw(st.sampled_from(names)),
            priority=draw(st.sampled_from((0, 0, 5))),
        )
    return world


@given(worlds())
def test_the_order_is_total_and_deterministic(world: World) -> None:
    """Every waiting job once; twice the same; blocked groups are left out from then on."""
    cluster = world.cluster
    order = list(FairOrder().queue(cluster, set()))
    assert sorted(job_id for _, job_id in order) == sorted(cluster.waiting.ids())
    assert order == list(FairOrder().queue(cluster, set()))
    blocked: set[Group] = set()
    seen: list[Group] = []
    for group, _ in FairOrder().queue(cluster, blocked):
        assert group not in seen
        blocked.add(group)
        seen.append(group)
    assert set(seen) == set(cluster.waiting.groups.values())
    jobs = [cluster.jobs[job_id] for _, job_id in order]
    for first, second in pairwise(jobs):
        ours, theirs = (
            FairOrder().is_before(cluster, *pair) for pair in ((first, second), (second, first))
        )
        assert ours != theirs
    if jobs:
        assert not any(
            FairOrder().is_before(cluster, job, jobs[0])
            for job in jobs
            if job.spec.queue == jobs[0].spec.queue
        )


@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(0, 2)), max_size=12), st.data())
def test_with_one_queue_it_is_priority(jobs: list[tuple[int, int]], data: st.DataObject) -> None:
    """The same jobs in the same order, whatever is blocked on the way; so it can be the default."""
    world = queue_world()
    for priority, count in jobs:
        world.submit(one_role(gpus=count, cpus=1), priority=priority)
    cluster = world.cluster
    groups = list(cluster.waiting.groups.values())
    doomed = data.draw(st.sets(st.sampled_from(groups))) if groups else set()
    orders = []
    for policy in (FairOrder(), PriorityOrder()):
        blocked: set[Group] = set()
        order = []
        for group, job_id in policy.queue(cluster, blocked):
            order.append(job_id)
            if group in doomed:
                blocked.add(group)
        orders.append(order)
    assert orders[0] == orders[1]
    rows = list(cluster.jobs.values())
    for first in rows:
        for second in rows:
            fair = FairOrder().is_before(cluster, first, second)
            assert fair == PriorityOrder().is_before(cluster, first, second)


def test_the_report_says_who_has_and_who_is_entitled_to_what() -> None:
    """16 GPUs; a is guaranteed 4 and uses 8, b asks for 8 more than nothing, c asks nothing."""
    world = queue_world(
        QueueSpec("a", quota={"gpu": 4000}), QueueSpec("b", weight=3), QueueSpec("c")
    )
    submit_to(world, b=8)
    hold_in(world.cluster, "a", 8, 900)
    rows = {row.name: row for row in share_report(world.cluster)}
    assert list(rows) == ["root", "default", "a", "b", "c"]
    assert rows["a"].path == "root/a"
    assert rows["a"].depth == 1
    assert rows["a"].borrowed == {"gpu": 4000}
    assert rows["a"].share_ppm == 500_000
    assert rows["a"].dominant == "gpu"
    assert rows["b"].fair_ppm == 500_000
    assert (rows["a"].entitled_ppm, rows["b"].entitled_ppm) == (500_000, 500_000)
    assert rows["c"].entitled_ppm == 0


@given(worlds())
def test_nobody_is_entitled_to_more_than_it_asks_or_all_to_more_than_all(world: World) -> None:
    """On every level of the tree."""
    cluster = world.cluster
    rows = {row.name: row for row in share_report(cluster)}
    assert set(rows) == set(cluster.queues)
    for name, queue in cluster.queues.items():
        below = sum(rows[child.spec.name].entitled_ppm for child in queue.tree.children)
        assert 0 <= below <= rows[name].entitled_ppm
