"""Spread: shards over as many nodes as possible, the emptiest first.

For services and for gangs that want all the network cards they can get.
"""

from aimass.core.model import Node
from aimass.policies.gang import Candidate


def spread_nodes(candidates: list[Candidate], shards: int) -> list[tuple[Node, int]]:
    """Deal the shards out in rounds over nodes by free GPUs, most first. O(nodes + shards)."""
    order = sorted(candidates, key=lambda c: (-c.free_gpu_milli, c.node.index))
    given = [0] * len(order)
    while shards:
        for position, candidate in enumerate(order):
            if shards and given[position] < candidate.fits:
                given[position] += 1
                shards -= 1
    return [(c.node, n) for c, n in zip(order, given, strict=True) if n]
