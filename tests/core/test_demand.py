"""What the window of submissions remembers, and when placement hears of it."""

from aimass.core.demand import AT_ONCE_MAX, CLASSES_MAX, HALF_LIFE_MIN, Demand, differ
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


def turns(demand: Demand, count: int, lives_ms: dict[Shape, int]) -> None:
    """Submit one of each class so often; each runs as long as said, then the next begins."""
    for turn in range(count):
        for shape, life_ms in lives_ms.items():
            demand.add(shape, 1, at_ms=turn * 1000 + life_ms)
            demand.started(shape, turn * 1000)
            demand.left(shape, turn * 1000, turn * 1000 + life_ms)


def test_a_submission_counts_by_how_long_its_class_stays() -> None:
    """As many of both, of which one stays nine times as long: nine tenths, less what may lag."""
    demand = Demand()
    turns(demand, 4_000, {SINGLE: 900, SHARE: 100})
    assert demand.classes[SINGLE] == demand.classes[SHARE]
    part = demand.lasting[SINGLE] / sum(demand.lasting.values())
    assert 0.8 < part < 0.91


def test_who_still_runs_says_how_long_its_class_stays() -> None:
    """Those that never left hold the cluster all the same, and count."""
    demand = Demand()
    for _ in range(20):
        demand.started(SINGLE, 0)
    turns(demand, 1_000, {SHARE: 10})
    demand.add(SINGLE, 1, 1_000, at_ms=10**6)
    assert demand.lasting[SINGLE] > 3 * demand.classes[SINGLE]


def test_without_ends_a_submission_is_a_submission() -> None:
    """Whoever only comes has no life yet; and one short life says little."""
    demand = Demand()
    for turn in range(1_000):
        demand.add((SINGLE, SHARE)[turn % 2], 1, at_ms=turn)
        demand.started(SINGLE, turn)
    assert demand.lasting == demand.classes
    demand.left(SINGLE, 0, 1)
    demand.started(SHARE, 1000)
    demand.left(SHARE, 1000, 1001)
    demand.add(SINGLE, 1, 3 * HALF_LIFE_MIN, at_ms=1001)
    assert 0.8 < demand.lasting[SHARE] / demand.classes[SHARE] < 1.1


def test_lives_that_nobody_lives_are_forgotten() -> None:
    """Memory is for classes of which a pod runs, or left lately."""
    demand = Demand()
    for cpu_milli in range(100):
        turns(demand, 1, {SHARE._replace(cpu_milli=cpu_milli): 5})
    demand.started(SINGLE, 0)
    for _ in range(100):
        demand.add(SINGLE, 1, HALF_LIFE_MIN, at_ms=9)
    assert set(demand.lives) == {SINGLE}


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


def test_a_huge_array_is_most_of_the_mix_and_wipes_nothing_out() -> None:
    """It used to fade as if it were old: then nothing at all was known."""
    demand = Demand()
    for _ in range(2_000):
        demand.add(SHARE, 1)
    before = demand.seen
    demand.add(SINGLE, 1, 1_000_000)
    assert demand.seen - before <= AT_ONCE_MAX * HALF_LIFE_MIN
    assert demand.classes[SINGLE] > 10 * demand.classes[SHARE] > 0
