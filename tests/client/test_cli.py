"""massctl as a process: streams, formats, exit codes, and errors that a person can act on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from aimass.v1 import job_pb2, node_pb2
from tests.client.conftest import Massctl, massctl_env
from tests.client.fake_scheduler import FakeScheduler


def ok(done: "subprocess.CompletedProcess[bytes]") -> str:
    """Give stdout of a massctl that ended well."""
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_submit_prints_the_id_alone_for_scripts(massctl: Massctl, fake: FakeScheduler) -> None:
    done = massctl("submit", "-o", "name", "--", "python", "train.py", "-o", "json")
    assert ok(done) == "j1\n"
    assert done.stderr == b"next: massctl logs -f j1\n"
    assert list(fake.jobs["j1"].spec.roles[0].command) == ["python", "train.py", "-o", "json"]


def test_submit_of_a_command_takes_flags_for_everything(
    massctl: Massctl, fake: FakeScheduler, tmp_path: Path
) -> None:
    flags = "--name n --gpus 2 --cpus 1.5 --memory 64GiB --shards 4 --priority -3 --spread"
    flags += " --grace 1m --env A=1 --env B=x=y --gpu-type H100 --gpu-type A100"
    ok(massctl("submit", *flags.split(), "--", "x"))
    spec = fake.jobs["j1"].spec
    (role,) = spec.roles
    assert (spec.name, spec.priority, spec.grace_ms, spec.workdir) == (
        "n",
        -3,
        60_000,
        str(tmp_path),
    )
    assert (dict(spec.env), spec.strategy) == ({"A": "1", "B": "x=y"}, job_pb2.STRATEGY_SPREAD)
    need = role.resources
    assert (role.shards, need.gpu_milli, need.cpu_milli, need.memory_mib) == (4, 2000, 1500, 65536)
    assert list(role.gpu_types) == ["H100", "A100"]


def test_submit_of_a_file_takes_flags_over_the_file(
    massctl: Massctl, fake: FakeScheduler, tmp_path: Path
) -> None:
    (tmp_path / "train.yaml").write_text(
        "apiVersion: aimass/v1\nkind: TrainJob\ncommand: [x]\nenv: {A: '1', B: '2'}\nworkdir: w\n"
    )
    ok(massctl("submit", "train.yaml", "--env", "B=3", "--gpus", "0.5"))
    spec = fake.jobs["j1"].spec
    assert (spec.name, dict(spec.env)) == ("train", {"A": "1", "B": "3"})
    assert spec.workdir == str(tmp_path / "w")
    assert spec.roles[0].resources.gpu_milli == 500


def test_submit_reads_a_job_from_stdin(massctl: Massctl, fake: FakeScheduler) -> None:
    text = b"apiVersion: aimass/v1\nkind: TrainJob\nroles: [{name: a, command: [x]}]\n"
    assert ok(massctl("submit", "-", "-o", "name", stdin=text)) == "j1\n"


def test_the_same_key_gives_the_same_job(massctl: Massctl, fake: FakeScheduler) -> None:
    first, again = (
        json.loads(ok(massctl("submit", "--idempotency-key", "k", "-o", "json", "--", "x")))
        for _ in range(2)
    )
    assert (first["id"], first["existed"]) == ("j1", False)
    assert (again["id"], again["existed"]) == ("j1", True)


@pytest.mark.parametrize(
    ("args", "fix"),
    [
        (["submit"], b"massctl submit -- python train.py"),
        (["submit", "python", "train.py"], b"massctl submit -- python train.py"),
        (["submit", "a.yaml", "--", "x"], b"massctl submit -- a.yaml"),
        (["submit", "--"], b"massctl submit --help"),
        (["submit", "--gpus", "1.5", "--", "x"], b"whole GPUs"),
        (["submit", "--memory", "64", "--", "x"], b"64GiB"),
        (["submit", "--grace", "30", "--", "x"], b"30s"),
        (["submit", "--env", "A", "--", "x"], b"K=V"),
        (["submit", "none.yaml"], b"none.yaml:1:1: cannot be read: No such file"),
        (["sumbit"], b"did you mean submit?"),
        (["ls", "--state", "PENDING"], b"HELD, QUEUED, RESERVED, PLACED"),
        (["ls", "--wacth"], b"massctl ls --help"),
        (["logs"], b"massctl logs --help"),
        (["up", "--nodes", "2"], b"massctl up --nodes 2 --simulate"),
    ],
)
def test_a_usage_error_is_code_2_with_a_fix(massctl: Massctl, args: list[str], fix: bytes) -> None:
    done = massctl(*args)
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.startswith(b"error: ")
    assert fix in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["show", "why", "logs", "cancel", "wait"])
def test_an_unknown_job_is_code_3(massctl: Massctl, command: str) -> None:
    done = massctl(command, "j9")
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.decode() == "error: no job 'j9'\nfix: massctl ls --all\nid: j9\n"


@pytest.mark.parametrize(
    ("status", "code"),
    [("FAILED_PRECONDITION", 4), ("PERMISSION_DENIED", 5), ("UNAVAILABLE", 6), ("INTERNAL", 1)],
)
def test_a_refusal_keeps_its_exit_code(
    massctl: Massctl, fake: FakeScheduler, status: str, code: int
) -> None:
    fake.refuse_next("Submit", status, what="no", fix="later")
    done = massctl("submit", "--", "x")
    assert (done.returncode, done.stderr) == (code, b"error: no\nfix: later\n")


def test_nobody_there_is_code_6(massctl: Massctl, fake: FakeScheduler) -> None:
    fake.stop()
    done = massctl("ls")
    assert done.returncode == 6
    assert b"massctl up" in done.stderr
    done = massctl("--request-timeout", "200ms", "submit", "-o", "json", "--", "x")
    assert done.returncode == 6
    error = json.loads(done.stderr)
    assert (error["kind"], error["error"]["exitCode"]) == ("Error", 6)
    assert "--idempotency-key" in error["error"]["fix"]


def test_a_process_keeps_streams_and_exit_codes_apart(
    massctl_process: Massctl, fake: FakeScheduler
) -> None:
    done = massctl_process("submit", "-o", "name", "--", "x")
    assert (done.returncode, done.stdout) == (0, b"j1\n")
    done = massctl_process("show", "j9")
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.startswith(b"error: no job")
    fake.end("j1", 7)
    done = massctl_process("wait", "j1", "-o", "name")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"j1\n", b"")


def test_errors_are_json_when_the_output_is(massctl: Massctl) -> None:
    for args in (
        ["show", "j9", "-o", "json"],
        ["show", "j9", "--output=jsonl"],
        ["shwo", "-ojson"],
    ):
        done = massctl(*args)
        assert json.loads(done.stderr)["error"]["exitCode"] == done.returncode
        assert done.stdout == b""


def test_every_problem_of_a_job_file_is_in_the_json_error(massctl: Massctl) -> None:
    done = massctl("submit", "-", "-o", "json", stdin=b"kind: Job\nnam: x\n")
    problems = json.loads(done.stderr)["error"]["problems"]
    assert [problem["path"] for problem in problems] == ["", "apiVersion", "kind", "nam"]


def listed(fake: FakeScheduler, massctl: Massctl) -> None:
    ok(massctl("submit", "--name", "first", "--gpus", "2", "--", "x"))
    fake.first_state = job_pb2.JOB_STATE_QUEUED
    ok(massctl("submit", "--name", "n" * 200, "--", "x"))
    fake.jobs["j2"].reason = "waits\x1b[2J\nhere"
    ok(massctl("submit", "--name", "third", "--", "x"))
    fake.end("j3", state="CANCELLED")


def test_ls_lists_what_is_not_over_in_every_format(massctl: Massctl, fake: FakeScheduler) -> None:
    listed(fake, massctl)
    table = ok(massctl("ls"))
    assert table.splitlines()[0].split() == [
        *("ID", "NAME", "USER", "QUEUE", "STATE", "GPUS", "AGE", "RUN", "NODES", "REASON")
    ]
    assert "n" * 200 in table, "a piped table is complete"
    assert "\x1b" not in table
    assert "waits?[2J?here" in table, "no control characters of other people's"
    assert ok(massctl("ls", "-o", "name")) == "j1\nj2\n"
    assert ok(massctl("ps", "--all", "-o", "name")) == "j1\nj2\nj3\n"
    assert ok(massctl("ls", "--state", "queued,cancelled", "-o", "name")) == "j2\nj3\n"
    assert "PRIO" in ok(massctl("ls", "-o", "wide"))
    document = json.loads(ok(massctl("ls", "-o", "json")))
    assert (document["apiVersion"], document["kind"]) == ("aimass/v1", "JobList")
    assert [item["state"] for item in document["items"]] == ["RUNNING", "QUEUED"]
    assert document["items"][0]["gpus"] == 2
    assert document["items"][0]["submittedAt"].endswith("Z")
    assert yaml.safe_load(ok(massctl("ls", "-o", "yaml")))["items"] == document["items"]
    lines = ok(massctl("ls", "-o", "jsonl")).splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["j1", "j2"]


def test_ls_says_when_it_shows_only_the_newest(massctl: Massctl, fake: FakeScheduler) -> None:
    listed(fake, massctl)
    done = massctl("ls", "--limit", "1", "-o", "name")
    assert ok(done) == "j2\n"
    assert b"newest 1 of 2" in done.stderr


def test_ls_can_show_one_users_jobs(massctl: Massctl, fake: FakeScheduler) -> None:
    listed(fake, massctl)
    fake.jobs["j2"].user = "bob"
    assert ok(massctl("ls", "-u", "bob", "-o", "name")) == "j2\n"
    assert ok(massctl("ls", "--mine", "-o", "name")) == "j1\n"


def test_colour_is_for_terminals_and_for_those_who_ask(
    massctl: Massctl, fake: FakeScheduler
) -> None:
    listed(fake, massctl)
    assert "\x1b[32mRUNNING" in ok(massctl("ls", "--color", "always"))
    assert "\x1b[32mRUNNING" in ok(massctl("--color", "always", "ls", NO_COLOR="1"))
    assert "\x1b" not in ok(massctl("ls", "--color", "never"))


def test_show_prints_a_screen_or_a_document(massctl: Massctl, fake: FakeScheduler) -> None:
    ok(massctl("submit", "--shards", "2", "--env", "A=1", "--", "python", "a b.py"))
    fake.end("j1", signal=9)
    screen = ok(massctl("show", "@last", "-o", "wide"))
    assert screen.startswith("j1 python is FAILED\n")
    assert "python 'a b.py'" in screen
    assert "A=1" in screen
    assert screen.count("signal 9") == 2
    document = json.loads(ok(massctl("show", "j1", "-o", "json")))
    assert document["attempts"][0]["shards"][1]["exit"]["signal"] == 9
    assert yaml.safe_load(ok(massctl("show", "j1", "-o", "yaml"))) == document
    assert ok(massctl("show", "j1", "-o", "name")) == "j1\n"


def test_a_spec_that_show_printed_can_be_submitted_again(
    massctl: Massctl, fake: FakeScheduler
) -> None:
    ok(massctl("submit", "--gpus", "0.25", "--memory", "3MiB", "--", "x", "1", "yes", "~"))
    spec = yaml.safe_load(ok(massctl("show", "j1", "-o", "yaml")))["spec"]
    ok(massctl("submit", "-", stdin=yaml.safe_dump(spec).encode()))
    assert fake.jobs["j1"].spec == fake.jobs["j2"].spec


def test_nodes_are_listed_with_devices_and_holders(massctl: Massctl, fake: FakeScheduler) -> None:
    done = massctl("nodes")
    assert b"massnode" in done.stderr
    device = node_pb2.Device(uuid="GPU-1", model="H100", memory_mib=81920, used_milli=500)
    device.jobs.append("j1")
    inventory = node_pb2.Inventory(devices=[device], memory_mib=2048, cpu_milli=2000)
    ready = node_pb2.NODE_STATE_READY
    fake.nodes = [
        node_pb2.Node(id="n1", state=ready, inventory=inventory),
        node_pb2.Node(id="n2", state=ready),
    ]
    assert ok(massctl("nodes", "-o", "name")) == "n1\nn2\n"
    rows = ok(massctl("nodes")).splitlines()
    assert rows[1].split() == ["n1", "READY", "1", "0.5", "H100", "0", "0.0GiB", "0", "j1", "-"]
    (item,) = json.loads(ok(massctl("nodes", "n1", "-o", "json")))["items"]
    assert (item["memory"], item["devices"][0]["memory"]) == ("2GiB", "80GiB")
    assert massctl("nodes", "n7").returncode == 3


def test_cancel_goes_on_past_a_job_that_is_not_there(massctl: Massctl, fake: FakeScheduler) -> None:
    ok(massctl("submit", "--", "x"))
    done = massctl("cancel", "j9", "j1", "--grace", "2s")
    assert (done.returncode, done.stdout) == (3, b"j1 CANCELLED\n")
    assert b"no job 'j9'" in done.stderr
    assert [request.grace_ms for name, request in fake.calls if name == "Cancel"] == [2000, 2000]


@pytest.mark.parametrize(
    ("code", "signal", "state", "expected"),
    [(0, 0, "", 0), (7, 0, "", 7), (0, 9, "", 137), (0, 0, "CANCELLED", 1)],
)
def test_wait_returns_the_jobs_own_exit_code(
    massctl: Massctl, fake: FakeScheduler, code: int, signal: int, state: str, expected: int
) -> None:
    ok(massctl("submit", "--", "x"))
    fake.end("j1", code, signal, state)
    done = massctl("wait", "j1")
    assert done.returncode == expected
    assert done.stdout.startswith(b"j1 ")


def test_a_job_that_never_ran_counts_as_1(massctl: Massctl, fake: FakeScheduler) -> None:
    ok(massctl("submit", "--", "x"))
    for shard in fake.jobs["j1"].attempts[0].shards:
        shard.exit.code = 127
    fake.end("j1", 127)
    fake.jobs["j1"].attempts[0].shards[0].exit.reason = job_pb2.EXIT_REASON_LAUNCH_FAILED
    assert massctl("wait", "j1").returncode == 1


def test_wait_gives_up_with_124(massctl: Massctl, fake: FakeScheduler) -> None:
    ok(massctl("submit", "--", "x"))
    done = massctl("wait", "j1", "--timeout", "50ms")
    assert done.returncode == 124
    assert done.stderr.startswith(b"error: j1 is still RUNNING\n")


def test_version_tells_of_both_sides(massctl: Massctl) -> None:
    assert ok(massctl("version")).startswith("massctl ")
    view = json.loads(ok(massctl("version", "--server", "-o", "json")))
    assert view["scheduler"]["version"] == "fake"


def test_the_schema_is_json(massctl: Massctl) -> None:
    assert json.loads(ok(massctl("schema")))["title"] == "AI Mass job file"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_massctl(massctl: Massctl, shell: str) -> None:
    assert "_MASSCTL_COMPLETE" in ok(massctl("completion", shell))


def test_completion_knows_commands_and_live_ids(
    massctl: Massctl, massctl_process: Massctl, fake: FakeScheduler
) -> None:
    def complete(line: str) -> list[str]:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - line[-1].isalnum())}
        return ok(massctl_process(_MASSCTL_COMPLETE="bash_complete", **words)).split()

    ok(massctl("submit", "--", "x"))
    assert complete("massctl sub") == ["plain,submit"]
    assert complete("massctl show j") == ["plain,j1"]
    fake.stop()
    assert complete("massctl show j") == []


def test_a_reader_that_leaves_is_no_error(massctl: Massctl, fake: FakeScheduler) -> None:
    ok(massctl("submit", "--", "x"))
    fake.jobs["j1"].reason = "x" * 1_000_000  # more than a pipe holds
    command = f"{sys.executable} -m aimass.cli ls | head -c 5"
    env = massctl_env(AIMASS_ADDRESS=fake.address)
    done = subprocess.run(command, shell=True, capture_output=True, env=env, check=False)
    assert (done.stdout, done.stderr) == (b"ID  N", b"")


def test_a_bug_shows_no_traceback_unless_asked(massctl: Massctl, tmp_path: Path) -> None:
    os.mkdir(tmp_path / "broken")
    (tmp_path / "broken" / "grpc.py").write_text("raise ZeroDivisionError('oops')")
    env = massctl_env()
    env["PYTHONPATH"] = f"{tmp_path / 'broken'}:{env['PYTHONPATH']}"
    for debug in ("", "1"):
        done = subprocess.run(
            [sys.executable, "-m", "aimass.cli", "ls"],
            env={**env, "AIMASS_DEBUG": debug},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 1
        assert b"error: internal: ZeroDivisionError: oops" in done.stderr
        assert (b"Traceback" in done.stderr) is bool(debug)
