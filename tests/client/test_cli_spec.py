"""The flags of massctl submit that describe a job, and how jobs are shown."""

import json
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from aimass import amounts, screens, units, views_admin
from aimass.scheduler.translate_spec import spec_from_proto
from aimass.v1 import job_pb2, node_pb2, scheduler_pb2
from tests.client.conftest import Massctl
from tests.client.fake_scheduler import FakeScheduler
from tests.client.test_cli import ok

HEAD = "apiVersion: aimass/v1\nkind: TrainJob\ncommand: [x]\n"


def submitted(massctl: Massctl, fake: FakeScheduler, flags: str) -> job_pb2.JobSpec:
    """Give the spec that `massctl submit FLAGS -- x` sends."""
    ok(massctl("submit", *flags.split(), "--", "x"))
    return list(fake.jobs.values())[-1].spec


def test_flags_of_queue_and_time(massctl: Massctl, fake: FakeScheduler) -> None:
    flags = "-q research -t 7d12h --expected 7h --begin 2100-01-01T00:00Z --deadline 2101-01-01"
    spec = submitted(massctl, fake, f"{flags}T00:00+01:00")
    assert (spec.queue, spec.walltime_ms, spec.expected_ms) == ("research", 648_000_000, 25_200_000)
    assert units.time_text(spec.start_after_ms) == "2100-01-01T00:00:00.000Z"
    assert units.time_text(spec.deadline_ms) == "2100-12-31T23:00:00.000Z"


def test_a_relative_time_counts_from_now(massctl: Massctl, fake: FakeScheduler) -> None:
    spec = submitted(massctl, fake, "--begin +2h --deadline +3h")
    assert spec.deadline_ms - spec.start_after_ms == pytest.approx(3_600_000, abs=60_000)


def test_flags_of_placement(massctl: Massctl, fake: FakeScheduler) -> None:
    flags = "--exclusive --exclude n1,n2 --exclude n3 --toleration gpu --toleration team=nlp"
    flags += " --topology block --prefer-topology rack:10m --allow-future --gpu-share 20GiB"
    spec = submitted(massctl, fake, flags)
    assert (spec.exclusive_node, spec.allow_future) == (True, True)
    assert list(spec.exclude_nodes) == ["n1", "n2", "n3"]
    assert list(spec.tolerations) == ["gpu", "team=nlp"]
    assert spec.topology == job_pb2.Topology(required="block", preferred="rack", wait_ms=600_000)
    assert spec.roles[0].resources.gpu_share_mib == 20_480


def test_flags_of_lifecycle(massctl: Massctl, fake: FakeScheduler) -> None:
    flags = "--after j1 --after j2:each --array 0-6:2,9%3 --retries 5 --not-preemptible"
    flags += " --min-runtime 30m --checkpoint-signal SIGUSR1 --notice 2m"
    spec = submitted(massctl, fake, flags)
    assert [(one.job_id, one.condition) for one in spec.depends_on] == [
        ("j1", job_pb2.DEPENDS_ON_SUCCESS),
        ("j2", job_pb2.DEPENDS_ON_EACH),
    ]
    assert (list(spec.array.indexes), spec.array.max_parallel) == ([0, 2, 4, 6, 9], 3)
    assert (spec.retry.limit, spec.not_preemptible) == (5, True)
    assert spec.preemption.min_runtime_ms == 1_800_000
    assert spec.checkpoint == job_pb2.Checkpoint(signal="SIGUSR1", notice_ms=120_000)


def test_after_the_last_job_names_it(massctl: Massctl, fake: FakeScheduler) -> None:
    submitted(massctl, fake, "")
    assert submitted(massctl, fake, "--after @last:any").depends_on[0].job_id == "j1"


