"""Domains of the topology, and how many of their GPUs are free, counted as nodes change.

A domain is all nodes with one value of a level's label. Counters are kept by level and by kinds of
devices, from the first question about these on; afterwards a node that has changed costs as much as
there are levels asked about. They follow from the node rows alone. A gang asks only those domains
that can hold it by these; what else it needs, its room says (policies/room.py).
"""

from collections.abc import Iterable, Sequence
from operator import eq
from typing import NamedTuple

from aimass.core.bitslice import Sliced, mask_of
from aimass.core.model import Node, NodeState
from aimass.core.spec import WHOLE_GPU_MILLI

SIZES_MAX = 32  # sizes of shards whose room is kept counted on a level
LARGEST = 0  # in the place of a size

DeviceKinds = frozenset[tuple[str, int]]
"""(model, memory in MiB) of devices that will do."""


class Domain(NamedTuple):
    """The nodes of one value of a topology label: bit i of `bits` is node 8 * first_byte + i."""

    name: str
    first_byte: int
    last_byte: int
    bits: int
    nodes: tuple[int, ...]

    @property
    def mask(self) -> int:
        """Its nodes as a set."""
        return self.bits << 8 * self.first_byte


class Level:
    """The domains of one level, by their first nodes; their places in this order are their numbers.

    number_of: by node, -1 for one without the label.
    """

    __slots__ = ("_around", "by_name", "domains", "name", "number_of")

    def __init__(self, name: str, nodes: Sequence[Node]) -> None:
        """O(nodes)."""
        self.name = name
        members: dict[str, list[int]] = {}
        for node in nodes:
            value = node.inventory.labels.get(name)
            if value is not None:
                members.setdefault(value, []).append(node.index)
        self.domains = [_domain(value, indexes) for value, indexes in members.items()]
        self.by_name = {domain.name: domain for domain in self.domains}
        self.number_of = [-1] * len(nodes)
        for number, domain in enumerate(self.domains):
            for index in domain.nodes:
                self.number_of[index] = number
        self._around: dict[Level, list[int]] = {}  # all levels are made anew together

    def within(self, wider: Domain | None) -> int:
        """The domains with nodes in this one, as a set of numbers; None: all. O(nodes of it)."""
        if wider is None:
            return (1 << len(self.domains)) - 1
        return mask_of(list({self.number_of[index] for index in wider.nodes} - {-1}))

    def around(self, wide: "Level") -> list[int]:
        """By domain: the one of a wider level with all its nodes, -1 if none has. O(nodes) once."""
        if wide not in self._around:
            numbers = ({wide.number_of[index] for index in each.nodes} for each in self.domains)
            self._around[wide] = [found.pop() if len(found) == 1 else -1 for found in numbers]
        return self._around[wide]


