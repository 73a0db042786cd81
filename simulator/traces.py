"""Traces of jobs from files, read job by job; the format is seen from the first line.

A reader is one small file: a `CsvFormat` with its columns and a function from a row to a TraceJob,
named in FORMATS below. Files may be gzipped. What is wrong with a file is a FileProblem with its
line; a lenient reader leaves such a line out and says so.
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from aimass.simulator.pack_files import FileProblem, Row, numbered_lines, quoted, split_fields
from aimass.simulator.trace_formats import CsvFormat
from aimass.simulator.trace_jsonl import job_of_line
from aimass.simulator.trace_openb import OPENB
from aimass.simulator.trace_philly import PHILLY
from aimass.simulator.trace_tiresias import TIRESIAS
from aimass.simulator.tracejob import TraceJob

FORMATS = (TIRESIAS, PHILLY, OPENB)
JSONL = "jsonl"
NAMES = (JSONL, *(form.name for form in FORMATS))

_NAME_ONE = "name a file with at least one job"

Skip = Callable[[FileProblem], None]
"""Told of each line that is left out."""


def digest(path: Path) -> str:
    """SHA-256 of the file as it is stored, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_trace(path: Path, name: str = "auto", skip: Skip | None = None) -> Iterator[TraceJob]:
    """The jobs of the file, by submission time. O(1) memory.

    name: one of NAMES, or "auto". skip: given, lines that are wrong are left out and it is told of
    them. Raises FileProblem; one that is about the whole file in any case.
    """
    last_ms = None
    for found in _jobs(path, name):
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


def _jobs(path: Path, name: str) -> Iterator[TraceJob | FileProblem]:
    """Jobs, and what is wrong with the lines that are none."""
    unread: list[FileProblem] = []
    lines = numbered_lines(path, unread.append)
    first = next(lines, None)
    if first is None:
        raise unread[0] if unread else FileProblem(path, 1, "the file is empty", _NAME_ONE)
    rest: Iterator[tuple[int, str]]
    if name == JSONL or (name == "auto" and first[1].lstrip().startswith("{")):
        make, rest = partial(job_of_line, path), chain((first,), lines)
    else:
        header = split_fields(path, *first)
        form = _format(path, first[0], header, name)
        problem = form.header_problem(path, first[0], header)
        if problem is not None:
            yield problem
        make, rest = partial(_job_of_row, path, form, header), lines
    for number, line in rest:
        yield from unread
        unread.clear()
        try:
            found: TraceJob | FileProblem = make(number, line)
        except FileProblem as problem:
            found = problem
        yield found
    yield from unread


def _job_of_row(path: Path, form: CsvFormat, header: list[str], number: int, line: str) -> TraceJob:
    fields = split_fields(path, number, line)
    if len(fields) != len(header):
        what = f"{len(fields)} fields below a header of {len(header)}"
        raise FileProblem(path, number, what, "give every row one field for each column")
    return form.job(Row(path, number, dict(zip(header, fields, strict=True))))


def _format(path: Path, line: int, header: list[str], name: str) -> CsvFormat:
    if name != "auto":
        return next(form for form in FORMATS if form.name == name)
    for form in FORMATS:
        if set(form.needed) <= set(header):
            return form
    begins = "; ".join(f"{form.name} has {','.join(form.needed)}" for form in FORMATS)
    what = f"no format is known that begins with {quoted(','.join(header))}"
    raise FileProblem(path, line, what, f"{begins}; {JSONL} has one JSON object on every line")
