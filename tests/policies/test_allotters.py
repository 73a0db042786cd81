"""What every allotter keeps to, whatever it wants; and what each of them wants, on small cases."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings

from aimass.core.policy import Fuel
from aimass.policies.allot_view import UNKNOWN, Held, LiveJob, View
from aimass.policies.allotter import Allotter
from aimass.policies.elasticflow import ElasticFlow, taken_in
from aimass.policies.mass_allot import Mass
from aimass.policies.optimus import Optimus
from aimass.policies.sia_allot import Sia, thinned
from tests.policies.views import HOUR, NOW_MS, Model, curve, job, view, views

ALLOTTERS: dict[str, Callable[[], Allotter]] = {
    "optimus": Optimus,
    "elasticflow": ElasticFlow,
    "sia": Sia,
    "mass": Mass,
}
FUEL = 5_000_000
SCALES = curve(1.0, 1.9, 3.5, 6.0)  # on 1, 2, 4, 8 GPUs
MINUTE = 60_000


def held(allotter: Allotter, seen: View) -> dict[int, Held]:
    """What each job is to hold, by submit sequence."""
    return {choice.job.seq: choice.held for choice in allotter.share_out(seen, Fuel(FUEL)).choices}


def gpus(allotter: Allotter, *jobs: LiveJob) -> list[int]:
    """How many GPUs each job is to hold of the 16 that there are."""
    found = held(allotter, view(*jobs))
    return [found[j.seq].gpus if j.seq in found else 0 for j in jobs]


@pytest.mark.parametrize("name", ALLOTTERS)
@settings(max_examples=60, deadline=None)
@given(seen=views())
def test_no_more_is_given_than_there_is_and_only_in_sizes_that_jobs_have(
    name: str, seen: View
) -> None:
    left = [model.gpus for model in seen.models]
    jobs = {j.seq: j for j in seen.jobs}
    for seq, has in held(ALLOTTERS[name](), seen).items():
        left[has.model] -= has.gpus
        assert jobs[seq].has == has or has.gpus in dict(jobs[seq].levels[has.model])
        assert not jobs[seq].is_fixed or jobs[seq].has == has
    assert min(left, default=0) >= 0


@pytest.mark.parametrize("name", ALLOTTERS)
@settings(max_examples=60, deadline=None)
@given(seen=views())
def test_deciding_again_on_its_own_result_changes_nothing(name: str, seen: View) -> None:
    allotter = ALLOTTERS[name]()
    first = held(allotter, seen)
    jobs = tuple(replace(j, has=first.get(j.seq)) for j in seen.jobs)
    assert held(allotter, replace(seen, jobs=jobs)) == first


@pytest.mark.parametrize("name", ALLOTTERS)
def test_nobody_waits_while_gpus_idle(name: str) -> None:
    rigid, elastic = job(1, curve(4.0, first=4)), job(2, SCALES)
    assert gpus(ALLOTTERS[name](), rigid, elastic) == [4, 8]


@pytest.mark.parametrize("name", ALLOTTERS)
def test_a_higher_priority_is_served_first(name: str) -> None:
    assert gpus(ALLOTTERS[name](), job(1, curve(1.0, first=16)), job(2, SCALES, priority=1)) == [
        0,
        8,
    ]


def test_optimus_grows_whom_a_gpu_saves_most_time() -> None:
    """The longer a job is, the more time the same speed-up saves it."""
    jobs = [job(n, SCALES, left_ms=left) for n, left in enumerate((HOUR, HOUR, 9 * HOUR))]
    assert gpus(Optimus(), *jobs) == [4, 4, 8]


def test_optimus_restarts_nobody_for_a_gain_below_twice_the_cost() -> None:
    """Twice a restart of 30 s is a fifth of the horizon: 1.2 times as fast is not enough."""
    nearly_over = {"has": Held(0, 1), "left_ms": 5 * MINUTE}
    assert gpus(Optimus(), job(1, curve(1.0, 1.2), **nearly_over)) == [1]
    assert gpus(Optimus(), job(1, curve(1.0, 1.3), **nearly_over)) == [2]


@pytest.mark.parametrize("name", ["optimus", "mass", "elasticflow"])
def test_the_longer_a_job_has_to_go_the_dearer_a_restart_may_be(name: str) -> None:
    """Half as fast again pays 2 x 100 s within 600 s: a quarter of 40 minutes, not of 39."""
    grows = {"has": Held(0, 1), "restart_ms": 100_000}
    assert gpus(ALLOTTERS[name](), job(1, curve(1.0, 1.5), left_ms=39 * MINUTE, **grows)) == [1]
    assert gpus(ALLOTTERS[name](), job(1, curve(1.0, 1.5), left_ms=40 * MINUTE, **grows)) == [2]


def test_optimus_takes_from_nobody_what_nobody_needs() -> None:
    large = job(1, SCALES, has=Held(0, 8))
    assert gpus(Optimus(), large, job(2, SCALES, left_ms=30 * HOUR)) == [8, 8]
    assert gpus(Optimus(), large, *(job(n, curve(1.0)) for n in range(2, 14))) == [4] + [1] * 12


def test_elasticflow_gives_what_is_enough_to_be_in_time_before_anything_else() -> None:
    """An hour's work that is due in 20 minutes needs four GPUs; the other job is never due."""
    due = job(1, SCALES, left_ms=HOUR, due_ms=NOW_MS + 20 * MINUTE)
    other = job(2, curve(1.0, first=12), has=Held(0, 12), left_ms=MINUTE)
    assert gpus(ElasticFlow(), due, other) == [4, 12]
    late = replace(due, due_ms=NOW_MS + 12 * MINUTE)
    assert gpus(ElasticFlow(), late, other) == [8, 0]


