"""Totals: what all nodes together have. Queues share it out."""

from aimass.core.model import Node, NodeState
from aimass.core.spec import WHOLE_GPU_MILLI


class Totals:
    """The sum over nodes that are not lost: "gpu" (healthy), "gpu:MODEL", "cpu", "memory".

    put() only notes which nodes to look at again; amounts() looks. O(nodes that changed).
    """

    def __init__(self) -> None:
        self._amounts: dict[str, int] = {}
        self._of: dict[int, dict[str, int]] = {}  # by index of the node
        self._new: dict[int, Node] = {}

    def put(self, node: Node) -> None:
        """The node joined, or its hardware, health or state changed."""
        self._new[node.index] = node

    def amounts(self) -> dict[str, int]:
        """The present capacity by resource. Not to be changed."""
        total = self._amounts
        for index, node in self._new.items():
            for key, amount in self._of.get(index, {}).items():
                total[key] -= amount
            now = self._of[index] = _amounts_of(node)
            for key, amount in now.items():
                total[key] = total.get(key, 0) + amount
        self._new.clear()
        return total


def _amounts_of(node: Node) -> dict[str, int]:
    if node.state is NodeState.LOST:
        return {}
    amounts = {"cpu": node.inventory.cpu_milli, "memory": node.inventory.memory_mib}
    for device in node.devices:
        if device.spec.healthy:
            for key in ("gpu", "gpu:" + device.spec.model):
                amounts[key] = amounts.get(key, 0) + WHOLE_GPU_MILLI
    return amounts
