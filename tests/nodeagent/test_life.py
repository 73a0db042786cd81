"""A shard's life through a real agent and a real shim: start, output, end, stop."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aimass.nodeagent import processes
from aimass.v1 import job_pb2
from tests.nodeagent.fake_scheduler import FakeScheduler
from tests.nodeagent.node import Node
from tests.waiting import wait_until

KEY = ("j1", 1, 0)
Python = Callable[[str], list[str]]


def end_of(scheduler: FakeScheduler, key: tuple[str, int, int] = KEY) -> job_pb2.Exit:
    """Wait for a shard's reported end."""
    return wait_until(lambda: scheduler.exit_of(key), what=f"{key} has ended")


def reason(end: job_pb2.Exit) -> str:
    """Name an end's reason as people see it."""
    return job_pb2.ExitReason.Name(end.reason).removeprefix("EXIT_REASON_")


def test_a_shard_runs_and_its_end_is_reported(scheduler: FakeScheduler, node: Node) -> None:
    """The ordinary life: RUNNING with the program's pid, then EXITED with its code."""
    scheduler.want(KEY, ["sh", "-c", "echo to stdout; echo to stderr >&2; exit 3"])
    end = end_of(scheduler)
    assert scheduler.states(KEY) == ["RUNNING", "EXITED"]
    assert (end.code, end.signal, reason(end)) == (3, 0, "EXITED")
    assert end.detail == "last line of its output: to stderr"
    assert node.output(KEY) == "to stdout\nto stderr\n"
    last = scheduler.last(KEY)
    assert last is not None
    assert last.pid == node.shim(KEY)["pid"]


def test_a_signal_that_ends_a_shard_is_named(scheduler: FakeScheduler, node: Node) -> None:
    """A crash by signal has a signal and no code; a foreign SIGKILL says that it is foreign."""
    scheduler.want(KEY, ["sh", "-c", "kill -SEGV $$"])
    scheduler.want(("j2", 1, 0), ["sh", "-c", "kill -KILL $$"])
    segv, killed = end_of(scheduler), end_of(scheduler, ("j2", 1, 0))
    assert (segv.code, segv.signal, reason(segv)) == (0, 11, "EXITED")
    assert (killed.signal, reason(killed)) == (9, "EXITED")
    assert "SIGKILL that AI Mass did not send" in killed.detail


@pytest.mark.parametrize(
    ("argv", "workdir", "detail"),
    [
        (["no-such"], "/", "command 'no-such' was not found on node n1 (its PATH has "),
        (["/no/such"], "/", "command '/no/such' does not exist on node n1"),
        (["/etc/passwd"], "/", "command '/etc/passwd' on node n1 may not be executed"),
        (["true"], "/no/dir", "workdir '/no/dir' on node n1: No such file or directory"),
        (["{tmp}/orphan"], "/", "the interpreter in its #! line does not exist"),
    ],
)
def test_a_launch_that_cannot_work_says_what_to_do(
    scheduler: FakeScheduler,
    node: Node,
    tmp_path: Path,
    argv: list[str],
    workdir: str,
    detail: str,
) -> None:
    """The detail names the file and the node, so that a user can act on it."""
    script = tmp_path / "orphan"
    script.write_text("#!/no/interpreter\n")
    script.chmod(0o755)
    scheduler.want(KEY, [argv[0].format(tmp=tmp_path)], workdir=workdir)
    end = end_of(scheduler)
    assert reason(end) == "LAUNCH_FAILED"
    assert detail in end.detail
    assert scheduler.states(KEY) == ["EXITED"]


def test_a_device_the_node_does_not_have_fails_the_launch(
    scheduler: FakeScheduler, node: Node
) -> None:
    """A scheduler that is mistaken about a node hears of it instead of waiting."""
    scheduler.want(KEY, ["true"], device_uuids=["GPU-elsewhere"], gpu_milli=1000)
    assert end_of(scheduler).detail == "node n1 has no device GPU-elsewhere"


