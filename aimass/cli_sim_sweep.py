"""massctl sim sweep: policies x clusters x loads x seeds on traces, on several processes."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from aimass import units
from aimass.background import raising_on
from aimass.cli_base import Command, common_options, output_option
from aimass.cli_sim_base import Row, installed, refusals
from aimass.cli_sim_files import keep_apart
from aimass.cli_sim_grid import grid_inputs, load_grid
from aimass.cli_sim_options import FIX
from aimass.cli_sim_report import prepare, report_file_option, write_page
from aimass.errors import InvalidRequest, MassError
from aimass.output import Column, hint, print_value, table

WORKERS_MAX = 256
CELLS_MAX = 100_000
FAILURES_SHOWN = 5


class Tools(NamedTuple):
    """The parts of the simulator, which need its extra."""

    clusters: Any
    faults: Any
    models: Any
    page: Any
    policies: Any
    pool: Any
    report: Any
    store: Any
    sweep: Any


@click.command(
    cls=Command,
    examples="""
    massctl sim sweep grid.yaml
    massctl sim sweep grid.yaml --workers 8 -o json > sweep.json
    massctl sim sweep grid.yaml --report sweep.html
    """,
)
@click.argument("grid_file", type=click.Path(path_type=Path), metavar="GRID.yaml")
@click.option(
    "--workers",
    type=click.IntRange(1, WORKERS_MAX),
    default=None,
    metavar="N",
    help="Processes. Default: as many as there are cores.",
)
@click.option(
    "--dask",
    "dask_address",
    default=None,
    metavar="ADDRESS",
    help="Run the cells on the Dask cluster of this scheduler, as tcp://host:8786.",
)
@click.option(
    "--cells",
    "cells_folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where finished cells are kept, and not run again. Default: GRID.cells beside the grid.",
)
@report_file_option
@output_option("table", "wide", "json", "yaml")
@common_options
def sweep(
    grid_file: Path,
    workers: int | None,
    dask_address: str | None,
    cells_folder: Path | None,
    report_file: Path | None,
    form: str,
) -> None:
    """Run every policy on every trace, cluster and load with every seed, and compare them.

    Differences to the first policy are taken seed by seed, with 95 % intervals. Ctrl-C keeps what
    is finished; the same command goes on from there. A grid, of which the last four may be left out
    and error, format, perf, lenient, start, checkpoint and stop be added:

    \b
    trace: philly.csv.gz
    cluster: [32x8xV100, 40x8xV100]
    policy: [fair, fifo-backfill, las]
    load: [0.9, 1, 1.1]  # jobs come so many times as fast as in the trace
    seed: 0-9
    resample: 50         # each seed draws blocks of 50 jobs of the trace anew
    restart: 30s
    """
    if dask_address is not None and workers is not None:
        raise InvalidRequest("--workers are processes here", fix="either --workers or --dask")
    tools = _tools()
    with refusals(FIX):
        grid = load_grid(grid_file, tools)
        keep_apart([report_file], grid_inputs(grid_file, grid))
        problem = tools.sweep.problem(grid)
        if problem is not None:
            raise problem
    cells = tools.sweep.cells(grid)
    if len(cells) > CELLS_MAX:
        fix = f"name fewer seeds, loads, clusters or policies: at most {CELLS_MAX} cells"
        raise InvalidRequest(f"{grid_file} has {len(cells)} cells", fix=fix)
    prepare(report_file)
    folder = cells_folder or grid_file.with_suffix(".cells")
    store = tools.store.Store(folder)
    rows = {cell: row for cell in cells if (row := store.load(cell)) is not None}
    left = tools.sweep.in_pairs(cell for cell in cells if cell not in rows)
    count = min(workers or os.cpu_count() or 1, max(1, len(left)))
    hint(f"{len(cells)} cells, {len(rows)} of them finished before; {folder}")
    failures: list[Any] = []
    played = (
        tools.pool.play_all(left, count) if dask_address is None else _on_dask(left, dask_address)
    )
    with raising_on(signal.SIGINT, signal.SIGTERM):
        try:
            for cell, found in _told(played, len(left)):
                if isinstance(found, tools.sweep.Failure):
                    failures.append(found)
                else:
                    store.keep(cell, found)
                    rows[cell] = found
        except KeyboardInterrupt:
            hint(f"stopped: {len(rows)} of {len(cells)} cells are finished; run it again to go on")
            raise
    if failures:
        raise _failed(failures, len(cells))
    # Of what a cell tells only the trace's name does not follow from its key.
    found_rows = [{**rows[cell], "trace": cell.setting.path.name} for cell in cells]
    _print(tools, found_rows, form)
    write_page(report_file, lambda made: tools.page.sweep_page(found_rows, made))


def _on_dask(cells: Sequence[Any], address: str) -> Any:
    """Run the cells on a Dask cluster; nothing is asked of it when there are none."""
    from aimass.simulator import sweep_dask

    if not cells:
        return
    try:
        yield from sweep_dask.play_on(cells, address)
    except ModuleNotFoundError as error:
        raise MassError(
            "Dask is not installed here", why=str(error), fix="pip install 'aimass[dask]'"
        ) from None
    except sweep_dask.DaskError as error:
        raise MassError(str(error), fix=error.fix) from None


def _failed(failures: Sequence[Any], count: int) -> MassError:
    why = "".join(f"\n  {failure.what}" for failure in failures[:FAILURES_SHOWN]).lstrip("\n")
    what = f"{len(failures)} of {count} cells could not be finished"
    return MassError(what, why=why, fix=failures[0].fix)


def _told(found: Any, steps: int) -> Any:
    """Pass on what ends, and overwrite one line of a terminal with how far it is."""
    began_s = time.monotonic()
    try:
        for done, one in enumerate(found, 1):
            yield one
            if sys.stderr.isatty():
                left_s = (time.monotonic() - began_s) / done * (steps - done)
                eta = units.span_text(round(1000 * left_s))
                end = f"; about {eta} left" if done < steps else "\n"
                print(f"\r\x1b[K{done} of {steps} cells{end}", end="", file=sys.stderr, flush=True)
    finally:
        found.close()


def _tools() -> Tools:
    with installed():
        from aimass.simulator import (
            clusters,
            faults,
            models,
            report_sweep,
            run_policies,
            sweep,
            sweep_pool,
            sweep_report,
            sweep_store,
        )
    return Tools(
        *(clusters, faults, models, report_sweep, run_policies, sweep_pool, sweep_report),
        *(sweep_store, sweep),
    )


def _print(tools: Tools, rows: list[Row], form: str) -> None:
    means, differences = tools.report.means(rows), tools.report.differences(rows)
    if form not in ("table", "wide"):
        view = {"apiVersion": "aimass/v1", "kind": "Sweep"}
        print_value({**view, "means": means, "differences": differences, "cells": rows}, form)
        return
    print("".join(table(means, [*_keys(means), *_MEANS], is_wide=form == "wide")), end="")
    if not differences:
        return
    print(f"\nDifferences to {differences[0]['against']}, seed by seed:\n")
    figures = [figure for figure in _FIGURES if form == "wide" or figure.is_main]
    lines = [
        {**row, "figure": figure, "found": row[figure.name]}
        for row in differences
        for figure in figures
        if row[figure.name] is not None
    ]
    print("".join(table(lines, [*_keys(means), *_DIFFERENCES])), end="")


def _keys(rows: Sequence[Row]) -> list[Column[Row]]:
    """Columns that tell rows apart; one that says the same everywhere is left out."""
    several = (
        Column[Row]("TRACE", lambda row: str(row["trace"])),
        Column[Row]("CLUSTER", lambda row: str(row["cluster"])),
        Column[Row]("LOAD", lambda row: f"{row['load']:g}", is_right=True),
    )
    kept = [column for column in several if len({column.text(row) for row in rows}) > 1]
    return [*kept, Column("POLICY", lambda row: str(row["policy"]))]


class _Figure(NamedTuple):
    """How a figure is shown: times a factor, with so many digits; on a narrow screen if main."""

    title: str
    name: str
    factor: int = 1
    digits: int = 1
    is_main: bool = True

    def mean(self, row: Row) -> str:
        found = row[self.name]
        return "" if found is None else f"{self.factor * found['mean']:,.{self.digits}f}"

    def signed(self, value: float) -> str:
        return f"{self.factor * value:+,.{self.digits}f}"


_FIGURES = (
    _Figure("JCT-MEAN", "jct_mean_s"),
    _Figure("JCT-P99", "jct_p99_s"),
    _Figure("WAIT-MEAN", "wait_mean_s"),
    _Figure("WAIT-P95", "wait_p95_s"),
    _Figure("MAKESPAN", "makespan_s", digits=0),
    _Figure("UTIL%", "gpu_util", factor=100),
    _Figure("SLO%", "slo_attainment", factor=100),
    _Figure("PREEMPT", "preemptions", is_main=False),
    _Figure("LOST-GPU-H", "gpu_h_lost", is_main=False),
)
_MEANS: list[Column[Row]] = [
    Column("SEEDS", lambda row: str(row["seeds"]), is_right=True),
    *(
        Column(figure.title, figure.mean, is_wide=not figure.is_main, is_right=True)
        for figure in _FIGURES
    ),
]


def _difference(line: Row) -> str:
    found = line["found"]
    part = "" if found["part"] is None else f" ({100 * found['part']:+.1f} %)"
    return f"{line['figure'].signed(found['mean'])}{part}"


def _interval(line: Row) -> str:
    figure, found = line["figure"], line["found"]
    if found["low"] is None or found["verdict"] == "equal":
        return ""
    return f"{figure.signed(found['low'])} to {figure.signed(found['high'])}"


_DIFFERENCES: list[Column[Row]] = [
    Column("FIGURE", lambda line: str(line["figure"].title)),
    Column("DIFFERENCE", _difference, is_right=True),
    Column("95 % INTERVAL", _interval, is_right=True),
    Column("VERDICT", lambda line: str(line["found"]["verdict"])),
]
