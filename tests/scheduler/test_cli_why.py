"""massctl why, plan and history as a person uses them, against a scheduler in this process."""

import asyncio
import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from aimass import cli
from aimass.v1 import job_pb2
from tests.scheduler.harness import Agent, Scheduler, scheduler, spec

RUNNING, STOPPING = job_pb2.JOB_STATE_RUNNING, job_pb2.JOB_STATE_STOPPING
QUEUED = job_pb2.JOB_STATE_QUEUED
HOUR_MS = 3_600_000


async def massctl(s: Scheduler | None, *words: str) -> tuple[int, str]:
    """Run one command line; its exit code and all that it printed."""
    address = ("--address", s.address) if s is not None else ()
    at = words.index("--") if "--" in words else len(words)

    def run() -> tuple[int, str]:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = cli.run([*words[:at], *address, *words[at:]])
        return code, said.getvalue()

    return await asyncio.to_thread(run)


async def busy(s: Scheduler, agent: Agent) -> str:
    """Bob's job, which holds both GPUs for an hour."""
    await agent.hello()
    job_id = await s.submit(spec("first", gpus=2, walltime_ms=HOUR_MS), user="bob")
    desired = await agent.desired(1)
    await agent.report(desired.assignments[0], job_pb2.SHARD_STATE_RUNNING, pid=100)
    await s.job_in(job_id, RUNNING)
    return job_id


async def test_why_is_a_page_that_ends_with_commands_to_paste(tmp_path: Path) -> None:
    """And the command that it prints works: the job gets its places."""
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        first = await busy(s, agent)
        second = await s.submit(spec("second", gpus=2, walltime_ms=HOUR_MS))
        code, page = await massctl(s, "why", second)
        assert code == 0
        assert "Main reason: GPUS_BUSY" in page
        assert f"held by  {first} (bob): 2 GPUs, ends in 59m" in page
        assert "starts   at the latest in 59m" in page
        assert f"stops {first} (bob) under PRIORITY: it loses" in page
        command = re.search(r"massctl (update \S+ --priority 1)", page)
        assert command is not None
        assert (await massctl(s, *command[1].split()))[0] == 0
        await s.job_in(first, STOPPING)
        code, page = await massctl(s, "why", second)
        assert "Main reason: RESERVED" in page
        assert f"it owns places on n1 and waits for {first} to leave" in page


async def test_a_smaller_job_starts_by_the_command_that_why_prints(tmp_path: Path) -> None:
    """Three shards do not fit into two GPUs; two do."""
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        job_id = await s.submit(spec("wide", shards=3, gpus=1, allow_future=True))
        code, text = await massctl(s, "why", job_id, "-o", "json")
        view = json.loads(text)
        assert (code, view["codeKind"], view["fitsWhenEmpty"]) == (0, "CONFIG", False)
        (change,) = view["changes"]
        assert change["command"] == f"massctl update {job_id} --shards 2"
        assert (await massctl(s, *change["command"].split()[1:]))[0] == 0
        assert len((await agent.desired(2)).assignments) == 2


async def test_why_of_the_past_and_over_time(tmp_path: Path) -> None:
    """--at a time before the node joined; --history from then to now."""
    async with scheduler(tmp_path) as s:
        job_id = await s.submit(spec("early"))
        agent = Agent(s, "n1")
        await agent.hello()
        await agent.desired(1)
        code, page = await massctl(s, "why", job_id, "--history")
        assert code == 0
        assert re.search(r"NO_NODES +no node has joined the cluster", page)
        code, text = await massctl(s, "why", job_id, "--at", "1h")
        assert code == 3
        assert "at that time (revision 0)" in text
        code, text = await massctl(s, "why", job_id, "--at", "yesterday")
        assert code == 2


async def test_plan_says_where_when_and_at_what_cost_by_exit_codes_too(tmp_path: Path) -> None:
    """0 would start, 10 would wait, 7 never fits; nothing is journalled."""
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        first = await busy(s, agent)
        before = s.engine.revision
        work = ("--", "true")
        code, page = await massctl(s, "plan", "--gpus", "2", "--time", "3h", *work)
        assert code == 10
        assert "true would wait: GPUS_BUSY" in page
        assert "cost     6 GPU-hours by its limit of time" in page
        assert "starts   " in page
        code, page = await massctl(s, "plan", "--gpus", "2", "--priority", "5", *work)
        assert code == 0
        assert "would get its places on n1 as soon as others have left them" in page
        assert f"takes    stops {first} (bob) under PRIORITY" in page
        code, page = await massctl(s, "plan", "--gpus", "9", *work)
        assert code == 7
        assert "worker: 1 shard, at most 0" in page
        code, page = await massctl(s, "plan", "--gpus", "8", "--node", "+2x8xH100", *work)
        assert code == 0
        assert "would start now on new1" in page
        assert "weighed  2 nodes have room" in page
        cost = "about 7.8 ms by ring, slowest link NVLink x12"
        assert f"\n           all-reduce of 1 GiB over 8 GPUs: {cost}\n" in page
        code, text = await massctl(s, "submit", "--dry-run", "--gpus", "2", "-o", "json", *work)
        assert code == 10
        assert json.loads(text)["verdict"] == "WAITS"
        code, text = await massctl(s, "plan", "--node", "-nowhere", *work)
        assert "there is no node nowhere" in text
        assert s.engine.revision == before


