"""The whole product as users have it: massctl, massd, massnode, shims, real programs.

Ground truth is what each shard itself appends to a file, not what a daemon says about it.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from aimass.nodeagent.crash import CRASH_POINTS as AGENT_POINTS
from aimass.scheduler.crash import CRASH_POINTS as SCHEDULER_POINTS
from aimass.scheduler.journal_tools import verify
from tests.daemons import cluster, environment, massctl, run_file, running, start
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

# A shard that says when it began, waits for a file, and says when it ended.
STUB = """
import os, sys, time
truth, go = sys.argv[1:3]
who = f"{os.environ['AIMASS_JOB_ID']}.{os.environ['AIMASS_ATTEMPT']}.{os.environ['RANK']}"
def say(word):
    fd = os.open(truth, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{who} {word} {os.getpid()}\\n".encode())
    os.close(fd)
say("begin")
print("began", flush=True)
while not os.path.exists(go):
    time.sleep(0.01)
say("end")
"""


class Stub:
    """A job of stub shards, and what they have written."""

    def __init__(self, folder: Path) -> None:
        self.script = folder / "stub.py"
        self.script.write_text(STUB)
        self.truth = folder / "truth"
        self.go = folder / "go"

    @property
    def command(self) -> tuple[str, ...]:
        return ("--", sys.executable, "-S", str(self.script), str(self.truth), str(self.go))

    def lines(self) -> list[list[str]]:
        text = self.truth.read_text() if self.truth.exists() else ""
        return [line.split() for line in text.splitlines()]

    def begun(self, count: int) -> list[list[str]]:
        """Wait until so many shards have begun."""
        wait_until(lambda: len(self.lines()) >= count, what=f"{count} shards to begin")
        return self.lines()

    def let_go(self) -> None:
        self.go.touch()


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    return Stub(tmp_path)


def ends(job: dict[str, Any]) -> list[dict[str, Any]]:
    """How the shards of the newest attempt ended."""
    return [shard["exit"] for shard in job["attempts"][-1]["shards"]]


def test_killed_daemons_cost_nothing_and_nothing_runs_twice(tmp_path: Path, stub: Stub) -> None:
    with cluster(tmp_path, agents=("n1", "n2")) as c:
        job_id = c.submit("--gpus", "1", "--shards", "2", *stub.command)
        begun = stub.begun(2)
        c.wait_for(job_id, "RUNNING")
        c.kill(c.agents["n1"])
        c.kill(c.massd)
        c.kill(c.agents["n2"])
        for line in begun:
            os.kill(int(line[2]), 0)  # both shards live without any daemon
        c.start_massd()
        c.start_agent("n1")
        c.start_agent("n2")
        c.wait_ready(2)
        assert c.job(job_id)["state"] == "RUNNING"
        stub.let_go()
        job = c.wait_for(job_id, "SUCCEEDED")
        assert [word for _, word, _ in stub.lines()] == ["begin", "begin", "end", "end"]
        assert len(job["attempts"]) == 1
    assert verify(tmp_path / "massd").ok


@pytest.mark.parametrize("point", AGENT_POINTS)
def test_an_agent_that_dies_anywhere_in_a_launch_runs_the_shard_once(
    tmp_path: Path, stub: Stub, point: str
) -> None:
    with cluster(tmp_path, agents=()) as c:
        dying = c.start_agent("n1", env=environment(AIMASS_CRASH_AT=point))
        job_id = c.submit("--gpus", "1", *stub.command)
        if point == "agent-before-report":  # passed when there is something to report
            stub.let_go()
        assert dying.wait(30) == 137
        c.start_agent("n1")
        stub.begun(1)
        stub.let_go()
        c.wait_for(job_id, "SUCCEEDED")
        assert [word for _, word, _ in stub.lines()] == ["begin", "end"]


@pytest.mark.slow
@pytest.mark.parametrize("point", SCHEDULER_POINTS)
@pytest.mark.parametrize("nth", [3, 4, 5])
def test_a_scheduler_that_dies_around_any_append_of_a_jobs_life_runs_it_once(
    tmp_path: Path, stub: Stub, point: str, nth: int
) -> None:
    # Appends: 1 the start, 2 the node, 3 submit and plan, 4 started, 5 exited.
    stub.let_go()
    with cluster(tmp_path, agents=()) as c:
        c.massd.terminate()
        c.massd.wait(20)
        dying = c.start_massd(env=environment(AIMASS_CRASH_AT=f"{point}:{nth}"))
        c.start_agent("n1")
        c.wait_ready(1)
        submission = ("--idempotency-key", "k", "--gpus", "1", *stub.command)
        first = start(
            "aimass.cli", "submit", "--address", c.address, *submission, log=tmp_path / "1"
        )
        with running(first):
            assert dying.wait(30) == 137
            first.kill()  # it would go on trying, at a port that is no more
        c.start_massd()
        job_id = c.submit(*submission)
        c.wait_for(job_id, "SUCCEEDED")
        assert [word for _, word, _ in stub.lines()] == ["begin", "end"]
        assert json.loads(c.ctl("ls", "--all", "-o", "json"))["total"] == 1


@pytest.mark.slow
def test_a_node_silent_beyond_its_lease_loses_its_shards_before_they_run_elsewhere(
    tmp_path: Path, stub: Stub
) -> None:
    with cluster(tmp_path, "--lease", "2", "--heartbeat", "0.2", agents=("n1",)) as c:
        job_id = c.submit("--gpus", "1", "--grace", "0s", *stub.command)
        (first,) = stub.begun(1)
        c.wait_for(job_id, "RUNNING")
        c.kill(c.agents["n1"])
        c.start_agent("n2")
        second = stub.begun(2)[1]
        assert [first[0], second[0]] == [f"{job_id}.1.0", f"{job_id}.2.0"]
        with pytest.raises(ProcessLookupError):
            os.kill(int(first[2]), 0)  # its shim kept the lease though its agent was dead
        stub.let_go()
        job = c.wait_for(job_id, "SUCCEEDED")
        assert "node lost" in job["attempts"][0]["outcome"]


def test_a_shard_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    script = "trap '' TERM; echo ignoring; while :; do sleep 0.01; done"
    with cluster(tmp_path) as c:
        job_id = c.submit("--grace", "200ms", "--", "/bin/sh", "-c", script)
        wait_until(lambda: "ignoring" in massctl(c.address, "logs", job_id).stdout)
        c.ctl("cancel", job_id)
        job = c.wait_for(job_id, "CANCELLED")
        (end,) = ends(job)
        assert (end["signal"], end["reason"]) == (signal.SIGKILL, "STOPPED")


def test_one_failing_shard_stops_the_gang(tmp_path: Path, stub: Stub) -> None:
    # Rank 1 fails once rank 0 has begun, so both run.
    script = f'[ "$RANK" = 1 ] || exec "$@"; until [ -s {stub.truth} ]; do sleep 0.01; done; exit 7'
    with cluster(tmp_path, agents=("n1", "n2")) as c:
        command = ("--", "/bin/sh", "-c", script, "sh", *stub.command[1:])
        job_id = c.submit("--gpus", "1", "--shards", "2", *command)
        job = c.wait_for(job_id, "FAILED")
        assert "shard 1 on" in str(job["reason"])
        assert "exited with 7" in str(job["reason"])
        assert [end["reason"] for end in ends(job)] == ["STOPPED", "EXITED"]
        assert massctl(c.address, "wait", job_id).returncode == 7
        assert [word for _, word, _ in stub.lines()] == ["begin"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--", "no-such-program"), "'no-such-program' was not found on node n1"),
        (("--workdir", "/no/such/folder", "--", "/bin/true"), "'/no/such/folder' on node n1"),
        (("--", "/bin/sh", "-c", "kill -SEGV $$"), "killed by signal 11"),
        (("--memory", "64MiB", "--", sys.executable, "-c", "x = bytearray(1 << 28)\nwhile 1: 1"),
         "out of memory"),
    ],
)  # fmt: skip
def test_a_job_that_cannot_work_ends_with_a_reason(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    with cluster(tmp_path) as c:
        job_id = c.submit(*arguments)
        job = c.wait_for(job_id, "FAILED")
        assert says in str(job["reason"])


def test_logs_follow_across_a_killed_scheduler_without_gap_or_repeat(
    tmp_path: Path, stub: Stub
) -> None:
    script = f"i=0; until [ -e {stub.go} ]; do echo line $i; i=$((i+1)); sleep 0.01; done"
    with cluster(tmp_path) as c:
        job_id = c.submit("--", "/bin/sh", "-c", script)
        c.wait_for(job_id, "RUNNING")
        before = c.ctl("logs", job_id).splitlines()
        c.kill(c.massd)
        c.start_massd()
        stub.let_go()
        c.wait_for(job_id, "SUCCEEDED")
        lines = c.ctl("logs", "-f", job_id).splitlines()
        assert lines == [f"line {i}" for i in range(len(lines))]
        assert lines[: len(before)] == before
        assert c.ctl("logs", "--tail", "1", job_id).splitlines() == lines[-1:]


def test_a_second_agent_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with cluster(tmp_path) as c:
        second = start(
            *("aimass.nodeagent.main", "--data", str(tmp_path / "n1"), "--node-id", "n1"),
            *("--simulate", "1xH100-SXM5-80GB", "--scheduler", c.address),
            log=tmp_path / "second.log",
        )
        with running(second):
            assert second.wait(30) == 4
        said = (tmp_path / "second.log").read_text()
        assert "fix:" in said
        assert "Traceback" not in said


def test_massctl_up_runs_a_whole_cluster_and_leaves_nothing(tmp_path: Path, stub: Stub) -> None:
    data = tmp_path / "up"
    ports = ("--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
    up = start(
        "aimass.cli", "up", "--data", str(data), "--simulate", "1xH100-SXM5-80GB", *ports,
        log=tmp_path / "up.log",
    )  # fmt: skip
    with running(up):
        wait_until(lambda: list(data.rglob("massd.json")) or up.poll() is not None, 30)
        assert up.poll() is None, (tmp_path / "up.log").read_text()
        address = run_file(next(data.rglob("massd.json")).parent)["address"]
        done = massctl(address, "run", "--gpus", "1", "--", "/bin/sh", "-c", "echo hello; exit 3")
        assert done.returncode == 3
        assert done.stdout == "hello\n"
        massctl(address, "submit", "--gpus", "1", *stub.command)
        (line,) = stub.begun(1)
        up.send_signal(signal.SIGINT)
        assert up.wait(60) in (0, 130)
        with pytest.raises(ProcessLookupError):
            os.kill(int(line[2]), 0)  # without --keep-jobs the shards end with the cluster


def test_the_cluster_says_what_a_waiting_job_waits_for(tmp_path: Path, stub: Stub) -> None:
    with cluster(tmp_path) as c:
        first = c.submit("--gpus", "1", *stub.command)
        stub.begun(1)
        second = c.submit("--gpus", "1", "--", "/bin/true")
        why = json.loads(c.ctl("why", second, "-o", "json"))
        assert (why["code"], why["holders"]) == ("GPUS_BUSY", [first])
        assert "GPUS_BUSY" in c.ctl("ls")
        stub.let_go()
        c.wait_for(second, "SUCCEEDED")
