"""The picture: what is drawn is what was measured, and it needs nothing but its own file."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from aimass.simulator.pack_plot import Run, panels_of, write_plot


class Drawn(NamedTuple):
    """A run as far as it is drawn."""

    policy: str
    alloc_pct: Mapping[int, float]
    frag_pct: Mapping[int, float]


def run(policy: str, most: float, frag: float = 10) -> Run:
    """Make a run that allocates everything up to `most` percent."""
    arrived = range(131)
    alloc = {at: min(float(at), most) for at in arrived}
    return Drawn(policy, alloc, {at: frag - at * frag / 200 for at in arrived})


RUNS = [run("fgd", 94), run("fgd", 96), run("best-fit", 92.5, 13)]
BOUNDS = {95: 95.0, 100: 97.25, 130: 99.5}


def test_a_band_is_the_mean_and_the_spread_of_the_seeds() -> None:
    """Points that only some seeds have are left out: their mean would be another one."""
    short = Drawn("fgd", {50: 50.0, 100: 93.0}, {50: 1.0, 100: 2.0})
    allocated, fragmented = panels_of([*RUNS, short], BOUNDS)
    fgd, best_fit = allocated.bands
    assert (fgd.policy, fgd.mean) == ("fgd", {50: 50, 100: pytest.approx(283 / 3)})
    assert (fgd.least, fgd.most) == ({50: 50, 100: 93}, {50: 50, 100: 96})
    assert (best_fit.policy, best_fit.mean[130]) == ("best-fit", 92.5)
    assert fragmented.bands[0].mean == {50: pytest.approx(16 / 3), 100: pytest.approx(4)}
    assert fgd.colour != best_fit.colour


def test_seeds_without_a_point_in_common_are_refused() -> None:
    """As on a cluster of four nodes, where one pod is several percent."""
    runs = [Drawn("fgd", {at: 1.0}, {at: 1.0}) for at in (50, 60)]
    with pytest.raises(ValueError, match="draw fewer seeds"):
        panels_of(runs, BOUNDS)


def test_allocation_is_shown_from_before_the_first_drop() -> None:
    """All that comes before is the same line for everybody; fragmentation is shown from 0."""
    allocated, fragmented = panels_of(RUNS, BOUNDS)
    assert (allocated.x, allocated.y) == ((85, 130), (85, 100))
    assert (fragmented.x, fragmented.y) == ((0, 130), (0, 13))
    assert allocated.dots == {85: 85, **BOUNDS}
    assert panels_of([run("x", 130)], {})[0].x == (0, 130)


def test_the_page_is_whole_by_itself(tmp_path: Path) -> None:
    """No script, no font, no address; readable on light and dark; names are data."""
    write_plot(tmp_path / "a.html", [*RUNS, run("<b>&", 90)], BOUNDS)
    page = (tmp_path / "a.html").read_text()
    assert not re.search(r"https?:|src=|href=|url\(|@import|<script|<link", page)
    assert "prefers-color-scheme: dark" in page
    assert "&lt;b&gt;&amp;" in page
    assert "<b>" not in page
    assert "<td>97.25</td>" in page
    assert "<td>92.50</td>" in page


def test_a_line_goes_through_what_was_measured(tmp_path: Path) -> None:
    """The axes' own numbers tell where a point belongs."""
    write_plot(tmp_path / "a.html", RUNS, BOUNDS)
    page = (tmp_path / "a.html").read_text()
    svg = ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    below = [text for text in svg.iter("text") if text.get("text-anchor") == "middle"]
    beside = [text for text in svg.iter("text") if text.get("text-anchor") == "end"]
    across = {text.text: float(text.attrib["x"]) for text in below}
    down = {text.text: float(text.attrib["y"]) - 4 for text in beside}
    means = [line for line in svg.iter("polyline") if line.attrib["class"] == "mean"]
    fgd = [tuple(map(float, point.split(","))) for point in means[0].attrib["points"].split()]
    assert len(fgd) == 130 - 85 + 1
    x, y = fgd[130 - 85]
    assert x == across["130"]
    assert y == pytest.approx((down["94"] + down["96"]) / 2, abs=0.1)  # of two seeds


def test_a_png_is_written(tmp_path: Path) -> None:
    """By its signature and its size in the header."""
    write_plot(tmp_path / "a.png", RUNS, {})
    data = (tmp_path / "a.png").read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert int.from_bytes(data[16:20]) > 500
    write_plot(tmp_path / "b.png", RUNS, BOUNDS)
    assert (tmp_path / "b.png").read_bytes() != data


@pytest.mark.parametrize(("name", "runs"), [("a.pdf", RUNS), ("a", RUNS), ("a.png", [])])
def test_another_ending_or_no_run_is_refused(tmp_path: Path, name: str, runs: list[Run]) -> None:
    """Nothing is written then."""
    with pytest.raises(ValueError, match=r"ends in \.png or \.html|no run"):
        write_plot(tmp_path / name, runs, {})
    assert list(tmp_path.iterdir()) == []
