"""What the window of submissions remembers, and when placement hears of it."""

from aimass.core.demand import CLASSES_MAX, HALF_LIFE_MIN, Demand, differ
from aimass.core.shapes import Shape

SINGLE = Shape(10_000, 0, 1, 1000, ())
SHARE = Shape(2_000, 0, 1, 500, ())


def test_a_window_halves_what_is_old() -> None:
    """After a half-life of other submissions, in eight steps; in the end it is forgotten."""
    demand = Demand()
    demand.add(SINGLE, 1, HALF_LIFE_MIN // 8 - 1)
    before = demand.weights[SINGLE]
    demand.add(SHARE, 1, HALF_LIFE_MIN)
    assert 0.49 < demand.weights[SINGLE] / before < 0.51
    for _ in range(100):
        demand.add(SHARE, 1, HALF_LIFE_MIN)
    assert SINGLE not in demand.weights


def test_many_at_once_are_as_many_one_by_one() -> None:
    """Arrays come in one event; weights may differ by the rounding of a fade in between."""
    one_by_one, at_once = Demand(), Demand()
    for _ in range(5_000):
        one_by_one.add(SINGLE, 2_000)
    at_once.add(SINGLE, 2_000, 5_000)
    assert at_once.seen == one_by_one.seen
    assert at_once.fade_at == one_by_one.fade_at


def test_the_mix_that_counts_follows_when_a_tenth_has_moved() -> None:
    """Not with every submission: all scores would begin anew."""
    demand = Demand()
    changes = sum(demand.add(SINGLE, 1) for _ in range(1_000))
    assert changes == 1
    assert set(demand.classes) == {SINGLE}
    changes = sum(demand.add(SHARE, 1) for _ in range(4_000))
    assert 1 < changes < 8
    assert set(demand.classes) == {SINGLE, SHARE}


def test_a_window_says_how_far_the_mix_has_moved() -> None:
    """A tenth of the weight in other classes is ten percent, whatever the totals are."""
    weights = {SINGLE: 9, SHARE: 1}
    assert differ(weights, {}, 100)
    assert not differ({}, {}, 1)
    assert not differ(weights, {SINGLE: 90, SHARE: 10}, 1)
    assert differ(weights, {SINGLE: 5}, 10)
    assert not differ(weights, {SINGLE: 5}, 11)


def test_memory_is_no_class_and_classes_are_bounded() -> None:
    """A user whose every pod is another shape fills no memory, and hides no usual one."""
    demand = Demand()
    for memory_mib in range(10):
        demand.add(SINGLE._replace(memory_mib=memory_mib), 1)
    assert set(demand.weights) == {SINGLE}
    for cpu_milli in range(3 * CLASSES_MAX):
        demand.add(SHARE._replace(cpu_milli=cpu_milli), 1)
    assert len(demand.weights) <= CLASSES_MAX
    assert SINGLE in demand.weights
