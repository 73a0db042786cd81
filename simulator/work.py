"""Work: what is left of one job, and how it proceeds where it runs.

The world only knows how long it takes from here and how much time counted. TimedWork is what a
trace says: a run time at normal speed, and speeds in other settings.
"""

from typing import NamedTuple, Protocol

from aimass.core.speeds import NORMAL_MICRO, Speeds, speed_on


class Setting(NamedTuple):
    """Where a gang runs: GPUs of one model, so many on each of its nodes, in the order of ranks.

    A share of a GPU counts as one.
    """

    gpu_type: str
    per_node: tuple[int, ...]

    @property
    def gpus(self) -> int:
        return sum(self.per_node)


class Work(Protocol):
    """One job's work. Time is that of a gang that nothing slows down; see `paces`."""

    report_every_ms: int  # how often its program says what is left and what it measured; 0: never

    def duration_ms(self, on: Setting) -> int:
        """How long until it is done, if it goes on there undisturbed."""
        ...

    def advance(self, on: Setting, elapsed_ms: int) -> None:
        """It worked for so long there, and that work is not lost any more."""
        ...

    def left_ms(self) -> int:
        """What is left at normal speed, as it is reported."""
        ...

    def speeds(self) -> Speeds:
        """What its program has measured by now, and reports; (): nothing."""
        ...


class TimedWork:
    """Work of so many ms at normal speed; the gang's normal size is `gpus`.

    Where nobody says how fast it is: as fast as normal on another model, and in another size in
    proportion to it.
    """

    __slots__ = ("_gpus", "_left_nano", "_speeds", "report_every_ms")

    def __init__(self, work_ms: int, gpus: int = 1, speeds: Speeds = ()) -> None:
        self._left_nano = work_ms * NORMAL_MICRO
        self._gpus, self._speeds = gpus, speeds
        self.report_every_ms = 0

    def _speed_micro(self, on: Setting) -> int:
        per_node = on.per_node
        gpus = per_node[0] if len(per_node) == 1 else sum(per_node)
        if not self._speeds:
            return NORMAL_MICRO if gpus == self._gpus else NORMAL_MICRO * gpus // self._gpus
        speed = speed_on(self._speeds, on.gpu_type, gpus, len(per_node))
        if speed is None:
            asked = speed_on(self._speeds, on.gpu_type, self._gpus, len(per_node))
            speed = (NORMAL_MICRO if asked is None else asked) * gpus // self._gpus
        assert speed, f"placed on {gpus} x {on.gpu_type}, where it cannot run"
        return speed

    def duration_ms(self, on: Setting) -> int:
        """See Work; rounded up. O(speeds), once for each setting."""
        return -(-self._left_nano // self._speed_micro(on))

    def advance(self, on: Setting, elapsed_ms: int) -> None:
        """See Work."""
        self._left_nano -= elapsed_ms * self._speed_micro(on)

    def left_ms(self) -> int:
        """See Work; rounded up."""
        return -(-self._left_nano // NORMAL_MICRO)

    def speeds(self) -> Speeds:
        """See Work: it measures nothing."""
        return ()
