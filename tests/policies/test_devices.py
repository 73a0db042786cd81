"""Which devices of a node a gang gets: close together, and large islands stay whole."""

from dataclasses import replace

import pytest

from aimass.core.model import Device, DeviceSpec, Node
from aimass.core.spec import Need
from aimass.policies.devices import choose_devices
from tests.core.world import World, gpus, inventory


def a_node(devices: tuple[DeviceSpec, ...], *used: int) -> Node:
    """A node of which some devices are used."""
    node = World().join("n1", inventory("n1", devices))
    for index in used:
        node.devices[index].used_milli = 1000
    return node


@pytest.mark.parametrize(
    ("island", "used", "gpu_count", "shards", "expected"),
    [
        (4, (), 1, 1, [(0,)]),
        (4, (4,), 1, 1, [(5,)]),
        (4, (4, 5), 2, 1, [(6, 7)]),
        (4, (4, 5), 3, 1, [(0, 1, 2)]),
        (4, (0, 4), 3, 1, [(1, 2, 3)]),
        (4, (), 2, 2, [(0, 1), (2, 3)]),
        (4, (3,), 2, 2, [(4, 5), (6, 7)]),
        (4, (0, 4), 2, 2, [(1, 2), (5, 6)]),
        (4, (), 6, 1, [(0, 1, 2, 3, 4, 5)]),
        (4, (0, 1), 5, 1, [(2, 4, 5, 6, 7)]),
        (2, (1, 2, 4), 3, 1, [(0, 6, 7)]),
        (0, (0, 2), 2, 1, [(1, 3)]),
    ],
)
def test_whole_devices_come_from_the_tightest_island(
    island: int, used: tuple[int, ...], gpu_count: int, shards: int, expected: list[tuple[int, ...]]
) -> None:
    """The smallest island that holds all; if none does, as few islands as possible."""
    node = a_node(gpus("n1", 8, island=island), *used)
    assert list(choose_devices(node, Need(gpu_count * 1000), shards)) == expected


def test_without_nvlink_the_numa_node_is_what_is_close() -> None:
    """Devices of one socket rather than the first that are free."""
    devices = tuple(replace(d, numa_node=i % 2) for i, d in enumerate(gpus("n1", 8)))
    assert list(choose_devices(a_node(devices), Need(3000), 1)) == [(0, 2, 4)]
    assert list(choose_devices(a_node(devices, 0, 2), Need(3000), 1)) == [(1, 3, 5)]


@pytest.mark.parametrize(
    ("used_milli", "gpu_milli", "shards", "expected"),
    [
        ((0, 0, 0), 500, 1, [(0,)]),
        ((0, 500, 0), 500, 1, [(1,)]),
        ((500, 750, 0), 250, 1, [(1,)]),
        ((500, 750, 0), 500, 1, [(0,)]),
        ((500, 750, 0), 500, 3, [(0,), (2,), (2,)]),
        ((1000, 900, 0), 400, 2, [(2,), (2,)]),
    ],
)
def test_shares_fill_the_fullest_device_that_has_room(
    used_milli: tuple[int, ...], gpu_milli: int, shards: int, expected: list[tuple[int, ...]]
) -> None:
    """Whole devices stay whole for others."""
    node = a_node(gpus("n1", 3))
    for device, milli in zip(node.devices, used_milli, strict=True):
        device.used_milli = milli
    assert list(choose_devices(node, Need(gpu_milli), shards)) == expected


def test_failed_and_unsuitable_devices_are_passed_over() -> None:
    """As if they were not there."""
    node = a_node(gpus("n1", 4))
    node.devices[0] = Device(replace(node.devices[0].spec, healthy=False))
    node.devices[1] = Device(replace(node.devices[1].spec, model="A100"))
    assert list(choose_devices(node, Need(1000, gpu_types=("H100",)), 2)) == [(2,), (3,)]
    assert list(choose_devices(node, Need(500, gpu_types=("A100",)), 1)) == [(1,)]


def test_no_gpu_is_no_device() -> None:
    """A CPU-only shard holds none."""
    assert list(choose_devices(a_node(()), Need(cpu_milli=1000), 3)) == [(), (), ()]
