"""Ways: of each node the cheapest movers who make room there for one shard more, by sums.

An estimate that placing everybody then proves; see consolidate.py.
"""

from collections.abc import Iterable
from dataclasses import replace
from heapq import nlargest
from typing import NamedTuple

from aimass.core.feasible import device_suits, node_refusal
from aimass.core.model import Job, JobId, Node, NodeId, Placement
from aimass.core.node_index import PARTIAL_BITS
from aimass.core.policy import Want
from aimass.core.search import Search
from aimass.core.spec import WHOLE_GPU_MILLI, Need
from aimass.core.wants import models_of


class Mover(NamedTuple):
    """A job that may be moved, at what cost in GPU-milliseconds. Ordered by cost, newest first."""

    loss: int
    newest: int
    job: Job


class OnNode(NamedTuple):
    """A mover on one of its nodes, with its places there and how many devices they are."""

    mover: Mover
    places: tuple[Placement, ...]
    devices: int


class Way(NamedTuple):
    """The cheapest who make room on one node for one shard more. Ordered by cost, then node."""

    loss: int
    node: int
    movers: tuple[Mover, ...]


Here = dict[NodeId, list[OnNode]]
"""Movers by the nodes that they are on, the cheapest first."""


def by_node(movers: list[Mover]) -> Here:
    """The movers, cheapest first, by their nodes. O(shards)."""
    found: Here = {}
    for mover in movers:
        there: dict[NodeId, list[Placement]] = {}
        for place in mover.job.current.placements:
            there.setdefault(place.node_id, []).append(place)
        for node_id, places in there.items():
            devices = sum(len(place.devices) for place in places)
            found.setdefault(node_id, []).append(OnNode(mover, tuple(places), devices))
    return found


def ways_of(
    search: Search, job: Job, want: Want, here: Here, most: int, worth: int, kept: set[JobId]
) -> list[Way]:
    """For each role, of each node that suits it the cheapest way; cheapest first.

    At most `most` of those who are not kept, who lose less than `worth`. Left out is where one of
    them is wider than any other node has room for. O(nodes with movers).
    """
    closed = search.closed_for(job, search.cluster.now_ms)
    nodes, idle = search.cluster.nodes, search.cluster.index.view(is_soon=True).gpus.values
    widest = nlargest(
        2, ((idle[node.index] >> PARTIAL_BITS, node.index) for node in nodes.values())
    )
    found = []
    for role in dict.fromkeys(job.spec.roles):
        need = replace(role.need, gpu_types=models_of(role.need, want))
        search.fuel.burn(len(here))
        for node_id, there in here.items():
            node = nodes[node_id]
            room = next((free for free, other in widest if other != node.index), 0)
            fit = [
                each
                for each in there
                if each.mover.loss < worth
                and each.mover.job.id not in kept
                and width(each.mover.job) <= room
            ]
            free = (idle[node.index] >> PARTIAL_BITS) + _widths(fit, most)
            if not fit or (need.gpu_milli >= WHOLE_GPU_MILLI and free < need.devices):
                continue
            if node_id in closed or node_refusal(node, job, need) is not None:
                continue
            if job.spec.exclusive_node:
                movers = _alone(node, fit, most)
            else:
                movers = _cheapest_on(node, need, fit, most)
            if movers:
                found.append(Way(sum(mover.loss for mover in movers), node.index, movers))
    return sorted(found, key=lambda way: way[:2])


def width(job: Job) -> int:
    """Whole devices that one shard of the job needs on a node, at most."""
    return max(role.need.gpu_milli for role in job.spec.roles) // WHOLE_GPU_MILLI


def _widths(here: list[OnNode], most: int) -> int:
    """Devices of those `most` who have most of them."""
    if len(here) <= most:
        return sum(each.devices for each in here)
    return sum(nlargest(most, (each.devices for each in here)))


def _alone(node: Node, here: list[OnNode], most: int) -> tuple[Mover, ...]:
    """All who are on the node, if all of them may be moved."""
    on = {key.job_id for key in node.holds if key not in node.leaving}
    is_all = len(here) <= most and on == {each.mover.job.id for each in here}
    return tuple(each.mover for each in here) if is_all else ()


def _cheapest_on(node: Node, need: Need, here: list[OnNode], most: int) -> tuple[Mover, ...]:
    """The cheapest of them who make room for one shard more, by sums; none when there is no way.

    Exact: all sets of at most `most` are looked at, except those that cost more than one that does,
    or can be of no use.
    """
    room, shares = {}, {}
    for index, device in enumerate(node.devices) if need.has_gpu else ():
        if device.spec.healthy and device_suits(device.spec, need):
            room[index], shares[index] = device.soon_milli, need.share_on(device.spec.memory_mib)
    has = sum(room[index] >= share for index, share in shares.items())
    target = (has // need.devices + 1) * need.devices if need.has_gpu else 0

    def is_enough(chosen: Iterable[int]) -> bool:
        free, cpu_milli, memory_mib = dict(room), node.cpu_soon_milli, node.memory_soon_mib
        for place in (place for at in chosen for place in here[at].places):
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
        hope = has + sum(here[i].devices for i in chosen) + _widths(here[at:], left)
        if (
            at < len(here)
            and left
            and hope >= target
            and is_enough((*chosen, *range(at, len(here))))
        ):
            look(at + 1, (*chosen, at), loss + here[at].mover.loss)
            look(at + 1, chosen, loss)

    look(0, (), 0)
    return tuple(here[at].mover for at in best[1]) if best is not None else ()
