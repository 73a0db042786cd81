"""take_cells: a job of a queue with a reserve gets a cell, from whoever can be stopped there.

Also from a queue that is within its own guarantee: it has its GPUs elsewhere, but not in this
shape. Only what the queue has in reserve and does not use yet is had in this way, and never a cell
that another queue uses as its own: so nobody takes it back.
"""

from aimass.core.beside import Beside
from aimass.core.model import Job, Placement, StopRule
from aimass.core.policy import Placed
from aimass.core.preempt import choose, claiming, enter
from aimass.core.queues import Amounts
from aimass.core.quota import within_guarantee
from aimass.core.reserves import Cells
from aimass.core.search import Search
from aimass.core.victims import Taking, Victim, candidates, may_preempt_now, smallest_forms
from aimass.core.wants import amounts_asked


def take_cells(search: Search, job: Job) -> bool:
    """Enter a claim on cells that the job's queues have in reserve; False when there are none.

    O(nodes + active jobs), and what preempt() takes, once for each queue above it with a reserve.
    """
    beside = search.beside
    if beside is None or not may_preempt_now(search, job):
        return False
    draft = search.draft
    for queue in search.cluster.queues[job.spec.queue].tree.chain[:-1]:
        for want in smallest_forms(search, job) if queue.spec.reserve else ():
            if not within_guarantee(queue, amounts_asked(job, want)):
                continue
            mark = draft.checkpoint()
            taking = _taking(beside, job, queue.spec.name)
            with claiming(search, job):
                draft.closed |= {i for i in search.cluster.nodes if i not in taking.cells}
                victims = candidates(search, job, want, taking)
                found = choose(search, job, want, [sorted(victims)])
                if found is not None and _is_right(beside, job, taking, *found):
                    beside.takers.append((taking.queue, job, found[0]))
                    enter(search, job, *found)
                    return True
            draft.rollback(mark)
    return False


def may_take_cells(search: Search, job: Job, amounts: Amounts, other: Job) -> bool:
    """True when the job would take cells from the other, where it stands in one. O(depth)."""
    if search.beside is None:
        return False
    queues = search.cluster.queues
    theirs = queues[other.spec.queue].tree.chain
    return any(
        queue.spec.reserve
        and all(queue is not above for above in theirs)
        and within_guarantee(queue, amounts)
        for queue in queues[job.spec.queue].tree.chain[:-1]
    )


def _taking(beside: Beside, job: Job, queue: str) -> Taking:
    """Where a cell of the queue could be, as the draft stands. O(nodes)."""
    now, cells, cluster = beside.now(job), beside.cells, beside.search.cluster
    nodes = cluster.index.nodes
    family = next(reserve.family for reserve in cells.reserves if reserve.queue == queue)
    in_use = {
        (other, nodes[index].id) for used in (beside.base, now) for other, index in used.used()
    }
    possible = {node.id for node in nodes if room_of(cells, queue, node.index)}
    return Taking(cluster, queue, family, frozenset(possible), frozenset(in_use))


def room_of(cells: Cells, queue: str, index: int) -> bool:
    """True when some shard of a cell of the queue could be on the node."""
    return any(
        cells.row(index, reserve.cell.model).room(reserve.family) >= reserve.cell.gpus
        for reserve in cells.reserves
        if reserve.queue == queue
    )


def _is_right(
    beside: Beside, job: Job, taking: Taking, placed: Placed, victims: list[Victim]
) -> bool:
    """Its GPUs, and those of all who took cells before it, are in cells in reserve; and whoever is
    stopped for a cell stands in one of them."""
    nodes = {place.node_id for place in placed.placements}
    stands = (
        taking.is_open(victim.job.spec.queue, [p for p in victim.places if p.node_id in nodes])
        for victim in victims
        if victim.rule is StopRule.RESERVE
    )
    if not all(stands):
        return False
    now, search = beside.now(job).used(), beside.search
    takers = [
        (queue, found)
        for queue, taker, found in beside.takers
        if search.is_claimed(taker.id) or taker.id in search.starts
    ]
    return all(
        _lies_in_cells(beside, now, queue, found.placements)
        for queue, found in (*takers, (taking.queue, placed))
    )


def _lies_in_cells(
    beside: Beside, used: dict[tuple[str, int], int], queue: str, places: tuple[Placement, ...]
) -> bool:
    """True when all that the queue has on these nodes is in its cells."""
    cells, cluster = beside.cells, beside.search.cluster
    family = next(reserve.family for reserve in cells.reserves if reserve.queue == queue)
    models = {reserve.cell.model for reserve in cells.reserves if reserve.queue == queue}
    for node_id in {place.node_id for place in places if place.devices}:
        index = cluster.nodes[node_id].index
        own = sum(sum(cells.row(index, model).of(family)) for model in models)
        if not own or own > used.get((queue, index), 0):
            return False
    return True
