"""massd as a process: what an operator and a crash see."""

import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from aimass.scheduler.crash import CRASH_POINTS
from aimass.scheduler.journal_tools import dump, verify
from aimass.v1 import scheduler_pb2, scheduler_pb2_grpc
from tests.daemons import environment, run_file, running, start_massd
from tests.scheduler.harness import spec

pytestmark = pytest.mark.e2e


def refusal(*arguments: str) -> tuple[int, str]:
    """Exit code and stderr of a massd that is expected not to start."""
    done = subprocess.run(
        [sys.executable, "-m", "aimass.scheduler.main", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def submit(address: str, name: str, key: str) -> str:
    with grpc.insecure_channel(address) as channel:
        request = scheduler_pb2.SubmitRequest(spec=spec(name), idempotency_key=key)
        reply = scheduler_pb2_grpc.SchedulerStub(channel).Submit(
            request, timeout=30, wait_for_ready=True
        )
    return str(reply.job_id)


def names(address: str) -> list[str]:
    with grpc.insecure_channel(address) as channel:
        reply = scheduler_pb2_grpc.SchedulerStub(channel).List(
            scheduler_pb2.ListRequest(), timeout=30, wait_for_ready=True
        )
    return [job.spec.name for job in reply.jobs]


def test_it_serves_health_metrics_and_ends_cleanly(tmp_path: Path) -> None:
    data = tmp_path / "massd"
    with running(start_massd(data)) as process:
        found = run_file(data, process)
        submit(found["address"], "a", "")
        http = f"http://{found['http_address']}"
        assert urllib.request.urlopen(f"{http}/healthz", timeout=10).read() == b"ok"
        metrics = urllib.request.urlopen(f"{http}/metrics", timeout=10).read().decode()
        assert 'aimass_events_total{type="JobSubmitted"} 1.0' in metrics
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{http}/elsewhere", timeout=10)
        with grpc.insecure_channel(found["address"]) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            reply = check(health_pb2.HealthCheckRequest(), timeout=10)
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
        process.terminate()
        assert process.wait(20) == 0
        assert not (data / "massd.json").exists()
    report = verify(data)
    assert report.ok
    assert report.hashes_checked == 1  # the snapshot that a clean stop leaves


def test_a_second_massd_on_the_same_journal_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "massd"
    with running(start_massd(data)) as process:
        run_file(data, process)
        code, said = refusal("--data", str(data), "--listen", "127.0.0.1:0")
        assert code == 4
        assert f"process {process.pid}" in said
        assert "fix:" in said


@pytest.mark.parametrize("option", ["--listen", "--http"])
def test_a_port_in_use_is_said(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        other = {"--listen": "--http", "--http": "--listen"}[option]
        code, said = refusal(
            "--data", str(tmp_path / "massd"), option, address, other, "127.0.0.1:0"
        )
    assert code == 4
    assert address in said
    assert option in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--listen", "0.0.0.0:0"), "no authentication"),
        (("--listen", "nowhere"), "HOST:PORT"),
        (("--listen", "127.0.0.1:99999"), "HOST:PORT"),
        (("--lease", "1"), "--lease"),
        (("--lease", "nan"), "is not a time"),
        (("--heartbeat", "nan"), "--heartbeat"),
        (("--order", "random"), "priority"),
    ],
)
def test_impossible_options_are_refused(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    code, said = refusal("--data", str(tmp_path), *arguments)
    assert code == 2
    assert says in said


def test_a_damaged_journal_is_refused_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"garbage" * 1000)
    code, said = refusal("--data", str(tmp_path), "--listen", "127.0.0.1:0")
    assert code == 1
    assert "damaged" in said
    assert "massctl journal verify" in said


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_what_was_acknowledged_survives_a_crash_and_a_retry_makes_no_second_job(
    tmp_path: Path, point: str
) -> None:
    data = tmp_path / "massd"
    # The first append is the start's own; the third is the second submission's.
    crashing = environment(AIMASS_CRASH_AT=f"{point}:3")
    with running(start_massd(data, env=crashing)) as process:
        address = run_file(data, process)["address"]
        assert submit(address, "first", "k1") == "j1"
        with pytest.raises(grpc.RpcError):
            submit(address, "second", "k2")
        assert process.wait(20) == 137
    with running(start_massd(data)) as process:
        address = run_file(data, process)["address"]
        assert submit(address, "first", "k1") == "j1"
        assert submit(address, "second", "k2") == "j2"
        assert names(address) == ["first", "second"]
    assert verify(data).ok


def test_a_sigkill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    data = tmp_path / "massd"
    with running(start_massd(data)) as process:
        address = run_file(data, process)["address"]
        for n in range(20):
            submit(address, f"n{n}", f"k{n}")
        process.kill()
        process.wait()
    with running(start_massd(data)) as process:
        assert names(run_file(data, process)["address"]) == [f"n{n}" for n in range(20)]
    lines = list(dump(data, after=1, limit=2))
    assert lines[0].startswith('{"revision":2,"event":{')
    assert len(lines) == 2


def test_mass_without_numpy_is_refused_with_the_fix(tmp_path: Path) -> None:
    """The extra is optional: who lacks it is told before the journal is touched."""
    (tmp_path / "numpy.py").write_text("raise ImportError('no numpy here')")
    path = f"{tmp_path}:{environment()['PYTHONPATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "aimass.scheduler.main", "--place", "mass"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(PYTHONPATH=path, MASSD_DATA=str(tmp_path / "data")),
        check=False,
    )
    assert done.returncode == 1
    assert "--place mass needs NumPy" in done.stderr
    assert "pip install 'aimass[fast]'" in done.stderr
