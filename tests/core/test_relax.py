"""What `why` lists as a change that would help does help: made so, the next decision obeys.

Small random worlds of nodes of two kinds, two queues, rules, promises, and jobs of all forms.
"""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.cluster import Cluster
from aimass.core.codec import encode_snapshot, restore
from aimass.core.decide import decide
from aimass.core.explain import explain
from aimass.core.feasible import Code
from aimass.core.invariants import check_invariants
from aimass.core.model import Job, JobState
from aimass.core.queues import QueueSpec
from aimass.core.relax import Change
from aimass.core.spec import Elastic, JobSpec, Need, Role, Topology
from aimass.core.spec_problems import problems
from aimass.policies.registry import make_policy
from tests.core.world import World, gpus, inventory

MINUTE_MS = 60_000
KINDS = ("SHARDS", "GPU_TYPE", "TOPOLOGY", "SELECTOR", "EXCLUDE", "TIME_LIMIT", "PRIORITY")


@st.composite
def specs(draw: st.DrawFn) -> JobSpec:
    """Jobs that ask for much and rule out much."""
    shards = draw(st.integers(1, 4))
    elastic = Elastic(shards, shards + 2) if draw(st.integers(0, 4)) == 4 else None
    need = Need(
        1000 * draw(st.sampled_from((1, 2, 4))),
        gpu_types=draw(st.sampled_from(((), (), ("A",), ("B",)))),
    )
    return JobSpec(
        "job",
        (Role("worker", shards, need, ("train",), elastic),),
        priority=draw(st.sampled_from((0, 0, 1, 5))),
        queue=draw(st.sampled_from(("default", "default", "small"))),
        preemptible=draw(st.booleans()),
        expected_ms=draw(st.integers(0, 40)) * MINUTE_MS,
        topology=Topology(draw(st.sampled_from(("", "", "rack")))),
        node_selector=draw(st.sampled_from(({}, {}, {"zone": "a"}))),
        exclude_nodes=draw(st.sampled_from(((), (), ("n1",)))),
        start_after_ms=draw(st.sampled_from((0, 0, 0, 100 * MINUTE_MS))),
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A cluster with jobs that run, wait, and have ended, decided after each event."""
    world = World(make_policy(promises=draw(st.integers(1, 4))))
    world.do(ev.LevelsPut, levels=("row", "rack"))
    world.do(ev.QueuePut, spec=QueueSpec("small", limit={"gpu": 4000}))
    for number in range(1, draw(st.integers(2, 4)) + 1):
        labels = {"zone": "ab"[number % 2], "rack": f"r{number // 2}", "row": "w"}
        there = gpus(f"n{number}", draw(st.sampled_from((2, 4, 8))), draw(st.sampled_from("AB")))
        world.join(f"n{number}", inventory(f"n{number}", there, labels=labels))
    for spec in draw(st.lists(specs(), min_size=1, max_size=9)):
        assert not list(problems(spec))
        job = world.submit_spec(spec)
        settle(world)
        if job.state is JobState.PLACED and draw(st.booleans()):
            world.start(job)
            settle(world)
    return world


def settle(world: World) -> None:
    """Decide until nothing changes any more."""
    while not (plan := decide(world.cluster, world.policy)).is_empty:
        world.commit(plan)


def decided_after(world: World, job: Job, change: Change) -> tuple[Cluster, set[str]]:
    """A copy of the cluster after the change and one decision; the jobs that start or claim."""
    cluster = restore(encode_snapshot(world.cluster))
    at_ms = cluster.now_ms
    event: ev.Event = ev.JobUpdated(at_ms, job.id, change.spec, "ann")
    if change.kind == "RELEASE":
        event = ev.JobReleased(at_ms, job.id, "ann")
    apply(cluster, event)
    plan = decide(cluster, world.policy)
    parts = (plan.starts, plan.stops, plan.claims, plan.unclaims, plan.planned, plan.unplanned)
    apply(cluster, ev.PlanCommitted(at_ms, plan.basis, plan.policy, *parts))
    check_invariants(cluster)
    return cluster, {move.job_id for move in (*plan.starts, *plan.claims)}


@settings(max_examples=120, deadline=None)
@given(worlds())
def test_every_change_that_is_listed_starts_the_job(world: World) -> None:
    """Made as the command would make it, in the cluster as it is, by the real decision."""
    for job in list(world.cluster.jobs.values()):
        found = explain(world.cluster, job, world.policy)
        check_invariants(world.cluster)
        for change in found.changes:
            assert not list(problems(change.spec))
            cluster, moved = decided_after(world, job, change)
            assert job.id in moved, (change, found.code)
            stopped = {
                i
                for i, other in cluster.jobs.items()
                if other.state is JobState.STOPPING
                and world.cluster.jobs[i].state is not JobState.STOPPING
            }
            assert stopped == {stop.job_id for stop in change.stops}
            for owner in change.dropped:
                assert cluster.jobs[owner].state is not JobState.RESERVED


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_a_waiting_job_is_told_a_stable_reason_of_its_kind(world: World) -> None:
    """A word of the Code enum, its kind, and of a blocked one at least one blocker."""
    for job in world.cluster.jobs.values():
        found = explain(world.cluster, job, world.policy)
        if job.state is not JobState.QUEUED:
            assert found.changes == ()
            continue
        code = Code(found.code)
        assert found.kind == code.kind.value
        assert code not in (Code.STARTING_NEXT, Code.ORDER), "the world was decided"
        assert found.blockers or code is Code.ROLES_TOGETHER
        if found.fits_when_empty and code is Code.GPUS_BUSY:
            assert found.holders


def test_what_holds_a_job_back_is_undone_by_one_command() -> None:
    """Held, or not to start yet: it would start, and the command says how."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 8)))
    roles = (Role("worker", 1, Need(1000), ("train",)),)
    held = world.submit_spec(JobSpec("held", roles), held=True)
    later = world.submit_spec(replace(JobSpec("later", roles), start_after_ms=10 * MINUTE_MS))
    world.plan()
    for job, command in ((held, f"release {held.id}"), (later, f"update {later.id} --begin none")):
        (change,) = explain(world.cluster, job, world.policy).changes
        assert change.command == f"massctl {command}"
        assert job.id in decided_after(world, job, change)[1]