def test_a_stop_lets_the_shard_end_by_itself(
    scheduler: FakeScheduler, node: Node, python: Python
) -> None:
    """SIGTERM first; the program's own exit code is kept, the reason is STOPPED."""
    source = "import signal,sys;signal.signal(15,lambda *a:sys.exit(7));print('up');signal.pause()"
    scheduler.want(KEY, python(source))
    wait_until(lambda: node.output(KEY) == "up\n")
    scheduler.stop(KEY)
    end = end_of(scheduler)
    assert (end.code, reason(end), end.detail) == (7, "STOPPED", "cancelled by ann")


def test_a_shard_that_ignores_sigterm_is_killed_at_its_grace(
    scheduler: FakeScheduler, node: Node, python: Python
) -> None:
    """A second order with a shorter grace brings the end forward."""
    source = "import signal;signal.signal(15,signal.SIG_IGN);print('up')\nwhile 1: signal.pause()"
    scheduler.want(KEY, python(source))
    wait_until(lambda: node.output(KEY) == "up\n")
    scheduler.stop(KEY, grace_ms=600_000)
    scheduler.stop(KEY, grace_ms=100)
    end = end_of(scheduler)
    assert (end.signal, reason(end)) == (9, "STOPPED")


def test_a_stopped_process_is_continued_so_that_it_can_end(
    scheduler: FakeScheduler, node: Node
) -> None:
    """SIGCONT goes before SIGTERM: a suspended program still gets its grace."""
    scheduler.want(
        KEY, ["sh", "-c", "trap 'exit 5' TERM; echo up; kill -STOP $$; sleep 600 & wait"]
    )
    wait_until(lambda: node.output(KEY) == "up\n")
    scheduler.stop(KEY, grace_ms=60_000)
    assert end_of(scheduler).code == 5


def test_nothing_of_a_shard_outlives_it(
    scheduler: FakeScheduler, node: Node, tmp_path: Path
) -> None:
    """Background children, other sessions and double forks are all gone when the end is told."""
    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $! >> {pids}; setsid sh -c 'echo $$ >> {pids}; exec sleep 600' & "
    script += f"(setsid sh -c 'sleep 600 & echo $! >> {pids}' &) ; "
    script += f"while [ $(wc -l < {pids}) -lt 3 ]; do :; done; exit 0"
    scheduler.want(KEY, ["sh", "-c", script])
    assert end_of(scheduler).code == 0
    left = [int(pid) for pid in pids.read_text().split()]
    assert len(left) == 3
    assert [processes.start_time(pid) for pid in left] == [0, 0, 0]


def test_a_shard_that_is_stopped_before_it_started_never_starts(
    scheduler: FakeScheduler, node: Node
) -> None:
    """The scheduler gets its end all the same, so that its devices are free."""
    prepared, waiting = ("j2", 1, 0), ("j2", 1, 1)
    scheduler.want(prepared, ["true"], world_size=2)
    scheduler.want(waiting, ["true"], world_size=2)
    wait_until(lambda: scheduler.states(prepared) == ["PREPARED"])
    for key in (prepared, waiting):
        scheduler.stop(key)
        end = end_of(scheduler, key)
        assert (reason(end), end.detail) == ("STOPPED", "cancelled by ann; it never started")


def test_a_shard_that_is_no_longer_wanted_is_stopped_and_forgotten(
    scheduler: FakeScheduler, node: Node
) -> None:
    """A running one is stopped and its end reported; after that it is spoken of no more."""
    scheduler.want(KEY, ["sleep", "600"])
    wait_until(lambda: scheduler.states(KEY) == ["RUNNING"])
    scheduler.drop(KEY)
    assert reason(end_of(scheduler)) == "STOPPED"
    wait_until((node.folder(KEY) / "forgotten").exists)
    scheduler.break_links()
    wait_until(lambda: len(scheduler.seen.registers) == 2)
    assert list(scheduler.seen.registers[1].shards) == []


