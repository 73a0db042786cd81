"""Traces of jobs from files, read job by job; the format is seen from the first line.

A reader is one small file: a `CsvFormat` with its columns and what makes a TraceJob of a row, or a
`LineFormat` for lines without names, in FORMATS below. Files may be packed with gzip or zstd. What
is wrong with a file is a FileProblem with its line; a lenient reader leaves such a line out and
says so.
"""

import hashlib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from aimass.simulator.pack_files import FileProblem, Row, numbered_lines, quoted, split_fields
from aimass.simulator.perf import located, tables_of
from aimass.simulator.trace_dlrm import DLRM
from aimass.simulator.trace_elasticflow import ELASTICFLOW
from aimass.simulator.trace_formats import CsvFormat, LineFormat, Maker, RowReader
from aimass.simulator.trace_gavel import GAVEL
from aimass.simulator.trace_jsonl import JSONL
from aimass.simulator.trace_openb import OPENB
from aimass.simulator.trace_others import known_other
from aimass.simulator.trace_parquet import NAME as PARQUET
from aimass.simulator.trace_parquet import is_parquet, parquet_jobs
from aimass.simulator.trace_philly import PHILLY
from aimass.simulator.trace_pollux import POLLUX
from aimass.simulator.trace_swf import SWF
from aimass.simulator.trace_swf_write import side_path
from aimass.simulator.trace_tiresias import TIRESIAS
from aimass.simulator.tracejob import TraceJob

# ElasticFlow's have all that Tiresias's need, and more.
CSV_FORMATS = (ELASTICFLOW, TIRESIAS, PHILLY, OPENB, POLLUX, DLRM)
FORMATS = (JSONL, SWF, GAVEL, *CSV_FORMATS)
NAMES = (*(form.name for form in FORMATS), PARQUET)

IDS_MAX = 1_000_000  # about 150 MiB
_NAME_ONE = "name a file with at least one job"

Skip = Callable[[FileProblem], None]
"""Told of each line that is left out."""


def digest(path: Path, name: str = "auto", perf: Path | None = None) -> str:
    """SHA-256 of the file as it is stored, in hex; where it has performance tables, of both.

    Arguments as of read_trace. Raises FileProblem.
    """
    if path.exists() and not path.is_file():
        fix = "write it to a file first: massctl sim convert reads a pipe"
        raise FileProblem(path, 1, "it is no file, and has to be read more than once", fix)
    tables = _tables(path, name, perf)
    found = _sha256(path)
    return hashlib.sha256("".join([found, *tables]).encode()).hexdigest() if tables else found


def _tables(path: Path, name: str, perf: Path | None) -> list[str]:
    """Digests of the performance tables of the trace."""
    return [_sha256(one) for one in _table_files(path, _form_of(path, name), perf)]


def _table_files(
    path: Path, form: CsvFormat | LineFormat | None, perf: Path | None
) -> Iterator[Path]:
    if form is not None and form.tables:
        yield from tables_of(located(path, perf, form.tables), form.tables)


def files_of(path: Path, name: str = "auto", perf: Path | None = None) -> list[Path]:
    """All files that are read for the trace: itself, its tables, and what lies beside an SWF.

    Arguments as of read_trace. Raises FileProblem.
    """
    if not path.is_file():
        return [path]
    form = _form_of(path, name)
    beside = [side_path(path)] if form is SWF else []
    return [path, *beside, *_table_files(path, form, perf)]


def tables_at(path: Path, name: str = "auto", perf: Path | None = None) -> tuple[str, Path] | None:
    """The name of the trace's format, and where the performance tables are that it has.

    None: it has none. Arguments as of read_trace. Raises FileProblem.
    """
    form = _form_of(path, name)
    if form is None or not form.tables:
        return None
    return form.name, located(path, perf, form.tables)


def _form_of(path: Path, name: str) -> CsvFormat | LineFormat | None:
    """Its format; None: Parquet, or nothing that could be read."""
    unread: list[FileProblem] = []
    lines = numbered_lines(path, unread.append)
    if _is_parquet(path, name) or (first := next(lines, None)) is None:
        return None
    return _format(path, first, lines, name)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_trace(
    path: Path, name: str = "auto", skip: Skip | None = None, perf: Path | None = None
) -> Iterator[TraceJob]:
    """The jobs of the file, by submission time. O(1) memory.

    name: one of NAMES, or "auto". skip: given, lines that are wrong are left out and it is told of
    them. perf: where performance tables are, if not beside the trace or in its parent folder.
    Raises FileProblem; one that is about the whole file in any case.
    """
    last_ms = None
    for found in _jobs(path, name, perf):
        if isinstance(found, TraceJob) and last_ms is not None and found.submit_ms < last_ms:
            what = f"submitted {last_ms - found.submit_ms} ms before the job above it"
            found = FileProblem(path, found.line, what, "sort the jobs by submission time")
        if isinstance(found, FileProblem):
            if skip is None:
                raise found
            skip(found)
            continue
        last_ms = found.submit_ms
        yield found
    if last_ms is None:
        raise FileProblem(path, 1, "no jobs", _NAME_ONE)


