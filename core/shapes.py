"""Shapes: what a pod asks of one node, as far as packing looks."""

from functools import lru_cache
from typing import NamedTuple

from aimass.core.spec import WHOLE_GPU_MILLI, Need

TOGETHER_MAX = 8  # whole devices that a gang likes to have on one node


class Shape(NamedTuple):
    """The resources of one pod, which all come from one node. Equal shapes score equally."""

    cpu_milli: int
    memory_mib: int
    gpus: int  # devices, 0..8
    gpu_milli: int  # of each device; 1000 is a whole one; 0 when there are none
    models: tuple[str, ...]  # that will do, sorted and without repeats; () is any

    @property
    def total_milli(self) -> int:
        """The milli-GPU of all its devices."""
        return self.gpus * self.gpu_milli

    @property
    def is_share(self) -> bool:
        """Whether it wants a part of one device."""
        return self.gpus == 1 and self.gpu_milli < 1000


def class_of(shape: Shape) -> Shape:
    """Give the class of a shape: memory does not count."""
    return shape._replace(memory_mib=0)


def shape_of(need: Need, shards: int, share_milli: int) -> Shape:
    """Give the shape of so many shards on one node: the sum of whole devices, or one share.

    share_milli: what a share by memory comes to, see NodeIndex.least_share. A least memory of the
    devices is no part of it.
    """
    if need.has_gpu and share_milli < WHOLE_GPU_MILLI:
        return Shape(need.cpu_milli, need.memory_mib, 1, share_milli, models_of(need))
    gpu_milli = WHOLE_GPU_MILLI if need.has_gpu else 0
    cpu_milli, memory_mib = shards * need.cpu_milli, shards * need.memory_mib
    return Shape(cpu_milli, memory_mib, shards * need.devices, gpu_milli, models_of(need))


def models_of(need: Need) -> tuple[str, ...]:
    """Give the models that will do, as a shape names them."""
    return tuple(sorted(set(need.gpu_types))) if need.has_gpu else ()


def pods_of(need: Need, shards: int, share_milli: int) -> tuple[tuple[Shape, int], ...]:
    """Give the classes of pods that a role asks for, and how many of each.

    Whole devices are asked for together, up to eight: a rank per GPU is the usual way to ask for
    nodes, so eight shards of one GPU want a whole one.
    """
    what = (need.gpu_milli, need.gpu_share_mib, need.cpu_milli, need.gpu_types)
    return _pods(*what, shards, share_milli)  # by plain values: a Need is slow to hash


@lru_cache(maxsize=4096)
def _pods(
    gpu_milli: int,
    gpu_share_mib: int,
    cpu_milli: int,
    gpu_types: tuple[str, ...],
    shards: int,
    share_milli: int,
) -> tuple[tuple[Shape, int], ...]:
    need = Need(gpu_milli, cpu_milli, 0, gpu_types, gpu_share_mib=gpu_share_mib)
    each = 1
    if need.has_gpu and share_milli >= WHOLE_GPU_MILLI:
        each = min(shards, max(1, TOGETHER_MAX // need.devices))
    full, rest = divmod(shards, each)
    counts = ((each, full), (rest, 1)) if rest else ((each, full),)
    return tuple((shape_of(need, n, share_milli), count) for n, count in counts)
