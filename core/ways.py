"""Ways: of each node the cheapest movers who make room there for one shard more, by sums.

An estimate that placing everybody then proves; see consolidate.py.
"""

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, replace
from heapq import nlargest, nsmallest
from typing import NamedTuple

from aimass.core.feasible import device_suits, node_refusal
from aimass.core.model import Job, JobId, Node, NodeId, Placement
from aimass.core.node_view import PARTIAL_BITS
from aimass.core.policy import Fuel, Want
from aimass.core.search import Search
from aimass.core.spec import WHOLE_GPU_MILLI, Need
from aimass.core.wants import models_of

LOOKS_MAX = 500  # sets of movers that are looked at on one node
SMALL = 8  # movers on a node: it is searched without a guess first
LOOK_FUEL = 10  # of one look, and one more for each mover


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

Known = dict[tuple[object, ...], tuple[Mover, ...]]
"""What the search on a node has found for all that it depends on: equal jobs ask the same."""


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
    search: Search,
    job: Job,
    want: Want,
    here: Here,
    most: int,
    worth: int,
    kept: set[JobId],
    known: Known,
) -> list[Way]:
    """For each role, of each node that suits it the cheapest way; cheapest first.

    At most `most` of those who are not kept, who lose less than `worth`. Left out is where one of
    them is wider than any other node has room for. known: what this decision has found so far, and
    is added to. O(nodes with movers).
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
            if not search.fuel.left:
                break
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
                soon = (*(device.soon_milli for device in node.devices), node.memory_soon_mib)
                case = (need, most, node.index, node.cpu_soon_milli, soon)
                key = (*case, tuple(each.mover.newest for each in fit))
                if key not in known:
                    known[key] = _cheapest_on(node, need, fit, most, search.fuel)
                movers = known[key]
            if movers:
                found.append(Way(sum(mover.loss for mover in movers), node.index, movers))
    return sorted(found, key=lambda way: way[:2])


@dataclass(frozen=True, slots=True)
class Sums:
    """What sums over whole GPUs allow: what they do not need not be tried.

    idle: such GPUs by node. by_width: how many nodes have so many. needs: GPUs of a shard and
    shards, by role with whole GPUs. rooms: by domain, how many shards of each role its nodes hold
    as they are. leaving: nodes that somebody leaves already.
    """

    level: str
    nodes: dict[NodeId, Node]
    idle: dict[NodeId, int]
    by_idle: Counter[int]
    needs: list[tuple[int, int]]
    rooms: dict[str, list[int]]
    leaving: frozenset[NodeId]

    def may_hold(self, name: str, movers: list[Mover]) -> bool:
        """False when the domain cannot hold the gang when these have left. O(their shards)."""
        freed: Counter[NodeId] = Counter()
        for place in (place for mover in movers for place in mover.job.current.placements):
            if self._domain(self.nodes[place.node_id]) == name:
                freed[place.node_id] += len(place.devices)
        for (each, shards), room in zip(self.needs, self.rooms[name], strict=True):
            more = ((self.idle[i] + n) // each - self.idle[i] // each for i, n in freed.items())
            if room + sum(more) < shards:
                return False
        return True

    def are_elsewhere(self, movers: list[Mover]) -> bool:
        """False when what is idle cannot hold all of them as well. O(movers * widths)."""
        widths = Counter[int]()
        for mover in movers:
            widths[_least_width(mover.job)] += len(mover.job.current.placements)
        return all(
            sum(n for other, n in widths.items() if other >= each)
            <= sum(n * (idle // each) for idle, n in self.by_idle.items())
            for each in widths
            if each
        )

    def _domain(self, node: Node) -> str:
        return node.inventory.labels.get(self.level, "") if self.level else ""


def sums_of(search: Search, job: Job, want: Want) -> Sums:
    """The sums for a job in one form, as the draft is now. O(nodes)."""
    cluster = search.cluster
    search.fuel.burn(len(cluster.nodes))
    values = cluster.index.view(is_soon=True).gpus.values
    idle = {node.id: values[node.index] >> PARTIAL_BITS for node in cluster.nodes.values()}
    needs = [
        (role.need.devices, size)
        for role, size in zip(job.spec.roles, want.sizes, strict=True)
        if role.need.gpu_milli >= WHOLE_GPU_MILLI
    ]
    level = want.level if sum(want.sizes) > 1 else ""
    rooms: dict[str, list[int]] = {} if level else {"": [0] * len(needs)}
    for node in cluster.nodes.values():
        name = node.inventory.labels.get(level, "") if level else ""
        room = rooms.setdefault(name, [0] * len(needs))
        for at, (each, _) in enumerate(needs):
            room[at] += idle[node.id] // each
    leaving = frozenset(node.id for node in cluster.nodes.values() if node.leaving)
    return Sums(level, cluster.nodes, idle, Counter(idle.values()), needs, rooms, leaving)


def _least_width(job: Job) -> int:
    """Whole devices that each shard of the job needs on a node, at least."""
    return min(role.need.gpu_milli for role in job.spec.roles) // WHOLE_GPU_MILLI


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


class _Gives(NamedTuple):
    """What one mover frees on the node: of each device, in all. Equal ones do as well."""

    milli: tuple[tuple[int, int], ...]  # by device that counts for the need
    cpu_milli: int
    memory_mib: int


class _Lacks(NamedTuple):
    """What is still lacking: of each device that is not free enough, how many such, and beside."""

    milli: dict[int, int]
    devices: int
    cpu_milli: int
    memory_mib: int

    def after(self, gives: _Gives) -> "_Lacks":
        """When this mover has left as well. O(devices)."""
        milli = dict(self.milli)
        for index, freed in gives.milli:
            if index in milli:
                milli[index] -= freed
                if milli[index] <= 0:
                    del milli[index]
        devices = self.devices - len(self.milli) + len(milli)
        cpu_milli, memory_mib = self.cpu_milli - gives.cpu_milli, self.memory_mib - gives.memory_mib
        return _Lacks(milli, devices, cpu_milli, memory_mib)

    @property
    def is_nothing(self) -> bool:
        """True when the shard fits."""
        return max(self.devices, self.cpu_milli, self.memory_mib) <= 0


def _cheapest_on(
    node: Node, need: Need, here: list[OnNode], most: int, fuel: Fuel
) -> tuple[Mover, ...]:
    """The cheapest of them who make room for one shard more, by sums; none when there is no way.

    Depth first over sets of at most `most`, cheapest movers first, without those that cost more
    than one that does or can be of no use; of movers who free the same the cheapest go first. Exact
    where that are LOOKS_MAX sets at most, else the best of these. A look takes O(movers) fuel.
    """
    shares = {}
    for index, device in enumerate(node.devices) if need.has_gpu else ():
        if device.spec.healthy and device_suits(device.spec, need):
            shares[index] = need.share_on(device.spec.memory_mib) - device.soon_milli
    gives = [_gives(each, shares) for each in here]
    milli = {index: lacking for index, lacking in shares.items() if lacking > 0}
    devices = need.devices - (len(shares) - len(milli)) % need.devices if need.has_gpu else 0
    cpu_milli = need.cpu_milli - node.cpu_soon_milli
    memory_mib = need.memory_mib - node.memory_soon_mib
    begin = _Lacks(milli, devices, cpu_milli, memory_mib)
    guess = _by_device(here, gives, most, begin) if len(here) > SMALL else ()
    best: tuple[int, tuple[int, ...]] | None = None
    most_loss = sum(here[at].mover.loss for at in guess) + 1 if guess else 0
    looks = LOOKS_MAX

    def look(rest: list[int], chosen: tuple[int, ...], loss: int, lacks: _Lacks) -> None:
        nonlocal best, most_loss, looks
        if chosen and lacks.is_nothing:
            best, most_loss = (loss, chosen), loss
            return
        while rest and looks and fuel.left:
            looks -= 1
            fuel.burn(LOOK_FUEL + len(rest))
            least = _least(here, gives, rest, most - len(chosen), lacks)
            if least is None or (most_loss and loss + least >= most_loss):
                return
            first = rest[0]
            more = loss + here[first].mover.loss
            if not most_loss or more < most_loss:
                look(rest[1:], (*chosen, first), more, lacks.after(gives[first]))
            rest = [at for at in rest if gives[at] != gives[first]]  # none of them is cheaper

    look(list(range(len(here))), (), 0, begin)
    return tuple(here[at].mover for at in (best[1] if best is not None else guess))


def _gives(each: OnNode, counted: Container[int]) -> _Gives:
    milli: Counter[int] = Counter()
    for place in each.places:
        milli.update({index: place.share_milli for index in place.devices if index in counted})
    cpu_milli = sum(place.cpu_milli for place in each.places)
    return _Gives(
        tuple(sorted(milli.items())), cpu_milli, sum(place.memory_mib for place in each.places)
    )


def _by_device(
    here: list[OnNode], gives: list[_Gives], most: int, lacks: _Lacks
) -> tuple[int, ...]:
    """A set that does, found device by device: the tree is to look for less. Perhaps none."""
    found = []
    for index, lacking in lacks.milli.items():
        on = [(at, dict(gives[at].milli).get(index, 0)) for at in range(len(here))]
        chosen, freed = list[tuple[int, int]](), 0
        for at, milli in on:
            if milli and freed < lacking:
                chosen, freed = [*chosen, (at, milli)], freed + milli
        for at, milli in reversed(chosen):
            if freed - milli >= lacking:
                chosen.remove((at, milli))
                freed -= milli
        if freed >= lacking:
            loss = sum(here[at].mover.loss for at, _ in chosen)
            found.append((loss, index, [at for at, _ in chosen]))
    those = nsmallest(lacks.devices, found) if lacks.devices > 0 else []
    together = tuple(sorted({at for _, _, chosen in those for at in chosen}))
    for at in together:
        lacks = lacks.after(gives[at])
    return together if len(together) <= most and lacks.is_nothing else ()


def _least(
    here: list[OnNode], gives: list[_Gives], rest: list[int], left: int, lacks: _Lacks
) -> int | None:
    """What `left` of the rest lose at least to make up for what lacks; None: they cannot.

    Each device takes so many of them at least, and the cheapest; a mover on several counts for
    each, with its part of the loss. O(rest x devices of each).
    """
    if not left:
        return None
    for lacking, freed in (
        (lacks.cpu_milli, (gives[at].cpu_milli for at in rest)),
        (lacks.memory_mib, (gives[at].memory_mib for at in rest)),
    ):
        if lacking > 0 and sum(nlargest(left, freed)) < lacking:
            return None
    if lacks.devices <= 0:
        return 0
    on: dict[int, list[tuple[int, int]]] = {}
    for at in rest:
        part = here[at].mover.loss // max(1, len(gives[at].milli))
        for index, milli in gives[at].milli:
            if index in lacks.milli:
                on.setdefault(index, []).append((milli, part))
    counts, losses = [], []
    for index, those in on.items():
        lacking, count = lacks.milli[index], 0
        for milli in nlargest(left, (milli for milli, _ in those)):
            if lacking <= 0:
                break
            lacking, count = lacking - milli, count + 1
        if lacking <= 0:
            counts.append(count)
            losses.append(sum(nsmallest(count, (part for _, part in those))))
    if len(counts) < lacks.devices:
        return None
    if sum(nsmallest(lacks.devices, counts)) > sum(
        nlargest(left, (len(gives[at].milli) for at in rest))
    ):
        return None
    return sum(nsmallest(lacks.devices, losses))
