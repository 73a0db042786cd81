"""Which devices of a node its shards get: shares fill up, whole devices by their links.

See device_sets.py for what is best. A small request must not break a large island that a large
request will want, nor an NVLink pair where there is a device without any.
"""

from aimass.core.feasible import device_has_room, device_suits
from aimass.core.links import NVLINK
from aimass.core.model import Node
from aimass.core.spec import WHOLE_GPU_MILLI, Need
from aimass.policies.device_sets import DeviceSets, Sets, device_sets


def choose_devices(node: Node, need: Need, shards: int, is_soon: bool = False) -> Sets:
    """Device indexes for each of `shards` shards, in rank order; the caller knows that they fit.

    O(d) for links and free devices that were asked about before, see DeviceSets.choose.
    """
    if not need.has_gpu:
        return ((),) * shards
    if need.gpu_milli < WHOLE_GPU_MILLI:
        return _choose_shares(node, need, shards, is_soon)
    free, wanted = free_devices(node, need, is_soon), need.devices * shards
    room = free.bit_count()
    assert room >= wanted, f"{node.id}: {room} devices have room, {wanted} are wanted"
    return sets_of(node).choose(free, shards, need.devices)


def slowest_link(node: Node, need: Need, shards: int, is_soon: bool) -> tuple[int, bool]:
    """(weight of the slowest link among the devices that they would get, it could not be better).

    (-1, False) when they do not fit. Without NVLink another node could be better. O(d) as
    choose_devices.
    """
    free = free_devices(node, need, is_soon)
    if free.bit_count() < need.devices * shards:
        return -1, False
    sets = sets_of(node)
    weight = sets.slowest(sets.choose(free, shards, need.devices), True)
    return weight, weight == sets.widest >= NVLINK


def sets_of(node: Node) -> DeviceSets:
    """The sets of the node's devices. O(d)."""
    specs = node.inventory.devices
    islands = tuple([spec.island for spec in specs])
    return device_sets(islands, tuple([spec.numa_node for spec in specs]), node.inventory.links)


def free_devices(node: Node, need: Need, is_soon: bool) -> int:
    """The devices that whole-device shards may have now (or soon), as a set of bits. O(d)."""
    is_picky = bool(need.gpu_types or need.gpu_memory_mib)
    free, bit = 0, 1
    for device in node.devices:
        if is_soon:
            whole = device.soon_milli == WHOLE_GPU_MILLI
        else:
            whole = not device.used_milli and device.free_milli == WHOLE_GPU_MILLI
        if whole and (not is_picky or device_suits(device.spec, need)):
            free |= bit
        bit <<= 1
    return free


def _choose_shares(node: Node, need: Need, shards: int, is_soon: bool) -> Sets:
    """Fill the fullest device that still has room: whole devices stay whole for others."""
    devices = node.devices
    left = {
        i: device.soon_milli if is_soon else device.free_milli
        for i, device in enumerate(devices)
        if device_has_room(device, need, is_soon)
    }
    share = {i: need.share_on(devices[i].spec.memory_mib) for i in left}
    chosen: list[tuple[int, ...]] = []
    for _ in range(shards):
        index = min((i for i in left if left[i] >= share[i]), key=lambda i: (left[i], i))
        left[index] -= share[index]
        chosen.append((index,))
    return tuple(chosen)
