"""Cells are given out soundly, and none is missed where all cells are of one node."""

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from aimass.core.cells import Giving, Row, Shelf, taken
from aimass.core.queues import Cell, Reserve

QUEUES = ("a", "b")
A, B = frozenset("a"), frozenset("b")
State = tuple[tuple[int, int, int], ...]
"""Of each node: (open, kept by a, kept by b)."""


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """A node of 8 GPUs with jobs of both queues on it, and jobs that stay of others."""
    kept = [draw(st.sampled_from((0, 0, 0, 1, 2, 4))) for _ in QUEUES]
    free = draw(st.integers(0, 8 - sum(kept) if sum(kept) < 8 else 0))
    soft_a = draw(st.integers(0, free))
    soft_b = draw(st.integers(0, free - soft_a))
    own = ((q, k, s) for q, k, s in zip(QUEUES, kept, (soft_a, soft_b), strict=True) if k or s)
    return Row(free, tuple(own))


def shelf_of(nodes: list[Row], racks: int = 0) -> Shelf:
    shelf = Shelf("H100", ("rack",) if racks else ())
    for index, row in enumerate(nodes):
        shelf.put(index, (f"r{index % racks}",) if racks else (), row)
    return shelf


def given_to(shelf: Shelf, reserves: list[Reserve]) -> list[int]:
    giving = Giving(shelf)
    own = [giving.own_first(reserve, {}) for reserve in reserves]
    left = [reserve.cell.count - n for reserve, n in zip(reserves, own, strict=True)]
    more = [giving.anywhere(r, n) for r, n in zip(reserves, left, strict=True)]
    return [first + second for first, second in zip(own, more, strict=True)]


def can_all_be(state: State, wanted: tuple[tuple[int, int], ...]) -> bool:
    """By trying everything: (queue, GPUs) of each cell that is still to be given."""

    @cache
    def fits(state: State, wanted: tuple[tuple[int, int], ...]) -> bool:
        if not wanted:
            return True
        (queue, gpus), *rest = wanted
        for index, node in enumerate(state):
            own = min(node[1 + queue], gpus)  # what is its own is of use to nobody else
            if node[0] + own >= gpus:
                left = list(node)
                left[0] -= gpus - own
                left[1 + queue] -= own
                after = (*state[:index], tuple(left), *state[index + 1 :])
                if fits(after, tuple(rest)):  # type: ignore[arg-type]
                    return True
        return False

    return fits(state, wanted)


def exact(nodes: list[Row]) -> State:
    def kept(row: Row, queue: str) -> int:
        return row.of(frozenset(queue))[0]

    return tuple((row.open, kept(row, "a"), kept(row, "b")) for row in nodes)


@given(
    st.lists(rows(), min_size=1, max_size=4),
    st.sampled_from((1, 2, 4, 8)),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_cells_of_one_size_are_all_given_if_they_can_be(
    nodes: list[Row], gpus: int, of_a: int, of_b: int
) -> None:
    reserves = [
        Reserve("a", Cell(gpus, "H100", of_a), A),
        Reserve("b", Cell(gpus, "H100", of_b), B),
    ]
    found = given_to(shelf_of(nodes), reserves)
    is_all = found == [of_a, of_b]
    assert is_all == can_all_be(exact(nodes), ((0, gpus),) * of_a + ((1, gpus),) * of_b)
    real = ((0, gpus),) * found[0] + ((1, gpus),) * found[1]
    assert can_all_be(exact(nodes), real), "it gave what is not there"


@given(st.lists(rows(), min_size=1, max_size=6), st.integers(1, 3), st.integers(1, 3))
def test_a_cell_for_a_gang_lies_in_one_domain(nodes: list[Row], shards: int, count: int) -> None:
    reserve = Reserve("a", Cell(4, "H100", count, shards, "rack"), A)
    found = given_to(shelf_of(nodes, racks=2), [reserve])
    rooms = [sum(row.room(A) // 4 for row in nodes[rack::2]) for rack in (0, 1)]
    assert found == [min(count, sum(room // shards for room in rooms))]


def test_a_cell_is_made_of_what_is_its_own_first() -> None:
    row = Row(6, (("a", 1, 2), ("b", 1, 3)))
    assert taken(row, 4, A) == Row(3, (("a", 0, 0), ("b", 1, 3)))
    assert taken(row, 7, A) == Row(0, (("a", 0, 0), ("b", 1, 0)))


def test_nodes_are_counted_together_until_a_queue_with_a_reserve_is_there() -> None:
    shelf = shelf_of([Row(8), Row(8), Row(3, (("a", 1, 0),))])
    assert shelf.plain == {((), 8): 2}
    assert list(shelf.special) == [2]
    shelf.put(0, (), Row(8, (("b", 0, 2),)))
    shelf.put(2, (), Row(3))
    assert shelf.plain == {((), 8): 1, ((), 3): 1}
    assert list(shelf.special) == [0]
