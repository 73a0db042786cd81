"""A shard's life through a real agent and a real shim: start, output, end, stop."""

from aimass.v1 import job_pb2

from tests.nodeagent.fake_scheduler import FakeScheduler
from tests.nodeagent.node import Node
from tests.waiting import wait_until

KEY = ("j1", 1, 0)


def test_a_shard_runs_and_its_end_is_reported(scheduler: FakeScheduler, node: Node) -> None:
    """The ordinary life: RUNNING with the program's pid, then EXITED with its code."""
    scheduler.want(KEY, ["sh", "-c", "echo to stdout; echo to stderr >&2; exit 3"])
    end = wait_until(lambda: scheduler.exit_of(KEY))
    assert scheduler.states(KEY) == ["RUNNING", "EXITED"]
    assert (end.code, end.signal, end.reason) == (3, 0, job_pb2.EXIT_REASON_EXITED)
    assert end.detail == "last line of its output: to stderr"
    assert node.output(KEY) == "to stdout\nto stderr\n"
    assert scheduler.last(KEY).pid == node.shim(KEY)["pid"]
