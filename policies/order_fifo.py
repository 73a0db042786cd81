"""Strict submit order: nobody passes a job that cannot start, whatever the priorities.

Nobody starves, at the price of idle GPUs while the head of the queue waits.
"""

from collections.abc import Iterator

from aimass.core.cluster import Cluster, Group
from aimass.core.model import Job, JobId


class FifoOrder:
    """First come, first served."""

    name = "fifo"
    version = 1
    is_strict = True
    is_across_queues = False

    def queue(self, cluster: Cluster, blocked: set[Group]) -> Iterator[tuple[Group, JobId]]:
        """See OrderPolicy.queue."""
        return cluster.waiting.in_order(lambda group: 0, blocked)

    def is_before(self, cluster: Cluster, first: Job, second: Job) -> bool:
        """See OrderPolicy.is_before."""
        return first.submit_seq < second.submit_seq
