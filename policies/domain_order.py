"""Which domains of a level can hold a gang, best first.

The counters of core/domains.py leave out those that cannot and put the others in order; only those
that a policy is about to use are asked for their room. Needs without whole GPUs are not counted
there: for them the room of every domain is.
"""

from collections.abc import Iterator, Sequence

from aimass.core.bitslice import Sliced, lowest, members
from aimass.core.domains import Domain, DomainCounts, Level
from aimass.core.spec import WHOLE_GPU_MILLI
from aimass.core.spec_problems import SHARDS_MAX
from aimass.policies.room import Room


class Figures:
    """By domain number: shards of a role that may fit, and what orders those with enough."""

    def __init__(self, room: Room, shards: int, level: Level) -> None:
        self.level = level
        self.counts: DomainCounts | None = None
        self.devices = 0
        self._shards = shards
        if room.need.gpu_milli >= WHOLE_GPU_MILLI:
            self.devices = room.need.devices
            self.counts = room.counts(level.name)
            self.room, self._most = self.counts.room(self.devices), self.counts.largest
        else:
            self.room, self._most = Sliced(), Sliced()
            both = room.count_by_domain(level.domains)
            self.room.put_all([total for total, _ in both])
            self._most.put_all([most for _, most in both])

    def enough(self, among: int) -> int:
        """Those that may hold the role."""
        return self.room.at_least(self._shards, among)

    def broken(self, among: int) -> int:
        """Those in use already, and those that it would use up; all, if there are none."""
        if self.counts is None:
            return among
        more = self._shards * self.devices + 1
        return among & ~(self.counts.whole & self.counts.free.at_least(more, among)) or among

    def tightest(self, among: int) -> int:
        """Those with the least room, and of these where one node takes most."""
        return self._most.most(self.room.least(among))

    def full(self, nodes: int, fits: int, among: int) -> int:
        """Those with so many nodes that take so many shards each, or else with the most."""
        if self.counts is None:
            return among
        row = self.counts.room(fits * self.devices)
        return row.at_least(nodes, among) or row.most(among)


def roomiest(room: Room, figures: Figures, among: int, filling: int) -> tuple[int, int]:
    """The domain with room for most shards, and for how many; (-1, 0): none has any.

    filling: only nodes that take so many each count; 0: all do. Asked are those that could have
    more than the best so far.
    """
    best, most = -1, 0
    bounds, each = figures.room, 1
    if filling and figures.counts is not None:
        bounds, each = figures.counts.room(filling * figures.devices), filling
    while among:
        number = lowest(bounds.most(among))
        if each * bounds.values[number] <= most:
            break
        among ^= 1 << number
        nodes = figures.level.domains[number].mask
        if filling:
            found = filling * (room.mask(filling) & nodes).bit_count()
        else:
            found = room.count(SHARDS_MAX, nodes)
        if found > most:
            best, most = number, found
    return best, most


def domains_holding(
    rooms: Sequence[Room],
    sizes: Sequence[int],
    level: str,
    inside: Domain | None = None,
    below: Sequence[str] = (),
    fits: int = 0,
) -> Iterator[Domain]:
    """The domains of a level that may hold all of these roles, best first.

    inside: only those with nodes in this one. First come those of which a part holds the gang, a
    domain of one of the levels `below`, the narrowest best; where some node takes `fits` shards of
    its first role, those with as many such nodes as it needs. Then those that are in use already
    before those that it would break open; then, role by role, the one with the least left over,
    and where a node takes most; then the first. O(domains) once for needs without whole GPUs, else
    O(log) for each that is named.
    """
    found = rooms[0].level(level)
    figures = _of_roles(rooms, sizes, found)
    holding = _enough(figures, found.within(inside))
    narrow = _holding_in_part(rooms, sizes, found, below) if holding else []
    while holding:
        best = holding
        for those in narrow:
            if best & those:
                best &= those
                break
        if fits:
            best = figures[0].full(sizes[0] // fits, fits, best)
        for each in figures:
            best = each.broken(best)
        for each in figures:
            best = each.tightest(best)
        number = lowest(best)
        holding ^= 1 << number
        domain = found.domains[number]
        mask = domain.mask
        if all(room.count(n, mask) >= n for room, n in zip(rooms, sizes, strict=True)):
            yield domain
            for room in rooms:
                room.look_again()  # the caller may have tried it on the draft, and taken it back


def is_too_large(room: Room, shards: int, level: str, inside: Domain | None) -> bool:
    """No domain of the level can hold so many shards, as far as the counters know. O(log)."""
    if room.need.gpu_milli < WHOLE_GPU_MILLI:
        return False
    found = room.level(level)
    return not Figures(room, shards, found).enough(found.within(inside))


def _of_roles(rooms: Sequence[Room], sizes: Sequence[int], level: Level) -> list[Figures]:
    return [Figures(room, size, level) for room, size in zip(rooms, sizes, strict=True)]


def _enough(figures: Sequence[Figures], among: int) -> int:
    for each in figures:
        among = each.enough(among)
    return among


def _holding_in_part(
    rooms: Sequence[Room], sizes: Sequence[int], wide: Level, below: Sequence[str]
) -> list[int]:
    """The domains of which one of the narrowest level holds the gang, then those of the next."""
    found = []
    for name in reversed(below):
        level = rooms[0].level(name)
        around, those = level.around(wide), 0
        for number in members(_enough(_of_roles(rooms, sizes, level), level.within(None))):
            if around[number] >= 0:
                those |= 1 << around[number]
            else:
                those |= _holding_of(rooms, sizes, level.domains[number], wide)
        found.append(those)
    return found


def _holding_of(rooms: Sequence[Room], sizes: Sequence[int], part: Domain, wide: Level) -> int:
    """The domains of which the gang fits into what they have of this one, that lies in none or in
    several: nodes may lack the label, and names may be used twice. O(nodes of it)."""
    those = 0
    for number in members(wide.within(part)):
        mask = part.mask & wide.domains[number].mask
        if all(room.count(n, mask) >= n for room, n in zip(rooms, sizes, strict=True)):
            those |= 1 << number
    return those
