"""Domains of the topology: their counters are those of the node rows, whatever happened."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from aimass.core.bitslice import members
from aimass.core.domains import SIZES_MAX, DomainCounts, Level
from aimass.core.model import NodeState
from aimass.core.node_view import KINDS_MAX
from aimass.core.spec import Need
from tests.policies.crowd import GIB, Crowd, inventories, inventory_of, specs, steps

NEEDS = (
    Need(1000),
    Need(2000),
    Need(4000, gpu_types=("H100",)),
    Need(1000, gpu_types=("A100",)),
    Need(1000, gpu_memory_mib=40 * GIB),
)


def recounted(crowd: Crowd, level: str, need: Need, is_soon: bool) -> dict[str, tuple[int, ...]]:
    """By domain, told one device after the other: shards that fit, devices free, most on a node,
    and whether nobody uses one."""
    found: dict[str, tuple[int, ...]] = {}
    for node in crowd.cluster.nodes.values():
        name = node.inventory.labels.get(level)
        if name is None:
            continue
        takes_new = node.state is NodeState.READY and not node.cordon
        free = total = 0
        for device in node.devices if takes_new else ():
            spec = device.spec
            if need.gpu_types and spec.model not in need.gpu_types:
                continue
            if spec.healthy and spec.memory_mib >= need.gpu_memory_mib:
                total += 1
                free += (device.soon_milli if is_soon else device.free_milli) == 1000
        room, all_free, most, used = found.get(name, (0, 0, 0, 0))
        room += free // need.devices
        found[name] = (room, all_free + free, max(most, free), used + total - free)
    return found


def counted(counts: DomainCounts, need: Need) -> dict[str, tuple[int, ...]]:
    """The same by the counters; of what is used, 1 stands for any number."""
    room, free, most = counts.room(need.devices), counts.free, counts.largest
    return {
        domain.name: (
            room.values[i],
            free.values[i],
            most.values[i],
            int(not counts.whole >> i & 1),
        )
        for i, domain in enumerate(counts.level.domains)
    }


@given(st.data())
def test_counters_are_a_recount_after_any_history(data: st.DataObject) -> None:
    """Asked about all the time, so that they are kept and moved: holds, claims, exits, cordons,
    silence, new labels and taints, failed devices; now and soon."""
    count = data.draw(st.integers(1, 6))
    crowd = Crowd([data.draw(inventories(f"n{i}")) for i in range(count)])
    index = crowd.cluster.index
    for what, at, spec in [("", 0, data.draw(specs())), *data.draw(st.lists(steps, max_size=10))]:
        if what:
            crowd.step(what, at, spec)
        for need in data.draw(st.lists(st.sampled_from(NEEDS), max_size=3)):
            for level in ("zone", "rack"):
                for is_soon in (False, True):
                    expected = recounted(crowd, level, need, is_soon)
                    told = counted(index.counts(level, need, is_soon), need)
                    assert told == {
                        name: (*figures, int(bool(used)))
                        for name, (*figures, used) in expected.items()
                    }
        assert index.drifted() == ""


def test_a_counter_that_drifted_is_found() -> None:
    """What check_invariants stands on."""
    crowd = Crowd([inventory_of("n0", 4, rack="1")])
    index = crowd.cluster.index
    index.counts("rack", Need(1000), False)
    assert index.drifted() == ""
    crowd.cluster.nodes[index.nodes[0].id].devices[0].used_milli = 500  # past the index
    assert index.drifted() == "rack"


def test_domains_are_numbered_by_their_first_nodes() -> None:
    """A node without the label is in none; those of a wider domain are found by their nodes."""
    crowd = Crowd(
        [
            inventory_of("n0", 1, zone="b", rack="2"),
            inventory_of("n1", 1, zone="a"),
            inventory_of("n2", 1, zone="a", rack="1"),
            inventory_of("n3", 1, zone="b", rack="2"),
        ]
    )
    level = crowd.cluster.index.level("rack")
    assert [domain.name for domain in level.domains] == ["2", "1"]
    assert [domain.nodes for domain in level.domains] == [(0, 3), (2,)]
    assert level.number_of == [0, -1, 1, 0]
    zones = crowd.cluster.index.level("zone").by_name
    assert list(members(level.within(zones["a"]))) == [1]
    assert list(members(level.within(zones["b"]))) == [0]
    assert list(members(level.within(None))) == [0, 1]
    assert level.around(crowd.cluster.index.level("zone")) == [0, 1]
    assert crowd.cluster.index.level("zone").around(level) == [0, -1]
    assert Level("row", crowd.cluster.index.nodes).domains == []


def test_what_is_kept_is_bounded() -> None:
    """Many sizes and kinds of devices may be asked about: old answers go, new ones are right."""
    there = inventory_of("n0", 4, rack="1")
    kinds = [replace(there.devices[0], model=f"M{i}") for i in range(KINDS_MAX + 3)]
    crowd = Crowd([replace(there, devices=tuple(kinds))])
    index = crowd.cluster.index
    for i in range(KINDS_MAX + 3):
        assert index.counts("rack", Need(1000, gpu_types=(f"M{i}",)), False).free.values == [1]
    counts = index.counts("rack", Need(1000), False)
    for size in range(1, SIZES_MAX + 9):
        assert counts.room(size).values == [len(kinds) // size]
    assert len(counts.sizes) <= SIZES_MAX
    assert counts.largest.values == [len(kinds)]
