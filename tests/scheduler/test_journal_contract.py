"""What every journal promises, run against every implementation."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from aimass.core.cluster import Cluster
from aimass.core.codec import hash_snapshot, state_hash
from aimass.core.events import ClusterCreated, Event, TermStarted
from aimass.core.journal import (
    Journal,
    JournalCorruptError,
    JournalError,
    JournalFullError,
    MemoryJournal,
    Snapshot,
    StaleTermError,
)
from aimass.scheduler.journal_sqlite import JournalBusyError, SqliteJournal
from aimass.scheduler.journal_tools import verify
from aimass.scheduler.recovery import recover, take_snapshot


@pytest.fixture(params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    made: Journal = MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path)
    yield made
    made.close()


def events(count: int, start: int = 1) -> list[Event]:
    return [TermStarted(at_ms=n, term=n) for n in range(start, start + count)]


def test_what_was_appended_is_read_back_in_order(journal: Journal) -> None:
    term = journal.lead()
    journal.append(events(3), 1, term)
    journal.append(events(2, 4), 4, term)
    assert list(journal.read(0)) == list(enumerate(events(5), 1))


def test_reading_starts_after_the_revision_inside_a_batch_too(journal: Journal) -> None:
    journal.append(events(5), 1, journal.lead())
    assert [revision for revision, _ in journal.read(3)] == [4, 5]
    assert list(journal.read(5)) == []


def test_each_leadership_has_a_higher_term(journal: Journal) -> None:
    assert journal.lead() < journal.lead()


def test_a_stale_term_writes_nothing(journal: Journal) -> None:
    old = journal.lead()
    journal.lead()
    with pytest.raises(StaleTermError):
        journal.append(events(1), 1, old)
    assert list(journal.read(0)) == []


@pytest.mark.parametrize("first", [1, 3, 7])
def test_a_batch_that_leaves_a_gap_or_overlaps_is_refused(journal: Journal, first: int) -> None:
    term = journal.lead()
    journal.append(events(1), 1, term)
    with pytest.raises(JournalError):
        journal.append(events(1), first, term)
    assert len(list(journal.read(0))) == 1


def test_the_newest_snapshot_is_loaded(journal: Journal) -> None:
    assert journal.load_snapshot() is None
    for revision in (1, 2, 3):
        journal.save_snapshot(Snapshot(revision, b"data", "hash"))
    assert journal.load_snapshot() == Snapshot(3, b"data", "hash")


# ---- the file ------------------------------------------------------------------------------------


def test_a_reopened_file_holds_everything_and_its_term_goes_on(tmp_path: Path) -> None:
    first = SqliteJournal(tmp_path)
    term = first.lead()
    first.append(events(3), 1, term)
    first.close()
    second = SqliteJournal(tmp_path)
    assert len(list(second.read(0))) == 3
    assert second.lead() == term + 1
    second.close()


def test_a_second_opener_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    first = SqliteJournal(tmp_path)
    with pytest.raises(JournalBusyError, match="in use by process"):
        SqliteJournal(tmp_path)
    first.close()
    SqliteJournal(tmp_path).close()


def test_a_full_disk_writes_nothing_and_recovers(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    term = journal.lead()
    # SQLite's own limit: the same SQLITE_FULL that a full disk gives, without needing one.
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JournalFullError):
        journal.append([ClusterCreated(0, "x" * 100_000)], 1, term)
    assert list(journal.read(0)) == []
    journal._db.execute("PRAGMA max_page_count = 1000000")
    journal.append(events(1), 1, term)
    assert len(list(journal.read(0))) == 1
    journal.close()


def damage(tmp_path: Path, statement: str) -> None:
    with sqlite3.connect(tmp_path / "journal.db", isolation_level=None) as db:
        db.execute(statement)
    db.close()


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (
            "UPDATE batches SET data = CAST(replace(data, '3', '9') AS BLOB) WHERE first = 3",
            "revision 3",
        ),
        ("DELETE FROM batches WHERE first = 3", "3 to 4 are missing"),
        ("UPDATE batches SET count = 1, crc = crc WHERE first = 3", "lost events"),
    ],
)
def test_damage_before_the_tail_is_refused(tmp_path: Path, statement: str, says: str) -> None:
    journal = SqliteJournal(tmp_path)
    term = journal.lead()
    for first in (1, 3, 5):
        journal.append(events(2, first), first, term)
    damage(tmp_path, statement)
    with pytest.raises(JournalCorruptError, match=says):
        list(journal.read(0))
    journal.close()


def test_a_file_that_is_no_database_is_refused_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"not a database, for sure" * 100)
    with pytest.raises(JournalCorruptError, match="damaged"):
        SqliteJournal(tmp_path)


def test_a_journal_of_a_later_format_is_refused(tmp_path: Path) -> None:
    SqliteJournal(tmp_path).close()
    damage(tmp_path, "PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="format 99"):
        SqliteJournal(tmp_path)


def test_an_empty_file_is_not_taken_for_a_new_cluster(tmp_path: Path) -> None:
    (tmp_path / "journal.db").touch()
    with pytest.raises(JournalCorruptError, match="is empty"):
        SqliteJournal(tmp_path)


def test_a_probe_needs_as_much_room_as_the_batch_that_found_none(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path)
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages + 4}")
    journal.probe(100)
    with pytest.raises(JournalFullError):
        journal.probe(100_000)
    journal.close()


def test_a_journal_is_for_its_owner_alone(tmp_path: Path) -> None:
    SqliteJournal(tmp_path / "data").close()
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    assert (tmp_path / "data" / "journal.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damaged", [b"{", b'{"cluster_id": 1}'])
def test_a_damaged_snapshot_costs_a_replay_and_nothing_else(tmp_path: Path, damaged: bytes) -> None:
    journal = SqliteJournal(tmp_path)
    term = journal.lead()
    journal.append([ClusterCreated(0, "c"), TermStarted(1, term)], 1, term)
    good = recover(journal)
    journal.save_snapshot(take_snapshot(good))
    damage(tmp_path, "UPDATE snapshots SET data = CAST('{}' AS BLOB)")
    assert state_hash(recover(journal)) == state_hash(good)
    # Another fold's: the rows may be well, and yet not what these rules make of the events.
    other = take_snapshot(Cluster())
    journal.save_snapshot(Snapshot(2, other.data, "1-" + other.state_hash.split("-")[1]))
    assert state_hash(recover(journal)) == state_hash(good)
    assert (report := verify(tmp_path)).ok
    assert (report.hashes_checked, report.hashes_skipped) == (0, 1)
    # One whose hash agrees, of a version that wrote other rows.
    journal.save_snapshot(Snapshot(2, damaged, hash_snapshot(damaged)))
    assert state_hash(recover(journal)) == state_hash(good)
    journal.close()
