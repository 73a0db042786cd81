"""Our own traces as Parquet: a row for each job, read and written some thousand rows at a time.

Columns are those of TraceJob; what they may hold is what our own lines may (trace_jsonl).
"""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from aimass.core.speeds import NORMAL_MICRO
from aimass.simulator.pack_files import FileProblem, UnknownColumns
from aimass.simulator.trace_jsonl import job_of
from aimass.simulator.trace_write import replaced
from aimass.simulator.tracejob import QUEUE, TraceJob

NAME, MAGIC, ROWS = "parquet", b"PAR1", 4096


def _same(value: Any) -> Any:
    return value


def _thousandths(milli: int) -> Decimal:
    return Decimal(milli) / 1000


def _settings(speeds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            **{name: value for name, value in one.items() if name != "speed_micro"},
            "speed": Decimal(one["speed_micro"]) / NORMAL_MICRO,
        }
        for one in speeds
    ]


Column = tuple[str, str, Callable[[Any], Any]]
"""Its Arrow type (_types), the field of our own lines that it is, and its value there."""

NEEDED: dict[str, Column] = {
    "id": ("text", "id", _same),
    "submit_ms": ("whole", "submit_s", _thousandths),
    "run_ms": ("whole", "run_s", _thousandths),
    "gpu_milli": ("whole", "gpus", _thousandths),
}
COLUMNS: dict[str, Column] = NEEDED | {
    "user": ("text", "user", _same),
    "queue": ("text", "queue", _same),
    "priority": ("whole", "priority", _same),
    "gpu_types": ("texts", "gpu_types", _same),
    "slo_ms": ("whole", "slo_s", _thousandths),
    "speeds": ("settings", "speeds", _settings),
    "app": ("text", "app", _same),
    "steps": ("whole", "steps", _same),
    "batch": ("whole", "batch", _same),
    "gpus_min": ("whole", "gpus_min", _same),
    "gpus_max": ("whole", "gpus_max", _same),
    "told_ms": ("whole", "told_s", _thousandths),
    "cpu_milli": ("whole", "cpus", _thousandths),
    "memory_mib": ("whole", "memory_mib", _same),
}


def is_parquet(path: Path) -> bool:
    """Whether it is a file, no pipe, that begins as Parquet does or is named so."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC or path.suffix == f".{NAME}"


def parquet_jobs(path: Path) -> Iterator[TraceJob | FileProblem]:
    """The jobs, and what is wrong with the rows that are none; a job's line is its row, from 1.

    O(row group) memory. Raises FileProblem.
    """
    arrow, parquet = _packages(path)
    copy = "write it anew with massctl sim convert, or copy it again"
    row = 0
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            yield from _header(path, file.schema_arrow, _types(arrow))
            names = [name for name in COLUMNS if name in file.schema_arrow.names]
            for batch in file.iter_batches(ROWS, columns=names):
                for values in batch.to_pylist():
                    row += 1
                    yield _job(path, row, values)
    except FileNotFoundError:
        raise
    except (arrow.ArrowException, OSError) as error:
        what = f"the Parquet data cannot be read on from here ({str(error).splitlines()[0]})"
        raise FileProblem(path, row + 1, what, copy) from None


def _job(path: Path, row: int, values: dict[str, Any]) -> TraceJob | FileProblem:
    """Empty and 0 are as good as nothing, but where they are needed."""
    given = {
        field: change(value)
        for name, value in values.items()
        for _, field, change in (COLUMNS[name],)
        if value or (name in NEEDED and value is not None)
    }
    try:
        return job_of(path, row, given)
    except FileProblem as problem:
        return problem


def _header(path: Path, schema: Any, types: dict[str, Any]) -> Iterator[FileProblem]:
    """Columns that say nothing to us. Raises FileProblem for what makes it unreadable."""
    missing = [name for name in NEEDED if name not in schema.names]
    if missing:
        fix = f"a trace has the columns {', '.join(NEEDED)}"
        raise FileProblem(path, 1, f"no column {', '.join(missing)}", fix)
    for field in schema:
        if field.name not in COLUMNS:
            what = f"a trace has no column {field.name}"
            yield UnknownColumns(path, 1, what, f"leave it out; there are {', '.join(COLUMNS)}")
        elif not field.type.equals(types[COLUMNS[field.name][0]]):
            fix = f"write {field.name} as {types[COLUMNS[field.name][0]]}"
            raise FileProblem(path, 1, f"column {field.name} is of type {field.type}", fix)


def write_parquet(jobs: Iterable[TraceJob], path: Path) -> int:
    """Write the jobs, and give how many there are. Raises OSError and FileProblem.

    A file is there whole or not at all; equal jobs are equal bytes with one version of pyarrow.
    """
    arrow, parquet = _packages(path)
    types = _types(arrow)
    schema = arrow.schema([(name, types[kind]) for name, (kind, _, _) in COLUMNS.items()])
    left, count = iter(jobs), 0
    safe = {"compression": "zstd", "write_page_checksum": True}
    with (
        replaced(path) as beside,
        open(beside, "wb") as file,
        parquet.ParquetWriter(file, schema, **safe) as out,
    ):
        while some := list(islice(left, ROWS)):
            out.write_batch(arrow.RecordBatch.from_pylist([_row(job) for job in some], schema))
            count += len(some)
    return count


def _row(job: TraceJob) -> dict[str, Any]:
    queue = job.queue if job.queue != QUEUE else ""
    renamed = {"id": job.name, "run_ms": job.work_ms, "queue": queue}
    speeds = [
        {name: getattr(one, name) for name in ("gpu_type", "gpus", "nodes", "speed_micro")}
        for one in job.speeds
    ]
    rest = {name: getattr(job, name) for name in COLUMNS if name not in (*renamed, "speeds")}
    return {**rest, **renamed, "speeds": speeds}


def _types(arrow: Any) -> dict[str, Any]:
    whole, text = arrow.int64(), arrow.string()
    setting = [("gpu_type", text), ("gpus", whole), ("nodes", whole), ("speed_micro", whole)]
    settings = arrow.list_(arrow.struct(setting))
    return {"whole": whole, "text": text, "texts": arrow.list_(text), "settings": settings}


def _packages(path: Path) -> tuple[Any, Any]:
    """pyarrow and its Parquet. Raises FileProblem where they are not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        fix = "pip install 'aimass[parquet]', or use JSONL"
        raise FileProblem(path, 1, "Parquet needs the package pyarrow", fix) from None
    return pyarrow, parquet
