"""Cluster: all tables, and the indexes over them.

Reads are for everybody; only `apply` writes, and a `Draft` that takes back what it wrote (both by
core/capacity.py). Indexes are derived: `codec.restore` rebuilds them, check_invariants compares.
"""

from bisect import bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import cast

from aimass.core.demand import Demand
from aimass.core.model import Job, JobId, Node, NodeId
from aimass.core.node_index import NodeIndex
from aimass.core.plan import Claim, Planned
from aimass.core.queues import Queue, new_queues
from aimass.core.tallies import ArrayRow, Moved, RunTime
from aimass.core.windows import WindowSpec

# Ended jobs kept for questions; older ones are only in the journal. Part of the fold: changing it
# changes the state hash of old journals.
OVER_KEPT = 10_000
ADDITIONS_KEPT = 1_000  # newest additions to the waiting index that can be asked for

FitKey = tuple[object, ...]
GroupKey = tuple[object, ...]


def fit_of(job: Job) -> FitKey:
    """All that placement looks at: jobs of one fit find the same places."""
    spec = job.spec
    roles = tuple([(role.shards, role.need, role.elastic) for role in spec.roles])
    rules = (spec.affinity, spec.tolerations, spec.exclude_nodes, job.avoid)
    selector = tuple(sorted(spec.node_selector.items())) if spec.node_selector else ()
    return (roles, selector, spec.strategy, rules, spec.exclusive_node, spec.topology)


def group_of(job: Job) -> GroupKey:
    """All that order, quota and placement look at, apart from time and from who submitted."""
    spec = job.spec
    limited = spec.array is not None and spec.array.max_parallel > 0
    array = job.array_id if limited else ""
    return (spec.queue, spec.priority, spec.preemptible, spec.preemption, array, fit_of(job))


class Group:
    """Queued jobs with equal keys, by submit order; hashed by identity, because keys are large."""

    __slots__ = ("fit", "jobs", "key", "priority", "queue")

    def __init__(self, job: Job, key: GroupKey) -> None:
        self.key = key
        self.queue = job.spec.queue
        self.priority = job.spec.priority
        self.fit = cast(FitKey, key[-1])
        self.jobs: list[tuple[int, JobId]] = []


class WaitingIndex:
    """Queued jobs that may be considered, by group.

    A pass over the queue costs one test per group and per start, not one per job: 5,000 identical
    jobs ahead of one that fits cost a single test (volcano#5551). add() only notes the job; the
    next question about groups finds its own: who has left by then, as in a replay, never had one.
    """

    def __init__(self) -> None:
        self._groups: dict[GroupKey, Group] = {}
        self._of: dict[JobId, Group] = {}
        self._new: dict[JobId, Job] = {}  # not in a group yet
        self.additions = 0  # ever made
        self._newest: deque[JobId] = deque(maxlen=ADDITIONS_KEPT)
        self._watchers: list[dict[JobId, None]] = []

    def watch(self) -> dict[JobId, None]:
        """What gets the id of every job that comes or goes from now on; who is here is in it."""
        watcher = dict.fromkeys([*self._of, *self._new])
        self._watchers.append(watcher)
        return watcher

    def added_since(self, additions: int) -> list[JobId] | None:
        """Jobs that came in after so many additions and are still here; None: too many to say."""
        count = self.additions - additions
        if count > len(self._newest):
            return None
        if not count:
            return []
        newest = [*islice(reversed(self._newest), count)]  # a deque is walked from one of its ends
        return [job_id for job_id in dict.fromkeys(reversed(newest)) if job_id in self]

    def __len__(self) -> int:
        return len(self._of) + len(self._new)

    def __contains__(self, job_id: JobId) -> bool:
        return job_id in self._of or job_id in self._new

    @property
    def groups(self) -> dict[GroupKey, Group]:
        """All groups by key, in no particular order. O(jobs added since the last question)."""
        if self._new:
            self._sort_in()
        return self._groups

    def group(self, job_id: JobId) -> Group:
        """The group of a job that is in the index."""
        if self._new:
            self._sort_in()
        return self._of[job_id]

    def add(self, job: Job) -> None:
        """Put a job in. O(1); later O(log n) and a memmove."""
        self._new[job.id] = job
        self.additions += 1
        self._newest.append(job.id)
        for watcher in self._watchers:
            watcher[job.id] = None

    def _sort_in(self) -> None:
        """Put the new jobs into their groups, by submit order."""
        for job in self._new.values():
            key = group_of(job)
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = Group(job, key)
            entry, jobs = (job.submit_seq, job.id), group.jobs
            if jobs and entry < jobs[-1]:
                insort(jobs, entry)
            else:  # nearly always: the newest is the last
                jobs.append(entry)
            self._of[job.id] = group
        self._new.clear()

    def remove(self, job: Job) -> None:
        """Take a job out; it must be in. O(log n) and a memmove."""
        for watcher in self._watchers:
            watcher[job.id] = None
        if self._new.pop(job.id, None) is not None:
            return
        group = self._of.pop(job.id, None)
        assert group is not None, f"{job.id} is not in the queue"
        jobs = group.jobs
        at = 0 if jobs[0][1] == job.id else bisect_left(jobs, (job.submit_seq, job.id))
        assert jobs[at][1] == job.id, f"{job.id} is not where it was put"
        del jobs[at]
        if not jobs:
            del self._groups[group.key]

    def in_order(
        self, rank: Callable[[Group], int], blocked: set[Group]
    ) -> Iterator[tuple[Group, JobId]]:
        """Yield jobs by (rank of group, submit order), leaving out groups once in `blocked`.

        The caller may add to `blocked` while iterating. O(groups) to begin, O(log groups) a job.
        """
        heap = [(rank(group), group.jobs[0], 0, group) for group in self.groups.values()]
        # Submit sequences are unique, so a comparison never reaches the group.
        heapify(heap)
        while heap:
            order, (_, job_id), position, group = heappop(heap)
            if group in blocked:
                continue
            yield group, job_id
            if group not in blocked and position + 1 < len(group.jobs):
                heappush(heap, (order, group.jobs[position + 1], position + 1, group))

    def ids(self) -> list[JobId]:
        """All jobs in the index, by submit order."""
        return [i for _, i in sorted(e for group in self.groups.values() for e in group.jobs)]


