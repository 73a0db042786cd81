"""NodePrices: on which node one shard more costs least in victims, without pricing them all.

A bound from sums puts the nodes in order, and only the one in front is priced device by device: a
handful of a thousand.
"""

from dataclasses import replace
from heapq import heapify, heappop, heappush, heapreplace

from aimass.core.feasible import device_suits, node_refusal
from aimass.core.model import Job, JobId, Node, NodeId, Placement
from aimass.core.node_view import PARTIAL_BITS
from aimass.core.policy import Want
from aimass.core.search import Search
from aimass.core.spec import WHOLE_GPU_MILLI, Need, Role
from aimass.core.victims import Victim
from aimass.core.wants import models_of

Here = list[Victim]
"""Victims on one node, each with its places there alone; cheapest first."""
Price = tuple[int, int]
"""(highest priority, cost of all) of a set of victims."""


class OnNodes:
    """Victims by the nodes that they are on.

    gangs: those on several nodes, with all their places.
    """

    __slots__ = ("gangs", "here", "victims")

    def __init__(self, victims: list[Victim]) -> None:
        """In any order. O(shards)."""
        self.victims = victims
        self.gangs: dict[JobId, Victim] = {}
        self.here: dict[NodeId, Here] = {}
        here = self.here
        for victim in victims:
            places = victim.places
            if len(places) == 1:  # nearly all, and there may be thousands
                node_id = places[0].node_id
                if node_id in here:
                    here[node_id].append(victim)
                else:
                    here[node_id] = [victim]
                continue
            self.gangs[victim.job.id] = victim
            on: dict[NodeId, list[Placement]] = {}
            for place in places:
                on.setdefault(place.node_id, []).append(place)
            for node_id, there in on.items():
                here.setdefault(node_id, []).append(victim._replace(places=tuple(there)))
        for others in here.values():
            others.sort()

    def only(self, nodes: list[NodeId]) -> "OnNodes":
        """The same as far as it is about these nodes. O(nodes)."""
        part = OnNodes([])
        part.victims, part.gangs = self.victims, self.gangs
        part.here = {node_id: self.here[node_id] for node_id in nodes}
        return part


def price_of_all(victims: list[Victim]) -> Price:
    """What a set of victims costs."""
    highest = max((victim.priority for victim in victims), default=0)
    return highest, sum(victim.cost for victim in victims)


