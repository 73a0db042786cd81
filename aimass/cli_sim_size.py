"""massctl sim size: the fewest nodes on which a trace of jobs meets a goal."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click

from aimass.cli_base import Command, Parsed, common_options, live, output_option
from aimass.cli_sim_base import Row, installed, refusals
from aimass.cli_sim_files import keep_apart, trace_files
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
from aimass.cli_sim_report import prepare, report_file_option, write_page
from aimass.cli_sim_world import World, world_options
from aimass.errors import InvalidRequest, MassError
from aimass.output import Column, hint, print_value, table
from aimass.slo import parse_goals, value_text

GROWTH = 64  # times the nodes given: as far as it looks by itself
_ANY = click.IntRange(1)


class Tools(NamedTuple):
    """The parts of the simulator, which need its extra."""

    clusters: Any
    faults: Any
    models: Any
    page: Any
    policies: Any
    report: Any
    size: Any
    sweep: Any
    traces: Any


class Asked(NamedTuple):
    """What was asked for, as values of the simulator."""

    setting: Any
    policy: str
    block: int
    lenient: bool


@click.command(
    cls=Command,
    examples="""
    massctl sim size --slo 'wait_p95<30m' --trace jobs.jsonl --cluster 8x8xH100
    massctl sim size --slo 'slo_attainment>95%' --trace jobs.jsonl --cluster 16x4xV100+4x8xH100
    massctl sim size --slo 'wait_p95<10m,jct_mean<4h' --trace jobs.csv --cluster 8x8xA100 \
