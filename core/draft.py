"""Draft: try placements, evictions and claims on the cluster, and take them back.

It works on the real rows and keeps an undo log, because a copy costs thousands of times more (147
ms against 0.05 ms for a 64-GPU gang on 1,024 nodes; docs/decisions/0004). It must be rolled back
before anybody else looks; `with Draft(cluster) as draft:` does that.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from aimass.core import capacity
from aimass.core.cluster import Cluster
from aimass.core.model import (
    Goal,
    HoldKey,
    Job,
    JobState,
    Node,
    NodeId,
    NodeState,
    Placement,
    ShardState,
)
from aimass.core.queues import count
from aimass.core.suits import still_suit

_Undo = tuple[Callable[..., object], tuple[Any, ...]]


class Draft:
    """A trial on a cluster; everything done in it is undone when the block ends.

    is_soon: places may be looked for among what is leaving as well (they can be claimed, not held).
    closed: nodes that the job being placed may not use now (somebody else's window).
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.is_soon = False
        self.closed: frozenset[NodeId] = frozenset()
        self._undo: list[_Undo] = []

    def place(self, job: Job, key: HoldKey, placement: Placement) -> None:
        """Hold the share as a start would; when looking soon, claim it. It was proved to fit."""
        node = self.cluster.nodes[placement.node_id]
        if self.is_soon:
            capacity.claim(self.cluster, job, node, key, placement)
            self._undo.append((capacity.unclaim, (self.cluster, job, node, key)))
            self._count_start(job, key.rank, 1)
        else:
            self.hold(job, key.attempt, key.rank, placement)

    def hold(self, job: Job, attempt: int, rank: int, placement: Placement) -> None:
        """Hold one share. It was proved to fit."""
        node, key = self.cluster.nodes[placement.node_id], HoldKey(job.id, attempt, rank)
        capacity.hold(self.cluster, job, node, key, placement)
        self._undo.append((capacity.release, (self.cluster, job, node, key)))
        self._count_start(job, rank, 1)

    def hold_exactly(self, job: Job, placements: tuple[Placement, ...]) -> bool:
        """Hold these places as the job's next attempt; False when one is not free or unsuitable.

        The caller rolls back then. O(shards).
        """
        if not still_suit(self.cluster, job, placements):
            return False
        for rank, placement in enumerate(placements):
            node = self.cluster.nodes[placement.node_id]
            if node.state is not NodeState.READY or not capacity.has_room(node, job, placement):
                return False
            self.hold(job, job.attempt + 1, rank, placement)
        return True

    def unplace(self, job: Job, attempt: int, placements: tuple[Placement, ...]) -> None:
        """Give back what this draft placed by holding it. O(shards)."""
        for rank, placement in enumerate(placements):
            node, key = self.cluster.nodes[placement.node_id], HoldKey(job.id, attempt, rank)
            capacity.release(self.cluster, job, node, key)
            self._undo.append((capacity.hold, (self.cluster, job, node, key, placement)))
            self._end_credits(node, key)
            self._count_start(job, rank, -1)

    def _end_credits(self, node: Node, key: HoldKey) -> None:
        if key in node.credits:
            ended = capacity.end_credits(node, key)
            self._undo.append((capacity.restore_credits, (node, key, ended)))

    def claim(self, job: Job, attempt: int, placements: tuple[Placement, ...]) -> None:
        """Own these places without holding them. O(shards)."""
        for rank, placement in enumerate(placements):
            node, key = self.cluster.nodes[placement.node_id], HoldKey(job.id, attempt, rank)
            capacity.claim(self.cluster, job, node, key, placement)
            self._undo.append((capacity.unclaim, (self.cluster, job, node, key)))
            self._count_start(job, rank, 1)

    def unclaim(self, job: Job, attempt: int, placements: tuple[Placement, ...]) -> None:
        """Give up such places. O(shards)."""
        for rank, placement in enumerate(placements):
            node, key = self.cluster.nodes[placement.node_id], HoldKey(job.id, attempt, rank)
            capacity.unclaim(self.cluster, job, node, key)
            self._undo.append((capacity.claim, (self.cluster, job, node, key, placement)))
            self._count_start(job, rank, -1)

    def keep_free(
        self, node: Node, key: HoldKey, placement: Placement, credits: tuple[capacity.Credit, ...]
    ) -> None:
        """Keep a promised place free."""
        count = capacity.keep_free(self.cluster, node, key, placement, credits)
        self._undo.append((capacity.let_go, (self.cluster, node, key, placement, count)))

    def let_go(
        self, node: Node, key: HoldKey, placement: Placement, credits: tuple[capacity.Credit, ...]
    ) -> None:
        """Keep it free no longer."""
        counted = capacity.let_go(self.cluster, node, key, placement, credits)
        self._undo.append((capacity.keep_free, (self.cluster, node, key, placement, counted)))

    def _count_start(self, job: Job, rank: int, sign: int) -> None:
        """Once for its gang, a job counts as active; one that was active, as staying."""
        if rank:
            return
        if job.state.is_active:
            self._count(job, stopping=-sign)
        else:
            self._count(job, active=sign)

    def _count(self, job: Job, active: int = 0, stopping: int = 0) -> None:
        queues, name = self.cluster.queues, job.spec.queue
        count(queues, name, active, stopping)
        self._undo.append((count, (queues, name, -active, -stopping)))

    def evict(self, job: Job) -> None:
        """What the job's live shards hold is leaving. Those already leaving stay so. O(shards)."""
        if job.state is not JobState.STOPPING:
            self._count(job, stopping=1)
        for node, key in self._live(job):
            if key not in node.leaving:
                capacity.leave(self.cluster, job, node, key)
                self._undo.append((capacity.stay, (self.cluster, job, node, key)))

    def keep(self, job: Job) -> None:
        """The inverse of evict, for a victim that proved unnecessary. O(shards)."""
        if job.state is not JobState.STOPPING:
            self._count(job, stopping=-1)
        for node, key in self._live(job):
            if key in node.leaving:
                capacity.stay(self.cluster, job, node, key)
                self._undo.append((capacity.leave, (self.cluster, job, node, key)))

    def release(self, job: Job) -> None:
        """Everything that the job holds is free: a look into the future. O(shards)."""
        self._count(job, active=-1)
        if job.state is JobState.STOPPING and job.current.stop_goal is not Goal.RESIZE:
            self._count(job, stopping=-1)
        for node, key in self._live(job):
            was_leaving = key in node.leaving
            placement = capacity.release(self.cluster, job, node, key)
            if was_leaving:
                self._undo.append((capacity.leave, (self.cluster, job, node, key)))
            self._undo.append((capacity.hold, (self.cluster, job, node, key, placement)))
            self._end_credits(node, key)

    def _live(self, job: Job) -> list[tuple[Node, HoldKey]]:
        attempt = job.current
        return [
            (self.cluster.nodes[placement.node_id], HoldKey(job.id, attempt.number, rank))
            for rank, placement in enumerate(attempt.placements)
            if attempt.shards[rank].state is not ShardState.EXITED
        ]

    def checkpoint(self) -> int:
        """A mark to roll back to."""
        return len(self._undo)

    def rollback(self, mark: int) -> None:
        """Undo everything done since the mark, newest first. O(steps undone)."""
        while len(self._undo) > mark:
            undo, arguments = self._undo.pop()
            undo(*arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.rollback(0)
        self.is_soon = False