@pytest.mark.parametrize(
    ("flags", "shards", "step"),
    [("--elastic 2-8:2", 2, 2), ("--elastic 2-8 --shards 5", 5, 1)],
)
def test_an_elastic_job_starts_from_its_least_or_from_shards(
    massctl: Massctl, fake: FakeScheduler, flags: str, shards: int, step: int
) -> None:
    (role,) = submitted(massctl, fake, flags).roles
    assert role.shards == shards
    assert (role.elastic.min_shards, role.elastic.max_shards, role.elastic.step) == (2, 8, step)


def test_how_often_an_elastic_job_is_resized_is_a_flag(
    massctl: Massctl, fake: FakeScheduler
) -> None:
    """Beside --elastic, or on top of a job file that has sizes; and of a job that exists."""
    spec = submitted(massctl, fake, "--elastic 2-8:2 --elastic-interval 5m")
    assert spec.roles[0].elastic.interval_ms == 300_000
    job_file = f"{HEAD}elastic: {{min: 2, max: 8, resizeCost: 30s}}\n".encode()
    ok(massctl("submit", "-", "--elastic-interval", "0s", stdin=job_file))
    elastic = list(fake.jobs.values())[-1].spec.roles[0].elastic
    assert (elastic.cost_ms, elastic.HasField("interval_ms"), elastic.interval_ms) == (30_000, 1, 0)
    screen = ok(massctl("show", "j1"))
    assert "elastic 2 to 8 in steps of 2, resized 5m after a start or later" in screen


