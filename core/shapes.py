"""Shapes: what a pod asks of one node, as far as packing looks."""

from typing import NamedTuple


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
