"""massctl sim queue: packing where jobs leave again, and wait when there is no room."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from aimass.cli_base import Command, Parsed, common_options, output_option
from aimass.cli_sim_base import (
    Row,
    checked_policies,
    installed,
    nodes_option,
    policy_option,
    progress,
    refusals,
    seeds_option,
)
from aimass.errors import InvalidRequest
from aimass.output import Column, hint, print_value, table

LOADS_ALLOWED = "loads such as 0.7,0.9,1.2: parts of the cluster's GPU time, at most 10"
AGAINST = "fgd"  # what differences are to, where it is among the policies


def parse_loads(text: object) -> list[float]:
    """Turn "0.7,0.9" into numbers. Raises ValueError with what is allowed."""
    try:
        loads = [float(word) for word in str(text).split(",")]
    except ValueError:
        raise ValueError(LOADS_ALLOWED) from None
    if not all(0 < load <= 10 for load in loads) or len({*loads}) < len(loads):
        raise ValueError(LOADS_ALLOWED)
    return loads


@click.command(
    cls=Command,
    examples="""
    massctl sim queue --nodes nodes.csv --pods pods.csv.gz --policy fgd,best-fit --load 0.9
    massctl sim queue --nodes nodes.csv --pods pods.csv --load 0.7,1.2 --seeds 1-20 -o json
    massctl sim queue --nodes nodes.csv --jobs philly.csv.gz --every 5 --promises 0
    """,
)
@nodes_option
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
@policy_option
@click.option(
    "--load",
    "loads",
    type=Parsed("loads", parse_loads),
    default="0.9,1.1",
    show_default=True,
    metavar="LOAD[,…]",
    help="GPU time asked for, per GPU time there is.",
)
@seeds_option("42-44", "draw of the jobs")
@click.option(
    "--every",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Take every Nth node of the file: a smaller cluster of the same mix. A run on a thousand "
    "nodes takes half a minute or more.",
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
    names = checked_policies(policies, tools.POLICIES)
    with refusals("give a trace that has what it takes"):
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
            progress(len(runs), len(loads) * len(seeds) * len(names))
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
            "left_out": len(trace) - len(jobs),
            "promises": promises,
            "runs": [tools.as_view(run) for run in runs],
            "summary": summary,
            "differences": differences,
        },
        form,
    )


def _tools() -> tuple[Any, Any, Any]:
    with installed():
        from aimass.policies.pack_cache import keep_compiled

        keep_compiled()
        from aimass.simulator import pack_files, queueing_load, queueing_report
    return queueing_report, pack_files, queueing_load


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