def test_flags_win_over_the_file_and_lists_add_to_it(
    massctl: Massctl, fake: FakeScheduler, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text(
        f"{HEAD}queue: a\npreemptible: false\ntimeLimit: 2h\nreplicas: 4\n"
        "dependsOn: [{job: j7}, {job: j8}]\nretry: {limit: 2, backoff: {initial: 1m}}\n"
        "placement: {tolerations: [a], topology: {preferred: rack, wait: 1m}}\n"
        "checkpoint: {signal: SIGUSR1, gracePeriod: 5m}\n"
    )
    flags = "-q b --preemptible --time 1h --after j8:any --after j9 --retries 3 --toleration b"
    flags += " --prefer-topology block --checkpoint-signal SIGUSR2 --elastic 2-8"
    ok(massctl("submit", "a.yaml", *flags.split()))
    spec = fake.jobs["j1"].spec
    assert (spec.queue, spec.not_preemptible, spec.walltime_ms) == ("b", False, 3_600_000)
    assert [(one.job_id, one.condition) for one in spec.depends_on] == [
        ("j7", job_pb2.DEPENDS_ON_SUCCESS),
        ("j8", job_pb2.DEPENDS_ON_ANY),
        ("j9", job_pb2.DEPENDS_ON_SUCCESS),
    ]
    assert (spec.retry.limit, spec.retry.backoff_ms) == (3, 60_000)
    assert list(spec.tolerations) == ["a", "b"]
    assert spec.topology == job_pb2.Topology(preferred="block")
    assert spec.checkpoint == job_pb2.Checkpoint(signal="SIGUSR2", notice_ms=300_000)
    assert (spec.roles[0].shards, spec.roles[0].elastic.max_shards) == (4, 8)


@pytest.mark.parametrize(
    ("flags", "fix"),
    [
        ("--time 2", "12h"),
        ("--begin tomorrow", "+2h"),
        ("--begin 2020-01-01T00:00Z", "2020-01-01T00:00:00.000Z has gone by"),
        ("--deadline 2020-01-01T00:00Z", "--deadline"),
        ("--after :any", "JOB:CONDITION"),
        ("--after j1:done", "success, any, failure, each"),
        ("--array 5-2", "0-99"),
        ("--array 0-99999", "at most 10000"),
        ("--array 0-9%0", "0-99%8"),
        ("--array 0-9%", "0-99%8"),
        ("--elastic 8-2", "MIN at most MAX"),
        ("--elastic 2", "2-8:2"),
        ("--elastic 2-8:0", "STEP from 1"),
        ("--elastic-interval 5m", "give its sizes as well, as --elastic 2-8:2"),
        ("--elastic 2-8 --elastic-interval 5", "a time with its unit"),
        ("--elastic 2-8 --shards 9", "--shards 2, or sizes that include 9"),
        ("--prefer-topology :5m", "rack:10m"),
        ("--retries 101", "0<=x<=100"),
        ("--checkpoint-signal SIGKILL", "SIGUSR1"),
        ("--notice 1m", "--checkpoint-signal SIGUSR1 --notice 1m"),
        ("--gpus 1 --gpu-share 1GiB", "give one of them"),
        ("--array 0-9 --follow", "massctl logs -f with a task's id"),
    ],
)
def test_a_flag_that_makes_no_sense_is_refused_with_a_fix(
    massctl: Massctl, fake: FakeScheduler, flags: str, fix: str
) -> None:
    done = massctl("submit", *flags.split(), "--", "x")
    assert (done.returncode, done.stdout) == (2, b"")
    assert fix in done.stderr.decode()
    assert fake.jobs == {}


def test_an_array_is_submitted_as_one_and_names_its_tasks(
    massctl: Massctl, fake: FakeScheduler
) -> None:
    flags = ("--name", "sweep", "--array", "0-99", "--", "x")
    done = massctl("submit", *flags)
    assert ok(done) == "j1 sweep submitted: j1_0 to j1_99\n"
    assert b"massctl ls --array j1" in done.stderr
    assert ok(massctl("submit", "-o", "name", *flags)) == "j2\n"
    assert json.loads(ok(massctl("submit", "-o", "json", *flags)))["tasks"] == 100


def test_an_array_cannot_be_run_in_the_foreground(massctl: Massctl, fake: FakeScheduler) -> None:
    done = massctl("run", "--array", "0-9", "--", "x")
    assert (done.returncode, fake.jobs) == (2, {})
    assert b"10 tasks" in done.stderr


def test_a_job_may_be_held_from_the_start(massctl: Massctl, fake: FakeScheduler) -> None:
    done = massctl("submit", "--hold", "--", "x")
    assert b"next: massctl release j1" in done.stderr
    (request,) = [request for name, request in fake.calls if name == "Submit"]
    assert request.held


def test_completion_knows_values_nodes_and_conditions(
    massctl: Massctl, massctl_process: Massctl, fake: FakeScheduler
) -> None:
    def complete(line: str, count: int) -> list[str]:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(count)}
        done = massctl_process(_MASSCTL_COMPLETE="bash_complete", **words)
        return [word.removeprefix("plain,") for word in ok(done).split()]

    ok(massctl("submit", "--", "x"))
    fake.nodes = [node_pb2.Node(id="n1"), node_pb2.Node(id="n2")]
    assert complete("massctl submit --after j", 3) == ["j1"]
    assert complete("massctl submit --after j1:a", 3) == ["j1:any"]
    assert complete("massctl submit --exclude n1,n", 3) == ["n1,n1", "n1,n2"]
    assert complete("massctl submit --checkpoint-signal SIGUSR", 3) == ["SIGUSR1", "SIGUSR2"]


# ---- how jobs are shown -------------------------------------------------------------------------


def rich_job(fake: FakeScheduler) -> job_pb2.Job:
    """Fill in everything that can be known of a job."""
    job = fake.jobs["j1"]
    job.state = job_pb2.JOB_STATE_HELD
    job.hold_reason = "by ann"
    job.array_id, job.array_index = "j0", 3
    job.array.CopyFrom(job_pb2.ArrayProgress(total=100, over=20, failed=1, active=8))
    job.unmet.append("j9")
    job.retries, job.preemptions, job.queued_ms = 2, 1, 5
    job.not_before_ms = 4_102_444_800_000
    job.avoid_nodes.append("n8")
    job.claim.CopyFrom(job_pb2.Claim(attempt=2, reason="r", victims=["j4"], nodes=["n1"]))
    job.planned.CopyFrom(
        job_pb2.PlannedStart(
            start_ms=4_102_444_800_000,
            end_ms=4_102_448_400_000,
            nodes=["n1", "n2"],
            is_known=True,
        )
    )
    attempt = job.attempts[0]
    attempt.checkpoint_ms = 1000
    attempt.trail.append("2 nodes were looked at")
    attempt.receipt.CopyFrom(
        job_pb2.Receipt(at_ms=1000, rule=job_pb2.STOP_RULE_RECLAIM, by="j7", lost_gpu_ms=11_520_000)
    )
    return job


