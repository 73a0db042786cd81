"""Traces of ElasticFlow (ASPLOS 2023): iterations of a model with a deadline, and throughputs.

Times in the trace are in seconds; a job's normal speed is that on the GPUs for which it asks.
"""

from pathlib import Path

from aimass.core.speeds import NORMAL_MICRO, SpeedOn
from aimass.simulator.pack_files import Row
from aimass.simulator.perf import ElasticTables, elastic_tables, located
from aimass.simulator.trace_formats import CsvFormat, RowReader, whole_gpus_milli
from aimass.simulator.trace_jsonl import STEPS_MAX
from aimass.simulator.tracejob import TraceJob

TABLES = ("throughputs_*",)
NORMAL_TYPE = "T4"  # of the cluster that the published traces were made for
LEVEL_MAX = 64
# The most GPUs of one job on T4, as the artifact has it; the tables alone would allow some more.
LEVELS_MAX = {"bert": 16, "cifar10": 16, "yolov3": 4, "ncf": 1}
LEVELS_MAX_OF_BATCH = {("deepspeech2", 320): 32}


def _reader(path: Path, perf: Path | None) -> RowReader:
    tables = elastic_tables(located(path, perf, TABLES))
    return lambda row: _job(row, tables)


def _job(row: Row, tables: ElasticTables) -> TraceJob:
    model, gpu_milli = row.text("model_name"), whole_gpus_milli(row, "num_gpu")
    batch, steps = row.count("batch_size", STEPS_MAX), row.count("iteration", STEPS_MAX)
    gpus, submit_ms = gpu_milli // 1000, row.seconds_ms("submit_time")
    asked = tables.per_s(NORMAL_TYPE, model, batch).get(gpus)
    if asked is None:
        what = f"no throughput of {model} at batch {batch} on {gpus} {NORMAL_TYPE}"
        raise row.problem(what, "leave such jobs out with --lenient, or name fuller tables")
    most, speeds = gpus, []
    for gpu_type in sorted(tables.types):
        rates = tables.per_s(gpu_type, model, batch)
        levels = _levels(rates, _most(model, batch, gpu_type))
        if gpu_type == NORMAL_TYPE:
            most = max(levels)
            levels = sorted({*levels, gpus})
        for level in levels:
            micro = max(1, round(NORMAL_MICRO * rates[level] / asked))
            speeds.append(SpeedOn(gpu_type, level, 0, micro))
    return TraceJob(
        row.text("job_id"),
        submit_ms,
        max(1, round(1000 * steps / asked)),
        gpu_milli,
        row.line,
        gpu_types=tuple(dict.fromkeys(one.gpu_type for one in speeds)),
        slo_ms=_slo_ms(row, submit_ms),
        speeds=tuple(speeds),
        app=model,
        steps=steps,
        batch=batch,
        gpus_min=1,
        gpus_max=most,
    )


def _most(model: str, batch: int, gpu_type: str) -> int:
    if gpu_type != NORMAL_TYPE:
        return LEVEL_MAX
    return LEVELS_MAX_OF_BATCH.get((model, batch), LEVELS_MAX.get(model, LEVEL_MAX))


def _levels(rates: dict[int, float], most: int) -> list[int]:
    """The numbers of GPUs that are worth it: each faster than all smaller ones."""
    found, best = [], 0.0
    for level, rate in rates.items():
        if level <= most and rate > best:
            found.append(level)
            best = rate
    return found


def _slo_ms(row: Row, submit_ms: int) -> int:
    deadline_ms = row.seconds_ms("ddl")
    if deadline_ms <= submit_ms:
        raise row.problem("ddl is not after submit_time", "give each job time to do its work")
    return deadline_ms - submit_ms


ELASTICFLOW = CsvFormat(
    "elasticflow",
    needed=(
        *("job_id", "submit_time", "iteration", "model_name"),
        *("ddl", "batch_size", "num_gpu", "duration"),
    ),
    used=(),
    ignored=(),
    reader=_reader,
    tables=TABLES,
)
