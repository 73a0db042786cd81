"""The Standard Workload Format, version 2.2: eighteen numbers to a line, -1 for what is unknown.

Processors are GPUs, unless a header line says how many make one. What the format has no field for
is in a file of our own lines beside it, which the header names; without one, users and queues are
numbers and the rest is as usual.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from aimass.simulator.pack_files import FileProblem, numbered_lines, quoted
from aimass.simulator.trace_formats import GPUS_MAX, LineFormat, Maker
from aimass.simulator.trace_jsonl import FIELDS, job_of
from aimass.simulator.tracejob import TraceJob

NUMBERS = 18
SIDE, PROCESSORS = "SideFile", "ProcessorsPerGPU"  # headers of ours
MAX_PROCS = "MaxProcs"
QUEUE_PREFIX = "q"
UNKNOWN = -1
# Status of a line: 2, 3 and 4 are parts of a job whose whole has a line of its own.
CANCELLED, PARTS = 5, (2, 3, 4)

_HEADER = re.compile(r";\s*([A-Za-z]+)\s*:\s*(.*?)\s*\Z")
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,30})?\Z")


def _maker(path: Path, _perf: Path | None) -> Maker:
    return _Reader(path).job


class _Reader:
    """Line by line; the header is what was read of it so far."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._most, self._per_gpu = GPUS_MAX, 1
        self._side: Iterator[tuple[int, dict[str, Any]]] = iter(())
        self._next: tuple[int, dict[str, Any]] | None = None

    def job(self, number: int, line: str) -> TraceJob | None:
        """The job of the line; None: it is a comment. Raises FileProblem."""
        text = line.strip()
        if text.startswith(";"):
            self._header(number, text)
            return None
        words = text.split()
        wrong = next((word for word in words if not _NUMBER.match(word)), None)
        if len(words) != NUMBERS or wrong is not None:
            what = f"{quoted(wrong)} is no number" if wrong else f"{len(words)} numbers"
            fix = f"give {NUMBERS} numbers, -1 for what is unknown, and ; before comments"
            raise FileProblem(self._path, number, what, fix)
        values = [Decimal(word) for word in words]
        told = self._told(int(values[0]))
        return job_of(self._path, number, self._fields(number, values) | told)

    def _fields(self, number: int, values: list[Decimal]) -> dict[str, Any]:
        """As one of our own lines has them. Raises FileProblem."""
        job, submit_s, _, run_s, had, _, _, asked, told_s, _, status, user, *_ = values
        queue = values[14]
        if status in PARTS:
            raise self._problem(number, "a part of a job, whose whole has another line")
        if run_s == UNKNOWN or (status == CANCELLED and not run_s):
            raise self._problem(number, "a job that never ran")
        processors = asked if asked > 0 else had
        if processors <= 0:
            raise self._problem(number, "a job without processors")
        if processors > self._most:
            raise self._problem(number, f"more processors than {MAX_PROCS}, which is {self._most}")
        fields = {
            "id": int(job),
            "submit_s": round(submit_s, 3),
            "run_s": round(run_s, 3),
            "gpus": -(-int(processors) // self._per_gpu),
        }
        if told_s > 0:
            fields["told_s"] = round(told_s, 3)
        if user > 0:
            fields["user"] = int(user)
        if queue >= 0:
            fields["queue"] = f"{QUEUE_PREFIX}{int(queue)}"
        return fields

    def _problem(self, number: int, what: str) -> FileProblem:
        return FileProblem(self._path, number, what, "leave such lines out with --lenient")

    def _header(self, number: int, text: str) -> None:
        """Raises FileProblem for a value that cannot be."""
        found = _HEADER.match(text)
        if found is None or found[1] not in (MAX_PROCS, PROCESSORS, SIDE):
            return
        name, value = found.groups()
        if name == SIDE:
            self._open_side(number, value)
            return
        if not (value.isascii() and value.isdigit() and 0 < int(value) <= GPUS_MAX):
            if name == MAX_PROCS and value == str(UNKNOWN):
                return
            fix = f"write a whole number from 1 to {GPUS_MAX}"
            raise FileProblem(self._path, number, f"{name} is {quoted(value)}", fix)
        if name == MAX_PROCS:
            self._most = int(value)
        else:
            self._per_gpu = int(value)

    def _open_side(self, number: int, name: str) -> None:
        path = self._path.with_name(name)
        if not path.is_file():
            fix = "copy it too, or take the line out to read numbers alone"
            raise FileProblem(self._path, number, f"there is no {name} beside it", fix)
        self._side = _side_lines(path)
        self._next = next(self._side, None)

    def _told(self, job: int) -> dict[str, Any]:
        """What the file beside it says of that job. Raises FileProblem."""
        while self._next is not None and self._next[0] < job:  # of a line that was left out
            self._next = next(self._side, None)
        if self._next is None or self._next[0] != job:
            return {}
        found = self._next[1]
        self._next = next(self._side, None)
        return found


def _side_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(job number, fields), in their order. Raises FileProblem."""
    for number, line in numbered_lines(path):
        try:
            value = json.loads(line, parse_float=Decimal)
            job = value.pop("job")
            if not isinstance(job, int) or not {*value} <= {*FIELDS}:
                raise ValueError(line)
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            fix = "write both files anew with massctl sim convert"
            raise FileProblem(path, number, "no job number with fields of a trace", fix) from None
        yield job, value


def _is_first(line: str) -> bool:
    words = line.split()
    return line.startswith(";") or (len(words) == NUMBERS and all(map(_NUMBER.match, words)))


SWF = LineFormat("swf", _is_first, _maker)
