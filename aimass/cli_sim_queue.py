"""massctl sim queue: packing where jobs leave again, and wait when there is no room."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from aimass.cli_base import Command, Parsed, common_options, output_option
from aimass.errors import InvalidRequest, MassError
from aimass.output import Column, hint, print_value, table

LOADS_ALLOWED = "loads such as 0.7,0.9,1.2: parts of the cluster's GPU time, at most 10"
SEEDS_ALLOWED = "seeds such as 42-51 or 1,2,3, at most 1000"
AGAINST = "fgd"  # what differences are to, where it is among the policies

Row = dict[str, Any]


def parse_loads(text: object) -> list[float]:
    """Turn "0.7,0.9" into numbers. Raises ValueError with what is allowed."""
    try:
        loads = [float(word) for word in str(text).split(",")]
    except ValueError:
        raise ValueError(LOADS_ALLOWED) from None
    if not all(0 < load <= 10 for load in loads) or len({*loads}) < len(loads):
        raise ValueError(LOADS_ALLOWED)
    return loads


def parse_seeds(text: object) -> list[int]:
    """Turn "42-51" or "1,2,3" into numbers. Raises ValueError with what is allowed."""
    seeds: list[int] = []
    for part in str(text).split(","):
        first, dash, last = part.partition("-")
        words = (first, last if dash else first)
        if not all(word.isascii() and word.isdigit() and len(word) <= 9 for word in words):
            raise ValueError(SEEDS_ALLOWED)
        begin, end = map(int, words)
        if not begin <= end < begin + 1000:
            raise ValueError(SEEDS_ALLOWED)
        seeds += range(begin, end + 1)
    if len({*seeds}) < len(seeds) or len(seeds) > 1000:
        raise ValueError(SEEDS_ALLOWED)
    return seeds


@click.command(
    cls=Command,
    examples="""
    massctl sim queue --nodes nodes.csv --pods pods.csv.gz --policy fgd,best-fit --load 0.9
    massctl sim queue --nodes nodes.csv --pods pods.csv --load 0.7,1.2 --seeds 1-20 -o json
    massctl sim queue --nodes nodes.csv --jobs philly.csv.gz --every 5 --promises 0
    """,
)
@click.option(
    "--nodes",
    "nodes_file",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The cluster: CSV, plain or gzip.",
)
@click.option(
    "--pods",
    "pods_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Pods with creation_time and deletion_time.",
)
@click.option(
    "--jobs",
    "jobs_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Instead: jobs with timestamp, duration, num_gpus, as Philly's.",
)
@click.option(
    "--policy",
    "policies",
    default="fgd,best-fit,mass",
    show_default=True,
    metavar="NAME[,…]",
    help="Packing policies.",
)
@click.option(
    "--load",
    "loads",
    type=Parsed("loads", parse_loads),
    default="0.9,1.1",
    show_default=True,
    metavar="LOAD[,…]",
    help="GPU time asked for, per GPU time there is.",
)
@click.option(
    "--seeds",
    type=Parsed("seeds", parse_seeds),
    default="42-44",
    show_default=True,
    metavar="FROM-TO",
    help="Each seed is another draw of the jobs, the same for all policies.",
)
@click.option(
    "--every",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Take every Nth node of the file: a smaller cluster of the same mix. A run on a thousand "
    "nodes can take minutes.",
)
@click.option(
    "--promises",
    type=click.IntRange(0),
    default=8,
    show_default=True,
    metavar="K",
    help="Keep nodes for the first K that have waited for an hour.",
)
@output_option("table", "json", "yaml")
@common_options
def queue(
    nodes_file: Path,
    pods_file: Path | None,
    jobs_file: Path | None,
    policies: str,
    loads: list[float],
    seeds: list[int],
    every: int,
    promises: int,
    form: str,
) -> None:
    """Replay jobs that come, wait, run and leave; compare policies by waiting time and packing."""
    if (pods_file is None) == (jobs_file is None):
        raise InvalidRequest("name one trace", fix="either --pods FILE or --jobs FILE")
    tools, files, load = _tools()
    names = policies.split(",")
    unknown = [name for name in names if name not in tools.POLICIES]
    if unknown or len({*names}) < len(names):
        wrong = f"no policy {unknown[0]!r}" if unknown else "a policy comes twice"
        raise InvalidRequest(wrong, fix=f"choose from {', '.join(tools.POLICIES)}")
    with _refusals():
        nodes = files.read_nodes(nodes_file)[::every]
        if jobs_file is not None:
            trace = load.read_jobs(jobs_file)
        else:
            trace = load.jobs_of_pods(files.read_pods(pods_file, nodes if every == 1 else ()))
        jobs = tools.runnable(trace, nodes)
        if len(jobs) < len(trace):
            hint(f"{len(trace) - len(jobs)} of {len(trace)} jobs fit on no such cluster: left out")
        runs = []
        for run in tools.queue_runs(nodes, jobs, names, loads, seeds, promises):
            runs.append(run)
            _progress(f"{len(runs)} of {len(loads) * len(seeds) * len(names)} runs")
    against = AGAINST if AGAINST in names else names[0]
    summary, differences = tools.summary(runs), tools.paired(runs, against)
    if form == "table":
        _print_tables(summary, differences)
        return
    print_value(
        {
            "apiVersion": "aimass/v1",
            "kind": "QueueSimulation",
            "nodes": len(nodes),
            "gpus": sum(node.gpus for node in nodes),
            "jobs": len(jobs),
            "leftOut": len(trace) - len(jobs),
            "promises": promises,
            "runs": [tools.as_view(run) for run in runs],
            "summary": summary,
            "differences": differences,
        },
        form,
    )


def _tools() -> tuple[Any, Any, Any]:
    try:
        from aimass.simulator.compiled import keep_compiled

        keep_compiled()
        from aimass.simulator import pack_files, queueing_load, queueing_report
    except ModuleNotFoundError as error:
        raise MassError(
            "the simulator is not installed here",
            why=f"no module {error.name}",
            fix="pip install 'aimass[sim]'",
        ) from None
    return queueing_report, pack_files, queueing_load


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Let what is wrong with a file be an ordinary error."""
    try:
        yield
    except ValueError as error:
        what, _, fix = str(error).partition("; fix: ")
        raise InvalidRequest(what, fix=fix or "give a trace that has what it takes") from None


