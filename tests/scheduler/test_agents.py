"""The agent link, with a scripted agent that speaks the real protocol."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aimass.core.codec import state_hash
from aimass.core.journal import JournalFullError
from aimass.scheduler.errors import Refused
from aimass.scheduler.journal_tools import verify
from aimass.v1 import agent_pb2, job_pb2, node_pb2, scheduler_pb2
from tests.scheduler.harness import Agent, Scheduler, eventually, inventory, scheduler, spec

QUEUED, PLACED, RUNNING, STOPPING, SUCCEEDED, FAILED, CANCELLED = (
    getattr(job_pb2, f"JOB_STATE_{word}")
    for word in ["QUEUED", "PLACED", "RUNNING", "STOPPING", "SUCCEEDED", "FAILED", "CANCELLED"]
)
READY, SUSPECT, LOST = (
    getattr(node_pb2, f"NODE_STATE_{word}") for word in ["READY", "SUSPECT", "LOST"]
)
GONE = job_pb2.Exit(code=0, reason=job_pb2.EXIT_REASON_EXITED)


async def test_a_job_runs_to_its_end_and_leaves_the_desired_set(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        welcome = (await agent.hello()).welcome
        assert (welcome.term, welcome.cluster_id) == (1, "test-cluster")
        job_id = await s.submit(spec())
        item = (await agent.desired(1)).assignments[0]
        assert (item.job_id, item.attempt, item.rank, item.goal) == (
            job_id,
            1,
            0,
            agent_pb2.GOAL_RUN,
        )
        assert list(item.launch.device_uuids) == ["GPU-0"]
        await agent.ran(item)
        await agent.desired(0)
        job = await s.job_in(job_id, SUCCEEDED)
        assert job.attempts[0].shards[0].pid == 100
        await agent.leave()


async def test_a_gang_on_two_nodes_gets_one_port_from_rank_0(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agents = [Agent(s, n, inventory=inventory(1)) for n in ("n1", "n2")]
        for agent in agents:
            await agent.hello()
        await s.submit(spec(shards=2))
        first = (await agents[0].desired(1)).assignments[0]
        assert (first.rank, first.launch.master_port, first.launch.world_size) == (0, 0, 2)
        await agents[0].report(first, job_pb2.SHARD_STATE_PREPARED, master_port=4242)
        for agent, rank in zip(agents, (0, 1), strict=True):
            while True:
                item = (await agent.desired(1)).assignments[0]
                if item.launch.master_port:
                    break
            assert (item.rank, item.launch.master_port) == (rank, 4242)
            assert (item.launch.group_rank, item.launch.local_rank) == (rank, 0)
            await agent.leave()


async def test_a_cancel_asks_the_agent_to_stop_and_ends_on_the_observed_exit(
    tmp_path: Path,
) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        item = await agent.running(s)
        job_id = item.job_id
        cancel = scheduler_pb2.CancelRequest(job=job_id, user="ada", grace_ms=5, has_grace=True)
        assert (await s.client.Cancel(cancel)).state == STOPPING
        while item.goal != agent_pb2.GOAL_STOP:
            item = (await agent.desired(1)).assignments[0]
        assert (item.grace_ms, item.stop_reason) == (5, "cancelled by ada")
        how = job_pb2.Exit(signal=15, reason=job_pb2.EXIT_REASON_STOPPED)
        await agent.report(item, job_pb2.SHARD_STATE_EXITED, exit=how)
        assert (await s.job_in(job_id, CANCELLED)).reason == "cancelled by ada"
        await agent.leave()


async def test_repeated_and_foreign_reports_change_nothing(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        owner, other = Agent(s, "n1", inventory=inventory(1)), Agent(s, "n2")
        await owner.hello()
        job_id = await s.submit(spec())
        item = (await owner.desired(1)).assignments[0]
        await other.hello()
        await owner.report(item, job_pb2.SHARD_STATE_RUNNING, pid=7)
        await s.job_in(job_id, RUNNING)
        before = await s.engine.ask(lambda c: state_hash(c.cluster))
        await owner.report(item, job_pb2.SHARD_STATE_RUNNING, pid=8)
        await other.report(item, job_pb2.SHARD_STATE_EXITED, exit=GONE)
        unknown = agent_pb2.Assignment(job_id="j99", attempt=1, rank=0)
        await owner.report(unknown, job_pb2.SHARD_STATE_EXITED, exit=GONE)
        old = agent_pb2.Assignment(job_id=job_id, attempt=7, rank=0)
        await owner.report(old, job_pb2.SHARD_STATE_EXITED, exit=GONE)
        for agent in (owner, other):  # a beat's answer comes after what was said before it
            await agent.say(heartbeat=agent_pb2.Heartbeat(seq=1))
            while not (await agent.hear()).HasField("heartbeat_ack"):
                pass
        assert await s.engine.ask(lambda c: state_hash(c.cluster)) == before
        for agent in (owner, other):
            await agent.leave()


async def test_a_broken_link_makes_the_node_suspect_and_kills_nothing(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        item = await agent.running(s)
        job_id = item.job_id
        await agent.leave()
        await s.node_in("n1", SUSPECT)
        assert (await s.job_in(job_id, RUNNING)).attempts[0].number == 1
        waiting = await s.submit(spec())
        why = await s.client.Why(scheduler_pb2.WhyRequest(job=waiting))
        assert why.code == "NODE_SUSPECT"
        known = agent_pb2.ShardReport(
            job_id=job_id, attempt=1, rank=0, state=job_pb2.SHARD_STATE_RUNNING, pid=7
        )
        back = Agent(s, "n1", incarnation=2, shards=[known])
        await back.hello()
        await s.node_in("n1", READY)
        assert {a.job_id for a in (await back.desired(2)).assignments} == {job_id, waiting}
        await back.leave()


async def test_a_silent_node_is_fenced_after_its_lease_and_the_job_goes_elsewhere(
    tmp_path: Path,
) -> None:
    async with scheduler(tmp_path, lease_ms=100, heartbeat_ms=30_000) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        item = await agent.running(s)
        job_id = item.job_id
        await agent.leave()
        await s.node_in("n1", LOST)
        job = await s.job_in(job_id, QUEUED)
        assert "node lost" in job.attempts[0].outcome
        other = Agent(s, "n2")
        await other.hello()
        item = (await other.desired(1)).assignments[0]
        assert (item.job_id, item.attempt) == (job_id, 2)
        await other.leave()


async def test_a_reboot_requeues_what_ran_there(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        item = await agent.running(s)
        job_id = item.job_id
        await agent.leave()
        back = Agent(s, "n1", incarnation=2, boot_id="boot-2")
        await back.hello()
        item = (await back.desired(1)).assignments[0]
        assert (item.job_id, item.attempt) == (job_id, 2)
        job = await s.client.Get(scheduler_pb2.GetRequest(job=job_id))
        assert job.attempts[0].shards[0].exit.reason == job_pb2.EXIT_REASON_NODE_REBOOT
        await back.leave()


async def test_a_running_shard_its_agent_has_forgotten_is_never_started_twice(
    tmp_path: Path,
) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        item = await agent.running(s)
        job_id = item.job_id
        await agent.leave()
        back = Agent(s, "n1", incarnation=2)
        await back.hello()
        item = (await back.desired(1)).assignments[0]
        assert (item.job_id, item.attempt) == (job_id, 2)
        await back.leave()


@pytest.mark.parametrize(
    ("register", "says"),
    [
        ({"protocol": 2, "agent_version": "9"}, "protocol 2"),
        ({"cluster_id": "another"}, "belongs to cluster another"),
        ({"incarnation": 0}, "another agent of node n1"),
        ({"node_id": ""}, "node id"),
        ({"instance": "another folder"}, "another data folder"),
    ],
)
async def test_what_is_no_agent_of_ours_is_refused_for_good(
    tmp_path: Path, register: dict[str, object], says: str
) -> None:
    async with scheduler(tmp_path) as s:
        first = Agent(s, "n1")
        await first.hello()
        refused = (await Agent(s, "n1", **register).hello()).refused
        assert says in refused.what
        assert refused.fix
        assert not refused.retry
        await s.node_in("n1", READY)
        await first.leave()


async def test_a_stranger_gets_a_silent_nodes_name_only_when_its_shards_are_fenced(
    tmp_path: Path,
) -> None:
    async with scheduler(tmp_path, lease_ms=200, heartbeat_ms=30_000) as s:
        agent = Agent(s, "n1", instance="a")
        await agent.hello()
        await s.submit(spec())
        await agent.desired(1)
        await agent.leave()
        await s.node_in("n1", SUSPECT)
        assert "another data folder" in (await Agent(s, "n1", instance="b").hello()).refused.what
        await s.node_in("n1", LOST)
        heir = Agent(s, "n1", instance="b")
        assert (await heir.hello()).HasField("welcome")
        assert (await heir.desired(1)).assignments[0].attempt == 2
        await heir.leave()


async def test_a_port_of_0_is_no_port(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        await s.submit(spec(shards=2))
        first = (await agent.desired(2)).assignments[0]
        await agent.report(first, job_pb2.SHARD_STATE_PREPARED, master_port=0)
        await agent.report(first, job_pb2.SHARD_STATE_PREPARED, master_port=4242)
        assert (await agent.desired(2)).assignments[0].launch.master_port == 4242
        await agent.leave()


async def test_an_agent_that_vanishes_while_it_registers_leaves_no_phantom(tmp_path: Path) -> None:
    async with scheduler(tmp_path, lease_ms=100, heartbeat_ms=30_000) as s:
        append, gate = s.journal.append, threading.Event()

        def held(events: object, first: int, term: int) -> None:
            gate.wait(20)
            append(events, first, term)  # type: ignore[arg-type]

        s.journal.append = held  # type: ignore[method-assign]
        agent = Agent(s, "n1")
        await agent.say(register=agent_pb2.Register(**agent._register))
        await eventually(lambda: s.links.links)
        await agent.leave()
        await eventually(lambda: not s.links.links)
        gate.set()
        await s.node_in("n1", LOST)


async def test_a_handlers_bug_is_its_callers_alone(tmp_path: Path) -> None:
    def bug(context: object) -> None:
        raise ZeroDivisionError

    async with scheduler(tmp_path) as s:
        with pytest.raises(Refused, match="failed at this request"):
            await s.engine.tell(bug)
        assert await s.submit(spec()) == "j1"


async def test_a_newer_agent_replaces_the_link_of_an_older(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        first = Agent(s, "n1")
        await first.hello()
        second = Agent(s, "n1", incarnation=2)
        await second.hello()
        while not (message := await first.hear()).HasField("refused"):
            pass
        assert message.refused.retry
        await s.submit(spec())
        await second.desired(1)
        await s.node_in("n1", READY)
        await second.leave()


def full(*_: object) -> None:
    raise JournalFullError("no space left for the journal")


@contextmanager
def full_disk(s: Scheduler) -> Iterator[None]:
    """The journal takes nothing while the block runs."""
    append, probe = s.journal.append, s.journal.probe
    s.journal.append = s.journal.probe = full  # type: ignore[method-assign]
    try:
        yield
    finally:
        s.journal.append, s.journal.probe = append, probe  # type: ignore[method-assign]


async def test_an_exit_reported_while_the_disk_was_full_is_asked_for_again(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        job_id = await s.submit(spec())
        item = (await agent.desired(1)).assignments[0]
        with full_disk(s):
            await agent.ran(item)
            await eventually(lambda: s.engine.refusing)
        while not (message := await agent.hear()).HasField("refused"):
            pass
        assert message.refused.retry
        ended = agent_pb2.ShardReport(
            job_id=job_id, attempt=1, rank=0, state=job_pb2.SHARD_STATE_EXITED, exit=GONE
        )
        again = Agent(s, "n1", shards=[ended])
        await again.hello()
        await s.job_in(job_id, SUCCEEDED)
        await again.leave()


async def test_a_node_lost_while_the_disk_was_full_is_still_fenced(tmp_path: Path) -> None:
    async with scheduler(tmp_path, lease_ms=100, heartbeat_ms=30_000) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        await s.node_in("n1", READY)
        with full_disk(s):
            await agent.leave()
            await eventually(lambda: s.engine.refusing)
        await s.node_in("n1", LOST)


async def test_a_shorter_lease_after_a_restart_does_not_fence_before_the_old_one_ends(
    tmp_path: Path,
) -> None:
    async with scheduler(tmp_path, lease_ms=60_000) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        await agent.leave()
        await s.node_in("n1", SUSPECT)
    async with scheduler(tmp_path, lease_ms=100, heartbeat_ms=30_000) as s:
        (fence_at_s,) = s.links._fence_at_s.values()
        assert fence_at_s > time.monotonic() + 55


async def test_a_set_carries_commands_only_for_what_is_to_be_started(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        job_id = await s.submit(spec(env={"BIG": "x" * 200_000}))
        item = (await agent.desired(1)).assignments[0]
        assert len(item.launch.env["BIG"]) == 200_000
        await agent.report(item, job_pb2.SHARD_STATE_RUNNING, pid=7)
        await s.job_in(job_id, RUNNING)
        await s.submit(spec())
        running, new = (await agent.desired(2)).assignments
        assert (running.job_id, running.HasField("launch")) == (job_id, False)
        assert new.HasField("launch")
        shown = (await s.client.List(scheduler_pb2.ListRequest())).jobs[0]
        assert not shown.spec.env
        await agent.leave()


async def test_what_a_daemon_wrote_is_verified_by_replay(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        await s.submit(spec())
        await agent.ran((await agent.desired(1)).assignments[0])
        await s.job_in("j1", SUCCEEDED)
        await agent.leave()
        await s.node_in("n1", SUSPECT)
    report = verify(tmp_path)
    assert report.ok, report.problem
    assert report.hashes_checked == 1
