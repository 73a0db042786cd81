"""Cluster: all tables, the indexes over them, and the two primitives that move capacity.

Reads are for everybody; only `apply` writes, and a `Draft` that takes back what it wrote. Indexes
are derived: `codec.restore` rebuilds them, and check_invariants compares.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush

from aimass.core.model import HoldKey, Job, JobId, Node, NodeId, Placement
from aimass.core.spec import WHOLE_GPU_MILLI, JobSpec

# Ended jobs kept for questions; older ones are only in the journal. Part of the fold: changing it
# changes the state hash of old journals.
OVER_KEPT = 10_000

ShapeKey = tuple[object, ...]


class WaitingIndex:
    """Queued jobs grouped by shape: jobs of one shape fit or do not fit together.

    A pass over the queue costs one test per shape and per start, not one per job: 5,000 identical
    jobs ahead of one that fits cost a single test (volcano#5551).
    """

    def __init__(self) -> None:
        self._shapes: dict[ShapeKey, list[tuple[int, JobId]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @staticmethod
    def shape_of(spec: JobSpec) -> ShapeKey:
        """All that placement and order look at, priority first. Equal shapes share every answer."""
        roles = tuple((role.shards, role.need) for role in spec.roles)
        selector = tuple(sorted(spec.node_selector.items()))
        return (spec.priority, roles, selector, spec.strategy)

    def add(self, job: Job) -> None:
        """Queue a job in its shape by submit order. O(log n) and a memmove."""
        insort(self._shapes.setdefault(self.shape_of(job.spec), []), (job.submit_seq, job.id))
        self._count += 1

    def remove(self, job: Job) -> None:
        """Take a job out; it must be queued."""
        shape = self.shape_of(job.spec)
        jobs = self._shapes[shape]
        at = bisect_left(jobs, (job.submit_seq, job.id))
        assert jobs[at][1] == job.id, f"{job.id} is not in the queue"
        del jobs[at]
        if not jobs:
            del self._shapes[shape]
        self._count -= 1

    def in_order(
        self, rank: Callable[[ShapeKey], int], blocked: set[ShapeKey]
    ) -> Iterator[tuple[ShapeKey, JobId]]:
        """Yield queued jobs by (rank of shape, submit order), leaving out shapes once in `blocked`.

        The caller may add to `blocked` while iterating. O(shapes) to begin, O(log shapes) a job.
        """
        heap = [(rank(shape), jobs[0], 0, shape) for shape, jobs in self._shapes.items()]
        # Submit sequences are unique, so a comparison never reaches the shape.
        heapify(heap)
        while heap:
            order, (_, job_id), position, shape = heappop(heap)
            if shape in blocked:
                continue
            yield shape, job_id
            jobs = self._shapes[shape]
            if shape not in blocked and position + 1 < len(jobs):
                heappush(heap, (order, jobs[position + 1], position + 1, shape))

    def ids(self) -> list[JobId]:
        """All queued jobs, by submit order."""
        return [job_id for _, job_id in sorted(e for jobs in self._shapes.values() for e in jobs)]


class Cluster:
    """The state. Built empty, or by codec.restore; changed by apply and nothing else."""

    __slots__ = (
        "by_key",
        "cluster_id",
        "jobs",
        "next_seq",
        "nodes",
        "now_ms",
        "over",
        "revision",
        "term",
        "waiting",
    )

    def __init__(self) -> None:
        self.cluster_id = ""
        self.revision = 0  # number of events applied
        self.now_ms = 0  # at_ms of the newest event
        self.term = 0
        self.next_seq = 1
        self.jobs: dict[JobId, Job] = {}  # by submit order
        self.nodes: dict[NodeId, Node] = {}  # by join order
        # By end order, at most OVER_KEPT. Ordered, because the first of a dict that loses its first
        # all the time is behind a growing row of gaps.
        self.over: OrderedDict[JobId, None] = OrderedDict()
        self.by_key: dict[str, JobId] = {}  # idempotency keys of the jobs above
        self.waiting = WaitingIndex()


def hold(node: Node, key: HoldKey, placement: Placement) -> None:
    """Give a shard its share of the node. The caller has proved that it fits."""
    assert key not in node.holds, f"{key} already holds capacity on {node.id}"
    for index in placement.devices:
        device = node.devices[index]
        device.used_milli += placement.share_milli
        assert device.used_milli <= WHOLE_GPU_MILLI, f"{node.id} device {index} given out twice"
        device.holders[key] = placement.share_milli
    node.cpu_used_milli += placement.cpu_milli
    node.memory_used_mib += placement.memory_mib
    node.holds[key] = placement


def release(node: Node, key: HoldKey) -> Placement:
    """Take a shard's share back; only on an observed exit, a fenced lease, or a Draft's undo."""
    placement = node.holds.pop(key)
    for index in placement.devices:
        device = node.devices[index]
        device.used_milli -= device.holders.pop(key)
    node.cpu_used_milli -= placement.cpu_milli
    node.memory_used_mib -= placement.memory_mib
    return placement
