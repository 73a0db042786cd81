"""Tables and pictures of docs/agreement.md, from what benchmarks/sim_agreement.py has measured.

A table stands in the page between `<!-- NAME -->` and `<!-- end -->`; what people write stays.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from aimass.simulator.chart import Axes, Frame, Interval, colour, dashes, intervals
from aimass.simulator.chart_scale import Scale, linear, number
from aimass.simulator.intervals import interval
from aimass.simulator.report_style import STYLE
from benchmarks.sim_agreement_mixed import RUNS

Row = dict[str, Any]
HOUR_S = 3600

# Not in the references' data: policies.md has them from a loop over the same definitions.
TOLD = {("ee9e8c", "fifo-skip"): 149_881.004, ("0e4a51", "fifo-skip"): 754_339.467}
PUBLISHED_GAVEL = 1.9 / 0.6  # of Sia's average: its paper, Philly, Gavel with tuned jobs
WORLDS = {
    "published": "as published",
    "free": "events",
    "30 s": "restart 30 s",
    "100 s": "restart 100 s",
    "checkpoint": "30 s, checkpoints",
    "all": "failures, spread",
}
COARSE = ("lists", "rounds")
SIMULATORS = {
    "Tiresias": ("60_job", "ee9e8c", "0e4a51"),
    "Pollux": ("w6", "w1"),
    "Gavel": ("phys_mmf", "phys_mks", "multi2", "single4"),
}
DRAWN = ("0e4a51", "w6", "phys_mmf")


def write(path: Path, rows: Sequence[Row]) -> None:
    """Put tables and pictures of these runs into the page and the folder img beside it."""
    text = path.read_text()
    tables: dict[str, Callable[[Sequence[Row]], list[str]]] = {
        "agreement": agreement,
        "hidden": hidden,
        "costs": costs,
        "mixed": mixed,
    }
    for name, made in tables.items():
        text = _put(text, name, made(rows))
    path.write_text(text)
    folder = path.parent / "img"
    folder.mkdir(exist_ok=True)
    for name, svg in pictures(rows).items():
        (folder / f"agreement-{name}.svg").write_text(svg)


def _put(text: str, name: str, lines: Iterable[str]) -> str:
    block = "\n".join((f"<!-- {name} -->", *lines, "<!-- end -->"))
    found, count = re.subn(
        f"<!-- {name} -->.*?<!-- end -->", lambda _: block, text, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"no place for {name}; fix: <!-- {name} --> and <!-- end --> in the page")
    return found


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *body]
    return ["| " + " | ".join(line) + " |" for line in lines]


# ---- table a ------------------------------------------------------------------------------------


def agreement(rows: Sequence[Row]) -> list[str]:
    """Each published figure, ours, and whether it is within what was asked for."""
    body = []
    for simulator, traces in SIMULATORS.items():
        for trace in traces:
            body += [
                _compared(simulator, row)
                for row in rows
                if row["table"] == "a" and row["trace"] == trace and _theirs_s(row) is not None
            ]
    head = (
        "simulator, trace",
        "policy",
        "published, s",
        "ours, s",
        "off",
        "asked for",
        "equal jobs",
    )
    return _table(head, body)


def _theirs_s(row: Row) -> float | None:
    theirs_s = row["theirs_s"]
    known = TOLD.get((row["trace"], row["policy"])) if theirs_s is None else theirs_s
    return None if known is None else float(known)


def _compared(simulator: str, row: Row) -> list[str]:
    theirs_s, ours_s = _theirs_s(row), row["jct_mean_s"]
    assert theirs_s is not None
    off = ours_s / theirs_s - 1
    asked, is_met = _asked(row, off)
    name: str = row["policy"]
    if row["world"] == "counts":
        name += ", demoted in time"
    elif name == "sia":
        name += ", beside pollux"
    same = "" if row["same"] is None or row["policy"] == "sia" else _same(row)
    shown = "0" if abs(off) < 5e-7 else f"{100 * off:+.2f} %"
    said = asked if is_met else f"{asked}: **missed**"
    figures = (f"{theirs_s:,.3f}", f"{ours_s:,.3f}", shown, said, same)
    return [f"{simulator} {row['trace']}", name, *figures]


def _same(row: Row) -> str:
    return "all" if row["same"] == row["jobs"] else f"{row['same']:,} of {row['jobs']:,}"


def _asked(row: Row, off: float) -> tuple[str, bool]:
    """What was asked for of this run in words, and whether it is so."""
    policy, is_exact = row["policy"], row["same"] in (None, row["jobs"]) and abs(off) < 5e-7
    if policy == "sia":
        is_met = off < 0 and row["jct_p99_s"] <= row["their_p99_s"]
        p99 = f"p99 {row['jct_p99_s']:,.0f} for {row['their_p99_s']:,.0f}"
        return f"better; {p99}, not worse", is_met
    if not policy.startswith("gavel-"):
        return ("±2 %", abs(off) <= 0.02) if row["world"] == "counts" else ("exact", is_exact)
    if "fifo" in policy:
        return "±3 %", abs(off) <= 0.03
    is_aware = policy in ("gavel-max-min-perf", "gavel-ftf-perf")
    return ("±1.5 %", abs(off) <= 0.015) if is_aware else ("±4 %", abs(off) <= 0.04)


# ---- table b ------------------------------------------------------------------------------------


def _by_world(rows: Sequence[Row]) -> dict[str, dict[str, dict[str, Row]]]:
    """Runs by trace, policy and world: of policies that were run in events, or in rounds only."""
    found: dict[str, dict[str, dict[str, Row]]] = {}
    for row in rows:
        if row["table"] == "c" or row["world"] == "counts":
            continue
        world = "published" if row["world"] in COARSE else row["world"]
        found.setdefault(row["trace"], {}).setdefault(row["policy"], {})[world] = row
    return {
        trace: {
            policy: worlds
            for policy, worlds in policies.items()
            if "free" in worlds or policy == "gavel-fifo-perf"
        }
        for trace, policies in found.items()
        if any("free" in worlds for worlds in policies.values())
    }


def hidden(rows: Sequence[Row]) -> list[str]:
    """Average and slowest hundredth by trace, policy and world; the best averages are bold."""
    return _worlds_table(rows, _times)


def costs(rows: Sequence[Row]) -> list[str]:
    """Restarts of a job, and GPU time that was held for nothing."""
    return _worlds_table(rows, lambda row, _: _lost(row))


def _worlds_table(rows: Sequence[Row], told: Callable[[Row, float], str]) -> list[str]:
    body = []
    for trace, policies in _by_world(rows).items():
        best = {
            world: min(w[world]["jct_mean_s"] for w in policies.values() if world in w)
            for world in WORLDS
            if any(world in w for w in policies.values())
        }
        for policy, worlds in policies.items():
            line = [told(worlds[w], best[w]) if w in worlds else "" for w in WORLDS]
            body.append([trace, policy, *line])
    return _table(("trace", "policy", *WORLDS.values()), body)


def _times(row: Row, best_s: float) -> str:
    mean = number(row["jct_mean_s"] / HOUR_S)
    mean = f"**{mean}**" if row["jct_mean_s"] == best_s else mean
    unfinished = row["jobs"] - row["finished"]
    given_up = f", {unfinished} not done" if unfinished else ""
    return f"{mean} / {number(row['jct_p99_s'] / HOUR_S)}{given_up}"


def _lost(row: Row) -> str:
    return f"{number(row['restarts'])} / {number(row['gpu_h_lost'])}"


# ---- table c ------------------------------------------------------------------------------------


Key = tuple[str, str, str]
"""Trace, policy, and what the jobs are."""

SIA = ("sia", "elastic")


def _mixed(rows: Sequence[Row]) -> dict[Key, list[Row]]:
    """Runs on the mixed cluster, in the order of seeds; of traces of which sia was run."""
    found: dict[Key, list[Row]] = {}
    for row in sorted((r for r in rows if r["table"] == "c"), key=lambda r: int(r["seed"])):
        found.setdefault((row["trace"], row["policy"], row["world"]), []).append(row)
    return {key: found[key] for key in sorted(found, key=_of_trace) if (key[0], *SIA) in found}


def _of_trace(key: Key) -> tuple[int, int]:
    return int(key[0].partition("-")[2]), RUNS.index((key[1], key[2]))


def _times_sia(runs: Mapping[Key, list[Row]], key: Key) -> list[float]:
    """Average completion times over those of sia with the same jobs."""
    ours = {row["seed"]: row["jct_mean_s"] for row in runs[key[0], *SIA]}
    return [row["jct_mean_s"] / ours[row["seed"]] for row in runs[key] if row["seed"] in ours]


def mixed(rows: Sequence[Row]) -> list[str]:
    """Means over seeds with 95 % intervals, and every policy's ratio to sia, seed by seed."""
    runs, body = _mixed(rows), []
    for key, found in runs.items():
        trace, policy, kind = key
        ratio = "1" if key[1:] == SIA else _with_interval(_times_sia(runs, key))
        line = [trace.partition("-")[2], policy, kind, f"{len(found)}"]
        line.append(_with_interval([row["jct_mean_s"] / HOUR_S for row in found]))
        for name, unit in (("jct_p99_s", HOUR_S), ("makespan_s", HOUR_S), ("restarts", 1)):
            line.append(number(fmean(row[name] for row in found) / unit))
        body.append([*line, ratio])
    head = ("jobs", "policy", "they are", "seeds", "average, h", "p99, h", "last end, h")
    return _table((*head, "restarts a job", "times sia"), body)


