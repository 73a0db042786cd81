"""CsvFormat: what a reader of CSV traces says of its format."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aimass.simulator.pack_files import FileProblem, Row
from aimass.simulator.tracejob import TraceJob

GPUS_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """One format.

    needed: columns that it must have, by which it is known as well. used: others that are read
    where they are. ignored: others that may be there and say nothing to the simulator. job: a row
    as a job; raises FileProblem.
    """

    name: str
    needed: tuple[str, ...]
    used: tuple[str, ...]
    ignored: tuple[str, ...]
    job: Callable[[Row], TraceJob]

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
            return FileProblem(path, line, what, "leave it out, or read on with --lenient")
        return None


def whole_gpus_milli(row: Row, column: str) -> int:
    """A number of whole GPUs above 0, in milli-GPU. Raises FileProblem."""
    gpus = row.count(column, GPUS_MAX)
    if not gpus:
        raise row.problem(f"{column} is 0", "leave out jobs without GPUs")
    return gpus * 1000
