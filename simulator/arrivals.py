"""Who arrives when in the published packing experiment, by seed."""

from collections.abc import Sequence
from fractions import Fraction

from aimass.simulator.go_random import GoRandom
from aimass.simulator.pack_files import PackPod


def arrivals(
    pods: Sequence[PackPod], seed: int, inflation: Fraction, capacity_milli: int
) -> list[PackPod]:
    """Give the pods in their order of arrival, inflated to a demand of so many times capacity.

    Sorted by name, then shuffled; then pods are drawn from the sorted list, with replacement, until
    the next one's milli-GPU of one device would exceed the target (that it is not those of all its
    devices belongs to the published experiment). Beyond the target, random pods are left out.
    """
    source = sorted(pods, key=lambda pod: pod.name)
    random = GoRandom(seed)
    random.int63()  # the published experiment has drawn one number before
    order = source[:]
    random.shuffle(order)
    target = inflation * capacity_milli
    demand = sum(pod.shape.total_milli for pod in order)
    while demand > target:
        demand -= order.pop(random.below(len(order))).shape.total_milli
    if not any(pod.shape.gpus for pod in source):
        return order  # more of them would add no demand, for ever
    while True:
        pod = source[random.below(len(source))]
        if demand + pod.shape.gpu_milli > target:
            return order
        demand += pod.shape.total_milli
        order.append(pod)


def node_order(nodes: int, seed: int) -> list[int]:
    """Give a random order of the nodes: ties go to the first. The published one is not known."""
    order = list(range(nodes))
    GoRandom(seed).shuffle(order)
    return order
