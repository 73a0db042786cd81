"""Which of the places with room a gang gets: tight, together, preferred; what the trail says."""

from dataclasses import replace

from aimass.core.model import Inventory, Job, NodeId
from aimass.core.policy import Placed
from aimass.core.spec import JobSpec, LabelOp, LabelRule, Need, Role, Strategy
from tests.policies.crowd import GIB, Crowd
from tests.policies.crowd import inventory_of as node

PACK = Strategy.PACK


def a_row(count: int, per_rack: int, gpus: int = 4) -> Crowd:
    """Nodes n0, n1, ... of so many GPUs each, in racks 0, 1, ..., two racks a zone."""
    return Crowd(
        [
            node(f"n{i}", gpus, rack=str(i // per_rack), zone="ab"[i // per_rack // 2 % 2])
            for i in range(count)
        ]
    )


def spec(shards: int, gpu_milli: int = 1000, **fields: object) -> JobSpec:
    """A job of one role."""
    role = Role("main", shards, Need(gpu_milli), ("x",))
    return JobSpec("job", (role,), **fields)  # type: ignore[arg-type]


def fill(crowd: Crowd, *names: str, gpus: int = 1) -> None:
    """Somebody holds so many GPUs of each of these nodes."""
    for name in names:
        others = tuple(n for n in crowd.cluster.nodes if n != name)
        crowd.come(spec(gpus, exclude_nodes=others), is_soon=False)


def where(placed: Placed | None) -> list[NodeId]:
    """The nodes of a gang, each once."""
    assert placed is not None
    return list(dict.fromkeys(p.node_id for p in placed.placements))


def job(crowd: Crowd, shards: int, gpu_milli: int = 1000, **fields: object) -> Job:
    """A queued job of one role."""
    return crowd.job(spec(shards, gpu_milli, **fields))


def test_the_tightest_domain_that_holds_the_gang_takes_it() -> None:
    """Rack 2 has the least room of those with enough; within it the gang is packed."""
    crowd = a_row(8, per_rack=2)
    fill(crowd, "n0", "n1", gpus=3)
    fill(crowd, "n4", gpus=1)
    placed = crowd.try_place(job(crowd, 6), level="rack")
    assert where(placed) == ["n4", "n5"]
    assert placed is not None
    assert placed.reason == "best-fit: 6 shards on n4, n5, rack 2"


def test_a_domain_too_small_is_passed_over_for_a_wider_level() -> None:
    """No rack holds 12, a zone does."""
    crowd = a_row(8, per_rack=2)
    fill(crowd, "n4")
    assert crowd.try_place(job(crowd, 12), level="rack") is None
    assert where(crowd.try_place(job(crowd, 12), level="zone")) == ["n5", "n6", "n7"]


def test_a_node_without_the_label_is_in_no_domain() -> None:
    """Nor is there a domain of a level that no node has."""
    crowd = Crowd([node("n0", 4), node("n1", 4, rack="1")])
    assert where(crowd.try_place(job(crowd, 2), level="rack")) == ["n1"]
    assert crowd.try_place(job(crowd, 5), level="rack") is None
    assert crowd.try_place(job(crowd, 1), level="row") is None


def test_without_a_level_ties_go_to_a_node_nearby() -> None:
    """The second node is in the rack of the first, though one of another rack joined earlier."""
    crowd = Crowd([node(f"n{i}", 4, rack=rack) for i, rack in enumerate("1221")])
    assert where(crowd.try_place(job(crowd, 8))) == ["n0", "n3"]


def test_a_preferred_label_comes_before_tightness() -> None:
    """But not before using as few nodes as possible; the heaviest rule counts first."""
    crowd = a_row(8, per_rack=2)
    fill(crowd, "n0", gpus=3)
    fill(crowd, "n6", gpus=1)
    likes = (
        LabelRule("rack", LabelOp.IN, ("2", "3"), weight=1),
        LabelRule("zone", LabelOp.NOT_IN, ("a",), weight=2),
    )
    assert where(crowd.try_place(job(crowd, 1))) == ["n0"]
    assert where(crowd.try_place(job(crowd, 1, affinity=likes))) == ["n6"]
    heavier = (*likes, LabelRule("rack", LabelOp.IN, ("0",), weight=9))
    assert where(crowd.try_place(job(crowd, 1, affinity=heavier))) == ["n0"]
    assert where(crowd.try_place(job(crowd, 4, affinity=heavier))) == ["n1"]


def test_a_share_leaves_whole_devices_whole() -> None:
    """It goes beside another share, though a node with less free would do."""
    crowd = Crowd([node("n0", 1), node("n1", 4)])
    crowd.come(spec(1, 500, exclude_nodes=("n0",)), is_soon=False)
    assert where(crowd.try_place(job(crowd, 1, 500))) == ["n1"]
    assert where(crowd.try_place(job(crowd, 1, 600))) == ["n0"]


def test_work_without_gpus_goes_where_there_are_none_free() -> None:
    """Nodes with GPUs are kept for those who need them."""
    crowd = Crowd([node("n0", 4), node("n1", 0), node("n2", 0, cpus=8)])
    cpu_job = crowd.job(
        JobSpec("job", (Role("main", 1, Need(cpu_milli=4000, memory_mib=GIB), ("x",)),))
    )
    assert where(crowd.try_place(cpu_job)) == ["n2"]


def test_placing_one_shard_examines_one_node() -> None:
    """However many there are; one unit of fuel more is for the try itself."""
    crowd = a_row(200, per_rack=10)
    fill(crowd, *(f"n{i}" for i in range(0, 150)), gpus=4)
    assert where(crowd.try_place(job(crowd, 1), fuel=2)) == ["n150"]
    assert crowd.try_place(job(crowd, 1000), fuel=2) is None


def linked(name: str, *islands: int, **labels: str) -> Inventory:
    """A node whose devices are in these NVLink islands."""
    there = node(name, len(islands), **labels)
    devices = [replace(d, island=i) for d, i in zip(there.devices, islands, strict=True)]
    return replace(there, devices=tuple(devices))


def test_of_nodes_equal_otherwise_the_one_with_better_links_takes_it() -> None:
    """For whoever uses links; of nodes with equal links the first, and only a few are compared."""
    crowd = Crowd([node("n0", 2), linked("n1", 0, 0), linked("n2", 0, 0)])
    assert where(crowd.try_place(job(crowd, 1))) == ["n0"]
    assert where(crowd.try_place(job(crowd, 1, 500))) == ["n0"]
    assert where(crowd.try_place(job(crowd, 1, 2000))) == ["n1"]
    assert where(crowd.try_place(job(crowd, 2))) == ["n1"]
    many = Crowd([*(node(f"n{i}", 2) for i in range(4)), linked("n4", 0, 0)])
    assert where(many.try_place(job(many, 2))) == ["n0"]


def test_of_domains_with_equal_room_the_one_that_needs_fewer_nodes_takes_it() -> None:
    """Four are free in either rack: two and two, or all on one node."""
    crowd = Crowd([node(f"n{i}", 4, rack=rack) for i, rack in enumerate("1122")])
    fill(crowd, "n0", "n1", gpus=2)
    fill(crowd, "n2", gpus=4)
    assert where(crowd.try_place(job(crowd, 4), level="rack")) == ["n3"]


def test_ranks_of_one_domain_lie_together() -> None:
    """Nodes joined rack by rack in turn; a ring leaves each rack once."""
    racks = ("1", "2", "1", "2", "1", "2")
    crowd = Crowd([node(f"n{i}", 2, zone="a", rack=rack) for i, rack in enumerate(racks)])
    assert where(crowd.try_place(job(crowd, 12))) == ["n0", "n2", "n4", "n1", "n3", "n5"]
    zones = Crowd([node(f"n{i}", 2, zone=zone, rack="1") for i, zone in enumerate("abab")])
    assert where(zones.try_place(job(zones, 8))) == ["n0", "n2", "n1", "n3"]


def test_ranks_and_visible_devices_follow_the_links_of_a_node() -> None:
    """Islands of every second device: neighbours in rank are neighbours on NVLink."""
    crowd = Crowd([linked("n0", 0, 1, 0, 1)])
    singles = crowd.try_place(job(crowd, 4))
    assert singles is not None
    assert [p.devices for p in singles.placements] == [(0,), (2,), (1,), (3,)]
    pairs = crowd.try_place(job(crowd, 2, 2000))
    assert pairs is not None
    assert [p.devices for p in pairs.placements] == [(0, 2), (1, 3)]
    whole = crowd.try_place(job(crowd, 1, 4000))
    assert whole is not None
    assert [p.devices for p in whole.placements] == [(0, 2, 1, 3)]


def test_the_trail_names_what_an_all_reduce_would_cost_for_each_role_that_has_one() -> None:
    """Two devices at least, and whole ones."""
    crowd = Crowd([linked(f"n{i}", 0, 0, 0, 0, zone="a", rack="1") for i in range(2)])

    def said(*roles: Role) -> list[str]:
        placed = crowd.try_place(crowd.job(JobSpec("job", roles)))
        assert placed is not None
        return [text for text in placed.trail if text.startswith("all-reduce")]

    workers = Role("worker", 6, Need(1000), ("x",))
    assert said(workers, Role("ps", 1, Need(1000), ("x",))) == [
        "all-reduce of 1 GiB over 6 GPUs: about 149.1 ms by ring, slowest link network of one rack"
    ]
    assert said(Role("half", 4, Need(500), ("x",))) == []


def test_the_trail_names_what_was_weighed() -> None:
    """How many nodes had room, how many were examined, and which came next: one nearby."""
    crowd = a_row(4, per_rack=2)
    fill(crowd, "n2", gpus=2)
    placed = crowd.try_place(job(crowd, 2))
    assert placed is not None
    assert placed.trail == (
        "4 nodes have room, 1 examined, next n3",
        "all-reduce of 1 GiB over 2 GPUs: about 107.3 ms by ring, slowest link one CPU",
    )
    assert crowd.try_place(job(crowd, 16)) is None
    placed = crowd.try_place(job(crowd, 14, strategy=PACK))
    assert placed is not None
    assert placed.trail[0] == "4 nodes have room, 4 examined, no other would do"
