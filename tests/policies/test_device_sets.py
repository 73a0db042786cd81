"""Sets of devices: as good as the best of all sets, and what that means where it matters."""

from collections.abc import Iterator
from functools import cache
from itertools import combinations, pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimass.core.links import CPU, NVLINK, SYSTEM, Links, Weights, pair_weights
from aimass.policies.device_sets import DeviceSets, mask_of
from aimass.policies.rings import ring_order, widest_ring
from tests.policies.boxes import ALONE, BOXES, CUBE_MESH, SOCKETS, sets_of_box

Devices = tuple[int, ...]
Quality = tuple[int, int]


class Exhaustive:
    """The best there is, by trying everything and remembering only what single sets are worth."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.quality = cache(self.quality_of)

    def quality_of(self, devices: Devices) -> Quality:
        """(slowest link of the best ring, all links together)."""
        total = sum(self.weights[i][j] for i, j in combinations(devices, 2))
        if len(devices) < 3:
            return total, total
        first, *others = devices
        rings = ((first, *order, first) for order in permutations(others) if order[0] < order[-1])
        return max(min(self.weights[a][b] for a, b in pairwise(r)) for r in rings), total

    def partition(self, devices: Devices, size: int) -> Quality:
        """The best sum over a partition into sets of this size and one of the rest."""
        sums = []
        for parts in partitions(devices, size):
            found = [self.quality(part) for part in parts]
            sums.append((sum(q[0] for q in found), sum(q[1] for q in found)))
        return max(sums)

    def score(self, free: Devices, chosen: Devices, shards: int, each: int) -> tuple[object, ...]:
        """What is compared, in this order."""
        left = tuple(i for i in free if i not in chosen)
        wanted = shards * each
        return (
            self.partition(chosen, each) if min(shards, each) > 1 else 0,
            self.quality(chosen),
            self.partition(left, wanted) if wanted > 1 else 0,
            self.quality(left)[1],
        )

    def best(self, free: Devices, shards: int, each: int) -> tuple[object, ...]:
        """The best score of any set."""
        return max(self.score(free, c, shards, each) for c in combinations(free, shards * each))


def partitions(devices: Devices, size: int) -> Iterator[tuple[Devices, ...]]:
    """Every way to split the devices into sets of this size and one smaller."""
    if len(devices) <= size:
        yield (devices,) if devices else ()
        return
    for count in {size, len(devices) % size} - {0}:
        for rest in combinations(devices[1:], count - 1):
            part = (devices[0], *rest)
            left = tuple(i for i in devices if i not in part)
            if count == size or len(left) % size == 0:
                yield from ((part, *others) for others in partitions(left, size))


def devices_in(mask: int) -> Devices:
    """The devices of a set."""
    return tuple(i for i in range(8) if mask >> i & 1)


@pytest.mark.parametrize("box", BOXES)
def test_every_choice_is_as_good_as_the_best_of_all(box: str) -> None:
    """All 256 sets of free devices, all sizes that they hold."""
    exhaustive, sets = Exhaustive(BOXES[box]), sets_of_box(box)
    cases = 0
    for mask in range(256):
        free = devices_in(mask)
        for size in range(1, len(free) + 1):
            (chosen,) = sets.choose(mask, 1, size)
            found = exhaustive.score(free, tuple(sorted(chosen)), 1, size)
            assert found == exhaustive.best(free, 1, size), (free, size, chosen)
            cases += 1
    assert cases == 1024  # the other half asks for more than is free


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize(("shards", "each"), [(2, 1), (3, 1), (2, 2), (3, 2), (2, 3), (4, 2)])
def test_several_shards_are_chosen_as_well(box: str, shards: int, each: int) -> None:
    """First each shard's own links, then those of all."""
    exhaustive, sets = Exhaustive(BOXES[box]), sets_of_box(box)
    for mask in range(256):
        free = devices_in(mask)
        if len(free) < shards * each:
            continue
        parts = sets.choose(mask, shards, each)
        chosen = tuple(sorted(i for part in parts for i in part))
        assert len(set(chosen)) == shards * each
        found = exhaustive.score(free, chosen, shards, each)
        assert found == exhaustive.best(free, shards, each), (free, parts)
        if each > 1:
            own = [exhaustive.quality(tuple(sorted(part))) for part in parts]
            assert (sum(q[0] for q in own), sum(q[1] for q in own)) == found[0]


@st.composite
def links_of(draw: st.DrawFn) -> DeviceSets:
    """Any eight devices: some pairs linked, from either end or both, unequally, on any CPU."""
    counts = st.sampled_from((0, 0, 0, 1, 2))
    rows = tuple(draw(st.tuples(*[counts] * 8)) for _ in range(8))
    numa_nodes = draw(st.tuples(*[st.integers(-1, 1)] * 8))
    switches = draw(st.tuples(*[st.integers(-1, 2)] * 8))
    weights = pair_weights(ALONE, numa_nodes, Links(rows, switches))
    return DeviceSets(weights, numa_nodes)


@given(links_of(), st.integers(1, 255))
def test_one_device_breaks_no_nvlink_while_there_is_one_without(
    sets: DeviceSets, free: int
) -> None:
    """Whatever is joined how: with links between free devices, one without them goes first."""
    ((chosen,),) = sets.choose(free, 1, 1)
    linked = {
        i for i in devices_in(free) if any(sets.weights[i][j] >= NVLINK for j in devices_in(free))
    }
    assert chosen not in linked or len(linked) == free.bit_count()


