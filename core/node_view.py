"""View: what is free on every node, now or soon: numbers in bit slices, asked all at once."""

from collections.abc import Iterable
from typing import NamedTuple

from aimass.core.bitslice import Sliced
from aimass.core.domains import DeviceKinds, KindCounts
from aimass.core.model import Node
from aimass.core.spec import WHOLE_GPU_MILLI, Need

PARTIAL_BITS = 20  # room for the free shares of all devices of a node in the number of its GPUs
KINDS_MAX = 16  # sets of kinds of devices whose counts by domain are kept

IDLE, SHARED, EXCLUSIVE = range(3)  # what others do on a node


class NodeUse(NamedTuple):
    """What is free on a node, as the numbers that a View compares.

    gpus: wholly free devices << PARTIAL_BITS, plus what is free of the others (milli).
    partial_milli: the largest free share of a device that is not wholly free.
    """

    gpus: int
    partial_milli: int
    cpu_milli: int
    memory_mib: int
    others: int


def use_of(node: Node, is_soon: bool) -> NodeUse:
    """The numbers of a node now, or when those who are leaving have left. O(devices + leaving)."""
    whole = partial = largest = 0
    for device in node.devices:
        if not device.spec.healthy:
            continue
        free = WHOLE_GPU_MILLI - device.used_milli
        owed = device.claimed_milli - device.leaving_milli
        if owed:
            owed -= 0 if is_soon else device.credit_milli
            free -= owed if is_soon or owed > 0 else 0
        if free >= WHOLE_GPU_MILLI:
            whole += 1
        elif free > 0:
            partial += free
            largest = max(largest, free)
    others = IDLE
    holds = node.holds
    if is_soon and node.leaving:
        holds = {key: placement for key, placement in holds.items() if key not in node.leaving}
    for placement in holds.values():  # where one is exclusive, all are
        others = EXCLUSIVE if placement.exclusive else SHARED
        break
    for placement in node.claims.values():  # promises for different times may share a node
        others = max(others, EXCLUSIVE if placement.exclusive else SHARED)
    cpu_milli = node.cpu_soon_milli if is_soon else node.cpu_free_milli
    memory_mib = node.memory_soon_mib if is_soon else node.memory_free_mib
    return NodeUse(whole << PARTIAL_BITS | partial, largest, cpu_milli, memory_mib, others)


def _idle_on(node: Node) -> int:
    return sum([not device.used_milli for device in node.devices])


class View:
    """What is free on all nodes, now or soon; one Sliced for each field of NodeUse.

    counts: what is free in domains, by kinds of devices. changed: nodes that it has to look at.
    whole: wholly free devices on all nodes together, whatever else forbids them. idle: those that
    nobody holds, promised or not.
    """

    __slots__ = (
        "changed",
        "columns",
        "counts",
        "cpu_milli",
        "dirty",
        "gpus",
        "idle",
        "idle_on",
        "is_soon",
        "memory_mib",
        "others",
        "partial_milli",
        "whole",
    )

    def __init__(self, is_soon: bool) -> None:
        self.is_soon = is_soon
        self.dirty: set[int] = set()
        self.counts: dict[DeviceKinds, KindCounts] = {}
        self.changed: set[int] = set()
        self.whole = self.idle = 0
        self.idle_on: list[int] = []
        self.gpus = Sliced()
        self.partial_milli = Sliced()
        self.cpu_milli = Sliced()
        self.memory_mib = Sliced()
        self.others = Sliced()
        # In the order of NodeUse.
        self.columns = (
            self.gpus,
            self.partial_milli,
            self.cpu_milli,
            self.memory_mib,
            self.others,
        )

    def refresh(self, nodes: list[Node]) -> None:
        """Look again at the nodes that changed. O(those)."""
        columns = self.columns
        if len(nodes) != len(self.gpus.values) or len(self.dirty) > len(nodes) // 8 + 8:
            rows = [use_of(node, self.is_soon) for node in nodes]
            for column, numbers in zip(columns, zip(*rows, strict=True), strict=True):
                column.put_all(list(numbers))
            self.whole = sum(number >> PARTIAL_BITS for number in self.gpus.values)
            self.idle_on = [_idle_on(node) for node in nodes]
            self.idle = sum(self.idle_on)
        else:
            for index in self.dirty:
                use = use_of(nodes[index], self.is_soon)
                self.whole += (use.gpus >> PARTIAL_BITS) - (self.gpus.values[index] >> PARTIAL_BITS)
                idle = _idle_on(nodes[index])
                self.idle += idle - self.idle_on[index]
                self.idle_on[index] = idle
                for column, number in zip(columns, use, strict=True):
                    if column.values[index] != number:
                        column.put(index, number)
        if self.counts:
            self.changed |= self.dirty
        self.dirty.clear()

    def counts_of(self, kinds: DeviceKinds, nodes: list[Node]) -> KindCounts:
        """What is free of these kinds. O(nodes) the first time, then O(those that changed)."""
        self.kept(nodes)
        found = self.counts.get(kinds)
        if found is None:
            if len(self.counts) >= KINDS_MAX:
                self.counts.clear()
            found = self.counts[kinds] = KindCounts(kinds, nodes, self.is_soon)
        return found

    def kept(self, nodes: list[Node]) -> Iterable[KindCounts]:
        """All that is counted, as it is now. O(nodes that changed)."""
        if self.changed:
            for counts in self.counts.values():
                counts.refresh(nodes, self.changed)
            self.changed.clear()
        return self.counts.values()

    def forget_counts(self) -> None:
        """Levels or kinds of devices are others now."""
        self.counts.clear()
        self.changed.clear()

    def use(self, index: int) -> NodeUse:
        """The numbers of one node, as they were entered."""
        return NodeUse(*(column.values[index] for column in self.columns))

    def room(self, need: Need, share_milli: int, fits: int, among: int) -> int:
        """Those of a set that have free what `fits` shards need; some may have no suitable GPUs.

        share_milli: the least that a shard may hold of a device, see NodeIndex.least_share.
        """
        if need.gpu_milli >= WHOLE_GPU_MILLI:
            among = self.gpus.at_least(fits * need.devices << PARTIAL_BITS, among)
        elif need.has_gpu:
            among = self._room_for_shares(share_milli, fits, among)
        among = self.cpu_milli.at_least(fits * need.cpu_milli, among)
        return self.memory_mib.at_least(fits * need.memory_mib, among)

    def _room_for_shares(self, share_milli: int, fits: int, among: int) -> int:
        """Some device has the share free, and all free shares together are enough."""
        if share_milli > WHOLE_GPU_MILLI:
            return 0  # more memory than any device here has
        has_one = self.partial_milli.at_least(share_milli, among)
        has_one |= self.gpus.at_least(1 << PARTIAL_BITS, among)
        if fits == 1:
            return has_one
        each = WHOLE_GPU_MILLI // share_milli
        whole_enough = -(-fits // each)
        found = self.gpus.at_least(whole_enough << PARTIAL_BITS, has_one)
        whole_most = (1 << len(self.gpus.slices)) >> PARTIAL_BITS
        for whole in range(min(whole_enough, whole_most + 1)):
            least = (whole << PARTIAL_BITS) + (fits - whole * each) * share_milli
            more = self.gpus.at_least((whole + 1) << PARTIAL_BITS, has_one)
            found |= self.gpus.at_least(least, has_one) & ~more
        return found
