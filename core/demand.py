"""Demand: what has been submitted lately, by class of pods. What placement learns from.

Nothing here knows the future: the window holds submissions that were seen, each half as heavy after
so many further ones. It is part of the state, and all integers, so that every replay, snapshot and
standby knows the same. Bounded: CLASSES_MAX classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aimass.core.shapes import Shape, class_of

HALF_LIFE_MIN = 4096  # submissions
HALF_LIFE_PER_NODE = 4  # about half a cluster full of them
FIRST_LOOK = 4  # submissions
MOVED_PERCENT = 10  # of the mix, before prices are made anew
CLASSES_MAX = 512  # the heaviest stay; openb's five lists have 88 to 249
ONE = 1 << 12  # a submission's weight when it is new
_FADE = (235, 256)  # the eighth root of a half


@dataclass(slots=True)
class Demand:
    """The window, and the mix of it that placement goes by: it lags, so that prices hold a while.

    seen: pods ever submitted. look_at: of these, when the two are compared next; fade_at: when all
    weights fade next.
    """

    seen: int = 0
    look_at: int = FIRST_LOOK
    fade_at: int = HALF_LIFE_MIN // 8
    weights: dict[Shape, int] = field(default_factory=dict)
    classes: dict[Shape, int] = field(default_factory=dict)

    def add(self, shape: Shape, nodes: int, count: int = 1) -> bool:
        """Count submissions of equal pods; say whether the mix that placement goes by changed.

        It is compared at twice as many submissions, later eight times per half-life, and replaced
        when a tenth of it has moved. O(1), and O(classes) when it is compared or fades.
        """
        kind = class_of(shape) if shape.memory_mib else shape
        weight = self.weights.get(kind, 0)
        self.weights[kind] = weight + count * ONE
        self.seen = seen = self.seen + count
        if not weight and len(self.weights) > CLASSES_MAX:
            self._drop_lightest()
        if seen < self.fade_at and seen < self.look_at:
            return False
        eighth = max(HALF_LIFE_MIN, HALF_LIFE_PER_NODE * nodes) // 8
        while self.seen >= self.fade_at:
            self.fade_at += eighth
            faded = {kind: w * _FADE[0] // _FADE[1] for kind, w in self.weights.items()}
            self.weights = {kind: w for kind, w in faded.items() if w}
        if self.seen < self.look_at:
            return False
        self.look_at = self.seen + min(self.seen, eighth)
        if not differ(self.weights, self.classes, MOVED_PERCENT):
            return False
        self.classes = dict(self.weights)
        return True

    def _drop_lightest(self) -> None:
        """Keep the heavier half: a user who asks for something else each time fills no memory."""
        heaviest = sorted(self.weights, key=lambda kind: (-self.weights[kind], kind))
        kept = set(heaviest[: CLASSES_MAX // 2])
        self.weights = {kind: w for kind, w in self.weights.items() if kind in kept}


def differ(one: Mapping[Shape, int], other: Mapping[Shape, int], percent: int) -> bool:
    """Say whether so much of the mix, or more, is of other classes in one than in the other."""
    ours, theirs = sum(one.values()), sum(other.values())
    if not theirs:
        return ours > 0
    kinds = one.keys() | other.keys()
    moved = sum(abs(one.get(kind, 0) * theirs - other.get(kind, 0) * ours) for kind in kinds)
    return 100 * moved >= 2 * percent * ours * theirs
