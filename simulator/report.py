"""The report of `massctl sim run`: which policy, on this cluster, and what the choice costs.

Made of runs that were watched (report_runs); the pictures are in report_figures, how the page looks
in report_page and report_style.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from aimass.simulator import report_figures as figures
from aimass.simulator.chart_scale import number, percent, span
from aimass.simulator.report_answer import Means, answer, mean_of
from aimass.simulator.report_page import Page, Table
from aimass.simulator.report_runs import (
    Drawn,
    alike,
    beside_part,
    by_policy,
    held_part,
    shares,
    waiting_jobs,
    waiting_part,
)
from aimass.simulator.run_summary import MEASURED, Row
from aimass.simulator.sweep_report import differences

BINS_FEW, BINS_MANY = 240, 120  # of a line over time: for a few policies, and for many
FEW = 8  # policies
HEATS_MAX = 8

TERMS = (
    ("completion time", "from a job's submission to its end, whatever happened between"),
    ("wait", "all of that without GPUs, also after a preemption"),
    ("in use", "of the GPU time between the first submission and the last end, what jobs held"),
    ("fragmented", "of what idled, the part on nodes of which something else was held"),
    ("lost", "GPU time that was held and did no work that counted: lost work, starts, stops"),
)


@dataclass(frozen=True, slots=True)
class About:
    """What the runs were about. cluster: as it was written; manifest: names and values to show."""

    trace: str
    cluster: str
    gpus: int
    manifest: Sequence[tuple[str, str]]


def page(runs: Sequence[Drawn], about: About) -> str:
    """The page on these runs, at least one. Under a megabyte for some thirty policies."""
    some = by_policy(runs)
    styles = {policy: index for index, policy in enumerate(some)}
    rows = [run.row for run in runs]
    means = {policy: means_of([run.row for run in found]) for policy, found in some.items()}
    where = f"{about.gpus:,} GPUs ({about.cluster})"
    made = Page(
        f"{about.trace}: {', '.join(some)}",
        f"{about.trace} on {about.cluster}",
        answer(means, rows, where),
    )
    _first(made, means, styles, rows)
    if len(some) > 1:
        _trade_offs(made, means, styles, rows)
    made.section(
        "How long jobs take", "Of all jobs that ended, the part that took at most so long."
    )
    made.legend([(policy, styles[policy]) for policy in some])
    jct, wait = "Completion time", "Time without GPUs"
    made.pictures(
        [
            figures.share_of_jobs(jct, "from submission to end", some, styles, False),
            figures.share_of_jobs(wait, "without GPUs, from submission to end", some, styles, True),
        ]
    )
    _over_time(made, some, styles)
    _shares(made, some, styles)
    _costs(made, some, means, styles)
    made.section("How this was made")
    made.facts(about.manifest)
    made.section("Words")
    made.facts(TERMS)
    return made.end()


def means_of(rows: Sequence[Row]) -> Row:
    """A policy's summary with the mean over seeds of every figure; None where nothing is known."""
    first = rows[0]
    words = {name: first[name] for name, value in first.items() if isinstance(value, str)}
    names = [name for name in first if name not in words and name not in MEASURED]
    return {**words, **{name: mean_of(rows, name) for name in names}}


_COLUMNS = (
    ("average completion", "jct_mean_s", span, True),
    ("half take at most", "jct_p50_s", span, True),
    ("5 % take over", "jct_p95_s", span, True),
    ("1 % take over", "jct_p99_s", span, True),
    ("average wait", "wait_mean_s", span, True),
    ("5 % wait over", "wait_p95_s", span, True),
    ("last end", "makespan_s", span, True),
    ("in use", "gpu_util", percent, False),
    ("frag-mented", "frag", percent, True),
    ("preemp-tions", "preemptions", number, True),
    ("GPU hours lost", "gpu_h_lost", number, True),
    ("met their goal", "slo_attainment", percent, False),
    ("failures", "failures", number, True),
    ("GPU hours down", "gpu_h_down", number, True),
    ("cost", "cost", number, True),
)
_OFTEN_NOTHING = ("failures", "gpu_h_down", "preemptions", "gpu_h_lost")


def _first(made: Page, means: Means, styles: figures.Styles, rows: Sequence[Row]) -> None:
    """Large figures of the policy that ends jobs soonest, and the table of all."""
    known = [name for name in means if means[name]["jct_mean_s"] is not None]
    if known:
        best = means[min(known, key=lambda name: means[name]["jct_mean_s"])]
        seeds = len({row["seed"] for row in rows})
        under = f"under {best['policy']}" + (f", mean of {seeds} seeds" if seeds > 1 else "")
        made.tiles(
            [
                ("Average completion time", span(best["jct_mean_s"]), under),
                ("1 % take longer than", span(best["jct_p99_s"]), under),
                ("5 % wait longer than", span(best["wait_p95_s"]), under),
                ("GPU time in use", percent(best["gpu_util"] or 0), under),
            ]
        )
    shown = [column for column in _COLUMNS if _says_something(column[1], means)]
    cells = [
        (policy, *("" if row[f] is None else write(row[f]) for _, f, write, _ in shown))
        for policy, row in means.items()
    ]
    best_cells = set()
    for column, (_, figure, write, is_less) in enumerate(shown, 1):
        values = [row[figure] for row in means.values() if row[figure] is not None]
        edge = write((min if is_less else max)(values))
        who = [index for index, texts in enumerate(cells) if texts[column] == edge]
        if len(who) <= len(means) / 2:  # what most have is no distinction
            best_cells |= {(index, column) for index in who}
    heads = ("policy", *(title for title, *_ in shown))
    made.table(
        Table(heads, cells, frozenset(best_cells), [styles[policy] for policy in means]),
        "The policies in figures; the best of each column is bold",
    )


