"""Our own traces: one JSON object on every line. docs/simulator.md has the table of its fields."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from aimass.simulator.pack_files import FileProblem, quoted
from aimass.simulator.trace_formats import GPUS_MAX
from aimass.simulator.tracejob import QUEUE, TraceJob

NEEDED = ("id", "submit_s", "run_s", "gpus")
FIELDS = (*NEEDED, "user", "queue", "priority", "gpu_types", "slo_s", "speeds")
SECONDS_MAX = 10**12
PRIORITY_MAX = 1_000_000
SPEED_MAX = 1000


def job_of_line(path: Path, number: int, line: str) -> TraceJob:
    """The job of one line. Raises FileProblem."""
    try:
        value = json.loads(line, parse_float=Decimal, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        fix = "write one whole JSON object on every line"
        raise FileProblem(path, number, f"no JSON ({error})", fix) from None
    try:
        return _job(value, number)
    except ValueError as error:
        what, _, fix = str(error).partition("; ")
        raise FileProblem(path, number, what, fix) from None


def _refused(word: str) -> Any:
    raise ValueError(f"{word} is no number")


def _job(value: Any, number: int) -> TraceJob:
    if not isinstance(value, dict):
        raise ValueError("no JSON object; write the job as {...}")
    unknown = [name for name in value if name not in FIELDS]
    if unknown:
        raise ValueError(f"no field is called {quoted(unknown[0])}; choose of {', '.join(FIELDS)}")
    missing = [name for name in NEEDED if name not in value]
    if missing:
        raise ValueError(f"no {missing[0]}; every job has {', '.join(NEEDED)}")

    def field(name: str, check: Callable[[Any], Any], default: Any, allowed: str) -> Any:
        if name not in value:
            return default
        found = check(value[name])
        if found is None:
            raise ValueError(f"{name} is {quoted(str(value[name]))}; give {allowed}")
        return found

    seconds = f"seconds from 0 to {SECONDS_MAX}, at most three decimals"
    return TraceJob(
        field("id", _text, "", "a text or a whole number"),
        field("submit_s", _ms, 0, seconds),
        field("run_s", _ms, 0, seconds),
        field("gpus", _gpu_milli, 0, f"whole GPUs up to {GPUS_MAX}, or a share such as 0.25"),
        number,
        user=field("user", _text, "", "a text"),
        queue=field("queue", _text, QUEUE, "a text"),
        priority=field("priority", _priority, 0, f"a whole number up to {PRIORITY_MAX}"),
        gpu_types=field("gpu_types", _types, (), "a list of GPU types"),
        slo_ms=field("slo_s", _ms, 0, seconds),
        speeds=field("speeds", _speeds, (), 'speeds by GPU type, such as {"A100": 1.8}'),
    )


def _milli(value: Any, most: int) -> int | None:
    """A number from 0 to `most` with at most three decimals, in thousandths; None: it is none."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= most:
        return None
    milli = value * 1000
    return int(milli) if milli == int(milli) else None


def _ms(value: Any) -> int | None:
    return _milli(value, SECONDS_MAX)


def _gpu_milli(value: Any) -> int | None:
    milli = _milli(value, GPUS_MAX)
    return None if milli is None or (milli > 1000 and milli % 1000) else milli


def _text(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _priority(value: Any) -> int | None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and abs(value) <= PRIORITY_MAX else None


def _types(value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
        return None
    return tuple(sorted({*value}))


def _speeds(value: Any) -> tuple[tuple[str, int], ...] | None:
    if not isinstance(value, dict):
        return None
    speeds = tuple((name, _milli(speed, SPEED_MAX)) for name, speed in sorted(value.items()))
    return None if not all(milli for _, milli in speeds) else speeds  # type: ignore[return-value]
