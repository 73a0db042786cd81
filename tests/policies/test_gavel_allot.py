"""Gavel's shares without its rounds: who is owed most runs, in turns, each long enough."""

import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimass.core.model import Exit, ExitReason, Job
from aimass.core.speeds import SpeedOn
from aimass.policies.allot_view import Held
from aimass.policies.gavel_allot import GAVEL, INTERVAL_MS, Candidate, GavelAllot, choose
from aimass.policies.gavel_shares import Goal, Row, Table, shares_of
from aimass.policies.registry import make_policy
from tests.core.world import World, gpus, inventory, one_role
from tests.policies.views import job as live_job

GONE = Exit(reason=ExitReason.STOPPED)
SIX_MINUTES = INTERVAL_MS


def world_of(name: str = "gavel-max-min-perf", **models: int) -> World:
    """A node of so many GPUs for each model."""
    world = World(replace(make_policy("fifo", promises=0), allot=GavelAllot(name)))
    for model, number in models.items():
        world.join(f"n-{model}", inventory(f"n-{model}", gpus(model, number, model)))
    return world


def fast_on(**speeds: float) -> tuple[SpeedOn, ...]:
    """Speeds by model, of the normal one."""
    return tuple(SpeedOn(name, 0, 0, round(speed * 1_000_000)) for name, speed in speeds.items())


def runs_on(world: World, job: Job) -> str:
    """The model that the job holds; empty while it waits."""
    if not job.state.is_active:
        return ""
    place = job.current.placements[0]
    return world.cluster.nodes[place.node_id].devices[place.devices[0]].spec.model


def test_each_runs_where_it_has_the_advantage() -> None:
    world = world_of(old=1, new=1)
    twice = world.submit(one_role(1, gpus=1), speeds=fast_on(old=1, new=2))
    much = world.submit(one_role(1, gpus=1), speeds=fast_on(old=1, new=8))
    world.carry_out()
    assert (runs_on(world, twice), runs_on(world, much)) == ("old", "new")


def test_who_comes_does_not_wait_for_a_round_but_for_a_turn() -> None:
    """Somebody has had GPUs for an interval: it makes way at once, and not before."""
    world = world_of(a=1)
    first = world.submit(one_role(1, gpus=1))
    world.carry_out()
    world.wait(SIX_MINUTES // 2)
    second = world.submit(one_role(1, gpus=1))
    world.carry_out()
    assert runs_on(world, first) == "a"
    world.wait(SIX_MINUTES)
    third = world.submit(one_role(1, gpus=1))
    world.carry_out()
    assert [runs_on(world, job) for job in (first, second, third)] == ["", "a", ""]


def test_jobs_take_turns_and_wake_for_the_next() -> None:
    world = world_of(a=1)
    jobs = [world.submit(one_role(1, gpus=1)) for _ in range(2)]
    turns = []
    for _ in range(8):
        world.carry_out()
        turns.append([runs_on(world, job) for job in jobs].index("a"))
        wake_ms = world.plan().wake_ms
        assert world.cluster.now_ms < wake_ms <= world.cluster.now_ms + SIX_MINUTES
        world.tick(wake_ms)
    assert 2 <= sum(turns) <= 6


def test_nothing_wakes_whoever_has_all_of_its_share() -> None:
    world = world_of(a=2)
    for _ in range(2):
        world.submit(one_role(1, gpus=1))
    world.carry_out()
    assert world.plan().wake_ms == 0


def test_queues_share_by_weight_however_many_jobs_they_bring() -> None:
    table = Table(Goal.MAX_MIN, (4,), (row("few"), *[row("many")] * 4), weights=(("many", 3),))
    few, *many = shares_of(table).micro
    assert few == (1_000_000,)
    assert {share for (share,) in many} == {750_000}


def row(queue: str = "", gpus: int = 1, *speeds: int) -> Row:
    """A job of normal speed."""
    return Row(gpus, speeds or (1_000_000,), queue)


def test_higher_priority_has_what_it_asks_for_first() -> None:
    world = world_of(a=1)
    first = world.submit(one_role(1, gpus=1))
    world.carry_out()
    world.wait(SIX_MINUTES)
    urgent = world.submit(one_role(1, gpus=1), priority=5)
    world.carry_out()
    world.wait(SIX_MINUTES * 3)
    world.carry_out()
    assert (runs_on(world, first), runs_on(world, urgent)) == ("", "a")


def test_who_may_not_be_stopped_is_not_shared_with() -> None:
    world = world_of(a=1)
    world.submit(one_role(1, gpus=1), preemptible=False)
    world.carry_out()
    second = world.submit(one_role(1, gpus=1))
    world.wait(SIX_MINUTES * 2)
    world.carry_out()
    assert runs_on(world, second) == ""


def test_a_gang_larger_than_a_model_is_shared_where_it_fits() -> None:
    world = world_of(small=2, large=4)
    wide = world.submit(one_role(3, gpus=1))
    narrow = world.submit(one_role(2, gpus=1))
    world.carry_out()
    assert (runs_on(world, wide), runs_on(world, narrow)) == ("large", "small")


def test_without_a_solver_everybody_gets_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "highspy", None)
    table = Table(Goal.MAX_MIN, (2, 4), (row("", 1, 1, 1), row("", 4, 0, 1)))
    shares = shares_of(table)
    assert shares.micro == ((333_333, 666_666), (0, 500_000))
    assert not shares.is_solved
    world = world_of(a=1)
    lonely = world.submit(one_role(1, gpus=1))
    world.carry_out()
    assert runs_on(world, lonely) == "a"
    assert "no program was solved" in lonely.current.reason


