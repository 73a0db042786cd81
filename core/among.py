"""Among promises: start where it was promised, or where nobody who was promised a start minds."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from aimass.core.capacity import PromiseKey
from aimass.core.feasible import Refusal, device_suits
from aimass.core.model import Job, JobId, Node
from aimass.core.plan import Planned
from aimass.core.policy import Placed
from aimass.core.quota import quota_refusal
from aimass.core.spec import WHOLE_GPU_MILLI
from aimass.core.wants import amounts_placed

if TYPE_CHECKING:
    from aimass.core.search import Search


def as_promised(
    search: "Search", job: Job, own: Planned | None, quota: list[Refusal]
) -> Placed | None:
    """Start where it was promised, if that is free: elsewhere it might be in others' way."""
    if own is None or search.is_waiting_for_locality(job):
        return None
    if {p.node_id for p in own.placements} & search.draft.closed:
        return None
    cluster, draft = search.cluster, search.draft
    refusal = quota_refusal(cluster, job, amounts_placed(cluster, own.placements))
    if refusal is not None:
        quota.append(refusal)
        return None
    for place in own.placements:
        devices = cluster.nodes[place.node_id].devices
        if any(devices[i].used_milli + place.share_milli > WHOLE_GPU_MILLI for i in place.devices):
            return None  # whatever else is promised
    with search.setting_aside(job):
        later = search.later_than(job)
        search.lift(later)
        mark = draft.checkpoint()
        is_free = draft.hold_exactly(job, own.placements) and search.is_beside(job)
        if not is_free:
            draft.rollback(mark)
        search.lower(later)
    return Placed(own.placements, f"as promised: {own.reason}") if is_free else None


def among_promises(search: "Search", job: Job, quota: list[Refusal]) -> Placed | None:
    """Use what is promised: to lower jobs; and to others from when the job will have ended."""
    if not search.could_help(job):
        return None
    with search.setting_aside(job):
        placed, aside = None, [*search.aside.values()]
        if aside and _fits_without(search, job, aside) is not False:
            placed = search.in_some_form(job, quota)
        later = [] if placed is not None else search.later_than(job)
        if not later:
            return placed
        if _fits_without(search, job, [*aside, *later]) is False:
            return None
        search.lift(later)
        placed = search.in_some_form(job, quota)
        search.lower(later)
    if placed is None:
        return None
    first = min(later, key=lambda promise: promise.start_ms).job_id
    note = f"backfilled: ends before {first} starts as promised"
    return Placed(placed.placements, placed.reason, (*placed.trail, note))


def fits_without_promises(search: "Search", job: Job) -> bool:
    """True when the job, which does not fit now, would if nothing were promised to others."""
    everybody = search.others()
    is_known = _fits_without(search, job, everybody)
    if is_known is not None:
        return is_known
    mark = search.draft.checkpoint()
    search.lift(everybody)
    placed = search.in_some_form(job, [])
    search.draft.rollback(mark)
    return placed is not None


def _fits_without(search: "Search", job: Job, promises: Iterable[Planned]) -> bool | None:
    """Whether the job, which does not fit now, would without these promises; None: try it.

    Answered for one shard of whole GPUs, that fits if a node does which something is promised on.
    O(promised places).
    """
    spec = job.spec
    role, need = spec.roles[0], spec.roles[0].need
    if len(spec.roles) > 1 or role.shards > 1 or role.elastic is not None or spec.exclusive_node:
        return None
    if need.gpu_milli < WHOLE_GPU_MILLI or spec.topology.required or spec.topology.preferred:
        return None
    if need.in_order or search.beside is not None or search.by_model:
        return None
    index, cluster = search.cluster.index, search.cluster
    allowed = index.allowed(job, need) & ~index.named(search.draft.closed)
    gone = {promise.job_id for promise in promises}
    nodes = dict.fromkeys(place.node_id for promise in promises for place in promise.placements)
    search.fuel.burn(1)
    for node in (cluster.nodes[node_id] for node_id in nodes):
        if allowed >> node.index & 1:
            is_fit = _node_fits(node, job, gone)
            if is_fit is not False:
                return is_fit
    return False


def _node_fits(node: Node, job: Job, gone: set[JobId]) -> bool | None:
    need, free = job.spec.roles[0].need, set()
    for index, device in enumerate(node.devices):
        if not device.used_milli and device.spec.healthy and device_suits(device.spec, need):
            free.add(index)
    if len(free) < need.devices or any(held.exclusive for held in node.holds.values()):
        return False
    cpu_milli = node.inventory.cpu_milli - node.cpu_used_milli
    memory_mib = node.inventory.memory_mib - node.memory_used_mib
    for key, kept in node.claims.items():
        if type(key) is PromiseKey and key.job_id in gone:
            continue
        if kept.exclusive or kept.share_milli % WHOLE_GPU_MILLI:
            return None
        free.difference_update(kept.devices)
        cpu_milli, memory_mib = cpu_milli - kept.cpu_milli, memory_mib - kept.memory_mib
    if len(free) < need.devices:
        return False
    is_enough = cpu_milli >= need.cpu_milli and memory_mib >= need.memory_mib
    return True if is_enough else None