def _with_interval(values: Sequence[float]) -> str:
    low, high = interval(values)
    around = f" ({low:.2f} to {high:.2f})" if len(values) > 1 else ""
    return f"{fmean(values):.2f}{around}"


# ---- pictures -----------------------------------------------------------------------------------


def pictures(rows: Sequence[Row]) -> dict[str, str]:
    """SVG files by name, of what there are runs for."""
    by_world, found = _by_world(rows), {}
    for trace in DRAWN:
        if trace in by_world:
            found[trace] = _alone(_steps(trace, by_world[trace]))
    for trace in dict.fromkeys(key[0] for key in _mixed(rows)):
        found[trace] = _alone(_ratios(rows, trace))
    return found


def _alone(svg: str) -> str:
    """A picture for a file of its own, in the colours of light and dark screens."""
    style = f"{STYLE} svg {{ font-family: system-ui, sans-serif; background: var(--paper); }}"
    head, rest = svg.split("\n", 1)
    head = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return f"{head}\n<style>{style}</style>\n{rest}\n"


def _steps(trace: str, policies: Mapping[str, Mapping[str, Row]]) -> str:
    """Average completion time by policy, world after world."""
    worlds = [*WORLDS]
    words = ("published", "events", "30 s", "100 s", "saved", "spread")
    x = Scale(-0.25, len(worlds) + 1.1, tuple(enumerate(words)))
    most_h = max(row["jct_mean_s"] for w in policies.values() for row in w.values()) / HOUR_S
    axes = Axes(x, linear(0, most_h), f"{trace}: the world", "average completion time, h")
    frame = Frame(axes, f"Average completion time on {trace} by policy, world after world")
    frame.grid()
    taken: list[float] = []
    for style, (policy, found) in enumerate(policies.items()):
        points = [
            (float(at), found[world]["jct_mean_s"] / HOUR_S)
            for at, world in enumerate(worlds)
            if world in found
        ]
        line = f'class="line {colour(style)}"{dashes(style)}'
        frame.add(f'<polyline {line} points="{frame.path(points)}"/>')
        for at, hours in points:
            where = f'cx="{frame.x(at)}" cy="{frame.y(hours)}" r="3.5"'
            frame.add(f'<circle class="dot {colour(style)}" {where}/>')
        at, hours = points[-1]
        y = _free(frame.y(hours) + 4, taken if at == len(worlds) - 1 else [])
        frame.text(frame.x(at) + 8, y, policy, "start", "name")
    return frame.end()


