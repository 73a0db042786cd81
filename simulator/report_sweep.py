"""The report of `massctl sim sweep`: policies in every setting, and whether they differ.

A setting is a trace, a cluster and a load. Over loads and clusters there are lines with bands from
the least to the most of all seeds; in each setting differences to the first policy with intervals.
"""

from collections.abc import Sequence

from aimass.simulator import report_figures as figures
from aimass.simulator.chart import Axes, Line, lines
from aimass.simulator.chart_scale import linear, number, percent, span
from aimass.simulator.clusters import gpus_of, parse_cluster
from aimass.simulator.report import means_of
from aimass.simulator.report_answer import LEVEL, Means, answer
from aimass.simulator.report_page import Figure, Page, Table
from aimass.simulator.run_summary import Row
from aimass.simulator.sweep_report import DIFFERS, differences

ROWS_MAX = 200  # of the table of means
DRAWN_MAX = 6  # settings with pictures of their own
FIGURES = (("jct_mean_s", "Average completion time"), ("wait_p95_s", "5 % wait over"))

Setting = tuple[str, str, float]
Settings = dict[Setting, list[Row]]


def sweep_page(rows: Sequence[Row], manifest: Sequence[tuple[str, str]]) -> str:
    """The page on these cells, at least one: rows as cells have them, with their trace's name."""
    settings: Settings = {}
    for row in rows:
        settings.setdefault((row["trace"], row["cluster"], row["load"]), []).append(row)
    policies = list(dict.fromkeys(row["policy"] for row in rows))
    styles = {policy: index for index, policy in enumerate(policies)}
    means = {setting: _means(some) for setting, some in settings.items()}
    seeds = len({row["seed"] for row in rows})
    made = Page(f"Sweep: {', '.join(policies)}", _heading(settings, seeds), _lede(settings, means))
    if len(settings) > 1:
        _best(made, means, policies)
    found = [*_along_loads(settings, styles), *_along_clusters(settings, styles)]
    if found:
        made.section("Load and size", "Means over seeds; bands from the least to the most.")
        made.legend([(policy, styles[policy]) for policy in policies])
        made.pictures(found)
    for setting, some in list(settings.items())[:DRAWN_MAX]:
        if len(means[setting]) > 1:
            _one(made, setting, means[setting], some, styles)
    if len(settings) > DRAWN_MAX:
        made.text(f"The other {len(settings) - DRAWN_MAX} settings are in the tables.")
    _table(made, means, styles)
    made.section("How this was made")
    made.facts([*manifest, *_inputs(rows)])
    return made.end()


def _means(rows: Sequence[Row]) -> Means:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["policy"], []).append(row)
    return {policy: means_of(some) for policy, some in found.items()}


def _heading(settings: Settings, seeds: int) -> str:
    traces = ", ".join(dict.fromkeys(trace for trace, _, _ in settings))
    count = f"{len(settings)} settings" if len(settings) > 1 else _words(next(iter(settings)))
    return f"{traces}: {count}, {seeds} seed{'s' if seeds > 1 else ''} each"


def _words(setting: Setting) -> str:
    _, cluster, load = setting
    return cluster if load == 1 else f"{cluster} at {load:g} times the load"


def _lede(settings: Settings, means: dict[Setting, Means]) -> Sequence[str]:
    """The answer of the one setting, or in how many who is best and what is shown."""
    if len(settings) == 1:
        ((setting, some),) = settings.items()
        return answer(means[setting], some, _words(setting))
    wins: dict[str, int] = {}
    for by_policy in means.values():
        known = {p: r["jct_mean_s"] for p, r in by_policy.items() if r["jct_mean_s"] is not None}
        for policy, value in known.items():
            wins[policy] = wins.get(policy, 0) + (value <= (1 + LEVEL) * min(known.values()))
    if not wins:
        return ["No job ever ended."]
    best = max(wins, key=lambda policy: wins[policy])
    first = (
        f"{best} has the shortest average completion time, or one as good, in {wins[best]} of "
        f"{len(settings)} settings."
    )
    found = [row for some in settings.values() for row in differences(some)]
    clear = sum(
        row["jct_mean_s"] is not None and row["jct_mean_s"]["verdict"] == DIFFERS for row in found
    )
    if not found:
        return [first]
    base = found[0]["against"]
    return [first, f"{clear} of {len(found)} differences to {base} in it are 95 % sure."]


def _best(made: Page, means: dict[Setting, Means], policies: Sequence[str]) -> None:
    """Average completion times, a row a setting."""
    rows: list[Sequence[str]] = []
    best: set[tuple[int, int]] = set()
    for setting, by_policy in list(means.items())[:ROWS_MAX]:
        seen = [by_policy[p]["jct_mean_s"] if p in by_policy else None for p in policies]
        known = [value for value in seen if value is not None]
        best |= {(len(rows), i) for i, v in enumerate(seen, 1) if known and v == min(known)}
        texts = ("" if value is None else span(value) for value in seen)
        rows.append((f"{setting[0]} on {_words(setting)}", *texts))
    made.section("Average completion time", "Means over seeds; the shortest of each row is bold.")
    made.table(Table(("setting", *policies), rows, frozenset(best)), "Average completion times")


