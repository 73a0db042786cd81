"""What a benchmark gives: records of one number each, and how they are shown.

The value of a record is the median over rounds, or, for a percentile, that of all its samples. The
spread is always the largest minus the smallest round: plain, and honest on a busy machine.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Record:
    """One measured number. n: how many single measurements are behind it."""

    name: str
    value: float
    unit: str
    spread: float
    n: int


@dataclass(frozen=True, slots=True)
class Aim:
    """What a record should reach: a limit from above, or from below for rates."""

    limit: float
    is_upper: bool

    def is_met_by(self, value: float) -> bool:
        """Whether a value reaches it."""
        return value <= self.limit if self.is_upper else value >= self.limit

    def __str__(self) -> str:
        return f"{'≤' if self.is_upper else '≥'} {self.limit:,g}"


def of_rounds(name: str, unit: str, rounds: Sequence[float], n: int) -> Record:
    """The median of the rounds' values; the spread is their range. n: measurements in all."""
    return Record(name, _short(median(rounds)), unit, _short(max(rounds) - min(rounds)), n)


def percentiles(name: str, unit: str, rounds: Sequence[Sequence[float]]) -> list[Record]:
    """`name_p50` and `name_p99` of all samples; the spread is the range of the rounds' own."""
    samples = [sample for each in rounds for sample in each]
    return [
        Record(
            f"{name}_p{percent}",
            _short(percentile(samples, percent)),
            unit,
            _short(
                max(percentile(each, percent) for each in rounds)
                - min(percentile(each, percent) for each in rounds)
            ),
            len(samples),
        )
        for percent in (50, 99)
    ]


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that so many percent of them do not exceed (nearest rank)."""
    return sorted(samples)[max(0, math.ceil(len(samples) * percent / 100) - 1)]


def _short(value: float) -> float:
    """Four digits: more would be noise."""
    return float(f"{value:.4g}")


def as_json(records: Sequence[Record]) -> str:
    """The agreed form: `[{name, value, unit, spread, n}]`."""
    return json.dumps([asdict(record) for record in records], indent=1)


def as_table(records: Sequence[Record], aims: dict[str, Aim]) -> str:
    """For people: one line per record, with its aim and whether it is met."""
    rows = [("NAME", "VALUE", "UNIT", "SPREAD", "N", "AIM", "MET")]
    for record in records:
        aim = aims.get(record.name)
        met = "" if aim is None else "yes" if aim.is_met_by(record.value) else "NO"
        numbers = (f"{record.value:,g}", record.unit, f"{record.spread:,g}", f"{record.n:,}")
        rows.append((record.name, *numbers, "" if aim is None else str(aim), met))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i in (1, 3, 4) else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
