"""Options of several commands of `massctl sim` that are about traces, seeds and the world."""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from aimass.cli_base import DURATION, Function, Parsed
from aimass.cli_sim_base import counted
from aimass.output import hint

FORMATS = (
    *("auto", "jsonl", "swf", "gavel", "elasticflow", "tiresias"),
    *("philly", "openb", "pollux", "dlrm", "parquet"),
)
SEEDS_MAX = 1000
SKIPS_LISTED = 10
FIX = "give a trace that has what it takes"


def parse_error(text: object) -> int:
    """Turn "0.5" into thousandths. Raises ValueError with what is allowed."""
    try:
        error = float(str(text))
    except ValueError:
        error = math.nan
    if not 0 <= error <= 10:
        raise ValueError("a number from 0 to 10, such as 0.5")
    return round(1000 * error)


trace_option = click.option(
    "--trace",
    "trace_file",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The jobs: JSONL, or of another format below; plain, gzip or zstd.",
)
format_option = click.option(
    "--format",
    "trace_form",
    type=click.Choice(FORMATS),
    default="auto",
    show_default=True,
    help="What the trace is; auto looks at its first line.",
)
perf_option = click.option(
    "--perf",
    "perf_path",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Performance tables of a trace of gavel, pollux or elasticflow. Default: beside it.",
)
seed_option = click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N"
)
error_option = click.option(
    "--error",
    "error_milli",
    type=Parsed("error", parse_error),
    default="0",
    metavar="X",
    help="Tell policies run times that are up to 1+X times too long or too short.",
)
journal_option = click.option(
    "--journal",
    "journal_folder",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="massd's data directory; the daemon may be running.",
)
out_option = click.option(
    "--out",
    "out_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to: .jsonl, .swf (each also .gz or .zst), or .parquet. Default: stdout.",
)


class Skips:
    """What a lenient command left out of a trace: how many lines, and the first of them; columns
    that it did not look at; and where it could not read on."""

    def __init__(self) -> None:
        self._count = 0
        self._first: list[Any] = []
        self._others: list[Any] = []  # at most one of each kind in a file

    def add(self, problem: Any) -> None:
        """Note a FileProblem. O(1) memory."""
        if problem.about != "line":
            self._others.append(problem)
            return
        self._count += 1
        if len(self._first) < SKIPS_LISTED:
            self._first.append(problem)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Say it at the end, also where nothing is left and the command is refused."""
        try:
            yield
        finally:
            self.tell()

    def tell(self) -> None:
        """Say it on stderr, over a line of progress."""
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        for other in self._others:
            if other.about == "rest":
                hint(f"{other.path}: everything after line {other.line - 1} is missing:")
                hint(f"  {other.what}; {other.fix}")
            else:
                hint(f"{other.path}:{other.line}: {other.what}: not looked at")
        if not self._count:
            return
        were = "was" if self._count == 1 else "were"
        hint(f"{counted(self._count, 'line')} of the trace {were} left out:")
        for problem in self._first:
            hint(f"  {problem.path}:{problem.line}: {problem.what}")
        if self._count > SKIPS_LISTED:
            hint(f"  and {self._count - SKIPS_LISTED} more")


def cost_options(function: Function) -> Function:
    """Give --start, --restart, --checkpoint and --stop, each a time as NAME_ms."""
    about = {
        "stop": "From the order to stop until the GPUs are free.",
        "checkpoint": "How often jobs save their work. Default: whenever they are stopped.",
        "restart": "What a job that was stopped needs besides, before it goes on.",
        "start": "From the order to start until a job works.",
    }
    for name, what in about.items():  # the last one comes first in the help
        function = click.option(
            f"--{name}", f"{name}_ms", type=DURATION, default=0, metavar="TIME", help=what
        )(function)
    return function
