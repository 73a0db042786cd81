"""massctl sim sweep --dask: cells on a real Dask scheduler and worker, on loopback."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.daemons import REPOSITORY, running
from tests.waiting import wait_until

pytest.importorskip("distributed", reason="needs the extra dask")
pytestmark = pytest.mark.slow

GRID = """
trace: jobs.jsonl
cluster: [2x4xA]
policy: fifo, srtf
seed: 0-2
resample: 10
"""
# The dask command line needs no more than this, and its own is another package's business.
SCHEDULER = """
import asyncio, sys
from distributed import Scheduler

async def main():
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        print(scheduler.address, file=open(sys.argv[1] + ".new", "w"))
        __import__("os").rename(sys.argv[1] + ".new", sys.argv[1])
        await scheduler.finished()

asyncio.run(main())
"""
WORKER = """
import asyncio, sys
sys.path.insert(0, sys.argv[2]) if len(sys.argv) > 2 else None
from distributed import Worker

async def main():
    async with Worker(sys.argv[1], nthreads=1, dashboard=False, host="127.0.0.1") as worker:
        await worker.finished()

asyncio.run(main())
"""


def python(folder: Path, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start a program of ours in a folder of its own; its output into a file there."""
    folder.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "DASK_TEMPORARY_DIRECTORY": str(folder)}
    with open(folder / "output.log", "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=env,
            start_new_session=True,
        )


class Dask:
    """A scheduler, and workers when they are asked for."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        told = folder / "address"
        stack.enter_context(running(python(folder / "scheduler", SCHEDULER, str(told))))
        wait_until(told.exists, 30, what="the Dask scheduler to be ready")
        self.address = told.read_text().strip()

    def start_worker(self, *path: str) -> "subprocess.Popen[bytes]":
        """Start a worker; path: a folder whose modules it finds first."""
        worker = python(self._folder / "worker", WORKER, self.address, *path)
        self._stack.enter_context(running(worker))
        return worker


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Dask]:
    """Give a scheduler on a free port of loopback; it and its workers are ended."""
    with ExitStack() as stack:
        yield Dask(tmp_path / "dask", stack)


@pytest.fixture(autouse=True)
def here(tmp_path: Path) -> Path:
    """Write a trace and a grid."""
    lines = [
        json.dumps({"id": i, "submit_s": 40 * i, "run_s": 60 + 37 * i % 400, "gpus": 1 + i % 4})
        for i in range(40)
    ]
    (tmp_path / "jobs.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "grid.yaml").write_text(GRID)
    return tmp_path


def sweep(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run massctl there."""
    return subprocess.run(
        [sys.executable, "-m", "aimass.cli", "sim", "sweep", "grid.yaml", "-o", "json", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
    )


def test_a_dask_cluster_gives_the_same_bytes_as_processes_here(dask: Dask, here: Path) -> None:
    dask.start_worker()
    there = sweep(here, "--dask", dask.address, "--cells", "there")
    assert there.returncode == 0, there.stderr
    own = sweep(here, "--workers", "2", "--cells", "own")
    assert there.stdout == own.stdout
    assert len(json.loads(there.stdout)["cells"]) == 6
    files = [sorted(path.name for path in (here / name).iterdir()) for name in ("there", "own")]
    assert files[0] == files[1]
    assert all(
        (here / "there" / n).read_bytes() == (here / "own" / n).read_bytes() for n in files[0]
    )


def test_a_worker_with_other_code_is_refused(dask: Dask, here: Path) -> None:
    """Its aimass is not ours: figures would not be comparable."""
    package = here / "other" / "aimass" / "simulator"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "sweep_dask.py").write_text("def identity():\n    return '0.0.1', 'x', '3.11'\n")
    dask.start_worker(str(here / "other"))
    done = sweep(here, "--dask", dask.address)
    assert done.returncode == 1
    assert "has aimass 0.0.1, and here is" in done.stderr
    assert "install the same aimass[sim]" in done.stderr


def test_nobody_at_the_address_is_said(here: Path) -> None:
    done = sweep(here, "--dask", "tcp://127.0.0.1:9")
    assert done.returncode == 1
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cluster_without_workers_is_said(dask: Dask, here: Path) -> None:
    done = sweep(here, "--dask", dask.address)
    assert done.returncode == 1
    assert "the Dask cluster has no workers" in done.stderr


def test_without_the_extra_it_says_what_to_install(here: Path) -> None:
    (here / "distributed.py").write_text("raise ModuleNotFoundError('no module distributed')\n")
    program = "import sys; sys.path.insert(0, '.'); from aimass.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "sim", "sweep", "grid.yaml", "--dask", "tcp://127.0.0.1:9"],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install 'aimass[dask]'" in done.stderr


def test_processes_here_and_a_cluster_are_not_both_asked_for(here: Path) -> None:
    done = sweep(here, "--dask", "tcp://127.0.0.1:9", "--workers", "2")
    assert done.returncode == 2
    assert "either --workers or --dask" in done.stderr
