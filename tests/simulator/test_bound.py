"""The upper bound: above what any placement reaches, equal to the LP written out in full."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimass.core.shapes import Shape
from aimass.simulator.arrivals import arrivals
from aimass.simulator.bound import (
    GAP_MILLI,
    PRICE_SCALE,
    Prices,
    certified,
    problem_of,
    upper_bound,
)
from aimass.simulator.pack_files import PackNode, fits_empty, read_nodes, read_pods
from tests.house.tree import ROOT

Demand = Mapping[Shape, int]
OPENB = ROOT.parent / "shared" / "traces" / "openb"


def node(gpus: int = 1, cpu: int = 100, memory: int = 100, model: str = "A") -> PackNode:
    """Make a node; names do not matter here."""
    return PackNode("n", cpu, memory, gpus, model)


def shape(gpu_milli: int, gpus: int = 1, cpu: int = 0, memory: int = 0, *models: str) -> Shape:
    """Make a shape that needs only GPUs unless told otherwise."""
    return Shape(cpu, memory, gpus, gpu_milli, models)


def bound(nodes: Sequence[PackNode], demand: Demand) -> float:
    """Give the bound to the precision that it has."""
    return round(upper_bound(nodes, demand).allocated_milli, 3)


@pytest.mark.parametrize(
    ("nodes", "demand", "milli"),
    [
        ([node(3)], {shape(810): 10}, 2430),
        ([node(3)], {shape(810): 2}, 1620),
        ([node(2)], {shape(600): 10, shape(400): 1}, 1600),
        ([node(2)], {shape(600): 10, shape(250): 1}, 1450),
        ([node(8, cpu=40)], {shape(1000, cpu=10): 8}, 4000),
        ([node(8, memory=40)], {shape(1000, memory=10): 8}, 4000),
        ([node(8, cpu=40)], {shape(1000, cpu=10): 8, shape(500, cpu=2): 8}, 6400),
        ([node(4), node(4, model="B")], {shape(1000, 1, 0, 0, "B"): 9}, 4000),
        ([node(4)] * 2, {shape(1000, 8): 1}, 0),
        ([node(4)] * 2, {shape(1000, 3): 9}, 8000),  # 6000 in truth: a pod may lie on two nodes
        ([node(4)], {shape(0, 0, 5): 9}, 0),
        ([node(0)], {shape(500): 9}, 0),
        ([], {shape(500): 9}, 0),
        ([node(4)], {}, 0),
    ],
)
def test_bounds_that_a_person_can_check(
    nodes: list[PackNode], demand: dict[Shape, int], milli: int
) -> None:
    """Sizes, demand, CPU, memory and models each bind once; also where nothing can be placed."""
    assert bound(nodes, demand) == milli


def placements(free: list[int], pod: Shape) -> Iterator[tuple[int, ...]]:
    """Give every set of GPUs of one node that has room for the pod."""
    fitting = [gpu for gpu, milli in enumerate(free) if milli >= pod.gpu_milli]
    return itertools.combinations(fitting, pod.gpus)


def best_packing(
    nodes: Sequence[PackNode],
    pods: Sequence[Shape],
    used: Mapping[int, tuple[int, int, list[int]]] | None = None,
) -> int:
    """Give the exact optimum, by trying every place of every pod."""
    if not pods:
        return 0
    state = used or {i: (n.cpu_milli, n.memory_mib, [1000] * n.gpus) for i, n in enumerate(nodes)}
    pod, rest = pods[0], pods[1:]
    best = best_packing(nodes, rest, state)
    for i, (cpu, memory, free) in state.items():
        fits_kind = not pod.models or nodes[i].model in pod.models
        if not fits_kind or cpu < pod.cpu_milli or memory < pod.memory_mib:
            continue
        for gpus in placements(free, pod):
            left = [milli - pod.gpu_milli * (gpu in gpus) for gpu, milli in enumerate(free)]
            after = {**state, i: (cpu - pod.cpu_milli, memory - pod.memory_mib, left)}
            best = max(best, pod.total_milli + best_packing(nodes, rest, after))
    return best


def full_lp(nodes: Sequence[PackNode], demand: Demand) -> float:
    """Solve the same LP with every multiset of shapes on one GPU as a column of its own."""
    kinds = sorted(Counter(node._replace(name="") for node in nodes).items())
    shapes = sorted(shape for shape in demand if shape.total_milli)
    columns: list[tuple[float, dict[int, float]]] = []  # milli, what it takes of each row
    gpu, cpu, memory = (len(shapes) + i * len(kinds) for i in range(3))
    for k, (kind, _) in enumerate(kinds):
        fitting = [s for s, shape in enumerate(shapes) if fits_empty(shape, kind)]
        for most in range(1, 1000 // min((shapes[s].gpu_milli for s in fitting), default=1000) + 1):
            for chosen in itertools.combinations_with_replacement(fitting, most):
                pods = [shapes[s] for s in chosen]
                if most > 1 and (sum(p.gpu_milli for p in pods) > 1000 or max(pods).gpus > 1):
                    continue
                takes = {s: float(chosen.count(s)) for s in chosen}
                takes |= {gpu + k: float(max(pod.gpus for pod in pods))}
                takes |= {cpu + k: sum(p.cpu_milli for p in pods) or 0.0}
                takes |= {memory + k: sum(p.memory_mib for p in pods) or 0.0}
                columns.append((sum(p.total_milli for p in pods), takes))
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    limits: list[int] = [demand[shape] for shape in shapes]
    limits += [number * kind.gpus for kind, number in kinds]
    limits += [number * kind.cpu_milli for kind, number in kinds]
    limits += [number * kind.memory_mib for kind, number in kinds]
    for limit in limits:
        solver.addRow(-highspy.kHighsInf, limit, 0, [], [])
    for milli, takes in columns:
        solver.addCol(-milli, 0, highspy.kHighsInf, len(takes), [*takes], [*takes.values()])
    solver.run()
    return -solver.getInfo().objective_function_value


node_kinds = st.builds(
    node,
    gpus=st.integers(0, 2),
    cpu=st.integers(0, 30),
    memory=st.integers(0, 30),
    model=st.sampled_from("AB"),
)
pod_shapes = st.one_of(
    st.builds(
        shape,
        st.sampled_from([190, 250, 333, 460, 500, 700, 810, 1000]),
        st.just(1),
        st.integers(0, 12),
        st.integers(0, 12),
        st.sampled_from("AB"),
    ),
    st.builds(shape, st.just(1000), st.integers(0, 2), st.integers(0, 12)),
    st.builds(shape, st.sampled_from([250, 333, 460, 500, 700, 810])),
).map(lambda pod: pod if pod.gpus else pod._replace(gpu_milli=0))
clusters = st.lists(node_kinds, min_size=1, max_size=3)


@settings(max_examples=150)
@given(clusters, st.lists(pod_shapes, max_size=5))
def test_no_placement_exceeds_the_bound(nodes: list[PackNode], pods: list[Shape]) -> None:
    """The exact optimum of small instances, by trying everything."""
    assert best_packing(nodes, pods) <= upper_bound(nodes, Counter(pods)).allocated_milli


@settings(max_examples=150)
@given(
    clusters,
    st.dictionaries(pod_shapes, st.integers(0, 9), max_size=3),
    st.dictionaries(st.builds(shape, st.integers(190, 800)), st.integers(1, 5), max_size=4),
)
def test_column_generation_ends_at_the_optimum_of_the_full_lp(
    nodes: list[PackNode], some: dict[Shape, int], shares: dict[Shape, int]
) -> None:
    """Patterns of sizes that shapes share are as strong as patterns of shapes."""
    demand = some | shares
    found = upper_bound(nodes, demand)
    assert found.allocated_milli == pytest.approx(full_lp(nodes, demand), abs=GAP_MILLI)
    assert 0 <= found.allocated_milli - found.reached_milli + 1e-6 <= GAP_MILLI + 2e-6


@settings(max_examples=100)
@given(
    clusters,
    st.dictionaries(pod_shapes, st.integers(0, 9), max_size=4),
    st.integers(0, 2**32),
    st.sampled_from([2.0**20, 2.0**40, 2.0**50]),
)
def test_any_prices_at_all_give_a_bound(
    nodes: list[PackNode], demand: dict[Shape, int], seed: int, most: float
) -> None:
    """A solver that answers nonsense makes the bound looser, never wrong."""
    problem = problem_of(nodes, demand)
    kinds, sizes = len(problem.kinds), len(problem.sizes)
    noise = np.random.default_rng(seed)
    prices = Prices(
        noise.integers(0, int(most), kinds),
        noise.integers(0, int(most), kinds),
        noise.integers(0, min(int(most), 1000 * PRICE_SCALE), (kinds, sizes)),
    )
    if problem.uses:
        assert certified(problem, prices)[0] >= upper_bound(nodes, demand).reached_milli - 1e-6


@given(
    clusters,
    st.dictionaries(pod_shapes, st.integers(0, 9), max_size=4),
    st.dictionaries(pod_shapes, st.integers(0, 9), max_size=2),
)
def test_more_demand_or_more_nodes_never_lower_it(
    nodes: list[PackNode], demand: dict[Shape, int], more: dict[Shape, int]
) -> None:
    """Up to the gap at which it stops."""
    least = upper_bound(nodes, demand).allocated_milli - GAP_MILLI
    assert upper_bound(nodes, Counter(demand) + Counter(more)).allocated_milli >= least
    assert upper_bound([*nodes, nodes[0]], demand).allocated_milli >= least


@given(clusters, st.dictionaries(pod_shapes, st.integers(1, 9), min_size=1, max_size=5))
def test_the_order_of_what_comes_in_does_not_matter(
    nodes: list[PackNode], demand: dict[Shape, int]
) -> None:
    """Also not in the last digit: the same instance is solved by the same steps."""
    one = upper_bound(nodes, demand)
    other = upper_bound(nodes[::-1], dict(reversed(demand.items())))
    assert (one.allocated_milli, one.rounds) == (other.allocated_milli, other.rounds)
    assert one.columns == other.columns


@pytest.mark.skipif(not OPENB.exists(), reason="the openb traces are not beside the checkout")
@pytest.mark.parametrize(("arrived_pct", "bound_pct"), [(95, 94.99), (100, 96.91), (130, 99.88)])
def test_the_default_list_has_the_bound_of_the_reference(
    arrived_pct: int, bound_pct: float
) -> None:
    """An independent solution of the same LP, for the arrivals of seed 42."""
    nodes = read_nodes(OPENB / "openb_node_list_gpu_node.csv.gz")
    pods = read_pods(OPENB / "openb_pod_list_default.csv.gz", nodes)
    capacity = 1000 * sum(node.gpus for node in nodes)
    demand: Counter[Shape] = Counter()
    left = capacity * arrived_pct // 100
    for pod in arrivals(pods, 42, Fraction("1.3"), capacity):
        left -= pod.shape.total_milli
        if left < 0:
            break
        demand[pod.shape] += 1
    found = upper_bound(nodes, demand).allocated_milli
    assert 100 * found / capacity == pytest.approx(bound_pct, abs=0.005)
