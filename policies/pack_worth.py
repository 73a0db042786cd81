"""Kernels of the fragmentation of a node, and of what a pod would change of it: exact integers.

The formula and its tables are in `pack_mix`.
"""

from aimass.policies.pack_jit import jit
from aimass.policies.pack_mix import Mix
from aimass.policies.pack_room import free_milli, whole_devices
from aimass.policies.pack_state import DEVICES, GPU_MILLI, Ask, Nodes


@jit
def step(mix: Mix, cpu_milli: int) -> int:
    """Give the row of the tables for so much free CPU: how many steps it reaches."""
    low, high = 0, mix.cpu_steps.shape[0]
    while low < high:
        middle = (low + high) >> 1
        if mix.cpu_steps[middle] <= cpu_milli:
            low = middle + 1
        else:
            high = middle
    return low


@jit
def worth(mix: Mix, nodes: Nodes, node: int, row: int) -> int:
    """Give the useful milli-GPU of a node, times the mix's weight, with the CPU of a step."""
    model = nodes.model[node]
    total: int = 0
    whole = 0
    for device in range(DEVICES):
        free = nodes.gpu_free[node, device]
        if free > 0:
            total += free * mix.one[row, model, mix.rank_of[free]]
            if free == GPU_MILLI:
                whole += 1
    total += GPU_MILLI * whole * mix.many[row, model, whole]
    return total


@jit
def fragmentation(mix: Mix, nodes: Nodes, node: int) -> int:
    """Give F of the module `pack_mix`: fragmented milli-GPU, times the mix's weight."""
    useful = worth(mix, nodes, node, step(mix, nodes.cpu_free[node]))
    return mix.weight * free_milli(nodes, node) - useful


@jit
def share_gradient(mix: Mix, nodes: Nodes, node: int, ask: Ask, device: int, after: int) -> int:
    """Give F before less F after, times weight, of a share or one device on this device.

    after: what `worth` gives once only the CPU is taken, less what it gave before.
    """
    model, row = nodes.model[node], step(mix, nodes.cpu_free[node] - ask.cpu_milli)
    free = nodes.gpu_free[node, device]
    left = free - ask.gpu_milli
    change: int = left * mix.one[row, model, mix.rank_of[left]]
    change -= free * mix.one[row, model, mix.rank_of[free]]
    if free == GPU_MILLI:
        whole = whole_devices(nodes, node)
        change += GPU_MILLI * (whole - 1) * mix.many[row, model, whole - 1]
        change -= GPU_MILLI * whole * mix.many[row, model, whole]
    return mix.weight * ask.gpu_milli + after + change


@jit
def cpu_change(mix: Mix, nodes: Nodes, node: int, cpu_milli: int) -> int:
    """Give what the loss of so much CPU changes in a node's worth: 0 or less."""
    before, after = step(mix, nodes.cpu_free[node]), step(mix, nodes.cpu_free[node] - cpu_milli)
    if before == after:
        return 0
    return worth(mix, nodes, node, after) - worth(mix, nodes, node, before)


@jit
def whole_gradient(mix: Mix, nodes: Nodes, node: int, ask: Ask) -> int:
    """Give F before less F after, times weight, of a pod of whole devices, or of none."""
    change = cpu_change(mix, nodes, node, ask.cpu_milli)
    if ask.gpus > 0:
        model, row = nodes.model[node], step(mix, nodes.cpu_free[node] - ask.cpu_milli)
        whole = whole_devices(nodes, node)
        left = whole - ask.gpus
        change -= GPU_MILLI * ask.gpus * mix.one[row, model, mix.rank_of[GPU_MILLI]]
        change += GPU_MILLI * left * mix.many[row, model, left]
        change -= GPU_MILLI * whole * mix.many[row, model, whole]
    return mix.weight * ask.gpus * ask.gpu_milli + change
