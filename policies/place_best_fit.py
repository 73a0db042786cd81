"""Best fit: as few nodes as possible, and of those the ones left with the least.

Keeps large holes for large gangs.
"""

from aimass.core.model import Node
from aimass.policies.gang import Candidate


def pack_nodes(candidates: list[Candidate], shards: int) -> list[tuple[Node, int]]:
    """The whole remainder on the tightest node that holds it, else the roomiest, and again.

    Ties go to the node with fewer free GPUs, then the one that joined first. O(n log n + n * nodes
    used).
    """
    chosen: list[tuple[Node, int]] = []
    by_room = sorted(candidates, key=lambda c: (-c.fits, c.free_gpu_milli, c.node.index))
    for position, candidate in enumerate(by_room):
        if shards == 0:
            break
        if candidate.fits >= shards:
            rest = [c for c in by_room[position:] if c.fits >= shards]
            tightest = min(rest, key=lambda c: (c.free_gpu_milli, c.fits, c.node.index))
            return [*chosen, (tightest.node, shards)]
        chosen.append((candidate.node, candidate.fits))
        shards -= candidate.fits
    return chosen
