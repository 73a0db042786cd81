"""Cells of GPUs, given out to the queues that have them in reserve: the arithmetic of reserves.py.

The largest cells first. Of one size first where a queue's own jobs lie, those that stay before
those that can be stopped; then on the nodes that are left, the fullest first. What is given is
there, also all together. An arrangement may be missed where cells of one model have sizes that do
not divide one another, or lie on several levels.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from aimass.core.queues import Cell, Reserve

Domain = tuple[str | None, ...]  # of a node: its domain on each level that a cell names
Used = dict[tuple[str, int], int]  # (queue, node index) -> GPUs


class Row(NamedTuple):
    """The GPUs of one model on one node.

    open: that any queue may have, free or held by who can be stopped. own: (queue, kept, soft) of
    queues with a reserve: kept is held by its jobs that stay and is open to it alone, soft is what
    of open its other jobs hold.
    """

    open: int
    own: tuple[tuple[str, int, int], ...] = ()

    def of(self, family: frozenset[str]) -> tuple[int, int]:
        """(kept, soft) of all queues of a family."""
        kept = soft = 0
        for queue, staying, going in self.own:
            if queue in family:
                kept, soft = kept + staying, soft + going
        return kept, soft

    def room(self, family: frozenset[str]) -> int:
        """GPUs of which the family may make cells."""
        return self.open + self.of(family)[0]


def taken(row: Row, gpus: int, family: frozenset[str]) -> Row:
    """What is left when the family makes a cell's shard there: of what is its own first."""
    free, left = row.open, gpus
    own = {queue: [kept, soft] for queue, kept, soft in row.own}
    mine = [entry for queue, entry in own.items() if queue in family]
    for is_soft in (0, 1):
        for entry in mine:
            part = min(left, entry[is_soft])
            entry[is_soft] -= part
            left -= part
            free -= part if is_soft else 0
    free -= left
    over = sum(entry[1] for entry in own.values()) - free  # it took what others' jobs hold
    for entry in own.values():
        part = min(max(over, 0), entry[1])
        entry[1] -= part
        over -= part
    return Row(free, tuple((queue, kept, soft) for queue, (kept, soft) in own.items()))


@dataclass(slots=True)
class Shelf:
    """All GPUs of one model by node; nodes where no queue with a reserve is also as counts."""

    model: str
    levels: tuple[str, ...]
    rows: dict[int, tuple[Domain, Row]] = field(default_factory=dict)
    plain: dict[tuple[Domain, int], int] = field(default_factory=dict)  # (domain, open) -> nodes
    special: dict[int, tuple[Domain, Row]] = field(default_factory=dict)

    def put(self, index: int, domain: Domain, row: Row) -> None:
        """Enter a node, or another row of it. O(1)."""
        old = self.rows.get(index)
        if old == (domain, row):
            return
        if old is not None and old[1].own:
            del self.special[index]
        elif old is not None:
            _count(self.plain, (old[0], old[1].open), -1)
        self.rows[index] = (domain, row)
        if row.own:
            self.special[index] = (domain, row)
        else:
            _count(self.plain, (domain, row.open), 1)

    def copy(self) -> "Shelf":
        """The same, to be changed. O(nodes)."""
        rows, plain, special = dict(self.rows), dict(self.plain), dict(self.special)
        return Shelf(self.model, self.levels, rows, plain, special)

    def at(self, cell: Cell) -> int:
        """Which part of a Domain is about the cell's level."""
        return self.levels.index(cell.level) if cell.level else -1


def _count(table: dict[tuple[Domain, int], int], key: tuple[Domain, int], by: int) -> None:
    left = table.get(key, 0) + by
    if left:
        table[key] = left
    else:
        table.pop(key, None)


def breaking(shelf: Shelf, cell: Cell, devices: int, is_strict: bool) -> set[int]:
    """Nodes where taking so many GPUs takes a shard of such a cell that its domain cannot spare.

    is_strict: where any number might. O(nodes).
    """
    gpus, at = cell.gpus, shelf.at(cell)
    totals: dict[str | None, int] = {}
    for domain, row in shelf.rows.values() if at >= 0 else ():
        totals[domain[at]] = totals.get(domain[at], 0) + row.open // gpus
    found = set()
    for index, (domain, row) in shelf.rows.items():
        rest = 0 if is_strict else max(0, row.open - devices)
        less = row.open // gpus - rest // gpus
        if less and at >= 0:
            total = totals[domain[at]] if domain[at] is not None else 0
            less = total // cell.shards - (0 if is_strict else (total - less) // cell.shards)
        if less:
            found.add(index)
    return found


