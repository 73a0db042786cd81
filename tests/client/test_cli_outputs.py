"""What scripts read: columns of listings keep their names and places, logs come as JSON lines."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from aimass import tables, views_admin, why_screen
from aimass.output import Column
from tests.client.conftest import Massctl
from tests.client.fake_scheduler import FakeScheduler
from tests.client.test_cli import ok

JOBS = "ID NAME USER QUEUE STATE GPUS SHARDS PRIO ATTEMPT AGE RUN NODES REASON"
NODES = (
    "NODE STATE GPUS USED SICK MODEL CPUS-FREE MEMORY-FREE SHARDS PROBE ADDRESS AGENT SINCE JOBS"
)


@pytest.mark.parametrize(
    ("columns", "titles"),
    [
        (tables.JOBS, JOBS),
        (tables.NODES, f"{NODES} RESERVED REASON"),
        (tables.SHARDS, "RANK ROLE NODE STATE PID RUN EXIT DEVICES"),
        (tables.BLOCKERS, "REASON NODES EXAMPLES WHAT"),
        (why_screen.REASONS, "SINCE REASON WHAT"),
        (
            views_admin.QUEUES,
            "QUEUE WEIGHT GPUS QUOTA LIMIT OTHER-QUOTA OTHER-LIMIT ACTIVE QUEUED RESERVE",
        ),
        (
            views_admin.SHARES,
            "QUEUE WEIGHT SHARE PAST ENTITLED FAIR MOST GPUS ACTIVE QUEUED BORROWED LENT",
        ),
        (views_admin.WINDOWS, "NAME WHEN START LENGTH EVERY FOR NODES UNTIL"),
    ],
)
def test_columns_keep_their_names_and_places(columns: Sequence[Column[Any]], titles: str) -> None:
    """Who adds one changes this list on purpose, and says so in the change log."""
    assert " ".join(column.title for column in columns) == titles


def test_logs_come_as_json_lines_with_their_rank(massctl: Massctl, fake: FakeScheduler) -> None:
    ok(massctl("submit", "--shards", "2", "--", "x"))
    fake.write("j1", b'a "quoted" line\nno end', rank=0)
    fake.write("j1", b"\xff\n", rank=1)
    for form in ("json", "jsonl"):
        lines = [json.loads(line) for line in ok(massctl("logs", "j1", "-o", form)).splitlines()]
        by_rank = [[line["line"] for line in lines if line["rank"] == rank] for rank in (0, 1)]
        assert by_rank == [['a "quoted" line', "no end"], ["\ufffd"]]
        assert {line["attempt"] for line in lines} == {1}


def test_one_rank_is_json_as_well_and_raw_otherwise(massctl: Massctl, fake: FakeScheduler) -> None:
    ok(massctl("submit", "--", "x"))
    fake.write("j1", b"one\ntwo")
    assert ok(massctl("logs", "j1")) == "one\ntwo"
    lines = ok(massctl("logs", "j1", "-o", "json")).splitlines()
    assert json.loads(lines[1]) == {"attempt": 1, "rank": 0, "line": "two"}


def test_an_elastic_job_shows_its_size_now_beside_what_it_asks(
    massctl: Massctl, fake: FakeScheduler
) -> None:
    """It asks for two shards and has grown to three; once it is over it has nothing."""
    ok(massctl("submit", "--gpus", "2", "--elastic", "2-8", "--", "x"))
    (attempt,) = fake.jobs["j1"].attempts
    attempt.shards.add(rank=2, role="worker", node_id="n1")
    for shard in attempt.shards:
        shard.gpu_milli = 1000
        shard.device_uuids.extend(["GPU-1", "GPU-2"])
    document = json.loads(ok(massctl("show", "j1", "-o", "json")))
    assert (document["shards"], document["gpus"]) == (2, 4)
    assert document["current"] == {"shards": 3, "gpus": 6}
    assert "  has      3 shards with 6 GPU now\n" in ok(massctl("show", "j1"))
    row = ok(massctl("ls", "-o", "wide")).splitlines()[1].split()
    assert row[5:7] == ["6", "3"]
    fake.end("j1")
    assert json.loads(ok(massctl("show", "j1", "-o", "json")))["current"] is None
    assert "has  " not in ok(massctl("show", "j1"))
