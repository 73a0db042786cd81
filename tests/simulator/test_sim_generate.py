"""massctl sim generate: distributions, likeness, files that read back, equal bytes."""

import gzip
import itertools
import json
import os
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from aimass import cli
from aimass.core.speeds import SpeedOn
from aimass.simulator.fit import fit, hourly
from aimass.simulator.generate import (
    DAY,
    HOUR_MS,
    WORK_MS_MAX,
    Arrivals,
    Kind,
    exponential,
    generate,
    lognormal,
    quantiles,
    uniform,
)
from aimass.simulator.trace_jsonl import job_of_line
from aimass.simulator.trace_write import line_of
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.traces import read_trace

HERE = Path("trace")
STEADY = Arrivals((60.0,) * 24)
FAST = SpeedOn("B", 0, 0, 2_000_000)
ONE = (Kind(1, 1000, uniform(60_000, 60_000)),)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sim_generate(*words: str) -> int:
    """Run the command."""
    return cli.run(["sim", "generate", *words])


@pytest.mark.parametrize(
    "job",
    [
        TraceJob("a", 0, 1, 1000),
        TraceJob("ü 1", 10**15 - 1, 999, 250, 1, "eva", "q", -5, ("A100", "H100"), 1, (FAST,)),
        TraceJob("b", 123_456, 2000, 64_000, 1, priority=7, speeds=(SpeedOn("A", 0, 0, 1), FAST)),
        TraceJob(
            "c", 0, 1, 8000, 1, speeds=(SpeedOn("", 4, 0, 9), FAST, SpeedOn("B", 8, 2, 1_234_567))
        ),
        TraceJob("d", 0, 1, 8000, 1, app="bert", steps=10**15, batch=384, gpus_min=1, gpus_max=16),
    ],
)
def test_a_job_that_is_written_reads_back_as_the_same(job: TraceJob) -> None:
    assert job_of_line(HERE, job.line, line_of(job)) == job


@pytest.mark.parametrize("is_bursty", [False, True])
@pytest.mark.parametrize("per_hour", [STEADY.per_hour, tuple(60 * part for part in DAY)])
def test_jobs_come_at_their_rate(per_hour: tuple[float, ...], is_bursty: bool) -> None:
    """Of ten streams the mean is within four standard errors: a burst counts as ten at once."""
    count, spans_ms = 4000, []
    for seed in range(10):
        times = [job.submit_ms for job in generate(count, ONE, Arrivals(per_hour, is_bursty), seed)]
        assert times == sorted(times)
        spans_ms.append(times[-1])
    expected_ms = count * HOUR_MS / 60
    error_ms = 4 * expected_ms / (count * 10) ** 0.5 * (20**0.5 if is_bursty else 1)
    assert abs(statistics.fmean(spans_ms) - expected_ms) < error_ms + 12 * HOUR_MS * (
        per_hour is not STEADY.per_hour
    )


