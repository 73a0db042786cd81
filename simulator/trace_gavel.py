"""Traces of the Gavel simulator (OSDI 2020): ten columns between tabs, and a table of throughputs.

A job has a type, so many steps to do and so many GPUs; how long that takes is in the table. Times
in the trace are in seconds.
"""

from collections.abc import Callable
from pathlib import Path

from aimass.core.speeds import NORMAL_MICRO, SpeedOn
from aimass.simulator.pack_files import FileProblem, Row, quoted
from aimass.simulator.perf import GAVEL_NAMES, GavelTable, gavel_table, located
from aimass.simulator.trace_formats import LineFormat, whole_gpus_milli
from aimass.simulator.trace_jsonl import PRIORITY_MAX, STEPS_MAX
from aimass.simulator.tracejob import TraceJob

COLUMNS = (
    *("job type", "command", "folder", "steps argument", "needs data", "steps"),
    *("scale factor", "weight", "SLO", "arrival"),
)
NORMAL_TYPE = "v100"  # on which a job has its normal speed, if it runs there


def _maker(path: Path, perf: Path | None) -> Callable[[int, str], TraceJob]:
    table = gavel_table(located(path, perf, GAVEL_NAMES))

    def make(number: int, line: str) -> TraceJob:
        fields = line.split("\t")
        if len(fields) != len(COLUMNS):
            what = f"{len(fields)} fields between tabs, not {len(COLUMNS)}"
            raise FileProblem(path, number, what, f"give {', '.join(COLUMNS)}")
        named = dict(zip(COLUMNS, (field.strip() for field in fields), strict=True))
        return _job(Row(path, number, named), table)

    return make


def _job(row: Row, table: GavelTable) -> TraceJob:
    """Its speeds are those of the table relative to its normal type, whole GPUs being its scale.

    The SLO is a multiple of the normal run time, as in Gavel's own simulator.
    """
    job_type, gpu_milli = row.text("job type"), whole_gpus_milli(row, "scale factor")
    gpus, steps = gpu_milli // 1000, row.count("steps", STEPS_MAX)
    rates = {one: table.steps_per_s(job_type, gpus, one) for one in sorted(table.types)}
    runs_on = tuple(one for one, rate in rates.items() if rate > 0)
    if not runs_on:
        what = f"the table has no throughput of {quoted(job_type)} on {gpus} GPUs"
        raise row.problem(what, "leave such jobs out with --lenient, or name a fuller table")
    normal = NORMAL_TYPE if NORMAL_TYPE in runs_on else runs_on[0]
    work_ms = max(1, round(1000 * steps / rates[normal]))
    speeds = ((one, round(NORMAL_MICRO * rates[one] / rates[normal])) for one in runs_on)
    return TraceJob(
        str(row.line - 1),
        row.seconds_ms("arrival"),
        work_ms,
        gpu_milli,
        row.line,
        priority=_priority(row),
        gpu_types=runs_on,
        slo_ms=_slo_ms(row, work_ms),
        speeds=tuple(SpeedOn(one, 0, 0, max(1, micro)) for one, micro in speeds),
        app=f"{job_type}|{gpus}",
        steps=steps,
    )


def _number(row: Row, column: str) -> float:
    try:
        value = float(row.fields[column])
    except ValueError:
        value = float("nan")
    if not abs(value) <= PRIORITY_MAX:
        raise row.problem(f"{column} is {quoted(row.fields[column])}", "write a number")
    return value


def _priority(row: Row) -> int:
    """A weight of 1 is the usual one, and priority 0; of 5 priority 4."""
    weight = _number(row, "weight")
    if weight < 1 or weight != int(weight):
        raise row.problem(f"weight is {weight:g}", "a weight is a whole number of at least 1")
    return int(weight) - 1


def _slo_ms(row: Row, work_ms: int) -> int:
    factor = _number(row, "SLO")
    return max(1, round(factor * work_ms)) if factor > 0 else 0


GAVEL = LineFormat(
    "gavel",
    lambda line: line.count("\t") == len(COLUMNS) - 1,
    _maker,
    GAVEL_NAMES,
)