def test_elasticflow_runs_who_cannot_be_in_time_behind_the_others() -> None:
    hopeless = job(1, SCALES, left_ms=9 * HOUR, due_ms=NOW_MS + HOUR)
    due = job(2, curve(16.0, first=16), left_ms=9 * HOUR, due_ms=NOW_MS + HOUR)
    assert gpus(ElasticFlow(), hopeless, due) == [0, 16]
    chosen = ElasticFlow().share_out(view(hopeless), Fuel(FUEL)).choices
    assert "behind" in chosen[0].reason


def test_elasticflow_takes_nobody_in_who_would_make_another_late() -> None:
    """Either fits by itself; the one that has begun was promised first."""
    hour = NOW_MS + HOUR
    begun = job(2, curve(1.0, first=12), left_ms=50 * MINUTE, due_ms=hour, worked_ms=1)
    newcomer = job(1, curve(1.0, first=8), left_ms=50 * MINUTE, due_ms=hour)
    assert set(taken_in(view(begun, newcomer), Fuel(FUEL))) == {2}


def test_elasticflow_leaves_the_fuel_to_placement_and_the_rest_unpromised() -> None:
    """However many are due; who is not taken in for want of fuel runs behind the others."""
    due = [job(n, curve(1.0), due_ms=NOW_MS + HOUR * (2 + n)) for n in range(4)]
    fuel = Fuel(5)
    assert len(ElasticFlow().share_out(view(*due), fuel).choices) == 4
    assert fuel.left == 5
    assert set(taken_in(view(*due), Fuel(1))) == {0}


def test_sia_gives_each_job_the_model_on_which_it_gains_most() -> None:
    """Both are faster on the second model, and one of them by far more."""
    models = (Model("slow", 1, 1), Model("fast", 1, 1))
    jobs = job(1, curve(1.0), curve(1.5)), job(2, curve(1.0), curve(4.0))
    assert held(Sia(), view(*jobs, models=models)) == {1: Held(0, 1), 2: Held(1, 1)}


def test_sia_is_fair_between_equal_jobs() -> None:
    assert gpus(Sia(), *(job(n, SCALES) for n in range(4))) == [4, 4, 4, 4]


def test_sia_counts_what_restarts_have_cost_a_job() -> None:
    """One that has spent half its life restarting keeps what it has; a fresh one grows."""
    holds = {"has": Held(0, 4), "submitted_ms": NOW_MS - 10 * MINUTE, "restart_ms": MINUTE}
    assert gpus(Sia(), job(1, SCALES, **holds)) == [8]
    assert gpus(Sia(), job(1, SCALES, restarts=5, **holds)) == [4]


