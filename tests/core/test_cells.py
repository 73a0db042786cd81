"""What is given as cells is there, and none is missed where they are of one size and one node."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimass.core import cells
from aimass.core.cells import Giving, Row, Shelf, Use, taken
from aimass.core.queues import Cell, Reserve

QUEUES = ("a", "b")
A, B = frozenset("a"), frozenset("b")
State = tuple[tuple[int, int, int], ...]
"""Of each node: (open, kept by a, kept by b)."""


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """A node of 8 GPUs with jobs of both queues on it, and jobs that stay of others."""
    kept = [draw(st.sampled_from((0, 0, 0, 1, 2, 3, 4, 5))) for _ in QUEUES]
    free = draw(st.integers(0, max(0, 8 - sum(kept))))
    soft_a = draw(st.integers(0, free))
    soft_b = draw(st.integers(0, free - soft_a))
    own = ((q, k, s) for q, k, s in zip(QUEUES, kept, (soft_a, soft_b), strict=True) if k or s)
    return Row(free, tuple(own))


def shelf_of(nodes: list[Row], racks: int = 0) -> Shelf:
    shelf = Shelf("H100", ("rack",) if racks else ())
    for index, row in enumerate(nodes):
        assert shelf.put(index, (f"r{index % racks}",) if racks else (), row)
    return shelf


def given_to(shelf: Shelf, reserves: list[Reserve]) -> list[int]:
    giving = Giving(shelf)
    own = [giving.own_first(reserve, []) for reserve in reserves]
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


@settings(max_examples=500)
@given(
    st.lists(rows(), min_size=1, max_size=4),
    st.sampled_from((1, 2, 3, 4, 8)),
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
    can_be = can_all_be(exact(nodes), ((0, gpus),) * of_a + ((1, gpus),) * of_b)
    if not any(row.of(A)[0] and row.of(B)[0] for row in nodes):  # who stays shares no node
        assert (found == [of_a, of_b]) == can_be
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


@pytest.mark.parametrize("count", [2, 16])
def test_cells_in_a_rack_of_its_own_are_given_at_once(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its nodes are alike: one is made smaller, for all of them."""
    made = []

    def counted(row: Row, gpus: int, family: frozenset[str]) -> Row:
        made.append(row)
        return taken(row, gpus, family)

    own = Row(0, (("a", 8, 0),))
    giving = Giving(shelf_of([own] * (2 * count), racks=1))
    monkeypatch.setattr(cells, "taken", counted)
    uses: list[Use] = []
    assert giving.own_first(Reserve("a", Cell(8, "H100", count, 2, "rack"), A), uses) == count
    assert uses == [("a", tuple(range(2 * count)), 8)]
    assert made == [own]


def test_racks_of_which_nothing_is_given_are_asked_for_their_room_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    room = Row.room

    def counted(row: Row, family: frozenset[str]) -> int:
        asked.append(row)
        return room(row, family)

    giving = Giving(shelf_of([Row(8)] * 40, racks=20))
    monkeypatch.setattr(Row, "room", counted)
    assert giving.anywhere(Reserve("a", Cell(8, "H100", 1, 2, "rack"), A), 1) == 1
    assert len(asked) == 20 + 1


def test_nodes_that_are_alike_are_handled_together() -> None:
    shelf = shelf_of([Row(8), Row(8), Row(3, (("a", 1, 0),))])
    assert shelf.groups == {(): {Row(8): [0, 1], Row(3, (("a", 1, 0),)): [2]}}
    assert not shelf.put(0, (), Row(8))
    assert shelf.put(0, (), Row(3, (("a", 1, 0),)))
    assert shelf.groups == {(): {Row(8): [1], Row(3, (("a", 1, 0),)): [0, 2]}}


def test_it_is_said_where_a_queue_uses_its_cells() -> None:
    own = Row(8, (("a", 0, 2),))
    giving = Giving(shelf_of([own, Row(8), own, Row(6, (("a", 2, 0),))]))
    uses: list[Use] = []
    assert giving.own_first(Reserve("a", Cell(4, "H100", 2), A), uses) == 2
    assert uses == [("a", (3,), 4), ("a", (0,), 4)]  # who stays comes first, then by node
    assert giving.spare(4) == 2 + 1 + 2 + 1


@given(st.lists(rows(), min_size=1, max_size=5), st.sampled_from((1, 2, 4)))
def test_who_takes_little_where_it_may_breaks_nothing(nodes: list[Row], gpus: int) -> None:
    """Of nodes that are not breaking one GPU may go, and as many cells are there as before."""
    shelf = shelf_of(nodes)
    cell = Cell(gpus, "H100", 99)
    breaking = shelf.breaking(cell, 1, is_strict=False)
    most = Giving(shelf).spare(gpus)
    for index, row in enumerate(nodes):
        if row.open:
            fewer = [*nodes[:index], Row(row.open - 1), *nodes[index + 1 :]]
            is_less = Giving(shelf_of(fewer)).spare(gpus) < most
            assert is_less == (index in breaking)
    assert breaking <= shelf.breaking(cell, 1, is_strict=True)
