"""In any life of a cluster, after each event: one decision, with memory, afresh and again."""

import pytest

from aimass.policies.registry import ALLOTTERS
from tests.core.random_life import Life, steps_of

# Each showed a fault once: a second move, a memory that misled, a crash, a plan that was rejected.
FOUND = (3, 6, 17, 41, 165, 195, 203, 213, 214, 256, 311, 400, 458, 610, 683, 1009, 1114, 1239)
STEPS = 80


@pytest.mark.parametrize("seed", FOUND)
def test_deciding_once_is_enough(seed: int) -> None:
    Life(seed).run(steps_of(seed, STEPS))


def test_who_borrowed_only_by_a_start_that_is_taken_back_borrows_no_more() -> None:
    """Its own jobs were within its guarantee all the time: a plan that stopped one was refused."""
    Life(419, is_strict=False).run(steps_of(419, 120))


@pytest.mark.parametrize("seed", range(100, 120))
def test_a_life_settles(seed: int) -> None:
    """Some lives still have a moment in which deciding again moves somebody; it settles at once."""
    Life(seed, is_strict=False).run(steps_of(seed, STEPS))


@pytest.mark.parametrize("seed", range(200, 212))
def test_a_life_settles_where_mass_places(seed: int) -> None:
    """What it keeps of scores and prices is that of a cluster which was restored a moment ago."""
    pytest.importorskip("numpy")
    Life(seed, is_strict=False, place="mass").run(steps_of(seed, STEPS))


# In each somebody was moved when they were written down; the first showed a fault once.
MOVING = (82, 322, 323, 328, 336)


def test_lives_with_moves_settle() -> None:
    """With moves allowed and most jobs movable, all of the same holds."""
    lives = [Life(seed, is_strict=False, moves=2) for seed in MOVING]
    for seed, life in zip(MOVING, lives, strict=True):
        life.run(steps_of(seed, 120))
    assert sum(life.moved for life in lives) > 0


@pytest.mark.parametrize("seed", [9, 16])
@pytest.mark.parametrize("order", ALLOTTERS)
def test_a_life_under_an_allotment(order: str, seed: int) -> None:
    """Shares and ends of jobs, holds and lost nodes: whoever is asked anew grants the same."""
    Life(seed, is_strict=False, order=order).run(steps_of(seed, STEPS))
