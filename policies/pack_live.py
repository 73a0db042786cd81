"""What the policy `mass` charges, given what has been submitted lately (core/demand.py).

All integers, and functions of the mix and the nodes alone: equal states give equal prices.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from aimass.core.shapes import Shape
from aimass.policies.pack_state import ANY_MODEL, DEVICES, GPU_MILLI, Array, Books, Models

MICRO = 1000  # scores are in thousandths of a milli-GPU
SCARCE_MAX = 1500  # thousandths: what a node of any scarcity costs at most
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
    kind_price: Array  # per milli-GPU of a kind of node, [models, DEVICES + 1]
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


def kind_prices(
    classes: Mapping[Shape, int],
    lasting: Mapping[Shape, int],
    books: Books,
    model: Array,
    models: Models,
) -> Array:
    """Give what a milli-GPU of each kind of node costs, in micro-GPU: its demand over its capacity.

    A kind is a model and a number of devices. Demand of pods that name models, spread by capacity
    over these, at a load of all the cluster; and of gangs, over the nodes large enough, what they
    ask for beyond their submissions because they stay for long: below that the prices of places do.
    model: of each node, [nodes]. O(classes + nodes * log nodes + groups * kinds).
    """
    price: Array = np.zeros((len(models.number), DEVICES + 1), np.int64)
    devices = (books.gpu_size > 0).sum(axis=1)
    rows = np.column_stack((model, devices, books.cpu_size))[devices > 0]
    kinds, nodes = np.unique(rows, axis=0, return_counts=True)
    capacity_milli = GPU_MILLI * kinds[:, 1] * nodes
    asked: dict[tuple[tuple[str, ...], int, int], int] = {}  # by models, least devices, least CPU
    for shape, weight in lasting.items():
        beyond = max(0, weight - classes.get(shape, 0)) if shape.gpus > 1 else 0
        anywhere, large = (shape.models, 1, 0), (shape.models, shape.gpus, shape.cpu_milli)
        for group, part in ((anywhere, weight - beyond), (large, beyond)):
            asked[group] = asked.get(group, 0) + shape.total_milli * part
    total_milli, total_asked = int(capacity_milli.sum()), sum(asked.values())
    scarce: Array = np.zeros(len(kinds), np.int64)
    for (names, gpus, cpu_milli), milli in asked.items():
        named = models.bits(names)
        may = (named >> kinds[:, 0] & 1 > 0) & (kinds[:, 1] >= gpus) & (kinds[:, 2] >= cpu_milli)
        offered_milli = int(capacity_milli[may].sum())
        if milli and 0 < offered_milli < total_milli:
            scarce[may] += milli * MICRO * total_milli // (offered_milli * total_asked)
    has_milli, of_milli = np.zeros_like(price), np.zeros_like(price)
    np.add.at(has_milli, (kinds[:, 0], kinds[:, 1]), capacity_milli)
    np.add.at(of_milli, (kinds[:, 0], kinds[:, 1]), capacity_milli * scarce)
    np.floor_divide(of_milli, has_milli, out=price, where=has_milli > 0)
    return np.minimum(SCARCE_MAX, price)


def needs_of(classes: Mapping[Shape, int], models: Models) -> list[Need]:
    """Give what gangs of several devices need, similar ones as one with the most CPU of them."""
    found: list[Need] = []
    first: Shape | None = None  # of the last need: told apart by names, whatever nodes are known
    gangs = [(kind, weight) for kind, weight in classes.items() if kind.gpus > 1]
    for kind, weight in sorted(gangs, key=lambda gang: (*gang[0][2:], -gang[0].cpu_milli)):
        if first is not None and _is_similar(kind, first):
            found[-1] = found[-1]._replace(weight=found[-1].weight + weight)
        else:
            first = kind
            bits = models.bits(kind.models)
            found.append(Need(kind.gpus, max(1, kind.cpu_milli), bits, weight))
    return found


def _is_similar(kind: Shape, first: Shape) -> bool:
    is_as_much = kind.cpu_milli * SIMILAR[1] >= max(1, first.cpu_milli) * SIMILAR[0]
    return (kind.gpus, kind.models) == (first.gpus, first.models) and is_as_much


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
