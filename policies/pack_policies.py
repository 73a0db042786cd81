"""The policies of packing by name, and what each is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aimass.core.shapes import Shape
from aimass.policies import pack_kernels as kernels
from aimass.policies.pack_learn import TERMS

KERNELS = {
    "random": kernels.RANDOM,
    "dotprod": kernels.DOT_PRODUCT,
    "gpu-clustering": kernels.CLUSTERING,
    "gpu-packing": kernels.PACKING,
    "best-fit": kernels.BEST_FIT,
    "fgd": kernels.FGD,
    "mass": kernels.MASS,
}
_WORD = (1 << 64) - 1


@dataclass(frozen=True)
class PackPolicy:
    """A policy with its options.

    classes: the mix that is known in advance, for fgd; mass learns its own. seed: of random's
    choices. terms: those of the score of mass that count.
    """

    name: str
    classes: Mapping[Shape, int] = field(default_factory=dict)
    seed: int = 0
    terms: tuple[str, ...] = TERMS

    @property
    def kernel(self) -> int:
        """The number that the kernels know it by."""
        return KERNELS[self.name]


class Stream:
    """Reproducible draws: the SplitMix64 sequence of a seed (Steele, Lea, Flood, 2014)."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _WORD

    def below(self, limit: int) -> int:
        """Draw an integer of 0..limit-1; limit far below 2**64, so that bias does not matter."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _WORD
        word = self._state
        word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & _WORD
        word = (word ^ word >> 27) * 0x94D049BB133111EB & _WORD
        return (word ^ word >> 31) % limit