class NodePrices:
    """Nodes by what room for one shard more of a role costs there.

    Prices are as of the beginning, and of push(): where a gang is evicted for one node, the others
    that it is on keep theirs. gone: who costs nothing any more; leave() adds to it.
    """

    def __init__(
        self, search: Search, job: Job, want: Want, role: Role, found: OnNodes, gone: set[JobId]
    ) -> None:
        """O(victims)."""
        self._job, self._found, self._gone = job, found, gone
        self._need = replace(role.need, gpu_types=models_of(role.need, want))
        self._devices = self._need.devices
        self._index = index = search.cluster.index
        self._view = index.view(is_soon=True)
        self._index_of = {i: search.cluster.nodes[i].index for i in found.here}
        mask = index.allowed(job, self._need) & ~index.named(search.draft.closed)
        allowed = mask.to_bytes(len(index.nodes) // 8 + 1, "little")
        self._heap: list[tuple[int, int, int, bool]] = []  # *(price or bound), node, it is a price
        for node_id, at in self._index_of.items():
            if allowed[at >> 3] >> (at & 7) & 1:
                bound = self._bound(at, found.here[node_id])
                if bound is not None:
                    self._heap.append((*bound, at, False))
        heapify(self._heap)
        self._bounded = {at for _, _, at, _ in self._heap}  # not priced yet
        self._early: dict[int, Price | None] = {}  # priced, with the bound still in the heap

    def pop(self) -> Node | None:
        """The cheapest node; of equals the one that joined first. None: there is none left.

        O(log nodes), and a price for each node whose bound is less than the answer.
        """
        heap = self._heap
        while heap:
            _, _, at, is_price = heap[0]
            if is_price:
                heappop(heap)
                return self._index.nodes[at]
            self._settle(at)
            price = self._early.pop(at)
            if price is None:
                heappop(heap)
            else:
                heapreplace(heap, (*price, at, True))
        return None

    def leave(self, node: Node) -> list[Victim]:
        """The cheapest victims there who make room for one shard more; none when there is no way.

        The caller evicts them.
        """
        gangs = self._found.gangs
        victims = cheapest(node, self._need, self._found.here[node.id], self._gone) or []
        victims = [gangs.get(victim.job.id, victim) for victim in victims]
        for victim in victims:
            for place in victim.places:
                if place.node_id in self._index_of:
                    self._settle(self._index_of[place.node_id])
        self._gone.update([victim.job.id for victim in victims])
        return victims

    def push(self, node: Node) -> None:
        """Name the node again, at what one shard more costs there now."""
        price = self._price(node)
        if price is not None:
            heappush(self._heap, (*price, node.index, True))

    def _settle(self, at: int) -> None:
        """Price the node, unless that is done."""
        if at in self._bounded:
            self._bounded.remove(at)
            self._early[at] = self._price(self._index.nodes[at])

    def _price(self, node: Node) -> Price | None:
        found = cheapest(node, self._need, self._found.here[node.id], self._gone)
        if found is None or node_refusal(node, self._job, self._need) is not None:
            return None
        return price_of_all(found)

    def _bound(self, at: int, here: Here) -> Price | None:
        """What `cheapest` finds there costs no less; None: it finds nothing.

        Like it this takes the first of `here` until there is enough, of less: of GPUs only the sum.
        """
        need, gone = self._need, self._gone
        cpu_milli = need.cpu_milli - self._view.cpu_milli.values[at]
        memory_mib = need.memory_mib - self._view.memory_mib.values[at]
        gpu_milli = self._lacking_milli(at) if self._devices else 0
        if gpu_milli <= 0 and cpu_milli <= 0 and memory_mib <= 0:
            return None
        cost = 0
        for victim in here:
            if gone and victim.job.id in gone:
                continue
            cost += victim.cost
            for place in victim.places:
                gpu_milli -= place.share_milli * len(place.devices)
                cpu_milli -= place.cpu_milli
                memory_mib -= place.memory_mib
            if gpu_milli <= 0 and cpu_milli <= 0 and memory_mib <= 0:
                return victim.priority, cost
        return None

    def _lacking_milli(self, at: int) -> int:
        """What must at least become free of the node's GPUs for one shard more; above 0."""
        need, devices = self._need, self._devices
        if need.gpu_milli < WHOLE_GPU_MILLI:
            return 1  # some device must change
        free = self._view.gpus.values[at]
        if not free:
            return devices * WHOLE_GPU_MILLI
        whole, partial_milli = free >> PARTIAL_BITS, free & ((1 << PARTIAL_BITS) - 1)
        if need.gpu_types or need.gpu_memory_mib:
            suitable = [d for d in self._index.nodes[at].devices if device_suits(d.spec, need)]
            free_milli = [device.soon_milli for device in suitable]
            whole = sum(milli >= WHOLE_GPU_MILLI for milli in free_milli)
            partial_milli = sum(milli for milli in free_milli if milli < WHOLE_GPU_MILLI)
        return max(1, (devices - whole % devices) * WHOLE_GPU_MILLI - partial_milli)


def cheapest(node: Node, need: Need, here: Here, gone: set[JobId]) -> list[Victim] | None:
    """The cheapest of those on the node who make room for one shard more, by sums; None: not these.

    An estimate that the placement then proves. O(devices + victims here).
    """
    room, shares, whole = {}, {}, 0
    for index, device in enumerate(node.devices) if need.has_gpu else ():
        if device.spec.healthy and device_suits(device.spec, need):
            room[index] = device.soon_milli
            shares[index] = need.share_on(device.spec.memory_mib)
            whole += room[index] >= shares[index]
    target = (whole // need.devices + 1) * need.devices if need.has_gpu else 0
    cpu_milli, memory_mib = node.cpu_soon_milli, node.memory_soon_mib
    taken = []
    for victim in here:
        if whole >= target and cpu_milli >= need.cpu_milli and memory_mib >= need.memory_mib:
            break
        if victim.job.id in gone:
            continue
        taken.append(victim)
        for place in victim.places:
            cpu_milli += place.cpu_milli
            memory_mib += place.memory_mib
            for index in place.devices:
                if index in room:
                    was_enough = room[index] >= shares[index]
                    room[index] += place.share_milli
                    whole += room[index] >= shares[index] and not was_enough
    is_enough = whole >= target and cpu_milli >= need.cpu_milli and memory_mib >= need.memory_mib
    return taken if is_enough and taken else None
