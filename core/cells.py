"""Cells of GPUs, given out to the queues that have them in reserve: the arithmetic of reserves.py.

The largest cells first. Of one size first where a queue's own jobs lie, in what only it may use
before the rest; then on the nodes that are left, the fullest first. What is given is there, also
all together. An arrangement may be missed where cells of one model have several sizes or levels,
or jobs of several such queues stay on the same nodes. Nodes that are alike are handled together.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aimass.core.queues import Cell, Reserve

Domain = tuple[str, ...]  # of a node: its domain on each level that a cell names; empty: none
Use = tuple[str, tuple[int, ...], int]
"""(queue, node indexes, GPUs of its cells on each of these)."""


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
        return self.open + self.of(family)[0] if self.own else self.open


Groups = dict[Domain, Mapping[Row, Sequence[int]]]
"""Indexes of nodes, ascending, by domain and row."""


def taken(row: Row, gpus: int, family: frozenset[str]) -> Row:
    """What is left when the family makes a cell's shard there: of what is its own first."""
    if not row.own:
        return Row(row.open - gpus)
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
    """All GPUs of one model, by node."""

    model: str
    levels: tuple[str, ...]
    rows: dict[int, tuple[Domain, Row]] = field(default_factory=dict)
    groups: dict[Domain, dict[Row, list[int]]] = field(default_factory=dict)

    def put(self, index: int, domain: Domain, row: Row) -> bool:
        """Enter a node, or another row of it; whether it is another. O(log nodes) and a memmove."""
        old = self.rows.get(index)
        if old == (domain, row):
            return False
        if old is not None:
            nodes = self.groups[old[0]][old[1]]
            del nodes[bisect_left(nodes, index)]
            if not nodes:
                del self.groups[old[0]][old[1]]
        self.rows[index] = (domain, row)
        insort(self.groups.setdefault(domain, {}).setdefault(row, []), index)
        return True

    def at(self, cell: Cell) -> int:
        """Which part of a Domain is about the cell's level; -1: it is of one node."""
        return self.levels.index(cell.level) if cell.level else -1

    def breaking(self, cell: Cell, devices: int, is_strict: bool) -> set[int]:
        """Nodes where taking so many GPUs takes a shard of a cell that its domain cannot spare.

        is_strict: where any number might. O(groups + nodes found).
        """
        gpus, at = cell.gpus, self.at(cell)
        totals: dict[str, int] = {}
        for domain, group in self.groups.items() if at >= 0 else ():
            count = sum(len(nodes) * (row.open // gpus) for row, nodes in group.items())
            totals[domain[at]] = totals.get(domain[at], 0) + count
        found: set[int] = set()
        for domain, group in self.groups.items():
            if at >= 0 and not domain[at]:
                continue  # of no domain on that level: no cell can be there
            for row, nodes in group.items():
                rest = 0 if is_strict else max(0, row.open - devices)
                less = row.open // gpus - rest // gpus
                if less and at >= 0:
                    total = totals[domain[at]]
                    less = total // cell.shards - (
                        0 if is_strict else (total - less) // cell.shards
                    )
                if less:
                    found.update(nodes)
        return found


class Giving:
    """The cells of one model while they are given out."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._groups: Groups = dict(shelf.groups)
        self._changed: dict[Domain, dict[Row, Sequence[int]]] = {}  # where some were given
        self._named: dict[int, dict[str, list[Domain]]] = {}  # by part of the domain

    def own_first(self, reserve: Reserve, uses: list[Use]) -> int:
        """Give cells where the queue's own jobs are; how many. uses: gets where. O(groups)."""
        _, cell, family = reserve
        mine = sorted(self._most_own(list(self._groups), reserve), key=_by_own)
        if not cell.level:
            return self._from_own([found[3] for found in mine], cell.count, reserve, uses)
        at, given = self._shelf.at(cell), 0
        for name in dict.fromkeys(found[3][at] for found in mine if found[3][at]):
            domains = self._of(at)[name]
            room = self._room(domains, reserve)
            most = min(cell.count - given, room // cell.shards)
            shards = self._from_own(domains, most * cell.shards, reserve, uses) if most else 0
            cells = -(-shards // cell.shards)  # the last is made whole with what is not its own
            rest = cells * cell.shards - shards
            more = self._from_any(cell.gpus, rest, family, domains) if rest else 0
            assert more == rest, "a domain had less room than was counted"
            given += cells
        return given

    def anywhere(self, reserve: Reserve, most: int) -> int:
        """Give so many cells wherever they can be, in the fullest domains first; how many."""
        _, cell, family = reserve
        if not most:
            return 0
        if not cell.level:
            return self._from_any(cell.gpus, most, family, list(self._groups))
        given, named = 0, self._of(self._shelf.at(cell))
        rooms = [(self._room(domains, reserve), name) for name, domains in named.items() if name]
        for room, name in sorted(found for found in rooms if found[0] >= cell.shards):
            cells = min(most - given, room // cell.shards)
            self._from_any(cell.gpus, cells * cell.shards, family, named[name])
            given += cells
            if given == most:
                break
        return given

    def spare(self, gpus: int) -> int:
        """Shards of so many GPUs that are still there for anybody."""
        return sum(
            len(nodes) * (row.open // gpus)
            for group in self._groups.values()
            for row, nodes in group.items()
        )

    def _of(self, at: int) -> dict[str, list[Domain]]:
        """The domains of a level by its name."""
        if at not in self._named:
            self._named[at] = {}
            for domain in self._groups:
                self._named[at].setdefault(domain[at], []).append(domain)
        return self._named[at]

    def _room(self, domains: list[Domain], reserve: Reserve) -> int:
        """Shards of the cell there."""
        gpus, family = reserve.cell.gpus, reserve.family
        return sum(
            len(nodes) * (row.room(family) // gpus)
            for domain in domains
            for row, nodes in self._groups[domain].items()
        )

    def _from_own(self, domains: list[Domain], most: int, reserve: Reserve, uses: list[Use]) -> int:
        """Take shards there, as long as some of each is the queue's own; how many.

        First those that cost the others no shard of this size, as they are made of what only this
        queue may use and of what is left over; of them first those that no other queue could have
        so. Then where most is its own.
        """
        _, cell, family = reserve
        domains, left = list(dict.fromkeys(domains)), most
        spare = []
        for kept, _, first, domain, row in self._most_own(domains, reserve):
            if each := (-kept + row.open % cell.gpus) // cell.gpus:
                is_shared = -kept < sum(staying for _, staying, _ in row.own)
                spare.append(((is_shared, kept, first), domain, row, each))
        for _, domain, row, each in sorted(spare, key=lambda found: found[0]):
            left -= self._take(domain, row, each, left, reserve, uses) if left else 0
        others = self._most_own(domains, reserve) if left else ()
        for *_, domain, row in sorted(others, key=_by_own):
            each, after = 0, row
            while after.room(family) >= cell.gpus and any(after.of(family)):
                after = taken(after, cell.gpus, family)
                each += 1
            left -= self._take(domain, row, each, left, reserve, uses) if left else 0
        return most - left

    def _most_own(
        self, domains: list[Domain], reserve: Reserve
    ) -> Iterator[tuple[int, int, int, Domain, Row]]:
        """(-kept, -soft, first node, domain, row) of groups where jobs of the queue are, and a
        shard of its cell could be."""
        _, cell, family = reserve
        for domain in domains:
            for row, nodes in self._groups[domain].items():
                if row.own and row.room(family) >= cell.gpus:
                    kept, soft = row.of(family)
                    if kept + soft:
                        yield -kept, -soft, nodes[0], domain, row

    def _from_any(self, gpus: int, most: int, family: frozenset[str], domains: list[Domain]) -> int:
        """Take shards from any nodes of these domains, the fullest first; how many.

        Of equally full ones those where queues with reserves are come last.
        """
        rows = [
            (room, bool(row.own), nodes[0], domain, row)
            for domain in domains
            for row, nodes in self._groups[domain].items()
            for room in (row.room(family),)
            if room >= gpus
        ]
        reserve, left = Reserve("", Cell(gpus, self._shelf.model, most), family), most
        for room, _, _, domain, row in sorted(rows, key=lambda found: found[:3]) if most else ():
            left -= self._take(domain, row, room // gpus, left, reserve, None)
            if not left:
                break
        return most - left

    def _take(
        self,
        domain: Domain,
        row: Row,
        each: int,
        most: int,
        reserve: Reserve,
        uses: list[Use] | None,
    ) -> int:
        """Take `each` shards from every node of the group, at most so many in all; how many."""
        group = self._changed.get(domain)
        if group is None:
            group = self._changed[domain] = self._groups[domain] = dict(self._groups[domain])
        nodes = group.pop(row)
        whole = min(len(nodes), most // each)
        parts = [(nodes[:whole], each)] if whole else []
        if whole < len(nodes):
            rest = most - whole * each
            parts += [(nodes[whole : whole + 1], rest)] if rest else []
            if nodes[whole + bool(rest) :]:
                group[row] = nodes[whole + bool(rest) :]
        count = 0
        for some, shards in parts:
            after = row
            for _ in range(shards):
                after = taken(after, reserve.cell.gpus, reserve.family)
            group[after] = tuple(sorted((*group.get(after, ()), *some)))
            count += shards * len(some)
            if uses is not None:
                uses.append((reserve.queue, tuple(some), shards * reserve.cell.gpus))
        return count


def _by_own(found: tuple[int, int, int, Domain, Row]) -> tuple[int, int, int]:
    return found[:3]
