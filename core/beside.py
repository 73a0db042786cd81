"""Beside: a decision leaves whole what queues have in reserve.

Who stays (see reserves.stays) may take GPUs as long as no reserve loses a cell by it that was there
when the decision began. Who can be stopped may lie anywhere: nothing is asked.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aimass.core.codes import Code, Refusal
from aimass.core.model import Job, NodeId
from aimass.core.policy import Placed, Want
from aimass.core.reserves import Assigned, Cells, cell_text, lost, stays

if TYPE_CHECKING:
    from aimass.core.search import Search

_WHOLE_NODE = 1 << 30


class Beside:
    """One decision's view of all reserves; made before anything is tried on its draft."""

    def __init__(self, search: "Search", cells: Cells) -> None:
        self.search = search
        self.cells = cells
        cells.refresh()
        self.base = cells.assign()
        self.takers: list[tuple[str, Job, Placed]] = []  # (queue, who got cells by stopping others)

    def now(self, job: Job) -> Assigned:
        """All cells given out as the draft stands. job: as it is tried. O(nodes that changed)."""
        self.cells.refresh(job)
        return self.cells.assign()

    def place(self, job: Job, want: Want, quota: list[Refusal]) -> Placed | None:
        """Place it where no reserve loses a cell; undone when that cannot be.

        At most four placements: by the policy alone, then without nodes that would break cells.
        """
        search, draft = self.search, self.search.draft
        place, fuel = search.policy.place.place, search.fuel
        mark = draft.checkpoint()
        first = place(draft, job, want, fuel)
        if first is None or not stays(job.spec):
            return first
        found = self.now(job)
        if lost(self.cells, found, self.base) is None:
            return first
        draft.rollback(mark)
        for closed in self._closing(job, want, first):
            with self._closed(closed):
                placed = place(draft, job, want, fuel)
            if placed is not None and self.is_kept(job):
                return placed
            draft.rollback(mark)
        quota.append(self._refusal(found))
        return None

    def is_kept(self, job: Job) -> bool:
        """True when no reserve has lost a cell, now that the job lies on the draft."""
        return not stays(job.spec) or lost(self.cells, self.now(job), self.base) is None

    def _closing(self, job: Job, want: Want, first: Placed) -> Iterator[frozenset[NodeId]]:
        """Sets of nodes to leave out, the smallest first.

        Those where it would break a cell, but for as many as can be spared of those that the policy
        chose; all of them; all that are part of a cell.
        """
        spare = sum(self.now(job).spare.values())
        needs = [role.need for role in job.spec.roles if role.need.has_gpu]
        devices = min((need.devices for need in needs), default=0)
        if job.spec.exclusive_node:
            devices = _WHOLE_NODE
        nodes = self.search.cluster.index.nodes
        breaking = {nodes[index].id for index in self.cells.breaking(devices)}
        chosen = dict.fromkeys(place.node_id for place in first.placements)
        spared = [node_id for node_id in chosen if node_id in breaking][:spare]
        yield frozenset(breaking.difference(spared))
        if spared:
            yield frozenset(breaking)
        strict = {nodes[index].id for index in self.cells.breaking(devices, is_strict=True)}
        if strict != breaking:
            yield frozenset(strict)

    @contextmanager
    def _closed(self, nodes: frozenset[NodeId]) -> Iterator[None]:
        draft = self.search.draft
        before, draft.closed = draft.closed, draft.closed | nodes
        try:
            yield
        finally:
            draft.closed = before

    def _refusal(self, found: Assigned) -> Refusal:
        """Name the first reserve that would lose a cell."""
        reserve = lost(self.cells, found, self.base)
        assert reserve is not None, "it was refused for nothing"
        queue, cell, _ = reserve
        text = (
            f"what is free is in reserve for queue {queue}, {cell.count} x ({cell_text(cell)}), "
            "and could not be taken back from this job"
        )
        return Refusal(Code.QUOTA_RESERVE, text)
