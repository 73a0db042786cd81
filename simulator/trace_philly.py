"""Philly's jobs as the Pollux authors extracted them: timestamp in local time, duration in seconds.

The virtual cluster of a job is its queue. gpu_time is duration times num_gpus and is not read.
"""

import datetime

from aimass.simulator.pack_files import Row, quoted
from aimass.simulator.trace_formats import CsvFormat, plain, whole_gpus_milli
from aimass.simulator.tracejob import QUEUE, TraceJob


def _job(row: Row) -> TraceJob:
    try:
        submitted = datetime.datetime.fromisoformat(row.text("timestamp"))
    except ValueError:
        what = f"timestamp is {quoted(row.text('timestamp'))}"
        raise row.problem(what, "write it as 2017-09-04 10:30:41") from None
    # All in one zone, whichever it is: only differences count.
    submit_ms = round(submitted.replace(tzinfo=datetime.UTC).timestamp() * 1000)
    work_ms, gpu_milli = row.seconds_ms("duration"), whole_gpus_milli(row, "num_gpus")
    queue = row.fields.get("cluster") or QUEUE
    return TraceJob(f"line-{row.line}", submit_ms, work_ms, gpu_milli, row.line, queue=queue)


PHILLY = CsvFormat(
    "philly",
    needed=("timestamp", "duration", "num_gpus"),
    used=("cluster",),
    ignored=("gpu_time",),
    reader=plain(_job),
)
