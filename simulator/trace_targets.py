"""The formats in which traces can be written, by name and by what the file is called."""

from collections.abc import Callable, Iterable
from pathlib import Path

from aimass.simulator.trace_parquet import write_parquet
from aimass.simulator.trace_swf_write import write_swf
from aimass.simulator.trace_write import PACKED, write_trace
from aimass.simulator.tracejob import TraceJob

Write = Callable[[Iterable[TraceJob], Path], int]

TARGETS: dict[str, Write] = {"jsonl": write_trace, "swf": write_swf, "parquet": write_parquet}


def target_of(path: Path) -> str | None:
    """The one that the file's name ends in; None: in none. Parquet is packed by itself."""
    whole = path.with_suffix("") if path.suffix in PACKED else path
    name = whole.suffix.removeprefix(".")
    return name if name in TARGETS and (name != "parquet" or whole == path) else None


def write_as_named(jobs: Iterable[TraceJob], path: Path | None) -> int:
    """Write the jobs as the file's name says, else as JSONL; None: to stdout. How many there are.

    Raises OSError, FileProblem and NotPacked.
    """
    if path is None:
        return write_trace(jobs, None)
    return TARGETS[target_of(path) or "jsonl"](jobs, path)
