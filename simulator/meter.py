"""Meter: GPU time of a simulated cluster, added up as it is held and given back."""

from collections.abc import Sequence

from aimass.core.model import NodeId, Placement
from aimass.simulator.clusters import Kinds, NodeKind


class Meter:
    """Milli-GPU x ms of what is held, of what idles, and of what is out of service; what is paid.

    The three are all GPU time of the nodes that are there. What is held counts as held, in service
    or not. Idle GPUs beside busy ones on a node are counted apart: a gang that wants whole nodes
    finds them, and cannot use them. paid: held time x price, milli-GPU x ms x micro-price.
    """

    def __init__(self, kinds: Kinds) -> None:
        self.held = self.idle = self.idle_beside = self.down = self.paid = 0
        self.capacity_milli = 0
        self._at_ms = 0
        self._capacity: dict[NodeId, int] = {}
        self._used: dict[NodeId, int] = {}
        self._out: dict[NodeId, int] = {}  # of nodes where it is not 0
        self._price: dict[NodeId, int] = {}  # of nodes where it is not 0
        self._held_now = self._beside_now = self._down_now = self._paid_now = 0
        for kind in kinds:
            for _ in range(kind.nodes):
                self.join(NodeId(f"n{len(self._capacity)}"), kind)

    def begin(self, at_ms: int) -> None:
        """Count from here."""
        self._at_ms = at_ms

    def advance(self, at_ms: int) -> None:
        """Nothing has changed until now. O(1)."""
        elapsed_ms = at_ms - self._at_ms
        if elapsed_ms:
            self._at_ms = at_ms
            self.held += self._held_now * elapsed_ms
            self.idle += (self.capacity_milli - self._held_now - self._down_now) * elapsed_ms
            self.idle_beside += self._beside_now * elapsed_ms
            self.down += self._down_now * elapsed_ms
            self.paid += self._paid_now * elapsed_ms

    def join(self, node_id: NodeId, kind: NodeKind) -> None:
        """A node is there from now on."""
        self._capacity[node_id] = 1000 * kind.gpus
        self._used[node_id] = 0
        self.capacity_milli += 1000 * kind.gpus
        if kind.price_micro:
            self._price[node_id] = kind.price_micro

    def leave(self, node_id: NodeId) -> None:
        """The node, of which nothing is held, is there no more."""
        assert not self._used[node_id], f"{node_id} leaves while it is held"
        self.take_out(node_id, 0)
        self.capacity_milli -= self._capacity.pop(node_id)
        del self._used[node_id]

    def used(self, node_id: NodeId) -> int:
        """Milli-GPU held of the node."""
        return self._used[node_id]

    def take_out(self, node_id: NodeId, milli: int) -> None:
        """So much of the node is out of service from now on."""
        self._count(node_id, -1)
        if milli:
            self._out[node_id] = milli
        else:
            self._out.pop(node_id, None)
        self._count(node_id, 1)

    def _count(self, node_id: NodeId, sign: int) -> None:
        """Enter what idles beside others on the node, and what of it is out of service."""
        used = self._used[node_id]
        free = self._capacity[node_id] - used
        down = min(free, self._out.get(node_id, 0))
        self._down_now += sign * down
        if used:
            self._beside_now += sign * (free - down)

    def change(self, placements: Sequence[Placement], sign: int) -> int:
        """These places are held from now on (sign 1) or no more (-1). Returns what they hold.

        O(shards).
        """
        capacity, used, out, total = self._capacity, self._used, self._out, 0
        for placement in placements:
            node_id = placement.node_id
            milli = placement.share_milli * len(placement.devices)
            total += milli
            before = used[node_id]
            after = before + sign * milli
            if node_id in out:
                self._count(node_id, -1)
                used[node_id] = after
                self._count(node_id, 1)
                continue
            used[node_id] = after
            whole = capacity[node_id]
            self._beside_now += (whole - after if after else 0) - (whole - before if before else 0)
        self._held_now += sign * total
        if self._price:
            self._pay(placements, sign)
        return total

    def _pay(self, placements: Sequence[Placement], sign: int) -> None:
        for place in placements:
            milli = place.share_milli * len(place.devices)
            self._paid_now += sign * milli * self._price.get(place.node_id, 0)
