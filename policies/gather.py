"""Where a gang that needs several nodes lies: in as few domains as packing allows, at a rate.

Nodes and domains are filled by one rule: what is left of the gang goes to the tightest that holds
all of it; where none does, the roomiest takes what it can, and again. Fewer domains may mean more
nodes, or nodes broken open; what that is worth is declared here, in milli-GPU:

| | costs |
|---|---|
| each node, and each domain of a level, beyond the first | 250 |
| each GPU of a gang that is not in one domain of the narrowest level | 40 |
| the same of a wider level, each time | twice as much |
| each device left free on a node where all were | 100 |

The second is what a ring loses: bandwidth halves with each level (see allreduce.py), which for 1
GiB is 170 ms more beyond the narrowest, 4 % of a step of 4 s. More: docs/decisions/0024-domains.md.
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

from aimass.core.domains import Domain
from aimass.core.model import Node
from aimass.core.node_view import PARTIAL_BITS
from aimass.core.spec import WHOLE_GPU_MILLI
from aimass.policies.domain_order import Figures, domains_holding, is_too_large, roomiest
from aimass.policies.room import Room

PLACE_MILLI = 250
APART_MILLI = 40
HOLE_MILLI = 100

Chosen = list[tuple[Node, int]]
"""(node, shards) pairs."""
ChooseNodes = Callable[[Room, int], Chosen | None]
"""(room, shards) -> (node, shards) pairs that add up, or None when there is not room for all."""
_Legs = list[tuple[Room, int]]
"""Parts of the room, and how many shards go to each."""


class Bill(NamedTuple):
    """What it costs to lie like this, in milli-GPU, and for what.

    domains: how many of each level, widest first.
    """

    total_milli: int
    holes_milli: int
    nodes: int
    domains: tuple[int, ...]

    def text(self, levels: Sequence[str], others: Sequence["Bill"]) -> str:
        """One line for the trail; others: the bills of what else was tried."""
        where = "".join(
            f", {level} x{count}" for level, count in zip(levels, self.domains, strict=True)
        )
        text = f"{self.nodes} nodes{where}: costs {self.total_milli} milli-GPU"
        if self.holes_milli:
            text += f", {self.holes_milli} of it for holes"
        if others:
            text += f"; next best {min(other.total_milli for other in others)}"
        return text


class Gang(NamedTuple):
    """What of a gang has no place yet, its first role first, and where the rest of it lies.

    levels: those below the domain that it must lie in (`inside`; None: anywhere), widest first.
    gpu_milli: of what lies already and of its first role. fits: the most shards of that role which
    some node takes.
    """

    rooms: Sequence[Room]
    sizes: Sequence[int]
    levels: Sequence[str]
    inside: Domain | None
    own: Sequence[Node]
    gpu_milli: int
    fits: int


def gather(gang: Gang, choose: ChooseNodes) -> tuple[Chosen, Bill, list[Bill]] | None:
    """Nodes for the first role: where, what that costs, what other ways that were tried would have.

    Tried are: domains of all levels, then of all but the narrowest, and so on to none; and where it
    takes several, once on nodes that it fills and once on any. The cheapest wins, of equals the
    first. It ends with one that nothing can be cheaper than, usually the first.
    """
    room, least_milli = gang.rooms[0], _least_milli(gang)
    tried: list[list[tuple[int, int]]] = []
    found: list[tuple[int, int, Bill, Chosen, list[Room]]] = []
    for depth, filling in product(range(len(gang.levels), -1, -1), (True, False)):
        legs = _legs(gang, depth, filling)
        where = [(part.all, count) for part, count in legs]
        if where in tried:
            continue
        tried.append(where)
        chosen = _choose(legs, choose)
        if chosen is not None:
            nodes = [*gang.own, *(node for node, _ in chosen)]
            bill = bill_of(gang.levels, nodes, gang.gpu_milli, _holes(room, chosen))
            parts = [part for part, _ in legs]
            found.append((bill.total_milli, len(found), bill, chosen, parts))
            if bill.total_milli <= least_milli:
                break
    if not found:
        return None
    (_, _, bill, chosen, parts), *others = sorted(found, key=lambda each: each[:2])
    room.adopt(parts, [node for node, _ in chosen])
    return chosen, bill, [other[2] for other in others]


def bill_of(levels: Sequence[str], nodes: Sequence[Node], gpu_milli: int, holes: int) -> Bill:
    """The bill of a gang with so many GPUs on these nodes. O(nodes * levels).

    levels: widest first; a node without the label of one is a domain of its own. holes: devices
    that it leaves free on nodes where all were.
    """
    names = {node.id: node.inventory.labels for node in nodes}
    domains = tuple(
        len({labels.get(level, (node_id,)) for node_id, labels in names.items()})
        for level in levels
    )
    holes_milli = holes * HOLE_MILLI
    total_milli = PLACE_MILLI * (len(names) - 1 + sum(domains) - len(domains)) + holes_milli
    for height, count in enumerate(reversed(domains)):
        if count > 1:
            total_milli += (APART_MILLI << height) * gpu_milli // WHOLE_GPU_MILLI
    return Bill(total_milli, holes_milli, len(names), domains)


def _least_milli(gang: Gang) -> int:
    """What no way can be cheaper than. O(levels)."""
    shards = gang.sizes[0]
    least_milli = PLACE_MILLI * (-(-shards // gang.fits) - 1)
    if gang.own:
        own_milli = bill_of(gang.levels, gang.own, gang.gpu_milli, 0).total_milli
        return max(least_milli, own_milli)
    for height, level in enumerate(reversed(gang.levels)):
        if not is_too_large(gang.rooms[0], shards, level, gang.inside):
            break
        least_milli += PLACE_MILLI + (APART_MILLI << height) * gang.gpu_milli // WHOLE_GPU_MILLI
    return least_milli


def _holes(room: Room, chosen: Chosen) -> int:
    """Devices left free on those of the nodes where all are free now."""
    devices, holes = room.need.devices, 0
    if room.need.gpu_milli < WHOLE_GPU_MILLI:
        return 0
    for node, count in chosen:
        healthy = [device.spec.healthy for device in node.devices].count(True)
        if room.view.gpus.values[node.index] == healthy << PARTIAL_BITS:
            holes += healthy - count * devices
    return holes


def _choose(legs: _Legs, choose: ChooseNodes) -> Chosen | None:
    """The nodes of all parts together."""
    found: Chosen = []
    for part, shards in legs:
        chosen = choose(part, shards)
        if chosen is None:
            return None
        found += chosen
    return found


class _Way(NamedTuple):
    """How a role is divided: by which levels, widest first; filling: on nodes that take `fits`."""

    levels: Sequence[str]
    fits: int
    filling: bool


def _legs(gang: Gang, depth: int, filling: bool) -> _Legs:
    """The parts to which the first role goes by this many levels, from the widest."""
    room, shards, levels = gang.rooms[0], gang.sizes[0], gang.levels[:depth]
    if gang.own and levels:  # beside the others, if there is room
        level = room.level(levels[-1])
        numbers = {level.number_of[node.index] for node in gang.own} - {-1}
        near = 0
        for number in sorted(numbers):
            near |= level.domains[number].mask
        if room.count(shards, near) >= shards:
            return [(room.within(near), shards)]
    return _down(gang.rooms, gang.sizes, _Way(levels, gang.fits, filling), gang.inside)


def _down(rooms: Sequence[Room], sizes: Sequence[int], way: _Way, inside: Domain | None) -> _Legs:
    """The narrowest domain that holds all of these roles, and the parts of it."""
    room, shards, levels = rooms[0], sizes[0], way.levels
    for depth in range(len(levels) - 1, -1, -1):
        for domain in domains_holding(rooms, sizes, levels[depth], inside, fits=way.fits):
            below = way._replace(levels=levels[depth + 1 :])
            return _split(room.within(domain.mask), shards, below, domain)
    return _split(room, shards, way, inside)


def _split(room: Room, shards: int, way: _Way, inside: Domain | None) -> _Legs:
    """Over the domains of the widest of these levels, none of which holds all.

    O(domains used) questions to the counters; work without whole GPUs: O(domains) each.
    """
    if not way.levels:
        return [(room, shards)]
    level = room.level(way.levels[0])
    figures = Figures(room, shards, level)
    below, left = way._replace(levels=way.levels[1:]), level.within(inside)
    legs: _Legs = []
    while left:
        fits = min(way.fits, shards)
        domain = next(domains_holding([room], [shards], level.name, inside, fits=fits), None)
        if domain is not None:
            full = (room.mask(fits) & domain.mask).bit_count()
            if full >= shards // fits or not way.filling:
                part = room.within(domain.mask)
                return legs + _down([part], [shards], below._replace(fits=fits), domain)
        number, count = roomiest(room, figures, left, fits if way.filling else 0)
        if not count:
            break
        mask = level.domains[number].mask
        legs.append((room.within(mask), min(count, shards)))
        shards -= min(count, shards)
        if not shards:
            return legs
        left ^= 1 << number
        room = room.within(~mask)
    return [*legs, (room, shards)]  # what has no label, or is in none that it would fill
