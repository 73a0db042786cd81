"""What mass learns, and what it charges."""

from aimass.core.shapes import Shape
from aimass.policies.pack_engine import NodeSize, Packer
from aimass.policies.pack_learn import place_price
from aimass.policies.pack_live import (
    GANG_BITS,
    Need,
    appetites_of,
    kind_prices,
    kinds_of,
    needs_of,
)
from aimass.policies.pack_policies import PackPolicy
from aimass.policies.pack_state import ANY_MODEL, Models

SINGLE = Shape(10_000, 0, 1, 1000, ())
SHARE = Shape(2_000, 0, 1, 500, ())
TYPED = Shape(1_000, 0, 1, 1000, ("T4",))


def test_appetites_are_percentiles_by_the_gpus_asked_for() -> None:
    """A pod without devices has none, and neither has one that asks for no CPU."""
    classes = {SINGLE: 3, SHARE: 2, Shape(99_000, 0, 0, 0, ()): 50}
    assert appetites_of(classes).tolist() == [4_000, 10_000, 10_000, 10_000, 10_000]
    assert appetites_of({Shape(0, 0, 1, 1000, ()): 1}).tolist() == []


def price_of_kinds(
    classes: dict[Shape, int], *kinds: tuple[str, int, int], life: int = 1
) -> list[int]:
    """What each kind of node costs: model, devices, CPU in cores; a node of each.

    life: how much longer than all others gangs stay.
    """
    packer = Packer(PackPolicy("mass"))
    for node, (model, gpus, cores) in enumerate(kinds):
        packer.set_node(node, NodeSize(cores * 1000, 1, (1000,) * gpus, model))
    lasting = {kind: weight * life if kind.gpus > 1 else weight for kind, weight in classes.items()}
    prices = kind_prices(classes, lasting, packer.books, packer.nodes.model, packer.models)
    return [int(prices[packer.models.number[model], gpus]) for model, gpus, _ in kinds]


def test_a_kind_of_node_costs_its_demand_over_its_capacity() -> None:
    """Only of pods that cannot go everywhere; half the load on a tenth is scarce."""
    models = (*[("G2", 6, 96)] * 3, ("T4", 2, 96))
    assert price_of_kinds({SINGLE: 1}, *models) == [0, 0, 0, 0]
    assert price_of_kinds({SINGLE: 19, TYPED: 1}, *models) == [0, 0, 0, 500]
    assert price_of_kinds({SINGLE: 1, TYPED: 1}, *models) == [0, 0, 0, 1500]
    assert price_of_kinds({TYPED._replace(models=("G2", "T4")): 1}, *models) == [0, 0, 0, 0]


def test_gangs_that_stay_make_large_nodes_dear() -> None:
    """A half of the load, of which an eighth as they come, on half of the devices."""
    gang, nodes = Shape(64_000, 0, 8, 1000, ()), (("G2", 8, 96), ("G2", 4, 96), ("G2", 4, 96))
    assert price_of_kinds({SINGLE: 32, gang: 1}, *nodes) == [0, 0, 0]
    assert price_of_kinds({SINGLE: 32, gang: 1}, *nodes, life=4) == [750, 0, 0]
    hungry = gang._replace(cpu_milli=100_000)
    assert price_of_kinds({SINGLE: 32, hungry: 1}, *nodes, life=4) == [0, 0, 0]
    many = price_of_kinds({SINGLE: 32, hungry: 1}, *nodes, ("G3", 8, 128), life=4)
    assert many == [0, 0, 0, 1125]


def test_similar_gangs_are_one_need() -> None:
    """That of the most CPU; others, and those of named models, are needs of their own."""
    models = Models()
    models.number_of("T4")
    classes = {
        Shape(88_000, 0, 8, 1000, ()): 2,
        Shape(70_000, 0, 8, 1000, ()): 3,
        Shape(40_000, 0, 8, 1000, ()): 4,
        Shape(40_000, 0, 8, 1000, ("T4",)): 5,
        SINGLE: 6,
    }
    assert needs_of(classes, models) == [
        Need(8, 88_000, ANY_MODEL, 5),
        Need(8, 40_000, ANY_MODEL, 4),
        Need(8, 40_000, 1, 5),
    ]


def test_kinds_of_nodes_are_told_apart_roughly() -> None:
    """So that nodes which differ by a daemon's CPU are one kind; single devices are none."""
    packer = Packer(PackPolicy("mass"))
    for node, (cpu_milli, gpus) in enumerate(((96_000, 8), (95_980, 8), (128_000, 8), (9, 1))):
        packer.set_node(node, NodeSize(cpu_milli, 1, (1000,) * gpus, "G2"))
    assert kinds_of(packer.books) == [(8, 81_920), (8, 114_688)]


def test_a_place_costs_more_the_fewer_there_are() -> None:
    """All of it when gangs take every place, half for twice the places, in the end nothing."""
    prices = [place_price(8, 1 << GANG_BITS, places) for places in (0, 1, 2, 3, 4, 256, 257)]
    assert prices == [8_000_000, 8_000_000, 4_000_000, 2_000_000, 2_000_000, 31_250, 0]


def test_shares_feed_on_gpus_that_others_cannot_use() -> None:
    """The term that wins most: who needs little CPU goes where little is left."""
    packer = Packer(PackPolicy("mass", terms=("stranded",)))
    for node, cpu_milli in enumerate((160_000, 80_000)):
        packer.set_node(node, NodeSize(cpu_milli, 1024, (1000,) * 8, "G2"))
    hungry, modest = Shape(20_000, 0, 1, 1000, ()), Shape(1_000, 0, 1, 1000, ())
    for _ in range(4):
        packer.submitted(hungry)
        packer.submitted(modest)
    for _ in range(3):
        packer.take(1, hungry, (int(packer.nodes.gpu_free[1].argmax()),))
    choice = packer.best(modest)
    assert choice is not None
    assert choice.node == 1
    choice = packer.best(hungry)
    assert choice is not None
    assert choice.node == 0


def test_who_stays_for_long_makes_its_nodes_dear() -> None:
    """Few pods name the T4, but they stay for hours, the others for minutes: these avoid it."""
    packer = Packer(PackPolicy("mass", terms=("kind",)))
    for node in range(2):
        packer.set_node(node, NodeSize(64_000, 1 << 20, (1000,) * 4, ("T4", "G2")[node]))
    at_ms = 0
    prices = []
    for turn in range(600):
        shape, life_ms = (TYPED, 3_600_000) if turn % 20 == 0 else (SINGLE, 60_000)
        packer.submitted(shape, at_ms)
        at_ms += life_ms
        if turn >= 200:
            packer.started(shape, at_ms - life_ms)
            packer.left(shape, at_ms - life_ms, at_ms)
        if turn in (199, 599):
            packer.best(SINGLE)
            prices.append(-packer.terms(SINGLE, 0)["kind"])
    assert prices[1] > 5 * prices[0] > 0


def test_mass_follows_when_the_mix_shifts() -> None:
    """T4 becomes scarce once pods begin to name it; pods that may go anywhere then avoid it."""
    packer = Packer(PackPolicy("mass"))
    for node in range(4):
        packer.set_node(node, NodeSize(64_000, 1 << 20, (1000,) * 4, ("T4", "G2")[node % 2]))
    for _ in range(64):
        packer.submitted(SINGLE)
    first = packer.best(SINGLE)
    assert first is not None
    assert first.node == 0
    for _ in range(200):
        packer.submitted(TYPED)
    then = packer.best(SINGLE)
    assert then is not None
    assert then.node == 1
