"""The pictures of a report on runs, each with what to see in it and its figures."""

from collections.abc import Callable, Sequence

from aimass.simulator.chart import Axes, Bar, Dot, Interval, Line, bars, intervals, lines, scatter
from aimass.simulator.chart_heat import heat_map
from aimass.simulator.chart_scale import Scale, linear, log_times, number, percent, span, times
from aimass.simulator.report_answer import Means, front
from aimass.simulator.report_page import Figure, Table
from aimass.simulator.report_runs import HOUR_GPU_MS, QUANTILES, Drawn, distribution, over_time
from aimass.simulator.run_summary import Row
from aimass.simulator.timeline import Course

LINES_OF_TABLE = 12
HEAT_BINS, HEAT_COLUMNS, HEAT_ROWS = 240, 12, 16
QUEUES_DRAWN = 12
UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))

Courses = dict[str, list[Course]]  # by policy, of all seeds, in bins of one width
Styles = dict[str, int]


def share_of_jobs(
    title: str, x_title: str, runs: dict[str, list[Drawn]], styles: Styles, is_wait: bool
) -> Figure:
    """Which part of the jobs took, or waited, at most so long."""
    found = [
        distribution(policy, styles[policy], [r.wait_s if is_wait else r.jct_s for r in some])
        for policy, some in runs.items()
    ]
    drawn = [line for line in found if line is not None]
    seconds = [x for line in drawn for x, _ in (*line.points, *line.high, *line.low)]
    x = log_times(seconds)
    y = Scale(0, 1, tuple((part / 4, f"{25 * part} %") for part in range(5)))
    axes = Axes(x, y, x_title, "of all jobs", "time", "percent")
    shown = [QUANTILES.index(each) for each in (100, 250, 500, 750, 900, 950, 990, 1000)]
    table = Table(
        ("policy", *(f"{QUANTILES[index] / 10:g} %" for index in shown)),
        [(line.name, *(span(line.points[index][0]) for index in shown)) for line in drawn],
    )
    least = "1 s or less is at the left edge. " if min(seconds, default=1) < 1 else ""
    caption = f"The further left and up, the better. {least}Time on a logarithmic axis."
    return Figure(title, lines(axes, title, drawn), caption, table)


def through_time(
    title: str,
    caption: str,
    courses: Courses,
    styles: Styles,
    value: Callable[[Course, int], float],
    is_part: bool,
) -> Figure:
    """A value over the time since the first submission."""
    drawn = [over_time(policy, styles[policy], some, value) for policy, some in courses.items()]
    most = max((y for line in drawn for _, y in (*line.points, *line.high)), default=0)
    if is_part:
        y = linear(0, max(most, 0.01), lambda part: percent(part))
    else:
        y = linear(0, max(most, 1), is_whole=True)
    x = times(max(course.length_ms for some in courses.values() for course in some) / 1000)
    kind = "percent" if is_part else "number"
    axes = Axes(x, y, "since the first submission", "", "time", kind)
    write = percent if is_part else number
    return Figure(title, lines(axes, title, drawn), caption, _sampled(drawn, write))


