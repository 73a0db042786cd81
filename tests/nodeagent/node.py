"""Real massnode processes for tests: start, kill, start again, and nothing left at the end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from aimass.nodeagent import processes
from aimass.nodeagent.durable import read_json
from tests.nodeagent.fake_scheduler import Key
from tests.waiting import wait_until


class Node:
    """One node: its folder, and at most one agent at a time."""

    def __init__(self, data: Path, target: str) -> None:
        self.data = data
        self.target = target
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: str, crash_at: str = "") -> "Node":
        """Start the agent; does not wait for anything."""
        command = [sys.executable, "-m", "aimass.nodeagent.main", "--data", str(self.data)]
        command += ["--scheduler", self.target, "--node-id", "n1"]
        command += ["--simulate", "2xH100-SXM5-80GB", "--address", "127.0.0.1", *options]
        environment = {**os.environ, "AIMASS_CRASH_AT": crash_at}
        self.data.mkdir(parents=True, exist_ok=True)
        with open(self.data / "agent.log", "a") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
            )
        return self

    def kill(self, number: int = signal.SIGKILL) -> int:
        """End the agent by a signal; gives its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait until the agent has ended; gives its exit status."""
        assert self.process is not None
        status = self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return status

    def folder(self, key: Key) -> Path:
        """Name a shard's folder."""
        return self.data / "shards" / ".".join(map(str, key))

    def output(self, key: Key) -> str:
        """Read what a shard has written so far."""
        path = self.folder(key) / "log"
        return path.read_text() if path.exists() else ""

    def shim(self, key: Key) -> dict[str, int]:
        """Wait for a shard's shim.json and read it."""
        path = f"{self.folder(key)}/shim.json"
        return wait_until(lambda: read_json(path), what=f"{path} is there")

    def close(self) -> None:
        """End the agent and every shard of the node."""
        if self.process is not None:
            self.kill()
        for path in self.data.glob("shards/*/shim.json"):
            shim = read_json(str(path)) or {}
            if not processes.is_same(shim["shim_pid"], shim["shim_start"]):
                continue
            below = processes.descendants(shim["shim_pid"])
            for pid in [*below, shim["shim_pid"], *below]:
                processes.kill(pid)
            wait_until(lambda s=shim: not processes.start_time(s["shim_pid"]))
