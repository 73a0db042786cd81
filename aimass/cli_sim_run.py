"""massctl sim run: a trace of jobs through the production scheduler, in virtual time."""

import contextlib
import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

from aimass import units
from aimass.cli_base import Command, Parsed, common_options, live, output_option
from aimass.cli_sim_base import Row, counted, installed, refusals
from aimass.cli_sim_files import keep_apart, stopped_clean, trace_files
from aimass.cli_sim_options import (
    FIX,
    SEEDS_MAX,
    Skips,
    error_option,
    format_option,
    perf_option,
    seed_option,
    trace_option,
)
from aimass.cli_sim_progress import Progress
from aimass.cli_sim_report import report_files, report_folder_option, reporting
from aimass.cli_sim_world import World, world_options
from aimass.errors import MassError
from aimass.output import Column, as_json, hint, print_value, table

ROUND_MAX_S = 86_400


def parse_round(text: object) -> int:
    """Turn "60s" into seconds; 60 is as much. Raises ValueError with what is allowed."""
    allowed = f"whole seconds from 1 to {ROUND_MAX_S}, such as 60s or 6m"
    word = str(text)
    try:
        ms = units.span_ms(f"{word}s" if word.isascii() and word.isdigit() else word)
    except ValueError:
        raise ValueError(allowed) from None
    if ms % 1000 or not 1 <= ms // 1000 <= ROUND_MAX_S:
        raise ValueError(allowed)
    return ms // 1000


class Tools(NamedTuple):
    """The parts of the simulator, which need its extra."""

    clusters: Any
    faults: Any
    how: Any
    models: Any
    policies: Any
    report: Any
    run: Any
    summary: Any


@click.command(
    cls=Command,
    examples="""
    massctl sim run --trace jobs.jsonl --cluster 64x8xH100 --policy fifo
    massctl sim run --trace philly.csv.gz --cluster 300x8xP100 --policy srtf --compare fifo,las
    massctl sim run --trace jobs.csv --cluster 16x4xV100+8x8xA100 --restart 30s -o json
    massctl sim run --trace jobs.csv --cluster 64x8xH100 --compare las,srtf --report report/
    """,
)
@trace_option
@format_option
@perf_option
@world_options
@click.option(
    "--policy",
    "policy_text",
    shell_complete=live("policy_names"),
    default="fair",
    show_default=True,
    metavar="NAME[:OPTION=VALUE,…]",
    help="Who is next; options: place, promises; limits, of las.",
)
@click.option(
    "--compare",
    "others",
    shell_complete=live("policy_names"),
    default="",
    metavar="NAME[,…]",
    help="More policies on the same jobs.",
)
@seed_option
@click.option(
    "--seeds",
    "seeds_count",
    type=click.IntRange(1, SEEDS_MAX),
    default=1,
    show_default=True,
    metavar="K",
    help="Run with K seeds from --seed on; each draws the --error anew.",
)
@error_option
@click.option(
    "--parity",
    type=click.Choice(["tiresias"]),
    help="Do as that published simulator does: count GPUs, not nodes; its ties and late demotions.",
)
@click.option(
    "--round",
    "round_s",
    type=Parsed("round", parse_round),
    metavar="TIME",
    help="Decide only so often, such as 60s, as the simulator does that the policy is from: "
    "pollux-*, gavel-*.",
)
@click.option(
    "--jobs",
    "jobs_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a record of every job: .csv, else JSONL.",
)
@report_folder_option
@click.option("--lenient", is_flag=True, help="Leave out lines that are wrong, and say which.")
@output_option("table", "json", "yaml")
@common_options
def run(
    trace_file: Path,
    trace_form: str,
    perf_path: Path | None,
    policy_text: str,
    others: str,
    seed: int,
    seeds_count: int,
    error_milli: int,
    parity: str | None,
    round_s: int | None,
    jobs_file: Path | None,
    report_folder: Path | None,
    lenient: bool,
    world: World,
    form: str,
) -> None:
    """Play a trace of jobs on a cluster, as massd would schedule them; time is virtual.

    JCT is the time from a job's submission to its end, wait all of that without GPUs.
    """
    tools = _tools()
    skips = Skips()
    with refusals(FIX), skips.told():
        kinds, costs, models = world.load(tools)
        named = tools.policies.parse_policies(",".join(filter(None, (policy_text, others))))
        if not round_s:
            tools.policies.refuse_rounds(named, "add --round 360, or leave it out")
        setting = tools.report.Setting(
            *(trace_file, kinds, trace_form, costs, error_milli, parity is not None, perf_path),
            round_s=round_s or 0,
            models=models,
        )
        read = [*trace_files(trace_file, trace_form, perf_path), *world.files]
        keep_apart([jobs_file, *report_files(report_folder)], read)
        for text in tools.how.notes(tools.report.how_of(setting)):
            hint(text)
        rows: list[Row] = []
        progress = Progress()
        steps = [(one, at) for one in named for at in range(seed, seed + seeds_count)]
        with (
            stopped_clean(lambda: f"after {counted(progress.ended, 'job')}"),
            _records(jobs_file, tools.summary.JOB_FIELDS) as write,
            reporting(report_folder, kinds, world.cluster) as report,
        ):
            for one, at in steps:
                skip = skips.add if lenient and not rows else _nothing if lenient else None
                what = f"{one.label}, run {len(rows) + 1} of {len(steps)}"
                sight = report.watch(progress.watch(what, write))
                watched = {"write": sight.write, "observer": sight.observer}
                try:
                    rows.append(
                        tools.report.simulate(
                            setting, one, at, skip, progress=progress.come, **watched
                        )
                    )
                except tools.run.SimulationError as error:
                    raise MassError(
                        f"the simulation of {one.label} broke off", why=str(error)
                    ) from None
                report.take(rows[-1])
    _print(rows, seeds_count, form)


