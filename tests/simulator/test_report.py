"""massctl sim run --report: one page that loads nothing, and the data that it is made of."""

import gzip
import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from aimass import cli
from aimass.core.model import NodeId, Placement
from aimass.simulator.chart import Axes, Dot, Line, lines, scatter
from aimass.simulator.chart_heat import png
from aimass.simulator.chart_scale import linear, log_times, number, span, times
from aimass.simulator.clusters import parse_cluster
from aimass.simulator.report_answer import answer, front
from aimass.simulator.report_runs import QUANTILES, dues, quantiles, shares
from aimass.simulator.report_style import STYLE
from aimass.simulator.timeline import Timeline
from aimass.simulator.tracejob import TraceJob
from tests.simulator.pages import Read, checked

EVIL = '</td><script>alert("x")</script>&amp;'
QUEUES = ("research", EVIL, "vision")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a trace with more work than fits at a time, and be where it is."""
    jobs = [
        {
            "id": f"a{i}",
            "submit_s": 40 * i,
            "run_s": 60 + 7919 * i % 3000,
            "gpus": (1, 2, 0.5, 4, 8)[i % 5],
            "queue": QUEUES[i % 3],
        }
        for i in range(60)
    ]
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(job) + "\n" for job in jobs))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sim(*words: str) -> None:
    """Run the command on the trace."""
    assert cli.run(["sim", "run", "--trace", "jobs.jsonl", "--cluster", "3x4xA100", *words]) == 0


def page() -> tuple[str, Read]:
    """The page of the report, read strictly."""
    text = Path("r/report.html").read_text()
    return text, checked(text)


def lines_of(name: str) -> list[dict[str, Any]]:
    """The lines of a file of the report."""
    with gzip.open(f"r/{name}", "rt") as file:
        return [json.loads(line) for line in file]


def test_the_page_is_whole_and_loads_nothing() -> None:
    sim("--policy", "fair", "--compare", "fifo,srtf,las", "--report", "r")
    text, read = page()
    assert read.tags["h1"] == read.tags["main"] == read.tags["script"] == 1
    assert read.tags["image"] == 4  # a heat map a policy
    assert read.tags["figure"] == read.tags["details"]
    assert "default-src 'none'" in text


def test_names_from_the_trace_are_text_and_nothing_else() -> None:
    sim("--report", "r")
    text, read = page()
    assert read.tags["script"] == 1
    assert "<script>alert" not in text
    assert any("alert(" in word for word in read.words)


def test_the_same_runs_give_the_same_bytes() -> None:
    made = []
    for _ in range(2):
        sim("--compare", "las", "--seeds", "2", "--error", "0.5", "--report", "r")
        names = ("report.html", "manifest.json", "jobs.jsonl.gz", "timeline.jsonl.gz")
        made.append([Path("r", name).read_bytes() for name in names])
    assert made[0] == made[1]


def test_the_data_beside_the_page_agree_with_the_summary(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sim("--policy", "srtf", "--report", "r", "--jobs", "jobs.csv", "-o", "json")
    row = json.loads(capsys.readouterr().out)
    assert json.loads(Path("r/summary.json").read_text())["runs"] == [row]
    jobs = lines_of("jobs.jsonl.gz")
    assert len(jobs) == 60 == len(Path("jobs.csv").read_text().splitlines()) - 1
    assert sum(job["jct_s"] for job in jobs) / 60 == pytest.approx(row["jct_mean_s"])
    bins = lines_of("timeline.jsonl.gz")
    assert sum(one["length_s"] for one in bins) == pytest.approx(row["makespan_s"])
    there = sum(one["gpus"] * one["length_s"] for one in bins)
    held = sum(one["held"] * one["length_s"] for one in bins)
    assert there == pytest.approx(12 * row["makespan_s"])
    assert held / there == pytest.approx(row["gpu_util"], rel=1e-4)
    by_queue = sum(sum(one["held_by_queue"].values()) * one["length_s"] for one in bins)
    assert by_queue == pytest.approx(held, rel=1e-4)


def test_the_manifest_says_how_to_do_it_again() -> None:
    words = ["--policy", "las", "--seed", "3", "--report", "r"]
    sim(*words)
    manifest = json.loads(Path("r/manifest.json").read_text())
    assert manifest["command"][:4] == ["massctl", "sim", "run", "--trace"]
    assert manifest["command"][-6:] == words
    assert manifest["seeds"] == [3]
    assert len(manifest["input_sha256"]) == 64
    text, _ = page()
    assert manifest["input_sha256"] in text


def test_seeds_are_bands_and_intervals() -> None:
    sim("--compare", "las", "--seeds", "3", "--error", "0.5", "--report", "r")
    text, _ = page()
    assert 'class="band c0"' in text
    assert "Difference in average completion time, against fair" in text


def test_a_cluster_in_a_file_is_named_by_its_kinds_and_its_hash() -> None:
    Path("c.yaml").write_text("nodes: {count: 3, gpus: 4xA100, price: 2}\n")
    words = ["--trace", "jobs.jsonl", "--cluster", "c.yaml", "--compare", "las", "--report", "r"]
    assert cli.run(["sim", "run", *words]) == 0
    manifest = json.loads(Path("r/manifest.json").read_text())
    assert manifest["cluster_sha256"] == sha256(Path("c.yaml").read_bytes()).hexdigest()
    _, read = page()
    assert "jobs.jsonl on 3x4xA100 of c.yaml" in read.words
    assert "Average completion time and cost" in read.words


@pytest.mark.slow
def test_many_policies_still_fit() -> None:
    policies = [f"las:limits={limit}" for limit in range(100, 2100, 100)]
    sim("--policy", "fair", "--compare", ",".join(policies), "--report", "r")
    page()


def test_no_report_is_left_half_done(capsys: pytest.CaptureFixture[str]) -> None:
    Path("jobs.jsonl").write_text('{"id":"a","submit_s":0,"run_s":1,"gpus":99}\n')
    words = ["--trace", "jobs.jsonl", "--cluster", "1x4xA100", "--report", "r"]
    assert cli.run(["sim", "run", *words]) == 2
    assert not Path("r/report.html").exists()
    assert "report:" not in capsys.readouterr().err


# ---- what it says --------------------------------------------------------------------------------


def row(policy: str, mean_s: float, p99_s: float, seed: int = 0) -> dict[str, Any]:
    """A summary with what the answer looks at."""
    names = ("jct_p50_s", "jct_p95_s", "wait_mean_s", "wait_p95_s", "makespan_s", "frag")
    zero = dict.fromkeys((*names, "preemptions", "restarts", "gpu_h_lost"), 0.0)
    return {
        **{"policy": policy, "trace": "t", "input_sha256": "", "seed": seed, **zero},
        **{"jobs": 10, "finished": 10, "jct_mean_s": mean_s, "jct_p99_s": p99_s},
        **{"gpu_util": 0.5, "slo_attainment": None, "cost": None},
    }


def said(*rows: dict[str, Any]) -> str:
    """The answer's first line."""
    means = {one["policy"]: one for one in rows}
    return answer(means, rows, "8 GPUs")[0]


