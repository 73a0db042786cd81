"""massctl sim replay: an audit, and where another policy would have decided otherwise."""

import json
import random
import sqlite3
from functools import cache
from pathlib import Path

import pytest

from aimass import cli
from aimass.core import events as ev
from aimass.core.apply import apply
from aimass.core.cluster import Cluster
from aimass.policies.registry import make_policy
from aimass.scheduler.journal_sqlite import FILE, SqliteJournal
from aimass.scheduler.recovery import take_snapshot
from aimass.simulator.clusters import parse_cluster
from aimass.simulator.replay import redecide
from aimass.simulator.run import run
from aimass.simulator.tracejob import TraceJob
from tests.simulator.noted import events_of

ORDERS = ("priority", "fair", "fifo", "fifo-skip", "srtf")


@cache
def lived(order: str) -> list[ev.Event]:
    """Give the events of a busy time under a policy."""
    chance, jobs, at_ms = random.Random(5), [], 0
    for number in range(80):
        at_ms += chance.randrange(200_000)
        work_ms, gpus = chance.randrange(1, 3_600_000), chance.choice((1, 2, 4, 8))
        jobs.append(
            TraceJob(f"{number}", at_ms, work_ms, 1000 * gpus, priority=chance.randrange(3))
        )
    kinds, policy = parse_cluster("2x4xA"), make_policy(order)
    return events_of(lambda: run(jobs, kinds, policy, lambda _: None))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Give a journal of such a time under `priority`, with a snapshot."""
    events = lived("priority")
    written = SqliteJournal(tmp_path)
    written.append(events, 1, written.lead())
    cluster = Cluster()
    for event in events:
        apply(cluster, event)
    written.save_snapshot(take_snapshot(cluster))
    written.close()
    return tmp_path


@pytest.mark.parametrize("order", ORDERS)
def test_the_same_policy_decides_the_same_again(order: str) -> None:
    events = lived(order)
    found = redecide(events, make_policy(order))
    plans = [event for event in events if isinstance(event, ev.PlanCommitted)]
    assert found.decisions == sum(bool(plan.starts or plan.stops) for plan in plans) > 50
    assert found.differences == []


def test_another_policy_differs_where_it_says() -> None:
    """fifo starts nobody that came after one who waits, and stops nobody."""
    events = lived("priority")
    found = redecide(events, make_policy("fifo"))
    assert 0 < len(found.differences) <= found.decisions
    for difference in found.differences:
        plan = events[difference.revision - 1]
        assert isinstance(plan, ev.PlanCommitted)
        assert plan.at_ms == difference.at_ms
        assert difference.would_stop == ()
        assert {*difference.only_started} <= {start.job_id for start in plan.starts}
        assert difference.only_stopped == tuple(stop.job_id for stop in plan.stops)
    assert any(difference.only_stopped for difference in found.differences)


def test_the_command_tells_each_difference(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sim", "replay", "--journal", str(journal), "--re-decide", "--policy"]
    assert cli.run([*words, "priority"]) == 0
    assert capsys.readouterr().out.startswith("priority would have decided 0 of ")
    assert cli.run([*words, "fifo"]) == 0
    told = capsys.readouterr().out
    assert told.split()[:4] == ["REVISION", "AT", "STARTED", "STOPPED"]
    assert cli.run([*words, "fifo", "-o", "json"]) == 0
    view = json.loads(capsys.readouterr().out)
    count, decisions = len(view["differences"]), view["decisions"]
    assert f"fifo would have decided {count} of {decisions} times otherwise" in told
    assert count > 20
    assert told.splitlines()[21:23] == [f"… and {count - 20} more: -o json", ""]


def test_an_audit_finds_a_hash_that_does_not_agree(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sim", "replay", "--journal", str(journal), "--audit"]
    assert cli.run(words) == 0
    assert capsys.readouterr().out.endswith("events give 1 recorded hashes again\n")
    assert cli.run([*words, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["hashes"] == 1
    with sqlite3.connect(journal / FILE) as db:
        db.execute("UPDATE snapshots SET hash = hash || 'x'")
    db.close()
    assert cli.run(words) == 4
    assert "x was recorded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "one of --audit, --re-decide, or --policy"),
        (("--audit", "--re-decide"), "one of --audit, --re-decide, or --policy"),
        (("--re-decide", "--policy", "best"), "no policy 'best'"),
        (("--re-decide", "--policy", "gavel-fifo"), "gavel-fifo decides in rounds alone"),
        (("--re-decide", "--policy", "las,fifo"), "more than one policy"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    assert cli.run(["sim", "replay", "--journal", str(tmp_path), *words]) == 2
    assert told in capsys.readouterr().err


def test_a_policy_of_rounds_alone_is_refused(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sim", "replay", "--journal", str(journal), "--policy", "gavel-fifo-perf"]
    assert cli.run(words) == 2
    told = capsys.readouterr().err
    assert "gavel-fifo-perf decides in rounds alone\nfix: name another" in told
