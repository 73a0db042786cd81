"""massctl on ordinary bad days: odd words, closed pipes, full disks, interrupts. Never a bug."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from aimass.client import Client
from aimass.v1 import job_pb2
from tests.client.conftest import Massctl, a_spec, massctl_env
from tests.client.fake_scheduler import FakeScheduler
from tests.client.test_cli import ok
from tests.client.test_cli_live import started
from tests.waiting import wait_until


def in_shell(fake: FakeScheduler, command: str) -> "subprocess.CompletedProcess[str]":
    """Run a shell line in which `massctl` is ours."""
    return subprocess.run(
        ["bash", "-c", f'massctl() {{ "{sys.executable}" -m aimass.cli "$@"; }}; {command}'],
        env=massctl_env(AIMASS_ADDRESS=fake.address),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_group_alone_prints_its_help(massctl: Massctl) -> None:
    assert ok(massctl()) == ok(massctl("--help"))
    assert ok(massctl("journal")) == ok(massctl("journal", "--help"))


def test_the_version_is_an_option_too(massctl: Massctl) -> None:
    assert ok(massctl("--version")) == ok(massctl("version"))


def test_wait_prints_every_job_after_a_failure(
    massctl: Massctl, client: Client, fake: FakeScheduler
) -> None:
    for code in (0, 3, 0, 4):
        fake.end(client.submit(a_spec()).job_id, code)
    done = massctl("wait", "j1", "j2", "j3", "j4")
    assert done.returncode == 3
    assert done.stdout == b"j1 SUCCEEDED\nj2 FAILED\nj3 SUCCEEDED\nj4 FAILED\n"


def test_a_flag_of_0_wins_over_file_and_default(massctl: Massctl, fake: FakeScheduler) -> None:
    head = b"apiVersion: aimass/v1\nkind: TrainJob\ncommand: [x]\n"
    file = head + b"resources: {gpus: 1, cpus: 2, memory: 1GiB}\n"
    for flags in (["--cpus", "0"], ["--memory", "0GiB"], ["--gpus", "0"]):
        ok(massctl("submit", *flags, "-", stdin=file))
    needs = [job.spec.roles[0].resources for job in fake.jobs.values()]
    assert [(need.gpu_milli, need.cpu_milli, need.memory_mib) for need in needs] == [
        *((1000, 0, 1024), (1000, 2000, 0), (0, 2000, 1024))
    ]


@pytest.mark.parametrize("args", [("run",), ("submit", "-f")], ids=" ".join)
def test_whoever_follows_is_told_why_a_job_failed(
    fake: FakeScheduler, args: tuple[str, ...]
) -> None:
    with started(fake, *args, "--", "x") as process:
        wait_until(lambda: fake.count("Logs"))
        fake.jobs["j1"].reason = "rank 0: exit code 42"
        fake.end("j1", 42)
        _, err = process.communicate(timeout=20)
    assert b"j1 FAILED: rank 0: exit code 42\n" in err


@pytest.mark.parametrize(
    ("method", "flag"), [("Watch", "--wait"), ("Logs", "--follow")], ids=["wait", "follow"]
)
def test_an_interrupted_submit_says_that_its_job_goes_on(
    fake: FakeScheduler, method: str, flag: str
) -> None:
    with started(fake, "submit", flag, "--", "x") as process:
        wait_until(lambda: fake.count(method))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"j1 goes on; massctl logs -f j1, or massctl cancel j1" in err
    assert fake.jobs["j1"].state == job_pb2.JOB_STATE_RUNNING


def test_a_run_whose_reader_leaves_says_that_its_job_goes_on(fake: FakeScheduler) -> None:
    with started(fake, "run", "--", "x") as process:
        wait_until(lambda: fake.count("Logs"))
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        fake.write("j1", b"hello\n")
        _, err = process.communicate(timeout=20)
    assert process.returncode == 141
    assert err.splitlines()[1:] == [b"j1 goes on; massctl logs -f j1, or massctl cancel j1"]


@pytest.mark.parametrize("form", ["table", "json", "yaml", "name"])
def test_a_closed_pipe_is_quiet_and_141(client: Client, fake: FakeScheduler, form: str) -> None:
    client.submit(a_spec())
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen(
        [sys.executable, "-m", "aimass.cli", "ls", "-o", form],
        stdout=writer,
        stderr=subprocess.PIPE,
        env=massctl_env(AIMASS_ADDRESS=fake.address),
    )
    os.close(writer)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize("command", ["ls", "--help", "version"])
def test_a_full_disk_is_an_error_with_a_reason(fake: FakeScheduler, command: str) -> None:
    done = in_shell(fake, f"massctl {command} > /dev/full")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == (
        "error: cannot write the output: No space left on device"
    )
    assert "bug" not in done.stderr


def test_a_closed_stdout_is_no_bug(fake: FakeScheduler) -> None:
    done = in_shell(fake, "massctl ls >&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_current_directory_that_is_gone_is_named(fake: FakeScheduler, tmp_path: Path) -> None:
    done = in_shell(fake, f"mkdir {tmp_path}/d; cd {tmp_path}/d; rmdir ../d; massctl submit -- x")
    assert done.returncode == 1
    assert "error: the current directory is gone\n" in done.stderr
    assert "bug" not in done.stderr


def test_a_data_directory_that_cannot_be_is_no_bug(massctl: Massctl) -> None:
    done = massctl("up", "--data", "/proc/nope")
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: cannot use /proc/nope")
    assert b"bug" not in done.stderr


@pytest.mark.parametrize(
    ("args", "says", "never"),
    [
        (["bogus"], b"no command 'bogus'\n", b"logs"),
        (["ls", "--bogus"], b"No such option", b"Did you mean"),
        (["ls", "--wathc"], b"--watch", b"bogus"),
        (["completion"], b"Choose from: bash, zsh, fish\n", b"?"),
        (["logs", "j1", "--tail", "0"], b"x>=1", b"Traceback"),
        (["submit", "--idempotency-key", "", "--", "x"], b"--idempotency-key", b"Traceback"),
    ],
)
def test_a_usage_error_says_what_is_true_and_no_more(
    massctl: Massctl, args: list[str], says: bytes, never: bytes
) -> None:
    done = massctl(*args)
    assert done.returncode == 2
    assert says in done.stderr
    assert never not in done.stderr


def test_the_request_timeout_may_stand_after_the_command(
    massctl: Massctl, fake: FakeScheduler
) -> None:
    fake.stop()
    for args in (
        ("--request-timeout", "100ms", "ls"),
        ("ls", "--request-timeout", "100ms"),
    ):
        assert massctl(*args, AIMASS_REQUEST_TIMEOUT="1h").returncode == 6


def test_a_scheduler_that_says_nothing_is_waited_for(massctl: Massctl) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel connects, nobody answers
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        done = massctl("ls", "--address", address, "--request-timeout", "1500ms")
    assert done.returncode == 124
    assert done.stderr.startswith(b"error: the scheduler at %s did not answer" % address.encode())


@pytest.mark.parametrize(
    "address", ["127.0.0.1:99999", "127.0.0.1:0", "127.0.0.1", ":6277", "host:http", "a b:1"]
)
def test_what_is_no_address_is_a_usage_error(massctl: Massctl, address: str) -> None:
    for done in (massctl("ls", "--address", address), massctl("ls", AIMASS_ADDRESS=address)):
        assert done.returncode == 2
        assert f"error: {address!r} is no address".encode() in done.stderr