def _sampled(drawn: Sequence[Line], write: Callable[[float], str]) -> Table:
    """Some points of each line; the longest names the times."""
    longest = max(drawn, key=lambda line: len(line.points))
    step = max(1, len(longest.points) // LINES_OF_TABLE)
    rows = [
        (
            span(longest.points[index][0]),
            *(write(o.points[index][1]) if index < len(o.points) else "" for o in drawn),
        )
        for index in range(0, len(longest.points), step)
    ]
    return Table(("at", *(line.name for line in drawn)), rows)


def heat(policy: str, course: Course, is_alone: bool) -> Figure:
    """Which nodes were held when, of one run."""
    names = [row.label for row in course.rows]
    cells = [
        [held / there if there else None for held, there in zip(r.held, r.there, strict=True)]
        for r in course.rows
    ]
    bins_s = course.bins * course.width_ms / 1000
    marks = tuple(t for t in times(course.length_ms / 1000).ticks if t[0] <= bins_s)
    x = Scale(0, bins_s, marks)
    title = f"GPUs held under {policy}"
    svg = heat_map(x, "since the first submission", title, names, cells)
    seed = "" if is_alone else " The first seed."
    caption = (
        f"A row is some nodes; the stronger the colour, the more of their GPUs were held.{seed}"
    )
    return Figure(title, svg, caption, _heat_table(course))


def _heat_table(course: Course) -> Table:
    step = max(1, -(-course.bins // HEAT_COLUMNS))
    columns = range(0, course.bins, step)
    some = course.rows[:: max(1, -(-len(course.rows) // HEAT_ROWS))]
    rows = []
    for row in some:
        parts = [(sum(row.held[i : i + step]), sum(row.there[i : i + step])) for i in columns]
        rows.append((row.label, *(percent(h / t) if t else "-" for h, t in parts)))
    return Table(("nodes", *(span(i * course.width_ms / 1000) for i in columns)), rows)


def fairness(shares: dict[str, dict[str, float]], styles: Styles, queues: Sequence[str]) -> Figure:
    """What queues held of what they were due. queues: those drawn; shares: by policy and queue."""
    rows = [
        [
            Interval(policy, styles[policy], part, part, part, f"{policy}: {percent(part)}", True)
            for policy, parts in shares.items()
            if (part := parts.get(queue)) is not None
        ]
        for queue in queues
    ]
    most = max((one.mean for row in rows for one in row), default=1.0)
    x = linear(0, max(1.0, most), lambda part: percent(part))
    title = "Share held of the share due"
    svg = intervals(x, "held, of what was due", title, rows, queues)
    table = Table(
        ("queue", *shares),
        [
            (queue, *(percent(p[queue]) if queue in p else "-" for p in shares.values()))
            for queue in queues
        ],
    )
    caption = (
        "Due is what an equal division of the GPUs among the queues that ask at the time gives. "
        "100 %: it got its share; more: others' too."
    )
    return Figure(title, svg, caption, table)


# ---- what it costs -------------------------------------------------------------------------------

PARTS = (
    ("work", "work that counted"),
    ("lost", "held without work that counted"),
    ("beside", "idle beside jobs"),
    ("idle", "idle on empty nodes"),
    ("down", "out of service"),
)


def gpu_hours(courses: Courses, means: Means) -> Figure:
    """Where the GPU time went, in GPU-hours, means over seeds."""
    rows: list[tuple[str, list[float]]] = []
    for policy, some in courses.items():
        held, there, beside = (
            sum(sum(getattr(course, name)) for course in some) / len(some) / HOUR_GPU_MS
            for name in ("held", "there", "beside")
        )
        lost = means[policy]["gpu_h_lost"]
        idle, down = there - held - beside, means[policy].get("gpu_h_down") or 0.0
        rows.append((policy, [max(0.0, held - lost), lost, beside, idle, down]))
    title = "Where the GPU time went"
    x = linear(0, max(sum(parts) for _, parts in rows) or 1)
    drawn = [
        Bar(
            policy,
            [
                (kind, size, f"{policy}, {what}: {number(size)} GPU-hours")
                for (kind, what), size in zip(PARTS, sizes, strict=True)
            ],
        )
        for policy, sizes in rows
    ]
    table = Table(
        ("policy", *(what for _, what in PARTS)),
        [(policy, *(number(size) for size in sizes)) for policy, sizes in rows],
    )
    caption = "From the first submission to the last end, in GPU-hours."
    return Figure(title, bars(x, "GPU-hours", title, drawn), caption, table)


def money(means: Means, styles: Styles) -> Figure | None:
    """What the GPU time that was held costs; None without prices."""
    costs = {policy: row["cost"] for policy, row in means.items() if row["cost"] is not None}
    if not costs:
        return None
    title = "Cost"
    rows = [
        Bar(policy, [(f"bar c{styles[policy] % 8}", cost, f"{policy}: {number(cost)}")])
        for policy, cost in costs.items()
    ]
    x = linear(0, max(costs.values()) or 1)
    table = Table(("policy", "cost"), [(policy, f"{cost:,.2f}") for policy, cost in costs.items()])
    caption = "The GPU time that was held, at the cluster's prices."
    return Figure(title, bars(x, "in the cluster's currency", title, rows), caption, table)


# ---- trade-offs ----------------------------------------------------------------------------------


WRITERS = {"time": span, "percent": percent, "number": number}


def trade_off(means: Means, styles: Styles, other: str, title: str, kind: str = "time") -> Figure:
    """Average completion time against another figure; less of both is better.

    kind: of the other, one of WRITERS.
    """
    known = {
        policy: row
        for policy, row in means.items()
        if row["jct_mean_s"] is not None and row[other] is not None
    }
    write = WRITERS[kind]
    kept = front(known, "jct_mean_s", other)
    dots = [
        Dot(
            policy,
            styles[policy],
            row["jct_mean_s"],
            row[other],
            f"{policy}: {span(row['jct_mean_s'])} on average, {write(row[other])}",
        )
        for policy, row in known.items()
    ]
    x = _around([dot.x for dot in dots], "time")
    y = _around([dot.y for dot in dots], kind)
    steps = _steps([(known[p]["jct_mean_s"], known[p][other]) for p in kept], x.high, y.high)
    axes = Axes(x, y, "average completion time", title, "time", kind)
    heading = f"Average completion time and {title}"
    table = Table(
        ("policy", "average completion time", title, "on the front"),
        [
            (p, span(row["jct_mean_s"]), write(row[other]), "yes" if p in kept else "no")
            for p, row in known.items()
        ],
    )
    caption = (
        "Nearer to the lower left is better. Nobody is better in both than who is on the line."
    )
    return Figure(heading, scatter(axes, heading, dots, steps), caption, table)


def _around(values: Sequence[float], kind: str) -> Scale:
    """An axis with room on both sides of the values."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = max(0.15 * (high - low), 0.03 * high) or 1.0
    low, high = max(0.0, low - room), high + room
    if low < 0.35 * high:
        low = 0.0
    if kind == "time":
        return time_axis(low, high)
    return linear(low, high, percent if kind == "percent" else None)


def time_axis(low: float, high: float) -> Scale:
    """An even axis of seconds with round ticks in the unit that suits its end."""
    unit, word = next(each for each in UNITS if high >= 2 * each[0] or each[0] == 1)
    scale = linear(low / unit, high / unit)
    ticks = tuple((at * unit, f"{text} {word}") for at, text in scale.ticks)
    return Scale(scale.low * unit, scale.high * unit, ticks)


def _steps(
    points: Sequence[tuple[float, float]], x_high: float, y_high: float
) -> list[tuple[float, float]]:
    """The edge of what somebody reaches, from the top to the right."""
    found: list[tuple[float, float]] = []
    above = y_high
    for x, y in points:
        found += [(x, above), (x, y)]
        above = y
    return [*found, (x_high, above)] if found else []


def differences(found: Sequence[Row], styles: Styles, figure: str, title: str) -> Figure:
    """How much each policy differs from the first in one figure, with 95 % intervals."""
    rows, names, lines_of_table = [], [], []
    for row in found:
        gap = row[figure]
        if gap is None or gap["part"] is None:
            continue
        base = (gap["mean"] / gap["part"]) if gap["part"] else 0.0
        low, high = (
            gap["part"] if gap[edge] is None or not base else gap[edge] / base
            for edge in ("low", "high")
        )
        is_clear = gap["verdict"] == "differs"
        words = f"{gap['part']:+.1%} ({low:+.1%} to {high:+.1%}): {gap['verdict']}"
        name = row["name"]
        note = f"{name}: {words}"
        style = styles[row["policy"]]
        rows.append([Interval(name, style, low, gap["part"], high, note, is_clear)])
        names.append(name)
        lines_of_table.append(
            (name, f"{gap['part']:+.1%}", f"{low:+.1%} to {high:+.1%}", gap["verdict"])
        )
    edges = [edge for row in rows for one in row for edge in (one.low, one.high)]
    x = linear(min([0.0, *edges]), max([0.0, *edges]) or 0.01, _signed)
    heading = f"{title}, against {found[0]['against']}"
    table = Table(("policy", "difference", "95 % interval", "verdict"), lines_of_table)
    caption = "Seed by seed, means with 95 % intervals; pale: no difference is shown."
    return Figure(heading, intervals(x, title, heading, rows, names), caption, table)


def _signed(part: float) -> str:
    return f"{100 * part:+.0f} %" if part else "0 %"