class Giving:
    """The cells of one model while they are given out."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._plain = dict(shelf.plain)
        self._special = dict(sorted(shelf.special.items()))

    def own_first(self, reserve: Reserve, used: Used) -> int:
        """Give cells where the queue's own jobs are; how many. used: gets the GPUs of these nodes.

        O(nodes where queues with reserves are, by log).
        """
        _, cell, family = reserve
        mine = [
            (-kept, -soft, index)
            for index, (_, row) in self._special.items()
            for kept, soft in (row.of(family),)
            if kept + soft and row.room(family) >= cell.gpus
        ]
        nodes = [index for _, _, index in sorted(mine)]
        if not cell.level:
            return self._from_own(nodes, cell.count, reserve, used)
        rooms, at, given = self._rooms(reserve), self._shelf.at(cell), 0
        by_domain: dict[str | None, list[int]] = {}
        for index in nodes:
            by_domain.setdefault(self._special[index][0][at], []).append(index)
        for name, here in by_domain.items():
            while given < cell.count and name is not None and rooms[name] >= cell.shards:
                shards = self._from_own(here, cell.shards, reserve, used)
                if not shards:
                    break
                rest = self._from_any(cell.gpus, cell.shards - shards, family, name, at)
                assert shards + rest == cell.shards, "a domain had less room than was counted"
                rooms[name] -= cell.shards
                given += 1
        return given

    def anywhere(self, reserve: Reserve, most: int) -> int:
        """Give so many cells wherever they can be, in the fullest domains first; how many."""
        _, cell, family = reserve
        if not cell.level:
            return self._from_any(cell.gpus, most, family, None, -1)
        given, at = 0, self._shelf.at(cell)
        for room, name in sorted((room, name) for name, room in self._rooms(reserve).items()):
            cells = min(most - given, room // cell.shards)
            self._from_any(cell.gpus, cells * cell.shards, family, name, at)
            given += cells
        return given

    def spare(self, gpus: int) -> int:
        """Shards of so many GPUs that are still there for anybody."""
        plain = sum(count * (room // gpus) for (_, room), count in self._plain.items())
        return plain + sum(row.open // gpus for _, row in self._special.values())

    def _rooms(self, reserve: Reserve) -> dict[str, int]:
        """Shards of the cell by domain."""
        at, gpus = self._shelf.at(reserve.cell), reserve.cell.gpus
        rooms: dict[str, int] = {}
        for (domain, room), count in self._plain.items():
            if (name := domain[at]) is not None:
                rooms[name] = rooms.get(name, 0) + count * (room // gpus)
        for domain, row in self._special.values():
            if (name := domain[at]) is not None:
                rooms[name] = rooms.get(name, 0) + row.room(reserve.family) // gpus
        return rooms

    def _from_own(self, nodes: list[int], most: int, reserve: Reserve, used: Used) -> int:
        """Take shards from these nodes, as long as some of it is the queue's own; how many."""
        queue, cell, family = reserve
        given = 0
        for index in nodes:
            domain, row = self._special[index]
            while given < most and row.room(family) >= cell.gpus and any(row.of(family)):
                row = taken(row, cell.gpus, family)
                used[queue, index] = used.get((queue, index), 0) + cell.gpus
                given += 1
            self._special[index] = (domain, row)
        return given

    def _from_any(
        self, gpus: int, most: int, family: frozenset[str], name: str | None, at: int
    ) -> int:
        """Take shards from any nodes (at >= 0: of that domain), the fullest first; how many."""
        left = most
        keys = [key for key in self._plain if key[1] >= gpus and (at < 0 or key[0][at] == name)]
        keys.sort(key=lambda key: (key[1], [part or "" for part in key[0]]))
        for key in keys:
            each, there = key[1] // gpus, self._plain[key]
            whole = min(there, left // each)
            self._shift(key, whole, each * gpus)
            left -= whole * each
            if left and whole < there:
                self._shift(key, 1, left * gpus)
                left = 0
        rows = (
            (row.room(family), index)
            for index, (domain, row) in self._special.items()
            if at < 0 or domain[at] == name
        )
        for _, index in sorted(rows) if left else ():
            domain, row = self._special[index]
            while left and row.room(family) >= gpus:
                row = taken(row, gpus, family)
                left -= 1
            self._special[index] = (domain, row)
        return most - left

    def _shift(self, key: tuple[Domain, int], nodes: int, gpus: int) -> None:
        """So many of these nodes give so many GPUs each."""
        if nodes:
            _count(self._plain, key, -nodes)
            _count(self._plain, (key[0], key[1] - gpus), nodes)
