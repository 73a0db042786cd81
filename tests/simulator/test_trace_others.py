"""Services: instances as jobs, logs of requests as replicas; and files that are no trace."""

import gzip
from pathlib import Path

import pytest

from aimass import cli
from aimass.simulator.pack_files import FileProblem
from aimass.simulator.requests import counted, replica_jobs, request_times_ms
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.traces import digest, read_trace
from tests.simulator.shared import trace

DLRM = (
    "instance_sn,role,app_name,cpu_request,cpu_limit,gpu_request,gpu_limit,rdma_request,rdma_limit,"
    "memory_request,memory_limit,disk_request,disk_limit,max_instance_per_node,"
    "creation_time,scheduled_time,deletion_time\n"
)
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
IMAGES = "gmt_create,predict_type,predict_status,exec_time_seconds\n"
MINUTE_MS = 60_000


def jobs_of(path: Path, text: str) -> list[TraceJob]:
    """Write the trace and read it."""
    path.write_text(text)
    return list(read_trace(path))


def test_an_instance_is_a_job_from_its_schedule_to_its_end_or_the_window_s(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    text = DLRM + "i1,HN,app_7,12,12,1,1,25,25,120.5,120,6,8,8,50.0,60.0,100.0\n"
    text += "i0,CN,app_7,8,8,0,0,25,25,1,1,6,8,8,,,\n"
    there, second = jobs_of(path, text)
    asked = {"cpu_milli": 8000, "memory_mib": 1024}
    assert there == TraceJob("i0", 0, 31 * 86_400_000, 0, 3, user="app_7", **asked)
    asked = {"cpu_milli": 12_000, "memory_mib": 123_392}
    assert second == TraceJob("i1", 50_000, 40_000, 1000, 2, user="app_7", **asked)
    with pytest.raises(FileProblem, match=":2: its times are not in the order"):
        jobs_of(path, text.replace("60.0,100.0", "60.0,55.0"))


def test_the_shared_instances_read_whole() -> None:
    jobs = list(read_trace(trace("alibaba_dlrm_2025/disaggregated_DLRM_even_apps.csv.gz")))
    assert len(jobs) == 13_624
    assert sum(job.gpu_milli for job in jobs) == 4_460_000
    assert [job.submit_ms for job in jobs] == sorted(job.submit_ms for job in jobs)


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        (
            "gpu_model,gpu_capacity_num,cpu_num,node_name\n"
            "A10,1,9,0\nH 8,8,9,1\nA10,1,9,2\nA,0,9,3\n",
            "a list of 4 nodes, not of jobs",
            "these nodes with GPUs are --cluster 2x1xA10+1x8xH-8",
        ),
        (
            "sn,cpu_milli,memory_mib,gpu,model\nn0,1,1,2,T4\n",
            "a list of 1 nodes, not of jobs",
            "--cluster 1x2xT4",
        ),
        (
            "name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,1,1,1\n",
            "a list of pods without times",
            "massctl sim pack --pods takes it",
        ),
        (AZURE, "a log of requests to a service, not of jobs", "massctl sim generate --requests"),
        (IMAGES, "a log of requests to a service, not of jobs", "massctl sim generate --requests"),
        (
            '{"timestamp": 0, "input_length": 1, "output_length": 2, "hash_ids": []}\n',
            "a log of requests to a service, not of jobs",
            "massctl sim generate --requests",
        ),
    ],
)
def test_a_file_that_is_no_trace_is_called_what_it_is(
    tmp_path: Path, text: str, what: str, fix: str
) -> None:
    path = tmp_path / "a"
    with pytest.raises(FileProblem) as caught:
        jobs_of(path, text)
    assert caught.value.what == what
    assert fix in caught.value.fix
    with pytest.raises(FileProblem, match=what):
        digest(path)


def test_requests_of_every_kind_have_their_times(tmp_path: Path) -> None:
    path = tmp_path / "log"
    first = 1_700_158_546_680  # 2023-11-16 18:15:46.680 UTC
    for text, times in {
        AZURE + "2023-11-16 18:15:46.6805900,374,44\n": [first],
        IMAGES + "2023-11-16 18:15:46,TXT_2_IMG,SUCCEED,32.0\n": [first - 680],
        '{"timestamp": 7, "input_length": 1, "output_length": 2}\n' * 2: [7, 7],
    }.items():
        path.write_bytes(gzip.compress(text.encode()))
        assert list(request_times_ms(path)) == times


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n", "1: no log of requests that is known"),
        ("", "1: no log of requests that is known"),
        (AZURE + "2023-11-16 18:15:46,374\n", "2: 2 fields below a header of 3"),
        (AZURE + "yesterday,374,1\n", "2: the time is 'yesterday'"),
        ('{"timestamp": 7, "input_length": 1, "output_length": 2}\n{}\n', "2: no request"),
        ('{"timestamp": -7, "input_length": 1, "output_length": 2}\n', "1: no request"),
    ],
)
def test_what_is_wrong_in_a_log_names_its_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "log"
    path.write_text(text)
    with pytest.raises(FileProblem) as caught:
        list(request_times_ms(path))
    assert str(caught.value).startswith(f"{path}:{told}")


def test_replicas_come_with_the_load_and_the_youngest_leave_first() -> None:
    """At one request a second for each: 2, 1, 3 and 1 replicas of minutes 0, 1, 3 and 4."""
    counts = counted(iter([0] * 61 + [61_000] * 60 + [180_000] * 121 + [240_000]), MINUTE_MS)
    assert counts == [61, 60, 0, 121, 1]

    def shape(name: str, submit_ms: int, work_ms: int) -> TraceJob:
        return TraceJob(name, submit_ms, work_ms, 1000)

    jobs = list(replica_jobs(counts, MINUTE_MS, 1000, shape))
    minutes = [(job.submit_ms // MINUTE_MS, job.work_ms // MINUTE_MS) for job in jobs]
    assert minutes == [(0, 1), (0, 2), (3, 1), (3, 1), (3, 2)]
    assert [job.name for job in jobs] == ["r0", "r1", "r2", "r3", "r4"]
    assert list(replica_jobs([0, 0], MINUTE_MS, 1000, shape)) == []


def test_a_log_becomes_a_trace_that_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"2023-11-16 18:{at // 60:02}:{at % 60:02},9,9\n" for at in range(600))
    (tmp_path / "log.csv").write_text(AZURE + rows)
    words = ["sim", "generate", "--requests", "log.csv", "--out", "r.jsonl.gz"]
    assert cli.run([*words, "--per-replica", "0.4", "--sizes", "4:1", "--gpu-types", "A:1"]) == 0
    told = "600 requests in 10 intervals call for 3 replicas in all"
    assert told in capsys.readouterr().err
    jobs = list(read_trace(tmp_path / "r.jsonl.gz"))
    assert {(job.gpu_milli, job.gpu_types, job.user) for job in jobs} == {(4000, ("A",), "service")}
    assert [job.work_ms for job in jobs] == [600_000] * 3
    for wrong, told in {
        (): "--requests without --per-replica",
        ("--per-replica", "0"): "requests a second, above 0",
        ("--per-replica", "1", "--sizes", "1:1,2:1"): "replicas have one size",
        ("--per-replica", "1", "--jobs", "5"): "--requests says when jobs come",
    }.items():
        assert cli.run([*words, *wrong]) == 2
        assert told in capsys.readouterr().err
