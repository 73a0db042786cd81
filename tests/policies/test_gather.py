"""Where gangs lie in the topology: as few domains as packing allows, by rates that are declared."""

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimass.core.model import Inventory, NodeId
from aimass.core.policy import Placed
from aimass.core.spec import JobSpec, Need, Role, Strategy
from aimass.policies.gather import APART_MILLI, HOLE_MILLI, PLACE_MILLI, bill_of
from tests.policies.crowd import LEVELS, Crowd
from tests.policies.crowd import inventory_of as node


def racks(*sizes: int, gpus: int = 4, per_zone: int = 2) -> Crowd:
    """Racks of so many nodes each, named "0", "1", ..., so many of them a zone."""
    there: list[Inventory] = []
    for rack, size in enumerate(sizes):
        for _ in range(size):
            zone = "abcdefgh"[rack // per_zone]
            there.append(node(f"n{len(there)}", gpus, rack=str(rack), zone=zone))
    return Crowd(there)


def spec(shards: int, gpus: int = 1, **fields: object) -> JobSpec:
    """A job of one role of whole GPUs."""
    return JobSpec("job", (Role("main", shards, Need(1000 * gpus), ("x",)),), **fields)  # type: ignore[arg-type]


def use(crowd: Crowd, name: str, gpus: int) -> None:
    """Somebody holds so many GPUs of this node."""
    others = tuple(n for n in crowd.cluster.nodes if n != name)
    crowd.come(spec(gpus, exclude_nodes=others), is_soon=False)


def place(crowd: Crowd, asked: JobSpec, level: str = "") -> Placed:
    """Where it would go."""
    placed = crowd.try_place(crowd.job(asked), level=level)
    assert placed is not None
    return placed


def where(placed: Placed) -> list[NodeId]:
    """Its nodes, each once."""
    return list(dict.fromkeys(p.node_id for p in placed.placements))


def labels(crowd: Crowd, placed: Placed, level: str) -> list[str]:
    """Its domains of a level."""
    nodes = crowd.cluster.nodes
    return sorted({nodes[name].inventory.labels[level] for name in where(placed)})


def test_whole_nodes_are_taken_from_one_rack_that_has_them() -> None:
    """Not from the rack where the first idle node is, which has one only."""
    crowd = racks(2, 4, 4)
    use(crowd, "n1", 1)
    placed = place(crowd, spec(4, gpus=4))
    assert where(placed) == ["n2", "n3", "n4", "n5"]
    assert "4 nodes, zone x1, rack x1: costs 750 milli-GPU" in placed.trail


@pytest.mark.parametrize("by", ["best-fit", "mass"])
def test_whoever_chooses_the_nodes_the_rack_is_chosen_first(by: str) -> None:
    """Of nodes with shares of GPUs, of work without any, and of whole ones."""
    crowd = racks(1, 3, per_zone=1)
    for need, shards in ((Need(500), 17), (Need(cpu_milli=32_000), 5), (Need(2000), 5)):
        job = crowd.job(JobSpec("job", (Role("main", shards, need, ("x",)),)))
        placed = crowd.try_place(job, by=by)
        assert placed is not None
        assert labels(crowd, placed, "rack") == ["1"]
        assert sum("costs" in line for line in placed.trail) == 1


def test_a_gang_larger_than_a_rack_takes_as_few_racks_as_it_can() -> None:
    """The roomiest rack takes what it can, the tightest that holds the rest takes that."""
    crowd = racks(2, 5, 3, 4, per_zone=4)
    placed = place(crowd, spec(7, gpus=4))
    assert labels(crowd, placed, "rack") == ["0", "1"]
    placed = place(crowd, spec(8, gpus=4))
    assert labels(crowd, placed, "rack") == ["1", "2"]


def test_the_narrowest_level_that_holds_the_gang_is_filled() -> None:
    """No rack holds five nodes; one zone does, and in it two racks."""
    crowd = racks(3, 3, 2, 4, 3, 1)
    use(crowd, "n0", 1)
    placed = place(crowd, spec(6, gpus=4))
    assert labels(crowd, placed, "zone") == ["b"]
    assert labels(crowd, placed, "rack") == ["2", "3"]


def test_a_domain_in_use_is_taken_before_one_would_be_broken_open() -> None:
    """Unless the gang uses it up: of whole racks the one that just holds it."""
    crowd = racks(3, 4, 2, per_zone=3)
    use(crowd, "n3", 1)  # rack 1 is in use, and has the most room
    assert labels(crowd, place(crowd, spec(2, gpus=4)), "rack") == ["2"]
    assert labels(crowd, place(crowd, spec(2, gpus=2), level="rack"), "rack") == ["1"]
    assert labels(crowd, place(crowd, spec(8), level="rack"), "rack") == ["2"]
    assert labels(crowd, place(crowd, spec(7), level="rack"), "rack") == ["1"]


def test_a_required_wide_level_is_filled_rack_by_rack() -> None:
    """Zone b has just enough room, but in zone a one rack holds all."""
    crowd = racks(4, 3, 2, 2)
    assert labels(crowd, place(crowd, spec(4, gpus=4), level="zone"), "rack") == ["0"]
    placed = place(crowd, spec(5, gpus=4), level="zone")
    assert labels(crowd, placed, "zone") == ["a"]
    assert labels(crowd, placed, "rack") == ["0", "1"]


@pytest.mark.parametrize(
    ("rack", "zones"),
    [("9", ("", "")), ("0", ("", "c")), ("0", ("", "")), ("2", ("", "a"))],
    ids=["no zone", "one name twice", "a stray node", "stray and twice"],
)
def test_only_a_rack_of_a_zone_speaks_for_it(rack: str, zones: tuple[str, str]) -> None:
    """Two nodes: zone b has both in one rack, and neither a stray rack nor a part makes it a."""
    there = [("0", "a"), ("1", "a"), ("2", "b"), ("2", "b")]
    strays = [(rack, zone) for zone in zones]
    places = [*strays, *there] if rack == "2" else [*there, *strays]
    crowd = Crowd(
        [
            node(f"n{i}", 4, rack=name, **({"zone": zone} if zone else {}))
            for i, (name, zone) in enumerate(places)
        ]
    )
    placed = place(crowd, spec(2, gpus=4), level="zone")
    assert labels(crowd, placed, "zone") == ["b"]
    assert labels(crowd, placed, "rack") == ["2"]


def rack_or_hole(free: int) -> Crowd:
    """Rack 0 has two idle nodes of 8; so many GPUs are free on a node of rack 1."""
    crowd = racks(2, 2, gpus=8, per_zone=1)
    crowd.cluster.levels = ("rack",)
    use(crowd, "n2", 8 - free)
    use(crowd, "n3", 8)
    return crowd


def test_a_rack_more_is_worth_a_hole() -> None:
    """Eight shards and a few: the few break the second node of rack 0 open, or fill the gap."""
    placed = place(rack_or_hole(2), spec(10))
    assert where(placed) == ["n0", "n1"]  # 6 are left on n1
    assert placed.trail[1] == (
        "2 nodes, rack x1: costs 850 milli-GPU, 600 of it for holes; next best 900"
    )
    placed = place(rack_or_hole(1), spec(9))
    assert where(placed) == ["n0", "n2"]  # 7 would be left on n1
    assert placed.trail[1] == "2 nodes, rack x2: costs 860 milli-GPU; next best 950"


def test_a_rack_more_is_worth_nodes() -> None:
    """On two nodes it would cross racks; in rack 1 it needs four, and then eight."""
    crowd = racks(1, 4, 1, per_zone=3)
    crowd.cluster.levels = ("rack",)
    for name in ("n1", "n2", "n3", "n4"):
        use(crowd, name, 2)
    assert where(place(crowd, spec(8))) == ["n1", "n2", "n3", "n4"]
    few = racks(1, 8, 1, per_zone=3)
    few.cluster.levels = ("rack",)
    for i in range(1, 9):
        use(few, f"n{i}", 3)
    assert where(place(few, spec(8))) == ["n0", "n9"]


def test_nodes_that_it_fills_come_from_few_racks_too() -> None:
    """Four nodes' worth of single GPUs: no rack has four idle nodes, rack 1 has three and gaps."""
    crowd = racks(2, 5, 2, per_zone=3)
    crowd.cluster.levels = ("rack",)
    for name, gpus in (("n2", 3), ("n3", 2)):
        use(crowd, name, gpus)
    placed = place(crowd, spec(16))
    assert where(placed) == ["n0", "n4", "n5", "n6"]


def test_the_bill_is_a_sum_over_nodes_domains_and_holes() -> None:
    """Being apart costs each GPU twice as much a level up; unlabelled nodes are alone."""
    crowd = Crowd(
        [
            node("n0", 4, zone="a", rack="1"),
            node("n1", 4, zone="a", rack="1"),
            node("n2", 4, zone="a", rack="2"),
            node("n3", 4),
        ]
    )
    nodes = crowd.cluster.index.nodes

    def total(count: int, gpus: int = 0, holes: int = 0) -> int:
        return bill_of(LEVELS, nodes[:count], 1000 * gpus, holes).total_milli

    assert total(1, gpus=4) == 0
    assert total(1, gpus=1, holes=3) == 3 * HOLE_MILLI
    assert total(2, gpus=8) == PLACE_MILLI
    assert total(3) == 2 * PLACE_MILLI + PLACE_MILLI
    assert total(3, gpus=12) == 3 * PLACE_MILLI + 12 * APART_MILLI
    assert total(4) == 3 * PLACE_MILLI + 2 * PLACE_MILLI + PLACE_MILLI
    assert total(4, gpus=16) == 6 * PLACE_MILLI + 16 * (APART_MILLI + 2 * APART_MILLI)
    assert bill_of(LEVELS, [*nodes, *nodes], 0, 0).domains == (2, 3)


def test_roles_of_a_gang_lie_in_one_rack_that_holds_all_of_them() -> None:
    """The workers alone would fit the tighter rack 0; the server would be in another then."""
    crowd = racks(2, 3, per_zone=2)
    use(crowd, "n4", 1)
    roles = (
        Role("worker", 2, Need(4000), ("x",)),
        Role("server", 1, Need(2000), ("x",)),
    )
    placed = place(crowd, JobSpec("job", roles))
    assert labels(crowd, placed, "rack") == ["1"]


def test_a_gang_that_is_to_be_spread_is_not_gathered() -> None:
    """Over all racks, as before, with no bill."""
    crowd = racks(2, 2)
    placed = place(crowd, spec(4, strategy=Strategy.SPREAD))
    assert labels(crowd, placed, "rack") == ["0", "1"]
    assert not any("costs" in line for line in placed.trail)


def test_models_side_by_side_in_a_rack_are_counted_apart() -> None:
    """H100 and A100 nodes in turn: rack 0 has three of the one, rack 1 three of the other."""
    there = []
    for i in range(10):
        each = node(f"n{i}", 4, rack=str(i // 5), zone="a")
        model = ("H100", "A100")[i % 2]
        there.append(replace(each, devices=tuple(replace(d, model=model) for d in each.devices)))
    crowd = Crowd(there)
    for level in ("", "rack"):
        role = Role("main", 3, Need(4000, gpu_types=("A100",)), ("x",))
        assert where(place(crowd, JobSpec("job", (role,)), level)) == ["n5", "n7", "n9"]
        role = Role("main", 3, Need(4000, gpu_types=("H100",)), ("x",))
        assert where(place(crowd, JobSpec("job", (role,)), level)) == ["n0", "n2", "n4"]


# ---- against all choices ------------------------------------------------------------------------


@st.composite
def uneven(draw: st.DrawFn) -> Crowd:
    """Up to five racks of up to four nodes of two GPUs, some used; one level."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    crowd = racks(*sizes, gpus=2, per_zone=5)
    crowd.cluster.levels = ("rack",)
    for name in list(crowd.cluster.nodes):
        used = draw(st.sampled_from((0, 0, 0, 1, 2)))
        if used:
            use(crowd, name, used)
    return crowd


def rooms(crowd: Crowd, gpus: int) -> dict[str, int]:
    """Shards of so many GPUs that fit in each rack."""
    found: dict[str, int] = {}
    for each in crowd.cluster.nodes.values():
        free = sum(device.free_milli == 1000 for device in each.devices)
        rack = each.inventory.labels["rack"]
        found[rack] = found.get(rack, 0) + free // gpus
    return found


@given(uneven(), st.integers(2, 12))
def test_whole_nodes_come_from_the_fewest_racks(crowd: Crowd, shards: int) -> None:
    """Where packing is equal, as with shards of a whole node, no choice of racks is smaller."""
    room = rooms(crowd, 2)
    placed = crowd.try_place(crowd.job(spec(shards, gpus=2)))
    if sum(room.values()) < shards:
        assert placed is None
        return
    assert placed is not None
    fewest = next(
        count
        for count in range(1, len(room) + 1)
        if any(sum(some) >= shards for some in combinations(room.values(), count))
    )
    assert len(labels(crowd, placed, "rack")) == fewest


@given(uneven(), st.integers(1, 8), st.sampled_from((1, 2)))
def test_a_required_rack_is_the_best_of_all(crowd: Crowd, shards: int, gpus: int) -> None:
    """Of those that hold the gang: one in use, or used up; then the least left over."""
    room, free = rooms(crowd, gpus), rooms(crowd, 1)
    total: dict[str, int] = {}
    for each in crowd.cluster.nodes.values():
        rack = each.inventory.labels["rack"]
        total[rack] = total.get(rack, 0) + len(each.devices)
    holding = [
        (free[rack] == total[rack] and free[rack] > shards * gpus, count)
        for rack, count in room.items()
        if count >= shards
    ]
    placed = crowd.try_place(crowd.job(spec(shards, gpus=gpus)), level="rack")
    if not holding:
        assert placed is None
        return
    assert placed is not None
    (rack,) = labels(crowd, placed, "rack")
    assert (free[rack] == total[rack] and free[rack] > shards * gpus, room[rack]) == min(holding)


@given(uneven(), st.integers(2, 10))
def test_no_way_that_was_tried_is_cheaper(crowd: Crowd, shards: int) -> None:
    """A gang costs no more than on the nodes that packing alone would choose, by the same rates."""
    asked = spec(shards)
    placed = crowd.try_place(crowd.job(asked))
    levels, crowd.cluster.levels = crowd.cluster.levels, ()
    packed = crowd.try_place(crowd.job(asked))
    assert (placed is None) == (packed is None)
    if placed is None or packed is None:
        return

    def cost(gang: Placed) -> int:
        nodes = [crowd.cluster.nodes[name] for name in where(gang)]
        holes = 0
        for each in nodes:
            if all(device.free_milli == 1000 for device in each.devices):
                taken = sum(len(p.devices) for p in gang.placements if p.node_id == each.id)
                holes += len(each.devices) - taken
        return bill_of(levels, nodes, 1000 * shards, holes).total_milli

    assert cost(placed) <= cost(packed)
