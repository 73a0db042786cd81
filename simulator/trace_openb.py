"""Pods of the openb cluster (Alibaba, 2023) as jobs, from their schedule to their end.

One that was never scheduled runs as long as it was there.
"""

from aimass.simulator.pack_files import Row
from aimass.simulator.trace_formats import CsvFormat, plain
from aimass.simulator.tracejob import TraceJob


def _job(row: Row) -> TraceJob:
    created_ms, deleted_ms = row.seconds_ms("creation_time"), row.seconds_ms("deletion_time")
    scheduled = row.fields.get("scheduled_time")
    begin_ms = row.seconds_ms("scheduled_time") if scheduled else created_ms
    if deleted_ms < begin_ms:
        what = "deletion_time is before the pod began"
        raise row.problem(what, "give each pod the time of its end, not before its beginning")
    gpus, gpu_milli = row.count("num_gpu", 1000), row.count("gpu_milli", 1000)
    if gpus > 1 and gpu_milli < 1000:
        raise row.problem(f"{gpu_milli} gpu_milli of each of {gpus} GPUs", "only one is shared")
    models = tuple(sorted({*row.fields.get("gpu_spec", "").split("|")} - {""}))
    return TraceJob(
        row.text("name"),
        created_ms,
        deleted_ms - begin_ms,
        gpus * gpu_milli,
        row.line,
        gpu_types=models,
        cpu_milli=_count(row, "cpu_milli"),
        memory_mib=_count(row, "memory_mib"),
    )


def _count(row: Row, column: str) -> int:
    return row.count(column) if row.fields.get(column) else 0


OPENB = CsvFormat(
    "openb",
    needed=("name", "num_gpu", "gpu_milli", "creation_time", "deletion_time"),
    used=("gpu_spec", "scheduled_time", "cpu_milli", "memory_mib"),
    ignored=("qos", "pod_phase"),
    reader=plain(_job),
    is_ordered=False,  # some of its lists are, and some are not
)
