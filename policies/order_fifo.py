"""Strict submit order: nobody passes a job that cannot start, whatever the priorities.

Nobody starves, at the price of idle GPUs while the head of the queue waits.
"""

from collections.abc import Iterator

from aimass.core.cluster import Cluster, ShapeKey
from aimass.core.model import JobId


class FifoOrder:
    """First come, first served."""

    name = "fifo"
    version = 1
    is_strict = True

    def queue(self, cluster: Cluster, blocked: set[ShapeKey]) -> Iterator[tuple[ShapeKey, JobId]]:
        """See OrderPolicy.queue."""
        return cluster.waiting.in_order(lambda shape: 0, blocked)
