"""Mass: where the mix of what has been submitted lately loses least, by one score in milli-GPU.

The score of docs/packing.md, made by the same functions as in `massctl sim pack`: fragmentation
taken away, room left over, GPUs left without CPU, scarce models, places for gangs; and here what
slow links cost the devices that a shard or gang would get on a node.
"""

from typing import NamedTuple

from aimass.core.links import CPU, NVLINK, SWITCH
from aimass.core.model import Node
from aimass.core.shapes import Shape, shape_of
from aimass.policies.devices import slowest_link
from aimass.policies.pack_engine import Packer
from aimass.policies.pack_live import MICRO
from aimass.policies.pack_mirror import bools, mirror_of
from aimass.policies.room import Room

# Of the best by score, so many nodes are compared by their links as well.
LINKED_MAX = 4
# What each GPU of a ring loses at its slowest link, in milli-GPU: a declared rate of exchange
# between locality and packing, about what data-parallel training loses to slower all-reduces.
LINK_MILLI = ((NVLINK, 0), (SWITCH, 40), (CPU, 80), (-1, 160))


class _Found(NamedTuple):
    """A node by its number, its score without links, and what its links cost; in micro-GPU."""

    node: int
    score: int
    links: int


def score_nodes(room: Room, shards: int) -> list[tuple[Node, int]] | None:
    """As few nodes as possible, each the one with the best score for the shards it would take.

    O(nodes used) questions to the Packer.
    """
    packer = mirror_of(room.index, room.is_soon).packer(room.demand)
    chosen: list[tuple[Node, int]] = []
    most = shards
    while shards:
        most = room.most_fits(min(most, shards))
        if not most or not room.fuel.left:
            return None
        choice = _Choice(room, packer, most)
        candidate = room.best(most, choice.first)
        if candidate is not None:
            count = min(candidate.fits, shards)
            chosen.append((candidate.node, count))
            if len(chosen) == 1:
                room.note = choice.text()
            room.take(candidate.node)
            shards -= count
    return chosen


class _Choice:
    """The choice of one node for so many shards of a role."""

    def __init__(self, room: Room, packer: Packer, shards: int) -> None:
        self._room, self._packer, self._shards = room, packer, shards
        self._shape: Shape = shape_of(room.need, shards, room.share_milli)
        self._last: _Found | None = None

    def first(self, nodes: int) -> int:
        """The best of a set of nodes, as a set; 0 where no score knows one."""
        best: _Found | None = None
        left = nodes
        for _ in range(LINKED_MAX if self._shape.gpus > 1 else 1):
            found = self._best(left)
            if found is None:
                break
            if best is None or found.score + found.links > best.score + best.links:
                best = found
            if not found.links:
                break  # nothing after it scores better
            left &= ~(1 << found.node)
        self._last = best
        return 0 if best is None else 1 << best.node

    def _best(self, nodes: int) -> _Found | None:
        choice = self._packer.best(self._shape)
        if choice is not None and not nodes >> choice.node & 1:
            allowed = bools(nodes, len(self._packer.nodes.model))
            choice = self._packer.best(self._shape, allowed)
        if choice is None:
            return None
        return _Found(choice.node, choice.score, -self._link_cost(choice.node))

    def _link_cost(self, at: int) -> int:
        if self._shape.gpus < 2:
            return 0
        room = self._room
        weight, _ = slowest_link(room.nodes[at], room.need, self._shards, room.is_soon)
        milli = next(milli for least, milli in LINK_MILLI if weight >= least)
        return MICRO * self._shape.gpus * milli

    def text(self) -> str:
        """The score of the first node and its terms, in milli-GPU."""
        found = self._last
        if found is None:
            return ""
        terms = self._packer.terms(self._shape, found.node)
        terms["links"] = found.links
        parts = [f"{name} {value / MICRO:+g}" for name, value in terms.items() if value]
        total = (found.score + found.links) / MICRO
        return f"score {total:g} milli-GPU: {', '.join(parts) or 'nothing lost'}"
