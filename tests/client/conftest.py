"""What client tests share: a fake scheduler, clients of it, and massctl as a process."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aimass.v1 import job_pb2

from aimass.client import Client
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
def massctl(fake: FakeScheduler, tmp_path: Path) -> Massctl:
    """Run massctl against the fake scheduler, in an empty folder, with pipes for streams."""

    def run(
        *args: str, stdin: bytes = b"", cwd: Path = tmp_path, **env: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "aimass.cli", *args],
            input=stdin,
            capture_output=True,
            cwd=cwd,
            env=massctl_env(AIMASS_ADDRESS=fake.address, **env),
            timeout=60,
            check=False,
        )

    return run