def test_show_says_what_is_known_beyond_the_defaults(massctl: Massctl, fake: FakeScheduler) -> None:
    flags = "-q research -t 2h --after j9:any --elastic 1-4 --retries 3 --exclusive"
    ok(massctl("submit", *flags.split(), "--", "x"))
    rich_job(fake)
    screen = ok(massctl("show", "j1", "-o", "wide"))
    for line in (
        "held (by ann): massctl release j1",
        "for the end of j9",
        "never again on n8",
        "owns its place on n1; j4 leave for it",
        "on n1,n2, to end 2100",
        "planned to start 2100",
        "task 3 of j0: 100 tasks, 8 active, 20 over (1 failed)",
        "worker: 1 x 0 GPU, 1 CPU, elastic 1 to 4",
        "queue    research",
        "time     limit 2h",
        "after    j9: its end",
        "place    alone on its nodes",
        "retry    at most 3 times",
        "preempted once, failed and retried 2 times",
        "weighed: 2 nodes were looked at",
        "under RECLAIM: lost 3.2 GPU-hours since the last checkpoint",
    ):
        assert line in screen, screen


def test_show_names_no_hour_that_nobody_knows(massctl: Massctl, fake: FakeScheduler) -> None:
    ok(massctl("submit", "--", "x"))
    rich_job(fake).planned.is_known = False
    screen = ok(massctl("show", "j1"))
    assert "promised a place on n1,n2 once those there end: not every run time is known" in screen
    assert "2100-01-01 01:00" not in screen.split("promised")[1].splitlines()[0]


def test_show_of_a_plain_job_says_nothing_of_all_that(
    massctl: Massctl, fake: FakeScheduler
) -> None:
    ok(massctl("submit", "--", "x"))
    titles = [line.split()[0] for line in ok(massctl("show", "j1")).splitlines()[1:6]]
    assert titles == ["user", "times", "asks", "command", "workdir"]


def test_show_has_all_of_it_in_json(massctl: Massctl, fake: FakeScheduler) -> None:
    ok(massctl("submit", "-q", "research", "--", "x"))
    rich_job(fake)
    view = json.loads(ok(massctl("show", "j1", "-o", "json")))
    assert (view["queue"], view["state"], view["holdReason"]) == ("research", "HELD", "by ann")
    assert view["array"] == {
        **{"id": "j0", "index": 3, "total": 100, "over": 20, "failed": 1, "active": 8}
    }
    assert view["claim"]["victims"] == ["j4"]
    assert view["planned"]["startAt"] == "2100-01-01T00:00:00.000Z"
    assert view["planned"]["isKnown"] is True
    assert (view["retries"], view["preemptions"], view["waitsFor"]) == (2, 1, ["j9"])
    (attempt,) = view["attempts"]
    assert attempt["receipt"]["lostGpuMs"] == 11_520_000
    assert attempt["checkpointAt"] == "1970-01-01T00:00:01.000Z"


