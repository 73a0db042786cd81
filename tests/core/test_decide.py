"""Deciding: in order, whole gangs, within a budget, and without a trace on the cluster."""

import pytest

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.apply_jobs import job_id_of
from aimass.core.capacity import hold, release
from aimass.core.check import check
from aimass.core.cluster import OVER_KEPT, WaitingIndex, group_of
from aimass.core.codec import state_hash
from aimass.core.decide import decide
from aimass.core.draft import Draft
from aimass.core.invariants import check_invariants
from aimass.core.model import HoldKey, Job, JobId, NodeId, Placement
from aimass.core.spec import Elastic, JobSpec, Need, Topology
from aimass.policies.registry import make_policy
from tests.core.world import GIB, World, codes, gpus, inventory, one_role

WHOLE = Placement(0, NodeId("n1"), (0,), 1000, 1000, GIB)


def a_world(count: int = 4) -> World:
    """One node with a few GPUs."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", count)))
    return world


def some_jobs(world: World, *priorities: int, gpus: float = 1) -> list[Job]:
    """A queued job per priority."""
    return [world.submit(one_role(gpus=gpus), priority=priority) for priority in priorities]


# ---- the waiting index --------------------------------------------------------------------------


def ids(jobs: list[Job]) -> list[JobId]:
    """The ids of jobs, in their order."""
    return [job.id for job in jobs]


def ordered(index: WaitingIndex) -> list[JobId]:
    """All queued jobs by priority, then submission."""
    return [job_id for _, job_id in index.in_order(lambda group: -group.priority, set())]


def job_of(spec: JobSpec, job_id: str = "j1") -> Job:
    """A job that nobody has submitted."""
    return Job(JobId(job_id), 1, spec, "ann", "", 0)


def test_the_queue_is_in_order_of_rank_then_submission() -> None:
    """Groups are only an index: jobs of two groups and one rank alternate as submitted."""
    world = World()
    low, small, high = (world.submit(one_role(gpus=1), priority=p) for p in (-1, 0, 5))
    large, last = world.submit(one_role(gpus=2)), world.submit(one_role(gpus=1))
    assert ordered(world.cluster.waiting) == ids([high, small, large, last, low])
    by_submission = world.cluster.waiting.in_order(lambda group: 0, set())
    assert [job_id for _, job_id in by_submission] == ids([low, small, high, large, last])
    assert world.cluster.waiting.ids() == ids([low, small, high, large, last])


def test_a_blocked_group_is_left_out_from_then_on() -> None:
    """One test stands for all jobs of a group, also when it is blocked while iterating."""
    world = World()
    small, large = world.submit(one_role(gpus=1)), world.submit(one_role(gpus=2))
    for gpu_count in (1, 1, 2):
        world.submit(one_role(gpus=gpu_count))
    blocked = {world.cluster.waiting.group(large.id)}
    seen = []
    for group, job_id in world.cluster.waiting.in_order(lambda group: -group.priority, blocked):
        seen.append(job_id)
        blocked.add(group)
    assert seen == [small.id]


def test_what_is_added_can_be_removed_in_any_order() -> None:
    """The index forgets a group with its last job; a job that is not in it is a bug."""
    world = World()
    jobs = some_jobs(world, 0, 0, 0, 5)
    index = world.cluster.waiting
    for job in (jobs[1], jobs[3], jobs[0]):
        index.remove(job)
    assert (ordered(index), len(index)) == ([jobs[2].id], 1)
    with pytest.raises(AssertionError, match="is not in the queue"):
        index.remove(job_of(jobs[2].spec))
    index.add(jobs[0])
    assert ordered(index) == ids([jobs[0], jobs[2]])


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (JobSpec("a", one_role()), JobSpec("b", one_role(), env={"A": "1"}), True),
        (
            JobSpec("a", one_role(), node_selector={"x": "1", "y": "2"}),
            JobSpec("a", one_role(), node_selector={"y": "2", "x": "1"}),
            True,
        ),
        (JobSpec("a", one_role()), JobSpec("a", one_role(), expected_ms=1000), True),
        (JobSpec("a", one_role()), JobSpec("a", one_role(), priority=1), False),
        (JobSpec("a", one_role()), JobSpec("a", one_role(2)), False),
        (JobSpec("a", one_role()), JobSpec("a", one_role(cpus=1)), False),
        (JobSpec("a", one_role()), JobSpec("a", one_role() + one_role()), False),
        (JobSpec("a", one_role()), JobSpec("a", one_role(elastic=Elastic(1, 2))), False),
        (JobSpec("a", one_role()), JobSpec("a", one_role(), node_selector={"x": "1"}), False),
        (JobSpec("a", one_role()), JobSpec("a", one_role(), queue="vision"), False),
        (JobSpec("a", one_role()), JobSpec("a", one_role(), preemptible=False), False),
        (JobSpec("a", one_role()), JobSpec("a", one_role(), exclusive_node=True), False),
        (JobSpec("a", one_role()), JobSpec("a", one_role(), exclude_nodes=("n1",)), False),
        (JobSpec("a", one_role()), JobSpec("a", one_role(), topology=Topology("rack")), False),
    ],
)
def test_a_group_is_all_that_order_quota_and_placement_look_at(
    one: JobSpec, other: JobSpec, is_same: bool
) -> None:
    """Nothing more: equal jobs would be tested twice. Nothing less: answers would be wrong."""
    assert (group_of(job_of(one)) == group_of(job_of(other))) is is_same


# ---- the draft ----------------------------------------------------------------------------------


def test_a_draft_takes_back_what_it_placed() -> None:
    """To the mark, newest first; and all of it when the block ends, whatever ended it."""
    world = a_world()
    node = world.cluster.nodes[NodeId("n1")]
    before = state_hash(world.cluster), node.cpu_used_milli, node.memory_used_mib
    job = job_of(JobSpec("job", one_role(2, gpus=1, cpus=1)))
    one, two = HoldKey(job.id, 1, 0), HoldKey(job.id, 1, 1)

    def fail_half_way() -> None:
        with Draft(world.cluster) as draft:
            draft.place(job, one, WHOLE)
            mark = draft.checkpoint()
            draft.place(job, two, Placement(0, NodeId("n1"), (1, 2), 1000, 1000, GIB))
            assert [d.free_milli for d in node.devices] == [0, 0, 0, 1000]
            draft.rollback(mark)
            assert [d.free_milli for d in node.devices] == [0, 1000, 1000, 1000]
            assert list(node.holds) == [one]
            raise RuntimeError("a policy failed")

    with pytest.raises(RuntimeError, match="a policy failed"):
        fail_half_way()
    assert (state_hash(world.cluster), node.cpu_used_milli, node.memory_used_mib) == before
    assert node.holds == {}
    assert [d.holders for d in node.devices] == [{}, {}, {}, {}]


def test_a_device_is_never_given_out_twice() -> None:
    """Nor does one shard hold twice: both are bugs, not situations."""
    world = a_world()
    cluster, node = world.cluster, world.cluster.nodes[NodeId("n1")]
    spec = JobSpec("job", one_role(gpus=1, cpus=1))
    job, other = job_of(spec), job_of(spec, "j2")
    key = HoldKey(job.id, 1, 0)
    hold(cluster, job, node, key, WHOLE)
    with pytest.raises(AssertionError, match="already holds capacity on n1"):
        hold(cluster, job, node, key, WHOLE)
    with pytest.raises(AssertionError, match="device 0 given out twice"):
        hold(cluster, other, node, HoldKey(other.id, 1, 0), WHOLE)


def test_what_is_released_is_free() -> None:
    """All of it: device share, CPU and memory, and the accounts of its queue."""
    world = a_world()
    cluster, node = world.cluster, world.cluster.nodes[NodeId("n1")]
    job = job_of(JobSpec("job", one_role(gpus=1, cpus=1)))
    key = HoldKey(job.id, 1, 0)
    hold(cluster, job, node, key, WHOLE)
    assert (node.cpu_used_milli, node.memory_used_mib) == (1000, GIB)
    assert cluster.queues["default"].used["gpu"] == 1000
    assert release(cluster, job, node, key) == WHOLE
    assert cluster.queues["default"].used["gpu"] == 0
    assert (node.cpu_used_milli, node.memory_used_mib, node.holds) == (0, 0, {})
    assert node.devices[0].free_milli == 1000


# ---- decide -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fuel_units", "started"), [(0, 0), (1, 0), (2, 1), (7, 3), (8, 4), (9, 4)]
)
def test_a_decision_ends_when_its_fuel_is_spent(fuel_units: int, started: int) -> None:
    """A try costs one unit, and one more for its node. What was found before stands."""
    world = a_world(4)
    some_jobs(world, 0, 0, 0, 0)
    plan = decide(world.cluster, world.policy, fuel_units)
    assert len(plan.starts) == started
    assert codes(world, plan) == ["SEARCH_LIMIT"] * (started < 4)
    assert check(world.cluster, plan) == (plan, ())
    assert plan.fuel_left == max(0, fuel_units - 8)


def test_a_plan_says_what_it_stands_on() -> None:
    """Revision and policies, so that a reader of the journal knows who decided and when."""
    world = a_world()
    some_jobs(world, 0)
    plan = decide(world.cluster, make_policy("fifo", "spread"))
    tag = "fifo@1+spread@2+lost-work@1+gain@3 promises=8 moves=0"
    assert (plan.basis, plan.policy) == (len(world.history), tag)


def test_an_unknown_policy_is_refused_by_name() -> None:
    """The shell turns this into a usage error."""
    with pytest.raises(KeyError):
        make_policy("lifo")
    with pytest.raises(KeyError):
        make_policy("fifo", "random")


def test_a_thousand_equal_jobs_cost_one_look_at_the_nodes() -> None:
    """Groups: what did not fit once is not tried again for the next of the same kind."""
    world = a_world(1)
    for _ in range(1000):
        some_jobs(world, 0, gpus=2)
    some_jobs(world, 0)
    plan = decide(world.cluster, world.policy, fuel_units=10)
    assert [start.job_id for start in plan.starts] == [JobId("j1001")]
    assert (plan.fuel_left, len(plan.waits)) == (7, 1)  # 1 for the try, 2 for the start


def test_ended_jobs_are_kept_up_to_a_bound() -> None:
    """The oldest end is forgotten first, with its idempotency key; memory is bounded (I10)."""
    world = World()
    oldest = world.submit_spec(JobSpec("old", one_role()), key="once")
    waits = world.submit(one_role(gpus=1))
    world.cancel(oldest)
    assert world.cluster.by_key == {"once": oldest.id}
    for _ in range(OVER_KEPT):
        fold_a_cancelled_job(world)
    check_invariants(world.cluster)
    assert oldest.id not in world.cluster.jobs
    assert world.cluster.by_key == {}
    assert waits.id in world.cluster.jobs
    assert len(world.cluster.over) == OVER_KEPT


def fold_a_cancelled_job(world: World) -> None:
    """As World would, but without the invariants, which cost a look at every job."""
    job_id = job_id_of(world.cluster.next_seq)
    apply(world.cluster, ev.JobSubmitted(10**7, job_id, JobSpec("job", one_role()), "ann"))
    apply(world.cluster, ev.JobCancelRequested(10**7, job_id, "ann", 0))


def test_a_need_of_nothing_fits_anywhere() -> None:
    """A job that asks for no resource needs a node all the same."""
    world = World()
    job = world.submit(one_role(3))
    assert job.spec.roles[0].need == Need()
    assert codes(world, world.plan()) == ["NO_NODES"]
    world.join("n1", inventory("n1"))
    assert len(world.plan().starts[0].placements) == 3
