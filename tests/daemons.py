"""Real daemons for tests: started on free ports in a temporary folder, ended when the test ends."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aimass import Client
from aimass.v1 import node_pb2
from aimass.views import job_view
from tests.waiting import wait_until

REPOSITORY = Path(__file__).parent.parent


def environment(**more: str) -> dict[str, str]:
    """Our environment with the checkout importable and nothing of the user's own settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIMASS_", "MASSD_"))}
    kept["AIMASS_TEST_SESSION"] = os.environ.get("AIMASS_TEST_SESSION", "")
    return {**kept, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1", **more}


def start(
    module: str, *arguments: str, log: Path, env: dict[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start `python -m module`, output into `log`."""
    with open(log, "ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            env=env or environment(),
            start_new_session=True,
        )


@contextmanager
def running(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    """End the process at the end of the block, whatever happened in it."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def start_massd(
    data: Path, *arguments: str, env: dict[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start massd on free ports; it is ready when `address_of(data)` returns."""
    data.mkdir(parents=True, exist_ok=True)
    (data / "massd.json").unlink(missing_ok=True)  # a killed one leaves its own behind
    ports = ("--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
    log = data.parent / f"{data.name}.log"
    return start("aimass.scheduler.main", "--data", str(data), *ports, *arguments, log=log, env=env)


def run_file(data: Path, process: "subprocess.Popen[bytes] | None" = None) -> dict[str, str]:
    """What a ready massd says about itself."""
    path = data / "massd.json"

    def ready() -> bool:
        if process is not None and process.poll() is not None:
            log = data.parent / f"{data.name}.log"
            raise AssertionError(f"massd ended with {process.returncode}: {log.read_text()}")
        return path.exists()

    wait_until(ready, 30, what="massd to be ready")
    found: dict[str, str] = json.loads(path.read_text())
    return found


def massctl(
    address: str, *arguments: str, timeout_s: float = 60, input: str | None = None, **env: str
) -> "subprocess.CompletedProcess[str]":
    """Run massctl as a user would, output captured."""
    return subprocess.run(
        [sys.executable, "-m", "aimass.cli", *arguments],
        capture_output=True,
        text=True,
        input=input,
        timeout=timeout_s,
        env=environment(AIMASS_ADDRESS=address, **env),
        check=False,
    )


class Cluster:
    """massd and its agents as processes, with a client; everything in one temporary folder."""

    def __init__(self, folder: Path, *massd: str) -> None:
        self.folder = folder
        self.data = folder / "massd"
        self._massd_arguments = massd
        self.agents: dict[str, subprocess.Popen[bytes]] = {}
        self.massd = self.start_massd()

    def start_massd(self, env: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """Start (again); agents find it through its run file."""
        self.massd = start_massd(self.data, *self._massd_arguments, env=env)
        self.address = run_file(self.data, self.massd)["address"]
        return self.massd

    def start_agent(
        self, name: str, simulate: str = "1xH100-SXM5-80GB", env: dict[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start (again) the agent of this node; it may take a moment to be READY."""
        self.agents[name] = start(
            "aimass.nodeagent.main",
            *("--data", str(self.folder / name), "--node-id", name, "--simulate", simulate),
            *("--scheduler", f"@{self.data / 'massd.json'}", "--cpus", "8"),
            log=self.folder / f"{name}.log",
            env=env,
        )
        return self.agents[name]

    def stop(self) -> None:
        """End massd as an operator does, and wait until it is gone."""
        self.massd.terminate()
        self.massd.wait()

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        """SIGKILL, and wait until it is gone."""
        process.kill()
        process.wait()

    def ctl(self, *arguments: str) -> str:
        """massctl's stdout; it must succeed."""
        done = massctl(self.address, *arguments)
        assert done.returncode == 0, f"massctl {arguments}: {done.stderr}"
        return done.stdout

    def submit(self, *arguments: str) -> str:
        """Submit with massctl; the job's id."""
        return self.ctl("submit", "-o", "name", *arguments).strip()

    def client(self) -> Client:
        """The client library, for looks that need no process of their own."""
        return Client(self.address)

    def job(self, job_id: str) -> dict[str, Any]:
        """The job as `massctl show -o json` has it."""
        with self.client() as client:
            return job_view(client.get(job_id))

    def wait_ready(self, count: int) -> None:
        """Wait until so many nodes are READY."""

        def ready() -> bool:
            with self.client() as client:
                nodes = client.nodes().nodes
            return sum(n.state == node_pb2.NODE_STATE_READY for n in nodes) == count

        wait_until(ready, 30, what=f"{count} nodes to be READY")

    def wait_for(self, job_id: str, *states: str, timeout_s: float = 30) -> dict[str, Any]:
        """The job as soon as it is in one of the states."""

        def there() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["state"] in states else None

        return wait_until(there, timeout_s, what=f"{job_id} in {states}")

    def close(self) -> None:
        """Cancel what runs, then end the daemons; shards go with their jobs."""
        try:
            if self.massd.poll() is None:
                self._cancel_all()
        finally:
            for process in (*self.agents.values(), self.massd):
                with running(process):
                    pass

    def _cancel_all(self) -> None:
        with self.client() as client:
            for job in client.list().jobs:
                if job.ended_ms == 0:
                    client.cancel(job.id, grace_ms=0)
                    client.wait(job.id, timeout_s=20)


@contextmanager
def cluster(folder: Path, *massd: str, agents: tuple[str, ...] = ("n1",)) -> Iterator[Cluster]:
    """A cluster whose agents are READY; closed at the end of the block."""
    made = Cluster(folder, *massd)
    try:
        for name in agents:
            made.start_agent(name)
        made.wait_ready(len(agents))
        yield made
    finally:
        made.close()
