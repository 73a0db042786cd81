"""Our own traces: one JSON object on every line. docs/simulator.md has the table of its fields."""

import json
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from aimass.core.speeds import NORMAL_MICRO, SpeedOn, Speeds
from aimass.simulator.pack_files import FileProblem, quoted
from aimass.simulator.trace_formats import GPUS_MAX, LineFormat
from aimass.simulator.tracejob import TraceJob

SETTING = ("gpu_type", "gpus", "nodes", "speed")
SECONDS_MAX = 10**12
PRIORITY_MAX = 1_000_000
SPEED_MAX = 1000
STEPS_MAX = 10**15
CPUS_MAX = 2**30 // 1000
MIB_MAX = 2**39
SPEEDS = (
    'speeds by GPU type such as {"A100": 1.8}, or settings such as '
    '[{"gpu_type": "A100", "gpus": 4, "nodes": 1, "speed": 3.5}], each setting once'
)


def job_of_line(path: Path, number: int, line: str) -> TraceJob:
    """The job of one line. Raises FileProblem."""
    try:
        value = _DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        fix = "write one whole JSON object on every line"
        raise FileProblem(path, number, f"no JSON ({error})", fix) from None
    return job_of(path, number, value)


def job_of(path: Path, number: int, value: Any) -> TraceJob:
    """The job of one decoded object, in which numbers are int or Decimal. Raises FileProblem."""
    try:
        return _job(value, number)
    except ValueError as error:
        what, _, fix = str(error).partition("; ")
        raise FileProblem(path, number, what, fix) from None


def _refused(word: str) -> Any:
    raise ValueError(f"{word} is no number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{quoted(twice)} comes twice")
    return found


def _job(value: Any, number: int) -> TraceJob:
    if not isinstance(value, dict):
        raise ValueError("no JSON object; write the job as {...}")
    given: dict[str, Any] = {}
    for name, word in value.items():
        field = _FIELDS.get(name)
        if field is None:
            raise ValueError(f"no field is called {quoted(name)}; choose of {', '.join(FIELDS)}")
        found = field.check(word)
        if found is None:
            raise ValueError(f"{name} is {quoted(str(word))}; give {field.allowed}")
        given[field.attribute] = found
    missing = [name for name in NEEDED if name not in value]
    if missing:
        raise ValueError(f"no {missing[0]}; every job has {', '.join(NEEDED)}")
    job = TraceJob(line=number, **given)
    if job.gpus_min or job.gpus_max:
        _check_bounds(job)
    return job


def _check_bounds(job: TraceJob) -> None:
    if not job.gpus_min or not job.gpus_max:
        raise ValueError("one of gpus_min and gpus_max; an elastic job has both")
    if job.gpus_min > job.gpus_max:
        raise ValueError(f"gpus_min {job.gpus_min} is above gpus_max; give the smaller one first")
    if job.gpu_milli % 1000:
        raise ValueError("an elastic job with a share of a GPU; give it whole ones")


def _parts(value: Any, most: int, per: int) -> int | None:
    """A number from 0 to `most` as a whole number of parts, `per` to one; None: it is none."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= most:
        return None
    parts = value * per
    return int(parts) if parts == int(parts) else None


def _ms(value: Any) -> int | None:
    return _parts(value, SECONDS_MAX, 1000)


def _cpu_milli(value: Any) -> int | None:
    return _parts(value, CPUS_MAX, 1000)


def _whole(least: int, most: int) -> Callable[[Any], int | None]:
    def check(value: Any) -> int | None:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return value if is_whole and least <= value <= most else None

    return check


def _gpu_milli(value: Any) -> int | None:
    milli = _parts(value, GPUS_MAX, 1000)
    return None if milli is None or (milli > 1000 and milli % 1000) else milli


def _text(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _priority(value: Any) -> int | None:
    return _whole(-PRIORITY_MAX, PRIORITY_MAX)(value)


def _types(value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
        return None
    return tuple(sorted({*value}))


def _speeds(value: Any) -> Speeds | None:
    """{"A100": 1.8}, or a list of settings; ordered, each once."""
    if isinstance(value, dict):
        value = [{"gpu_type": name, "speed": speed} for name, speed in value.items() if name]
    if not isinstance(value, list):
        return None
    found = [_speed_on(entry) for entry in value]
    speeds = sorted((one for one in found if one is not None), key=_setting)
    is_whole = len({_setting(one) for one in speeds}) == len(found)
    return tuple(speeds) if is_whole else None


def _speed_on(value: Any) -> SpeedOn | None:
    if not isinstance(value, dict) or not {*value} <= {*SETTING}:
        return None
    gpu_type, count = value.get("gpu_type", ""), _whole(0, GPUS_MAX)
    gpus, nodes = count(value.get("gpus", 0)), count(value.get("nodes", 0))
    speed_micro = _parts(value.get("speed"), SPEED_MAX, NORMAL_MICRO)
    if not isinstance(gpu_type, str) or gpus is None or nodes is None or not speed_micro:
        return None
    return SpeedOn(gpu_type, gpus, nodes, speed_micro)


def _setting(one: SpeedOn) -> tuple[str, int, int]:
    return one.gpu_type, one.gpus, one.nodes


class _Field(NamedTuple):
    """What a field is of a TraceJob; its value there, or None: it cannot be; and what can."""

    attribute: str
    check: Callable[[Any], Any]
    allowed: str


_SECONDS = f"seconds from 0 to {SECONDS_MAX}, at most three decimals"
_AMOUNT = "a whole number of at least 0"
_BOUND = f"a whole number from 1 to {GPUS_MAX}"
_GPUS = f"whole GPUs up to {GPUS_MAX}, or a share such as 0.25"
_CORES = f"cores up to {CPUS_MAX}, at most three decimals"
_FIELDS = {
    "id": _Field("name", _text, "a text or a whole number"),
    "submit_s": _Field("submit_ms", _ms, _SECONDS),
    "run_s": _Field("work_ms", _ms, _SECONDS),
    "gpus": _Field("gpu_milli", _gpu_milli, _GPUS),
    "user": _Field("user", _text, "a text"),
    "queue": _Field("queue", _text, "a text"),
    "priority": _Field("priority", _priority, f"a whole number up to {PRIORITY_MAX}"),
    "gpu_types": _Field("gpu_types", _types, "a list of GPU types"),
    "slo_s": _Field("slo_ms", _ms, _SECONDS),
    "speeds": _Field("speeds", _speeds, f"{SPEEDS}, each above 0 and at most {SPEED_MAX}"),
    "app": _Field("app", _text, "a text"),
    "steps": _Field("steps", _whole(0, STEPS_MAX), _AMOUNT),
    "batch": _Field("batch", _whole(0, STEPS_MAX), _AMOUNT),
    "gpus_min": _Field("gpus_min", _whole(1, GPUS_MAX), _BOUND),
    "gpus_max": _Field("gpus_max", _whole(1, GPUS_MAX), _BOUND),
    "told_s": _Field("told_ms", _ms, _SECONDS),
    "cpus": _Field("cpu_milli", _cpu_milli, _CORES),
    "memory_mib": _Field("memory_mib", _whole(0, MIB_MAX), f"whole MiB up to {MIB_MAX}"),
}
FIELDS = tuple(_FIELDS)
NEEDED = FIELDS[:4]
_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_refused, object_pairs_hook=_once)


JSONL = LineFormat(
    "jsonl",
    lambda line: line.lstrip().startswith("{"),
    lambda trace, perf: partial(job_of_line, trace),
)
