"""Kernels of the score of `mass`: five terms in micro-GPU, which add up."""

from aimass.policies.pack_jit import jit
from aimass.policies.pack_live import MICRO, Live
from aimass.policies.pack_mix import Mix
from aimass.policies.pack_published import NODE_MILLI
from aimass.policies.pack_room import NO_DEVICE, free_milli, tightest, whole_devices
from aimass.policies.pack_state import GPU_MILLI, Ask, Nodes
from aimass.policies.pack_worth import cpu_change, share_gradient, whole_gradient


@jit
def stranded(live: Live, cpu_milli: int, gpu_milli: int) -> int:
    """Give the free micro-GPU that so much CPU cannot feed, over the usual appetites for CPU."""
    total: int = 0
    for appetite in live.appetites:
        total += max(0, MICRO * gpu_milli - MICRO * GPU_MILLI * cpu_milli // appetite)
    mean: int = total // max(1, live.appetites.shape[0])
    return mean


@jit
def breaks(live: Live, nodes: Nodes, node: int, ask: Ask, device: int) -> int:
    """Give the price of the places for gangs that a pod takes, of the dearest kind it takes."""
    if live.needs.shape[0] == 0:
        return 0
    whole = whole_devices(nodes, node)
    left = whole - ask.gpus
    if ask.gpus == 1 and nodes.gpu_free[node, device] < GPU_MILLI:
        left = whole
    cpu_free, most = nodes.cpu_free[node], 0
    for need in live.needs:
        gpus, cpu_milli, models, price = need[0], need[1], need[2], need[3]
        if whole >= gpus and (models >> nodes.model[node]) & 1 == 1:
            before = min(whole // gpus, cpu_free // cpu_milli)
            after = min(left // gpus, (cpu_free - ask.cpu_milli) // cpu_milli)
            if ask.gpus == gpus:
                after = min(before, after + 1)  # it is such a gang itself
            most = max(most, price * (before - after))
    return most


@jit
def mass_terms(
    mix: Mix, live: Live, nodes: Nodes, node: int, ask: Ask
) -> tuple[int, int, int, int, int, int]:
    """Give the terms of the policy `mass` in micro-GPU, whose sum is the score, and the device.

    In turn: fragmentation taken away; room left over, as a part of the largest node's; GPUs left
    without CPU; the price of the kind of node; the price of places for gangs.
    """
    weight = max(1, mix.weight)
    fragments, device, wanted = 0, NO_DEVICE, ask.gpus * ask.gpu_milli
    if ask.gpus == 1:
        after = cpu_change(mix, nodes, node, ask.cpu_milli)
        device = tightest(nodes, node, ask.gpu_milli)
        fragments = MICRO * share_gradient(mix, nodes, node, ask, device, after) // weight
    else:
        fragments = MICRO * whole_gradient(mix, nodes, node, ask) // weight
    free, cpu_free = free_milli(nodes, node), nodes.cpu_free[node]
    cpu_left, left = cpu_free - ask.cpu_milli, free - wanted
    room = live.fit * (NODE_MILLI * cpu_left + live.cpu_scale * left)
    room //= 2 * NODE_MILLI * live.cpu_scale
    unfed = stranded(live, cpu_left, left) - stranded(live, cpu_free, free)
    return (
        live.gradient * fragments,
        -room,
        -live.feeding * unfed,
        -live.kind_price[nodes.model[node], nodes.gpus[node]] * wanted,
        -breaks(live, nodes, node, ask, device),
        device,
    )
