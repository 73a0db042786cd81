"""Ways: of each node the cheapest movers who make room there for one shard more, by sums.

An estimate that placing everybody then proves; see consolidate.py.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from aimass.core.feasible import device_suits, node_refusal
from aimass.core.model import Job, Node, NodeId
from aimass.core.node_index import PARTIAL_BITS
from aimass.core.policy import Want
from aimass.core.search import Search
from aimass.core.spec import Need
from aimass.core.wants import models_of


class Mover(NamedTuple):
    """A job that may be moved, at what cost in GPU-milliseconds. Ordered by cost, newest first."""

    loss: int
    newest: int
    job: Job


class Way(NamedTuple):
    """The cheapest who make room on one node for one shard more. Ordered by cost, then node."""

    loss: int
    node: int
    movers: tuple[Mover, ...]


def ways_of(
    search: Search, job: Job, want: Want, by_node: dict[NodeId, list[Mover]], most: int
) -> list[Way]:
    """For each role, of each node that suits it the cheapest way; cheapest first.

    Left out is where one of them is wider than any other node has room for.
    """
    closed = search.closed_for(job, search.cluster.now_ms)
    free = _widest(search)
    found = []
    for role in dict.fromkeys(job.spec.roles):
        need = replace(role.need, gpu_types=models_of(role.need, want))
        search.fuel.burn(len(by_node))
        for node_id, here in by_node.items():
            node = search.cluster.nodes[node_id]
            if node_id in closed or node_refusal(node, job, need) is not None:
                continue
            room = next((width for width, other in free if other != node.index), 0)
            fit = [mover for mover in here if width(mover.job) <= room]
            movers = _alone(node, fit, most) if job.spec.exclusive_node else ()
            movers = movers or _cheapest_on(node, need, fit, most)
            if movers:
                found.append(Way(sum(mover.loss for mover in movers), node.index, movers))
    return sorted(found, key=lambda way: way[:2])


def _widest(search: Search) -> list[tuple[int, int]]:
    """(idle devices, node index) of the two nodes that have most."""
    values = search.cluster.index.view(is_soon=True).gpus.values
    ready = (node.index for node in search.cluster.nodes.values())
    return sorted(((values[at] >> PARTIAL_BITS, at) for at in ready), reverse=True)[:2]


def width(job: Job) -> int:
    """Whole devices that one shard of the job needs on a node, at most."""
    return max(role.need.gpu_milli for role in job.spec.roles) // 1000


def _alone(node: Node, here: list[Mover], most: int) -> tuple[Mover, ...]:
    """All who are on the node, if all of them may be moved."""
    on = {key.job_id for key in node.holds if key not in node.leaving}
    return tuple(here) if len(here) <= most and on == {m.job.id for m in here} else ()


def _cheapest_on(node: Node, need: Need, here: list[Mover], most: int) -> tuple[Mover, ...]:
    """The cheapest of them who make room for one shard more, by sums; none when there is no way.

    Exact: all sets of at most `most` are looked at, except those that cost more than one that does,
    or can be of no use. here: cheapest first.
    """
    room, shares = {}, {}
    for index, device in enumerate(node.devices) if need.has_gpu else ():
        if device.spec.healthy and device_suits(device.spec, need):
            room[index], shares[index] = device.soon_milli, need.share_on(device.spec.memory_mib)
    has = sum(room[index] >= share for index, share in shares.items())
    target = (has // need.devices + 1) * need.devices if need.has_gpu else 0
    places = [[p for p in m.job.current.placements if p.node_id == node.id] for m in here]
    widths = [sum(len(p.devices) for p in there) for there in places]

    def is_enough(chosen: Iterable[int]) -> bool:
        free, cpu_milli, memory_mib = dict(room), node.cpu_soon_milli, node.memory_soon_mib
        for place in (place for at in chosen for place in places[at]):
            cpu_milli += place.cpu_milli
            memory_mib += place.memory_mib
            for index in place.devices:
                if index in free:
                    free[index] += place.share_milli
        fits = sum(free[index] >= share for index, share in shares.items())
        return fits >= target and cpu_milli >= need.cpu_milli and memory_mib >= need.memory_mib

    best: tuple[int, tuple[int, ...]] | None = None

    def look(at: int, chosen: tuple[int, ...], loss: int) -> None:
        nonlocal best
        if best is not None and loss >= best[0]:
            return
        if chosen and is_enough(chosen):
            best = (loss, chosen)
            return
        left = most - len(chosen)
        width = sum(sorted(widths[at:], reverse=True)[:left]) + sum(widths[i] for i in chosen)
        is_hope = left > 0 and has + width >= target and is_enough((*chosen, *range(at, len(here))))
        if at < len(here) and is_hope:
            look(at + 1, (*chosen, at), loss + here[at].loss)
            look(at + 1, chosen, loss)

    look(0, (), 0)
    return tuple(here[at] for at in best[1]) if best is not None else ()
