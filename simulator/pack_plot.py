"""A picture of packing runs: allocated and fragmented GPUs against what has arrived, and the bound.

`.png` through matplotlib; `.html` is written here as SVG, in one file that loads nothing and
follows the reader's light or dark colours.
"""

import html
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

SHOWN_PCT = (50, 80, 95, 100, 130)  # columns of the table below the picture
# Okabe and Ito, 2008: told apart also by those who see fewer colours; each readable on both
# backgrounds, so black and yellow are left out.
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#8a8a8a")

WIDTH, HEIGHT = 860, 380  # of one panel, in pixels
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 34, 44  # around the axes

Curve = Mapping[int, float]  # by arrived demand in whole percent of all GPUs


class Run(Protocol):
    """What is drawn of one run of one policy; `simulator.packing.PackRun` is one."""

    @property
    def policy(self) -> str: ...
    @property
    def alloc_pct(self) -> Curve: ...
    @property
    def frag_pct(self) -> Curve: ...


@dataclass(frozen=True)
class Band:
    """The runs of one policy over its seeds, at each point that all of them have."""

    policy: str
    colour: str
    mean: dict[int, float]
    least: dict[int, float]
    most: dict[int, float]


@dataclass(frozen=True)
class Panel:
    """One pair of axes with what is drawn in it.

    dots: the bound where it was computed, and where it begins: nobody allocates what has not come.
    """

    title: str
    bands: list[Band]
    dots: dict[float, float]
    x: tuple[float, float]
    y: tuple[float, float]


def refuse_path(path: Path) -> None:
    """Find out before hours of runs whether the picture can be written; what is there stays.

    Raises ValueError for another ending than .png and .html, OSError where no file can be written,
    and ModuleNotFoundError when what draws a .png is not installed.
    """
    if path.suffix not in _WRITERS:
        raise ValueError(f"{path.name}: a picture ends in {' or '.join(_WRITERS)}")
    if path.suffix == ".png":
        importlib.import_module("matplotlib.figure")
    is_new = not path.exists()
    with open(path, "ab"):
        pass
    if is_new:
        path.unlink()


def write_plot(path: Path, runs: Sequence[Run], bounds: Mapping[float, float]) -> None:
    """Write the picture, as the ending of the path says.

    bounds: arrived demand -> most that can be allocated, both in percent of all GPUs; may be empty.
    Raises ValueError for another ending, and when there is no run.
    """
    if path.suffix not in _WRITERS:
        raise ValueError(f"{path.name}: a picture ends in {' or '.join(_WRITERS)}")
    _WRITERS[path.suffix](path, panels_of(runs, bounds))


