"""The stream to the scheduler: fences, refusals, reconnecting."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aimass.nodeagent.link import Backoff, Link
from aimass.v1 import agent_pb2, node_pb2
from tests.nodeagent.fake_scheduler import FakeScheduler
from tests.nodeagent.node import Node
from tests.waiting import wait_until

KEY = ("j1", 1, 0)


def test_register_says_who_and_what_the_node_is(scheduler: FakeScheduler, node: Node) -> None:
    """Identity, boot, and the inventory with its probe named."""
    register = wait_until(lambda: scheduler.seen.registers)[0]
    assert (register.protocol, register.node_id) == (1, "n1")
    assert register.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    inventory = register.inventory
    assert (inventory.probe, inventory.address) == ("simulated", "127.0.0.1")
    assert [device.model for device in inventory.devices] == ["H100-SXM5-80GB"] * 2
    assert inventory.cpu_milli > 0
    assert inventory.memory_mib > 0


def test_ready_is_said_once_and_heartbeats_tell_what_is_applied(
    scheduler: FakeScheduler, node: Node
) -> None:
    """The line on stdout is for scripts; beats carry the generation."""
    scheduler.send_desired()
    wait_until(lambda: scheduler.seen.beats and scheduler.seen.beats[-1].generation == 1)
    scheduler.break_links()
    wait_until(lambda: len(scheduler.seen.registers) == 2)
    assert node.process is not None
    assert node.process.stdout is not None
    node.process.terminate()
    assert node.process.stdout.read() == "massnode n1 ready, 2 devices (simulated)\n"


@pytest.mark.parametrize(("term", "generation"), [(0, 99), (1, 1)])
def test_an_older_term_or_generation_is_refused(
    scheduler: FakeScheduler, node: Node, term: int, generation: int
) -> None:
    """A late message of an old leader, or an old message of this one, stops nothing."""
    scheduler.want(KEY, ["sleep", "600"])
    scheduler.send_desired()
    wait_until(lambda: scheduler.states(KEY) == ["RUNNING"])
    late = agent_pb2.DesiredSet(term=term, generation=generation)
    scheduler.send(agent_pb2.SchedulerMessage(desired=late))
    wait_until(lambda: "refused: older" in (node.data / "agent.log").read_text())
    beats = len(scheduler.seen.beats)
    wait_until(lambda: len(scheduler.seen.beats) > beats + 1)
    assert scheduler.states(KEY) == ["RUNNING"]


def test_an_older_term_is_refused_by_the_next_agent_as_well(
    scheduler: FakeScheduler, node: Node
) -> None:
    """The highest term is on disk: a restarted agent does not follow a deposed leader."""
    scheduler.term = 5
    scheduler.send_desired()
    wait_until(lambda: scheduler.seen.beats and scheduler.seen.beats[-1].term == 5)
    node.kill()
    scheduler.term = 4
    node.start()
    wait_until(lambda: "old term 4, now 5" in (node.data / "agent.log").read_text())
    assert scheduler.seen.registers[-1].term == 5


def test_the_agent_comes_again_when_the_scheduler_is_back(
    tmp_path: Path, scheduler: FakeScheduler, node: Node
) -> None:
    """Another process on the same port: shards are registered as they are, nothing restarts."""
    scheduler.want(KEY, ["sleep", "600"])
    wait_until(lambda: scheduler.states(KEY) == ["RUNNING"])
    scheduler.close()
    again = FakeScheduler(scheduler.port, term=2)
    try:
        again.assignments = scheduler.assignments
        wait_until(lambda: again.states(KEY) == ["RUNNING"])
        assert again.last(KEY) == scheduler.last(KEY)
    finally:
        again.close()


def test_a_scheduler_is_found_again_by_its_address_file(
    tmp_path: Path, scheduler: FakeScheduler
) -> None:
    """@FILE is read at each connect; a file that is not there yet is waited for."""
    file = tmp_path / "massd.json"
    node = Node(tmp_path / "node", f"@{file}").start()
    try:
        wait_until(lambda: "no scheduler address" in (node.data / "agent.log").read_text())
        file.write_text(json.dumps({"address": scheduler.address}))
        wait_until(lambda: scheduler.seen.registers)
        other = FakeScheduler()
        file.write_text(json.dumps({"address": other.address}))
        scheduler.break_links()
        wait_until(lambda: other.seen.registers)
        other.close()
    finally:
        node.close()


def test_a_refusal_for_good_ends_the_agent_with_its_fix(
    tmp_path: Path, scheduler: FakeScheduler
) -> None:
    """Another protocol version, say: what, why and fix, no traceback, exit code 4."""
    scheduler.refuse = agent_pb2.Refused(
        what="it speaks protocol 1, this massd 2", fix="install aimass 2.0 on the node"
    )
    node = Node(tmp_path / "node", scheduler.address).start()
    assert node.wait() == 4
    complaint = (node.data / "agent.log").read_text()
    assert complaint == (
        "error: the scheduler refused this node\n"
        "why: it speaks protocol 1, this massd 2\n"
        "fix: install aimass 2.0 on the node\n"
    )


def test_a_refusal_for_now_is_tried_again(tmp_path: Path, scheduler: FakeScheduler) -> None:
    """The agent backs off and comes again."""
    scheduler.refuse = agent_pb2.Refused(what="recovering", retry=True)
    node = Node(tmp_path / "node", scheduler.address).start()
    try:
        wait_until(lambda: len(scheduler.seen.registers) >= 2)
        scheduler.refuse = None
        wait_until(lambda: scheduler.seen.beats)
    finally:
        node.close()


def test_a_scheduler_of_another_cluster_is_not_obeyed(scheduler: FakeScheduler, node: Node) -> None:
    """Its desired set would stop everything here."""
    wait_until(lambda: scheduler.seen.beats)
    node.kill()
    scheduler.cluster_id = "another"
    node.start()
    assert node.wait() == 4
    assert "belongs to cluster test-cluster, not another" in (node.data / "agent.log").read_text()


def test_a_silent_scheduler_is_left_and_dialled_again(
    tmp_path: Path, scheduler: FakeScheduler
) -> None:
    """A stream that carries nothing any more is as good as broken."""
    scheduler.answers_beats = False
    node = Node(tmp_path / "node", scheduler.address).start()
    try:
        wait_until(lambda: len(scheduler.seen.registers) >= 2)
    finally:
        node.close()


def test_links_that_end_right_after_their_welcome_come_less_and_less_often() -> None:
    """Each writes to the scheduler's journal; a link that lived for a while is no such link."""
    backoff = Backoff()
    flapping = [backoff.after(0.5) for _ in range(40)]
    assert flapping == sorted(flapping)
    assert (flapping[0], flapping[-1]) == (0.1, 15.0)
    assert backoff.after(60.0) == 0.1
    assert max(backoff.after(None) for _ in range(40)) == 3.0


