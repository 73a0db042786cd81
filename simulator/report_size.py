"""The report of `massctl sim size`: how each goal's figure falls as nodes are added."""

from collections.abc import Sequence

from aimass.simulator.chart import Axes, Dot, scatter
from aimass.simulator.chart_scale import Scale, linear, log_times, number, percent, span
from aimass.simulator.clusters import Kinds, gpus_of
from aimass.simulator.report_figures import time_axis
from aimass.simulator.report_page import Figure, Page, Table
from aimass.simulator.size import Goal, Trial, spelled, with_nodes

NOT_MET, MET = 1, 2  # styles: an orange square, a green triangle
WIDE = 50  # times: an axis that must show more than that is logarithmic


def size_page(
    trials: Sequence[Trial],
    goals: Sequence[Goal],
    kinds: Kinds,
    about: str,
    manifest: Sequence[tuple[str, str]],
) -> str:
    """The page on trials of which at least one met the goals. about: the trace and the policy."""
    trials = sorted(trials, key=lambda trial: trial.nodes)
    best = next(trial for trial in trials if trial.is_met)
    cluster = with_nodes(kinds, best.nodes)
    asked = " and ".join(goal.text for goal in goals)
    fewer = f"With {best.nodes - 1} it would not. " if best.nodes > 1 else ""
    first = f"{spelled(cluster)} ({gpus_of(cluster):,} GPUs) is the smallest that meets {asked}."
    made = Page(f"Size: {asked}", about, [first, f"{fewer}{len(trials)} sizes were tried."])
    best_trial = [(_title(goal), _text(goal, best.values[goal.figure]), "") for goal in goals]
    nodes = ("Nodes", f"{best.nodes:,}", f"of {kinds[-1].gpus} {kinds[-1].gpu_type} each")
    made.tiles([nodes, *best_trial])
    made.section("Nodes and goals")
    made.legend([("meets the goals", MET), ("does not", NOT_MET)])
    made.pictures(_figure(goal, trials) for goal in goals)
    made.section("All sizes that were tried")
    rows = [
        (
            spelled(with_nodes(kinds, trial.nodes)),
            f"{trial.nodes:,}",
            *(_text(goal, trial.values.get(goal.figure)) for goal in goals),
            "yes" if trial.is_met else "no",
            trial.why,
        )
        for trial in trials
    ]
    heads = ("cluster", "nodes", *(_title(goal) for goal in goals), "met", "why not")
    keys = [MET if trial.is_met else NOT_MET for trial in trials]
    made.table(Table(heads, rows, styles=keys), "All sizes that were tried")
    made.section("How this was made")
    made.facts(manifest)
    return made.end()


def _title(goal: Goal) -> str:
    return goal.figure.removesuffix("_s").replace("_", " ")


def _text(goal: Goal, value: float | None) -> str:
    if value is None:
        return ""
    if goal.figure.endswith("_s"):
        return span(value)
    return percent(value) if goal.figure == "slo_attainment" else number(value)


def _figure(goal: Goal, trials: Sequence[Trial]) -> Figure:
    seen = [trial for trial in trials if goal.figure in trial.values]
    values = [trial.values[goal.figure] for trial in seen]
    x = linear(0, max((trial.nodes for trial in seen), default=1), is_whole=True)
    y = _axis(goal, [*values, goal.limit])
    dots = [
        Dot(
            f"{trial.nodes}",
            MET if trial.is_met else NOT_MET,
            trial.nodes,
            value,
            f"{trial.nodes} nodes: {_text(goal, value)}",
        )
        for trial, value in zip(seen, values, strict=True)
    ]
    title = f"{goal.text}"
    kind = "time" if goal.figure.endswith("_s") else "number"
    svg = scatter(
        Axes(x, y, "nodes", _title(goal), "number", kind),
        f"{_title(goal)} by number of nodes; the goal is {goal.text}",
        dots,
        [(x.low, goal.limit), (x.high, goal.limit)],
    )
    table = Table(
        ("nodes", _title(goal), "met"),
        [
            (f"{trial.nodes}", _text(goal, value), "yes" if goal.is_met(value) else "no")
            for trial, value in zip(seen, values, strict=True)
        ],
    )
    side = "above" if goal.is_more else "below"
    caption = f"The goal is {side} the dashed line. Of several seeds, the worst that was run."
    return Figure(title, svg, caption, table)


def _axis(goal: Goal, values: Sequence[float]) -> Scale:
    if not goal.figure.endswith("_s"):
        return linear(0, max(values) or 1, percent if goal.figure == "slo_attainment" else None)
    if max(values) > WIDE * max(1.0, min(values)):
        return log_times(values)
    return time_axis(0, max(values))