def test_by_day_three_times_as_many_come_as_by_night() -> None:
    arrivals = Arrivals(tuple(600 * part for part in DAY))
    hours = [job.submit_ms // HOUR_MS % 24 for job in generate(43_200, ONE, arrivals, 1)]
    by_day = sum(8 <= hour < 20 for hour in hours)
    assert 2.85 < by_day / (len(hours) - by_day) < 3.15


def test_in_bursts_most_jobs_follow_within_seconds() -> None:
    times = [job.submit_ms for job in generate(5000, ONE, Arrivals((6.0,) * 24, True), 1)]
    gaps = sorted(after - before for before, after in itertools.pairwise(times))
    assert gaps[len(gaps) // 2] < 10_000
    assert 0.07 < sum(gap > 60_000 for gap in gaps) / len(gaps) < 0.13


def test_sizes_types_and_durations_are_drawn_as_weighted() -> None:
    kinds = (
        Kind(3, 1000, lognormal(60_000, 1.0), ("A",)),
        Kind(1, 8000, exponential(600_000), queue="q", priority=2, speeds=(FAST,)),
    )
    jobs = list(generate(8000, kinds, STEADY, 5, slo_milli=1500))
    small = sorted(job.work_ms for job in jobs if job.gpu_milli == 1000)
    large = [job.work_ms for job in jobs if job.gpu_milli == 8000]
    assert 5800 < len(small) < 6200
    assert 57_000 < small[len(small) // 2] < 63_000
    assert 2.5 < small[int(0.8413 * len(small))] / 60_000 < 2.95  # e to the sigma
    assert 550_000 < statistics.fmean(large) < 650_000
    assert all(job.slo_ms == job.work_ms * 1500 // 1000 for job in jobs)
    assert {(j.gpu_types, j.queue, j.priority, j.speeds) for j in jobs} == {
        (("A",), "default", 0, ()),
        ((), "q", 2, (FAST,)),
    }
    far = generate(50, (Kind(1, 1000, lognormal(WORK_MS_MAX, 10)),), STEADY, 1)
    assert max(job.work_ms for job in far) == WORK_MS_MAX


def test_each_purpose_has_a_stream_of_its_own() -> None:
    steady, bursty = (
        list(generate(50, ONE, Arrivals((9.0,) * 24, bursty), 1)) for bursty in (False, True)
    )
    assert [job.submit_ms for job in steady] != [job.submit_ms for job in bursty]
    assert [job.work_ms for job in steady] == [job.work_ms for job in bursty]


def test_quantiles_give_the_sample_back() -> None:
    sample = [1, 2, 4, 8, 16]
    duration = quantiles(sample)
    assert [duration(i / 4) for i in range(4)] == [1, 2, 4, 8]
    assert duration(0.5 + 1e-9) == pytest.approx(4)
    assert duration(0.375) == 3
    assert quantiles([7])(0.3) == 7


def test_a_fit_finds_again_what_a_trace_was_made_of() -> None:
    arrivals = Arrivals(tuple(200 * part for part in DAY))
    kinds = (
        Kind(8, 1000, lognormal(600_000, 1), ("A",)),
        Kind(2, 4000, uniform(1_000_000, 2_000_000), queue="q"),
    )
    source = list(generate(20_000, kinds, arrivals, 3))
    found = fit(iter(source))
    assert found.jobs == 20_000
    for own, rate in zip(arrivals.per_hour, found.arrivals.per_hour, strict=True):
        assert rate == pytest.approx(own, rel=0.15)
    again = list(generate(20_000, found.kinds, found.arrivals, 4))
    for size in (1000, 4000):
        works = [sorted(j.work_ms for j in jobs if j.gpu_milli == size) for jobs in (source, again)]
        assert len(works[0]) == pytest.approx(len(works[1]), rel=0.05)
        for part in (0.1, 0.5, 0.9):
            first, second = (ordered[int(part * len(ordered))] for ordered in works)
            assert second == pytest.approx(first, rel=0.1)
    assert Counter((j.gpu_types, j.queue) for j in again).keys() == {(("A",), "default"), ((), "q")}


def test_hours_count_as_often_as_the_trace_has_them() -> None:
    """One day and a half from 6:30 on: 6:30 to 18:30 comes twice."""
    begin_ms = 13 * HOUR_MS // 2
    times = [begin_ms + at * HOUR_MS // 4 for at in range(4 * 36 + 1)]
    assert hourly(times) == pytest.approx([4.0] * 24)
    assert hourly([0, HOUR_MS, 4 * HOUR_MS]) == (0.5,) * 24
    with pytest.raises(ValueError, match="all jobs of the trace come at once"):
        hourly([5, 5])


def test_a_file_is_equal_bytes_by_seed_and_plays(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    words = ("--jobs", "50", "--arrival", "bursty", "--gpu-types", "A:1,any:3", "--slo", "2.5")
    assert sim_generate(*words, "--out", "a.jsonl.gz") == 0
    assert "50 jobs in a.jsonl.gz" in capsys.readouterr().err
    assert sim_generate(*words) == 0
    text = capsys.readouterr().out
    assert gzip.decompress((here / "a.jsonl.gz").read_bytes()).decode() == text
    assert sim_generate(*words, "--seed", "1", "--out", "b.jsonl") == 0
    assert (here / "b.jsonl").read_text() != text
    command = [sys.executable, "-m", "aimass.cli", "sim", "generate", *words, "--out", "c.jsonl.gz"]
    subprocess.run(
        command, check=True, capture_output=True, env=os.environ | {"PYTHONHASHSEED": "9"}
    )
    assert (here / "c.jsonl.gz").read_bytes() == (here / "a.jsonl.gz").read_bytes()
    assert sorted(path.name for path in here.iterdir()) == ["a.jsonl.gz", "b.jsonl", "c.jsonl.gz"]
    assert cli.run(["sim", "run", "--trace", "a.jsonl.gz", "--cluster", "4x8xA", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["finished"] == 50


def test_like_another_trace_at_another_rate(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    rows = "".join(f"{i},{(1, 8)[i % 2]},{360 * i},{60 + i}\n" for i in range(400))
    (here / "t.csv").write_text(f"job_id,num_gpu,submit_time,duration\n{rows}")
    assert sim_generate("--like", "t.csv", "--rate", "20", "--out", "like.jsonl") == 0
    jobs = list(read_trace(here / "like.jsonl"))
    assert len(jobs) == 400
    assert {job.gpu_milli for job in jobs} == {1000, 8000}
    assert all(60_000 <= job.work_ms <= 460_000 for job in jobs)
    assert 16 < 400 * HOUR_MS / jobs[-1].submit_ms < 24
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--sizes", "1:0"), "GPUS:WEIGHT pairs"),
        (("--sizes", "1.5:1"), "GPUS:WEIGHT pairs"),
        (("--sizes", "0:1"), "GPUS:WEIGHT pairs"),
        (("--sizes", "1:1,1:2"), "GPUS:WEIGHT pairs"),
        (("--gpu-types", "A 1:2"), "TYPE:WEIGHT pairs"),
        (("--durations", "lognormal:16m"), "one of lognormal:MEDIAN:SIGMA"),
        (("--durations", "lognormal:16m:11"), "one of lognormal:MEDIAN:SIGMA"),
        (("--durations", "fixed:16"), "of times: a time with its unit"),
        (("--durations", "normal:16m:2m"), "one of lognormal:MEDIAN:SIGMA"),
        (("--rate", "0"), "a number above 0"),
        (("--slo", "-1"), "a number above 0"),
        (("--arrival", "rare"), "'rare' is not one of"),
        (("--like", "t.csv", "--sizes", "1:1"), "--like and --sizes say both what jobs are"),
        (("--like", "none.csv"), "none.csv"),
        (("--out", "no/such/folder.jsonl"), "no/such"),
        (("--out", "x.foo"), "no format is known by the name of x.foo\nfix: end it in .jsonl"),
        (("--durations", "uniform:3h:1h"), "uniform:LEAST:MOST"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    capsys: pytest.CaptureFixture[str], here: Path, words: tuple[str, ...], told: str
) -> None:
    assert sim_generate("--jobs", "2", *words) in (1, 2)
    assert told in capsys.readouterr().err
    assert list(here.iterdir()) == []
