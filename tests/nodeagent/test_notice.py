"""Notice, checkpoint, SIGTERM: with real agents, shims and programs. A notice of ten minutes that
ends within the test was answered or hurried; what programs print is what they were sent."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from aimass.nodeagent.crash import NOTICE_CRASH_POINTS
from aimass.v1 import agent_pb2, job_pb2
from tests.nodeagent.fake_scheduler import FakeScheduler
from tests.nodeagent.node import Node
from tests.waiting import wait_until

KEY = ("j1", 1, 0)
LONG_MS = 600_000
Python = Callable[[str], list[str]]

# Says what it is sent. `answer` is what it does at the notice; SIGTERM ends it with 7.
PROGRAM = """
import os, signal, sys, time
def mark():
    with open(os.environ["AIMASS_CHECKPOINT_FILE"], "w"):
        pass
def answer(*_):
    print("notice")
    {answer}
def term(*_):
    print("term")
    sys.exit(7)
signal.signal(signal.SIGTERM, term)
signal.signal(signal.SIGUSR1, answer)
{begin}
print("up")
while True:
    signal.pause()
"""


def program(answer: str, begin: str = "") -> str:
    """Give the source of a program that answers a notice so."""
    return PROGRAM.format(answer=answer, begin=begin)


def up(scheduler: FakeScheduler, node: Node, argv: list[str]) -> None:
    """Have it run, its handlers set and its start reported."""
    scheduler.want(KEY, argv)
    wait_until(lambda: node.output(KEY) == "up\n", what="the program is up")
    wait_until(lambda: scheduler.states(KEY) == ["RUNNING"])


def end_of(scheduler: FakeScheduler) -> job_pb2.Exit:
    """Wait for the shard's reported end; it was stopped, whatever its program did about that."""
    end = wait_until(lambda: scheduler.exit_of(KEY), what="the shard has ended")
    assert end.reason == job_pb2.EXIT_REASON_STOPPED
    return end


def named(report: agent_pb2.CheckpointReport) -> tuple[str, int, int]:
    """Name whose checkpoint it is."""
    return report.job_id, report.attempt, report.rank


def test_a_checkpoint_ends_the_notice(scheduler: FakeScheduler, node: Node, python: Python) -> None:
    """Long before its time; SIGTERM follows, and the scheduler hears of the checkpoint first."""
    up(scheduler, node, python(program("mark()")))
    scheduler.stop(KEY, notice_ms=LONG_MS)
    assert end_of(scheduler).code == 7
    assert node.output(KEY) == "up\nnotice\nterm\n"
    (report,) = scheduler.seen.checkpoints
    assert named(report) == KEY
    assert report.age_ms >= 0


def test_a_notice_that_is_not_answered_ends_by_its_time(
    scheduler: FakeScheduler, node: Node, python: Python
) -> None:
    """SIGTERM comes all the same."""
    up(scheduler, node, python(program("pass")))
    scheduler.stop(KEY, notice_ms=100)
    assert end_of(scheduler).code == 7
    assert node.output(KEY) == "up\nnotice\nterm\n"


def test_a_checkpoint_of_before_the_notice_is_no_answer_to_it(
    scheduler: FakeScheduler, node: Node, python: Python
) -> None:
    """The program keeps its time until it marks another one."""
    save = "signal.signal(signal.SIGUSR2, lambda *_: (print('saved'), mark()))"
    up(scheduler, node, python(program("pass", begin=f"mark(); {save}")))
    scheduler.stop(KEY, notice_ms=LONG_MS)
    wait_until(lambda: "notice\n" in node.output(KEY))
    os.kill(node.shim(KEY)["pid"], signal.SIGUSR2)
    assert end_of(scheduler).code == 7
    assert node.output(KEY) == "up\nnotice\nsaved\nterm\n"


def test_the_last_checkpoint_is_told_before_the_end(
    tmp_path: Path, scheduler: FakeScheduler, python: Python
) -> None:
    """Also between two heartbeats: nothing is heard of a shard that has ended."""
    scheduler.heartbeat_ms = LONG_MS
    node = Node(tmp_path / "node", scheduler.address).start()
    try:
        up(scheduler, node, python(program("mark(); sys.exit(0)")))
        scheduler.stop(KEY, notice_ms=LONG_MS)
        end_of(scheduler)
        assert [named(report) for report in scheduler.seen.checkpoints] == [KEY]
    finally:
        node.close()


def test_a_program_may_end_at_the_notice(
    scheduler: FakeScheduler, node: Node, python: Python
) -> None:
    """With its checkpoint or without: nothing is waited for."""
    up(scheduler, node, python(program("sys.exit(4)")))
    scheduler.stop(KEY, notice_ms=LONG_MS)
    assert end_of(scheduler).code == 4
    assert node.output(KEY) == "up\nnotice\n"
    assert scheduler.seen.checkpoints == []


def test_a_program_without_a_handler_is_ended_by_the_signal(
    scheduler: FakeScheduler, node: Node, python: Python
) -> None:
    """As the job's spec asks; it counts as stopped."""
    up(scheduler, node, python("import signal;print('up');signal.pause()"))
    scheduler.stop(KEY, notice_ms=LONG_MS)
    assert end_of(scheduler).signal == signal.SIGUSR1


def test_the_notice_goes_to_the_first_process_alone(
    scheduler: FakeScheduler, node: Node, python: Python
) -> None:
    """What it has started has no handler, and is needed until the checkpoint is complete."""
    begin = "import subprocess; child = subprocess.Popen(['sleep', '600'])"
    answer = "time.sleep(0.2); print(child.poll()); mark()"
    up(scheduler, node, python(program(answer, begin)))
    scheduler.stop(KEY, notice_ms=LONG_MS)
    end_of(scheduler)
    assert node.output(KEY) == "up\nnotice\nNone\nterm\n"


