"""CsvFormat and LineFormat: what a reader says of its format, with columns by name or without."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aimass.simulator.pack_files import FileProblem, Row, UnknownColumns
from aimass.simulator.tracejob import TraceJob

GPUS_MAX = 1_000_000

Maker = Callable[[int, str], TraceJob | None]
"""A line, with its number, as a job; None: it says something else. Raises FileProblem."""


RowReader = Callable[[Row], TraceJob]
"""A row as a job. Raises FileProblem."""


def plain(job: RowReader) -> Callable[[Path, Path | None], RowReader]:
    """The reader of a format that needs no tables."""
    return lambda trace, perf: job


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """One format.

    needed: columns that it must have, by which it is known as well. used: others that are read
    where they are. ignored: others that may be there and say nothing to the simulator. reader: what
    turns rows into jobs; given the trace, and where --perf says that its tables are. tables: what
    these are called (perf.located); none: it has none. is_ordered: its rows are in the order of
    their submission; if not, all of them are read before the first one is given.
    """

    name: str
    needed: tuple[str, ...]
    used: tuple[str, ...]
    ignored: tuple[str, ...]
    reader: Callable[[Path, Path | None], RowReader]
    tables: tuple[str, ...] = ()
    is_ordered: bool = True

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.needed, *self.used)

    def header_problem(self, path: Path, line: int, header: list[str]) -> FileProblem | None:
        """What is wrong with the columns. Raises FileProblem when that makes it unreadable."""
        missing = [column for column in self.needed if column not in header]
        if missing:
            fix = f"a trace of format {self.name} has the columns {','.join(self.needed)}"
            raise FileProblem(path, line, f"no column {', '.join(missing)}", fix)
        twice = [column for column in self.columns if header.count(column) > 1]
        if twice:
            raise FileProblem(path, line, f"column {twice[0]} comes twice", "keep one of them")
        known = {*self.columns, *self.ignored}
        unknown = [column for column in header if column not in known]
        if unknown:
            what = f"format {self.name} has no column {', '.join(unknown)}"
            return UnknownColumns(path, line, what, "leave it out, or read on with --lenient")
        return None


@dataclass(frozen=True, slots=True)
class LineFormat:
    """A format without a line of column names. is_first: whether such a line may begin a trace.

    maker: what turns lines into jobs; given the trace, and where --perf says that its tables are.
    tables: as of a CsvFormat.
    """

    name: str
    is_first: Callable[[str], bool]
    maker: Callable[[Path, Path | None], Maker]
    tables: tuple[str, ...] = ()


def whole_gpus_milli(row: Row, column: str) -> int:
    """A number of whole GPUs above 0, in milli-GPU. Raises FileProblem."""
    gpus = row.count(column, GPUS_MAX)
    if not gpus:
        raise row.problem(f"{column} is 0", "leave out jobs without GPUs")
    return gpus * 1000
