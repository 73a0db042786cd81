"""Agents, shims and machines that die at the worst moment. Ground truth: what programs wrote."""

import os
import signal
from pathlib import Path

import pytest

from aimass.nodeagent import durable, processes
from aimass.nodeagent.crash import CRASH_POINTS
from aimass.v1 import job_pb2
from tests.nodeagent.fake_scheduler import FakeScheduler
from tests.nodeagent.node import Node
from tests.waiting import wait_until

KEY = ("j1", 1, 0)


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_an_agent_that_dies_at_any_point_launches_once_and_reports_the_end(
    tmp_path: Path, scheduler: FakeScheduler, point: str
) -> None:
    """Die at each named point, start again: the program ran exactly once, its end is known."""
    ran = tmp_path / "ran"
    node = Node(tmp_path / "node", scheduler.address).start(crash_at=point)
    try:
        scheduler.want(KEY, ["sh", "-c", f"echo ran >> {ran}; exit 4"])
        assert node.wait() == 137
        node.start()
        end = wait_until(lambda: scheduler.exit_of(KEY))
        assert (end.code, end.reason) == (4, job_pb2.EXIT_REASON_EXITED)
        assert ran.read_text() == "ran\n"
    finally:
        node.close()


def test_shards_go_on_without_their_agent_and_are_adopted(
    scheduler: FakeScheduler, node: Node
) -> None:
    """SIGKILL the agent: same process, nothing launched again, and the new agent can stop it."""
    scheduler.want(KEY, ["sh", "-c", "echo up; exec sleep 600"])
    wait_until(lambda: scheduler.states(KEY) == ["RUNNING"])
    pid = node.shim(KEY)["pid"]
    node.kill()
    assert processes.start_time(pid) > 0
    node.start()
    wait_until(lambda: scheduler.states(KEY) == ["RUNNING", "RUNNING"])
    first, second = scheduler.seen.registers
    assert (first.incarnation, second.incarnation) == (1, 2)
    assert first.instance == second.instance != ""
    report = scheduler.last(KEY)
    assert report is not None
    assert report.pid == pid == node.shim(KEY)["pid"]
    scheduler.stop(KEY)
    end = wait_until(lambda: scheduler.exit_of(KEY))
    assert (end.signal, end.reason) == (15, job_pb2.EXIT_REASON_STOPPED)
    assert node.output(KEY) == "up\n"


def test_a_shard_that_ended_without_an_agent_is_reported_by_the_next(
    scheduler: FakeScheduler, node: Node, tmp_path: Path
) -> None:
    """The end waits on disk until somebody tells it, and is told at each Register."""
    go = tmp_path / "go"
    os.mkfifo(go)
    scheduler.want(KEY, ["sh", "-c", f"read x < {go}; exit 6"])
    wait_until(lambda: scheduler.states(KEY) == ["RUNNING"])
    node.kill()
    go.write_text("go\n")
    wait_until((node.folder(KEY) / "exit.json").exists)
    node.start()
    end = wait_until(lambda: scheduler.exit_of(KEY))
    assert end.code == 6
    scheduler.break_links()
    wait_until(lambda: len(scheduler.seen.registers) == 3)
    assert scheduler.seen.registers[2].shards[0].exit == end


def test_sigterm_ends_the_agent_cleanly_and_leaves_shards_alone(
    scheduler: FakeScheduler, node: Node
) -> None:
    """An upgrade is a stop and a start of the agent."""
    scheduler.want(KEY, ["sleep", "600"])
    wait_until(lambda: scheduler.states(KEY) == ["RUNNING"])
    assert node.kill(signal.SIGTERM) == 0
    assert processes.start_time(node.shim(KEY)["pid"]) > 0


