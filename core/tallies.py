"""Rows that only count: of an array as a whole, of how long runs take, of what moves have cost."""

from dataclasses import dataclass

from aimass.core.model import JobId


@dataclass(slots=True)
class ArrayRow:
    """What is known of an array as a whole.

    Derived from its tasks: active, those that hold or own capacity; kept, those still in `jobs`.
    """

    id: JobId
    indexes: tuple[int, ...]
    total: int
    over: int = 0
    failed: int = 0  # of those over: not SUCCEEDED
    active: int = 0
    kept: int = 0


@dataclass(slots=True)
class RunTime:
    """How long runs of one (user, name, queue) took: smoothed mean and mean deviation, ms.

    As TCP smooths round-trip times (RFC 6298): integer arithmetic, recent runs count most.
    """

    count: int = 0
    mean_ms: int = 0
    spread_ms: int = 0


@dataclass(frozen=True, slots=True)
class Moved:
    """What the moves of one plan have cost: lost work and restarts, GPU-milliseconds."""

    at_ms: int
    lost_gpu_ms: int