--seeds 5 --resample 50
    """,
)
@click.option(
    "--slo",
    "goals",
    type=Parsed("slo", parse_goals),
    required=True,
    metavar="GOAL[,…]",
    help="What every seed must meet, such as 'wait_p95<30m'; figures of sim run's summary.",
)
@trace_option
@format_option
@perf_option
@world_options
@click.option(
    "--policy",
    shell_complete=live("policy_names"),
    default="fair",
    show_default=True,
    metavar="NAME[:OPTION=VALUE,…]",
    help="Who is next.",
)
@click.option(
    "--max-nodes",
    type=_ANY,
    default=None,
    metavar="N",
    help=f"Look no further. Default: {GROWTH} times the nodes of --cluster.",
)
@seed_option
@click.option(
    "--seeds",
    "seeds_count",
    type=click.IntRange(1, SEEDS_MAX),
    default=1,
    show_default=True,
    metavar="K",
    help="So many seeds from --seed on must meet it; each draws --resample and --error anew.",
)
@click.option(
    "--resample",
    "block",
    type=_ANY,
    default=None,
    metavar="JOBS",
    help="Each seed draws blocks of so many jobs of the trace, as in a sweep.",
)
@error_option
@report_file_option
@click.option("--lenient", is_flag=True, help="Leave out lines that are wrong.")
@output_option("table", "json", "yaml")
@common_options
def size(
    goals: list[dict[str, Any]],
    trace_file: Path,
    trace_form: str,
    perf_path: Path | None,
    policy: str,
    max_nodes: int | None,
    seed: int,
    seeds_count: int,
    block: int | None,
    error_milli: int,
    report_file: Path | None,
    lenient: bool,
    world: World,
    form: str,
) -> None:
    """Find the smallest cluster on which a trace meets a goal, by bisection.

    It begins with --cluster; of several kinds of nodes the last one grows and shrinks. Each number
    of nodes is a run of the whole trace; a job that does not fit counts against it.
    What is found meets the goal, and one node fewer does not.
    """
    tools = _tools()
    with refusals(FIX):
        kinds, costs, models = world.load(tools)
        named = tools.policies.parse_policies(policy)
        if len(named) > 1:
            raise InvalidRequest("more than one policy", fix="give one; sim sweep compares several")
        tools.policies.refuse_rounds(named, "name another: rounds are in massctl sim run only")
        if seeds_count > 1 and not (block or error_milli or any(models.faults.rates)):
            fix = (
                "add --resample 50 (other weeks of the trace) or --error 0.5, or leave out --seeds"
            )
            raise InvalidRequest("every seed would give the same: nothing is drawn", fix=fix)
        setting = tools.report.Setting(
            trace_file, kinds, trace_form, costs, error_milli, perf=perf_path, models=models
        )
        read = [*trace_files(trace_file, trace_form, perf_path), *world.files]
        keep_apart([report_file], read)
        prepare(report_file)
        shapes = _shapes(tools, setting, lenient)
        wanted = tuple(tools.size.Goal(**goal) for goal in goals)
        attempts = tools.size.Attempts(
            kinds,
            wanted,
            tuple(range(seed, seed + seeds_count)),
            shapes,
            _player(tools, Asked(setting, policy, block or 0, lenient)),
            models,
        )
        start = kinds[-1].nodes
        room = (tools.clusters.GPUS_MAX - sum(k.total for k in kinds[:-1])) // kinds[-1].gpus
        most = min(max_nodes or GROWTH * start, room)
        trials = []
        for trial in tools.size.search(attempts, start, most):
            trials.append(trial)
            hint(f"{trial.nodes} nodes: {_verdict(trial, goals)}")
    _tell(tools, trials, goals, kinds, form)
    about = f"{trace_file.name} under {policy}"
    write_page(
        report_file,
        lambda made: tools.page.size_page(trials, wanted, kinds, about, made),
        input_sha256=tools.traces.digest(trace_file, trace_form, perf_path),
    )


def _shapes(tools: Tools, setting: Any, lenient: bool) -> list[Any]:
    """A job of each shape in the trace; all lines are read, so that none breaks off a run."""
    found: dict[Any, Any] = {}
    skips = Skips()
    with skips.told():
        for job in tools.traces.read_jobs(
            setting.path, setting.form, skips.add if lenient else None, setting.perf
        ):
            found.setdefault((job.gpu_milli, job.gpu_types), job)
    return list(found.values())


def _player(tools: Tools, asked: Asked) -> Callable[[Any, int], Any]:
    sha256 = tools.traces.digest(asked.setting.path, asked.setting.form, asked.setting.perf)

    def play(kinds: Any, seed: int) -> Any:
        setting = replace(asked.setting, kinds=kinds)
        cluster = tools.size.spelled(kinds)
        return tools.sweep.play(
            tools.sweep.Cell(
                setting, sha256, cluster, asked.policy, 1000, seed, asked.block, asked.lenient
            )
        )

    return play


def _tools() -> Tools:
    with installed():
        from aimass.simulator import (
            clusters,
            faults,
            models,
            report_size,
            run_policies,
            run_report,
            size,
            sweep,
            traces,
        )
    return Tools(
        clusters, faults, models, report_size, run_policies, run_report, size, sweep, traces
    )


def _verdict(trial: Any, goals: list[dict[str, Any]]) -> str:
    words = [f"{name} {value_text(name, value)}" for name, value in trial.values.items()]
    words += [trial.why] if trial.why else []
    return f"{', '.join(words)}: {'met' if trial.is_met else 'not met'}"


def _tell(
    tools: Tools, trials: list[Any], goals: list[dict[str, Any]], kinds: Any, form: str
) -> None:
    """Print the answer with its steps. Raises MassError when there is none."""
    found = tools.size.answer(trials)
    asked = " and ".join(goal["text"] for goal in goals)
    if found is None:
        raise _none(trials, asked, goals)
    best = tools.size.with_nodes(kinds, found.nodes)
    steps = [
        {
            "nodes": trial.nodes,
            "cluster": tools.size.spelled(tools.size.with_nodes(kinds, trial.nodes)),
            "met": trial.is_met,
            **trial.values,
            "why": trial.why,
        }
        for trial in trials
    ]
    cluster, gpus = tools.size.spelled(best), tools.clusters.gpus_of(best)
    if form == "table":
        steps.sort(key=lambda step: int(step["nodes"]))
        print("".join(table(steps, _columns(goals))), end="")
        fewer = f"; {found.nodes - 1} would not" if found.nodes > 1 else ""
        print(f"\n{cluster} ({gpus} GPUs) is the smallest that meets {asked}{fewer}.")
        return
    view = {"apiVersion": "aimass/v1", "kind": "Size", "slo": [goal["text"] for goal in goals]}
    answer = {"nodes": found.nodes, "gpus": gpus, "cluster": cluster, "steps": steps}
    print_value({**view, **answer}, form)


def _none(trials: list[Any], asked: str, goals: list[dict[str, Any]]) -> MassError:
    last = max(trials, key=lambda trial: trial.nodes)
    why = f"{last.nodes} nodes: {_verdict(last, goals)}"
    if last.is_idle:
        return MassError(
            f"no number of nodes meets {asked}",
            why=f"{why}; no job waits for another there, and more nodes change nothing",
            fix="ask for less, or name faster GPUs",
        )
    fix = f"ask for less, or look further: --max-nodes {4 * last.nodes}"
    return MassError(f"up to {last.nodes} nodes do not meet {asked}", why=why, fix=fix)


def _columns(goals: list[dict[str, Any]]) -> list[Column[Row]]:
    def value(name: str) -> Callable[[Row], str]:
        return lambda step: value_text(name, step[name]) if name in step else ""

    return [
        Column("NODES", lambda step: str(step["nodes"]), is_right=True),
        Column("CLUSTER", lambda step: str(step["cluster"])),
        *(
            Column(goal["figure"].removesuffix("_s").upper(), value(goal["figure"]), is_right=True)
            for goal in goals
        ),
        Column("MET", lambda step: "yes" if step["met"] else "no"),
        Column("WHY", lambda step: str(step["why"])),
    ]
