"""Fair share: how much of the cluster a queue has, against what its weight entitles it to.

Dominant resource fairness (Ghodsi et al., NSDI 2011) level by level of the tree: a queue's share is
the largest, over GPUs, CPUs and memory, of what it owns now plus what it used on average lately, as
a part of the cluster's; divided by its weight. Parts are whole numbers of 10^-9.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from aimass.core.cluster import Cluster
from aimass.core.decay import average
from aimass.core.queues import FAIR, ROOT, Amounts, Queue, history_at
from aimass.core.wants import amounts_asked, forms

SHARE_ONE = 10**9
PPM = 10**6


def past_use(cluster: Cluster, queue: Queue, now_ms: int) -> Amounts:
    """The constant use that is as much as what the queue remembers. O(1)."""
    half_life_ms = cluster.queues[ROOT].spec.half_life_ms
    history = history_at(queue, now_ms, half_life_ms)
    return {key: average(amount, half_life_ms) for key, amount in history.items()}


def dominant(amounts: Mapping[str, int], capacity: Mapping[str, int]) -> tuple[int, str]:
    """(part of the cluster in 10^-9, resource of which it is the largest). O(1)."""
    share, most = 0, ""
    for key in FAIR:
        if amount := amounts.get(key, 0):
            part = amount * SHARE_ONE // max(1, capacity.get(key, 0))
            if part > share:
                share, most = part, key
    return share, most


@dataclass(frozen=True, slots=True)
class ShareRow:
    """One queue of the report; amounts by resource, parts of the cluster in millionths.

    share_ppm: what it owns now. past_ppm: its average use lately. fair_ppm: what its weight gives
    it when every queue asks for all. entitled_ppm: what progressive filling gives it now: first
    guarantees, then by weight, nobody more than it asks for. lent: of its guarantee, unused.
    """

    name: str
    path: str
    depth: int
    weight: int
    guarantee: Amounts
    used: Amounts
    borrowed: Amounts
    lent: Amounts
    dominant: str
    share_ppm: int
    past_ppm: int
    fair_ppm: int
    entitled_ppm: int
    active: int
    queued: int


def share_report(cluster: Cluster) -> list[ShareRow]:
    """A row for every queue, a parent before its children, by creation. O(queues + groups)."""
    demand = _demands(cluster)
    rows: list[ShareRow] = []
    todo = [(cluster.queues[ROOT], PPM, PPM)]
    while todo:
        queue, fair_ppm, entitled_ppm = todo.pop()
        rows.append(_row(cluster, queue, fair_ppm, entitled_ppm))
        children = queue.tree.children
        weights = sum(child.spec.weight for child in children)
        filled = _fill(cluster, children, demand, entitled_ppm)
        for child in reversed(children):
            part = fair_ppm * child.spec.weight // weights
            todo.append((child, part, filled[child.spec.name]))
    return rows


def _row(cluster: Cluster, queue: Queue, fair_ppm: int, entitled_ppm: int) -> ShareRow:
    capacity = cluster.index.totals.amounts()
    tree, spec = queue.tree, queue.spec
    owned = {key: amount for key in queue.used | queue.claimed if (amount := queue.owned(key))}
    past = past_use(cluster, queue, cluster.now_ms)
    excess = {key: owned.get(key, 0) - amount for key, amount in tree.guarantee.items()}
    share, resource = dominant(owned, capacity)
    return ShareRow(
        spec.name,
        "/".join(above.spec.name for above in reversed(tree.chain)),
        len(tree.chain) - 1,
        spec.weight,
        tree.guarantee,
        owned,
        {key: amount for key, amount in excess.items() if amount > 0},
        {key: -amount for key, amount in excess.items() if amount < 0},
        resource,
        share * PPM // SHARE_ONE,
        dominant(past, capacity)[0] * PPM // SHARE_ONE,
        fair_ppm,
        entitled_ppm,
        queue.active,
        queue.queued,
    )


def _demands(cluster: Cluster) -> dict[str, int]:
    """What each queue owns and its waiting jobs ask for, in millionths of the cluster."""
    asked = {
        name: {key: queue.owned(key) for key in FAIR} for name, queue in cluster.queues.items()
    }
    for group in cluster.waiting.groups.values():
        job = cluster.jobs[group.jobs[0][1]]
        amounts = amounts_asked(job, forms(job, cluster.now_ms)[-1])
        for queue in cluster.queues[group.queue].tree.chain:
            for key in FAIR:
                asked[queue.spec.name][key] += amounts[key] * len(group.jobs)
    capacity = cluster.index.totals.amounts()
    return {name: dominant(row, capacity)[0] * PPM // SHARE_ONE for name, row in asked.items()}


def _fill(
    cluster: Cluster, queues: list[Queue], demand: dict[str, int], total_ppm: int
) -> dict[str, int]:
    """Share a part of the cluster out: first what is guaranteed, then the rest by weight.

    Nobody gets more than it asks for, or than its limit. O(n log n).
    """
    capacity = cluster.index.totals.amounts()
    most: dict[str, int] = {}
    given: dict[str, int] = {}
    left = total_ppm
    for queue in queues:
        name, spec = queue.spec.name, queue.spec
        parts = [spec.limit[k] * PPM // max(1, capacity.get(k, 0)) for k in FAIR if k in spec.limit]
        most[name] = min(demand[name], *parts, PPM)
        guarantee = dominant(queue.tree.guarantee, capacity)[0] * PPM // SHARE_ONE
        given[name] = min(most[name], guarantee, left)
        left -= given[name]
    weights = sum(queue.spec.weight for queue in queues)
    # Who needs least for its weight is full first; what it leaves is for the others.
    for queue in sorted(
        queues, key=lambda q: (most[q.spec.name] - given[q.spec.name]) * SHARE_ONE // q.spec.weight
    ):
        name, weight = queue.spec.name, queue.spec.weight
        more = min(most[name] - given[name], left * weight // weights)
        given[name] += more
        left -= more
        weights -= weight
    return given
