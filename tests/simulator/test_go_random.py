"""Go's random numbers, by what Go itself gives."""

from aimass.simulator.go_random import GoRandom


def test_the_numbers_are_those_that_go_programs_know() -> None:
    """`rand.Seed(1)`, ten times `rand.Intn(100)`: the best known sequence of all."""
    random = GoRandom(1)
    assert [random.below(100) for _ in range(10)] == [81, 87, 47, 59, 81, 18, 25, 40, 56, 0]


def test_a_seed_of_zero_and_its_multiples_are_one_seed() -> None:
    """Go takes seeds modulo 2**31 - 1, and another number for 0."""
    numbers = [GoRandom(seed).int63() for seed in (0, (1 << 31) - 1, 89_482_311, 5)]
    assert numbers[0] == numbers[1] == numbers[2] != numbers[3]
    assert GoRandom(-1).int63() == GoRandom((1 << 31) - 2).int63()


def test_a_shuffle_is_a_permutation_that_the_seed_decides() -> None:
    """All items stay; powers of two, which draw bits instead of remainders, too."""
    orders = []
    for seed in (42, 42, 43):
        items = list(range(100))
        GoRandom(seed).shuffle(items)
        assert sorted(items) == list(range(100))
        orders.append(items)
    assert orders[0] == orders[1] != orders[2]
    random = GoRandom(7)
    assert {random.below(8) for _ in range(200)} == set(range(8))
