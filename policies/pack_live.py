"""What the policy `mass` charges, given what has been submitted lately (core/demand.py).

All integers, and functions of the mix and the nodes alone: equal states give equal prices.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from aimass.core.shapes import Shape
from aimass.policies.pack_state import ANY_MODEL, GPU_MILLI, Array, Ask, Books, Models

MICRO = 1000  # scores are in thousandths of a milli-GPU
SCARCE_MAX = 1500  # thousandths: what a model of any scarcity costs at most
APPETITES = (10, 30, 50, 70, 90)  # percentiles of the CPU per GPU that pods ask for
SIMILAR = (3, 4)  # gangs of so nearly the same CPU are one need
PRICE_LEVELS = 9  # a place that would cost less than the last of these halves is free
PLACES_PER_GANG = 8  # an expected gang makes an eighth of a place scarce
GANG_BITS = 30  # expected gangs are counted in parts of 2**30


class Live(NamedTuple):
    """Prices of one state of the window and the nodes, in micro-GPU."""

    gradient: int  # per micro-GPU of fragmentation taken away: 0 or 1
    fit: int  # for the room of the largest node: 8 devices, and the most CPU that any has
    cpu_scale: int  # milli-CPU of that node
    feeding: int  # per micro-GPU left without CPU: 0 or 1
    appetites: Array  # milli-CPU per GPU that pods ask for, ascending
    model_price: Array  # per milli-GPU, [models]
    needs: Array  # gangs to keep places for: GPUs, milli-CPU, models, price of a place; [needs, 4]
    expected: Array  # of each: gangs per free milli-GPU, and anyway; in 2**-30; [needs, 2]


class Need(NamedTuple):
    """Gangs of several whole devices of one node that want about the same."""

    gpus: int
    cpu_milli: int
    models: int
    weight: int


def appetites_of(classes: Mapping[Shape, int]) -> Array:
    """Give percentiles of the milli-CPU per GPU of the classes, by the GPUs they ask for."""
    asked = sorted(
        (kind.cpu_milli * GPU_MILLI // kind.total_milli, kind.total_milli * weight)
        for kind, weight in classes.items()
        if kind.gpus and kind.cpu_milli
    )
    total = sum(weight for _, weight in asked)
    found, below = [], 0
    marks = list(APPETITES)
    for appetite, weight in asked:
        below += weight
        while marks and 100 * below >= marks[0] * total:
            found.append(max(1, appetite))
            marks.pop(0)
    return np.array(found, np.int64)


def model_prices(
    classes: Mapping[Shape, int], capacity_milli: Sequence[int], models: Models
) -> Array:
    """Give what a milli-GPU of each model costs, in micro-GPU: its demand over its capacity.

    Demand of pods that name models, spread over these by capacity, at a load of all the cluster.
    """
    total = sum(capacity_milli)
    asked = sum(kind.total_milli * weight for kind, weight in classes.items())
    price: Array = np.zeros(len(capacity_milli), np.int64)
    if not total or not asked:
        return price
    demand = [0] * len(capacity_milli)  # per milli of capacity, times total
    for kind, weight in classes.items():
        named = [models.number[name] for name in kind.models if name in models.number]
        offered = sum(capacity_milli[number] for number in named)
        if kind.gpus and offered and offered < total:
            for number in named:
                demand[number] += kind.total_milli * weight * MICRO * total // offered
    return np.array([min(SCARCE_MAX, each // asked) for each in demand], np.int64)


def needs_of(classes: Mapping[Shape, int], models: Models) -> list[Need]:
    """Give what gangs of several devices need, similar ones as one with the most CPU of them."""
    found: list[Need] = []
    asks = [(models.ask(kind), weight) for kind, weight in classes.items() if kind.gpus > 1]
    asks.sort(key=lambda item: (item[0].gpus, item[0].models, -item[0].cpu_milli))
    for ask, weight in asks:
        if found and _is_similar(ask, found[-1]):
            found[-1] = found[-1]._replace(weight=found[-1].weight + weight)
        else:
            found.append(Need(ask.gpus, max(1, ask.cpu_milli), ask.models, weight))
    return found


def _is_similar(ask: Ask, need: Need) -> bool:
    is_as_much = ask.cpu_milli * SIMILAR[1] >= need.cpu_milli * SIMILAR[0]
    return (ask.gpus, ask.models) == (need.gpus, need.models) and is_as_much


def kinds_of(books: Books) -> list[tuple[int, int]]:
    """Give the sizes of nodes of several devices: devices, and CPU to three bits, rounded down."""
    gpus = (books.gpu_size > 0).sum(axis=1)
    is_kind = (gpus > 1) & (books.cpu_size > 0)
    pairs = np.unique(np.column_stack((gpus, books.cpu_size))[is_kind], axis=0)
    kinds = set()
    for devices, cpu_milli in pairs.tolist():
        small_bits = max(0, cpu_milli.bit_length() - 3)
        kinds.add((devices, cpu_milli >> small_bits << small_bits))
    return sorted(kinds)


def expected_gangs(
    classes: Mapping[Shape, int], needs: Sequence[Need], kinds: Sequence[tuple[int, int]]
) -> tuple[Array, Array]:
    """Give `needs` and `expected` of Live, prices still 0.

    Two sorts of gangs are expected: those of the window, one for every eight places that they
    would ask for among the pods that take what is free; and, as the window has not seen everything,
    one that needs a whole node of each kind.
    """
    asked = sum(kind.total_milli * weight for kind, weight in classes.items()) * PLACES_PER_GANG
    rows = [(need.gpus, need.cpu_milli, need.models, 0) for need in needs]
    rows += [(*kind, ANY_MODEL, 0) for kind in kinds]
    expected = [((need.weight << GANG_BITS) // asked, 0) for need in needs]
    expected += [(0, 1 << GANG_BITS)] * len(kinds)
    return np.array(rows, np.int64).reshape(-1, 4), np.array(expected, np.int64).reshape(-1, 2)
