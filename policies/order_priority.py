"""Higher priority first, then submit order; a job that cannot start lets others pass.

Keeps GPUs busy. It promises no start time: a wide gang can be passed by narrow ones for as long as
they keep coming. `fifo` is the order that lets nobody pass.
"""

from collections.abc import Iterator

from aimass.core.cluster import Cluster, Group
from aimass.core.model import Job, JobId


class PriorityOrder:
    """Work-conserving priority order."""

    name = "priority"
    version = 1
    is_strict = False
    is_across_queues = True

    def queue(self, cluster: Cluster, blocked: set[Group]) -> Iterator[tuple[Group, JobId]]:
        """See OrderPolicy.queue."""
        return cluster.waiting.in_order(lambda group: -group.priority, blocked)

    def is_before(self, cluster: Cluster, first: Job, second: Job) -> bool:
        """See OrderPolicy.is_before."""
        ranks = [(-job.spec.priority, job.submit_seq) for job in (first, second)]
        return ranks[0] < ranks[1]
