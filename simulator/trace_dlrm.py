"""Instances of recommendation services (Alibaba, 2025), each a job as long as it was there.

Times are seconds of a window of 31 days; an empty one lies outside it, so that the instance was
there from its beginning or to its end. The service is the user. Instances without GPUs are jobs
too: they hold CPU and memory. How many instances of a service fit on a node is not kept.
"""

from aimass.simulator.pack_files import Row
from aimass.simulator.trace_formats import CsvFormat, plain, whole_gpus_milli
from aimass.simulator.tracejob import TraceJob

WINDOW_MS = 31 * 24 * 3_600_000


def _job(row: Row) -> TraceJob:
    submit_ms, begin_ms, end_ms = (
        row.seconds_ms(name) if row.fields[name] else otherwise_ms
        for name, otherwise_ms in (
            ("creation_time", 0),
            ("scheduled_time", -1),
            ("deletion_time", WINDOW_MS),
        )
    )
    begin_ms = submit_ms if begin_ms < 0 else begin_ms
    if not submit_ms <= begin_ms <= end_ms:
        what = "its times are not in the order of creation, schedule and deletion"
        raise row.problem(what, "give each instance its times in that order")
    has_gpu = row.count("gpu_request", 1000) > 0
    return TraceJob(
        row.text("instance_sn"),
        submit_ms,
        end_ms - begin_ms,
        whole_gpus_milli(row, "gpu_request") if has_gpu else 0,
        row.line,
        user=row.text("app_name"),
        cpu_milli=row.count("cpu_request") * 1000,
        memory_mib=row.seconds_ms("memory_request") * 1024 // 1000,  # GiB, with decimals
    )


DLRM = CsvFormat(
    "dlrm",
    needed=(
        *("instance_sn", "app_name", "cpu_request", "gpu_request", "memory_request"),
        *("creation_time", "scheduled_time", "deletion_time"),
    ),
    used=(),
    ignored=(
        *("role", "cpu_limit", "gpu_limit", "rdma_request", "rdma_limit", "memory_limit"),
        *("disk_request", "disk_limit", "max_instance_per_node"),
    ),
    reader=plain(_job),
    is_ordered=False,
)