def _says_something(figure: str, means: Means) -> bool:
    """Whether its column is worth its place: not where nothing is known, or nothing ever was."""
    values = [row.get(figure) for row in means.values()]
    is_known = any(value is not None for value in values)
    return is_known and (figure not in _OFTEN_NOTHING or any(values))


def _with_missed(row: Row) -> Row:
    met = row["slo_attainment"]
    return {**row, "slo_missed": None if met is None else 1 - met}


def _trade_offs(made: Page, means: Means, styles: figures.Styles, rows: Sequence[Row]) -> None:
    """Policies against each other in two figures at a time; differences if there are seeds."""
    made.section("What the choice trades", "Each policy as a dot, for two figures at a time.")
    found = [figures.trade_off(means, styles, "jct_p99_s", "what 1 % of the jobs exceed")]
    if any(row["cost"] is not None for row in means.values()):
        found.append(figures.trade_off(means, styles, "cost", "cost", "number"))
    elif any(row["gpu_h_lost"] for row in means.values()):
        found.append(figures.trade_off(means, styles, "gpu_h_lost", "GPU-hours lost", "number"))
    else:
        found.append(figures.trade_off(means, styles, "makespan_s", "time until the last end"))
    if any(row["slo_attainment"] is not None for row in means.values()):
        missed = {policy: _with_missed(row) for policy, row in means.items()}
        title = "jobs that missed their goal"
        found.append(figures.trade_off(missed, styles, "slo_missed", title, "percent"))
    if len({row["seed"] for row in rows}) > 1:
        pairs = differences([{"cluster": "", "load": 1, **row} for row in rows])
        named = [{**pair, "name": pair["policy"]} for pair in pairs]
        for figure, title in (
            ("jct_mean_s", "Difference in average completion time"),
            ("wait_mean_s", "Difference in average wait"),
        ):
            if any(pair[figure] is not None for pair in named):
                found.append(figures.differences(named, styles, figure, title))
    made.pictures(found)


def _over_time(made: Page, some: dict[str, list[Drawn]], styles: figures.Styles) -> None:
    """Use, fragments and queue; and on which nodes."""
    bins = BINS_FEW if len(some) <= FEW else BINS_MANY
    flat = alike([run.course for found in some.values() for run in found], bins)
    courses: figures.Courses = {}
    for policy, found in some.items():
        courses[policy], flat = flat[: len(found)], flat[len(found) :]
    seeds = max(len(found) for found in some.values())
    band = " Bands reach from the least to the most of all seeds." if seeds > 1 else ""
    made.section("The cluster over time", f"Averages over bins of equal length.{band}")
    made.legend([(policy, styles[policy]) for policy in some])
    of_all = (
        ("GPUs held", "Of all in service.", held_part, True),
        ("Jobs that wait", "Without GPUs, before and between attempts.", waiting_jobs, False),
        ("GPUs waited for", "By these jobs, of all in service.", waiting_part, True),
        ("Idle beside busy", "Idle GPUs of nodes of which others are held.", beside_part, True),
    )
    made.pictures(
        figures.through_time(title, caption, courses, styles, value, is_part)
        for title, caption, value, is_part in of_all
    )
    drawn = list(some)[:HEATS_MAX]
    left_out = f" The first {HEATS_MAX} policies." if len(some) > HEATS_MAX else ""
    made.section(
        "Where the jobs were", f"Nodes from top to bottom, time from left to right.{left_out}"
    )
    made.pictures(
        figures.heat(policy, alike([some[policy][0].course], BINS_FEW)[0], seeds == 1)
        for policy in drawn
    )


def _shares(made: Page, some: dict[str, list[Drawn]], styles: figures.Styles) -> None:
    """What queues held of what they were due."""
    asked: dict[str, int] = {}
    for run in (run for found in some.values() for run in found):
        for queue in run.course.queues:
            asked[queue.name] = asked.get(queue.name, 0) + sum(queue.held)
    largest = sorted(asked, key=lambda name: (-asked[name], name))[: figures.QUEUES_DRAWN]
    if len(asked) < 2:
        made.section("Fair shares", "All jobs are in one queue, so there is nothing to share.")
        return
    several = (
        f"The {len(largest)} of {len(asked)} queues that held most. " if len(asked) > 12 else ""
    )
    made.section("Fair shares", f"{several}Means over the whole run.")
    made.legend([(policy, styles[policy]) for policy in some])
    made.pictures([figures.fairness(_mean_shares(some), styles, largest)])


def _mean_shares(some: dict[str, list[Drawn]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for policy, runs in some.items():
        each = [shares(run.course) for run in runs]
        names = dict.fromkeys(name for one in each for name in one)
        found[policy] = {}
        for name in names:
            parts = [one[name] for one in each if name in one]
            found[policy][name] = sum(parts) / len(parts)
    return found


def _costs(made: Page, some: dict[str, list[Drawn]], means: Means, styles: figures.Styles) -> None:
    made.section("GPU time and cost")
    made.swatches(figures.PARTS)
    courses = {policy: [run.course for run in found] for policy, found in some.items()}
    spent = figures.money(means, styles)
    made.pictures([figures.gpu_hours(courses, means), *([spent] if spent else [])])
    if spent is None:
        made.text("The cluster names no prices, so there is no cost.")
