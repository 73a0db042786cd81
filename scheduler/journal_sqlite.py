"""The embedded journal: one SQLite file, WAL mode, one fsync per batch, nothing to start.

A row is a batch: its first revision, its events as JSON, and a CRC of them. SQLite drops a torn
tail by itself; damage before the tail is refused, never skipped. A lock file held for the life of
the process keeps a second scheduler out.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from zlib import crc32

from aimass.core.codec import CodecError, decode_events, encode_events
from aimass.core.events import Event
from aimass.core.journal import (
    JournalCorruptError,
    JournalError,
    JournalFullError,
    Snapshot,
    StaleTermError,
)

FILE = "journal.db"
SCHEMA_VERSION = 1
SNAPSHOTS_KEPT = 2  # with data; the hashes of all are kept for `massctl journal verify`
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE batches (
    first INTEGER PRIMARY KEY, count INTEGER NOT NULL, term INTEGER NOT NULL,
    crc INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE TABLE scratch (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE snapshots (revision INTEGER PRIMARY KEY, hash TEXT NOT NULL, data BLOB);
"""


class JournalBusyError(JournalError):
    """Another scheduler has the journal open."""


class SqliteJournal:
    """Journal in `directory`/journal.db. See core.journal.Journal for what the methods promise."""

    name = "sqlite"

    def __init__(self, directory: Path) -> None:
        """Open or create. Raises JournalBusyError, JournalCorruptError, JournalError."""
        self._directory = directory
        # For its owner alone: every job's environment is in it, tokens included.
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _take_lock(directory / "journal.lock")
        try:
            path = directory / FILE
            if path.exists() and path.stat().st_size == 0:
                raise JournalCorruptError(
                    f"{path} is empty: restore it, or remove it to begin a new cluster"
                )
            with translated():
                self._db = sqlite3.connect(
                    directory / FILE, isolation_level=None, check_same_thread=False
                )
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                self._create_or_check()
        except BaseException:
            os.close(self._lock)
            raise

    def _create_or_check(self) -> None:
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            os.chmod(self._directory / FILE, 0o600)
            self._db.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA}"
                "INSERT INTO meta VALUES ('term', 0);"
                f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )
        elif found != SCHEMA_VERSION:
            raise JournalError(
                f"{self._directory / FILE} has format {found}, this version reads {SCHEMA_VERSION}"
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, durable at the end."""
        with translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def lead(self) -> int:
        """See Journal.lead."""
        with self._transaction():
            term = self._term() + 1
            self._db.execute("UPDATE meta SET value = ? WHERE key = 'term'", (term,))
        return term

    def _term(self) -> int:
        row = self._db.execute("SELECT value FROM meta WHERE key = 'term'").fetchone()
        return int(row[0])

    def append(self, events: Sequence[Event], first_revision: int, term: int) -> None:
        """See Journal.append."""
        data = encode_events(list(events))
        row = (first_revision, len(events), term, crc32(data), data)
        with self._transaction():
            leader = self._term()
            if term != leader:
                raise StaleTermError(f"term {term} is over; the leader's is {leader}")
            if first_revision != self._end() + 1:
                raise JournalError(f"batch starts at {first_revision}, not at {self._end() + 1}")
            self._db.execute("INSERT INTO batches VALUES (?, ?, ?, ?, ?)", row)

    def _end(self) -> int:
        row = self._db.execute(
            "SELECT first + count - 1 FROM batches ORDER BY first DESC LIMIT 1"
        ).fetchone()
        return int(row[0]) if row else 0

    def probe(self, size_bytes: int) -> None:
        """See Journal.probe. A small write alone finds room in pages that are there already."""
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO scratch VALUES (1, zeroblob(?))", (2 * size_bytes + 8192,)
            )
        with self._transaction():
            self._db.execute("DELETE FROM scratch")

    def read(self, after: int) -> Iterator[tuple[int, Event]]:
        """See Journal.read. On a connection of its own: sees only what is durable."""
        for first, events in read_batches(self._directory, after):
            for revision, event in enumerate(events, first):
                if revision > after:
                    yield revision, event

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """See Journal.save_snapshot."""
        row = (snapshot.revision, snapshot.state_hash, snapshot.data)
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)", row)
            self._db.execute(
                "UPDATE snapshots SET data = NULL WHERE data IS NOT NULL AND revision NOT IN"
                " (SELECT revision FROM snapshots ORDER BY revision DESC LIMIT ?)",
                (SNAPSHOTS_KEPT,),
            )

    def load_snapshot(self) -> Snapshot | None:
        """See Journal.load_snapshot."""
        with translated():
            row = self._db.execute(
                "SELECT revision, data, hash FROM snapshots WHERE data IS NOT NULL"
                " ORDER BY revision DESC LIMIT 1"
            ).fetchone()
        return Snapshot(*row) if row else None

    def close(self) -> None:
        """See Journal.close."""
        self._db.close()
        os.close(self._lock)


def read_batches(directory: Path, after: int = 0) -> Iterator[tuple[int, list[Event]]]:
    """Yield (first revision, events) of every batch that reaches beyond `after`, checked.

    Raises JournalCorruptError naming the revision, JournalError when there is no journal.
    """
    with translated(), closing(open_readonly(directory)) as db:
        expected: int | None = None
        rows = db.execute(
            "SELECT first, count, crc, data FROM batches WHERE first >= coalesce("
            "(SELECT max(first) FROM batches WHERE first <= ?), 0) ORDER BY first",
            (after + 1,),
        )
        for first, count, crc, data in rows:
            if expected is not None and first != expected:
                raise JournalCorruptError(f"revisions {expected} to {first - 1} are missing")
            expected = first + count
            if crc32(data) != crc:
                raise JournalCorruptError(f"the batch at revision {first} is damaged (bad CRC)")
            try:
                events = decode_events(data)
            except CodecError as error:
                raise JournalCorruptError(f"the batch at revision {first}: {error}") from error
            if len(events) != count:
                raise JournalCorruptError(f"the batch at revision {first} has lost events")
            yield first, events


def open_readonly(directory: Path) -> sqlite3.Connection:
    """A reading connection, also beside a running daemon. Raises JournalError if there is none."""
    path = directory / FILE
    if not path.is_file():
        raise JournalError(f"there is no journal in {directory}")
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)


def _take_lock(path: Path) -> int:
    """Hold `path` exclusively; the kernel lets go when the process ends, however it ends."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(fd, 32).decode(errors="replace").strip()
        os.close(fd)
        raise JournalBusyError(f"{path.parent} is in use by process {holder}") from error
    os.ftruncate(fd, 0)
    os.pwrite(fd, str(os.getpid()).encode(), 0)
    return fd


@contextmanager
def translated() -> Iterator[None]:
    """SQLite's errors in the journal's words."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise JournalFullError("no space left for the journal") from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise JournalCorruptError(f"the journal file is damaged: {error}") from error
        raise JournalError(f"the journal cannot be used: {error}") from error
