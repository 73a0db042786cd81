"""Workloads of the Pollux artifact (OSDI 2021): applications, and what each was tuned to ask for.

How long a job takes is in its application's tables (perf_pollux). Times in the trace are in
seconds.
"""

from pathlib import Path

from aimass.simulator.pack_files import Row
from aimass.simulator.perf import located
from aimass.simulator.perf_pollux import Apps
from aimass.simulator.trace_formats import CsvFormat, RowReader, whole_gpus_milli
from aimass.simulator.trace_jsonl import STEPS_MAX
from aimass.simulator.tracejob import TraceJob

TABLES = ("apps",)


def _reader(path: Path, perf: Path | None) -> RowReader:
    apps = Apps(located(path, perf, TABLES))
    works: dict[tuple[str, int, int], int] = {}

    def job(row: Row) -> TraceJob:
        """Its work is its run time alone, on the GPUs and with the batch that it asks for."""
        name, gpu_milli = row.text("application"), whole_gpus_milli(row, "num_replicas")
        gpus, batch = gpu_milli // 1000, row.count("batch_size", STEPS_MAX)
        if name not in apps.names():
            raise row.problem(f"no application {name!r}", f"there are {', '.join(apps.names())}")
        app = apps.app(name)
        if not app.batch_first <= batch <= app.batch_max or gpus > app.gpus_max(batch):
            what = f"{name} cannot train with a batch of {batch} on {gpus} GPUs"
            fix = f"its tables have batches from {app.batch_first} to {app.batch_max}"
            raise row.problem(what, f"{fix}, and {app.gpus_max(batch)} GPUs for this one")
        asked = (name, batch, gpus)
        if asked not in works:
            works[asked] = max(1, round(1000 * app.alone_s(batch, gpus)))
        return TraceJob(
            row.text("name"),
            row.seconds_ms("time"),
            works[asked],
            gpu_milli,
            row.line,
            app=name,
            batch=batch,
            gpus_min=1,
            gpus_max=app.gpus_max(),
        )

    return job


POLLUX = CsvFormat(
    "pollux",
    needed=("name", "time", "application", "num_replicas", "batch_size"),
    used=(),
    ignored=(),
    reader=_reader,
    tables=TABLES,
)