def test_a_suspended_program_gets_its_notice(
    scheduler: FakeScheduler, node: Node, python: Python
) -> None:
    """SIGCONT goes before it."""
    up(scheduler, node, python(program("mark()")))
    os.kill(node.shim(KEY)["pid"], signal.SIGSTOP)
    scheduler.stop(KEY, notice_ms=LONG_MS)
    assert end_of(scheduler).code == 7


@pytest.mark.parametrize(("grace_ms", "end"), [(2000, "term\n"), (0, "")])
def test_a_second_order_hurries_the_notice(
    scheduler: FakeScheduler, node: Node, python: Python, grace_ms: int, end: str
) -> None:
    """A cancel has none: SIGTERM at once, or SIGKILL when there is no grace either."""
    up(scheduler, node, python(program("pass")))
    scheduler.stop(KEY, grace_ms=LONG_MS, notice_ms=LONG_MS)
    wait_until(lambda: node.output(KEY) == "up\nnotice\n")
    scheduler.stop(KEY, grace_ms=grace_ms)
    end_of(scheduler)
    assert node.output(KEY) == "up\nnotice\n" + end


def test_an_unknown_signal_is_no_notice(
    scheduler: FakeScheduler, node: Node, python: Python
) -> None:
    """A scheduler of another kind of machine: SIGTERM at once."""
    up(scheduler, node, python(program("pass")))
    scheduler.stop(KEY, notice_ms=LONG_MS, notice_signal="SIGEMT")
    assert end_of(scheduler).code == 7
    assert node.output(KEY) == "up\nterm\n"


@pytest.mark.parametrize("notice_ms", [LONG_MS, 0])
def test_a_lease_that_runs_out_waits_neither_for_a_notice_nor_for_a_grace(
    tmp_path: Path, scheduler: FakeScheduler, python: Python, notice_ms: int
) -> None:
    """The node's places are given away at that time, whatever was promised to the shard."""
    scheduler.lease_ms = 1500
    node = Node(tmp_path / "node", scheduler.address).start()
    deaf = "signal.signal(signal.SIGTERM, lambda *_: print('term'))"
    try:
        up(scheduler, node, python(program("pass", deaf)))
        scheduler.stop(KEY, grace_ms=LONG_MS, notice_ms=notice_ms)
        wait_until(lambda: node.output(KEY) == ("up\nnotice\n" if notice_ms else "up\nterm\n"))
        node.kill()
        wait_until((node.folder(KEY) / "exit.json").exists)
        scheduler.lease_ms = 60_000
        node.start()
        assert end_of(scheduler).signal == signal.SIGKILL
    finally:
        node.close()


def test_checkpoints_of_a_running_shard_are_reported_once_each(
    scheduler: FakeScheduler, node: Node, python: Python
) -> None:
    """With the next heartbeat; and the newest again whenever the link is made anew."""
    up(scheduler, node, python(program("mark()")))
    pid = node.shim(KEY)["pid"]
    for count in (1, 2):
        os.kill(pid, signal.SIGUSR1)
        wait_until(lambda count=count: len(scheduler.seen.checkpoints) == count)
    beats = len(scheduler.seen.beats)
    wait_until(lambda: len(scheduler.seen.beats) >= beats + 3)
    assert len(scheduler.seen.checkpoints) == 2
    scheduler.break_links()
    wait_until(lambda: len(scheduler.seen.registers) == 2)
    (again,) = scheduler.seen.registers[1].checkpoints
    assert named(again) == KEY
    assert again.age_ms >= scheduler.seen.checkpoints[1].age_ms


@pytest.mark.parametrize("point", NOTICE_CRASH_POINTS)
def test_an_agent_that_dies_around_a_notice_does_no_harm(
    tmp_path: Path, scheduler: FakeScheduler, python: Python, point: str
) -> None:
    """The shim goes on by itself; the next agent repeats the order, and tells of the checkpoint."""
    node = Node(tmp_path / "node", scheduler.address).start(crash_at=point)
    go = tmp_path / "go"
    os.mkfifo(go)
    try:
        up(scheduler, node, python(program(f"open({str(go)!r}).read(); mark()")))
        scheduler.stop(KEY, notice_ms=LONG_MS)
        wait_until(lambda: node.output(KEY) == "up\nnotice\n")
        if point == "agent-after-notice":
            assert node.wait() == 137
            node.start()
            log = node.data / "agent.log"
            wait_until(lambda: log.read_text().count("stopping") == 2, what="the order is repeated")
            go.write_text("go")
        else:
            go.write_text("go")
            assert node.wait() == 137
            node.start()
        assert end_of(scheduler).code == 7
        assert node.output(KEY) == "up\nnotice\nterm\n"
        assert {named(report) for report in scheduler.seen.checkpoints} == {KEY}
    finally:
        node.close()


def test_a_checkpoint_and_an_end_without_an_agent_are_both_told_by_the_next(
    scheduler: FakeScheduler, node: Node, python: Python, tmp_path: Path
) -> None:
    """The agent dies in the middle of the notice and comes back when all is over."""
    go = tmp_path / "go"
    os.mkfifo(go)
    up(scheduler, node, python(program(f"open({str(go)!r}).read(); mark()")))
    scheduler.stop(KEY, notice_ms=LONG_MS)
    wait_until(lambda: node.output(KEY) == "up\nnotice\n")
    node.kill()
    go.write_text("go")
    wait_until((node.folder(KEY) / "exit.json").exists)
    node.start()
    assert end_of(scheduler).code == 7
    register = scheduler.seen.registers[1]
    assert [named(report) for report in register.checkpoints] == [KEY]
    assert [report.state for report in register.shards] == [job_pb2.SHARD_STATE_EXITED]
