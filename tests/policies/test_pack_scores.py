"""Scores against their definitions, written down again in the plainest way."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimass.core.shapes import Shape
from aimass.policies.pack_engine import NodeSize, Packer
from aimass.policies.pack_mix import mix_of, typical_classes
from aimass.policies.pack_policies import PackPolicy
from aimass.policies.pack_worth import fragmentation

MODELS = ("G2", "T4")
sizes = st.builds(
    NodeSize,
    st.integers(0, 128).map(lambda cores: 1000 * cores),
    st.just(1 << 20),
    st.integers(1, 8).map(lambda gpus: (1000,) * gpus),
    st.sampled_from(MODELS),
)
gpu_asks = st.one_of(
    st.tuples(st.just(1), st.sampled_from((110, 460, 470, 810))),
    st.tuples(st.sampled_from((1, 2, 4)), st.just(1000)),
    st.just((0, 0)),
)
shapes = st.builds(
    lambda cores, gpu, models: Shape(1000 * cores, 1024, *gpu, models),
    st.integers(0, 24),
    gpu_asks,
    st.sampled_from(((), (), ("T4",), ("G2", "T4"))),
)


def packed(name: str, size: NodeSize, pods: list[Shape], classes: dict[Shape, int]) -> Packer:
    """Give one node with those pods on it that it has room for."""
    packer = Packer(PackPolicy(name, classes))
    packer.set_node(0, size)
    for shape in pods:
        choice = packer.best(shape)
        if choice is not None:
            packer.take(choice.node, shape, choice.devices)
    return packer


def plain_fragmentation(packer: Packer, size: NodeSize, classes: dict[Shape, int]) -> int:
    """Weight times milli-GPU of a node that its classes cannot use, class by class."""
    free = [int(milli) for milli in packer.nodes.gpu_free[0]]
    cpu_free, total = int(packer.nodes.cpu_free[0]), 0
    for kind, weight in classes.items():
        fitting = [milli for milli in free if milli >= kind.gpu_milli]
        is_possible = (
            kind.gpus > 0
            and kind.cpu_milli <= cpu_free
            and (not kind.models or size.model in kind.models)
            and len(fitting) >= kind.gpus
        )
        useless = [milli for milli in free if milli < kind.gpu_milli] if is_possible else free
        total += weight * sum(useless)
    return total


@given(
    sizes, st.lists(shapes, max_size=12), st.dictionaries(shapes, st.integers(1, 50), min_size=1)
)
def test_fragmentation_is_what_its_definition_says(
    size: NodeSize, pods: list[Shape], classes: dict[Shape, int]
) -> None:
    """The tables against a loop over the classes."""
    packer = packed("best-fit", size, pods, classes)
    found = int(fragmentation(mix_of(classes, packer.models), packer.nodes, 0))
    assert found == plain_fragmentation(packer, size, classes)


@given(
    sizes,
    st.lists(shapes, max_size=12),
    shapes,
    st.dictionaries(shapes, st.integers(1, 50), min_size=1),
)
def test_fgd_scores_the_fall_of_fragmentation(
    size: NodeSize, pods: list[Shape], shape: Shape, classes: dict[Shape, int]
) -> None:
    """Of a hundred, by the logistic function; of a share's devices the first of the best."""
    packer = packed("fgd", size, pods, classes)
    choice = packer.best(shape)
    if choice is None:
        return
    weight = sum(classes.values())
    before = plain_fragmentation(packer, size, classes)
    scores = {}
    free = [int(milli) for milli in packer.nodes.gpu_free[0]]
    devices = [at for at, milli in enumerate(free) if milli >= shape.gpu_milli]
    for chosen in [(at,) for at in devices] if shape.gpus == 1 else [choice.devices]:
        packer.take(0, shape, chosen)
        fall = before - plain_fragmentation(packer, size, classes)
        packer.release(0, shape, chosen)
        logistic = 1 / (1 + math.exp(-fall / weight / 1000))
        scores[chosen] = 50 if fall == 0 else int(100 * logistic)
    assert choice.score == max(scores.values())
    assert choice.devices == next(at for at, score in scores.items() if score == choice.score)


