"""Traces written in one format read back as the same jobs: JSONL, SWF with its file, Parquet."""

import gzip
from dataclasses import replace
from pathlib import Path

import pyarrow
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from aimass import cli
from aimass.core.speeds import SpeedOn
from aimass.simulator.pack_files import FileProblem
from aimass.simulator.trace_swf_write import side_path
from aimass.simulator.trace_targets import TARGETS, target_of, write_as_named
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.traces import read_trace

WORDS = st.one_of(
    st.text('abé "|;,\\1', min_size=1, max_size=4), st.sampled_from(["q1", "q2", "1"])
)
SAME_FOLDER = [HealthCheck.function_scoped_fixture]  # each example writes its files anew
COUNTS = st.integers(1, 100_000)


@st.composite
def some_jobs(draw: st.DrawFn) -> list[TraceJob]:
    """One to six jobs with whatever a trace can say."""
    jobs, submit_ms = [], 0
    for number in range(draw(st.integers(1, 6))):
        submit_ms += draw(st.integers(0, 10**9))
        least = draw(st.sampled_from([0, 0, 1, 4]))
        keys = draw(st.sets(st.tuples(st.sampled_from(["", "A", "B"]), st.integers(0, 2))))
        settings_of = [(*key, nodes) for key in sorted(keys) for nodes in draw(_NODES)]
        jobs.append(
            TraceJob(
                draw(st.one_of(WORDS, st.just(str(7 * number)))),
                submit_ms,
                draw(st.integers(0, 10**12)),
                1000 * draw(COUNTS) if least else draw(st.sampled_from([0, 1, 999, 1000, 8000])),
                user=draw(st.one_of(st.just(""), WORDS)),
                queue=draw(st.one_of(st.just("default"), WORDS)),
                priority=draw(st.integers(-9, 9)),
                gpu_types=tuple(sorted(draw(st.sets(st.sampled_from(["A", "B", "v100"]))))),
                slo_ms=draw(st.integers(0, 10**9)),
                speeds=tuple(SpeedOn(*one, draw(COUNTS)) for one in settings_of),
                app=draw(st.sampled_from(["", "bert", "ResNet-18 (batch size 16)|4"])),
                steps=draw(st.integers(0, 10**15)),
                batch=draw(st.integers(0, 10**6)),
                gpus_min=least,
                gpus_max=least and least + draw(st.integers(0, 9)),
                told_ms=draw(st.integers(0, 10**9)),
                cpu_milli=draw(st.integers(0, 10**6)),
                memory_mib=draw(st.integers(0, 10**6)),
            )
        )
    return jobs


_NODES = st.sampled_from([(0,), (1,), (0, 2)])


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst", "a.swf", "a.swf.gz", "a.parquet"])
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(jobs=some_jobs())
def test_what_is_written_reads_back_as_the_same(
    tmp_path: Path, name: str, jobs: list[TraceJob]
) -> None:
    path = tmp_path / name
    assert write_as_named(jobs, path) == len(jobs)
    assert [replace(job, line=0) for job in read_trace(path)] == jobs
    before = path.read_bytes()
    write_as_named(list(read_trace(path)), path)
    assert path.read_bytes() == before
    assert {one.name for one in tmp_path.iterdir()} <= {name, "a.swf.jsonl"}


def test_a_file_is_written_as_it_is_named() -> None:
    named = {"a.jsonl": "jsonl", "a.jsonl.gz": "jsonl", "b.swf.zst": "swf", "c.parquet": "parquet"}
    assert {name: target_of(Path(name)) for name in named} == named
    assert [target_of(Path(name)) for name in ("a.csv", "a.parquet.gz", "jsonl", ".swf")] == [
        None
    ] * 4


SWF = """; Version: 2.2
; MaxProcs: 64
; UnixStartTime: 0
1 0 5 100.5 8 -1 -1 16 3600 -1 1 3 1 -1 2 -1 -1 -1
2 10 -1 60 8 -1 -1 -1 -1 -1 0 -1 -1 -1 -1 -1 -1 -1
"""