def _tools() -> Tools:
    with installed():
        from aimass.simulator import (
            clusters,
            faults,
            models,
            run,
            run_how,
            run_policies,
            run_report,
            run_summary,
        )
    return Tools(clusters, faults, run_how, models, run_policies, run_report, run, run_summary)


@contextlib.contextmanager
def _records(path: Path | None, fields: tuple[str, ...]) -> Iterator[Callable[[Row], None] | None]:
    """Open the file of records and give what writes one."""
    if path is None:
        yield None
        return
    with installed():
        from aimass.simulator.trace_write import replaced
    with replaced(path) as beside, open(beside, "w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            writer = csv.DictWriter(file, ("policy", "seed", *fields), lineterminator="\n")
            writer.writeheader()
            yield writer.writerow
        else:
            yield lambda row: print(as_json(row), file=file)


def _nothing(problem: object) -> None:
    """What was left out was said in the first run."""


def _print(rows: list[Row], seeds_count: int, form: str) -> None:
    if form == "table":
        columns = _COLUMNS if seeds_count > 1 else [c for c in _COLUMNS if c.title != "SEED"]
        print("".join(table(rows, columns)), end="")
        return
    if len(rows) == 1:
        print_value(rows[0], form)
        return
    print_value({"apiVersion": "aimass/v1", "kind": "Simulations", "runs": rows}, form)


def _number(key: str, digits: int) -> Callable[[Row], str]:
    return lambda row: "" if row[key] is None else f"{row[key]:,.{digits}f}"


def _percent(key: str) -> Callable[[Row], str]:
    return lambda row: "" if row[key] is None else f"{100 * row[key]:.1f}"


_COLUMNS: list[Column[Row]] = [
    Column("POLICY", lambda row: str(row["policy"])),
    Column("SEED", lambda row: str(row["seed"]), is_right=True),
    Column("JOBS", _number("jobs", 0), is_right=True),
    Column("ENDED", _number("finished", 0), is_right=True),
    Column("JCT-MEAN", _number("jct_mean_s", 1), is_right=True),
    Column("P50", _number("jct_p50_s", 1), is_right=True),
    Column("P95", _number("jct_p95_s", 1), is_right=True),
    Column("P99", _number("jct_p99_s", 1), is_right=True),
    Column("WAIT-MEAN", _number("wait_mean_s", 1), is_right=True),
    Column("WAIT-P95", _number("wait_p95_s", 1), is_right=True),
    Column("MAKESPAN", _number("makespan_s", 0), is_right=True),
    Column("UTIL%", _percent("gpu_util"), is_right=True),
    Column("FRAG%", _percent("frag"), is_right=True),
    Column("PREEMPT", _number("preemptions", 0), is_right=True),
    Column("LOST-GPU-H", _number("gpu_h_lost", 1), is_right=True),
    Column("SLO%", _percent("slo_attainment"), is_right=True),
    Column("CPU-S", _number("cpu_s", 1), is_right=True),
]
