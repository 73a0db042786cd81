"""Allotments come true as far as they fit, and nobody leaves for nothing."""

import random
from dataclasses import replace

import pytest

from aimass.core import events as ev
from aimass.core.check import check
from aimass.core.cluster import Cluster
from aimass.core.decide import decide
from aimass.core.decider import Decider
from aimass.core.explain import explain
from aimass.core.model import Exit, ExitReason, Job, JobId, JobState, StopRule
from aimass.core.policy import Allotment, Fuel, Grant, Want
from aimass.core.queues import QueueSpec
from aimass.core.spec import Elastic, Preemption, PreemptMode, Role
from aimass.core.survey import wait_reason
from aimass.policies.registry import make_policy
from tests.core.world import World, gpus, inventory, one_role

GONE = Exit(reason=ExitReason.STOPPED)


class Dictated:
    """Grants what a test says: (job, shards, GPU models or None), in order."""

    name = "dictated"
    version = 1

    def __init__(self) -> None:
        self.says: list[tuple[Job, int, tuple[str, ...] | None]] = []

    def allot(
        self, cluster: Cluster, fuel: Fuel, without: frozenset[JobId] = frozenset()
    ) -> Allotment:
        """What was said, of jobs that are not over."""
        return Allotment(
            tuple(
                Grant(job.id, Want((shards,), models), "as dictated")
                for job, shards, models in self.says
                if not job.state.is_over and job.id not in without
            )
        )


def dictated(nodes: int = 2, gpus_each: int = 4) -> tuple[World, Dictated]:
    """Nodes of four A100, then as many of four V100."""
    allot = Dictated()
    world = World(replace(make_policy("fifo", promises=0), allot=allot))
    for number in range(2 * nodes):
        name = f"n{number}"
        model = "A100" if number < nodes else "V100"
        world.join(name, inventory(name, gpus(name, gpus_each, model)))
    return world, allot


def elastic(shards: int, most: int = 16) -> tuple[Role, ...]:
    return one_role(shards, gpus=1, elastic=Elastic(1, most, interval_ms=0))


def held(world: World, job: Job) -> tuple[int, set[str]]:
    """(shards, GPU models) of the job; (0, set()) while it waits."""
    if not job.state.is_active:
        return 0, set()
    nodes = world.cluster.nodes
    places = job.current.placements
    return len(places), {nodes[p.node_id].devices[i].spec.model for p in places for i in p.devices}


def test_grants_start_grow_change_their_model_and_shrink() -> None:
    """Size and model are the policy's; each change is a next attempt of the same job."""
    world, allot = dictated()
    job, other = world.submit(elastic(1)), world.submit(elastic(1))
    allot.says = [(job, 2, ("V100",)), (other, 3, ("A100",))]
    world.carry_out()
    assert (held(world, job), held(world, other)) == ((2, {"V100"}), (3, {"A100"}))
    allot.says = [(job, 6, ("A100",)), (other, 1, ("V100",))]
    world.carry_out()
    assert (held(world, job), held(world, other)) == ((6, {"A100"}), (1, {"V100"}))
    assert (job.attempt, other.attempt) == (2, 2)
    receipt = job.attempts[0].receipt
    assert receipt is not None
    assert receipt.rule is StopRule.RESHAPE


def test_who_is_granted_nothing_goes_on_where_nobody_gets_its_places() -> None:
    """A job is stopped for somebody, never for nothing."""
    world, allot = dictated(nodes=1)
    first, second = world.submit(elastic(1)), world.submit(elastic(1))
    allot.says = [(first, 4, ("A100",)), (second, 2, ("V100",))]
    world.carry_out()
    allot.says = [(second, 2, ("V100",))]
    world.carry_out()
    assert held(world, first) == (4, {"A100"})
    third = world.submit(elastic(1))
    allot.says.append((third, 3, ("A100",)))
    world.carry_out()
    assert (held(world, first), held(world, third)) == ((0, set()), (3, {"A100"}))
    receipt = first.attempts[0].receipt
    assert receipt is not None
    assert (receipt.rule, receipt.by) == (StopRule.ALLOT, third.id)


def test_a_grant_that_does_not_fit_stops_nobody() -> None:
    """More than there is, of a model that is not there: everything stays, and says why."""
    world, allot = dictated(nodes=1)
    first, large = world.submit(elastic(1)), world.submit(elastic(1))
    allot.says = [(first, 4, ("A100",))]
    world.carry_out()
    allot.says = [(large, 5, ("A100",))]
    plan = world.plan()
    assert plan.is_still
    wait = next(w for w in plan.waits if w.first == large.id)
    assert wait_reason(world.cluster, wait, large)[0] == "GPUS_BUSY" or wait.code == ""
    allot.says = [(first, 4, ("A100",))]
    wait = next(w for w in decide(world.cluster, world.policy).waits if w.first == large.id)
    assert (wait.code, "dictated" in wait.text) == ("ORDER", True)