def test_a_forgotten_shard_that_is_wanted_again_is_not_run_again(
    scheduler: FakeScheduler, node: Node, tmp_path: Path
) -> None:
    """A scheduler restored from an old copy hears the old end: at most one launch per identity."""
    ran = tmp_path / "ran"
    argv = ["sh", "-c", f"echo ran >> {ran}"]
    scheduler.want(KEY, argv)
    end_of(scheduler)
    scheduler.drop(KEY)
    wait_until((node.folder(KEY) / "forgotten").exists)
    scheduler.want(KEY, argv)
    wait_until(lambda: scheduler.states(KEY)[2:] == ["EXITED"])
    assert ran.read_text() == "ran\n"


def test_ranks_wait_for_the_port_that_rank_0_reserves(scheduler: FakeScheduler, node: Node) -> None:
    """PREPARED brings the port up; the next desired set brings it to everybody, then all launch."""
    zero, one = ("j1", 1, 0), ("j1", 1, 1)
    argv = ["sh", "-c", "echo $RANK $MASTER_ADDR $MASTER_PORT"]
    gang = {"world_size": 2, "local_world_size": 2, "master_addr": "10.0.0.7"}
    scheduler.want(one, argv, **gang)
    scheduler.want(zero, argv, **gang)
    wait_until(lambda: scheduler.states(zero) == ["PREPARED"])
    report = scheduler.last(zero)
    assert report is not None
    assert scheduler.states(one) == []
    scheduler.want(zero, argv, master_port=report.master_port, **gang)
    scheduler.want(one, argv, master_port=report.master_port, **gang)
    assert [end_of(scheduler, key).code for key in (zero, one)] == [0, 0]
    outputs = [node.output(zero), node.output(one)]
    assert outputs == [f"{rank} 10.0.0.7 {report.master_port}\n" for rank in (0, 1)]


def test_the_reserved_port_can_be_listened_on(
    scheduler: FakeScheduler, node: Node, python: Python
) -> None:
    """The agent's own hold on the port does not stand in the program's way."""
    scheduler.want(KEY, ["true"], world_size=2)
    port = wait_until(lambda: scheduler.last(KEY)).master_port
    source = "import os,socket;print(socket.create_server(('',int(os.environ['MASTER_PORT']))))"
    scheduler.want(KEY, python(source), world_size=2, master_port=port)
    assert end_of(scheduler).code == 0


def test_a_device_is_locked_for_as_long_as_its_shard_lives(
    scheduler: FakeScheduler, node: Node
) -> None:
    """A second whole-device shard waits for the first; two shares of a device run together."""
    wait_until(lambda: scheduler.seen.registers)
    first, second = (d.uuid for d in scheduler.seen.registers[0].inventory.devices)
    whole: dict[str, object] = {"device_uuids": [first], "gpu_milli": 1000}
    share: dict[str, object] = {"device_uuids": [second], "gpu_milli": 500}
    scheduler.want(("a", 1, 0), ["sleep", "600"], **whole)
    wait_until(lambda: scheduler.states(("a", 1, 0)) == ["RUNNING"])
    scheduler.want(("b", 1, 0), ["sleep", "600"], **whole)
    scheduler.want(("c", 1, 0), ["sleep", "600"], **share)
    scheduler.want(("d", 1, 0), ["sleep", "600"], **share)
    for job in "cd":
        wait_until(lambda job=job: scheduler.states((job, 1, 0)) == ["RUNNING"])
    assert scheduler.states(("b", 1, 0)) == []
    scheduler.stop(("a", 1, 0))
    wait_until(lambda: scheduler.states(("b", 1, 0)) == ["RUNNING"])


