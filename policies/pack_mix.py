"""A mix of task classes as tables: what a free device is worth to the pods that usually come.

A class wants all of a node's free milli-GPU or finds some of it useless (placement of pods by
fragmentation: Weng et al., "Beware of Fragmentation", USENIX ATC 2023). With weights w of the
classes and W their sum, the fragmentation of a node, times W, is

    F = W * free  -  sum over devices d of  free_d * one[cpu, model, free_d]
                  -  1000 * whole * many[cpu, model, whole]

one: the weight of the classes of one device, or a share, that this device and this node's CPU and
model satisfy; many: that of the classes of 2..8 whole devices which `whole` idle ones satisfy. So
a node costs a look-up per device, whatever the number of classes.
"""

from collections.abc import Mapping, Sequence
from math import ceil, log
from typing import NamedTuple

import numpy as np

from aimass.core.shapes import Shape, class_of
from aimass.policies.pack_state import DEVICES, GPU_MILLI, Array, Models

TYPICAL_PERCENT = 95


class Mix(NamedTuple):
    """Tables of one mix of classes; all integers, so that equal nodes score equally anywhere."""

    cpu_steps: Array  # distinct milli-CPU of the classes, ascending, [steps]
    rank_of: Array  # free milli-GPU -> how many distinct sizes of classes fit, [1001]
    one: Array  # weight, [steps + 1, models, ranks]
    many: Array  # weight, [steps + 1, models, DEVICES + 1]
    weight: int  # of all classes
    cuts: Array  # the least gradient, times weight, that scores 1, 2, ... 99 of 100, [99]


def mix_of(classes: Mapping[Shape, int], models: Models) -> Mix:
    """Give the tables of classes and their weights. Memory and sizes above one node do not count.

    A class of several devices counts as one of whole devices. O(classes * steps * models).
    """
    known = [(models.ask(shape), weight) for shape, weight in classes.items() if weight > 0]
    steps = np.array(sorted({ask.cpu_milli for ask, _ in known}), np.int64)
    sizes = sorted({ask.gpu_milli for ask, _ in known if ask.gpus == 1})
    rank_of = np.searchsorted(np.array(sizes, np.int64), np.arange(GPU_MILLI + 1), side="right")
    width = max(1, len(models.number))
    one: Array = np.zeros((len(steps) + 1, width, len(sizes) + 1), np.int64)
    many: Array = np.zeros((len(steps) + 1, width, DEVICES + 1), np.int64)
    for ask, weight in known:
        step = int(np.searchsorted(steps, ask.cpu_milli)) + 1
        fitting = [number for number in range(width) if ask.models >> number & 1]
        if ask.gpus == 1:
            one[step:, fitting, sizes.index(ask.gpu_milli) + 1 :] += weight
        elif ask.gpus:
            many[step:, fitting, ask.gpus :] += weight
    total = sum(weight for _, weight in known)
    return Mix(steps, rank_of.astype(np.int64), one, many, total, _cuts(total))


def _cuts(weight: int) -> Array:
    """Give where 100 times the logistic function of a gradient in GPUs passes 1, 2, ... 99."""
    edges = [GPU_MILLI * log(score / (100 - score)) for score in range(1, 100)]
    return np.array([ceil(weight * edge) for edge in edges], np.int64)


def typical_classes(shapes: Sequence[Shape]) -> dict[Shape, int]:
    """Give the most popular classes that cover 95 % of the pods, first seen first among equals."""
    count: dict[Shape, int] = {}
    for shape in shapes:
        kind = class_of(shape)
        count[kind] = count.get(kind, 0) + 1
    kept: dict[Shape, int] = {}
    covered = 0
    for kind in sorted(count, key=lambda kind: -count[kind]):
        if 100 * covered >= TYPICAL_PERCENT * len(shapes):
            break
        kept[kind] = count[kind]
        covered += count[kind]
    return kept
