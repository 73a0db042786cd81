"""in_rank_order(): the waiting jobs of a RankedOrder."""

from collections.abc import Callable, Iterator

from aimass.core.cluster import Cluster, Group
from aimass.core.model import Job, JobId

Rank = Callable[[Cluster, Job], tuple[int, ...]]


def in_rank_order(
    cluster: Cluster, rank: Rank, blocked: set[Group]
) -> Iterator[tuple[Group, JobId]]:
    """Yield waiting jobs, the least rank first, leaving out groups once in `blocked`.

    As Cluster.waiting.in_order, for orders in which the jobs of one group differ. O(waiting jobs).
    """
    jobs = cluster.jobs
    entries = [
        (rank(cluster, jobs[job_id]), job_id, group)
        for group in cluster.waiting.groups.values()
        if group not in blocked
        for _, job_id in group.jobs
    ]
    entries.sort(key=_rank)
    for _, job_id, group in entries:
        if group not in blocked:
            yield group, job_id


def _rank(entry: tuple[tuple[int, ...], JobId, Group]) -> tuple[int, ...]:
    return entry[0]