def _free(y: float, taken: list[float]) -> float:
    """The nearest height for a name at which no other is."""
    steps = sorted(range(-6, 7), key=abs)
    found = next(y + 7 * s for s in steps if all(abs(y + 7 * s - one) >= 13 for one in taken))
    taken.append(found)
    return found


def _ratios(rows: Sequence[Row], trace: str) -> str:
    """Every policy's average over that of sia, with intervals; a second dot: as published."""
    runs = _mixed(rows)
    names, lines = [], []
    for key in runs:
        if key[0] != trace or key[1:] == SIA:
            continue
        _, policy, kind = key
        ratios = _times_sia(runs, key)
        mean, (low, high) = fmean(ratios), interval(ratios)
        line = [Interval(policy, 0, low, mean, high, f"{mean:.2f} times sia", True)]
        if policy == "gavel-max-min-perf":
            said, at = f"{PUBLISHED_GAVEL:.1f} in Sia's paper", PUBLISHED_GAVEL
            line.append(Interval(policy, 1, at, at, at, said, True))
        names.append(f"{policy}, {kind.removeprefix('tuned, in ')}")
        lines.append(line)
    x = linear(0, max((one.high for line in lines for one in line), default=1))
    label = "Average completion time of each policy over that of sia"
    title = f"average completion time, times that of sia; {trace.partition('-')[2]} jobs"
    return intervals(x, title, label, lines, names)