@pytest.mark.parametrize(
    "fields",
    [
        {"preemptible": False},
        {"preemption": Preemption(min_runtime_ms=3_600_000)},
        {"preemption": Preemption(mode=PreemptMode.SHRINK)},
        {"priority": 1},
    ],
)
def test_who_may_not_be_stopped_stays(fields: dict[str, object]) -> None:
    """What a job asked for itself stands above what a policy would like."""
    world, allot = dictated(nodes=1)
    kept = world.submit(elastic(1), **fields)
    allot.says = [(kept, 4, ("A100",))]
    world.carry_out()
    other = world.submit(elastic(1))
    allot.says = [(other, 4, ("A100",))]
    assert world.plan().is_still
    assert held(world, kept) == (4, {"A100"})


def test_where_queues_are_guaranteed_something_nobody_is_stopped_for_another() -> None:
    """There reclaim says who may take from whom; an own change of form is still made."""
    world, allot = dictated(nodes=1)
    world.do(ev.QueuePut, spec=QueueSpec("a", quota={"gpu": 2000}))
    first = world.submit(elastic(1))
    allot.says = [(first, 4, ("A100",))]
    world.carry_out()
    second = world.submit(elastic(1), queue="a")
    allot.says = [(second, 4, ("A100",))]
    assert world.plan().is_still
    allot.says = [(first, 1, ("A100",)), (second, 3, ("A100",))]
    world.carry_out()
    assert (held(world, first)[0], held(world, second)[0]) == (1, 3)


def test_only_a_true_claim_lets_check_stop_somebody() -> None:
    """check() does not trust the policy: who gains must own what the other leaves."""
    world, allot = dictated(nodes=1)
    first, second = world.submit(elastic(1)), world.submit(elastic(1))
    allot.says = [(first, 4, ("A100",)), (second, 2, ("V100",))]
    world.carry_out()
    third = world.submit(elastic(1))
    allot.says = [(second, 2, ("V100",)), (third, 4, ("A100",))]
    plan = decide(world.cluster, world.policy)
    (stop,) = plan.stops
    assert check(world.cluster, plan)[1] == ()
    wrong = replace(stop, job_id=second.id, attempt=second.attempt)
    claims = tuple(replace(claim, victims=(second.id,)) for claim in plan.claims)
    for stops in ((stop, wrong), (replace(stop, by=second.id),), (replace(stop, by=JobId("")),)):
        assert check(world.cluster, replace(plan, stops=stops))[1]
    assert check(world.cluster, replace(plan, claims=claims, stops=(stop, wrong)))[1]


def test_why_says_that_it_is_the_policy_s_wish() -> None:
    """There is room, and no change of the job would help: nothing is suggested."""
    world, allot = dictated(nodes=1)
    first, second = world.submit(elastic(1)), world.submit(elastic(1))
    allot.says = [(first, 4, ("A100",))]
    world.carry_out()
    said = explain(world.cluster, second, world.policy)
    assert (said.code, said.changes) == ("ORDER", ())
    assert said.summary.endswith("but dictated grants it nothing")


@pytest.mark.parametrize("seed", range(12))
def test_any_allotment_is_proved_and_comes_to_rest(seed: int) -> None:
    """Random grants, some impossible, some in vain; with jobs that end and stop slowly."""
    chance = random.Random(seed)
    world, allot = dictated()
    decider = Decider(world.policy)
    jobs: list[Job] = []
    for _ in range(40):
        for _ in range(chance.randrange(3)):
            roles = elastic(1) if chance.random() < 0.7 else one_role(chance.choice((1, 3)), gpus=1)
            jobs.append(world.submit(roles, priority=chance.choice((0, 0, 0, 1))))
        jobs = [job for job in jobs if not job.state.is_over]
        for job in jobs:
            if job.state is JobState.STOPPING and chance.random() < 0.7:
                world.exit(job, how=GONE)
            elif job.state is JobState.PLACED:
                world.start(job)
            elif job.state is JobState.RUNNING and chance.random() < 0.1:
                world.exit(job)
        jobs = [job for job in jobs if not job.state.is_over]
        allot.says = [
            (
                job,
                chance.randrange(1, 7) if job.spec.elastic_role >= 0 else job.spec.world_size,
                chance.choice((None, ("A100",), ("V100",))),
            )
            for job in sorted(jobs, key=lambda job: -job.spec.priority)
            if chance.random() < 0.8
        ]
        decider.forget()
        assert replace(decider.decide(world.cluster), fuel_left=0) == replace(
            decide(world.cluster, world.policy), fuel_left=0
        )
        world.settle()
