"""In any life of a cluster with reserves: no cell is lost but by nodes and operators."""

import pytest

from tests.core.random_life import steps_of
from tests.core.reserved_life import ReservedLife

FOUND = (
    256,  # small cells were given before large ones, and broke one of them
    5002,  # who was to be requeued was cancelled, and nobody looked again at those behind it
)
STEPS = 80


@pytest.mark.parametrize("seed", [*FOUND, *range(1003, 1012)])
def test_no_decision_loses_a_cell(seed: int) -> None:
    """Each decision is proved, and the same with memory, afresh and of the restored cluster."""
    ReservedLife(seed, is_strict=False).run(steps_of(seed, STEPS))


@pytest.mark.parametrize("seed", [3155, 3156])
def test_nor_does_a_move(seed: int) -> None:
    """Whoever moves and whoever gains by it takes places as all do."""
    ReservedLife(seed, is_strict=False, moves=2).run(steps_of(seed, STEPS))
