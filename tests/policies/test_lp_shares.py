"""Shares of time by linear programs: small crowds solved by hand, and what holds for all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimass.policies.lp_goals import (
    Clocks,
    cheapest,
    finish_time_fair,
    of_fairness,
    of_makespan,
    within,
)
from aimass.policies.lp_highs import Program, Solver
from aimass.policies.lp_shares import Answer, Crowd, max_min, proportional, water_filled

EPSILON = 1e-5


def crowd_of(gpus: list[int], capacity: list[int], rates: list[list[float]]) -> tuple[Crowd, ...]:
    """The crowd, and its rates as an array."""
    array = np.array(rates, float)
    return Crowd(np.array(gpus, float), np.array(capacity, float), array > 0), array


def found(answer: Answer | None) -> Answer:
    """The answer, which there is."""
    assert answer is not None
    return answer


def levels(answer: Answer | None, worth: np.ndarray) -> list[float]:
    """What each job gets."""
    return [float(level) for level in (found(answer).shares * worth).sum(axis=1)]


def test_two_equal_jobs_share_one_gpu() -> None:
    crowd, rates = crowd_of([1, 1], [1], [[3.0], [3.0]])
    answer = found(max_min(Solver(), crowd, rates))
    assert answer.shares == pytest.approx(np.array([[0.5], [0.5]]), abs=EPSILON)
    assert answer.level == pytest.approx(1.5, abs=EPSILON)


def test_each_gets_the_model_on_which_it_has_the_advantage() -> None:
    """Two GPUs, a new one and an old one: the first job gains twice as much from the new one."""
    crowd, rates = crowd_of([1, 1], [1, 1], [[4.0, 1.0], [2.0, 1.0]])
    answer = found(max_min(Solver(), crowd, rates))
    # 4a + (1 - a) = 2(1 - a) + a, so a = 1/4: both get 1.75.
    assert answer.level == pytest.approx(1.75, abs=EPSILON)
    assert answer.shares == pytest.approx(np.array([[0.25, 0.75], [0.75, 0.25]]), abs=EPSILON)


def test_who_can_have_more_than_the_least_gets_it_when_water_is_filled() -> None:
    """Two jobs that need the old GPU, one that runs on the new one only: it gets all of that."""
    crowd, rates = crowd_of([1, 1, 1], [1, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    answer = water_filled(Solver(), crowd, rates)
    assert levels(answer, rates) == pytest.approx([0.5, 0.5, 1.0], abs=EPSILON)
    assert found(answer).level == pytest.approx(0.5, abs=EPSILON)


def test_fairness_counts_gpus_and_weights() -> None:
    crowd, rates = crowd_of([2, 1], [2], [[1.0], [1.0]])
    even = water_filled(Solver(), crowd, of_fairness(crowd, rates, np.ones(2)))
    # Equal GPU time: 2a = b and 2a + b = 2, so a = 1/2 and b = 1.
    assert levels(even, rates) == pytest.approx([0.5, 1.0], abs=EPSILON)
    heavy = water_filled(Solver(), crowd, of_fairness(crowd, rates, np.array([3.0, 1.0])))
    assert levels(heavy, rates) == pytest.approx([0.75, 0.5], abs=EPSILON)


def test_the_makespan_is_that_of_all_work_spread_evenly() -> None:
    crowd, rates = crowd_of([1, 1], [1], [[2.0], [2.0]])
    answer = found(max_min(Solver(), crowd, of_makespan(rates, np.array([200.0, 600.0]))))
    assert 1 / answer.level == pytest.approx(400.0, rel=EPSILON)


def test_finish_times_are_as_late_for_all_of_what_they_were_alone() -> None:
    """Two equal jobs on one GPU, alone half of it each: nobody needs to be late."""
    crowd, rates = crowd_of([1, 1], [1], [[1.0], [1.0]])
    half = np.full((2, 1), 0.5)
    clocks = Clocks(np.zeros(2), np.array([100.0, 300.0]), np.array([200.0, 600.0]))
    answer = found(finish_time_fair(Solver(), crowd, rates, clocks, half))
    assert answer.level == pytest.approx(1.0, rel=1e-4)
    waited = Clocks(np.array([200.0, 0.0]), clocks.left, clocks.alone)
    answer = found(finish_time_fair(Solver(), crowd, rates, waited, half))
    a = float(answer.shares[0, 0])
    assert (200 + 100 / a) / 200 == pytest.approx(300 / (1 - a) / 600, rel=1e-3)
    assert answer.level == pytest.approx((200 + 100 / a) / 200, rel=1e-3)


def test_rates_that_are_needed_are_kept_or_refused() -> None:
    crowd, rates = crowd_of([1, 1], [1], [[2.0], [2.0]])
    enough = found(within(Solver(), crowd, rates, np.array([0.5, 1.4])))
    assert (np.array(levels(enough, rates)) >= [0.5 - EPSILON, 1.4 - EPSILON]).all()
    assert within(Solver(), crowd, rates, np.array([0.7, 1.4])) is None


def test_the_cheapest_takes_the_model_with_most_work_for_its_price() -> None:
    crowd, rates = crowd_of([1], [1, 1], [[1.0, 0.5]])
    prices = np.array([3.0, 1.0])
    answer = found(cheapest(Solver(), crowd, rates, prices, np.zeros(1)))
    assert answer.shares == pytest.approx(np.array([[0.0, 1.0]]), abs=EPSILON)
    hurried = found(cheapest(Solver(), crowd, rates, prices, np.array([0.75])))
    assert levels(hurried, rates) == pytest.approx([0.75], abs=EPSILON)


def test_deadlines_that_cannot_all_be_kept_are_missed_alike() -> None:
    crowd, rates = crowd_of([1, 1], [1], [[1.0], [1.0]])
    answer = cheapest(Solver(), crowd, rates, np.ones(1), np.array([0.8, 0.8]))
    assert levels(answer, rates) == pytest.approx([0.5, 0.5], abs=1e-4)
    never = cheapest(Solver(), crowd, rates, np.ones(1), np.array([5.0, 0.0]))
    assert levels(never, rates) == pytest.approx([1.0, 0.0], abs=1e-4)


def test_what_has_no_optimum_is_none() -> None:
    empty = np.zeros(0, np.int32)
    unbounded = Program(
        np.array([-1.0]),
        np.array([np.inf]),
        np.zeros(0),
        np.zeros(0),
        np.zeros(2, np.int32),
        empty,
        np.zeros(0),
    )
    solver = Solver()
    assert solver.interior(unbounded) is None
    assert solver.vertex(unbounded) is None


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Crowd, np.ndarray]:
    """Up to 9 jobs on up to 3 models; every job runs somewhere."""
    models = draw(st.integers(1, 3))
    rate = st.sampled_from([0.0, 0.5, 1.0, 1.5, 3.0, 7.0])
    row = st.lists(rate, min_size=models, max_size=models).filter(any)
    rates = draw(st.lists(row, min_size=1, max_size=9))
    gpus = draw(st.lists(st.sampled_from([1, 2, 4]), min_size=len(rates), max_size=len(rates)))
    capacity = draw(st.lists(st.integers(4, 9), min_size=models, max_size=models))
    crowd, array = crowd_of(gpus, capacity, rates)
    return crowd, array


def assert_feasible(crowd: Crowd, shares: np.ndarray) -> None:
    """No job has more than all of its time, or what it cannot use; no model gives too much."""
    assert (shares >= 0).all()
    assert (shares.sum(axis=1) <= 1 + EPSILON).all()
    assert (crowd.gpus @ shares <= crowd.capacity + EPSILON * crowd.gpus.sum()).all()
    assert (shares[~crowd.can_run] <= EPSILON).all()


@given(crowds())
@settings(max_examples=60, deadline=None)
def test_shares_are_feasible_whatever_the_objective(drawn: tuple[Crowd, np.ndarray]) -> None:
    crowd, rates = drawn
    solver, jobs = Solver(), len(rates)
    alone = proportional(crowd)
    assert_feasible(crowd, alone)
    worth = of_fairness(crowd, rates, np.ones(jobs))
    left = np.arange(1.0, jobs + 1)
    clocks = Clocks(left, left, left / (rates * alone).sum(axis=1))
    once, filled = found(max_min(solver, crowd, worth)), found(water_filled(solver, crowd, worth))
    assert once.level == pytest.approx(filled.level, rel=1e-4)
    for answer in (
        once,
        filled,
        found(max_min(solver, crowd, of_makespan(rates, left))),
        found(finish_time_fair(solver, crowd, rates, clocks, alone)),
        found(cheapest(solver, crowd, rates, np.ones(rates.shape[1]), left)),
    ):
        assert_feasible(crowd, answer.shares)


@given(crowds(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_water_filled_levels_do_not_depend_on_the_order_of_jobs(
    drawn: tuple[Crowd, np.ndarray], chance: "st.random.Random"
) -> None:
    crowd, rates = drawn
    order = [*range(len(rates))]
    chance.shuffle(order)
    worth = of_fairness(crowd, rates, np.ones(len(rates)))
    other = Crowd(crowd.gpus[order], crowd.capacity, crowd.can_run[order])
    straight = levels(water_filled(Solver(), crowd, worth), worth)
    shuffled = levels(water_filled(Solver(), other, worth[order]), worth[order])
    assert shuffled == pytest.approx([straight[at] for at in order], rel=1e-4, abs=1e-6)


@given(crowds())
@settings(max_examples=40, deadline=None)
def test_nobody_can_have_more_but_from_who_has_less(drawn: tuple[Crowd, np.ndarray]) -> None:
    """Each job's level is the most it can have while all who have no more than it keep theirs."""
    crowd, rates = drawn
    worth = of_fairness(crowd, rates, np.ones(len(rates)))
    solver = Solver()
    had = np.array(levels(water_filled(solver, crowd, worth), worth))
    for job, level in enumerate(had):
        needs = np.where(had <= level * (1 + EPSILON), had, 0.0) * (1 - EPSILON)
        needs[job] = level * (1 + 1e-3)
        assert within(solver, crowd, worth, needs) is None