def test_a_scheduler_that_is_not_there_is_named_at_the_first_attempt(tmp_path: Path) -> None:
    """Refused connections are not waited out; the agent goes on trying."""
    node = Node(tmp_path / "node", "127.0.0.1:1").start()
    try:
        log = tmp_path / "node" / "agent.log"
        said = json.loads(wait_until(lambda: log.read_text().splitlines())[0])
        assert (said["to"], said["failures"]) == ("127.0.0.1:1", 1)
        assert "Connection refused" in said["why"]
        assert "trying on" in said["event"]
    finally:
        node.close()


class FakePushes:
    """A PushLogs call that keeps what is written."""

    def __init__(self) -> None:
        self.pushes: list[agent_pb2.LogPush] = []

    def PushLogs(self) -> "FakePushes":
        return self

    async def write(self, push: agent_pb2.LogPush) -> None:
        self.pushes.append(push)

    async def done_writing(self) -> None:
        pass

    def __await__(self) -> Any:
        yield from ()

    def cancel(self) -> None:
        pass


def test_a_log_request_too_many_is_answered(tmp_path: Path) -> None:
    """Its reader learns why there is nothing, instead of waiting for ever."""

    async def ask() -> list[agent_pb2.LogPush]:
        agent: Any = SimpleNamespace(home=SimpleNamespace(node_id="n1", shards=tmp_path))
        link = Link("", agent, node_pb2.Inventory(), "", lambda: None)
        never = asyncio.get_running_loop().create_future()
        pushes: Any = {asyncio.ensure_future(asyncio.shield(never)) for _ in range(512)}
        stub, busy = FakePushes(), set(pushes)
        request = agent_pb2.LogRequest(request_id="l1", job_id="j1", attempt=1, follow=True)
        link._push(stub, request, pushes)
        await asyncio.gather(*(pushes - busy))
        return stub.pushes

    note = "node n1 serves 512 log streams already"
    assert asyncio.run(ask()) == [agent_pb2.LogPush(request_id="l1", note=note, eof=True)]