def test_the_cheapest_leaves_dear_gpus_to_who_is_late() -> None:
    dear = 10.0
    rows = (Row(1, (1_000_000, 500_000), left_ms=100, due_ms=1_000), row("", 1, 1_000_000, 500_000))
    relaxed = shares_of(Table(Goal.COST, (1, 2), rows, (dear, 1.0))).micro
    assert relaxed == ((0, 1_000_000), (0, 1_000_000))
    late = (rows[0]._replace(due_ms=100), rows[1])
    first, second = shares_of(Table(Goal.COST, (1, 2), late, (dear, 1.0))).micro
    assert first[0] >= 999_000
    assert second == (0, 1_000_000)


@pytest.mark.parametrize("name", GAVEL)
def test_under_every_goal_no_gpu_idles_that_somebody_could_use(name: str) -> None:
    """And deciding again moves nobody, also while others leave: World.plan asks for that."""
    world = world_of(name, old=4, new=4)
    speeds = [fast_on(old=1, new=n) for n in (1, 2, 3, 4)]
    for at in range(12):
        shards = (1, 2, 1, 4)[at % 4]
        fields = {"expected_ms": 3_600_000 * (1 + at), "speeds": speeds[at % 4]}
        world.submit(one_role(shards, gpus=1), f"job-{at}", **fields)
    for _ in range(6):
        world.carry_out()
        waiting = [*map(world.cluster.jobs.__getitem__, world.cluster.waiting.ids())]
        least = min(job.spec.gpu_milli // 1000 for job in waiting)
        for node in world.cluster.nodes.values():
            assert sum(not device.used_milli for device in node.devices) < least
        world.wait(SIX_MINUTES)


@st.composite
def crowds(draw: st.DrawFn) -> tuple[list[Candidate], list[list[int]], list[int]]:
    """Candidates on two models, what each is owed, and the GPUs; who holds some fits."""
    left = [draw(st.integers(1, 8)), draw(st.integers(1, 8))]
    free, found = list(left), []
    for seq in range(draw(st.integers(1, 8))):
        size = draw(st.sampled_from([1, 2, 4]))
        live = replace(live_job(seq, ((size, 1_000_000),)), normal_gpus=size)
        model = draw(st.sampled_from([0, 1, None]))
        rests = False
        if model is not None and size <= free[model]:
            free[model] -= size
            live, rests = replace(live, has=Held(model, size)), draw(st.booleans())
        speeds = draw(st.sampled_from([(1, 1), (1, 2), (3, 0)]))
        held = live.has.model if live.has is not None else 0
        speeds = speeds if speeds[held] else (3, 3)
        found.append(Candidate(live, speeds, (0, 0), rests))
    owed = [[draw(st.integers(0, 5)) * bool(s) for s in one.speeds] for one in found]
    return found, owed, left


@given(crowds())
@settings(max_examples=200, deadline=None)
def test_choosing_again_on_its_own_result_chooses_the_same(
    drawn: tuple[list[Candidate], list[list[int]], list[int]],
) -> None:
    there, owed, gpus_there = drawn
    left = list(gpus_there)
    first = choose(there, owed, left)
    assert min(left) >= 0
    assert all(there[at].speeds[model] for at, model in first.items())
    again = []
    for at, one in enumerate(there):
        model, size = first.get(at), one.live.normal_gpus
        has = None if model is None else Held(model, size)
        is_new = has is not None and one.live.has != has
        live = replace(one.live, has=has)
        again.append(one._replace(live=live, rests=is_new or (one.rests and has is not None)))
    assert choose(again, owed, list(gpus_there)) == first
