"""Axes of charts: where values go, round ticks, and how numbers are written for people."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

TICKS_MAX = 7
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
# Steps of an axis of time that people count in.
_TIME_STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(_MINUTE * each for each in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * each for each in (1, 2, 3, 6, 12)),
    *(_DAY * each for each in (1, 2, 5, 10, 20, 30, 60, 100, 200, 365, 730)),
)
_LOG_TIMES = (
    *(1, 10, _MINUTE, 10 * _MINUTE, _HOUR, 6 * _HOUR),
    *(_DAY * each for each in (1, 10, 100, 1000, 10_000, 100_000)),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """One axis: from low to high, evenly or by factors; the ticks with their words."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    is_log: bool = False

    def part(self, value: float) -> float:
        """Where the value is between low (0) and high (1); beyond either it stays at the edge."""
        low, high = self.low, self.high
        value = min(max(value, low), high)
        if self.is_log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)


def linear(
    low: float, high: float, text: Callable[[float], str] | None = None, is_whole: bool = False
) -> Scale:
    """An axis that ends at round numbers. text: how a tick is written. is_whole: steps of 1 up."""
    step = _round_step((high - low) / (TICKS_MAX - 1) or 1)
    step = max(1.0, step) if is_whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    ticks = [step * index for index in range(first, last + 1)]
    write = text or _plain(step)
    return Scale(ticks[0], ticks[-1], tuple((tick, write(tick)) for tick in ticks))


def times(high_s: float) -> Scale:
    """An axis of time from 0, in seconds, which ends where the data do."""
    high_s = max(high_s, 1)
    longest = round(_DAY * _round_step(high_s / TICKS_MAX / _DAY))
    step = next((each for each in _TIME_STEPS if high_s / each <= TICKS_MAX), longest)
    marks = range(0, math.floor(high_s) + 1, step)
    return Scale(0, high_s, tuple((mark, span(mark)) for mark in marks))


def log_times(values: Sequence[float]) -> Scale:
    """An axis of seconds by factors; what is below a second is at the edge."""
    low = max(1.0, min(values, default=1.0))
    high = max(10.0, *values) if values else 10.0
    first = max(mark for mark in _LOG_TIMES if mark <= low)
    last = next((mark for mark in _LOG_TIMES if mark >= high), high)
    if last <= first:
        last = first * 10
    marks = [mark for mark in _LOG_TIMES if first <= mark <= last]
    return Scale(first, last, tuple((mark, span(mark)) for mark in marks), is_log=True)


def _round_step(least: float) -> float:
    """The next of 1, 2, 5, 10, 20, ..."""
    magnitude = 10.0 ** math.floor(math.log10(least))
    return next(each * magnitude for each in (1, 2, 5, 10) if each * magnitude >= least * 0.999)


def _plain(step: float) -> Callable[[float], str]:
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return lambda value: f"{value:,.{digits}f}"


def span(seconds: float) -> str:
    """A time in the unit that suits it: "0 s", "5 min", "1.5 h", "12 d"."""
    if seconds >= 2 * _DAY or (seconds >= _DAY and seconds % _DAY == 0):
        return f"{number(seconds / _DAY)} d"
    if seconds >= _HOUR:
        return f"{number(seconds / _HOUR)} h"
    if seconds >= _MINUTE:
        return f"{number(seconds / _MINUTE)} min"
    return f"{number(seconds)} s"


def number(value: float) -> str:
    """Three digits that count, with commas: "0.125", "12.5", "1,250"."""
    if not value:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value)) + 1e-9))
    text = f"{value:,.{min(digits, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(part: float) -> str:
    """A part of 1: "7.25 %"."""
    return f"{number(100 * part)} %"