def test_sia_looks_at_fewer_sizes_when_very_many_jobs_have_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each still has its least, its equal share of 16 GPUs, its best, and what it holds."""
    costs = [(Held(0, 1 << i), -float(i)) for i in range(5)]
    assert [h.gpus for h, _ in thinned(job(1, SCALES), costs, 5)] == [1, 4, 16]
    assert [h.gpus for h, _ in thinned(job(1, SCALES, has=Held(0, 8)), costs, 1)] == [1, 8, 16]
    monkeypatch.setattr("aimass.policies.sia_allot.COLUMNS_MAX", 9)
    assert gpus(Sia(), *(job(n, SCALES) for n in range(4))) == [4, 4, 4, 4]
    assert gpus(Sia(), job(1, SCALES), *(job(n, curve(1.0)) for n in range(2, 8)))[0] == 8


def test_sia_does_without_a_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marginal gain stands in, and keeps to all the rules."""
    monkeypatch.setattr("aimass.policies.lp_sia.choose", lambda *_: None)
    assert gpus(Sia(), *(job(n, SCALES) for n in range(4))) == [4, 4, 4, 4]


def test_mass_serves_short_jobs_first_and_lets_them_have_more() -> None:
    short, long = job(2, SCALES, left_ms=10 * MINUTE), job(1, SCALES, left_ms=9 * HOUR)
    found = gpus(Mass(), long, short, job(3, curve(1.0, first=4), left_ms=MINUTE))
    assert found == [4, 8, 4]


def test_mass_does_not_keep_a_long_job_waiting_for_ever() -> None:
    """Three times as long as the other, and it has waited for days."""
    young = job(2, curve(1.0, first=16), left_ms=HOUR)
    old = job(1, curve(1.0, first=16), left_ms=3 * HOUR)
    assert gpus(Mass(), old, young) == [0, 16]
    assert gpus(Mass(), replace(old, submitted_ms=NOW_MS - 48 * HOUR), young) == [16, 0]


def test_mass_goes_by_what_a_job_has_had_when_nobody_knows_how_long_it_runs() -> None:
    unknown = {"left_ms": UNKNOWN}
    had = job(1, curve(1.0, first=16), had_gpu_ms=99 * HOUR, has=Held(0, 16), **unknown)
    assert gpus(Mass(), had, job(2, curve(1.0, first=16), **unknown)) == [0, 16]
    alone = Mass().share_out(view(had), Fuel(FUEL))
    assert alone.wake_ms > NOW_MS  # when it falls to the next level


def test_mass_helps_a_job_that_may_still_be_in_time() -> None:
    """Of six equal jobs the fourth is due, and gets enough to be in time."""
    jobs = [job(n, curve(1.0, 1.6, 2.4), left_ms=8 * HOUR) for n in range(6)]
    assert gpus(Mass(), *jobs) == [4, 4, 4, 2, 2, 0]
    jobs[3] = replace(jobs[3], due_ms=NOW_MS + 4 * HOUR)
    assert gpus(Mass(), *jobs) == [4, 4, 2, 4, 2, 0]


def test_mass_shares_between_queues_by_weight() -> None:
    """Jobs of one queue are all shorter; the other has its quarter all the same."""
    ours = [job(n, curve(1.0), queue="ours", left_ms=MINUTE) for n in range(20)]
    theirs = [job(n, curve(1.0), queue="theirs", left_ms=HOUR) for n in range(20, 40)]
    found = held(Mass(), view(*ours, *theirs, ours=3, theirs=1))
    assert sum(seq >= 20 for seq in found) == 4
    assert len(found) == 16


def test_mass_counts_what_a_queue_holds_that_cannot_be_taken_away() -> None:
    """One queue holds four of 20 GPUs for good: ten each are six more for it, ten for the other.

    Of 18 for good it keeps these, though half is 17; the rest is the other's.
    """
    both = [job(n, curve(1.0), queue="ab"[n % 2]) for n in range(40)]
    for taken, more in ((4, 6), (18, 0)):
        found = held(Mass(), replace(view(*both), taken={"a": taken}))
        assert sum(seq % 2 == 0 for seq in found) == more
        assert len(found) == 16


def test_mass_gives_a_model_to_whom_it_serves_best() -> None:
    models = (Model("slow", 1, 1), Model("fast", 1, 1))
    jobs = job(1, curve(0.9), curve(1.0)), job(2, curve(0.1), curve(1.0))
    assert held(Mass(), view(*jobs, models=models)) == {1: Held(0, 1), 2: Held(1, 1)}
