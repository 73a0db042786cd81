"""What part of the time each job should have on each model of GPU, in millionths, by Gavel's goals.

A plain table in, a plain table out: the programs are in lp_goals.py, and loaded when they are
needed. Where there is no solver, or it finds nothing, each gets its part of everything.
"""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

WHOLE_MICRO = 1_000_000
LEAST_MICRO = 1_000  # a share below this is the noise of an interior solution


class Goal(Enum):
    """What the shares are for."""

    MAX_MIN = "max-min"
    FINISH_TIME_FAIRNESS = "ftf"
    MAKESPAN = "makespan"
    COST = "cost"


class Row(NamedTuple):
    """A job to share GPUs with. Times in ms.

    gpus: of its gang. speeds: by model, in millionths of its normal speed; 0: it cannot run there.
    left_ms, worked_ms: work at normal speed. due_ms: until then; 0: whenever.
    """

    gpus: int
    speeds: tuple[int, ...]
    queue: str = ""
    left_ms: int = 0
    worked_ms: int = 0
    age_ms: int = 0
    due_ms: int = 0


class Table(NamedTuple):
    """All that shares rest on.

    capacity, prices: by model; no prices: all cost the same. rows: at least one, and every job runs
    somewhere. weights: of queues; those that are not here weigh 1.
    """

    goal: Goal
    capacity: tuple[int, ...]
    rows: tuple[Row, ...]
    prices: tuple[float, ...] = ()
    weights: tuple[tuple[str, int], ...] = ()


class Shares(NamedTuple):
    """Of each job on each model, in millionths of the time. is_solved: by the goal's program."""

    micro: tuple[tuple[int, ...], ...]
    is_solved: bool


def shares_of(table: Table) -> Shares:
    """The shares that the goal asks for. About five programs, or one for each level."""
    try:
        found = _solved(table)
    except ImportError:
        found = None
    if found is None:
        return Shares(_proportional(table), False)
    return Shares(tuple(tuple(_micro(share) for share in row) for row in found), True)


def _micro(share: float) -> int:
    micro = round(share * WHOLE_MICRO)
    return micro if micro >= LEAST_MICRO else 0


def _proportional(table: Table) -> tuple[tuple[int, ...], ...]:
    """Each of n jobs gets an n-th of every model, for as long as its gang can have that much."""
    jobs, found = len(table.rows), []
    for row in table.rows:
        there = zip(table.capacity, row.speeds, strict=True)
        parts = [WHOLE_MICRO * gpus // (jobs * row.gpus) if speed else 0 for gpus, speed in there]
        total = max(WHOLE_MICRO, sum(parts))
        found.append(tuple(part * WHOLE_MICRO // total for part in parts))
    return tuple(found)


def _solved(table: Table) -> Sequence[Sequence[float]] | None:
    """Raises ImportError without NumPy or HiGHS."""
    from aimass.policies.lp_table import solve

    return solve(table)
