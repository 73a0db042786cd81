"""Fair share: at every level of the tree, the queue that has least for its weight is next.

Queues whose next job stays within their guarantee go before those that would borrow; inside a queue
higher priority, then submit order. Shares are those of core/fair_share.py. What the pass has
started counts at once. With one queue it is the order `priority`.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush, heapreplace

from aimass.core.cluster import Cluster, Group
from aimass.core.fair_share import dominant, past_use
from aimass.core.model import Job, JobId
from aimass.core.queues import FAIR, ROOT, Amounts, Queue
from aimass.core.quota import direct_use, within_guarantee
from aimass.core.wants import amounts_least

Rank = tuple[bool, int, int]
"""(would borrow, share for its weight, submit sequence of its next job): least first"""
Head = tuple[int, tuple[int, JobId], int, Group]
"""(-priority, (submit sequence, job), position in the group, group)"""


class FairOrder:
    """Hierarchical dominant resource fairness, with guarantees first."""

    name = "fair"
    version = 1
    is_strict = False
    is_across_queues = False

    def queue(self, cluster: Cluster, blocked: set[Group]) -> Iterator[tuple[Group, JobId]]:
        """See OrderPolicy.queue. O(groups) to begin; a job costs O(log groups + depth), and
        O(children) at every level where something has started or stopped since the last one."""
        root = _grow(cluster, blocked)
        while (head := root.head()) is not None:
            root.take()
            yield head[3], head[1][1]

    def is_before(self, cluster: Cluster, first: Job, second: Job) -> bool:
        """See OrderPolicy.is_before. O(depth)."""
        ours = cluster.queues[first.spec.queue].tree.chain
        theirs = cluster.queues[second.spec.queue].tree.chain
        if ours[0] is theirs[0]:
            return (-first.spec.priority, first.submit_seq) < (
                -second.spec.priority,
                second.submit_seq,
            )
        common = 1
        while common < min(len(ours), len(theirs)) and ours[-1 - common] is theirs[-1 - common]:
            common += 1
        ranks = []
        for job, chain in ((first, ours), (second, theirs)):
            is_direct = len(chain) == common
            branch = _Branch(cluster, set(), chain[0 if is_direct else -1 - common], is_direct)
            amounts = amounts_least(job, cluster.now_ms)
            ranks.append(branch.rank(amounts, job.submit_seq))
        return ranks[0] < ranks[1]


def _grow(cluster: Cluster, blocked: set[Group]) -> "_Branch":
    """The tree of all queues that have jobs waiting, in them or below. O(groups + queues)."""
    branches: dict[str, _Branch] = {}
    heaps: dict[str, list[Head]] = {}
    for group in cluster.waiting.groups.values():
        heaps.setdefault(group.queue, []).append((-group.priority, group.jobs[0], 0, group))
    for name in cluster.queues:
        if name in heaps:
            for queue in cluster.queues[name].tree.chain:
                branches.setdefault(queue.spec.name, _Branch(cluster, blocked, queue))
    for name, branch in branches.items():
        if name != ROOT:
            branches[branch.queue.spec.parent].children.append(branch)
    for name, heap in heaps.items():
        branch = branches[name]
        if branch.children:  # jobs of the queue itself are one more branch beside those below it
            branch.children.append(_Branch(cluster, blocked, branch.queue, is_direct=True))
            branch = branch.children[-1]
        heapify(heap)
        branch.heap = heap
    return branches.get(ROOT) or _Branch(cluster, blocked, cluster.queues[ROOT])


class _Branch:
    """A queue with all below it; or, is_direct, only the jobs of a queue that has others below.

    A branch has children or a heap of groups. `ranked` is a heap of its children by the rank of
    their next job, made again when the accounts of the queue have changed.
    """

    def __init__(
        self, cluster: Cluster, blocked: set[Group], queue: Queue, is_direct: bool = False
    ) -> None:
        self.cluster = cluster
        self.blocked = blocked
        self.queue = queue
        self.is_direct = is_direct
        self.capacity = cluster.index.totals.amounts()
        self.past = past_use(cluster, queue, cluster.now_ms)
        if is_direct:
            for child in queue.tree.children:
                for key, amount in past_use(cluster, child, cluster.now_ms).items():
                    self.past[key] = max(0, self.past.get(key, 0) - amount)
        self.is_guaranteed = bool(queue.spec.quota if is_direct else queue.tree.named)
        self.children: list[_Branch] = []
        self.heap: list[Head] = []
        self.is_taken = False  # the first of the heap has been yielded
        self.ranked: list[tuple[Rank, int, Head]] = []
        self.ranked_at = -1  # version of the queue's accounts
        self.share = 0
        self.share_at = -1
        self.asked: dict[Group, Amounts] = {}

    def head(self) -> Head | None:
        """Its next job, of those that are not blocked."""
        if not self.children:
            return self._own_head()
        if self.ranked_at != self.queue.version:
            self.ranked_at = self.queue.version
            entries = (self._entry(index) for index in range(len(self.children)))
            self.ranked = [entry for entry in entries if entry is not None]
            heapify(self.ranked)
        while self.ranked:
            _, index, head = self.ranked[0]
            if self.children[index].head() is head:
                return head
            entry = self._entry(index)  # what was its next job is gone
            if entry is None:
                heappop(self.ranked)
            else:
                heapreplace(self.ranked, entry)
        return None

    def _own_head(self) -> Head | None:
        heap = self.heap
        if self.is_taken:
            self.is_taken = False
            order, _, position, group = heappop(heap)
            if group not in self.blocked and position + 1 < len(group.jobs):
                heappush(heap, (order, group.jobs[position + 1], position + 1, group))
        while heap and heap[0][3] in self.blocked:
            heappop(heap)
        return heap[0] if heap else None

    def take(self) -> None:
        """Its next job has been yielded; head() has just named it."""
        branch = self
        while branch.children:
            branch = branch.children[branch.ranked[0][1]]
        branch.is_taken = True

    def _entry(self, index: int) -> tuple[Rank, int, Head] | None:
        child = self.children[index]
        head = child.head()
        if head is None:
            return None
        amounts: Amounts = {}
        if child.is_guaranteed:
            amounts = self._asked(head)
        return child.rank(amounts, head[1][0]), index, head

    def _asked(self, head: Head) -> Amounts:
        group = head[3]
        if group not in self.asked:
            job = self.cluster.jobs[head[1][1]]
            self.asked[group] = amounts_least(job, self.cluster.now_ms)
        return self.asked[group]

    def rank(self, amounts: Amounts, submit_seq: int) -> Rank:
        """Where it stands on its level when a job with these amounts is its next."""
        borrows = not self.is_guaranteed or not within_guarantee(
            self.queue, amounts, self.is_direct
        )
        if self.share_at != self.queue.version:
            self.share_at = self.queue.version
            self.share = self._share()
        return (borrows, self.share, submit_seq)

    def _share(self) -> int:
        queue, past = self.queue, self.past
        if self.is_direct:
            use = {key: direct_use(queue, key) + past.get(key, 0) for key in FAIR}
            return dominant(use, self.capacity)[0]
        use = {key: queue.owned(key) + past.get(key, 0) for key in FAIR}
        return dominant(use, self.capacity)[0] // queue.spec.weight