def test_a_shard_dies_with_its_shim_and_nothing_of_it_stays(
    scheduler: FakeScheduler, node: Node, tmp_path: Path
) -> None:
    """SUPERVISOR_LOST is told only when neither the program nor what it started lives."""
    child = tmp_path / "child"
    scheduler.want(KEY, ["sh", "-c", f"setsid sleep 600 & echo $! > {child}; exec sleep 600"])
    wait_until(lambda: child.exists() and child.read_text())
    wait_until(lambda: scheduler.states(KEY) == ["RUNNING"])
    shim = node.shim(KEY)
    os.kill(shim["shim_pid"], signal.SIGKILL)
    end = wait_until(lambda: scheduler.exit_of(KEY))
    assert end.reason == job_pb2.EXIT_REASON_SUPERVISOR_LOST
    assert f"its shim (pid {shim['shim_pid']}) died on node n1" in end.detail
    assert processes.start_time(shim["pid"]) == 0
    assert processes.start_time(int(child.read_text())) == 0


def test_agent_and_shim_dead_at_once_is_found_at_the_next_start(
    scheduler: FakeScheduler, node: Node
) -> None:
    """The lock is free and no end is on disk: the shard is lost, and not launched again."""
    scheduler.want(KEY, ["sleep", "600"])
    wait_until(lambda: scheduler.states(KEY) == ["RUNNING"])
    node.kill()
    shim = node.shim(KEY)
    os.kill(shim["shim_pid"], signal.SIGKILL)
    wait_until(lambda: processes.start_time(shim["shim_pid"]) == 0)
    node.start()
    end = wait_until(lambda: scheduler.exit_of(KEY))
    assert end.reason == job_pb2.EXIT_REASON_SUPERVISOR_LOST


@pytest.mark.parametrize("file", ["spec.json", "shim.json"])
def test_a_shard_of_another_boot_is_over(
    scheduler: FakeScheduler, node: Node, file: str, tmp_path: Path
) -> None:
    """After a reboot neither a running shard nor a mere intent is started (again)."""
    ran = tmp_path / "ran"
    node.kill()
    folder = node.folder(KEY)
    folder.mkdir(parents=True)
    spec = {"boot_id": "before", "node": "n1", "env": {}, "argv": ["touch", str(ran)]}
    durable.write_json(f"{folder}/spec.json", spec)
    if file == "shim.json":
        shim = {"boot_id": "before", "shim_pid": 1, "shim_start": 1, "pid": 2, "start": 1}
        durable.write_json(f"{folder}/shim.json", shim)
    scheduler.want(KEY, ["touch", str(ran)])
    node.start()
    end = wait_until(lambda: scheduler.exit_of(KEY))
    assert (end.reason, end.code, end.signal) == (job_pb2.EXIT_REASON_NODE_REBOOT, 0, 0)
    assert not ran.exists()


def test_a_lease_that_runs_out_stops_the_shard_even_without_an_agent(
    tmp_path: Path, scheduler: FakeScheduler
) -> None:
    """The shim is the last fence: SIGTERM before the deadline, and the end says why."""
    scheduler.lease_ms = 1500
    node = Node(tmp_path / "node", scheduler.address).start()
    try:
        scheduler.want(KEY, ["sleep", "600"])
        wait_until(lambda: scheduler.states(KEY) == ["RUNNING"])
        node.kill()
        wait_until((node.folder(KEY) / "exit.json").exists)
        scheduler.lease_ms = 60_000
        node.start()
        end = wait_until(lambda: scheduler.exit_of(KEY))
        assert (end.signal, end.reason) == (15, job_pb2.EXIT_REASON_LEASE_EXPIRED)
        assert "no word from the scheduler" in end.detail
    finally:
        node.close()


def test_a_lease_that_is_extended_stops_nothing(tmp_path: Path, scheduler: FakeScheduler) -> None:
    """Several leases long, with heartbeats answered: the shard ends by itself."""
    scheduler.lease_ms = 600
    node = Node(tmp_path / "node", scheduler.address).start()
    try:
        scheduler.want(KEY, ["sleep", "2"], grace_ms=60_000)
        end = wait_until(lambda: scheduler.exit_of(KEY))
        assert (end.code, end.reason) == (0, job_pb2.EXIT_REASON_EXITED)
    finally:
        node.close()