_COLUMNS = (
    ("average completion", "jct_mean_s", span),
    ("1 % take over", "jct_p99_s", span),
    ("average wait", "wait_mean_s", span),
    ("5 % wait over", "wait_p95_s", span),
    ("last end", "makespan_s", span),
    ("in use", "gpu_util", percent),
    ("met their goal", "slo_attainment", percent),
    ("cost", "cost", number),
)


def _table(made: Page, means: dict[Setting, Means], styles: figures.Styles) -> None:
    """Every mean of every policy in every setting; columns that say nothing are left out."""
    every = [
        (policy, setting, row)
        for setting, by_policy in means.items()
        for policy, row in by_policy.items()
    ]
    shown = [c for c in _COLUMNS if any(row[c[1]] is not None for *_, row in every)]
    rows = [
        (
            *(policy, trace, cluster, f"{load:g}"),
            *("" if row[figure] is None else write(row[figure]) for _, figure, write in shown),
        )
        for policy, (trace, cluster, load), row in every[:ROWS_MAX]
    ]
    heads = ("policy", "trace", "cluster", "load", *(title for title, *_ in shown))
    made.section("All means", "Over seeds.")
    keys = [styles[policy] for policy, *_ in every]
    made.table(Table(heads, rows, styles=keys), "Means of each policy by setting")
    if len(every) > ROWS_MAX:
        made.text(f"The first {ROWS_MAX} of {len(every)}; all are in the output of -o json.")


def _inputs(rows: Sequence[Row]) -> list[tuple[str, str]]:
    seeds = dict.fromkeys(str(row["seed"]) for row in rows)
    traces = dict.fromkeys((f"sha256 of {row['trace']}", row["input_sha256"]) for row in rows)
    return [("cells", f"{len(rows):,}"), ("seeds", " ".join(seeds)), *traces]


def _one(
    made: Page, setting: Setting, means: Means, rows: Sequence[Row], styles: figures.Styles
) -> None:
    """One setting: who is on the front, and what differs."""
    made.section(f"{setting[0]} on {_words(setting)}")
    made.legend([(policy, styles[policy]) for policy in means])
    found = [figures.trade_off(means, styles, "jct_p99_s", "what 1 % of the jobs exceed")]
    if len({row["seed"] for row in rows}) > 1:
        named = [{**pair, "name": pair["policy"]} for pair in differences(rows)]
        found += [
            figures.differences(named, styles, figure, f"Difference: {title.lower()}")
            for figure, title in FIGURES
            if any(pair[figure] is not None for pair in named)
        ]
    made.pictures(found)


def _along_loads(settings: Settings, styles: figures.Styles) -> list[Figure]:
    """For each trace and cluster with several loads two figures over them."""
    groups: dict[tuple[str, str], dict[float, list[Row]]] = {}
    for (trace, cluster, load), rows in settings.items():
        groups.setdefault((trace, cluster), {})[load] = rows
    return [
        _along(f"{title}, {trace} on {cluster}", "load", figure, by_load, styles)
        for (trace, cluster), by_load in list(groups.items())[:DRAWN_MAX]
        for figure, title in FIGURES
        if len(by_load) > 1
    ]


def _along_clusters(settings: Settings, styles: figures.Styles) -> list[Figure]:
    """For each trace and load with clusters of several sizes two figures over their GPUs."""
    groups: dict[tuple[str, float], dict[float, list[Row]]] = {}
    for (trace, cluster, load), rows in settings.items():
        try:
            gpus = gpus_of(parse_cluster(cluster))
        except ValueError:  # a file: its size is not in its name
            continue
        groups.setdefault((trace, load), {}).setdefault(gpus, rows)
    return [
        _along(f"{title}, {trace} at load {load:g}", "GPUs", figure, by_size, styles)
        for (trace, load), by_size in list(groups.items())[:DRAWN_MAX]
        for figure, title in FIGURES
        if len(by_size) > 1
    ]


def _along(
    title: str, x_title: str, figure: str, by_x: dict[float, list[Row]], styles: figures.Styles
) -> Figure:
    """A figure over what is on the x axis, a line a policy."""
    drawn = []
    for policy, style in styles.items():
        seen = [
            (x, values)
            for x, rows in sorted(by_x.items())
            if (
                values := [
                    r[figure] for r in rows if r["policy"] == policy and r[figure] is not None
                ]
            )
        ]
        if not seen:
            continue
        mean = [(x, sum(values) / len(values)) for x, values in seen]
        low, high = ([(x, of(values)) for x, values in seen] for of in (min, max))
        has_band = any(len(values) > 1 for _, values in seen)
        drawn.append(
            Line(policy, style, mean, low, high) if has_band else Line(policy, style, mean)
        )
    most = max((y for line in drawn for _, y in (*line.points, *line.high)), default=1.0)
    axes = Axes(
        linear(min(by_x), max(by_x)), figures.time_axis(0, most), x_title, "", "number", "time"
    )
    table = Table(
        (x_title, *(line.name for line in drawn)),
        [
            (
                f"{x:g}",
                *(span(dict(line.points)[x]) if x in dict(line.points) else "" for line in drawn),
            )
            for x in sorted(by_x)
        ],
    )
    return Figure(title, lines(axes, title, drawn), "Lower is better.", table)
