"""What agents report of links, and what that makes of each pair of devices."""

from dataclasses import replace

from aimass.core.cluster import Cluster
from aimass.core.codec import encode_snapshot, restore, state_hash
from aimass.core.links import (
    CPU,
    ISLAND_NVLINKS,
    NVLINK,
    SWITCH,
    SYSTEM,
    Links,
    link_name,
    pair_weights,
)
from tests.core.world import World, gpus, inventory, one_role


def test_without_a_report_islands_and_numa_nodes_say_it() -> None:
    """Devices of one island are joined alike; others by their CPU; unknown CPUs are one."""
    weights = pair_weights((0, 0, 1, -1, -1), (0, 1, 0, 1, 0), None)
    joined = ISLAND_NVLINKS * NVLINK
    assert weights == (
        (0, joined, CPU, SYSTEM, CPU),
        (joined, 0, SYSTEM, CPU, SYSTEM),
        (CPU, SYSTEM, 0, SYSTEM, CPU),
        (SYSTEM, CPU, SYSTEM, 0, SYSTEM),
        (CPU, SYSTEM, CPU, SYSTEM, 0),
    )
    assert pair_weights((-1, -1), (-1, -1), None) == ((0, CPU), (CPU, 0))


def test_counts_go_before_islands_and_switches_before_cpus() -> None:
    """An island whose links are reported is what the counts say, pair by pair."""
    links = Links(((0, 2, 1), (2, 0, 0), (1, 0, 0)), (3, 4, 4))
    weights = pair_weights((0, 0, 0), (0, 0, 1), links)
    assert weights == ((0, 2 * NVLINK, NVLINK), (2 * NVLINK, 0, SWITCH), (NVLINK, SWITCH, 0))


def test_of_the_two_directions_the_worse_counts() -> None:
    """A link that one end has lost is no link, and one that is slower that way is as slow."""
    links = Links(((0, 4, 2), (3, 0, 0), (0, 0, 0)))
    weights = pair_weights((0, 0, 0), (0, 0, 1), links)
    assert weights == ((0, 3 * NVLINK, SYSTEM), (3 * NVLINK, 0, SYSTEM), (SYSTEM, SYSTEM, 0))


def test_a_report_that_is_too_short_says_nothing_of_the_rest() -> None:
    """Nor does one that makes no sense: negative counts, devices that are not there."""
    links = Links(((0, 1, 0, 7), (1,)), (2,))
    weights = pair_weights((0, 0, 0), (0, 0, 0), links)
    assert weights == ((0, NVLINK, CPU), (NVLINK, 0, CPU), (CPU, CPU, 0))
    assert pair_weights((0, 0), (0, 0), Links(((0, -5), (-5, 0)), (-1, -1))) == ((0, 20), (20, 0))


def test_links_have_names() -> None:
    """As people read them in a trail."""
    names = [link_name(weight) for weight in (18 * NVLINK, SWITCH, CPU, SYSTEM)]
    assert names == ["NVLink x18", "one PCIe switch", "one CPU", "across CPUs"]


def test_links_go_with_their_devices_when_a_held_device_keeps_its_index() -> None:
    """The first device is not reported any more; what holds the others still means the others."""
    world = World()
    chain = Links(((0, 1, 0), (1, 0, 2), (0, 2, 0)), (0, 0, 1))
    devices = gpus("n1", 3)
    world.join("n1", replace(inventory("n1", devices), links=chain))
    world.submit(one_role(gpus=3))
    world.plan()
    rest = Links(((0, 2), (2, 0)), (5, 6))
    node = world.join("n1", replace(inventory("n1", devices[:0:-1]), links=rest))
    assert [device.spec.uuid for device in node.devices] == [spec.uuid for spec in devices]
    links = node.inventory.links
    assert links == Links(((0, 0, 0), (0, 0, 2), (0, 2, 0)), (-1, 6, 5))


def test_links_are_part_of_the_state_where_they_are_reported_and_only_there() -> None:
    """Hashes recorded before agents reported links hold for nodes without them."""
    world = World()
    plain = inventory("n1", gpus("n1", 2))
    world.join("n1", plain)
    assert b"links" not in encode_snapshot(world.cluster)
    before = state_hash(world.cluster)
    linked = replace(plain, links=Links(((0, 4), (4, 0)), (0, 0)))
    world.join("n2", replace(linked, hostname="n2"))
    again: Cluster = restore(encode_snapshot(world.cluster))
    assert [node.inventory.links for node in again.nodes.values()] == [None, linked.links]
    assert state_hash(again) == state_hash(world.cluster) != before
