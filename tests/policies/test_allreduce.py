"""What an all-reduce would cost: by hand for each level, and what never makes it faster."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimass.core.links import CPU, NVLINK, SWITCH, SYSTEM
from aimass.core.model import Inventory, Node, NodeId, NodeState
from aimass.policies.allreduce import MESSAGE_BYTES, Estimate, Group, all_reduce

LEVELS = ("block", "rack")
WEIGHTS = (SYSTEM, CPU, SWITCH, NVLINK, 18 * NVLINK)


def node(name: str, **labels: str) -> Node:
    """A node somewhere in the topology."""
    there = Inventory(name, name, 0, 0, labels=labels)
    return Node(NodeId(name), 0, there, "boot", 1, "", NodeState.READY, 0)


N1, N2 = node("n1", block="a", rack="1"), node("n2", block="a", rack="1")
FAR, FARTHER = node("n3", block="a", rack="2"), node("n4", block="b", rack="3")


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        # 2 * 7/8 * 2^30 bytes at 18 * 20 GB/s, and 14 steps of 3.4 us
        ([(N1, 8, 18 * NVLINK)], (5219 + 47, "ring", 8, "NVLink x18")),
        ([(N1, 2, NVLINK)], (53687 + 6, "ring", 2, "NVLink x1")),
        ([(N1, 2, SWITCH)], (89478 + 11, "ring", 2, "one PCIe switch")),
        ([(N1, 2, CPU)], (107374 + 11, "ring", 2, "one CPU")),
        ([(N1, 2, SYSTEM)], (129366 + 11, "ring", 2, "across CPUs")),
        # 28 steps inside, 2 between; the network bounds
        (
            [(N1, 8, 18 * NVLINK), (N2, 8, 18 * NVLINK)],
            (167772 + 114, "ring", 16, "network of one rack"),
        ),
        ([(N1, 1, 0), (FAR, 1, 0)], (178956 + 19, "ring", 2, "network of one block")),
        ([(N1, 1, 0), (FARTHER, 1, 0)], (357913 + 19, "ring", 2, "network beyond one block")),
        # a slow node bounds faster ones, and the network too
        ([(N1, 2, SYSTEM), (N2, 2, NVLINK)], (194049 + 42, "ring", 4, "across CPUs")),
    ],
)
def test_a_ring_is_as_fast_as_its_slowest_link(
    groups: list[tuple[Node, int, int]], expected: tuple[object, ...]
) -> None:
    """Bytes over bandwidth, and the steps."""
    assert all_reduce(LEVELS, [Group(*group) for group in groups]) == expected


def test_one_device_has_nothing_to_reduce() -> None:
    """Nor has none."""
    assert all_reduce(LEVELS, [Group(N1, 1, 0)]) is None
    assert all_reduce(LEVELS, []) is None


def test_a_tree_wins_where_latency_is_what_counts() -> None:
    """Two thousand nodes of one GPU: a ring has 4,094 steps over the network, a tree 22."""
    found = all_reduce((), [Group(N1, 1, 0)] * 2048)
    bytes_us = 2 * 10 * MESSAGE_BYTES // (9 * 12_000)
    assert found == (bytes_us + 211, "tree", 2048, "network")


def test_an_estimate_says_what_bounds_it() -> None:
    """For trails and `massctl plan`."""
    estimate = Estimate(5266, "ring", 8, "NVLink x18")
    assert estimate.text == (
        "all-reduce of 1 GiB over 8 GPUs: about 5.2 ms by ring, slowest link NVLink x18"
    )


@given(
    st.lists(
        st.tuples(st.sampled_from((N1, N2, FAR, FARTHER)), st.integers(2, 8)),
        min_size=1,
        max_size=4,
        unique_by=lambda group: group[0].id,
    ),
    st.lists(st.sampled_from(WEIGHTS), min_size=4, max_size=4),
    st.integers(0, 3),
)
def test_better_links_never_make_it_slower(
    groups: list[tuple[Node, int]], weights: list[int], better: int
) -> None:
    """On whichever node they are."""

    def time_us(by_node: list[int]) -> int:
        found = [Group(*group, weight) for group, weight in zip(groups, by_node, strict=False)]
        estimate = all_reduce(LEVELS, found)
        assert estimate is not None
        return estimate.time_us

    improved = list(weights)
    improved[better] = max(WEIGHTS)
    assert time_us(improved) <= time_us(weights)
