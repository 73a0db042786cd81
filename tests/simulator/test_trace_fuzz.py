"""Whatever is in a file: jobs that make sense, or a FileProblem with its line; nothing else."""

import random
import zlib
from pathlib import Path

import pytest

from aimass.simulator.pack_files import FileProblem
from aimass.simulator.requests import request_times_ms
from aimass.simulator.trace_targets import write_as_named
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.traces import read_trace

SAMPLES = {
    "jsonl": b'{"id": 1, "submit_s": 0.5, "run_s": 10, "gpus": 2, "speeds": {"A": 1.5}, '
    b'"gpus_min": 1,'
    b' "gpus_max": 4, "told_s": 3, "cpus": 4, "gpu_types": ["A"]}\n' * 3,
    "swf": b"; MaxProcs: 64\n" + b"1 0 5 100.5 8 -1 -1 16 3600 -1 1 3 1 -1 2 -1 -1 -1\n" * 3,
    "gavel": b"B\trun\tat\t-n\t0\t9\t1\t1\t-1.000000\t5.5\n" * 3,
    "tiresias": b"job_id,num_gpu,submit_time,duration\n" + b"7,8,30,147\n" * 3,
    "elasticflow": b"job_id,submit_time,iteration,model_name,ddl,batch_size,num_gpu,duration\n"
    + b"0,10,30,m,70,64,2,20\n" * 3,
    "philly": b"timestamp,duration,num_gpus\n" + b"2017-09-04 10:30:41,100.5,8\n" * 3,
    "openb": b"name,num_gpu,gpu_milli,creation_time,deletion_time,cpu_milli,gpu_spec\n"
    + b"p,1,460,10,100,6000,T4|P100\n" * 3,
    "dlrm": b"instance_sn,app_name,cpu_request,gpu_request,memory_request,creation_time,"
    b"scheduled_time,deletion_time\n" + b"i,a,1,1,1.5,1,2,3\n" * 3,
    "requests": b"TIMESTAMP,ContextTokens,GeneratedTokens\n" + b"2023-11-16 18:15:46.68,3,4\n" * 3,
}
SPICE = (
    *(b"", b"-", b"\xff", b"\n", b",", b"9" * 20, b"1e999"),
    *(b"NaN", b'"', b"\t", b"null", b"{", b" "),
)


def spoiled(data: bytes, chance: random.Random) -> bytes:
    """The file with something else at one to three places."""
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data))
        data = data[:at] + chance.choice(SPICE) + data[at + chance.randint(0, 4) :]
    return data


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where to put a trace, beside tables for those that need them."""
    (tmp_path / "simulation_throughputs.json").write_text('{"v100": {"(\'B\', 1)": {"null": 1.5}}}')
    (tmp_path / "throughputs_T4").mkdir()
    (tmp_path / "throughputs_T4/m.csv").write_text("global_batch_size,1,2\n64,1.0,1.5\n")
    return tmp_path / "trace"


@pytest.mark.parametrize("name", SAMPLES)
def test_a_spoiled_file_is_jobs_or_problems(path: Path, name: str) -> None:
    chance = random.Random(zlib.crc32(name.encode()))
    path.write_bytes(SAMPLES[name])
    assert len(found(path, name)) == 3
    lines, read = set(), 0
    for _ in range(150):
        path.write_bytes(spoiled(SAMPLES[name], chance))
        try:
            jobs = found(path, name)
        except FileProblem as problem:
            lines.add(problem.line)
            continue
        read += 1
        assert all(job.work_ms >= 0 <= job.gpu_milli for job in jobs if isinstance(job, TraceJob))
    assert read
    assert lines
    assert lines <= {*range(1, 20)}


def found(path: Path, name: str) -> list[TraceJob] | list[int]:
    """The jobs of the file, leniently; of a log its times."""
    if name == "requests":
        return list(request_times_ms(path))
    skips: list[FileProblem] = []
    jobs = list(read_trace(path, skip=skips.append))
    assert jobs
    return jobs


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
def test_a_spoiled_packed_file_is_jobs_or_problems(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    chance = random.Random(zlib.crc32(name.encode()))
    write_as_named([TraceJob(str(at), at, at * 7919 % 997, 1000) for at in range(200)], path)
    whole, lines = path.read_bytes(), []
    for _ in range(60):
        path.write_bytes(spoiled(whole, chance))
        try:
            list(read_trace(path))
        except FileProblem as problem:
            lines.append(problem.line)
    assert len(lines) > 40
    assert {*lines} <= {*range(1, 202)}
