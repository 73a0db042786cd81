"""What client tests share: a fake scheduler, clients of it, and massctl as a process."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aimass import cli
from aimass.client import Client
from aimass.v1 import job_pb2
from tests.client.fake_scheduler import FakeScheduler
from tests.house.tree import ROOT

Massctl = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def fake() -> Iterator[FakeScheduler]:
    """A scheduler that listens."""
    scheduler = FakeScheduler()
    scheduler.start()
    yield scheduler
    scheduler.stop()


@pytest.fixture
def client(fake: FakeScheduler) -> Iterator[Client]:
    """A client of it."""
    with Client(fake.address, user="ann", timeout_s=10, reconnect_s=20) as made:
        yield made


def a_spec(name: str = "train", shards: int = 1, gpus: int = 0) -> job_pb2.JobSpec:
    """A small job."""
    role = job_pb2.Role(name="worker", shards=shards, command=["true"])
    role.resources.gpu_milli = gpus * 1000
    return job_pb2.JobSpec(name=name, kind=job_pb2.JOB_KIND_TRAIN, roles=[role], workdir="/")


def massctl_env(**env: str) -> dict[str, str]:
    """The environment of a massctl process: this checkout, no terminal settings, no leftovers."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AIMASS_ADDR")}
    for key in ("NO_COLOR", "COLUMNS"):
        kept.pop(key, None)
    return {**kept, "PYTHONPATH": str(ROOT), **env}


@pytest.fixture
def massctl(fake: FakeScheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Massctl:
    """Run massctl in this process against the fake scheduler, in an empty folder, without a tty."""

    def run(*args: str, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in "12")
        with monkeypatch.context() as patch:
            for key, value in {"AIMASS_ADDRESS": fake.address, **env}.items():
                patch.setenv(key, value)
            patch.chdir(tmp_path)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            code = cli.run(args)
        results = [stream.buffer.getvalue() for stream in (out, err)]  # type: ignore[attr-defined]
        return subprocess.CompletedProcess(args, code, *results)

    return run


@pytest.fixture
def massctl_process(fake: FakeScheduler, tmp_path: Path) -> Massctl:
    """The same as a process of its own, for what only a real one can show."""

    def run(*args: str, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "aimass.cli", *args],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env=massctl_env(AIMASS_ADDRESS=fake.address, **env),
            timeout=60,
            check=False,
        )

    return run
