"""The demo's cluster: massd and two massnode processes in one temporary folder, and massctl."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from demo_checks import processes_of
from demo_story import WAIT_S, DemoFailed, tail, wait_for

NODES = ("node-a", "node-b")
SIMULATED = "2xH100-SXM5-80GB"


def real_gpus() -> int:
    """Count the GPUs that NVML finds; 0 where there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return 0


class Cluster:
    """Real processes, each in its own session, so that Ctrl-C reaches only the demo."""

    def __init__(self, folder: Path) -> None:
        """Make the folders; nothing is started yet."""
        self.folder = folder
        self.gpus = real_gpus()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.address = "127.0.0.1:0"  # the first start takes a free port, the next ones keep it
        self.http_address = "127.0.0.1:0"
        for name in ("tmp", "state", "output"):
            (folder / name).mkdir(parents=True)
        # Whatever is left behind would be in one of these, or name it in its environment.
        self.env = os.environ | {
            "TMPDIR": str(folder / "tmp"),
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CONFIG_HOME": str(folder / "state"),
            "NO_COLOR": "1",
        }

    def log(self, name: str) -> Path:
        """Give the file that holds everything one process has printed, over its restarts."""
        return self.folder / "output" / f"{name}.log"

    def node_folder(self, node: str) -> Path:
        """Give the data folder of one node agent."""
        return self.folder / node

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start one of the installed commands; its log has its output, NAME-notes its stderr."""
        program = str(Path(sys.executable).with_name(command[0]))
        with open(self.log(name), "ab") as log, open(self.log(f"{name}-notes"), "ab") as notes:
            process = subprocess.Popen(
                [program, *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=notes,
                env=self.env,
                cwd=self.folder,
                start_new_session=True,
            )
        self.running[name] = process
        return process

    def start_scheduler(self) -> None:
        """Start massd on its journal and wait until it serves."""
        where = ["--listen", self.address, "--http", self.http_address]
        process = self.start("massd", "massd", "--data", str(self.folder / "massd"), *where)

        def ready() -> dict[str, Any] | None:
            self.must_run("massd")
            try:
                told: dict[str, Any] | None = json.loads(
                    (self.folder / "massd/massd.json").read_text()
                )
            except (FileNotFoundError, NotADirectoryError):
                return None
            return told if told and told["pid"] == process.pid else None

        told = wait_for("massd to be ready", ready)
        self.address, self.http_address = told["address"], told["http_address"]
        self.env["AIMASS_ADDRESS"] = self.address

    def start_node(self, node: str) -> None:
        """Start a node agent on its data folder and wait until the scheduler has welcomed it."""
        told_before = self.log(node).read_text().count(" ready, ") if self.log(node).exists() else 0
        devices = [] if self.gpus else ["--simulate", SIMULATED]
        where = ["--data", str(self.node_folder(node)), "--node-id", node, "--address", "127.0.0.1"]
        found = ["--scheduler", f"@{self.folder / 'massd' / 'massd.json'}"]
        self.start(node, "massnode", *where, *found, *devices)

        def ready() -> bool:
            self.must_run(node)
            return self.log(node).read_text().count(" ready, ") > told_before

        wait_for(f"{node} to be ready", ready)

    def must_run(self, name: str) -> None:
        """Check that a process is there; its last words otherwise."""
        if self.running[name].poll() is not None:
            raise DemoFailed(f"{name} ended by itself:\n{self.last_words(name)}")

    def last_words(self, name: str, lines: int = 12) -> str:
        """Give the end of what a process printed."""
        logs = [log for log in (self.log(name), self.log(f"{name}-notes")) if log.exists()]
        return "\n".join(tail(log.read_text(errors="replace"), lines) for log in logs)

    def kill(self, name: str) -> None:
        """SIGKILL one process: it gets no chance to save or to say anything."""
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def massctl(self, *args: str) -> str:
        """Run massctl to its end and give what it printed; DemoFailed with its error."""
        program = str(Path(sys.executable).with_name("massctl"))
        done = subprocess.run(
            [program, *args],
            env=self.env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        if done.returncode:
            raise DemoFailed(f"massctl {' '.join(args)}: exit {done.returncode}\n{done.stderr}")
        return done.stdout

    def job(self, job_id: str) -> dict[str, Any]:
        """Read one job as `massctl show -o json` gives it."""
        shown: dict[str, Any] = json.loads(self.massctl("show", job_id, "-o", "json"))
        return shown

    def in_state(self, job_id: str, *states: str) -> dict[str, Any]:
        """Wait until a job is in one of the states; give it."""

        def look() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["state"] in states else None

        return wait_for(f"{job_id} to be {' or '.join(states)}", look)

    def stop(self) -> None:
        """End everything in the orderly way: SIGTERM to the agents, then to the scheduler."""
        for name in sorted(self.running, key=lambda name: name == "massd"):
            self.running[name].send_signal(signal.SIGTERM)
            try:
                code = self.running[name].wait(timeout=10)
            except subprocess.TimeoutExpired:
                raise DemoFailed(f"{name} did not end within 10 s of SIGTERM") from None
            if code:
                raise DemoFailed(f"{name} ended with {code}:\n{self.last_words(name)}")
            del self.running[name]

    def sweep(self) -> None:
        """Leave nothing, from whatever point: kill what still runs, shards included, and delete."""
        for name in list(self.running):
            self.kill(name)
        # A shim whose shard has died tidies up and ends; only one that does not is killed too.
        patience, deadline = time.monotonic() + 3, time.monotonic() + 10
        while (left := processes_of(self.folder)) and time.monotonic() < deadline:
            for pid, command in left.items():
                if "/shim.py " in command and time.monotonic() < patience:
                    continue
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        shutil.rmtree(self.folder, ignore_errors=True)
