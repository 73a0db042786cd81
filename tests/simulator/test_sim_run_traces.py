"""Traces are read job by job, by the format of their first line; what is wrong names its line."""

import gzip
import os
import threading
import tracemalloc
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import IO, Any

import pytest
import zstandard

from aimass.cli_sim_options import FORMATS
from aimass.core.speeds import SpeedOn
from aimass.simulator.pack_files import FileProblem
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.traces import NAMES, digest, read_trace

TIRESIAS = "job_id,num_gpu,submit_time,iterations,model_name,duration,interval\n"
PHILLY = "timestamp,duration,num_gpus,gpu_time,cluster\n"
OPENB = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,"
    "creation_time,deletion_time,scheduled_time\n"
)


def jobs_of(path: Path, text: str | bytes, **options: object) -> list[TraceJob]:
    """Write the trace and read it."""
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(data)
    return list(read_trace(path, **options))  # type: ignore[arg-type]


def problem_of(path: Path, text: str | bytes) -> str:
    """What a trace is refused for, without its path."""
    with pytest.raises(FileProblem) as caught:
        jobs_of(path, text)
    return str(caught.value).removeprefix(f"{path}:")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where to put a trace."""
    return tmp_path / "trace"


def test_every_format_is_known_by_its_first_line(path: Path) -> None:
    (job,) = jobs_of(path, TIRESIAS + "7,8,30,133,vgg11,147,23\n")
    assert job == TraceJob("7", 30_000, 147_000, 8000, line=2)
    (job,) = jobs_of(path, PHILLY + "2017-09-04 10:30:41,100.5,8,804,7f04ca\n")
    assert job == TraceJob("line-2", 1_504_521_041_000, 100_500, 8000, 2, queue="7f04ca")
    (job,) = jobs_of(path, OPENB + "p,6000,12288,1,460,T4|P100,LS,Running,10,100,40\n")
    sizes = {"cpu_milli": 6000, "memory_mib": 12_288}
    assert job == TraceJob("p", 10_000, 60_000, 460, line=2, gpu_types=("P100", "T4"), **sizes)
    (job,) = jobs_of(path, OPENB + "p,6000,12288,0,0,,LS,Pending,10,100,\n")
    assert job == TraceJob("p", 10_000, 90_000, 0, line=2, **sizes)
    text = (
        '{"id": 1, "submit_s": 0.5, "run_s": 10, "gpus": 0.25, "user": "ann", "queue": "q", '
        '"priority": -1, "gpu_types": ["B", "A"], "slo_s": 60, "speeds": {"A": 1.5}}\n'
    )
    (job,) = jobs_of(path, text)
    rest = {"user": "ann", "queue": "q", "priority": -1, "slo_ms": 60_000}
    speeds = (SpeedOn("A", 0, 0, 1_500_000),)
    assert job == TraceJob("1", 500, 10_000, 250, 1, gpu_types=("A", "B"), speeds=speeds, **rest)


def test_every_format_can_be_named() -> None:
    assert ("auto", *NAMES) == FORMATS


def test_a_trace_may_be_gzipped_and_begin_with_a_mark(path: Path) -> None:
    text = b"\xef\xbb\xbf" + (TIRESIAS + "7,8,30,133,vgg11,147,23\n").encode()
    assert jobs_of(path, gzip.compress(text)) == jobs_of(path, text)


def line_with(field: str) -> str:
    """A job of our own format with one more field."""
    return '{"id": "a", "submit_s": 0, "run_s": 1, "gpus": 1, ' + field + "}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1: the file is empty"),
        (TIRESIAS, "1: no jobs"),
        ("a,b\n1,2\n", "1: no format is known that begins with 'a,b'"),
        (TIRESIAS + "7,8,30,133,vgg11,-147,23\n", "2: duration is '-147'"),
        (TIRESIAS + "7,0,30,133,vgg11,147,23\n", "2: num_gpu is 0"),
        (TIRESIAS + "7,8,30,133,vgg11,147\n", "2: 6 fields below a header of 7"),
        (TIRESIAS.replace("\n", ",colour\n") + "7,8,30,1,v,1,2,red\n", "1: format tiresias has no"),
        (
            TIRESIAS + "7,8,30,133,vgg11,147,23\n8,1,29,1,a,1,1\n",
            "3: submitted 1000 ms before the job above it",
        ),
        (PHILLY + "yesterday,1,1,1,a\n", "2: timestamp is 'yesterday'"),
        (OPENB + "p,1,1,1,460,,LS,Running,10,39,40\n", "2: deletion_time is before the pod began"),
        (TIRESIAS.encode() + b"7,8,30,1,\xff,1,2\n", "2: byte 10 of the line is not UTF-8"),
        (gzip.compress(TIRESIAS.encode() * 9, mtime=0)[:40], "1: the gzip data cannot be read on"),
        ('{"id": "a"\n', "1: no JSON"),
        ('{"id": "a", "submit_s": 0, "run_s": 1}\n', "1: no gpus"),
        ('{"id": "a", "submit_s": 0, "run_s": -1, "gpus": 1}\n', "1: run_s is '-1'"),
        ('{"id": "a", "submit_s": 0, "run_s": NaN, "gpus": 1}\n', "1: no JSON (NaN is no number)"),
        ('{"id": "a", "submit_s": 0, "run_s": 1, "gpus": 1.5}\n', "1: gpus is '1.5'"),
        ('{"id": "a", "submit_s": 0, "run_s": 1, "gpus": 1, "x": 1}\n', "1: no field is called"),
        ('{"id": "a", "submit_s": 0, "run_s": 1, "gpus": 1}\n[]\n', "2: no JSON object"),
        ("[" * 100_000 + "\n", "1: "),
        ("[" * 1000 + "\n", "1: no format is known"),
        (line_with('"queue": "a", "queue": "b"'), "1: no JSON ('queue' comes twice)"),
        (line_with('"speeds": {"A": 0}'), "1: speeds is "),
        (line_with('"speeds": [{"gpus": 2, "speed": 1}, {"gpus": 2, "speed": 2}]'), "1: speeds is"),
        (line_with('"speeds": [{"gpu": "A", "speed": 1}]'), "1: speeds is "),
        (line_with('"gpus_min": 2'), "1: one of gpus_min and gpus_max"),
        (line_with('"gpus_min": 3, "gpus_max": 2'), "1: gpus_min 3 is above gpus_max"),
        (line_with('"cpus": -1'), "1: cpus is '-1'"),
        (TIRESIAS.encode("utf-16"), "1: byte 1 of the line is not UTF-8"),
        (TIRESIAS.encode() + b"7,8,30,133,vgg\xe9,1,2\n", "2: byte 15 of the line is not UTF-8"),
    ],
    ids=count(),
)
def test_what_is_wrong_names_its_line(path: Path, text: str | bytes, told: str) -> None:
    assert problem_of(path, text).startswith(told)


def test_a_lenient_reader_leaves_out_wrong_lines_and_says_which(path: Path) -> None:
    skipped: list[FileProblem] = []
    good = b"7,8,30,133,vgg11,147,23\n"
    bad = b"8,1,31,1,\xff,1,1\n" + b"9,1,29,1,a,1,1\n" + b"10,1,32,1,a,x,1\n" + b"11\n"
    jobs = jobs_of(path, TIRESIAS.encode() + good + bad + good, skip=skipped.append)
    assert [job.line for job in jobs] == [2, 7]
    assert [problem.line for problem in skipped] == [3, 4, 5, 6]


def test_a_lenient_reader_says_where_a_file_is_cut_off(path: Path) -> None:
    skipped: list[FileProblem] = []
    rows = "".join(f"{i},8,{i},133,vgg{i * i},{i * 7919 % 10007},23\n" for i in range(5000))
    whole = gzip.compress((TIRESIAS + rows).encode())
    jobs = jobs_of(path, whole[: len(whole) // 2], skip=skipped.append)
    assert 0 < len(jobs) < 5000
    assert [problem.line for problem in skipped] == [len(jobs) + 2]


def test_speeds_may_name_settings(path: Path) -> None:
    settings = '{"gpus": 2, "speed": 1.5}, {"gpu_type": "A", "nodes": 1, "speed": 0.000001}'
    (job,) = jobs_of(path, line_with(f'"speeds": [{settings}]'))
    assert job.speeds == (SpeedOn("", 2, 0, 1_500_000), SpeedOn("A", 0, 1, 1))


@pytest.mark.parametrize("packer", [None, "gzip", "zstd"])
def test_a_trace_of_any_size_is_read_in_little_memory(path: Path, packer: str | None) -> None:
    """18 MB through a pipe, which nobody can read twice."""
    count, user = 600, "u" * 30_000

    def write() -> None:
        with open(path, "wb") as raw, packed(raw) as file:
            for at in range(count):
                file.write(line_with(f'"user": "{user}"').replace("0", str(at), 1).encode())

    def packed(raw: IO[bytes]) -> Any:
        if packer == "gzip":
            return gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1)
        return zstandard.ZstdCompressor(1).stream_writer(raw) if packer else nullcontext(raw)

    os.mkfifo(path)
    with pytest.raises(FileProblem, match="it is no file, and has to be read more than once"):
        digest(path)
    writer = threading.Thread(target=write)
    writer.start()
    tracemalloc.start()
    try:
        found = sum(1 for _ in read_trace(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        writer.join()
    assert found == count
    assert peak < 4 * 2**20