def _domain(name: str, indexes: list[int]) -> Domain:
    first = indexes[0] // 8
    bits = mask_of([index - 8 * first for index in indexes])
    return Domain(name, first, indexes[-1] // 8 + 1, bits, tuple(indexes))


class NodeCount(NamedTuple):
    """Devices of some kinds on a node that takes new work: wholly free ones, and all that work."""

    free: int
    healthy: int


NOTHING = NodeCount(0, 0)


def count_of(node: Node, kinds: DeviceKinds, is_soon: bool) -> NodeCount:
    """The counts of a node now, or when those who are leaving have left. O(devices)."""
    if node.state is not NodeState.READY or node.cordon:
        return NOTHING
    free = healthy = 0
    for device in node.devices:
        spec = device.spec
        if spec.healthy and (spec.model, spec.memory_mib) in kinds:
            healthy += 1
            free_milli = device.soon_milli if is_soon else device.free_milli
            free += free_milli == WHOLE_GPU_MILLI
    return NodeCount(free, healthy)


class DomainCounts:
    """Of each domain of a level, by number: what is free of the devices of some kinds."""

    __slots__ = ("_by_free", "_columns", "_healthy", "_moved", "_values", "_whole", "level")

    def __init__(self, level: Level, by_node: Sequence[NodeCount]) -> None:
        """O(nodes)."""
        self.level = level
        self._healthy: list[int] = []
        self._by_free: list[list[int]] = []  # nodes by domain and free devices
        for domain in level.domains:
            here = [by_node[index] for index in domain.nodes]
            self._healthy.append(sum([count.healthy for count in here]))
            row = [0] * (1 + max([count.free for count in here]))
            for count in here:
                row[count.free] += 1
            self._by_free.append(row)
        # By size of shards, and LARGEST: numbers that are true at once, and columns that are when
        # the domains that have moved are entered.
        self._values: dict[int, list[int]] = {}
        self._columns: dict[int, Sliced] = {}
        self._moved: set[int] = set()
        self._whole = 0

    @property
    def sizes(self) -> list[int]:
        """Of shards whose room was asked for."""
        return [size for size in self._values if size != LARGEST]

    @property
    def free(self) -> Sliced:
        """Devices that are wholly free."""
        return self.room(1)

    @property
    def largest(self) -> Sliced:
        """The most devices that are free on one node."""
        return self._column(LARGEST)

    @property
    def whole(self) -> int:
        """The domains of which nobody uses a device, as a set: large gangs may count on them."""
        self._column(1)
        return self._whole

    def room(self, devices: int) -> Sliced:
        """Shards of so many devices that fit, as far as devices go. O(domains) the first time."""
        return self._column(devices)

    def figures(self, sizes: Iterable[int]) -> list[tuple[int, ...]]:
        """Everything about each domain, the room for these sizes of shards last."""
        columns = [self.room(size).values for size in sizes]
        whole = [self.whole >> number & 1 for number in range(len(self._healthy))]
        return list(zip(self._healthy, whole, self.largest.values, *columns, strict=True))

    def move(self, number: int, was: NodeCount, now: NodeCount) -> None:
        """A node of the domain counts differently. O(sizes asked about)."""
        self._moved.add(number)
        self._healthy[number] += now.healthy - was.healthy
        row = self._by_free[number]
        row += [0] * (now.free + 1 - len(row))
        row[was.free] -= 1
        row[now.free] += 1
        for size, values in self._values.items():
            if size == LARGEST:
                values[number] = _largest(row)
            else:
                values[number] += now.free // size - was.free // size

    def _column(self, size: int) -> Sliced:
        if size not in self._values:
            self._add(1)
            self._add(size)
        if self._moved:
            for key, column in self._columns.items():
                values = self._values[key]
                for number in self._moved:
                    column.put(number, values[number])
            free = self._values[1]
            for number in self._moved:
                self._whole &= ~(1 << number)
                self._whole |= (free[number] == self._healthy[number]) << number
            self._moved.clear()
        return self._columns[size]

    def _add(self, size: int) -> None:
        """Count for this size from now on."""
        if size in self._values:
            return
        if len(self._values) >= SIZES_MAX:
            self._values = {1: self._values[1]}
            self._columns = {1: self._columns[1]}
        if size == LARGEST:
            values = [_largest(row) for row in self._by_free]
        else:
            values = [
                sum([nodes * (free // size) for free, nodes in enumerate(row)])
                for row in self._by_free
            ]
        self._values[size] = values
        self._columns[size] = column = Sliced()
        column.put_all(list(values))
        if size == 1:
            is_whole = map(eq, values, self._healthy)
            self._whole = mask_of([number for number, whole in enumerate(is_whole) if whole])


def _largest(row: list[int]) -> int:
    return max([free for free, nodes in enumerate(row) if nodes])


class KindCounts:
    """The counts of all nodes for devices of these kinds, and of the levels asked about."""

    __slots__ = ("_by_node", "_is_soon", "kinds", "levels")

    def __init__(self, kinds: DeviceKinds, nodes: Sequence[Node], is_soon: bool) -> None:
        """O(nodes * devices)."""
        self.kinds = kinds
        self.levels: dict[str, DomainCounts] = {}
        self._is_soon = is_soon
        self._by_node = [count_of(node, kinds, is_soon) for node in nodes]

    def of(self, level: Level) -> DomainCounts:
        """The counters of a level. O(nodes) the first time."""
        found = self.levels.get(level.name)
        if found is None:
            found = self.levels[level.name] = DomainCounts(level, self._by_node)
        return found

    def refresh(self, nodes: Sequence[Node], changed: Iterable[int]) -> None:
        """Look again at the nodes that changed. O(those * (devices + levels))."""
        for index in changed:
            was, now = self._by_node[index], count_of(nodes[index], self.kinds, self._is_soon)
            if now != was:
                self._by_node[index] = now
                for counts in self.levels.values():
                    number = counts.level.number_of[index]
                    if number >= 0:
                        counts.move(number, was, now)

    def drifted(self, nodes: Sequence[Node]) -> str:
        """The level on which the counters are not those of the rows; empty: they are."""
        fresh = KindCounts(self.kinds, nodes, self._is_soon)
        for name, counts in self.levels.items():
            sizes = counts.sizes
            if counts.figures(sizes) != fresh.of(Level(name, nodes)).figures(sizes):
                return name
        return ""
