"""Traces of the Tiresias simulator (NSDI 2019): submit_time and duration in seconds."""

from aimass.simulator.pack_files import Row
from aimass.simulator.trace_formats import CsvFormat, plain, whole_gpus_milli
from aimass.simulator.tracejob import TraceJob


def _job(row: Row) -> TraceJob:
    return TraceJob(
        row.text("job_id"),
        row.seconds_ms("submit_time"),
        row.seconds_ms("duration"),
        whole_gpus_milli(row, "num_gpu"),
        row.line,
    )


TIRESIAS = CsvFormat(
    "tiresias",
    needed=("job_id", "num_gpu", "submit_time", "duration"),
    used=(),
    ignored=("iterations", "model_name", "interval"),
    reader=plain(_job),
)