def test_a_whole_spec_that_show_printed_can_be_submitted_again(
    massctl: Massctl, fake: FakeScheduler
) -> None:
    flags = (
        "-q a -t 2h --begin +1h --after j9:any --elastic 1-4 --retries 3 --exclusive --notice 1s"
    )
    flags += " --array 0-9%2 --not-preemptible --topology rack --checkpoint-signal SIGUSR1"
    ok(massctl("submit", *flags.split(), "--gpu-share", "5GiB", "--", "x"))
    spec = yaml.safe_load(ok(massctl("show", "j1", "-o", "yaml")))["spec"]
    ok(massctl("submit", "-", stdin=yaml.safe_dump(spec).encode()))
    first, again = (spec_from_proto(fake.jobs[job].spec) for job in ("j1", "j2"))
    assert first == again


@pytest.mark.parametrize(
    ("gpu_ms", "text"),
    [
        (11_520_000, "3.2 GPU-hours"),
        (360_000, "0.1 GPU-hours"),
        (90_000, "1.5 GPU-minutes"),
        (1500, "1.5 GPU-seconds"),
        (0, "nothing"),
    ],
)
def test_lost_work_is_told_in_a_unit_that_fits(gpu_ms: int, text: str) -> None:
    assert screens.lost_text(gpu_ms) == text


@pytest.mark.parametrize(
    ("rule", "by", "expected"),
    [
        (job_pb2.STOP_RULE_PRIORITY, "j7", "preempted by j7 at "),
        (job_pb2.STOP_RULE_SHRINK, "j7", "shrunk for j7 at "),
        (job_pb2.STOP_RULE_DRAIN, "", "stopped at "),
    ],
)
def test_a_receipt_says_who_when_and_why(rule: int, by: str, expected: str) -> None:
    at_ms = int(datetime(2026, 1, 2, 14, 2).timestamp() * 1000)
    receipt = job_pb2.Receipt(at_ms=at_ms, rule=rule, by=by, reason="why")  # type: ignore[arg-type]
    text = screens.receipt_text(receipt)
    assert text.startswith(f"{expected}2026-01-02 14:02 under ")
    assert text.endswith("lost nothing since the last checkpoint (why)")


def test_ls_shows_what_an_elastic_job_has_and_shares_by_memory(
    massctl: Massctl, fake: FakeScheduler
) -> None:
    ok(massctl("submit", "--gpus", "1", "--elastic", "1-4", "--", "x"))
    for shard in fake.jobs["j1"].attempts[0].shards:
        shard.gpu_milli = 1000
        shard.device_uuids.append("GPU-1")
    fake.jobs["j1"].attempts[0].shards.add(gpu_milli=1000, device_uuids=["GPU-2"])
    ok(massctl("submit", "--gpu-share", "20GiB", "--shards", "2", "--", "x"))
    rows = [line.split() for line in ok(massctl("ls")).splitlines()[1:]]
    assert [row[5] for row in rows] == ["2", "2x20GiB"]


@pytest.mark.parametrize("state", ["HELD", "RESERVED"])
def test_ls_lists_jobs_that_are_held_or_own_what_others_leave(
    massctl: Massctl, fake: FakeScheduler, state: str
) -> None:
    ok(massctl("submit", "--", "x"))
    fake.jobs["j1"].state = job_pb2.JobState.Value(f"JOB_STATE_{state}")
    assert state in ok(massctl("ls"))
    assert ok(massctl("ls", "--state", state.lower(), "-o", "name")) == "j1\n"


def test_a_number_that_is_too_large_or_negative_is_told_so() -> None:
    """The limit comes first, not the grammar that was followed."""
    with pytest.raises(ValueError, match="at most 10000 tasks"):
        units.indexes("0-99999")
    with pytest.raises(ValueError, match="gpu is 0 or more"):
        amounts.parse_amounts("gpu=-1")


def test_a_quota_of_one_gpu_model_is_listed() -> None:
    """Where no plain number of GPUs is said, the models are."""
    queue = scheduler_pb2.Queue(spec=scheduler_pb2.QueueSpec(name="q"))
    queue.spec.quota.of["gpu:H100"] = 16_000
    column = next(column for column in views_admin.QUEUES if column.title == "QUOTA")
    assert column.text(queue) == "gpu:H100=16"
