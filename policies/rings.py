"""Rings: in which order devices pass data on, so that neighbours are joined by the best links.

A ring is as fast as its slowest link (Patarasuk and Yuan, JPDC 2009): first the widest slowest
link, then the most weight in all, which keeps islands together, then NUMA nodes in one piece.
Exact for up to EXACT items, by dynamic programming over sets (Held and Karp 1962); beyond, from
each item to the nearest.
"""

from collections.abc import Sequence
from functools import cache

from aimass.core.links import Weights

EXACT = 8


def widest_ring(weights: Weights, items: Sequence[int]) -> int:
    """The largest weight that every link of some ring through these items has.

    For two items their link, for fewer 0. O(2^n * n) for each weight there is; n <= EXACT.
    """
    if len(items) < 3:
        return weights[items[0]][items[-1]] if items else 0
    rows = [[weights[a][b] for b in items] for a in items]
    for least in sorted({weight for row in rows for weight in row}, reverse=True):
        if _has_ring(rows, least):
            return least
    raise AssertionError("every pair of devices is joined somehow")


def _has_ring(rows: list[list[int]], least: int) -> bool:
    """Whether links of at least this weight close a ring; ends[set]: where a path may end."""
    near = [
        sum(1 << j for j, weight in enumerate(row) if weight >= least and j != i)
        for i, row in enumerate(rows)
    ]
    ends = [0] * (1 << len(rows))
    ends[1] = 1
    for reached in range(3, len(ends), 2):
        for j in range(1, len(rows)):
            if reached >> j & 1 and ends[reached ^ 1 << j] & near[j]:
                ends[reached] |= 1 << j
    return bool(ends[-1] & near[0])


def ring_order(
    weights: Weights, numa_nodes: Sequence[int], items: tuple[int, ...]
) -> tuple[int, ...]:
    """The items in the order of their best ring, opened at its worst link; ties: the lowest order.

    So any first few of them lie together, as groups of ranks do. items: ascending. O(2^n * n²) for
    up to EXACT items, O(n²) beyond.
    """
    if len(items) < 3:
        return items
    if len(items) > EXACT:
        return _nearest(weights, numa_nodes, items)
    scores = [
        [2 * EXACT * weights[a][b] + (numa_nodes[a] == numa_nodes[b]) for b in items] for a in items
    ]
    ring = _best_ring(scores, 2 * EXACT * widest_ring(weights, items))
    return tuple(items[i] for i in _opened(ring, scores))


def _best_ring(scores: list[list[int]], least: int) -> list[int]:
    """The ring from 0 with the largest sum, of scores of at least `least` each.

    Ties: the one whose last link scores least, then the lowest order.
    """
    everything = (1 << len(scores)) - 1

    @cache
    def rest(reached: int, last: int) -> tuple[int, int, int] | None:
        """(sum, - score of the last link, next) of the best way on through all others to 0."""
        if reached == everything:
            closing = scores[last][0]
            return (closing, -closing, 0) if closing >= least else None
        best = None
        for j, score in enumerate(scores[last]):
            if reached >> j & 1 or score < least:
                continue
            onward = rest(reached | 1 << j, j)
            if onward is not None:
                found = score + onward[0], onward[1], -j
                best = found if best is None or found > best else best
        return best

    order = [0]
    reached = 1
    while reached != everything:
        step = rest(reached, order[-1])
        assert step is not None, "there is a ring of these links"
        order.append(-step[2])
        reached |= 1 << order[-1]
    return order


def _opened(ring: list[int], scores: list[list[int]]) -> list[int]:
    """The ring, either way around, from where the link to its end scores least."""
    both = (ring, ring[::-1])
    turned = (way[i:] + way[:i] for way in both for i in range(len(ring)))
    return min(turned, key=lambda order: (scores[order[-1]][order[0]], order))


def _nearest(
    weights: Weights, numa_nodes: Sequence[int], items: tuple[int, ...]
) -> tuple[int, ...]:
    order, left = [items[0]], list(items[1:])
    while left:
        row, numa = weights[order[-1]], numa_nodes[order[-1]]
        after = max(left, key=lambda i: (row[i], numa_nodes[i] == numa, -i))
        left.remove(after)
        order.append(after)
    return tuple(order)
