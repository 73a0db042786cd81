"""What the policy `mass` learns from what has been submitted lately, and what it charges for it.

Nothing here knows the future: the window holds submissions that were seen, weighted by how long
ago they were, counted in submissions. All integers, so that equal histories give equal prices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from aimass.policies.pack_mix import class_of
from aimass.policies.pack_shapes import Shape
from aimass.policies.pack_state import GPU_MILLI, Array, Ask, Books, Models

MICRO = 1000  # scores are in thousandths of a milli-GPU
SCARCE_MAX = 1500  # thousandths: what a model of any scarcity costs at most
APPETITES = (10, 30, 50, 70, 90)  # percentiles of the CPU per GPU that pods ask for
SIMILAR = (3, 4)  # gangs of so nearly the same CPU are one need
PRICE_LEVELS = 9  # a place that would cost less than the last of these halves is free
_ONE = 1 << 12  # a submission's weight when it is new
_FADE = (235, 256)  # the eighth root of a half


class Live(NamedTuple):
    """Prices of one state of the window and the nodes, in micro-GPU."""

    gradient: int  # per micro-GPU of fragmentation taken away: 0 or 1
    fit: int  # for the room of the largest node: 8 devices, and the most CPU that any has
    cpu_scale: int  # milli-CPU of that node
    feeding: int  # per micro-GPU left without CPU: 0 or 1
    appetites: Array  # milli-CPU per GPU that pods ask for, ascending
    model_price: Array  # per milli-GPU, [models]
    needs: Array  # gangs to keep places for: GPUs, milli-CPU, models, price of a place; [needs, 4]


class Need(NamedTuple):
    """Gangs of several whole devices of one node that want about the same."""

    gpus: int
    cpu_milli: int
    models: int
    weight: int


@dataclass
class Window:
    """Submissions by class, each half as heavy after half_life further ones."""

    half_life: int
    seen: int = 0

    def __post_init__(self) -> None:
        self.weights: dict[Shape, int] = {}

    def add(self, shape: Shape) -> None:
        """Count a submission. O(1), and O(classes) eight times per half-life."""
        kind = class_of(shape)
        self.weights[kind] = self.weights.get(kind, 0) + _ONE
        self.seen += 1
        if self.seen % max(1, self.half_life // 8) == 0:
            faded = {kind: w * _FADE[0] // _FADE[1] for kind, w in self.weights.items()}
            self.weights = {kind: w for kind, w in faded.items() if w}

    def differs_from(self, other: Mapping[Shape, int], percent: int) -> bool:
        """Say whether so much of the mix, or more, has moved to other classes since `other`."""
        ours, theirs = sum(self.weights.values()), sum(other.values())
        if not theirs:
            return ours > 0
        kinds = self.weights.keys() | other.keys()
        moved = sum(
            abs(self.weights.get(kind, 0) * theirs - other.get(kind, 0) * ours) for kind in kinds
        )
        return 100 * moved >= 2 * percent * ours * theirs


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


def place_price(gpus: int, gangs: int, per: int, places: int) -> int:
    """Give the price of a place for gangs of so many devices, in micro-GPU; 0 where many are left.

    gangs / per: gangs that are expected to need such a place. All its devices where there are not
    more places, else halved for each doubling of the places.
    """
    full = MICRO * GPU_MILLI * gpus
    for halvings in range(PRICE_LEVELS):
        if gangs << halvings >= places * per:
            return full >> halvings
    return 0
