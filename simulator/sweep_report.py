"""What a sweep says: means over seeds, and paired differences between policies with intervals."""

from collections.abc import Iterator, Sequence
from statistics import fmean, stdev

from aimass.simulator.intervals import interval
from aimass.simulator.run_summary import Row

GROUP = ("trace", "input_sha256", "cluster", "load")
MEASURES = (
    *("jct_mean_s", "jct_p50_s", "jct_p95_s", "jct_p99_s", "wait_mean_s", "wait_p95_s"),
    *("makespan_s", "gpu_util", "frag", "preemptions", "restarts", "gpu_h_lost", "slo_attainment"),
    "cost",
)
# Of fewer pairs all have one sign by chance more often than 5 % of the time: 2 / 2**pairs.
PAIRS_MIN = 6
DIFFERS, SAME, EQUAL, UNKNOWN = "differs", "no difference shown", "equal", "too few seeds"


def means(rows: Sequence[Row]) -> list[Row]:
    """For each trace, cluster, load and policy the mean and standard deviation of every measure."""
    found = []
    for group in _groups(rows):
        for policy, some in _by_policy(group).items():
            row: Row = {**_names(group), "policy": policy, "seeds": len(some)}
            row["jobs"], row["finished"] = (sum(r[f] for r in some) for f in ("jobs", "finished"))
            for measure in MEASURES:
                values = [r[measure] for r in some if r[measure] is not None]
                sd = stdev(values) if len(values) > 1 else None
                row[measure] = {"mean": fmean(values), "sd": sd} if values else None
            found.append(row)
    return found


def differences(rows: Sequence[Row]) -> list[Row]:
    """Each policy less the first one, seed by seed: the mean and its 95 % interval, by measure.

    part: the mean as a part of the first policy's. verdict: DIFFERS when the interval leaves out 0,
    SAME when it does not, EQUAL when no pair differs at all, UNKNOWN of fewer than PAIRS_MIN pairs
    that differ.
    """
    found = []
    for group in _groups(rows):
        first, *others = _by_policy(group).items()
        against, base = first[0], {row["seed"]: row for row in first[1]}
        for policy, some in others:
            row: Row = {**_names(group), "policy": policy, "against": against}
            for measure in MEASURES:
                pairs = [(r[measure], base[r["seed"]][measure]) for r in some if r["seed"] in base]
                whole = [(a, b) for a, b in pairs if a is not None and b is not None]
                row[measure] = _difference(whole) if whole else None
            found.append(row)
    return found


def _difference(pairs: Sequence[tuple[float, float]]) -> Row:
    gaps, base = [one - other for one, other in pairs], fmean(other for _, other in pairs)
    low, high = interval(gaps) if len(gaps) > 1 else (None, None)
    if not any(gaps):
        verdict = EQUAL
    elif low is None or high is None or len(gaps) < PAIRS_MIN:
        verdict = UNKNOWN
    else:
        verdict = SAME if low <= 0 <= high else DIFFERS
    figures = {"mean": fmean(gaps), "part": fmean(gaps) / base if base else None}
    figures |= {"low": low, "high": high}
    rounded = {n: None if value is None else round(value, 6) for n, value in figures.items()}
    return {**rounded, "verdict": verdict}


def _groups(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Rows that differ in policy and seed alone, by first appearance."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in GROUP), []).append(row)
    yield from groups.values()


def _by_policy(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["policy"], []).append(row)
    return found


def _names(group: Sequence[Row]) -> Row:
    return {name: group[0][name] for name in GROUP if name != "input_sha256"}
