"""Whose capacity is taken: only by right, never one victim too many, and never in circles."""

from hypothesis import given, settings
from hypothesis import strategies as st

from aimass.core.draft import Draft
from aimass.core.model import Job, JobState, StopRule
from aimass.core.plan import Plan, Planned, Stop
from aimass.core.policy import Fuel, Want
from aimass.core.runtimes import run_estimate
from aimass.core.spec import Elastic, JobSpec, Need, Preemption, PreemptMode, Role
from aimass.core.wants import sizes_of
from tests.core.exact_world import ExactWorld

MINUTE_MS = 60_000


def job(
    gpus: float,
    shards: int,
    minutes: int,
    priority: int,
    preemptible: bool = True,
    mode: PreemptMode = PreemptMode.REQUEUE,
) -> JobSpec:
    """A gang of one role."""
    need = Need(gpu_milli=int(1000 * gpus), cpu_milli=1000)
    return JobSpec(
        "job",
        (Role("worker", shards, need, ("train",)),),
        priority=priority,
        expected_ms=minutes * MINUTE_MS,
        preemptible=preemptible,
        preemption=Preemption(mode),
    )


jobs = st.builds(
    job,
    st.sampled_from((0.5, 1, 1, 2, 4)),
    st.integers(1, 4),
    st.integers(1, 30),
    st.integers(0, 3),
    st.sampled_from((True, True, True, False)),
    st.sampled_from((PreemptMode.REQUEUE, PreemptMode.REQUEUE, PreemptMode.CANCEL)),
)
clusters = st.lists(st.sampled_from((2, 4, 4, 8)), min_size=1, max_size=4)
arrivals = st.lists(st.tuples(st.integers(0, 40), jobs), max_size=14)


