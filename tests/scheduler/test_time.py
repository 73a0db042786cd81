"""Time in the daemon: what falls due happens by itself, and nothing else is written for it."""

import time
from pathlib import Path

from aimass.core.events import Tick
from aimass.v1 import job_pb2, scheduler_pb2
from tests.scheduler.harness import Agent, Scheduler, eventually, scheduler, spec
from tests.scheduler.test_agents import full_disk

FAILED, HELD = job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_HELD
QUEUED, PLACED = job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_PLACED
SOON_MS = 300


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def ticks(s: Scheduler) -> int:
    return sum(isinstance(event, Tick) for _, event in s.journal.read(0))


async def test_a_job_starts_when_its_time_has_come(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        start_ms = now_ms() + SOON_MS
        job_id = await s.submit(spec(start_after_ms=start_ms))
        reading = await s.client.Get(scheduler_pb2.GetRequest(job=job_id))
        assert reading.state == QUEUED
        assert reading.reason.startswith("NOT_BEFORE")
        placed = await s.job_in(job_id, PLACED)
        assert placed.attempts[0].placed_ms >= start_ms
        assert ticks(s) == 1


async def test_a_deadline_that_cannot_be_kept_ends_the_job(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        job_id = await s.submit(spec(deadline_ms=now_ms() + SOON_MS))
        job = await s.job_in(job_id, FAILED)
        assert "deadline" in job.reason
        assert ticks(s) == 1


async def test_nothing_is_journalled_while_nothing_falls_due(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        await s.submit(spec(start_after_ms=now_ms() + 3_600_000))
        revision = s.engine.revision
        assert s.engine.next_tick_ms > now_ms()
        for _ in range(100):
            await s.engine.ask(lambda context: None)
        assert s.engine.revision == revision
        assert ticks(s) == 0


async def test_time_that_passed_while_the_daemon_was_away_counts(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        job_id = await s.submit(spec(deadline_ms=now_ms() + SOON_MS))
        await s.engine.ask(lambda context: None)
    async with scheduler(tmp_path) as s:
        assert (await s.job_in(job_id, FAILED)).state == FAILED


async def test_a_reservation_empties_its_nodes_when_it_begins(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        item = await agent.running(s)
        window = scheduler_pb2.Window(
            name="demo",
            start_ms=now_ms() + SOON_MS,
            length_ms=3_600_000,
            nodes=["n1"],
            users=["bob"],
        )
        reply = await s.client.PutWindow(scheduler_pb2.PutWindowRequest(window=window))
        assert len(reply.warnings) == 1
        assert item.job_id in reply.warnings[0]
        job = await s.job_in(item.job_id, job_pb2.JOB_STATE_STOPPING)
        assert job.attempts[0].receipt.rule == job_pb2.STOP_RULE_WINDOW
        node = (await s.client.Nodes(scheduler_pb2.NodesRequest())).nodes[0]
        assert list(node.windows) == ["demo"]


async def test_what_falls_due_on_a_full_disk_happens_when_there_is_space_again(
    tmp_path: Path,
) -> None:
    async with scheduler(tmp_path) as s:
        job_id = await s.submit(spec(deadline_ms=now_ms() + SOON_MS))
        with full_disk(s):
            await eventually(lambda: s.engine.refusing)
            assert (await s.client.Get(scheduler_pb2.GetRequest(job=job_id))).state == QUEUED
        await s.job_in(job_id, FAILED)
        assert ticks(s) == 1
