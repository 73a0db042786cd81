"""Kernels about one node: what is free on it, and whether a pod fits.

Kernels are written for numbers and arrays only, so that one text serves plain and compiled.
"""

from aimass.policies.pack_jit import jit
from aimass.policies.pack_state import DEVICES, GPU_MILLI, Array, Ask, Books, Nodes

NO_DEVICE = -1
PRIME = (1 << 31) - 1  # so that no product below overflows 64 bits


@jit
def take(
    nodes: Nodes, books: Books, node: int, ask: Ask, devices: Array, tag: int, sign: int
) -> None:
    """Take what a pod asks for from these devices of a node, or with sign -1 give it back."""
    books.cpu_used[node] += sign * ask.cpu_milli
    books.memory_used[node] += sign * ask.memory_mib
    for device in devices:
        books.gpu_used[node, device] += sign * ask.gpu_milli
    if ask.gpus > 0:
        nodes.tags[node, tag] += sign
    settle(nodes, books, node)


@jit
def set_free(nodes: Nodes, books: Books, touched: Array, free: Array) -> None:
    """Set what is free on these nodes: milli-CPU, MiB, milli-GPU of each device, [touched, 10]."""
    for at in range(touched.shape[0]):
        node = touched[at]
        books.cpu_used[node] = books.cpu_size[node] - free[at, 0]
        books.memory_used[node] = books.memory_size[node] - free[at, 1]
        for device in range(DEVICES):
            size = books.gpu_size[node, device]
            books.gpu_used[node, device] = size - min(size, free[at, 2 + device])
        settle(nodes, books, node)


@jit
def settle(nodes: Nodes, books: Books, node: int) -> None:
    """Work out what is free on a node."""
    nodes.cpu_free[node] = max(0, books.cpu_size[node] - books.cpu_used[node])
    nodes.memory_free[node] = max(0, books.memory_size[node] - books.memory_used[node])
    well = 0
    for device in range(DEVICES):
        size = books.gpu_size[node, device]
        nodes.gpu_free[node, device] = max(0, size - books.gpu_used[node, device])
        if size > 0:
            well += 1
    nodes.gpus[node] = well
    state = nodes.cpu_free[node] % PRIME * 31 + nodes.memory_free[node] % PRIME
    state = (state * 31 + nodes.model[node]) * 31 + well
    for device in range(DEVICES):
        state = (state * 1009 + nodes.gpu_free[node, device]) % PRIME
    nodes.state[node] = state


@jit
def fits(nodes: Nodes, node: int, ask: Ask) -> bool:
    """Say whether a node has room for a pod now."""
    if (
        nodes.cpu_free[node] < ask.cpu_milli
        or nodes.memory_free[node] < ask.memory_mib
        or nodes.is_there[node] == 0
        or (ask.models >> nodes.model[node]) & 1 == 0
    ):
        return False
    found = 0
    if ask.gpus > 0:
        for device in range(DEVICES):
            if nodes.gpu_free[node, device] >= ask.gpu_milli:
                found += 1
    return found >= ask.gpus


@jit
def tightest(nodes: Nodes, node: int, gpu_milli: int) -> int:
    """Give the device with the least room that still has enough, the first of equals."""
    chosen, least = NO_DEVICE, GPU_MILLI + 1
    for device in range(DEVICES):
        free = nodes.gpu_free[node, device]
        if gpu_milli <= free < least:
            chosen, least = device, free
    return chosen


@jit
def free_milli(nodes: Nodes, node: int) -> int:
    """Give the free milli-GPU of all devices of a node."""
    total = 0
    for device in range(DEVICES):
        total += nodes.gpu_free[node, device]
    return total


@jit
def whole_devices(nodes: Nodes, node: int) -> int:
    """Count the devices of a node that are all free."""
    whole = 0
    for device in range(DEVICES):
        if nodes.gpu_free[node, device] == GPU_MILLI:
            whole += 1
    return whole