def _progress(text: str) -> None:
    """Overwrite one line of a terminal; say nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"\r{text}", end="", file=sys.stderr, flush=True)


def _print_tables(summary: Sequence[Row], differences: Sequence[Row]) -> None:
    print("".join(table(summary, _COLUMNS)), end="")
    if differences:
        print(f"\nDifferences to {differences[0]['against']}, with 95 % intervals:\n")
        print("".join(table(differences, _DIFFERENCES)), end="")


def _cell(name: str, digits: int) -> Any:
    def text(row: Row) -> str:
        found = row.get(name)
        return "" if found is None else f"{found['mean']:.{digits}f}"

    return text


def _interval(name: str, digits: int) -> Any:
    def text(row: Row) -> str:
        found = row.get(name)
        if found is None:
            return ""
        mean = f"{found['mean']:+.{digits}f}"
        if found["low"] is None:
            return mean
        return f"{mean} [{found['low']:+.{digits}f}, {found['high']:+.{digits}f}]"

    return text


_FIGURES = (
    ("WAIT s", "wait_mean_s", 0),
    ("P99 s", "wait_p99_s", 0),
    ("8-GPU s", "wait8_mean_s", 0),
    ("8-GPU P99 s", "wait8_p99_s", 0),
    ("UNSTARTED", "unstarted", 1),
    ("ALLOC %", "alloc_pct", 2),
    ("FRAG %", "frag_pct", 2),
)
_KEYS: tuple[Column[Row], ...] = (
    Column("LOAD", lambda row: f"{row['load']:g}", is_right=True),
    Column("POLICY", lambda row: str(row["policy"])),
)
_COLUMNS: tuple[Column[Row], ...] = (
    *_KEYS,
    *(Column(title, _cell(name, digits), is_right=True) for title, name, digits in _FIGURES),
)
_DIFFERENCES: tuple[Column[Row], ...] = (
    *_KEYS,
    *(Column(title, _interval(name, digits), is_right=True) for title, name, digits in _FIGURES),
)
