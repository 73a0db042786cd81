"""What a report says first: two lines that answer the question. And who is on the front."""

from collections.abc import Sequence

from aimass.simulator.chart_scale import number, percent, span
from aimass.simulator.run_summary import Row
from aimass.simulator.sweep_report import DIFFERS, SAME, UNKNOWN, differences

LEVEL = 0.005  # of the average: who is closer is as good


def mean_of(rows: Sequence[Row], figure: str) -> float | None:
    """The mean over seeds; None when the figure says nothing."""
    values = [row[figure] for row in rows if row[figure] is not None]
    return sum(values) / len(values) if values else None


Means = dict[str, Row]  # by policy: the mean of each figure


def front(means: Means, first: str, second: str) -> list[str]:
    """Policies of which no other is better in one figure and as good in the other; less is better.

    By the first figure, from the least. O(n log n).
    """
    found: list[str] = []
    known = [
        (row[first], row[second], policy)
        for policy, row in means.items()
        if row[first] is not None and row[second] is not None
    ]
    least = None
    for _, other, policy in sorted(known):
        if least is None or other < least:
            found.append(policy)
            least = other
    return found


def answer(means: Means, rows: Sequence[Row], where: str) -> tuple[str, str]:
    """Two sentences. where: the cluster in words. rows: of all runs, for what seeds can show."""
    known = {name: row for name, row in means.items() if row["jct_mean_s"] is not None}
    if not known:
        return "No job ever ended.", f"{_jobs(rows)} on {where}."
    best = min(known, key=lambda name: known[name]["jct_mean_s"])
    first = _alone(best, known) if len(known) == 1 else _soonest(best, known, rows)
    return first, " ".join(filter(None, (_use(best, known, rows, where), _never(means))))


def _alone(policy: str, means: Means) -> str:
    row = means[policy]
    return (
        f"Under {policy} a job takes {span(row['jct_mean_s'])} on average from submission to end; "
        f"1 % take longer than {span(row['jct_p99_s'])}."
    )


def _soonest(best: str, means: Means, rows: Sequence[Row]) -> str:
    """Who is best on average, by how much, and who is in the slowest hundredth."""
    base = next(iter(means))
    others = [name for name in means if name != best]
    against = base if base != best else min(others, key=lambda name: means[name]["jct_mean_s"])
    mean_s, other_s = means[best]["jct_mean_s"], means[against]["jct_mean_s"]
    gain = 1 - mean_s / other_s if other_s else 0.0
    if gain < LEVEL:
        most_s = max(row["jct_mean_s"] for row in means.values())
        are_all = len(means) > 2 and most_s <= (1 + LEVEL) * mean_s
        who = "All policies" if are_all else f"{best} and {against}"
        first = f"{who} end jobs equally soon: {span(mean_s)} on average"
    else:
        doubt = _doubt(best, against, rows)
        less = f"{percent(gain)} less than {against}{doubt}"
        first = f"{best} ends jobs soonest: {span(mean_s)} on average, {less}"
    return f"{first}; {_tail(best, means)}."


def _tail(best: str, means: Means) -> str:
    """How long the slowest hundredth takes under the best on average, and under who is best in it.

    Whoever is within LEVEL of another is as good.
    """
    tails = {name: row["jct_p99_s"] for name, row in means.items()}
    slow = min(tails, key=lambda name: tails[name])
    own, least = tails[best], tails[slow]
    if own > (1 + LEVEL) * least:
        return f"but its slowest 1 % take {span(own)} and more, against {span(least)} under {slow}"
    if max(tails.values()) <= (1 + LEVEL) * least:
        return f"1 % take longer than {span(own)}, whatever the policy"
    return f"its slowest 1 %, from {span(own)} on, are the quickest too"


def _doubt(best: str, against: str, rows: Sequence[Row]) -> str:
    """Whether seeds show the difference; "" of one seed."""
    if len({row["seed"] for row in rows}) < 2:
        return ""
    pair = [row for policy in (against, best) for row in rows if row["policy"] == policy]
    (found,) = differences([{"cluster": "", "load": 1, **row} for row in pair])
    verdict, seeds = found["jct_mean_s"]["verdict"], len({row["seed"] for row in rows})
    if verdict == UNKNOWN:
        return f" ({seeds} seeds: too few to be sure)"
    return {DIFFERS: " (95 % sure)", SAME: f" (which {seeds} seeds do not show)"}.get(verdict, "")


def _use(best: str, means: Means, rows: Sequence[Row], where: str) -> str:
    row = means[best]
    longer = f"5 % of the jobs wait longer than {span(row['wait_p95_s'])}"
    waits = longer if row["wait_p95_s"] else "95 % of the jobs never wait"
    use = f"{percent(row['gpu_util'] or 0)} of the GPU time is in use"
    return f"{_jobs(rows)} on {where}: under {best} {use}, and {waits}."


def _jobs(rows: Sequence[Row]) -> str:
    return f"{rows[0]['jobs']:,} jobs" if rows[0]["jobs"] != 1 else "One job"


def _never(means: Means) -> str:
    left = {name: row["jobs"] - row["finished"] for name, row in means.items()}
    words = [f"{number(count)} under {name}" for name, count in left.items() if count]
    return f"Jobs that never end: {', '.join(words)}." if words else ""
