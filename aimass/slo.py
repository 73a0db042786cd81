"""Goals of `massctl sim size`: `wait_p95<30m`, `slo_attainment>=95%`, joined by commas."""

import re
from typing import Any

from aimass import units

# Figures that more nodes make better, as the summary of a run names them.
TIMES = tuple(
    f"{name}_s"
    for name in ("wait_mean", "wait_p95", "jct_mean", "jct_p50", "jct_p95", "jct_p99", "makespan")
)
COUNTS = ("preemptions", "restarts", "gpu_h_lost")
PARTS = ("slo_attainment",)
NO_GOALS = ("gpu_util", "frag", "cost")

_GOAL = re.compile(r"\s*([a-z_0-9]+)\s*(<=|>=|<|>)\s*(\S+)\s*\Z")
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?\Z")
NAMES = (*(name.removesuffix("_s") for name in TIMES), *COUNTS, *PARTS)
SLO_ALLOWED = f"FIGURE<VALUE such as wait_p95<30m or slo_attainment>95%, of {', '.join(NAMES)}"


def parse_goals(text: object) -> list[dict[str, Any]]:
    """Turn "wait_p95<30m" into the fields of simulator.size.Goal. Raises ValueError."""
    goals = [_goal(part) for part in str(text).split(",")]
    if len({goal["figure"] for goal in goals}) < len(goals):
        raise ValueError("one goal for each figure")
    return goals


def value_text(figure: str, value: float) -> str:
    """Write a figure as goals are written: 12m30s, 96.2%, 17."""
    if figure in TIMES:
        return units.duration_text(round(value) * 1000) if value >= 1 or not value else f"{value}s"
    return f"{100 * value:.2f}%" if figure in PARTS else f"{value:g}"


def _goal(part: str) -> dict[str, Any]:
    found = _GOAL.match(part)
    if found is None:
        raise ValueError(SLO_ALLOWED)
    name, sign, word = found.groups()
    figure = f"{name}_s" if f"{name}_s" in TIMES else name
    if figure in NO_GOALS:
        raise ValueError(f"a goal: more nodes do not improve {name}; {SLO_ALLOWED}")
    if figure not in (*TIMES, *COUNTS, *PARTS):
        raise ValueError(SLO_ALLOWED)
    is_more = figure in PARTS
    if sign.startswith(">") != is_more:
        better, right = ("higher", ">") if is_more else ("lower", "<")
        raise ValueError(f"a goal: more nodes make {name} {better}; write {name}{right}{word}")
    limit = _limit(figure, name, word)
    return {
        "figure": figure,
        "is_more": is_more,
        "may_equal": "=" in sign,
        "limit": limit,
        "text": f"{name}{sign}{word}",
    }


def _limit(figure: str, name: str, word: str) -> float:
    if figure in TIMES:
        try:
            return units.span_ms(word) / 1000
        except ValueError as error:
            raise ValueError(f"a goal: {name} is {error}") from None
    digits = word.removesuffix("%") if figure in PARTS else word
    if not _NUMBER.match(digits):
        kind = "a part such as 0.95 or 95%" if figure in PARTS else "a number"
        raise ValueError(f"a goal: {name} is {kind}")
    value = float(digits) / (100 if digits != word else 1)
    if figure in PARTS and value > 1:
        raise ValueError(f"a goal: {name} is a part such as 0.95 or 95%")
    return value