def jobs_of(path: Path, text: str) -> list[TraceJob]:
    """Write the trace and read it."""
    path.write_text(text)
    return list(read_trace(path))


def test_swf_of_others_is_read_by_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.swf"
    first, second = jobs_of(path, SWF)
    told = {"user": "3", "queue": "q2", "told_ms": 3_600_000}
    assert first == TraceJob("1", 0, 100_500, 16_000, 4, **told)
    assert second == TraceJob("2", 10_000, 60_000, 8000, 5)
    cores = SWF.replace("; Version", "; ProcessorsPerGPU: 7\n; Version")
    assert [job.gpu_milli for job in jobs_of(path, cores)] == [3000, 2000]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SWF + "3 9\n", "6: 2 numbers"),
        (SWF + "3 20 x" + " -1" * 15 + "\n", "6: 'x' is no number"),
        (SWF + "3 20 0 -1 8" + " -1" * 13 + "\n", "6: a job that never ran"),
        (SWF + "3 20 0 9" + " -1" * 14 + "\n", "6: a job without processors"),
        (SWF + "3 20 0 9 65" + " -1" * 13 + "\n", "6: more processors than MaxProcs, which is 64"),
        (SWF + "3 20 0 -9 64" + " -1" * 13 + "\n", "6: run_s is '-9.000'"),
        (SWF + "3 20 0 9 8 -1 -1 8 9 -1 2" + " -1" * 7 + "\n", "6: a part of a job"),
        (SWF + "3 1 0 9 8" + " -1" * 13 + "\n", "6: submitted 9000 ms before"),
        (SWF.replace("64", "many"), "2: MaxProcs is 'many'"),
        (SWF.replace("; Version", "; SideFile: a.jsonl\n; Version"), "1: there is no a.jsonl"),
    ],
)
def test_what_is_wrong_in_swf_names_its_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "a.swf"
    with pytest.raises(FileProblem) as caught:
        jobs_of(path, text)
    assert str(caught.value).startswith(f"{path}:{told}")


def test_swf_keeps_the_numbers_of_swf(tmp_path: Path) -> None:
    """What came from SWF needs no file beside it, whichever numbers users and queues have."""
    path = tmp_path / "a.swf"
    text = SWF.replace(" 3 1 -1 2 ", " 30 1 -1 5 ").replace("\n2 10 ", "\n40 10 ")
    jobs = jobs_of(path, text)
    write_as_named(jobs, path)
    assert side_path(path).read_text() == ""
    assert [replace(job, line=0) for job in read_trace(path)] == [replace(j, line=0) for j in jobs]


def test_a_line_that_is_left_out_takes_its_words_beside_with_it(tmp_path: Path) -> None:
    path = tmp_path / "a.swf"
    write_as_named([TraceJob(f"j{at}", at, 1000, 1000, priority=at) for at in range(4)], path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:4], lines[4].replace(" -1", " x", 1), *lines[5:]]))
    skips: list[FileProblem] = []
    jobs = list(read_trace(path, skip=skips.append))
    assert [(job.name, job.priority) for job in jobs] == [("j0", 0), ("j2", 2), ("j3", 3)]
    assert [problem.line for problem in skips] == [5]


def table_of(**columns: list[object]) -> pyarrow.Table:
    """A trace of one job with other columns."""
    given = {"id": ["a"], "submit_ms": [0], "run_ms": [5], "gpu_milli": [1000], **columns}
    return pyarrow.table({name: values for name, values in given.items() if values})


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"run_ms": []}, "1: no column run_ms"),
        ({"run_ms": ["5"]}, "1: column run_ms is of type string; fix: write run_ms as int64"),
        ({"run_ms": [-5]}, "1: run_s is '-0.005'"),
        ({"run_ms": pyarrow.array([None], pyarrow.int64())}, "1: no run_s"),
        ({"colour": ["red"]}, "1: a trace has no column colour"),
        ({"gpus_min": [3]}, "1: one of gpus_min and gpus_max"),
    ],
)
def test_what_is_wrong_in_parquet_names_its_row(
    tmp_path: Path, columns: dict[str, list[object]], told: str
) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(table_of(**columns), path)
    with pytest.raises(FileProblem) as caught:
        list(read_trace(path))
    assert str(caught.value).startswith(f"{path}:{told}")