def test_an_assignment_that_names_no_usable_folder_is_ignored(
    scheduler: FakeScheduler, node: Node, tmp_path: Path
) -> None:
    """A job id never becomes a path outside the shards' folder; the others still run."""
    scheduler.want(("../../evil", 1, 0), ["true"])
    scheduler.want(("", 1, 0), ["true"])
    scheduler.want(KEY, ["true"])
    end_of(scheduler)
    assert sorted(path.name for path in (node.data / "shards").iterdir()) == ["j1.1.0"]
    assert not (tmp_path / "evil.1.0").exists()


def test_logs_are_followed_resumed_and_tailed(
    scheduler: FakeScheduler, node: Node, tmp_path: Path
) -> None:
    """Binary output, any offset; a follower gets everything up to the end."""
    go = tmp_path / "go"
    os.mkfifo(go)
    script = rf"printf '\377\0one\n'; read x < {go}; printf 'two\nthree'"
    scheduler.want(KEY, ["sh", "-c", script])
    wait_until(lambda: (node.folder(KEY) / "log").exists())
    scheduler.ask_logs(KEY, "whole", follow=True)
    wait_until(lambda: scheduler.seen.pushes)
    go.write_text("x\n")
    end_of(scheduler)
    whole = wait_until(lambda: scheduler.output("whole"))
    assert whole == b"\xff\x00one\ntwo\nthree"
    scheduler.ask_logs(KEY, "rest", offset=5)
    scheduler.ask_logs(KEY, "tail", tail_lines=2)
    scheduler.ask_logs(("j9", 1, 0), "none")
    assert wait_until(lambda: scheduler.output("rest")) == whole[5:]
    assert wait_until(lambda: scheduler.output("tail")) == b"two\nthree"
    wait_until(lambda: scheduler.output("none") is not None)
    note = [push.note for push in scheduler.seen.pushes if push.request_id == "none"]
    assert note == ["this node has no output of that shard (any more)"]


def test_a_follower_sees_output_before_the_shard_ends(
    scheduler: FakeScheduler, node: Node, tmp_path: Path
) -> None:
    """What is written is pushed while the program still runs."""
    scheduler.want(KEY, ["sh", "-c", "echo early; exec sleep 600"])
    wait_until(lambda: node.output(KEY))
    scheduler.ask_logs(KEY, follow=True)
    pushed = wait_until(lambda: [push.data for push in scheduler.seen.pushes if push.data])
    assert pushed == [b"early\n"]
    assert scheduler.output() is None


def test_a_follower_waits_for_a_shard_that_is_yet_to_start(
    scheduler: FakeScheduler, node: Node
) -> None:
    """Wanted, and held back until the port is known: the answer begins when it does."""
    key = ("j1", 1, 1)
    scheduler.want(key, ["echo", "late"], world_size=2)
    wait_until(lambda: scheduler.seen.beats)
    scheduler.ask_logs(key, follow=True)
    wait_until(lambda: scheduler.seen.pushes)
    assert not node.folder(key).exists()
    assert scheduler.output() is None
    scheduler.assignments[key].launch.master_port = 1
    scheduler.send_desired()
    assert wait_until(lambda: scheduler.output()) == b"late\n"


def test_the_environment_reaches_the_program_and_the_agents_own_does_not(
    tmp_path: Path, scheduler: FakeScheduler, python: Python, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An allow-list is inherited; a user's variables come through, identity always wins."""
    monkeypatch.setenv("A_SECRET_OF_THE_AGENT", "x")
    node = Node(tmp_path / "node", scheduler.address).start()
    try:
        env = {"MINE": "ünïcode", "RANK": "99", "OMP_NUM_THREADS": "3"}
        source = "import os,json;print(json.dumps(dict(os.environ)))"
        scheduler.want(KEY, python(source), env=env, job_name="digits", role="worker")
        end_of(scheduler)
    finally:
        node.close()
    seen = json.loads(node.output(KEY))
    assert "A_SECRET_OF_THE_AGENT" not in seen
    assert (seen["MINE"], seen["RANK"], seen["OMP_NUM_THREADS"]) == ("ünïcode", "0", "3")
    assert Path(seen["AIMASS_SHARD_DIR"]).is_dir()