async def test_plan_on_a_described_cluster_needs_no_scheduler(tmp_path: Path) -> None:
    """A file of nodes; errors name the place."""
    file = tmp_path / "cluster.yaml"
    file.write_text("nodes:\n  - {count: 4, gpus: 8xH100, labels: {rack: r1}}\n")
    words = ("plan", "--gpus", "8", "--shards", "4", "--cluster", str(file), "--", "true")
    code, page = await massctl(None, *words)
    assert (code, page.splitlines()[0]) == (0, "true would start now on n1,n2,n3,n4")
    words = (*words[:1], "-q", "vision", *words[1:])  # nobody described it: it bounds nothing
    code, page = await massctl(None, *words)
    assert (code, page.splitlines()[0]) == (0, "true would start now on n1,n2,n3,n4")
    file.write_text("nodes:\n  - {count: 2, gpus: 8xH100}\n")
    code, page = await massctl(None, *words)
    assert code == 7
    assert "worker: 4 shards, at most 2" in page
    file.write_text("nodes:\n  - {count: 2, gpu: 8}\n")
    code, page = await massctl(None, *words)
    assert "nodes.0: one of name, count, gpus" in page


async def test_a_firm_job_beyond_its_guarantee_is_warned_of_and_why_says_so(
    tmp_path: Path,
) -> None:
    """It would wait for ever; within the guarantee, or where nothing is guaranteed, no word."""
    async with scheduler(tmp_path) as s:
        await Agent(s, "n1").hello()
        firm = ("submit", "--gpus", "1", "--not-preemptible", "--name", "firm")
        work = ("--", "true")
        assert "warning" not in (await massctl(s, *firm, *work))[1]
        assert (await massctl(s, "queue", "put", "vision", "--quota", "gpu=1"))[0] == 0
        assert "warning" not in (await massctl(s, *firm, "-q", "vision", *work))[1]
        said = "never gets more than its queue is guaranteed, in default 0 GPUs, and this one needs"
        code, text = await massctl(s, *firm, *work)
        assert (code, f"warning: a job that cannot be preempted {said} 1 GPU: it" in text) == (0, 1)
        code, text = await massctl(s, *firm, "-o", "json", *work)
        assert said in json.loads(text[text.index("{") : text.rindex("}") + 1])["warnings"][0]
        code, page = await massctl(s, "why", "@last")
        assert "Main reason: QUOTA_FIRM" in page
        assert f"unblock  as it is, nothing: a job that cannot be preempted {said}" in page


async def test_history_is_told_with_receipts(tmp_path: Path) -> None:
    """Who took the place, under which rule, what was lost, and when it came back."""
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        first = await busy(s, agent)
        high = await s.submit(spec("high", gpus=2, priority=9, walltime_ms=HOUR_MS), user="ann")
        stopping = (await agent.desired(1)).assignments[0]
        how = job_pb2.Exit(signal=15, reason=job_pb2.EXIT_REASON_STOPPED)
        await agent.report(stopping, job_pb2.SHARD_STATE_EXITED, exit=how)
        await s.job_in(first, QUEUED)
        code, page = await massctl(s, "history", first)
        assert code == 0
        lines = [line.split("  ", 1)[1] for line in page.splitlines()]
        assert lines[0] == "SUBMITTED: by bob; to queue default, priority 0"
        assert lines[1].startswith("STARTED (attempt 1): best-fit: 1 shard on n1")
        stopped = next(line for line in lines if line.startswith("STOPPED"))
        assert f"under PRIORITY for {high} (ann)" in stopped
        assert "lost " in stopped
        assert any(line.startswith("PROMISED: at ") for line in lines)
        code, text = await massctl(s, "history", first, "-o", "json")
        assert [item["what"] for item in json.loads(text)["items"]][:2] == ["SUBMITTED", "STARTED"]
        code, page = await massctl(s, "history", first, "-o", "wide")
        assert "    by priority@1+best-fit@3" in page
        assert (await massctl(s, "history", "j77"))[0] == 3


@pytest.mark.parametrize("node", ["8xH100", "+0x8xH100", "-", "+2x8"])
async def test_an_impossible_node_is_refused_with_the_form(tmp_path: Path, node: str) -> None:
    """What is allowed is said."""
    code, text = await massctl(None, "plan", "--node", node, "--", "true")
    assert code == 2
    assert "+2x8xH100" in text
