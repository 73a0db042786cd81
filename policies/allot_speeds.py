"""How fast a job would be on so many GPUs of each model: as is said of it; for the rest by a law.

Allotters weigh sizes against each other, so each needs a speed for every size that it may give.
Speeds are in millionths of the job's normal speed, on as few nodes as can be.
"""

from collections.abc import Sequence
from math import isqrt
from typing import NamedTuple

from aimass.core.speeds import NORMAL_MICRO, Speeds

Levels = tuple[tuple[int, int], ...]
"""(GPUs, speed in millionths), both rising: a size that is no faster than a smaller one is none"""


class Model(NamedTuple):
    """A model of GPU: how many the cluster has for those that may be stopped, and on one node."""

    name: str
    gpus: int
    per_node: int


def scaled(gpus: int, normal_gpus: int) -> int:
    """The speed on so many GPUs of a job of which nobody says how it scales: GPUs^(3/4).

    The median over the nine tables of ElasticFlow for T4 (ASPLOS 2023), from 1 GPU to the fastest
    number: 0.77; from 0.13 (ncf) to 0.91. Exact integers: the same on every machine.
    """
    return _power(gpus) * NORMAL_MICRO // _power(normal_gpus)


def _power(gpus: int) -> int:
    """gpus^(3/4) in millionths."""
    return isqrt(isqrt(gpus**3 * 10**24))


def levels_of(
    speeds: Speeds, models: Sequence[Model], sizes: Sequence[int], normal_gpus: int
) -> tuple[Levels, ...]:
    """For each model the sizes that are worth having, with their speeds. O(entries + sizes).

    sizes: those allowed, rising. Where the speeds name sizes of a model, there are no others. Of a
    model that they do not name, the job is taken to be as fast as on the first that they do.
    """
    said = _Said(speeds)
    found = [said.levels(model, sizes, normal_gpus) for model in models]
    first = next((levels for levels in found if levels), ())
    if not said.is_silent:
        found = [first if levels is None else levels for levels in found]
    return tuple(levels or () for levels in found)


class _Said:
    """Speeds by (model, number of GPUs), of which 'any' is "" and 0."""

    def __init__(self, speeds: Speeds) -> None:
        self.is_silent = not speeds
        self._by_size: dict[tuple[str, int], list[tuple[int, int]]] = {}
        for entry in speeds:
            found = self._by_size.setdefault((entry.gpu_type, entry.gpus), [])
            found.append((entry.nodes or 1 << 30, entry.speed_micro))
        for found in self._by_size.values():
            found.sort()

    def levels(self, model: Model, sizes: Sequence[int], normal_gpus: int) -> Levels | None:
        """The rising levels on the model; None: nothing is said of it."""
        by_size, names = self._by_size, (model.name, "")
        named = {gpus for name, gpus in by_size if gpus in sizes and name in names}
        any_size = next((by_size[name, 0] for name in names if (name, 0) in by_size), None)
        if not named and any_size is None and not self.is_silent:
            return None
        levels: list[tuple[int, int]] = []
        for gpus in sizes:
            if named and gpus not in named:
                continue
            nodes = -(-gpus // max(1, model.per_node))
            speed = self._speed(names, gpus, nodes)
            if speed is None:
                factor = _on_nodes(any_size, nodes) if any_size else NORMAL_MICRO
                speed = scaled(gpus, normal_gpus) * (factor or 0) // NORMAL_MICRO
            if speed > (levels[-1][1] if levels else 0):
                levels.append((gpus, speed))
        return tuple(levels)

    def _speed(self, names: tuple[str, str], gpus: int, nodes: int) -> int | None:
        """What is said of exactly this size; the model's own word before the general one."""
        for name in names:
            found = self._by_size.get((name, gpus))
            speed = _on_nodes(found, nodes) if found else None
            if speed is not None:
                return speed
        return None


def _on_nodes(found: list[tuple[int, int]], nodes: int) -> int | None:
    """The speed of the smallest bound that so many nodes keep to; None: of none."""
    return next((speed for most, speed in found if nodes <= most), None)