@given(sizes, st.lists(shapes, max_size=12), shapes)
def test_best_fit_and_dot_product_are_their_formulas(
    size: NodeSize, pods: list[Shape], shape: Shape
) -> None:
    """In fractions, rounded down at the end."""
    for name in ("best-fit", "dotprod"):
        packer = packed(name, size, pods, {})
        choice = packer.best(shape)
        if choice is None:
            continue
        cpu_free = Fraction(int(packer.nodes.cpu_free[0]), 128_000)
        gpu_free = Fraction(int(packer.nodes.gpu_free[0].sum()), 8_000)
        cpu, gpu = Fraction(shape.cpu_milli, 128_000), Fraction(shape.total_milli, 8_000)
        alignment = (cpu_free * cpu + gpu_free * gpu) / 2
        left = (cpu_free - cpu + gpu_free - gpu) / 2
        expected = 100 * (1 - (left if name == "best-fit" else alignment))
        assert choice.score == math.floor(expected)


def test_clustering_keeps_pods_of_one_size_together() -> None:
    """75 among its like, 50 among others too, 25 on a node without any, 0 beside others only."""
    share, single = Shape(0, 0, 1, 500, ()), Shape(0, 0, 1, 1000, ())
    pair = Shape(0, 0, 2, 1000, ())
    packer = Packer(PackPolicy("gpu-clustering"))
    for node in range(4):
        packer.set_node(node, NodeSize(64_000, 1024, (1000,) * 8, "G2"))
    packer.take(0, share, (0,))
    packer.take(1, share, (0,))
    packer.take(1, pair, (1, 2))
    packer.take(2, single, (0,))
    assert [packer.score(share, node) for node in range(4)] == [76, 57, 3, 25]
    assert packer.score(Shape(0, 0, 0, 0, ()), 0) == 0


def test_packing_shares_before_it_opens() -> None:
    """A device in use, then a used node, an idle node last."""
    share = Shape(0, 0, 1, 300, ())
    packer = Packer(PackPolicy("gpu-packing"))
    for node in range(3):
        packer.set_node(node, NodeSize(64_000, 1024, (1000,) * 4, "G2"))
    packer.take(0, share, (0,))
    packer.take(1, Shape(0, 0, 1, 1000, ()), (0,))
    assert [packer.score(share, node) for node in range(3)] == [93, 49, 29]
    assert packer.score(Shape(0, 0, 2, 1000, ()), 1) == 48


def test_typical_classes_cover_19_of_20_pods_and_no_more() -> None:
    """Most popular first, whoever was seen first among equals; memory does not count."""
    kinds = [Shape(1000 * at, 0, 1, 1000, ()) for at in range(1, 5)]
    pods = [kinds[0]] * 90 + [kinds[3], kinds[1]] * 4 + [kinds[2]] * 2
    found = typical_classes([kind._replace(memory_mib=at) for at, kind in enumerate(pods)])
    assert found == {kinds[0]: 90, kinds[3]: 4, kinds[1]: 4}


def test_a_share_goes_where_it_fits_tightest() -> None:
    """All policies but fgd, mass and random choose the device so."""
    for name in ("dotprod", "gpu-clustering", "gpu-packing", "best-fit"):
        packer = Packer(PackPolicy(name))
        packer.set_node(0, NodeSize(64_000, 1024, (1000,) * 3, "G2"))
        packer.take(0, Shape(0, 0, 1, 300, ()), (1,))
        packer.take(0, Shape(0, 0, 1, 500, ()), (2,))
        choice = packer.best(Shape(0, 0, 1, 400, ()))
        assert choice is not None
        assert choice.devices == (2,)


def test_random_goes_anywhere_it_fits() -> None:
    """Every node and every device, and the same again with the same seed."""
    runs = []
    for _ in range(2):
        packer = Packer(PackPolicy("random", seed=3))
        for node in range(3):
            packer.set_node(node, NodeSize(64_000, 1024, (1000,) * 2, "G2"))
        packer.remove_node(1)
        choices = [packer.best(Shape(0, 0, 1, 400, ())) for _ in range(100)]
        runs.append([choice[:2] for choice in choices if choice is not None])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {(0, (0,)), (0, (1,)), (2, (0,)), (2, (1,))}


@pytest.mark.parametrize("gpu_milli", [1, 999])
def test_parts_of_several_devices_are_refused(gpu_milli: int) -> None:
    """A shard takes a part of one device or whole ones."""
    with pytest.raises(ValueError, match="whole"):
        Packer(PackPolicy("fgd")).best(Shape(0, 0, 2, gpu_milli, ()))
