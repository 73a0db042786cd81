"""`massnode` at the command line: what it refuses, and how it says so."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.nodeagent.fake_scheduler import FakeScheduler
from tests.nodeagent.node import Node
from tests.waiting import wait_until


def massnode(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command = [sys.executable, "-m", "aimass.nodeagent.main", "--scheduler", "127.0.0.1:1"]
    return subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=30, check=False
    )


def said(result: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Give the words of an error by their names; there is nothing else, no traceback."""
    assert result.stdout == ""
    return dict(line.split(": ", 1) for line in result.stderr.splitlines())


def test_a_second_agent_on_the_same_folder_is_refused(scheduler: FakeScheduler, node: Node) -> None:
    """Two agents would both launch."""
    wait_until(lambda: scheduler.seen.registers)
    result = massnode("--data", str(node.data), "--node-id", "n1", "--simulate", "1xA100")
    assert result.returncode == 4
    assert node.process is not None
    assert said(result) == {
        "error": f"the data folder {node.data} is in use",
        "why": f"another massnode (pid {node.process.pid}) runs on it",
        "fix": "stop that one first, or give this one its own --data and --node-id",
    }


def test_a_folder_of_another_node_is_refused(scheduler: FakeScheduler, node: Node) -> None:
    """A node keeps its name."""
    wait_until(lambda: scheduler.seen.registers)
    node.kill()
    result = massnode("--data", str(node.data), "--node-id", "n2", "--simulate", "1xA100")
    assert result.returncode == 4
    assert said(result)["fix"] == "start it with --node-id n1, or give another --data"


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "file").write_text("")
    result = massnode("--data", f"{tmp_path}/file/x", "--simulate", "1xA100")
    assert result.returncode == 1
    assert said(result)["error"] == f"cannot use the data folder {tmp_path}/file/x"
    assert "--data" in said(result)["fix"]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    """Going on without it could obey an old leader."""
    (tmp_path / "node.json").write_text("{")
    result = massnode("--data", str(tmp_path), "--simulate", "1xA100")
    assert result.returncode == 1
    assert said(result)["error"] == f"cannot read {tmp_path}/node.json"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--simulate", "lots"], "2xH100-SXM5-80GB"),
        (["--simulate", "1xA", "--label", "nonsense"], "KEY=VALUE"),
        (["--simulate", "1xA", "--node-id", "a/b"], "letters, digits"),
        (["--cpus", "0"], "cpus"),
    ],
)
def test_options_that_make_no_sense_are_usage_errors(
    tmp_path: Path, options: list[str], words: str
) -> None:
    """Exit code 2, and the form that would do."""
    result = massnode("--data", str(tmp_path), *options)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_taints_are_part_of_the_inventory(tmp_path: Path, scheduler: FakeScheduler) -> None:
    """Each once, a key alone or with a value."""
    node = Node(tmp_path / "node", scheduler.address)
    words = ["--taint", "dedicated=research", "--taint", "slow", "--taint", "slow"]
    try:
        node.start(*words)
        wait_until(lambda: scheduler.seen.registers)
        inventory = scheduler.seen.registers[0].inventory
        assert list(inventory.taints) == ["dedicated=research", "slow"]
    finally:
        node.close()


@pytest.mark.parametrize("taint", ["", "=x", "a b", "a=b=c"])
def test_a_taint_that_no_job_could_name_is_refused(tmp_path: Path, taint: str) -> None:
    """At the command line, before anything is made."""
    result = massnode("--data", str(tmp_path / "x"), "--simulate", "1xA100", "--taint", taint)
    assert result.returncode == 2
    assert "is not KEY or KEY=VALUE" in result.stderr
    assert not (tmp_path / "x").exists()
