"""Wall time of massctl as a user starts it, beside `python -c pass` of the same interpreter.

The three are run in turn, so that what disturbs the machine disturbs all of them. A round is the
median of RUNS; `cli_help_above` and `cli_ls_above` are the differences to the interpreter's.
"""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from aimass import Client
from benchmarks import jobs
from benchmarks.daemons import BenchmarkError, address_of, environment, folder, massd
from benchmarks.record import Record, of_rounds

ROUNDS = 5
RUNS = 7
JOBS = 20  # that `massctl ls` lists
TIMEOUT_S = 60


def run(scale: float) -> list[Record]:
    """Milliseconds of the three commands, and of the two above the third."""
    with folder() as temporary, massd(temporary / "massd") as daemon:
        with Client(address_of(daemon)) as client:
            for number in range(JOBS):
                client.submit(jobs.request(number).spec)
        env = {**environment(), "AIMASS_ADDRESS": address_of(daemon)}
        commands = {
            "cli_python": [sys.executable, "-c", "pass"],
            "cli_help": [*_massctl(), "--help"],
            "cli_ls": [*_massctl(), "ls"],
        }
        runs = max(1, round(RUNS * scale))
        rounds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            taken: dict[str, list[float]] = {name: [] for name in commands}
            for _ in range(runs):
                for name, command in commands.items():
                    taken[name].append(_wall_ms(command, env))
            for name, values in taken.items():
                rounds[name].append(median(values))
    for name in ("cli_help", "cli_ls"):
        pairs = zip(rounds[name], rounds["cli_python"], strict=True)
        rounds[f"{name}_above"] = [one - bare for one, bare in pairs]
    return [of_rounds(name, "ms", values, ROUNDS * runs) for name, values in rounds.items()]


def _massctl() -> list[str]:
    """The installed script beside this interpreter; its module where nothing is installed."""
    script = Path(sys.executable).with_name("massctl")
    return [str(script)] if script.exists() else [sys.executable, "-m", "aimass.cli"]


def _wall_ms(command: list[str], env: dict[str, str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    taken_ms = (time.perf_counter() - began) * 1000
    if done.returncode:
        raise BenchmarkError(f"{command} ended with {done.returncode}: {done.stderr}")
    return taken_ms
