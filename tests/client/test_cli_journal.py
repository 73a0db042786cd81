"""massctl journal: what it prints of a report, and says where no scheduler code is installed."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.client.conftest import Massctl

MODULE = "aimass.scheduler.journal_tools"


def with_tools(monkeypatch: pytest.MonkeyPatch, *, ok: bool) -> None:
    """Put a stand-in for the scheduler's tools where the import finds it."""
    report = SimpleNamespace(
        ok=ok,
        revisions=9,
        batches=3,
        hashes_checked=2,
        hashes_skipped=1,
        state_hash="abc",
        problem="revision 5",
    )

    def dump(path: Path, *, after: int, limit: int | None) -> Iterator[str]:
        yield json.dumps({"after": after, "limit": limit})

    tools = SimpleNamespace(verify=lambda path: report, dump=dump, JournalError=ValueError)
    package = pytest.importorskip("aimass.scheduler")
    monkeypatch.setattr(package, "journal_tools", tools, raising=False)
    monkeypatch.setitem(sys.modules, MODULE, tools)


def test_a_whole_journal_is_reported_with_counts(
    massctl: Massctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_tools(monkeypatch, ok=True)
    done = massctl("journal", "verify", ".")
    agreed = b"2 hashes agree, 1 of another version were left out"
    assert done.stdout == b"ok: 9 events in 3 batches, " + agreed + b"; state abc\n"
    view = json.loads(massctl("journal", "verify", ".", "-o", "json").stdout)
    assert (view["ok"], view["hashesChecked"]) == (True, 2)


def test_a_journal_that_does_not_replay_is_code_4(
    massctl: Massctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_tools(monkeypatch, ok=False)
    done = massctl("journal", "verify", ".")
    assert (done.returncode, done.stdout) == (4, b"")
    assert b"why: revision 5" in done.stderr


def test_dump_passes_its_range_on(massctl: Massctl, monkeypatch: pytest.MonkeyPatch) -> None:
    with_tools(monkeypatch, ok=True)
    done = massctl("journal", "dump", ".", "--after", "7", "--limit", "2")
    assert json.loads(done.stdout) == {"after": 7, "limit": 2}


def test_a_path_that_is_not_there_is_code_3(massctl: Massctl) -> None:
    assert massctl("journal", "verify", "none").returncode == 3


def test_a_client_without_the_scheduler_is_told_what_to_install(
    massctl: Massctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = pytest.importorskip("aimass.scheduler")
    monkeypatch.delattr(package, "journal_tools", raising=False)
    monkeypatch.setitem(sys.modules, MODULE, None)
    done = massctl("journal", "verify", ".")
    assert done.returncode == 1
    assert b"pip install 'aimass[scheduler]'" in done.stderr


def test_a_folder_without_a_journal_is_code_3(massctl: Massctl) -> None:
    pytest.importorskip(MODULE)
    for command in ("verify", "dump"):
        done = massctl("journal", command, ".")
        assert (done.returncode, done.stdout) == (3, b"")
        assert done.stderr.startswith(b"error: there is no journal in .\nfix: name massd's data")


def test_a_journal_that_is_none_is_damage_and_not_a_bug(massctl: Massctl, tmp_path: Path) -> None:
    pytest.importorskip(MODULE)
    (tmp_path / "journal.db").write_bytes(b"no database" * 1000)
    for command in ("verify", "dump"):
        done = massctl("journal", command, ".")
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.startswith(b"error: the journal file is damaged: ")