class Eased:
    """Jobs that may be moved since an event, or at less cost than before it: the newest of them."""

    def __init__(self) -> None:
        self.count = 0  # ever noted
        self._newest: deque[JobId] = deque(maxlen=ADDITIONS_KEPT)

    def add(self, job_id: JobId) -> None:
        """Note a job. O(1)."""
        self.count += 1
        self._newest.append(job_id)

    def since(self, count: int) -> list[JobId] | None:
        """Jobs noted after so many had been; None: too many to say."""
        more = self.count - count
        if not 0 <= more <= len(self._newest):
            return None
        newest = [*islice(reversed(self._newest), more)]
        return list(dict.fromkeys(reversed(newest)))


class Cluster:
    """The state. Built empty, or by codec.restore; changed by apply and nothing else."""

    __slots__ = (
        "active",
        "arrays",
        "by_key",
        "claims",
        "cluster_id",
        "demand",
        "dependents",
        "eased",
        "elastic",
        "freed_revision",
        "index",
        "jobs",
        "levels",
        "moved",
        "next_seq",
        "nodes",
        "now_ms",
        "over",
        "planned",
        "queues",
        "revision",
        "runtimes",
        "term",
        "timers",
        "waiting",
        "windows",
    )

    def __init__(self) -> None:
        self.cluster_id = ""
        self.revision = 0  # number of events applied
        self.now_ms = 0  # at_ms of the newest event
        self.term = 0
        self.next_seq = 1
        self.levels: tuple[str, ...] = ()  # topology, widest first
        self.jobs: dict[JobId, Job] = {}  # by submit order
        self.nodes: dict[NodeId, Node] = {}  # by join order
        self.queues: dict[str, Queue] = new_queues()  # by creation
        self.windows: dict[str, WindowSpec] = {}  # by name
        self.claims: dict[JobId, Claim] = {}  # by the plan that made them
        self.planned: dict[JobId, Planned] = {}  # promises, most entitled first when made
        self.arrays: dict[JobId, ArrayRow] = {}  # by submit order, while any task is in `jobs`
        self.runtimes: OrderedDict[str, RunTime] = OrderedDict()  # learned; oldest use first
        self.moved: deque[Moved] = deque()  # in the day before the newest of them; oldest first
        self.demand = Demand()  # what has been submitted lately
        # By end order, at most OVER_KEPT. Ordered, because the first of a dict that loses its first
        # all the time is behind a growing row of gaps.
        self.over: OrderedDict[JobId, None] = OrderedDict()

        # Derived from the rows above.
        self.by_key: dict[str, JobId] = {}  # idempotency keys of the jobs above
        self.waiting = WaitingIndex()  # QUEUED jobs that may be considered now
        self.active: dict[JobId, Job] = {}  # jobs that hold capacity, in no particular order
        self.elastic: dict[JobId, Job] = {}  # of these, those with an elastic role
        self.dependents: dict[str, dict[JobId, None]] = {}  # id of a job or array -> who waits
        self.timers: list[tuple[int, int, JobId]] = []  # heap of (at_ms, submit_seq, job)
        self.index = NodeIndex()
        self.eased = Eased()
        # Revision of the last event after which everybody must be looked at again (decider.py): it
        # freed or promised to free something, or changed a rule. Part of the snapshot.
        self.freed_revision = 0
