"""Spread: shards over as many nodes as possible, the emptiest first.

For services and for gangs that want all the network cards they can get.
"""

from aimass.core.model import Node
from aimass.policies.room import Candidate, Room


def spread_nodes(room: Room, shards: int) -> list[tuple[Node, int]] | None:
    """Deal the shards out in rounds over the emptiest nodes. O(shards) questions to the index."""
    found: list[Candidate] = []
    while len(found) < shards and (candidate := room.emptiest(1)) is not None:
        found.append(candidate)
        room.take(candidate.node)
    is_cut_short = len(found) < shards and not room.fuel.left
    if is_cut_short or sum(candidate.fits for candidate in found) < shards:
        return None
    given = [0] * len(found)
    while shards:
        for position, candidate in enumerate(found):
            if shards and given[position] < candidate.fits:
                given[position] += 1
                shards -= 1
    return [(c.node, n) for c, n in zip(found, given, strict=True) if n]
