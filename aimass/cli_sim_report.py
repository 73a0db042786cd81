"""The option --report of `massctl sim run`, `sweep` and `size`: a page with pictures."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

from aimass.cli_base import Session
from aimass.cli_sim_base import Row, installed
from aimass.output import hint

Write = Callable[[Row], None]

report_folder_option = click.option(
    "--report",
    "report_folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write DIR/report.html, a page with pictures, and the data that it is made of.",
)


report_file_option = click.option(
    "--report",
    "report_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a page with pictures, such as report.html.",
)


class Sight(NamedTuple):
    """What watches one run: takes the rows of jobs, and observes."""

    write: Write | None
    observer: Any


class Report:
    """Watches runs for a report; without a folder it lets them pass."""

    def __init__(self, folder: Any = None) -> None:
        self._folder = folder

    def watch(self, write: Write | None) -> Sight:
        """Give what the next run is watched with. write: gets the row of every job as well."""
        if self._folder is None:
            return Sight(write, None)
        watch = self._folder.watch(write)
        return Sight(watch.job, watch.timeline)

    def take(self, row: Row) -> None:
        """Take the summary of the run."""
        if self._folder is not None:
            self._folder.take(row)


def report_files(folder: Path | None) -> list[Path]:
    """What --report DIR writes."""
    if folder is None:
        return []
    with installed():
        from aimass.simulator.report_files import FILES
    return [folder / name for name in FILES]


def prepare(path: Path | None) -> None:
    """Make the folder of a page before hours of runs, rather than fail after. Raises OSError."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)


def write_page(path: Path | None, page: Callable[[Any], str], **inputs: str) -> None:
    """Write a page where one was asked for. page: makes it of what says how it was made.

    inputs: what else it was made of.
    """
    if path is None:
        return
    with installed():
        from aimass.simulator.report_files import made_by, put, shown
    argv = click.get_current_context().ensure_object(Session).argv
    put(path, page(shown({"command": ["massctl", *argv], **inputs, **made_by()})))
    hint(f"report: {path}")


@contextlib.contextmanager
def reporting(path: Path | None, kinds: Any, cluster_text: str) -> Iterator[Report]:
    """Give what watches runs, and write the report when all went well. Raises OSError."""
    if path is None:
        yield Report()
        return
    with installed():
        from aimass.simulator.report_files import ReportFolder
    argv = click.get_current_context().ensure_object(Session).argv
    with ReportFolder(path, kinds, cluster_text, argv) as folder:
        yield Report(folder)
    hint(f"report: {path / 'report.html'}")
