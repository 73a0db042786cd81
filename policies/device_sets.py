"""Which set of free devices a request gets: the best links inside, the least damage outside.

One DeviceSets for each way in which a node's devices are joined; its answers are kept by (free
devices, shards, devices of each), so that asking again is one look-up. Exact while at most EXACT
devices are free, by looking at every set; with more, grown from each device in turn.

The idea to judge a set by the best partition of what it leaves is that of NVIDIA's
go-gpuallocator; that one takes the first free device for a request of one.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations, pairwise

from aimass.core.links import Links, Weights, pair_weights
from aimass.policies.rings import EXACT, ring_order, widest_ring

Sets = tuple[tuple[int, ...], ...]
"""Device indexes for each shard, in rank order."""

_ANSWERS_MAX = 4096  # of nodes with many devices, whose free sets are beyond counting
_RING = 1 << 32  # above any sum of weights of a node


@lru_cache(maxsize=1024)
def device_sets(
    islands: tuple[int, ...], numa_nodes: tuple[int, ...], links: Links | None
) -> "DeviceSets":
    """The sets of nodes whose devices are joined like this; equal nodes share one."""
    return DeviceSets(pair_weights(islands, numa_nodes, links), numa_nodes)


class DeviceSets:
    """Choices among devices joined like this. Sets of devices are bit masks; see core/links.py."""

    def __init__(self, weights: Weights, numa_nodes: Sequence[int]) -> None:
        self.weights, self.numa_nodes = weights, numa_nodes
        self.widest = max((max(row) for row in weights), default=0)  # the best link there is
        self._answers: dict[tuple[int, int, int], Sets] = {}
        self._qualities: dict[int, int] = {}
        self._partitions: dict[tuple[int, int], int] = {}
        self._slowest: dict[tuple[Sets, bool], int] = {}

    def choose(self, free: int, shards: int, each: int) -> Sets:
        """`each` of the free devices for each shard; there are enough. O(1) when asked before.

        The best links within each shard, then among all, then the best partition of what is left
        into sets of the same size, then the most links left; then the lowest indexes. A single
        device is the one with the least links to others that are free.
        """
        key = (free, shards, each)
        answer = self._answers.get(key)
        if answer is None:
            if len(self._answers) >= _ANSWERS_MAX:
                self._answers.clear()
            answer = self._answers[key] = self._look(free, shards, each)
        return answer

    def slowest(self, sets: Sets, is_closed: bool) -> int:
        """The weight of the slowest link from device to device in this order; 0 for one alone.

        is_closed: and back to the first, as it is when no other node is part of the ring.
        """
        key = sets, is_closed
        known = self._slowest.get(key)
        if known is None:
            order = [i for each in sets for i in each]
            ring = [*order, order[0]] if is_closed else order
            known = min((self.weights[a][b] for a, b in pairwise(ring)), default=0)
            if len(self._slowest) >= _ANSWERS_MAX:
                self._slowest.clear()
            self._slowest[key] = known
        return known

    def _look(self, free: int, shards: int, each: int) -> Sets:
        if free.bit_count() > EXACT:
            parts = self._grow(free, shards, each)
        else:
            parts = self._best(free, shards, each)
        if each == 1:
            chosen = tuple(sorted(part[0] for part in parts))
            return tuple((i,) for i in ring_order(self.weights, self.numa_nodes, chosen))
        return self._in_rank_order(parts)

    def _in_rank_order(self, parts: Sequence[tuple[int, ...]]) -> Sets:
        """Each part as a ring, and the parts so that neighbours are joined best."""
        rings = [ring_order(self.weights, self.numa_nodes, part) for part in sorted(parts)]
        between = tuple(tuple(self._between(a, b) if a != b else 0 for b in rings) for a in rings)
        numa_nodes = [self.numa_nodes[ring[0]] for ring in rings]
        order = ring_order(between, numa_nodes, tuple(range(len(rings))))
        return tuple(rings[i] for i in order)

    def _between(self, some: Sequence[int], others: Sequence[int]) -> int:
        return sum(self.weights[i][j] for i in some for j in others)

    # ---- exact ----------------------------------------------------------------------------------

    def _best(self, free: int, shards: int, each: int) -> Sequence[tuple[int, ...]]:
        """The best of all sets, already split into parts. O(sets * partitions), each once."""
        wanted = shards * each
        best: tuple[int, ...] = ()
        found: tuple[int, ...] = ()
        for devices in combinations(members(free), wanted):
            mask = mask_of(devices)
            score = self.score(free, mask, shards, each)
            if score > best:
                best, found = score, devices
        return self._split(found, each)

    def score(self, free: int, chosen: int, shards: int, each: int) -> tuple[int, ...]:
        """How good it is to take these of the free devices; larger is better."""
        left = free & ~chosen
        inside = self.partition(chosen, each) if shards > 1 and each > 1 else 0
        rest = self.partition(left, shards * each) if shards * each > 1 else 0
        return inside, self.quality(chosen), rest, self.total(left)

    def quality(self, devices: int) -> int:
        """Of one set: the slowest link of its best ring first, then all its links together."""
        known = self._qualities.get(devices)
        if known is None:
            known = widest_ring(self.weights, members(devices)) * _RING + self.total(devices)
            self._qualities[devices] = known
        return known

    def total(self, devices: int) -> int:
        """The sum over all pairs of these devices. O(d²)."""
        return sum(self.weights[i][j] for i, j in combinations(members(devices), 2))

    def partition(self, devices: int, size: int) -> int:
        """The best sum of qualities of sets of this size, and of one of what does not divide."""
        if devices.bit_count() <= size:
            return self.quality(devices)
        key = (devices, size)
        known = self._partitions.get(key)
        if known is None:
            known = max(
                self.quality(part) + self.partition(devices & ~part, size)
                for part in _first_parts(devices, size)
            )
            self._partitions[key] = known
        return known

    def _split(self, devices: tuple[int, ...], each: int) -> list[tuple[int, ...]]:
        """The parts of the best partition into sets of `each`; ties: the lowest indexes."""
        parts, left = [], mask_of(devices)
        while left:
            part = max(
                _first_parts(left, each),
                key=lambda part: self.quality(part) + self.partition(left & ~part, each),
            )
            parts.append(members(part))
            left &= ~part
        return parts

    # ---- many devices ---------------------------------------------------------------------------

    def _grow(self, free: int, shards: int, each: int) -> Sequence[tuple[int, ...]]:
        """One part after the other, near those before. O(parts * d² * devices of a part)."""
        if each == 1:
            return [(i,) for i in self._grown(free, 0, shards)]
        parts: list[tuple[int, ...]] = []
        taken = 0
        for _ in range(shards):
            part = self._grown(free & ~taken, taken, each)
            parts.append(part)
            taken |= mask_of(part)
        return parts

    def _grown(self, free: int, taken: int, size: int) -> tuple[int, ...]:
        """The best of the sets that grow from each free device by the nearest to all in it."""
        devices, near = members(free), members(taken)
        best: tuple[int, int, int] | None = None
        found: tuple[int, ...] = ()
        for seed in devices:
            chosen, left = [seed], [i for i in devices if i != seed]
            inside = dict.fromkeys(devices, 0)
            total = 0
            while len(chosen) < size:
                for i in left:
                    inside[i] += self.weights[chosen[-1]][i]
                nearest = max(left, key=lambda i: (inside[i], -i))
                total += inside[nearest]
                chosen.append(nearest)
                left.remove(nearest)
            score = total, self._between(chosen, near), -self._between(chosen, left)
            if best is None or score > best:
                best, found = score, tuple(sorted(chosen))
        return found


def members(mask: int) -> tuple[int, ...]:
    """The indexes in a set, ascending."""
    return tuple(i for i in range(mask.bit_length()) if mask >> i & 1)


def mask_of(devices: Sequence[int]) -> int:
    """The set of these indexes."""
    return sum(1 << i for i in devices)


def _first_parts(devices: int, size: int) -> Iterator[int]:
    """Every set that the lowest of the devices can be in: of `size`, or what does not divide."""
    lowest, *others = members(devices)
    over = (1 + len(others)) % size
    for count in (size, over) if over else (size,):
        for rest in combinations(others, count - 1):
            yield 1 << lowest | mask_of(rest)