def test_the_answer_names_who_is_best_and_what_it_trades() -> None:
    found = said(row("fair", 7200, 9000), row("srtf", 3600, 18000))
    assert found == (
        "srtf ends jobs soonest: 1 h on average, 50 % less than fair; but its slowest 1 % take 5 h "
        "and more, against 2.5 h under fair."
    )


def test_the_answer_does_not_praise_what_is_level() -> None:
    found = said(row("fair", 3610, 9000), row("srtf", 3600, 9001))
    assert found == (
        "srtf and fair end jobs equally soon: 1 h on average; 1 % take longer than 2.5 h, whatever "
        "the policy."
    )


def test_the_answer_says_what_seeds_do_not_show() -> None:
    rows = [row("fair", 100 + i, 200, i) for i in range(8)]
    rows += [row("srtf", 100 + i + (-1) ** i * 9 - 3, 200, i) for i in range(8)]
    means = {"fair": row("fair", 103.5, 200), "srtf": row("srtf", 100.5, 200)}
    assert "(which 8 seeds do not show)" in answer(means, rows, "8 GPUs")[0]


def test_the_front_is_who_nobody_beats_in_both() -> None:
    means = {p: row(p, *at) for p, at in {"a": (1, 9), "b": (2, 9), "c": (3, 1)}.items()}
    assert front(means, "jct_mean_s", "jct_p99_s") == ["a", "c"]


