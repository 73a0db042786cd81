"""Folders and records that a loss of power, a full disk or a dying agent has left half done."""

import asyncio
import os
from pathlib import Path

import pytest

from aimass.nodeagent import durable, processes, shards
from aimass.nodeagent.crash import GANG_CRASH_POINTS
from aimass.nodeagent.home import Home, NodeError
from aimass.nodeagent.main import Config, _inventory
from aimass.nodeagent.probe_simulated import SimulatedProbe
from aimass.nodeagent.prune import prune
from aimass.nodeagent.reconcile import Fence, Phase, ShardKey
from aimass.v1 import job_pb2
from tests.nodeagent.fake_scheduler import FakeScheduler
from tests.nodeagent.node import Node
from tests.waiting import wait_until

KEY = ("j1", 1, 0)
BOOT = processes.boot_id()


def folder_of(root: Path, name: str = "j1.1.0", boot: str = BOOT, **files: str) -> Path:
    """Make a shard's folder with an intent of `boot`; files: name without .json = text."""
    folder = root / name
    (folder / "scratch").mkdir(parents=True)
    env = {"AIMASS_SHARD_DIR": f"{folder}/scratch"}
    spec = {"boot_id": boot, "node": "n1", "env": env, "argv": ["true"]}
    durable.write_json(f"{folder}/spec.json", spec)
    for file, text in files.items():
        (folder / f"{file}.json").write_text(text)
    return folder


def test_a_shim_record_emptied_by_a_loss_of_power_is_a_reboot(tmp_path: Path) -> None:
    """shim.json is not synced: after another boot it is not even read."""
    folder_of(tmp_path, boot="before", shim="")
    ((_, found),) = shards.scan(tmp_path, BOOT)
    assert (found.phase, found.exit["reason"]) == (Phase.EXITED, "NODE_REBOOT")


def test_an_end_on_record_outlives_a_reboot(tmp_path: Path) -> None:
    """A program that ended before the power went has its own end."""
    folder_of(tmp_path, boot="before", shim="", exit='{"code": 3, "reason": "EXITED"}')
    ((_, found),) = shards.scan(tmp_path, BOOT)
    assert found.exit == {"code": 3, "reason": "EXITED"}


def test_a_damaged_shim_record_of_this_boot_is_a_lost_shard(tmp_path: Path) -> None:
    """It may have run, so it is not launched again here; the scheduler makes a new attempt."""
    folder = folder_of(tmp_path, shim="")
    assert shards.look(folder, BOOT).exit["reason"] == "SUPERVISOR_LOST"


def test_no_single_folder_keeps_the_others_from_being_adopted(tmp_path: Path) -> None:
    """Each kind of damage is left out; the good ones are all there."""
    (folder_of(tmp_path, "j1.1.0") / "spec.json").write_text("")
    (folder_of(tmp_path, "j2.1.0") / "spec.json").write_text("{}")
    unreadable = folder_of(tmp_path, "j3.1.0") / "spec.json"
    unreadable.unlink()
    unreadable.mkdir()  # reading a folder is an OSError, for root too
    folder_of(tmp_path, "j4.1.0")
    assert [key.job_id for key, _ in shards.scan(tmp_path, BOOT)] == ["j4"]


def test_a_folder_without_intent_and_port_is_removed(tmp_path: Path) -> None:
    """Its agent died right after mkdir: taken for a reservation it would have port 0."""
    (tmp_path / "j1.1.0").mkdir()
    shards.write_port(tmp_path / "j2.1.0", 4711)
    ((key, found),) = shards.scan(tmp_path, BOOT)
    assert (key, found.phase, found.port) == (ShardKey("j2", 1, 0), Phase.PREPARED, 4711)
    assert os.listdir(tmp_path) == ["j2.1.0"]


@pytest.mark.parametrize("point", GANG_CRASH_POINTS)
def test_an_agent_that_dies_while_reserving_reserves_again(
    tmp_path: Path, scheduler: FakeScheduler, point: str
) -> None:
    """The next agent reports a real port."""
    node = Node(tmp_path / "node", scheduler.address).start(crash_at=point)
    try:
        scheduler.want(KEY, ["true"], world_size=2)
        assert node.wait() == 137
        node.start()
        report = wait_until(lambda: scheduler.last(KEY))
        assert scheduler.states(KEY) == ["PREPARED"]
        assert report.master_port > 0
    finally:
        node.close()