def fits(devices: list[int], spec: JobSpec) -> bool:
    """True when the gang fits the empty cluster."""
    role = spec.roles[0]
    if role.need.gpu_milli < 1000:
        return 2 * sum(devices) >= role.shards
    return sum(count // role.need.devices for count in devices) >= role.shards


class Watched(ExactWorld):
    """Looks at every plan before it is carried out."""

    def _commit(self, plan: Plan) -> None:
        for claim in plan.claims:
            _victims_are_needed(self, plan, claim.job_id)
        for stop in plan.stops:
            _stop_is_right(self, plan, stop.job_id)
        super()._commit(plan)


def _victims_are_needed(world: ExactWorld, plan: Plan, job_id: str) -> None:
    """Leaving out any one of a claim's victims breaks the fit."""
    claim = next(c for c in plan.claims if c.job_id == job_id)
    claimant = world.cluster.jobs[claim.job_id]
    if claimant.state is not JobState.QUEUED:
        return
    want = Want(sizes_of(claimant, claim.placements))
    leaving = [s for s in plan.stops if s.by == claim.job_id]
    for spared in leaving:
        with Draft(world.cluster) as draft:
            for lost in plan.unclaims:
                owned = world.cluster.claims[lost]
                draft.unclaim(world.cluster.jobs[lost], owned.attempt, owned.placements)
            before = {claim.job_id}
            for other in plan.claims:
                if other is claim:
                    break
                before.add(other.job_id)
                draft.claim(world.cluster.jobs[other.job_id], other.attempt, other.placements)
            for stop in plan.stops:
                if stop is not spared and stop.by in before:
                    draft.evict(world.cluster.jobs[stop.job_id])
            for start in (s for s in plan.starts if s.job_id not in world.cluster.claims):
                draft.claim(world.cluster.jobs[start.job_id], start.attempt, start.placements)
            for kept in _promises_that_count(world, plan, claimant):
                draft.claim(world.cluster.jobs[kept.job_id], 999, kept.placements)
            draft.is_soon = True
            found = world.policy.place.place(draft, claimant, want, Fuel(1 << 30))
            assert found is None, f"{spared.job_id} was stopped for nothing"


def _promises_that_count(world: ExactWorld, plan: Plan, claimant: Job) -> list[Planned]:
    """Those to jobs that are no lower, which begin before the claimant should have ended."""
    planned = {**world.cluster.planned, **{p.job_id: p for p in plan.planned}}
    moving = {move.job_id for move in (*plan.starts, *plan.claims)}
    ends_ms = world.cluster.now_ms + run_estimate(world.cluster, claimant)[0]
    return [
        p
        for i, p in planned.items()
        if i not in moving
        and world.cluster.jobs[i].spec.priority >= claimant.spec.priority
        and p.start_ms < ends_ms
    ]


def _stop_is_right(world: ExactWorld, plan: Plan, job_id: str) -> None:
    """The rule that the plan names really gives the right."""
    stop = next(s for s in plan.stops if s.job_id == job_id)
    victim, by = world.cluster.jobs[stop.job_id], world.cluster.jobs[stop.by]
    assert stop.rule is StopRule.PRIORITY
    assert victim.spec.preemptible
    assert by.spec.priority > victim.spec.priority
    assert stop.lost_gpu_ms >= 0


@settings(max_examples=150, deadline=None)
@given(clusters, arrivals)
def test_every_victim_is_needed_and_every_job_ends(
    devices: list[int], come: list[tuple[int, JobSpec]]
) -> None:
    """Preempted jobs are tried again (or end as cancelled), and nobody circles for ever."""
    world = Watched(devices)
    world.run([(m * MINUTE_MS, spec) for m, spec in come if fits(devices, spec)])
    for each in world.cluster.jobs.values():
        if each.spec.preemption.mode is PreemptMode.CANCEL:
            assert each.state in (JobState.SUCCEEDED, JobState.CANCELLED)
        else:
            assert each.state is JobState.SUCCEEDED
        higher = [j for j in world.cluster.jobs.values() if j.spec.priority > each.spec.priority]
        assert len(each.preempted_ms) <= len(higher), "more often than there are reasons"


elastic_jobs = st.builds(
    lambda low, steps, step, at, minutes, priority: JobSpec(
        "elastic",
        (
            Role(
                "worker",
                low + at * step,
                Need(gpu_milli=1000),
                ("train",),
                Elastic(low, low + (at + steps) * step, step, 1000, 5 * MINUTE_MS),
            ),
        ),
        priority=priority,
        expected_ms=minutes * MINUTE_MS,
    ),
    st.integers(1, 2),
    st.integers(0, 3),
    st.integers(1, 2),
    st.integers(0, 2),
    st.integers(10, 60),
    st.integers(0, 2),
)


class Elastics(ExactWorld):
    """Looks at sizes and at how often they change."""

    def _commit(self, plan: Plan) -> None:
        for stop in plan.stops:
            victim = self.cluster.jobs[stop.job_id]
            role = victim.spec.roles[0]
            if stop.rule in (StopRule.GROW, StopRule.SHRINK):
                assert role.elastic is not None
                since = self.cluster.now_ms - victim.current.running_ms
                assert since >= role.elastic.interval_ms, "resized too soon"
                claim = next(c for c in plan.claims if c.job_id == stop.job_id)
                assert len(claim.placements) in role.elastic.sizes(role.elastic.max_shards)
                is_larger = len(claim.placements) > len(victim.current.placements)
                assert is_larger == (stop.rule is StopRule.GROW)
            if stop.rule is StopRule.SHRINK:
                _extras_are_needed(self, plan, stop)
        super()._commit(plan)


def _extras_are_needed(world: ExactWorld, plan: Plan, spared: Stop) -> None:
    """Did it keep its size, either another could not go on there or the claimant not fit."""
    claims = {claim.job_id: claim for claim in plan.claims}
    jobs = world.cluster.jobs
    claimant = jobs[spared.by]
    others = [s.job_id for s in plan.stops if s.by == spared.by and s is not spared]
    if any(stop.by != claimant.id for stop in plan.stops):
        return  # it depends on who came first
    its = {(p.node_id, i) for p in jobs[spared.job_id].current.placements for i in p.devices}
    next_places = [p for job_id in others if job_id in claims for p in claims[job_id].placements]
    if its & {(p.node_id, index) for p in next_places for index in p.devices}:
        return
    with Draft(world.cluster) as draft:
        for lost in plan.unclaims:
            owned = world.cluster.claims[lost]
            draft.unclaim(jobs[lost], owned.attempt, owned.placements)
        for job_id in others:
            draft.evict(jobs[job_id])
        for job_id in (i for i in others if i in claims):
            draft.claim(jobs[job_id], claims[job_id].attempt, claims[job_id].placements)
        for start in (s for s in plan.starts if s.job_id not in world.cluster.claims):
            draft.claim(jobs[start.job_id], start.attempt, start.placements)
        for kept in _promises_that_count(world, plan, claimant):
            draft.claim(jobs[kept.job_id], 999, kept.placements)
        draft.is_soon = True
        want = Want(sizes_of(claimant, claims[claimant.id].placements))
        found = world.policy.place.place(draft, claimant, want, Fuel(1 << 30))
        assert found is None, f"{spared.job_id} shrinks for nothing"


@settings(max_examples=150, deadline=None)
@given(clusters, arrivals, st.lists(st.tuples(st.integers(0, 40), elastic_jobs), max_size=5))
def test_elastic_jobs_shrink_and_grow_within_bounds(
    devices: list[int], come: list[tuple[int, JobSpec]], more: list[tuple[int, JobSpec]]
) -> None:
    """Sizes are allowed ones, never more often than the interval, and everything ends."""
    world = Elastics(devices)
    possible = [(m, spec) for m, spec in more if _least_fits(devices, spec)]
    world.run(
        [(m * MINUTE_MS, spec) for m, spec in come if fits(devices, spec)]
        + [(m * MINUTE_MS, spec) for m, spec in possible]
    )
    for each in world.cluster.jobs.values():
        assert each.state in (JobState.SUCCEEDED, JobState.CANCELLED), each.id


def _least_fits(devices: list[int], spec: JobSpec) -> bool:
    elastic = spec.roles[0].elastic
    assert elastic is not None
    return sum(devices) >= elastic.min_shards
