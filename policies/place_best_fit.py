"""Best fit: as few nodes as possible, and of those the ones left with the least.

Keeps large holes for large gangs.
"""

from aimass.core.model import Node
from aimass.policies.room import Room


def pack_nodes(room: Room, shards: int) -> list[tuple[Node, int]] | None:
    """The whole remainder on the tightest node that holds it, else the roomiest, and again.

    O(nodes used), each a handful of questions to the index.
    """
    chosen: list[tuple[Node, int]] = []
    most = shards
    while shards:
        most = room.most_fits(min(most, shards))
        if not most or not room.fuel.left:
            return None
        candidate = room.tightest(most)
        if candidate is not None:
            count = min(candidate.fits, shards)
            chosen.append((candidate.node, count))
            room.take(candidate.node)
            shards -= count
    return chosen
