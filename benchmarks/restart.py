"""Seconds from starting a killed massd to `massd ready`, with 100,000 jobs in its journal.

The journal is written through SqliteJournal.append: lives of jobs, nearly all of them ended. Every
round starts the daemon on it, then kills it with SIGKILL, so that the next one recovers again.

restart           snapshots every engine.SNAPSHOT_EVERY events, as the daemon takes them, and a tail
restart_replay    no snapshot at all: every event is replayed
restart_queued    100,000 jobs that all wait, no snapshot
restart_empty     an empty journal: what a daemon's start costs by itself
"""

import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from aimass.core.apply import apply
from aimass.core.cluster import Cluster
from aimass.core.events import Event
from aimass.scheduler.engine import SNAPSHOT_EVERY
from aimass.scheduler.journal_sqlite import FILE, SqliteJournal
from aimass.scheduler.recovery import take_snapshot
from benchmarks import jobs
from benchmarks.daemons import folder, start_massd
from benchmarks.record import Record, of_rounds

ROUNDS = 5
JOBS = 100_000
BATCH = 256  # events in one append, as under load


def run(scale: float) -> list[Record]:
    """The four records of the table above, in seconds."""
    count = max(10, round(JOBS * scale))
    with folder() as temporary:
        lived, queued, empty = (temporary / name for name in ("lived", "queued", "empty"))
        _write(lived, (event for wave in jobs.lives(count) for part in wave for event in part))
        _write(queued, (jobs.submitted(seq) for seq in range(1, count + 1)))
        replayed = shutil.copytree(lived, temporary / "replayed")
        with closing(sqlite3.connect(replayed / FILE)) as db, db:
            db.execute("DELETE FROM snapshots")
        places = {
            "restart": lived,
            "restart_replay": replayed,
            "restart_queued": queued,
            "restart_empty": empty,
        }
        for data in places.values():
            _start_and_kill(data)  # warm: files in the page cache, an empty journal created
        seconds: dict[str, list[float]] = {name: [] for name in places}
        for _ in range(ROUNDS):
            for name, data in places.items():
                seconds[name].append(_start_and_kill(data))
    return [of_rounds(name, "s", taken, len(taken)) for name, taken in seconds.items()]


def _write(data: Path, lives: Iterable[Event]) -> None:
    """A journal of these events on jobs.opening(), with the snapshots the engine would take."""
    journal, cluster = SqliteJournal(data), Cluster()
    snapshot_at = 0
    try:
        batch: list[Event] = jobs.opening()
        term = journal.lead()
        for event in batch:
            apply(cluster, event)
        for event in lives:
            if len(batch) >= BATCH:
                journal.append(batch, cluster.revision - len(batch) + 1, term)
                batch = []
                if cluster.revision - snapshot_at >= SNAPSHOT_EVERY:
                    journal.save_snapshot(take_snapshot(cluster))
                    snapshot_at = cluster.revision
            apply(cluster, event)
            batch.append(event)
        journal.append(batch, cluster.revision - len(batch) + 1, term)
    finally:
        journal.close()


def _start_and_kill(data: Path) -> float:
    daemon = start_massd(data)
    daemon.kill()
    return daemon.start_s