def test_a_queue_is_due_its_part_of_what_is_asked() -> None:
    watch = Timeline(parse_cluster("1x8xV100"))
    watch.opened(0)
    wide, small = TraceJob("w", 0, 1, 8000, queue="w"), TraceJob("s", 0, 1, 2000, queue="s")
    for job in (wide, small):
        watch.came(0, job)
    watch.started(0, wide, [Placement(0, NodeId("n0"), tuple(range(8)), 1000, 0, 0)])
    course = watch.close(1000)
    assert dues(course) == {"w": 6_000_000, "s": 2_000_000}
    assert shares(course) == {"w": 8 / 6, "s": 0.0}


def test_quantiles_reach_from_the_least_to_the_most() -> None:
    found = quantiles(range(1, 1002))
    assert (found[0], found[-1]) == (1, 1001)
    assert found[QUANTILES.index(500)] == 501
    assert quantiles([]) == ()


# ---- how it is drawn -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.25, "0.25 s"), (90, "1.5 min"), (5400, "1.5 h"), (172_800, "2 d")],
)
def test_times_are_in_units_that_suit_them(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.0123, "0.0123"), (12_345.6, "12,346")])
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize("high", [0, 1e-6, 0.3, 1, 7, 99, 12_345, 1e9])
def test_axes_have_a_few_round_ticks_and_hold_their_values(high: float) -> None:
    for scale in (linear(0, high), times(high), log_times([high])):
        assert 2 <= len(scale.ticks) <= 10 or scale.high <= 10
        assert scale.low < scale.high
        assert 0 <= scale.part(high) <= 1
        ticks = [text for _, text in scale.ticks]
        assert len({*ticks}) == len(ticks)


def test_names_in_pictures_are_escaped() -> None:
    axes = Axes(linear(0, 1), linear(0, 1), EVIL, EVIL)
    svg = lines(axes, EVIL, [Line(EVIL, 0, [(0, 0), (1, 1)])])
    svg += scatter(axes, EVIL, [Dot(EVIL, 0, 0.5, 0.5, EVIL)])
    assert "<script" not in svg
    assert Read(svg).wrong == []


def test_names_of_close_dots_do_not_lie_on_each_other() -> None:
    axes = Axes(linear(0, 1), linear(0, 1), "x", "y")
    svg = scatter(axes, "t", [Dot(f"policy{i}", i, 0.5, 0.5, "") for i in range(5)])
    found = re.findall(r'class="name" x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)"', svg)
    assert len({*found}) == 5


def test_a_heat_map_is_a_pixel_a_cell() -> None:
    data = png([[0.0, 0.5, None], [1.0, 2.0, -1.0]])
    assert data[16:24] == (3).to_bytes(4, "big") + (2).to_bytes(4, "big")


@pytest.mark.parametrize("which", [0, 1])
def test_colours_stand_out_from_their_background(which: int) -> None:
    """Contrast of at least 3 to 1, as WCAG 2.2 (1.4.11) asks of graphics; 4.5 for text (1.4.3)."""
    found = re.findall(r"--(c\d|card|ink|soft): (#[0-9a-f]{3,6})", STYLE)
    colours = dict(found[11 * which : 11 * which + 11])
    assert len(colours) == 11
    for name, colour in colours.items():
        if name != "card":
            least = 4.5 if name in ("ink", "soft") else 3
            assert _contrast(colour, colours["card"]) >= least, name


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear_parts = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear_parts, strict=True))
