"""Totals: what all nodes together have. Queues share it out."""

from aimass.core.model import Node, NodeState
from aimass.core.spec import WHOLE_GPU_MILLI

_Amounts = dict[str, int]


class Totals:
    """The sum over nodes that are not lost: "gpu" (healthy), "gpu:MODEL", "cpu", "memory".

    put() only notes which nodes to look at again; amounts() looks. O(nodes that changed). puts:
    how often a node changed, for who keeps what follows from them.
    """

    def __init__(self) -> None:
        self._amounts: _Amounts = {}
        self._failed: _Amounts = {}
        self._of: dict[int, tuple[_Amounts, _Amounts]] = {}  # by index of the node
        self._new: dict[int, Node] = {}
        self.puts = 0

    def put(self, node: Node) -> None:
        """The node joined, or its hardware, health or state changed."""
        self._new[node.index] = node
        self.puts += 1

    def amounts(self) -> _Amounts:
        """The present capacity by resource. Not to be changed."""
        totals = (self._amounts, self._failed)
        for index, node in self._new.items():
            was, now = self._of.get(index, ({}, {})), _amounts_of(node)
            self._of[index] = now
            for total, less, more in zip(totals, was, now, strict=True):
                for key, amount in less.items():
                    total[key] -= amount
                for key, amount in more.items():
                    total[key] = total.get(key, 0) + amount
        self._new.clear()
        return self._amounts

    def with_failed(self, key: str) -> int:
        """The same of one resource, with failed devices: what jobs hold of them counts as used."""
        return self.amounts().get(key, 0) + self._failed.get(key, 0)


def _amounts_of(node: Node) -> tuple[_Amounts, _Amounts]:
    """What the node has, and what of its devices has failed."""
    if node.state is NodeState.LOST:
        return {}, {}
    healthy = {"cpu": node.inventory.cpu_milli, "memory": node.inventory.memory_mib}
    failed: _Amounts = {}
    for device in node.devices:
        amounts = healthy if device.spec.healthy else failed
        for key in ("gpu", "gpu:" + device.spec.model):
            amounts[key] = amounts.get(key, 0) + WHOLE_GPU_MILLI
    return healthy, failed
