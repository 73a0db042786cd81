"""Submit order, whatever the priorities: strict, or with others passing who cannot start.

Where nobody passes nobody starves, at the price of idle GPUs while the head of the queue waits.
"""

from collections.abc import Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class PassingFifo:
    """First come, first served, but who cannot start lets others pass; priorities do not count.

    As `fifo-skip` nobody is promised anything: large jobs may starve. As `fifo-backfill` the first
    few that wait are promised a start, and who passes them must not delay it (EASY backfill,
    Lifka 1995, with more than one promise).
    """

    name: str
    version: int = 1
    is_strict: bool = False
    is_across_queues: bool = False

    def queue(self, cluster: Cluster, blocked: set[Group]) -> Iterator[tuple[Group, JobId]]:
        """See OrderPolicy.queue."""
        return cluster.waiting.in_order(lambda group: 0, blocked)

    def is_before(self, cluster: Cluster, first: Job, second: Job) -> bool:
        """See OrderPolicy.is_before."""
        return first.submit_seq < second.submit_seq
