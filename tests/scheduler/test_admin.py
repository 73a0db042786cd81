"""Queues, reservations and nodes as operators see them: massctl against a scheduler."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from aimass import cli, completion
from aimass.client_async import AsyncClient
from aimass.errors import Conflict
from aimass.v1 import job_pb2, scheduler_pb2
from tests.scheduler.harness import Agent, Scheduler, scheduler, spec

STOPPING, PLACED = job_pb2.JOB_STATE_STOPPING, job_pb2.JOB_STATE_PLACED


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def ok(s: Scheduler, *words: str) -> str:
    code, out, err = await s.massctl(*words)
    assert code == 0, err
    return out


async def refused(s: Scheduler, *words: str) -> tuple[int, str]:
    code, _, err = await s.massctl(*words)
    assert "fix:" in err
    return code, err


async def test_a_queue_is_made_changed_shown_and_removed(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        words = ("--quota", "gpu=8,gpu:H100=4,cpu=64,memory=512GiB", "--weight", "2")
        assert await ok(s, "queue", "put", "vision", *words) == "queue vision made\n"
        assert await ok(s, "queue", "put", "dev", "--parent", "vision", "--limit", "gpu=2")
        changed = await ok(s, "queue", "put", "vision", "--max-jobs", "5", "--priority", "0:9")
        assert changed == "queue vision changed\n"
        view = json.loads(await ok(s, "queue", "show", "vision", "-o", "json"))
        assert view["quota"] == {"cpu": 64, "gpu": 8, "gpu:H100": 4, "memory": "512GiB"}
        assert (view["weight"], view["maxJobs"], view["priorityMax"]) == (2, 5, 9)
        names = (await ok(s, "queue", "ls", "-o", "name")).split()
        assert names.index("vision") < names.index("dev")
        assert "borrow limit" not in await ok(s, "queue", "show", "vision")
        assert "gpu=8" in await ok(s, "queue", "show", "vision")
        await ok(s, "queue", "put", "vision", "--quota", "none")
        view = json.loads(await ok(s, "queue", "show", "vision", "-o", "json"))
        assert view["quota"] == {}
        assert await ok(s, "queue", "rm", "dev", "vision") == (
            "queue dev removed\nqueue vision removed\n"
        )
    async with scheduler(tmp_path) as s:
        assert "vision" not in await ok(s, "queue", "ls")


async def test_a_change_that_changes_nothing_is_not_journalled(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        await ok(s, "queue", "put", "vision", "--weight", "2")
        revision = s.engine.revision
        await ok(s, "queue", "put", "vision", "--weight", "2")
        assert s.engine.revision == revision


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("put", "a b"), 2),
        (("put", "x", "--parent", "nobody"), 2),
        (("put", "x", "--quota", "gpu=8", "--limit", "gpu=4"), 2),
        (("put", "x", "--quota", "gpus=8"), 2),
        (("put", "x", "--weight", "0"), 2),
        (("put", "x", "--priority", "9:1"), 2),
        (("show", "nobody"), 3),
        (("rm", "nobody"), 3),
        (("rm", "root"), 4),
    ],
)
async def test_an_impossible_queue_is_refused_with_a_fix(
    tmp_path: Path, words: tuple[str, ...], code: int
) -> None:
    async with scheduler(tmp_path) as s:
        revision = s.engine.revision
        assert (await refused(s, "queue", *words))[0] == code
        assert s.engine.revision == revision


async def test_a_quota_above_the_cluster_is_allowed_and_said(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        code, _, err = await s.massctl("queue", "put", "big", "--quota", "gpu=100")
        assert code == 0
        assert err.startswith("warning:")


async def test_shares_show_who_uses_what(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        await ok(s, "queue", "put", "vision")
        await s.job_in(await s.submit(spec(gpus=2, queue="vision")), PLACED)
        table = await ok(s, "share")
        titles = ["QUEUE", "WEIGHT", "SHARE", "PAST", "ENTITLED", "FAIR"]
        assert table.splitlines()[0].split()[:6] == titles
        report = json.loads(await ok(s, "share", "-o", "json"))["items"]
        row = next(row for row in report if row["name"] == "vision")
        assert (row["used"]["gpu"], row["active"], row["depth"]) == (2, 1, 1)
        assert row["dominant"] == "gpu"
        assert row["share"] == row["entitled"] == 1.0
        assert row["borrowed"] == {}


async def test_jobs_are_listed_by_queue_with_those_below(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        await ok(s, "queue", "put", "vision")
        await ok(s, "queue", "put", "dev", "--parent", "vision")
        for queue in ("vision", "dev", "default"):
            await s.submit(spec(queue=queue))
        assert (await ok(s, "ls", "--queue", "vision", "-o", "name")).split() == ["j1", "j2"]
        assert (await s.massctl("ls", "--queue", "nobody"))[0] == 3
        assert (await refused(s, "queue", "rm", "dev"))[0] == 4  # it has a job


async def test_a_cordoned_node_takes_nothing_new(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        assert await ok(s, "cordon", "n1", "--reason", "fan") == "n1 CORDONED\n"
        assert "fan" in await ok(s, "nodes")
        await s.submit(spec())
        job = await s.client.Get(scheduler_pb2.GetRequest(job="j1"))
        assert job.state == job_pb2.JOB_STATE_QUEUED
        assert await ok(s, "uncordon", "n1") == "n1 READY\n"
        await s.job_in("j1", PLACED)
        assert (await refused(s, "cordon", "n1", "n9"))[0] == 3


async def test_a_drain_empties_a_node_and_waits_for_it(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        item = await agent.running(s)
        assert await ok(s, "drain", "n1", "--deadline", "1h") == "n1 DRAINING\n"
        assert await ok(s, "drain", "n1", "--reason", "kernel") == "n1 DRAINING\n"
        job = await s.job_in(item.job_id, STOPPING)
        assert job.attempts[0].receipt.rule == job_pb2.STOP_RULE_DRAIN
        how = job_pb2.Exit(signal=15, reason=job_pb2.EXIT_REASON_STOPPED)
        await agent.report(item, job_pb2.SHARD_STATE_EXITED, exit=how)
        assert await ok(s, "drain", "n1", "--wait") == "n1 DRAINED\n"
        job = await s.client.Get(scheduler_pb2.GetRequest(job=item.job_id))
        assert job.state == job_pb2.JOB_STATE_QUEUED


async def test_reservations_are_put_listed_and_removed(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        when = ("--nodes", "n1", "--start", "+1h", "--length", "2h")
        out = await ok(s, "reserve", "put", "demo", *when, "--every", "7d", "--users", "ada,bob")
        assert out == "reservation demo of 1 node(s)\n"
        items = json.loads(await ok(s, "reserve", "ls", "-o", "json"))["items"]
        assert [(w["name"], w["users"], w["inForce"]) for w in items] == [
            ("demo", ["ada", "bob"], False)
        ]
        assert "in " in await ok(s, "reserve", "ls")
        code, err = await refused(s, "reserve", "put", "other", *when, "--maintenance")
        assert code == 2
        assert "massctl reserve rm demo" in err
        assert "cannot be: --start: in " in err
        assert (await refused(s, "reserve", "rm", "other"))[0] == 3
        assert await ok(s, "reserve", "rm", "demo") == "reservation demo removed\n"
        assert await ok(s, "reserve", "ls", "-o", "name") == ""


@pytest.mark.parametrize(
    ("made", "removed", "what"),
    [
        ("queue put demo", "queue rm demo", "queue"),
        (
            "reserve put demo --nodes n1 --start +1h --length 1h --maintenance",
            "reserve rm demo",
            "reservation",
        ),
    ],
)
async def test_what_is_removed_is_said_in_every_format(
    tmp_path: Path, made: str, removed: str, what: str
) -> None:
    async with scheduler(tmp_path) as s:
        await Agent(s, "n1").hello()
        for form, expected in (("table", f"{what} demo removed\n"), ("name", "demo\n")):
            await ok(s, *made.split())
            assert await ok(s, *removed.split(), "-o", form) == expected
        await ok(s, *made.split())
        view = json.loads(await ok(s, *removed.split(), "-o", "json"))
        assert view == {"apiVersion": "aimass/v1", "kind": "Removed", "what": what, "name": "demo"}


async def test_what_is_done_to_several_is_one_document(tmp_path: Path) -> None:
    """Of one it is that one. What was done before something failed is still said."""
    async with scheduler(tmp_path) as s:
        agents = [Agent(s, "n1"), Agent(s, "n2")]
        for agent in agents:
            await agent.hello()
        nodes = json.loads(await ok(s, "cordon", "n1", "n2", "-o", "json"))
        assert (nodes["kind"], [n["id"] for n in nodes["items"]]) == ("NodeList", ["n1", "n2"])
        jobs = [await s.submit(spec(name)) for name in ("a", "b")]
        held = json.loads(await ok(s, "hold", *jobs, "-o", "json"))
        assert (held["kind"], [job["state"] for job in held["items"]]) == ("JobList", ["HELD"] * 2)
        assert json.loads(await ok(s, "cancel", jobs[0], "-o", "json"))["id"] == jobs[0]
        for name in ("a", "b"):
            await ok(s, "queue", "put", name)
        code, out, err = await s.massctl("queue", "rm", "a", "gone", "b", "-o", "json")
        assert code == 3, err
        removed = {"apiVersion": "aimass/v1", "kind": "Removed", "what": "queue", "name": "a"}
        assert json.loads(out) == {
            "apiVersion": "aimass/v1",
            "kind": "RemovedList",
            "items": [removed],
        }


async def test_the_asyncio_client_has_the_same_calls(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s, AsyncClient(s.address, user="ada") as client:
        agent = Agent(s, "n1")
        await agent.hello()
        made = await client.admin.put_queue(scheduler_pb2.QueueSpec(name="vision", weight=3))
        assert (made.existed, made.queue.spec.weight) == (False, 3)
        assert [q.spec.name for q in (await client.admin.queues("vision")).queues] == ["vision"]
        window = scheduler_pb2.Window(
            name="demo", start_ms=now_ms() + 3_600_000, length_ms=1000, nodes=["n1"], users=["bob"]
        )
        assert (await client.admin.put_window(window)).next_start_ms == window.start_ms
        assert [w.name for w in (await client.admin.windows()).windows] == ["demo"]
        assert (await client.admin.cordon(["n1"], "fan")).nodes[0].cordon.endswith("fan")
        assert (await client.admin.drain(["n1"])).nodes[0].drain_ms > 0
        assert (await client.admin.uncordon(["n1"])).nodes[0].cordon == ""
        await client.admin.delete_window("demo")
        job_id = (await client.submit(spec(queue="vision"), held=True)).job_id
        assert (await client.release(job_id)).state != job_pb2.JOB_STATE_HELD
        await s.job_in(job_id, PLACED)
        assert (await client.suspend(job_id)).state == STOPPING
        second = (await client.submit(spec())).job_id
        await s.job_in(second, PLACED)
        assert (await client.requeue(second)).state == STOPPING
        third = (await client.submit(spec(start_after_ms=now_ms() + 3_600_000))).job_id
        assert (await client.hold(third, "later")).hold_reason == "held by ada: later"
        was = (await client.get(third)).spec
        assert (await client.update(third, spec(priority=4), was=was)).spec.priority == 4
        listing = await client.list(queue="vision")
        assert [job.id for job in listing.jobs] == [job_id]
        with pytest.raises(Conflict):
            await client.admin.delete_queue("root")


async def test_names_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "BUDGET_S", 20.0)
    async with scheduler(tmp_path) as s:
        monkeypatch.setenv("AIMASS_ADDRESS", s.address)
        agent = Agent(s, "n1")
        await agent.hello()
        await ok(s, "queue", "put", "vision")
        when = ("--start", "+1h", "--length", "2h", "--maintenance")
        await ok(s, "reserve", "put", "demo", "--nodes", "n1", *when)
        for names, begin, found in [
            (completion.node_ids, "n", ["n1"]),
            (completion.queue_names, "vi", ["vision"]),
            (completion.window_names, "", ["demo"]),
            (completion.job_ids, "x", []),
        ]:
            assert await asyncio.to_thread(names, begin) == found
        shell = ShellComplete(cli.massctl, {}, "massctl", "_MASSCTL_COMPLETE")
        for before, begin, found in [
            (["submit"], "--elastic-", ["--elastic-interval"]),
            (["logs", "-o"], "js", ["json", "jsonl"]),
            (["queue", "rm", "-o"], "j", ["json", "jsonl"]),
            (["update", "j1", "--queue"], "vi", ["vision"]),
            (["ls", "--queue"], "vi", ["vision"]),
            (["queue", "put", "x", "--parent"], "vi", ["vision"]),
        ]:
            items = await asyncio.to_thread(shell.get_completions, before, begin)
            assert [item.value for item in items] == found