def panels_of(runs: Sequence[Run], bounds: Mapping[float, float]) -> list[Panel]:
    """Give the two panels. Allocation begins shortly before the first policy drops pods.

    Until then all that has arrived is allocated, whatever the policy, and the curves are one line.
    """
    alloc = _bands(runs, lambda run: run.alloc_pct)
    frag = _bands(runs, lambda run: run.frag_pct)
    if not any(band.mean for band in alloc):
        raise ValueError("no percent of arrived demand was met in every run; fix: draw fewer seeds")
    last = max(at for band in alloc for at in band.mean)
    behind = [at for band in alloc for at, mean in band.mean.items() if mean < at - 1]
    first = max(0, 5 * (min(behind, default=0) // 5) - 5)
    dots = {at: most for at, most in sorted(bounds.items()) if first <= at <= last}
    if dots and first < min(dots):
        dots = {first: first, **dots}  # no policy allocates more than has arrived
    in_view = [least for band in alloc for at, least in band.least.items() if at >= first]
    highest = max([*dots.values(), *(most for band in alloc for most in band.most.values())])
    lowest = min([*in_view, *dots.values()])
    ragged = max((most for band in frag for most in band.most.values()), default=0)
    return [
        Panel(
            *("Allocated GPUs, %", alloc, dots, (first, last)),
            (5 * math.floor(lowest / 5), 5 * math.ceil(highest / 5)),
        ),
        Panel(
            *("Fragmented GPUs, % of all", frag, {}, (0, last)),
            (0, max(1, math.ceil(ragged))),
        ),
    ]


def _bands(runs: Sequence[Run], curve: Callable[[Run], Curve]) -> list[Band]:
    """Give one band a policy, in the order in which they come."""
    if not runs:
        raise ValueError("no run to draw")
    by_policy: dict[str, list[Curve]] = {}
    for run in runs:
        by_policy.setdefault(run.policy, []).append(curve(run))
    bands = []
    for number, (policy, curves) in enumerate(by_policy.items()):
        points = sorted(set(curves[0]).intersection(*curves[1:]))
        at = {point: [each[point] for each in curves] for point in points}
        bands.append(
            Band(
                policy,
                COLOURS[number % len(COLOURS)],
                {point: math.fsum(values) / len(values) for point, values in at.items()},
                {point: min(values) for point, values in at.items()},
                {point: max(values) for point, values in at.items()},
            )
        )
    return bands


def _ticks(low: float, high: float) -> list[float]:
    """Give round numbers that divide an axis into some 4 to 10 parts."""
    step = next(step for step in (1, 2, 5, 10, 20) if (high - low) / step <= 10 or step == 20)
    first = math.ceil(low / step)
    return [step * each for each in range(first, math.floor(high / step) + 1)]


def _png(path: Path, panels: list[Panel]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 9), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, panel in zip(figure.subplots(len(panels), 1), panels, strict=True):
        for band in panel.bands:
            points = list(band.mean)
            least, most = list(band.least.values()), list(band.most.values())
            axes.fill_between(points, least, most, color=band.colour, alpha=0.2, linewidth=0)
            means = list(band.mean.values())
            axes.plot(points, means, color=band.colour, label=band.policy, linewidth=1.5)
        if panel.dots:
            places = (list(panel.dots), list(panel.dots.values()))
            axes.plot(*places, "k_--", markersize=12, linewidth=0.8, label="upper bound")
        axes.set(xlim=panel.x, ylim=panel.y, title=panel.title)
        axes.set_xlabel("arrived demand, % of all GPUs")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120, metadata={"Software": None})


_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --line: #8886; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181c; } }
body { font: 14px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 900px; margin: 2em auto; padding: 0 1em; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font-size: 12px; }
.axis { stroke: var(--line); } .band { opacity: .2; } .mean { fill: none; stroke-width: 1.8; }
.dot { fill: var(--ink); }
.bound { fill: none; stroke: var(--ink); stroke-width: 1.2; stroke-dasharray: 5 4; }
table { border-collapse: collapse; } caption { text-align: left; font-weight: 600; }
th, td { padding: .15em .8em; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child { text-align: left; } .key { display: inline-block; width: 1em; height: .3em;
  margin-right: .5em; vertical-align: middle; }
"""


def _html(path: Path, panels: list[Panel]) -> None:
    body = "\n".join(f"{_svg(panel)}\n{_table(panel)}" for panel in panels)
    path.write_text(
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>Packing</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n'
        f"<body><h1>Packing</h1>\n<p>Against arrived demand in % of all GPUs. Lines are means over "
        f"seeds, bands reach from the least to the most.</p>\n{body}\n</body></html>\n",
        encoding="utf-8",
    )


def _svg(panel: Panel) -> str:
    (x0, x1), (y0, y1) = panel.x, panel.y

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - x0) / (x1 - x0 or 1) * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (y - y0) / (y1 - y0 or 1) * (HEIGHT - TOP - BOTTOM)
        return round(across, 1), round(down, 1)

    def places(curve: Mapping[int, float] | Mapping[float, float]) -> list[tuple[float, float]]:
        return [place(x, y) for x, y in curve.items() if x0 <= x <= x1]

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{panel.title}">']
    parts.append(f'<text x="{LEFT}" y="18" font-weight="600">{panel.title}</text>')
    for tick in _ticks(y0, y1):
        left, y = place(x0, tick)
        parts.append(f'<line class="axis" x1="{left}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
    for tick in _ticks(x0, x1):
        x, y = place(tick, y0)
        parts.append(f'<text x="{x}" y="{y + 18}" text-anchor="middle">{tick:g}</text>')
    for band in panel.bands:
        outline = _points([*places(band.most), *reversed(places(band.least))])
        parts.append(f'<polygon class="band" fill="{band.colour}" points="{outline}"/>')
        mean = _points(places(band.mean))
        parts.append(f'<polyline class="mean" stroke="{band.colour}" points="{mean}"/>')
    if panel.dots:
        parts.append(f'<polyline class="bound" points="{_points(places(panel.dots))}"/>')
    for x, y in places(panel.dots):
        parts.append(f'<circle class="dot" cx="{x}" cy="{y}" r="3"/>')
    return "\n".join([*parts, "</svg>"])


def _points(places: list[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in places)


def _table(panel: Panel) -> str:
    """The same in numbers, with each line's colour."""
    shown = [at for at in SHOWN_PCT if any(at in band.mean for band in panel.bands)]
    heads = "".join(f"<th>@{at}</th>" for at in shown)
    rows = []
    for band in panel.bands:
        key = f'<span class="key" style="background:{band.colour}"></span>'
        cells = "".join(f"<td>{_number(band.mean.get(at))}</td>" for at in shown)
        rows.append(f"<tr><th>{key}{html.escape(band.policy)}</th>{cells}</tr>")
    if panel.dots:
        cells = "".join(f"<td>{_number(panel.dots.get(at))}</td>" for at in shown)
        rows.append(f"<tr><th>upper bound (dashed)</th>{cells}</tr>")
    head = f"<caption>{panel.title}</caption><tr><th></th>{heads}</tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


_WRITERS: dict[str, Callable[[Path, list[Panel]], None]] = {".png": _png, ".html": _html}
