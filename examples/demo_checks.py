"""What the demo looks at to believe its own claims: /proc, the step log, the shards' folders."""

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any


def processes_of(folder: Path) -> dict[int, str]:
    """Find every process with the folder in its command line or environment; pid -> command.

    Shards and shims are children of nobody here, but the folder is in their environment.
    """
    mark, found = str(folder).encode(), {}
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            command = (proc / "cmdline").read_bytes()
            names_folder = mark in command or mark in (proc / "environ").read_bytes()
        except OSError:  # it has ended, or belongs to somebody else
            continue
        if names_folder and int(proc.name) != os.getpid():
            found[int(proc.name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def sockets_of(folder: Path, addresses: list[str]) -> list[str]:
    """Find unix sockets in the folder, and whoever still listens on one of the addresses."""
    unix = [line for line in Path("/proc/net/unix").read_text().splitlines() if str(folder) in line]
    ports = {int(address.rpartition(":")[2]) for address in addresses}
    tables = [path for path in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")) if path.exists()]
    rows = [line.split() for path in tables for line in path.read_text().splitlines()[1:]]
    listening = [row[1] for row in rows if row[3] == "0A"]  # TCP_LISTEN
    return unix + [where for where in listening if int(where.rpartition(":")[2], 16) in ports]


def start_ticks(pid: int) -> int:
    """Give when a process started, in ticks since boot; 0 when it is gone (pids are reused)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


class StepLog:
    """The training script's own record: one line per rank, attempt and finished step."""

    def __init__(self, path: Path) -> None:
        """Read what is there now."""
        text = path.read_text() if path.exists() else ""
        self.lines = [
            (int(rank), int(attempt), int(step))
            for rank, attempt, step in re.findall(
                r"^rank=(\d+) attempt=(\d+) step=(\d+)$", text, re.MULTILINE
            )
        ]

    def done(self) -> int:
        """Count the steps that every rank has finished."""
        per_rank = Counter(rank for rank, _, _ in self.lines)
        return min(per_rank.values()) if len(per_rank) > 1 else 0

    def is_each_once(self, ranks: int, steps: int) -> bool:
        """Say whether every rank did every step exactly once, in order, in the first attempt."""
        wanted = [(rank, step) for rank in range(ranks) for step in range(steps)]
        seen = sorted((rank, step) for rank, _, step in self.lines)
        return seen == wanted and len({attempt for _, attempt, _ in self.lines}) == 1


def final_accuracy(log: str) -> float:
    """Read the accuracy out of the job's last line; 0 when it is not there."""
    told = re.findall(r"done: .*accuracy ([\d.]+)", log)
    return float(told[-1]) if told else 0.0


def shard_folders(nodes: list[Path], job_id: str) -> list[str]:
    """List the folders that the nodes made for one job: one per launch, JOB.ATTEMPT.RANK."""
    return sorted(path.name for node in nodes for path in node.glob(f"shards/{job_id}.*"))


def shards_of(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the shards of the newest attempt, by rank."""
    attempts = job["attempts"]
    return sorted(attempts[-1]["shards"], key=lambda shard: shard["rank"]) if attempts else []
