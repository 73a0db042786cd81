"""The nodes as arrays: what the kernels of packing read. One index is one node, in tie order."""

from typing import Any, NamedTuple

import numpy as np

from aimass.core.shapes import Shape

DEVICES = 8  # per node at most
GPU_MILLI = 1000  # of a whole device
TAGS = DEVICES + 1  # pods of a share of a device, and of 1..8 devices
ANY_MODEL = -1  # all bits
MODELS_MAX = 62  # bits of a signed integer that are left

Array = Any  # NumPy's arrays are untyped here


class Nodes(NamedTuple):
    """All nodes, an array each. What is absent, lost or sick has nothing free."""

    cpu_free: Array  # milli-CPU, [nodes]
    memory_free: Array  # MiB, [nodes]
    gpu_free: Array  # milli-GPU, [nodes, DEVICES]
    gpus: Array  # devices that are there and well, [nodes]
    model: Array  # index of the GPU model, [nodes]
    tags: Array  # pods held, by tag, [nodes, TAGS]
    is_there: Array  # 0 or 1, [nodes]
    state: Array  # a number that nodes of equal free amounts and model share, [nodes]


class Books(NamedTuple):
    """What nodes have and what of it is taken; free is the difference, and never below 0."""

    cpu_size: Array  # milli-CPU, [nodes]
    memory_size: Array  # MiB, [nodes]
    gpu_size: Array  # milli-GPU, [nodes, DEVICES]
    cpu_used: Array
    memory_used: Array
    gpu_used: Array


class Ask(NamedTuple):
    """A shape as the kernels read it."""

    cpu_milli: int
    memory_mib: int
    gpus: int
    gpu_milli: int
    models: int  # one bit per model that will do


def empty_nodes(room: int) -> tuple[Nodes, Books]:
    """Give arrays for so many nodes, none of which is there."""
    flat, wide = (room,), (room, DEVICES)
    shapes = (flat, flat, wide, flat, flat, (room, TAGS), flat, flat)
    nodes = Nodes(*(np.zeros(shape, np.int64) for shape in shapes))
    return nodes, Books(*(np.zeros(shape, np.int64) for shape in (flat, flat, wide) * 2))


def grown(arrays: tuple[Array, ...], room: int) -> list[Array]:
    """Give copies of arrays with room for more nodes."""
    larger = [np.zeros((room, *array.shape[1:]), array.dtype) for array in arrays]
    for old, new in zip(arrays, larger, strict=True):
        new[: len(old)] = old
    return larger


def tag_of(shape: Shape) -> int:
    """Give the kind of pod that GPU clustering keeps together: 0 for shares, else its devices."""
    return 0 if shape.is_share else shape.gpus


class Models:
    """Numbers for the names of GPU models, in the order in which they were first seen."""

    def __init__(self) -> None:
        self.number: dict[str, int] = {}

    def has_room(self, name: str) -> bool:
        """Say whether a model has a number, or could get one."""
        return name in self.number or len(self.number) < MODELS_MAX

    def number_of(self, name: str) -> int:
        """Give the number of a model. Raises ValueError beyond MODELS_MAX of them."""
        if name not in self.number:
            if len(self.number) == MODELS_MAX:
                raise ValueError(f"more than {MODELS_MAX} GPU models; the next is {name!r}")
            self.number[name] = len(self.number)
        return self.number[name]

    def ask(self, shape: Shape) -> Ask:
        """Give a shape as the kernels read it."""
        return Ask(
            shape.cpu_milli,
            shape.memory_mib,
            shape.gpus,
            shape.gpu_milli,
            self.bits(shape.models),
        )

    def bits(self, names: tuple[str, ...]) -> int:
        """Give the models that will do, a bit each; one that no node ever had is left out."""
        if not names:
            return ANY_MODEL
        return sum(1 << number for number in {self.number[n] for n in names if n in self.number})
