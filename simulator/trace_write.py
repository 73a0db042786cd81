"""Writes our own traces: what trace_jsonl reads, job by job; gzipped where the name ends in .gz."""

import gzip
import io
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aimass.core.speeds import NORMAL_MICRO, SpeedOn, Speeds
from aimass.simulator.tracejob import QUEUE, TraceJob


def line_of(job: TraceJob) -> str:
    """The job as a line, without what is as usual; reads back as the same job."""
    fields: dict[str, Any] = {
        "id": job.name,
        "submit_s": _thousandths(job.submit_ms),
        "run_s": _thousandths(job.work_ms),
        "gpus": _thousandths(job.gpu_milli),
    }
    optional = {
        "user": job.user,
        "queue": job.queue if job.queue != QUEUE else "",
        "priority": job.priority,
        "gpu_types": list(job.gpu_types),
        "slo_s": _thousandths(job.slo_ms),
        "speeds": _speeds(job.speeds),
        "app": job.app,
        "steps": job.steps,
        "batch": job.batch,
        "gpus_min": job.gpus_min,
        "gpus_max": job.gpus_max,
    }
    fields |= {name: value for name, value in optional.items() if value}
    return json.dumps(fields, ensure_ascii=False)


def write_trace(jobs: Iterable[TraceJob], path: Path | None) -> int:
    """Write the jobs, and give how many there are. path: None is stdout.

    A file is there whole or not at all, and equal jobs are equal bytes. Raises OSError.
    """
    if path is None:
        return _write(jobs, sys.stdout)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "wb") as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:  # no name, no time
                    count = _write_bytes(jobs, packed)
            else:
                count = _write_bytes(jobs, raw)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return count


def _write_bytes(jobs: Iterable[TraceJob], raw: Any) -> int:
    with io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as file:
        return _write(jobs, file)


def _write(jobs: Iterable[TraceJob], file: Any) -> int:
    count = 0
    for job in jobs:
        file.write(f"{line_of(job)}\n")
        count += 1
    return count


def _speeds(speeds: Speeds) -> dict[str, Any] | list[dict[str, Any]]:
    """By GPU type where nothing else decides, else a list of settings."""
    if all(one.gpu_type and not one.gpus and not one.nodes for one in speeds):
        return {one.gpu_type: _number(one.speed_micro, NORMAL_MICRO) for one in speeds}
    return [_setting(one) for one in speeds]


def _setting(one: SpeedOn) -> dict[str, Any]:
    where = {"gpu_type": one.gpu_type, "gpus": one.gpus, "nodes": one.nodes}
    named = {name: value for name, value in where.items() if value}
    return {**named, "speed": _number(one.speed_micro, NORMAL_MICRO)}


def _thousandths(milli: int) -> int | float:
    """2000 -> 2, 250 -> 0.25: exact, up to 10**15."""
    return _number(milli, 1000)


def _number(parts: int, per: int) -> int | float:
    return parts // per if parts % per == 0 else parts / per
