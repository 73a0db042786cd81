"""Writes traces: our own lines, which trace_jsonl reads, and SWF and Parquet by the file's name."""

import gzip
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from aimass.core.speeds import NORMAL_MICRO, SpeedOn, Speeds
from aimass.simulator.tracejob import QUEUE, TraceJob
from aimass.simulator.unpack import zstandard

PACKED = (".gz", ".zst")
ZSTD_LEVEL = 9


def line_of(job: TraceJob) -> str:
    """The job as a line, without what is as usual; reads back as the same job."""
    return json.dumps(fields_of(job), ensure_ascii=False)


def fields_of(job: TraceJob) -> dict[str, Any]:
    """The fields of its line."""
    needed: dict[str, Any] = {
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
        "told_s": _thousandths(job.told_ms),
        "cpus": _thousandths(job.cpu_milli),
        "memory_mib": job.memory_mib,
    }
    return needed | {name: value for name, value in optional.items() if value}


def write_trace(jobs: Iterable[TraceJob], path: Path | None) -> int:
    """Write the jobs as our own lines, and give how many there are. path: None is stdout.

    A file is there whole or not at all, and equal jobs are equal bytes; it is packed where its
    name ends in .gz or .zst. Raises OSError, and NotPacked where nothing here can pack it.
    """
    if path is None:
        return _write(jobs, sys.stdout)
    with written(path) as file:
        return _write(jobs, file)


@contextmanager
def written(path: Path) -> Iterator[IO[str]]:
    """A text file that takes its name when all of it is written; packed as its name says."""
    with replaced(path) as beside, open(beside, "wb") as raw, _packer(path)(raw) as packed:
        file = io.TextIOWrapper(packed, encoding="utf-8", newline="\n")
        try:
            yield file
        finally:
            file.detach()


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A name beside it to write to; the file takes its place when nothing went wrong.

    A pipe or device, as /dev/null, is written to as it is; a link goes on leading where it does.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    name = str(path)
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield beside
        beside.replace(path)
    except OSError as error:  # in the words of who named the file
        error.filename = name if error.filename == str(beside) else error.filename
        raise
    finally:
        beside.unlink(missing_ok=True)


def _packer(path: Path) -> Callable[[IO[bytes]], Any]:
    if path.suffix == ".gz":
        return lambda raw: gzip.GzipFile("", "wb", fileobj=raw, mtime=0)  # no name, no time
    if path.suffix == ".zst":
        compressor = zstandard().ZstdCompressor(ZSTD_LEVEL, write_checksum=True)
        return lambda raw: compressor.stream_writer(raw)
    return _as_it_is


@contextmanager
def _as_it_is(raw: IO[bytes]) -> Iterator[IO[bytes]]:
    yield raw


def _write(jobs: Iterable[TraceJob], file: IO[str]) -> int:
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