def test_a_process_that_does_not_die_is_left_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in D state: an error after a bounded time, and no end on record."""
    folder = folder_of(tmp_path, shim='{"shim_pid": 0, "shim_start": 0, "pid": 0}')
    monkeypatch.setattr(shards, "_LOST_S_MAX", 0.02)
    monkeypatch.setattr(processes, "marked", lambda *_: [4711])
    monkeypatch.setattr(processes, "kill", lambda _: None)
    with pytest.raises(TimeoutError, match="4711"):
        shards.look(folder, BOOT)
    assert not (folder / "exit.json").exists()


def test_adopting_waits_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard whose shim is dead is read as it is; settling it is for later."""
    folder_of(tmp_path, shim='{"shim_pid": 1, "shim_start": 1, "pid": 2}')
    monkeypatch.setattr(processes, "marked", lambda *_: pytest.fail("settled while scanning"))
    ((_, found),) = shards.scan(tmp_path, BOOT)
    assert found.phase is Phase.RUNNING


def test_a_launch_over_a_damaged_intent_ends_with_a_reason(
    scheduler: FakeScheduler, node: Node
) -> None:
    """It does not stay between LAUNCHING and an end for ever."""
    (folder_of(node.data / "shards") / "spec.json").write_text("")
    scheduler.want(KEY, ["true"])
    end = wait_until(lambda: scheduler.exit_of(KEY))
    assert "spec.json cannot be read" in end.detail


@pytest.mark.parametrize("in_the_way", ["shim.err", "control"])
def test_a_launch_that_fails_for_the_nodes_own_reasons_is_for_another_attempt(
    scheduler: FakeScheduler, node: Node, in_the_way: str
) -> None:
    """The shim cannot be started, or breaks before the program: the program is not to blame."""
    (folder_of(node.data / "shards") / in_the_way).mkdir()
    scheduler.want(KEY, ["true"])
    end = wait_until(lambda: scheduler.exit_of(KEY))
    assert end.reason == job_pb2.EXIT_REASON_SUPERVISOR_LOST
    assert "node n1" in end.detail


def test_only_forgotten_folders_are_measured_and_no_link_is_followed(tmp_path: Path) -> None:
    """What a link leads to takes no space here, and is there afterwards."""
    root, outside = tmp_path / "shards", tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"x" * 1000)
    folder = folder_of(root)
    (folder / "scratch" / "dir").symlink_to(outside)
    (folder / "scratch" / "file").symlink_to(outside / "file")
    shards.forget(folder)
    assert prune(root, folders_max=9, bytes_max=900) == []
    assert prune(root, folders_max=0, bytes_max=0) == ["j1.1.0"]
    assert (outside / "file").exists()


def test_the_term_is_on_disk_and_the_generation_is_not(tmp_path: Path) -> None:
    """A record per desired set would be a sync each, or a file that a loss of power empties."""
    home = Home(tmp_path, "n1", BOOT)
    home.obey(Fence(3, 1), "c")
    record = tmp_path / "scheduler.json"
    assert durable.read_json(str(record)) == {"cluster_id": "c", "term": 3}
    before = record.stat().st_ino
    home.obey(Fence(3, 2), "c")
    assert home.fence == Fence(3, 2)
    assert record.stat().st_ino == before
    home.obey(Fence(4, 1), "c")
    assert durable.read_json(str(record)) == {"cluster_id": "c", "term": 4}


@pytest.mark.parametrize("error", [OSError("driver gone"), ValueError("no number")])
def test_a_probe_that_fails_in_any_way_is_an_error_with_a_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The minute's look goes on from a NodeError with what was last known."""
    probe = SimulatedProbe("1xA100", "n1")

    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(SimulatedProbe, "devices", fail)
    config = Config(tmp_path, "127.0.0.1:1", "n1", "", {}, (), "127.0.0.1", 1, 1)
    with pytest.raises(NodeError, match=str(error)):
        asyncio.run(_inventory(probe, config))
