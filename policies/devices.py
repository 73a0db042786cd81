"""Which devices of a node its shards get: the tightest NVLink island, then NUMA, then index.

Best fit on islands: a small request must not break a large island that a large request will want
(go-gpuallocator takes the first free device for size one and breaks NVLink pairs).
"""

from aimass.core.feasible import device_has_room
from aimass.core.model import Device, Node
from aimass.core.spec import WHOLE_GPU_MILLI, Need


def choose_devices(node: Node, need: Need, shards: int) -> list[tuple[int, ...]]:
    """Device indexes for each of `shards` shards; the caller knows that they fit. O(d log d)."""
    if need.gpu_milli == 0:
        return [()] * shards
    if need.gpu_milli < WHOLE_GPU_MILLI:
        return _choose_shares(node, need, shards)
    wanted = need.devices * shards
    free = [i for i, device in enumerate(node.devices) if device_has_room(device, need)]
    assert len(free) >= wanted, f"{node.id}: {len(free)} devices have room, {wanted} are wanted"
    chosen = _tightest(node.devices, free, wanted)
    return [tuple(chosen[i : i + need.devices]) for i in range(0, wanted, need.devices)]


def _choose_shares(node: Node, need: Need, shards: int) -> list[tuple[int, ...]]:
    """Fill the fullest device that still has room: whole devices stay whole for others."""
    left = {
        i: device.free_milli
        for i, device in enumerate(node.devices)
        if device_has_room(device, need)
    }
    chosen: list[tuple[int, ...]] = []
    for _ in range(shards):
        index = min((i for i in left if left[i] >= need.gpu_milli), key=lambda i: (left[i], i))
        left[index] -= need.gpu_milli
        chosen.append((index,))
    return chosen


def _tightest(devices: list[Device], free: list[int], wanted: int) -> list[int]:
    """`wanted` of the free devices, as close together as possible, leaving large islands whole."""
    groups: dict[tuple[int, int], list[int]] = {}
    for index in free:
        spec = devices[index].spec
        # Without NVLink the NUMA node is what is close; each unlinked device is no island.
        key = (0, spec.island) if spec.island >= 0 else (1, spec.numa_node)
        groups.setdefault(key, []).append(index)
    holding = [group for group in groups.values() if len(group) >= wanted]
    if holding:
        return min(holding, key=lambda g: (len(g), g[0]))[:wanted]
    chosen: list[int] = []
    for group in sorted(groups.values(), key=lambda g: (-len(g), g[0])):
        chosen += group[: wanted - len(chosen)]
    return chosen
