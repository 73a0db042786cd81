"""massctl sim pack: the published packing experiment, where pods arrive and never leave."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

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
from aimass.output import Column, print_value, table

INFLATION_ALLOWED = "a number above 0 and at most 10, such as 1.3"
FIX = "give files that have what it takes"


class Tools(NamedTuple):
    """The parts of the simulator, which need its extra."""

    packing: Any
    report: Any
    files: Any
    plot: Any


def parse_inflation(text: object) -> Fraction:
    """Turn "1.3" into a number. Raises ValueError with what is allowed."""
    try:
        inflation = Fraction(str(text)) if "/" not in str(text) else None
    except ValueError:
        inflation = None
    if inflation is None or not 0 < inflation <= 10:
        raise ValueError(INFLATION_ALLOWED)
    return inflation


@click.command(
    cls=Command,
    examples="""
    massctl sim pack --nodes nodes.csv --pods pods.csv.gz --policy fgd,mass
    massctl sim pack --nodes nodes.csv --pods pods.csv --policy mass --seeds 42 --bound -o json
    massctl sim pack --nodes nodes.csv --pods pods.csv --policy fgd,mass --plot packing.html
    """,
)
@nodes_option
@click.option(
    "--pods",
    "pods_file",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The pods: CSV, plain or gzip.",
)
@policy_option
@seeds_option("42-51", "order of arrival")
@click.option(
    "--inflate",
    "inflation",
    type=Parsed("inflation", parse_inflation),
    default="1.3",
    show_default=True,
    metavar="X",
    help="Draw pods again until they ask for X times the cluster's GPUs.",
)
@click.option("--bound", "with_bound", is_flag=True, help="Compute the most that is possible, too.")
@click.option(
    "--plot",
    "picture",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw allocation and fragmentation: .png or .html.",
)
@output_option("table", "json", "yaml")
@common_options
def pack(
    nodes_file: Path,
    pods_file: Path,
    policies: str,
    seeds: list[int],
    inflation: Fraction,
    with_bound: bool,
    picture: Path | None,
    form: str,
) -> None:
    """Let pods arrive in random orders; compare how much of the GPUs each policy allocates.

    Pods never leave, and who finds no room is dropped. All figures are percent of the cluster's
    GPUs, at so much demand arrived.
    """
    tools = _tools()
    names = checked_policies(policies, tools.report.POLICIES)
    if picture is not None:
        with refusals("name a .png or .html file"), installed():
            tools.plot.refuse_path(picture)
    with refusals(FIX):
        nodes = tools.files.read_nodes(nodes_file)
        pods = tools.files.read_pods(pods_file, nodes)
        runs, bounds = [], {}
        steps = len(seeds) * (len(names) + with_bound)
        for done, (seed, name) in enumerate((s, n) for s in seeds for n in [*names, ""]):
            if name:
                runs.append(tools.packing.pack(nodes, pods, name, seed, inflation))
            elif with_bound:
                bounds[seed] = tools.report.bounds_of(nodes, pods, seed, inflation)
            progress(min(done + 1, steps), steps)
    runs.sort(key=lambda run: names.index(run.policy))
    views = [tools.report.as_view(run) for run in runs]
    summary = tools.report.summary(views, bounds)
    bound = tools.report.bound_view(bounds) if bounds else None
    if picture is not None:
        means = {at: bound[str(at)]["mean"] for at in _points(bound)} if bound else {}
        with refusals(FIX):
            tools.plot.write_plot(picture, runs, means)
    if form == "table":
        _print_tables(summary, bound)
        return
    print_value(
        {
            "apiVersion": "aimass/v1",
            "kind": "PackSimulation",
            "nodes": len(nodes),
            "gpus": sum(node.gpus for node in nodes),
            "pods": len(pods),
            "inflation": float(inflation),
            "runs": views,
            "summary": summary,
            "bound": bound,
        },
        form,
    )


def _tools() -> Tools:
    with installed():
        from aimass.policies.pack_cache import keep_compiled

        keep_compiled()
        from aimass.simulator import pack_files, pack_plot, pack_report, packing
    return Tools(packing, pack_report, pack_files, pack_plot)


def _points(bound: Row) -> list[int]:
    return [int(at) for at in bound if at.isdigit() and bound[at] is not None]


def _print_tables(summary: Row, bound: Row | None) -> None:
    rows = [{"policy": name, **row} for name, row in summary.items()]
    print("".join(table(rows, _COLUMNS if bound else _COLUMNS[:-3])), end="")
    if bound:
        most = ", ".join(f"{bound[str(at)]['mean']:.2f} at {at} %" for at in _points(bound))
        print(f"\nThe most that any policy can allocate: {most}.")


def _mean(*path: str, digits: int = 2) -> Any:
    """Give a column's text: the mean found along the path, and ± the standard deviation."""

    def text(row: Row) -> str:
        found: Any = row
        for key in path:
            found = None if found is None else found.get(key)
        if found is None:
            return ""
        spread = "" if found["sd"] is None else f" ±{found['sd']:.{digits}f}"
        return f"{found['mean']:.{digits}f}{spread}"

    return text


_COLUMNS: Sequence[Column[Row]] = (
    Column("POLICY", lambda row: str(row["policy"])),
    *(Column(f"ALLOC@{at}", _mean("alloc_pct", at), is_right=True) for at in ("95", "100", "130")),
    *(Column(f"FRAG@{at}", _mean("frag_pct", at), is_right=True) for at in ("50", "100")),
    Column("FIRST-FAILED", _mean("first_failed_gpu_pct", digits=1), is_right=True),
    Column("FIRST-8-GPU", _mean("first_failed_by_gpus", "8", digits=1), is_right=True),
    Column("FAILED-8-GPU", _mean("failed_by_gpus", "8", digits=1), is_right=True),
    Column("µs", _mean("decide_us_p50", digits=0), is_right=True),
    *(
        Column(f"OF-BOUND@{at}", _mean("of_bound_pct", at), is_right=True)
        for at in ("95", "100", "130")
    ),
)
