"""Real daemons for tests: started on free ports in a temporary folder, ended when the test ends."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
