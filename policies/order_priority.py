"""Higher priority first, then submit order; a job that cannot start lets others pass.

Keeps GPUs busy. It promises no start time: a wide gang can be passed by narrow ones for as long as
they keep coming. `fifo` is the order that lets nobody pass.
"""

from collections.abc import Iterator

from aimass.core.cluster import Cluster, ShapeKey
from aimass.core.model import JobId


class PriorityOrder:
    """Work-conserving priority order."""

    name = "priority"
    version = 1
    is_strict = False

    def queue(self, cluster: Cluster, blocked: set[ShapeKey]) -> Iterator[tuple[ShapeKey, JobId]]:
        """See OrderPolicy.queue."""
        return cluster.waiting.in_order(minus_priority, blocked)


def minus_priority(shape: ShapeKey) -> int:
    """Rank of a shape: the priority is its first part, larger goes first."""
    priority = shape[0]
    assert isinstance(priority, int)
    return -priority