@given(links_of(), st.integers(1, 255), st.integers(3, 6))
def test_a_ring_passes_every_device_once_and_no_order_has_better_links(
    sets: DeviceSets, mask: int, most: int
) -> None:
    """By the slowest link, then by all of them; it is opened where it is slowest."""
    devices = devices_in(mask)[:most]
    found = ring_order(sets.weights, sets.numa_nodes, devices)
    assert sorted(found) == list(devices)
    if len(devices) < 3:
        return

    def hops(order: Devices) -> list[Quality]:
        pairs = zip(order, (*order[1:], order[0]), strict=True)
        return [(sets.weights[a][b], sets.numa_nodes[a] == sets.numa_nodes[b]) for a, b in pairs]

    def worth(order: Devices) -> tuple[int, int, int]:
        joined = hops(order)
        return min(joined)[0], sum(w for w, _ in joined), sum(same for _, same in joined)

    best = max(worth((devices[0], *order)) for order in permutations(devices[1:]))
    assert worth(found) == best
    assert widest_ring(sets.weights, devices) == best[0]
    assert hops(found)[-1] == min(hops(found))


def test_a_broken_link_is_gone_around() -> None:
    """On a cube mesh: the pair that had two links, seen from one end only, is no pair any more."""
    rows = [list(row) for row in CUBE_MESH.nvlinks]
    rows[3][0] = 0
    broken = DeviceSets(pair_weights((0,) * 8, SOCKETS, Links(tuple(map(tuple, rows)))), SOCKETS)
    assert sets_of_box("cube-mesh").choose(0b1001_1001, 1, 2) == ((0, 3),)
    assert broken.choose(0b1001_1001, 1, 2) == ((0, 4),)


def test_a_ring_of_nvlinks_is_worth_more_than_many_links_without_one() -> None:
    """Five on a cube mesh: four that are all joined and one more have most, but no way around."""
    mesh = sets_of_box("cube-mesh")
    (chosen,) = mesh.choose(255, 1, 5)
    assert widest_ring(mesh.weights, tuple(sorted(chosen))) == NVLINK
    most = max(combinations(range(8), 5), key=lambda five: mesh.total(mask_of(five)))
    assert most == (0, 1, 2, 3, 4)
    assert widest_ring(mesh.weights, most) == SYSTEM


def test_ranks_follow_the_links() -> None:
    """Eight of one device on a cube mesh lie on its ring of double links; pairs follow pairs."""
    mesh = sets_of_box("cube-mesh")
    assert mesh.choose(255, 8, 1) == ((0,), (3,), (2,), (1,), (5,), (6,), (7,), (4,))
    assert mesh.choose(255, 1, 8) == ((0, 3, 2, 1, 5, 6, 7, 4),)
    assert mesh.choose(255, 4, 2) == ((0, 3), (1, 2), (5, 6), (4, 7))


def test_islands_and_numa_nodes_stay_in_one_piece_of_the_ring() -> None:
    """Islands of every second device; and on one switch for all, the sockets."""
    islands = (0, 1) * 4
    split = DeviceSets(pair_weights(islands, SOCKETS, None), SOCKETS)
    assert split.choose(255, 1, 8) == ((0, 2, 4, 6, 5, 7, 1, 3),)
    numa_nodes = (0, 1) * 4
    hgx = DeviceSets(pair_weights((0,) * 8, numa_nodes, None), numa_nodes)
    assert hgx.choose(255, 1, 8) == ((0, 2, 4, 6, 1, 3, 5, 7),)


def two_islands(devices: int) -> DeviceSets:
    """Devices in turn of one island and the other, each island on its own CPU."""
    islands = tuple(i % 2 for i in range(devices))
    return DeviceSets(pair_weights(islands, islands, None), islands)


@pytest.mark.parametrize("devices", [10, 16, 64])
def test_more_devices_than_can_be_tried_are_chosen_by_growing(devices: int) -> None:
    """Sets stay in one island where they fit, and in the one of which less is free."""
    sets, free = two_islands(devices), (1 << devices) - 1
    half = devices // 2
    assert sets.choose(free, 1, half) == (tuple(range(0, devices, 2)),)
    assert sets.choose(free & ~0b1000, 1, 2) == ((1, 5),)
    assert sets.choose(free & ~0b1000, 1, 1) == ((1,),)
    parts = sets.choose(free, half, 2)
    assert sorted(i for part in parts for i in part) == list(range(devices))
    assert sum(sets.weights[a][b] < NVLINK for a, b in parts) == half % 2
    order = [i for (i,) in sets.choose(free, devices, 1)]
    turns = sum(a % 2 != b % 2 for a, b in zip(order, (*order[1:], order[0]), strict=True))
    assert (sorted(order), turns) == (list(range(devices)), 2)


def test_answers_are_kept_and_stay_bounded() -> None:
    """Asking again gives the very same; a node with many devices forgets instead of growing."""
    sets = two_islands(16)
    assert sets.choose(0xFFFF, 1, 2) is sets.choose(0xFFFF, 1, 2)
    for free in range(0x8000, 0x8000 + 5000):
        sets.choose(free, 1, 1)
    assert len(sets._answers) <= 4096


def test_weights_of_a_node_without_links_are_all_alike() -> None:
    """Nothing is known, and nothing is preferred but the lowest."""
    unknown = (-1,) * 8
    plain = DeviceSets(pair_weights(unknown, unknown, None), unknown)
    assert {w for row in plain.weights for w in row} == {0, CPU}
    assert plain.choose(0b1111_0110, 1, 3) == ((1, 2, 4),)
    assert SYSTEM < CPU
