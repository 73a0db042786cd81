"""The live nodes as a Packer sees them: what the daemon's placer asks where `mass` would put a pod.

Derived from the node rows and the demand, and brought up to date from the nodes that changed: two
clusters of equal rows get equal answers, whatever happened to them before.
"""

from collections.abc import Mapping
from itertools import islice

import numpy as np

from aimass.core.demand import Demand
from aimass.core.model import Inventory, Node, NodeState
from aimass.core.node_index import NodeIndex
from aimass.core.shapes import Shape
from aimass.policies.pack_engine import CPU_MAX_MILLI, NodeSize, Packer
from aimass.policies.pack_policies import PackPolicy
from aimass.policies.pack_state import DEVICES, GPU_MILLI


def mirror_of(index: NodeIndex, is_soon: bool) -> "Mirror":
    """The one mirror of these nodes, made when first asked for: O(nodes)."""
    name = "mass, soon" if is_soon else "mass, now"
    found = index.mirrors.get(name)
    if found is None:
        found = index.mirrors[name] = Mirror(index, is_soon)
    assert isinstance(found, Mirror)
    return found


class Mirror:
    """A Packer of `mass` that follows the nodes, as they are now or when who leaves has left.

    Of a node of several GPU models only the most usual one is seen, of each node the first eight
    devices, and the first 62 models: the rest is not there for scores, only for whoever places
    without them.
    """

    def __init__(self, index: NodeIndex, is_soon: bool) -> None:
        self._index, self._is_soon = index, is_soon
        self._dirty = index.watch()
        self._packer = Packer(PackPolicy("mass"), max(1, len(index.nodes)))
        self._seen: dict[int, tuple[Inventory, bool]] = {}
        self._classes: Mapping[Shape, int] | None = None

    def packer(self, demand: Demand) -> Packer:
        """The Packer, brought up to date. O(nodes that changed)."""
        if demand.classes is not self._classes:
            self._classes = demand.classes
            self._packer.know(self._classes, demand.lasting)
        if self._dirty:
            self._follow()
        return self._packer

    def _follow(self) -> None:
        changed, free = [], []
        for at in sorted(self._dirty):
            node = self._index.nodes[at]
            is_ready = node.state is NodeState.READY and not node.cordon
            seen = self._seen.get(at)
            if seen is None or seen[0] is not node.inventory or seen[1] is not is_ready:
                size = _size_of(node)
                is_scored = is_ready and self._packer.models.has_room(size.model)
                if is_scored:
                    self._packer.set_node(at, size)
                else:
                    self._packer.remove_node(at)
                self._seen[at] = (node.inventory, is_ready)
            if is_ready:
                changed.append(at)
                free.append(_free(node, self._is_soon))
        self._dirty.clear()
        if changed:
            self._packer.set_free(changed, free)


def warm_up() -> None:
    """Run every kernel that a decision needs once, so that none is compiled in the first one.

    Some 20 s the first time on a machine, tenths of a second with what was kept (pack_cache.py).
    """
    packer = Packer(PackPolicy("mass"))
    packer.set_node(0, NodeSize(1000, 1000, (GPU_MILLI,) * 2, ""))
    packer.set_free([0], [[1000, 1000, *(GPU_MILLI,) * 2, *(0,) * (DEVICES - 2)]])
    for shape in (Shape(1, 1, 1, 500, ()), Shape(1, 1, 2, GPU_MILLI, ()), Shape(1, 1, 0, 0, ())):
        packer.know({shape: 1}, {shape: 1})
        packer.best(shape)
        packer.set_free([0], [[999, 999, *(0,) * DEVICES]])
        packer.best(shape, bools(1, 1))
        packer.set_free([0], [[1000, 1000, *(GPU_MILLI,) * 2, *(0,) * (DEVICES - 2)]])
        packer.terms(shape, 0)


def bools(nodes: int, count: int) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """A set of nodes (see core/bitslice.py) as an array of so many."""
    row = np.frombuffer(nodes.to_bytes(count // 8 + 1, "little"), np.uint8)
    return np.unpackbits(row, count=count, bitorder="little").view(np.bool_)


def _size_of(node: Node) -> NodeSize:
    """What a node has, as far as scores see it."""
    inventory = node.inventory
    names = [device.spec.model for device in node.devices]
    usual = max(sorted(set(names)), key=names.count, default="")
    return NodeSize(
        min(inventory.cpu_milli, CPU_MAX_MILLI),
        inventory.memory_mib,
        tuple(
            GPU_MILLI * (device.spec.healthy and device.spec.model == usual)
            for device in islice(node.devices, DEVICES)
        ),
        usual,
    )


def _free(node: Node, is_soon: bool) -> list[int]:
    """A row of Packer.set_free."""
    devices = node.devices[:DEVICES]
    if is_soon:
        row = [node.cpu_soon_milli, node.memory_soon_mib, *(d.soon_milli for d in devices)]
    else:
        row = [node.cpu_free_milli, node.memory_free_mib, *(d.free_milli for d in devices)]
    row[0] = min(row[0], CPU_MAX_MILLI)
    return row + [0] * (2 + DEVICES - len(row))
