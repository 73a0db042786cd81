"""Who may be stopped for a cell of another queue: the part of check() about RESERVE.

What is proved does not depend on the order in which a plan was made: all who take cells by this
rule lie, together, in what their queue has in reserve, where no job of another queue stays; and
whoever is stopped stands there, in no cell that its own queue uses.
"""

from collections.abc import Iterable
from functools import cached_property

from aimass.core.cluster import Cluster
from aimass.core.model import Job, JobId, Node, Placement, StopRule
from aimass.core.plan import Plan
from aimass.core.queues import Cell, Queue, Reserve
from aimass.core.reserves import Entry, cells_of, entries_of, row_of, stays


class CellTakers:
    """Those whom a plan gives cells for which others are stopped."""

    def __init__(
        self, cluster: Cluster, plan: Plan, places: dict[JobId, tuple[Placement, ...]]
    ) -> None:
        self._cluster = cluster
        self._places = places
        self._gone = {stop.job_id for stop in plan.stops} | set(plan.unclaims)
        self._by_rule = {stop.by for stop in plan.stops if stop.rule is StopRule.RESERVE}
        self._cells = cells_of(cluster)

    @cached_property
    def _used(self) -> dict[tuple[str, int], int]:
        """What queues use of their reserves before the plan."""
        assert self._cells is not None, "asked only where a queue has a reserve"
        self._cells.refresh()
        return self._cells.assign().used()

    def may_take(self, queue: Queue, taker: Job, other: Job) -> bool:
        """True when the taker lies in cells of the queue, and the other stands there.

        O(shards of all who take cells + entries on their nodes).
        """
        if self._cells is None or not queue.spec.reserve or stays(other.spec):
            return False
        reserves = [r for r in self._cells.reserves if r.queue == queue.spec.name]
        if other.spec.queue in reserves[0].family:
            return False
        return self._is_there(other, self._places[taker.id]) and self._fit(reserves, taker)

    def _is_there(self, other: Job, places: tuple[Placement, ...]) -> bool:
        """True when it has something on these nodes that is no cell in use by its own queues."""
        cluster = self._cluster
        owned = cluster.claims.get(other.id)
        theirs = other.current.placements if other.state.is_active else ()
        nodes = {place.node_id for place in (*theirs, *(owned.placements if owned else ()))}
        chain = cluster.queues[other.spec.queue].tree.chain
        return any(
            not any(
                (above.spec.name, cluster.nodes[node_id].index) in self._used for above in chain
            )
            for node_id in nodes.intersection(place.node_id for place in places)
        )

    def _fit(self, reserves: list[Reserve], taker: Job) -> bool:
        """True when all takers of this family have only what is in reserve, where it can be."""
        family = reserves[0].family
        names = sorted({*(i for i in self._by_rule if i in self._places), taker.id})
        jobs = [self._cluster.jobs[i] for i in names if i in self._cluster.jobs]
        takers = [job for job in jobs if job.spec.queue in family]
        given: dict[str, int] = {}
        for node_id in {p.node_id for job in takers for p in self._places[job.id] if p.devices}:
            node = self._cluster.nodes[node_id]
            entries = list(self._entries(node, takers))
            if not all(_can_be(reserves, node, entries, p) for p in self._of(takers, node)):
                return False
            for place in self._of(takers, node):
                for index in place.devices:
                    model = node.devices[index].spec.model
                    given[model] = given.get(model, 0) + 1000
        cells = [reserve.cell for reserve in reserves]
        return all(gpu_milli <= _in_reserve(cells, model) for model, gpu_milli in given.items())

    def _of(self, takers: list[Job], node: Node) -> Iterable[Placement]:
        return (p for job in takers for p in self._places[job.id] if p.node_id == node.id)

    def _entries(self, node: Node, takers: list[Job]) -> Iterable[Entry]:
        """Who has what on the node after the plan, of those who were there and of the takers."""
        new = {job.id for job in takers}
        for job, place in entries_of(self._cluster, node):
            if job.id not in self._gone and job.id not in new:
                yield job, place
        for job in takers:
            yield from ((job, p) for p in self._places[job.id] if p.node_id == node.id)


def _in_reserve(cells: list[Cell], model: str) -> int:
    return sum(cell.gpu_milli for cell in cells if cell.model == model)


def _can_be(reserves: list[Reserve], node: Node, entries: list[Entry], place: Placement) -> bool:
    """True when the place's GPUs are part of what may be a cell of these reserves on the node."""
    models = {node.devices[index].spec.model for index in place.devices}
    family = reserves[0].family
    return all(
        any(
            reserve.cell.model == model
            and row_of(node, model, entries, family).room(family) >= reserve.cell.gpus
            for reserve in reserves
        )
        for model in models
    )
