"""Meter: GPU time of a simulated cluster, added up as it is held and given back."""

from collections.abc import Sequence

from aimass.core.model import NodeId, Placement
from aimass.simulator.clusters import Kinds


class Meter:
    """Milli-GPU x ms of what is held, and of what idles.

    Idle GPUs beside busy ones on a node are counted apart: a gang that wants whole nodes finds
    them, and cannot use them.
    """

    def __init__(self, kinds: Kinds) -> None:
        self.held = 0
        self.idle = 0
        self.idle_beside = 0
        self._at_ms = 0
        self._capacity: dict[NodeId, int] = {}
        for kind in kinds:
            for _ in range(kind.nodes):
                self._capacity[NodeId(f"n{len(self._capacity)}")] = 1000 * kind.gpus
        self.capacity_milli = sum(self._capacity.values())
        self._used = dict.fromkeys(self._capacity, 0)
        self._held_now = 0
        self._beside_now = 0

    def begin(self, at_ms: int) -> None:
        """Count from here."""
        self._at_ms = at_ms

    def advance(self, at_ms: int) -> None:
        """Nothing has changed until now. O(1)."""
        elapsed_ms = at_ms - self._at_ms
        if elapsed_ms:
            self._at_ms = at_ms
            self.held += self._held_now * elapsed_ms
            self.idle += (self.capacity_milli - self._held_now) * elapsed_ms
            self.idle_beside += self._beside_now * elapsed_ms

    def change(self, placements: Sequence[Placement], sign: int) -> int:
        """These places are held from now on (sign 1) or no more (-1). Returns what they hold.

        O(shards).
        """
        capacity, used, total = self._capacity, self._used, 0
        for placement in placements:
            node_id = placement.node_id
            milli = placement.share_milli * len(placement.devices)
            before = used[node_id]
            after = used[node_id] = before + sign * milli
            whole = capacity[node_id]
            self._beside_now += (whole - after if after else 0) - (whole - before if before else 0)
            total += milli
        self._held_now += sign * total
        return total
