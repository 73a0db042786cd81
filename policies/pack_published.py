"""Kernels of the published scores, 0..100, in exact integers.

As Alibaba and HKUST compared them: Weng et al., "Beware of Fragmentation", USENIX ATC 2023.
"""

from aimass.policies.pack_jit import jit
from aimass.policies.pack_mix import Mix
from aimass.policies.pack_room import NO_DEVICE, free_milli, tightest
from aimass.policies.pack_state import DEVICES, GPU_MILLI, Ask, Nodes
from aimass.policies.pack_worth import cpu_change, share_gradient, whole_gradient

# What the published scores call full, whatever the node.
CPU_MILLI = 128_000
NODE_MILLI = 8_000


@jit
def of_hundred(mix: Mix, gradient: int) -> int:
    """Give the integer part of 100 times the logistic function of a gradient in GPUs."""
    low, high = 0, 99
    while low < high:
        middle = (low + high) >> 1
        if mix.cuts[middle] <= gradient:
            low = middle + 1
        else:
            high = middle
    return low


@jit
def fgd(mix: Mix, nodes: Nodes, node: int, ask: Ask) -> tuple[int, int]:
    """Give FGD's score, by how much less fragmented the node becomes, and the device of a share."""
    if ask.gpus != 1:
        return of_hundred(mix, whole_gradient(mix, nodes, node, ask)), NO_DEVICE
    after = cpu_change(mix, nodes, node, ask.cpu_milli)
    best, chosen = -1, NO_DEVICE
    for device in range(DEVICES):
        if nodes.gpu_free[node, device] >= ask.gpu_milli:
            gradient = share_gradient(mix, nodes, node, ask, device, after)
            score = of_hundred(mix, gradient)
            if score > best:
                best, chosen = score, device
    return best, chosen


@jit
def _ratio_up(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


@jit
def dot_product(nodes: Nodes, node: int, ask: Ask) -> int:
    """Give DotProd's score: the less what is free resembles what is asked for, the better."""
    scale = (CPU_MILLI // NODE_MILLI) ** 2
    alignment = nodes.cpu_free[node] * ask.cpu_milli
    alignment += scale * free_milli(nodes, node) * ask.gpus * ask.gpu_milli
    return 100 - _ratio_up(50 * alignment, CPU_MILLI * CPU_MILLI)


@jit
def best_fit(nodes: Nodes, node: int, ask: Ask) -> int:
    """Give BestFit's score: the less is left, the better."""
    cpu_left = nodes.cpu_free[node] - ask.cpu_milli
    gpu_left = free_milli(nodes, node) - ask.gpus * ask.gpu_milli
    scale = CPU_MILLI // NODE_MILLI
    return 100 - _ratio_up(50 * (cpu_left + scale * gpu_left), CPU_MILLI)


@jit
def clustering(nodes: Nodes, node: int, ask: Ask) -> int:
    """Give GpuClustering's score: pods that ask for as many devices keep together."""
    if ask.gpus == 0:
        return 0
    tag = 0 if ask.gpus == 1 and ask.gpu_milli < GPU_MILLI else ask.gpus
    others = 0
    for other in range(DEVICES + 1):
        if other != tag and nodes.tags[node, other] > 0:
            others += 1
    filled: int = 25 * (NODE_MILLI - free_milli(nodes, node)) // NODE_MILLI
    if nodes.tags[node, tag] > 0:
        return filled + (75 if others == 0 else 50)
    return filled + (25 if others == 0 else 0)


@jit
def packing(nodes: Nodes, node: int, ask: Ask) -> int:
    """Give GpuPacking's score: shared devices first, then used nodes, idle nodes last."""
    if ask.gpus == 0:
        return 0
    gpus = nodes.gpus[node]
    if free_milli(nodes, node) == GPU_MILLI * gpus:
        spread: int = max(33 - gpus, gpus)
        return spread
    free = GPU_MILLI
    if ask.gpus == 1:
        free = nodes.gpu_free[node, tightest(nodes, node, ask.gpu_milli)]
    if free == GPU_MILLI:
        return max(50 - ask.gpus, 33)
    return max(100 - free // 100, 50)