def test_parquet_of_others_may_leave_out_what_is_as_usual(tmp_path: Path) -> None:
    path = tmp_path / "any name"
    parquet.write_table(table_of(queue=pyarrow.array([None], pyarrow.string())), path)
    assert list(read_trace(path)) == [TraceJob("a", 0, 5, 1000, 1)]


MANY = [TraceJob(str(at), at, at * 7919 % 10_007, 1000) for at in range(9000)]


@pytest.mark.parametrize("middle", [b"", b"\xff" * 64], ids=["cut off", "other bytes"])
@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_a_lenient_reader_keeps_what_it_can_of_a_damaged_file(
    tmp_path: Path, name: str, middle: bytes
) -> None:
    """Cut off, or with other bytes inside."""
    path = tmp_path / name
    write_as_named(MANY, path)
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(whole[:half] + middle + whole[half + 64 :] * bool(middle))
    skips: list[FileProblem] = []
    kept = list(read_trace(path, skip=skips.append))
    assert 0 < len(kept) < len(MANY)
    assert "cannot be read on from here" in skips[-1].what
    with pytest.raises(FileProblem) as caught:
        list(read_trace(path))
    assert caught.value.line == skips[0].line


@pytest.mark.parametrize("middle", [b"", b"\xff" * 64], ids=["cut off", "other bytes"])
def test_damaged_parquet_is_refused(tmp_path: Path, middle: bytes) -> None:
    path = tmp_path / "a.parquet"
    write_as_named(MANY, path)
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(whole[:half] + middle + whole[half + 64 :] * bool(middle))
    with pytest.raises(FileProblem, match="cannot be read on from here"):
        list(read_trace(path))


def test_zstd_may_have_several_frames_and_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    jobs = [TraceJob(str(at), at, 1, 1000) for at in range(9)]
    write_as_named(jobs, path)
    lines = path.read_bytes().splitlines(keepends=True)
    frames = [zstandard.compress(line) for line in [*lines[:4], b"", *lines[4:]]]
    path.write_bytes(b"".join(frames))
    assert [replace(job, line=0) for job in read_trace(path)] == jobs
    named = path.rename(tmp_path / "a.zst")
    named.write_bytes(b"{}")
    with pytest.raises(FileProblem, match=r"named \.zst and does not begin as zstd does"):
        list(read_trace(named))


def test_convert_counts_what_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{at},{at % 3},{at},9\n" for at in range(60))
    (tmp_path / "t.csv.gz").write_bytes(
        gzip.compress(f"job_id,num_gpu,submit_time,duration\n{rows}".encode())
    )
    assert cli.run(["sim", "convert", "t.csv.gz", "t.swf"]) == 2
    assert "t.csv.gz:2: num_gpu is 0" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv.gz"]
    assert cli.run(["sim", "convert", "t.csv.gz", "t.swf", "--lenient"]) == 0
    told = capsys.readouterr().err
    assert "20 lines of the trace were left out:" in told
    assert "t.csv.gz:2: num_gpu is 0" in told
    assert "and 10 more" in told
    assert "40 jobs in t.swf" in told
    assert cli.run(["sim", "convert", "t.swf", "t.parquet"]) == 0
    assert cli.run(["sim", "convert", "t.parquet", "t", "--to", "jsonl"]) == 0
    jobs = [replace(job, line=0) for job in read_trace(tmp_path / "t.csv.gz", skip=print)]
    assert [replace(job, line=0) for job in read_trace(tmp_path / "t")] == jobs
    assert cli.run(["sim", "convert", "t.swf", "t.txt"]) == 2
    assert "no format is known by the name of t.txt" in capsys.readouterr().err
    assert {*TARGETS} == {"jsonl", "swf", "parquet"}