def read_jobs(
    path: Path, name: str = "auto", skip: Skip | None = None, perf: Path | None = None
) -> Iterator[TraceJob]:
    """As read_trace, for runs: each id comes once. O(IDS_MAX) memory, and ids after so many jobs
    are not looked at: they only name jobs in records."""
    lines: dict[str, int] = {}
    for job in read_trace(path, name, skip, perf):
        if job.name in lines:
            what = f"id {quoted(job.name)} is on line {lines[job.name]} already"
            problem = FileProblem(path, job.line, what, "give every job an id of its own")
            if skip is None:
                raise problem
            skip(problem)
            continue
        if len(lines) < IDS_MAX:
            lines[job.name] = job.line
        yield job


def _jobs(path: Path, name: str, perf: Path | None) -> Iterator[TraceJob | FileProblem]:
    """Jobs, and what is wrong with the lines that are none."""
    if _is_parquet(path, name):
        yield from parquet_jobs(path)
        return
    unread: list[FileProblem] = []
    lines = numbered_lines(path, unread.append)
    first = next(lines, None)
    if first is None:
        raise unread[0] if unread else FileProblem(path, 1, "the file is empty", _NAME_ONE)
    form = _format(path, first, lines, name)
    make: Maker
    if isinstance(form, LineFormat):
        make, lines = form.maker(path, perf), chain((first,), lines)
    else:
        header = split_fields(path, *first)
        problem = form.header_problem(path, first[0], header)
        if problem is not None:
            yield problem
        make = _rows(path, form.reader(path, perf), header)
    found = _made(lines, make, unread)
    if isinstance(form, CsvFormat) and not form.is_ordered:
        found = iter(sorted(found, key=_submitted_ms))
    yield from found


def _submitted_ms(found: TraceJob | FileProblem) -> int:
    return found.submit_ms if isinstance(found, TraceJob) else -1


def _made(
    lines: Iterator[tuple[int, str]], make: Maker, unread: list[FileProblem]
) -> Iterator[TraceJob | FileProblem]:
    """Jobs of the lines; unread: gets what is wrong with lines that cannot be read."""
    for number, line in lines:
        yield from unread
        unread.clear()
        try:
            found = make(number, line)
        except FileProblem as problem:
            yield problem
            continue
        if found is not None:
            yield found
    yield from unread


def _is_parquet(path: Path, name: str) -> bool:
    return name == PARQUET or (name == "auto" and is_parquet(path))


def _rows(path: Path, job: RowReader, header: list[str]) -> Maker:
    def make(number: int, line: str) -> TraceJob:
        fields = split_fields(path, number, line)
        if len(fields) != len(header):
            what = f"{len(fields)} fields below a header of {len(header)}"
            raise FileProblem(path, number, what, "give every row one field for each column")
        return job(Row(path, number, dict(zip(header, fields, strict=True))))

    return make


def _format(
    path: Path, first: tuple[int, str], rest: Iterator[tuple[int, str]], name: str
) -> CsvFormat | LineFormat:
    """The one of that name, or the one that may begin with that line. Raises FileProblem.

    rest: of the lines; left alone unless the file is no trace.
    """
    number, line = first
    if name != "auto":
        return next(form for form in FORMATS if form.name == name)
    if (other := known_other(path, first, rest)) is not None:
        raise other
    for form in FORMATS:
        if isinstance(form, LineFormat) and form.is_first(line):
            return form
    header = split_fields(path, number, line)
    for csv in CSV_FORMATS:
        if {*csv.needed} <= {*header}:
            return csv
    begins = "; ".join(f"{form.name} has {','.join(form.needed)}" for form in CSV_FORMATS)
    what = f"no format is known that begins with {quoted(','.join(header))}"
    raise FileProblem(path, number, what, f"{begins}; jsonl has one JSON object on every line")
