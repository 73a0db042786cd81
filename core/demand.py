"""Demand: what has been submitted lately, by class of pods, and how long it stays.

What placement learns from. Nothing here knows the future: the window holds submissions that were
seen, each half as heavy after so many further ones. What a class takes of a cluster is submissions
times life (Little, 1961), so a submission counts by how long pods of its class stay, compared with
all. It is part of the state, and all integers, so that every replay, snapshot and standby knows the
same. Bounded: CLASSES_MAX classes, and those of which a pod runs or has left lately.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aimass.core.shapes import Shape, class_of

HALF_LIFE_MIN = 4096  # submissions
HALF_LIFE_PER_NODE = 4  # about half a cluster full of them
FIRST_LOOK = 4  # submissions
MOVED_PERCENT = 10  # of the mix, before prices are made anew
AT_ONCE_MAX = 4  # half-lives; what is submitted together beyond that changes the mix no more
CLASSES_MAX = 512  # the heaviest stay; openb's five lists have 88 to 249
ONE = 1 << 12  # a submission's weight when it is new
LIFE_ONE = 1 << 10  # the relative life of a class that stays as long as all on average
# So many average lives are added to those seen: what is known of others says more than one pod.
LIVES_ASSUMED = 8
_FADE = (235, 256)  # the eighth root of a half


@dataclass(slots=True)
class Lives:
    """How long the pods of one class stay: of those that run, and of those that have left.

    starts_ms: sum over those that run. held_ms: sum over those that have left; left: their number,
    ONE each; both fade as the window does.
    """

    running: int = 0
    starts_ms: int = 0
    held_ms: int = 0
    left: int = 0


@dataclass(slots=True)
class Demand:
    """The window, and the mix of it that placement goes by: it lags, so that prices hold a while.

    seen: pods that were counted. look_at: of these, when the two are compared next; fade_at: when
    all weights fade next.
    """

    seen: int = 0
    look_at: int = FIRST_LOOK
    fade_at: int = HALF_LIFE_MIN // 8
    weights: dict[Shape, int] = field(default_factory=dict)
    classes: dict[Shape, int] = field(default_factory=dict)
    lasting: dict[Shape, int] = field(default_factory=dict)
    lives: dict[Shape, Lives] = field(default_factory=dict)

    def started(self, shape: Shape, at_ms: int, count: int = 1) -> None:
        """Equal pods hold their places from now on. O(1)."""
        kind = class_of(shape) if shape.memory_mib else shape
        lives = self.lives.get(kind)
        if lives is None:
            lives = self.lives[kind] = Lives()
        lives.running += count
        lives.starts_ms += count * at_ms

    def left(
        self, shape: Shape, started_ms: int, at_ms: int, count: int = 1, is_over: bool = True
    ) -> None:
        """Equal pods that `started` then give their places back. O(1).

        is_over: for good; else they come again, and what they held counts for the same life.
        """
        lives = self.lives[class_of(shape) if shape.memory_mib else shape]
        lives.running -= count
        lives.starts_ms -= count * started_ms
        lives.held_ms += count * (at_ms - started_ms)
        if is_over:
            lives.left += count * ONE

    def add(self, shape: Shape, nodes: int, count: int = 1, at_ms: int = 0) -> bool:
        """Count submissions of equal pods; say whether the mix that placement goes by changed.

        It is compared at twice as many submissions, later eight times per half-life, and replaced
        when a tenth of it has moved. O(1), and O(classes) when it is compared or fades.
        """
        kind = class_of(shape) if shape.memory_mib else shape
        eighth = max(HALF_LIFE_MIN, HALF_LIFE_PER_NODE * nodes) // 8
        left = min(count, AT_ONCE_MAX * 8 * eighth)
        while self.seen + left >= self.fade_at:  # of many at once the first are old already
            part = self.fade_at - self.seen
            self._count(kind, part)
            self._fade()
            self.fade_at += eighth
            left -= part
        if left:
            self._count(kind, left)
        if self.seen < self.look_at:
            return False
        self.look_at = self.seen + min(self.seen, eighth)
        lasting = self._lasting(at_ms)
        if not (
            differ(self.weights, self.classes, MOVED_PERCENT)
            or differ(lasting, self.lasting, MOVED_PERCENT)
        ):
            return False
        self.classes, self.lasting = dict(self.weights), lasting
        return True

    def _count(self, kind: Shape, count: int) -> None:
        weight = self.weights.get(kind, 0)
        self.weights[kind] = weight + count * ONE
        self.seen += count
        if not weight and len(self.weights) > CLASSES_MAX:
            self._drop_lightest()

    def _fade(self) -> None:
        faded = {kind: w * _FADE[0] // _FADE[1] for kind, w in self.weights.items()}
        self.weights = {kind: w for kind, w in faded.items() if w}
        for lives in self.lives.values():
            lives.held_ms = lives.held_ms * _FADE[0] // _FADE[1]
            lives.left = lives.left * _FADE[0] // _FADE[1]
        self.lives = {k: each for k, each in self.lives.items() if each.running or each.left}

    def _lasting(self, at_ms: int) -> dict[Shape, int]:
        """Give the weights times the relative lives of the classes, of which 0 is no weight.

        The life of a class is the time that its pods have held by the number of those that left:
        the likeliest mean, though some still run. Few lives say little: that of a class is drawn
        towards that of all of as many devices, and this one towards that of all.
        """
        held = {
            kind: each.held_ms + each.running * at_ms - each.starts_ms
            for kind, each in self.lives.items()
        }
        all_held, all_left = sum(held.values()), sum(each.left for each in self.lives.values())
        if not all_held or not all_left:
            return dict(self.weights)

        def relative(held_ms: int, left: int, assumed: int) -> int:
            seen = held_ms * all_left * LIFE_ONE // all_held
            return (seen + LIVES_ASSUMED * ONE * assumed) // (left + LIVES_ASSUMED * ONE)

        by_gpus: dict[int, tuple[int, int]] = {}
        for kind, each in self.lives.items():
            held_ms, left = by_gpus.get(kind.gpus, (0, 0))
            by_gpus[kind.gpus] = held_ms + held[kind], left + each.left
        usual = {gpus: relative(*group, LIFE_ONE) for gpus, group in by_gpus.items()}
        lasting = {}
        for kind, weight in self.weights.items():
            life = usual.get(kind.gpus, LIFE_ONE)
            if kind in held:
                life = relative(held[kind], self.lives[kind].left, life)
            lasting[kind] = max(1, weight * life // LIFE_ONE)
        return lasting

    def _drop_lightest(self) -> None:
        """Keep the heavier half: a user who asks for something else each time fills no memory."""
        heaviest = sorted(self.weights, key=lambda kind: (-self.weights[kind], kind))
        kept = set(heaviest[: CLASSES_MAX // 2])
        self.weights = {kind: w for kind, w in self.weights.items() if kind in kept}
        self.lives = {k: each for k, each in self.lives.items() if each.running or k in kept}


def differ(one: Mapping[Shape, int], other: Mapping[Shape, int], percent: int) -> bool:
    """Say whether so much of the mix, or more, is of other classes in one than in the other."""
    ours, theirs = sum(one.values()), sum(other.values())
    if not theirs:
        return ours > 0
    kinds = one.keys() | other.keys()
    moved = sum(abs(one.get(kind, 0) * theirs - other.get(kind, 0) * ours) for kind in kinds)
    return 100 * moved >= 2 * percent * ours * theirs
