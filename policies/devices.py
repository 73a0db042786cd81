"""Which devices of a node its shards get: the tightest NVLink island, then NUMA, then index.

Best fit on islands: a small request must not break a large island that a large request will want
(go-gpuallocator takes the first free device for size one and breaks NVLink pairs).
"""

from aimass.core.feasible import device_has_room, device_suits
from aimass.core.model import Device, Node
from aimass.core.spec import WHOLE_GPU_MILLI, Need


def choose_devices(
    node: Node, need: Need, shards: int, is_soon: bool = False
) -> list[tuple[int, ...]]:
    """Device indexes for each of `shards` shards; the caller knows that they fit. O(d log d)."""
    if not need.has_gpu:
        return [()] * shards
    if need.gpu_milli < WHOLE_GPU_MILLI:
        return _choose_shares(node, need, shards, is_soon)
    is_picky = bool(need.gpu_types or need.gpu_memory_mib)
    free = [
        i
        for i, device in enumerate(node.devices)
        if (device.soon_milli if is_soon else not device.used_milli and device.free_milli)
        == WHOLE_GPU_MILLI
        and (not is_picky or device_suits(device.spec, need))
    ]
    wanted = need.devices * shards
    assert len(free) >= wanted, f"{node.id}: {len(free)} devices have room, {wanted} are wanted"
    groups = _close_groups(node.devices, free)
    if wanted == 1:
        return [(min(groups, key=_size_then_first)[0],)]
    if any(len(group) >= wanted for group in groups):
        together = _take_tightest(groups, wanted)
        return [tuple(together[i : i + need.devices]) for i in range(0, wanted, need.devices)]
    return [tuple(_take_tightest(groups, need.devices)) for _ in range(shards)]


def _choose_shares(node: Node, need: Need, shards: int, is_soon: bool) -> list[tuple[int, ...]]:
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
    return chosen


def _close_groups(devices: list[Device], free: list[int]) -> list[list[int]]:
    """The free devices by NVLink island; without NVLink the NUMA node is what is close."""
    groups: dict[int, list[int]] = {}
    for index in free:
        spec = devices[index].spec
        key = spec.island if spec.island >= 0 else -2 - spec.numa_node
        if key in groups:
            groups[key].append(index)
        else:
            groups[key] = [index]
    return list(groups.values())


def _size_then_first(group: list[int]) -> tuple[int, int]:
    return len(group), group[0]


def _take_tightest(groups: list[list[int]], count: int) -> list[int]:
    """Remove `count` devices from the smallest group that has as many, else from the largest."""
    taken: list[int] = []
    while len(taken) < count:
        rest = count - len(taken)
        holding = [g for g in groups if len(g) >= rest]
        if holding:
            group = min(holding, key=_size_then_first)
        else:
            group = min((g for g in groups if g), key=lambda g: (-len(g), g[0]))
        taken += group[:rest]
        del group[:rest]
    return taken
