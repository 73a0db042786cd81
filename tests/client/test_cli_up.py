"""massctl up: real daemons started, used and stopped, and none of them left."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aimass.client import Client
from aimass.v1 import job_pb2
from tests.client.conftest import a_spec, massctl_env
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e


@contextmanager
def up(
    data: Path, *args: str, is_safe: bool = False
) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    """Run massctl up on free ports; gives the process and the scheduler's address."""
    command = [
        sys.executable,
        *(["-P"] if is_safe else []),
        "-m",
        "aimass.cli",
        "up",
        "--data",
        str(data),
        *args,
    ]
    command += ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, "--simulate", "2xH100-SXM5-80GB"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=massctl_env(),
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().removeprefix("ready on ").strip()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def daemons_in(data: Path) -> list[str]:
    """Find the processes that work in this data directory."""
    found = []
    for proc in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = proc.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(data) in command:
            found.append(command)
    return found


def test_up_runs_jobs_and_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    spec = a_spec(gpus=1)
    spec.workdir = str(tmp_path)
    with up(tmp_path / "d", "--nodes", "2") as (process, address):
        with Client(address) as client:
            assert [len(node.inventory.devices) for node in client.nodes().nodes] == [2, 2]
            spec.roles[0].command[:] = ["sh", "-c", "echo hello"]
            job = client.wait(client.submit(spec).job_id, timeout_s=30)
            assert job.state == job_pb2.JOB_STATE_SUCCEEDED
            assert b"".join(chunk.data for chunk in client.logs(job.id)) == b"hello\n"
            spec.roles[0].command[:] = ["sleep", "1000"]
            job_id = client.submit(spec).job_id
            wait_until(lambda: client.get(job_id).state == job_pb2.JOB_STATE_RUNNING)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "cancelling 1 jobs" in err
    assert "Traceback" not in err
    wait_until(lambda: not daemons_in(tmp_path / "d"))


def test_up_on_a_directory_in_use_says_so_with_massds_own_code(tmp_path: Path) -> None:
    log = tmp_path / "d" / "log" / "massd.log"
    with up(tmp_path / "d"):
        before = log.read_bytes()
        with up(tmp_path / "d") as (second, _):
            _, err = second.communicate(timeout=60)
        assert log.read_bytes().startswith(before), "the log of the one at work is kept"
        assert second.returncode == 4
        assert err.startswith("error: massd ended with exit code 4\nwhy:\n")
        assert "massd.log" in err


def test_up_ends_when_a_daemon_does_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "random.py").write_text("raise ZeroDivisionError('no module of a daemon')")
    monkeypatch.chdir(tmp_path)
    with up(tmp_path / "d", is_safe=True) as (process, address):
        assert address
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error: n1 ended with signal 9" in err
    assert f"to keep them, start massctl up --data {tmp_path / 'd'} again" in err
    wait_until(lambda: not daemons_in(tmp_path / "d"))


def test_up_gives_its_nodes_labels_and_the_cluster_its_levels(tmp_path: Path) -> None:
    """So topology can be tried on one machine; a word with a node's name is for that one."""
    words = ("--nodes", "2", "--levels", "rack", "--label", "zone=a")
    racks = ("--label", "n1:rack=r1", "--label", "n2:rack=r2", "--taint", "n2:slow")
    with up(tmp_path / "d", *words, *racks) as (_, address), Client(address) as client:
        labels = {node.id: dict(node.inventory.labels) for node in client.nodes().nodes}
        assert labels == {"n1": {"zone": "a", "rack": "r1"}, "n2": {"zone": "a", "rack": "r2"}}
        taints = {node.id: list(node.inventory.taints) for node in client.nodes().nodes}
        assert taints == {"n1": [], "n2": ["slow"]}  # whichever joined first


def test_up_names_its_own_flag_when_an_address_is_in_use(tmp_path: Path) -> None:
    with up(tmp_path / "d") as (_, address):
        command = [sys.executable, "-m", "aimass.cli", "up", "--data", str(tmp_path / "e")]
        command += ["--listen", "127.0.0.1:0", "--http", address, "--simulate", "2xH100"]
        second = subprocess.run(command, capture_output=True, text=True, env=massctl_env())
    assert second.returncode == 4
    assert "fix: massctl up --http HOST:PORT (port 0: any)" in second.stderr
