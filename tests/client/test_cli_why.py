"""massctl why, against a fake scheduler: the page, and the same as JSON."""

import json
import textwrap
import time
from pathlib import Path

import pytest

from aimass import cli_why, clusterfile
from aimass.v1 import job_pb2, scheduler_pb2
from aimass.why_screen import loss_lines
from tests.client.conftest import Massctl
from tests.client.fake_scheduler import FakeScheduler
from tests.client.test_cli import ok


def test_why_names_reason_counts_holders_and_what_would_help(
    massctl: Massctl, fake: FakeScheduler
) -> None:
    fake.first_state = job_pb2.JOB_STATE_QUEUED
    ok(massctl("submit", "--name", "bert", "--", "x"))
    fake.explanation = scheduler_pb2.Explanation(
        job_id="j1",
        state=job_pb2.JOB_STATE_QUEUED,
        code="GPUS_BUSY",
        summary="2 of 4 shards fit now",
        waiting_ms=192_000,
        shards_asked=4,
        shards_fit_now=2,
        fits_when_empty=False,
        ahead=1,
        holders=["j8", "j9"],
        held_by=[
            scheduler_pb2.Holder(job_id="j8", user="bob", gpu_milli=8000, end_ms=7_200_000),
            scheduler_pb2.Holder(job_id="j9", user="ann", gpu_milli=500),
        ],
        holders_total=4,
        start=job_pb2.Outlook(at_ms=7_200_000, latest_ms=7_200_000, is_promise=True),
        changes=[
            scheduler_pb2.Change(
                kind="PRIORITY",
                text="with priority 1",
                command="massctl update j1 --priority 1",
                losses=[
                    scheduler_pb2.Loss(
                        job_id="j8", user="bob", rule="PRIORITY", lost_gpu_ms=11_520_000
                    )
                ],
            )
        ],
        unblock=["when j8 ends"],
        revision=77,
        blockers=[
            scheduler_pb2.Blocker(
                code="GPUS_BUSY", text="1 of 8 free", nodes=5, examples=["n1", "n2", "n3", "n4"]
            ),
            scheduler_pb2.Blocker(code="WRONG_GPU_TYPE", text="A100", nodes=1, examples=["n8"]),
        ],
    )
    assert ok(massctl("why", "j1")) == (
        "j1 bert has waited 3m12s. Main reason: GPUS_BUSY\n"
        "  2 of 4 shards fit now\n"
        "  never on the present nodes, not even when they are empty\n"
        "\n"
        "  REASON          NODES  EXAMPLES     WHAT\n"
        "  GPUS_BUSY           5  n1,n2,n3 +1  1 of 8 free\n"
        "  WRONG_GPU_TYPE      1  n8           A100\n"
        "\n"
        "  order    1 queued job ahead\n"
        "  held by  j8 (bob): 8 GPUs, ends in 2h (1970-01-01T02:00Z)\n"
        "           j9 (ann): 0.5 GPUs, gave no run time\n"
        "           and 2 more\n"
        "  starts   at the latest in 2h (1970-01-01T02:00Z): that is promised\n"
        "  now      with priority 1:\n"
        "             massctl update j1 --priority 1\n"
        "             stops j8 (bob) under PRIORITY: it loses 3.2 GPU-hours of work\n"
        "  unblock  when j8 ends\n"
        "evidence: revision 77\n"
    )
    view = json.loads(ok(massctl("why", "j1", "-o", "json")))
    assert (view["code"], view["blockers"][0]["nodes"], view["ahead"]) == ("GPUS_BUSY", 5, 1)
    assert ok(massctl("why", "j1", "-o", "name")) == "GPUS_BUSY\n"
    fake.explanation.state = job_pb2.JOB_STATE_RUNNING
    assert ok(massctl("why", "j1")).startswith("j1 bert does not wait: it is RUNNING\n")


def test_a_time_that_has_passed_is_given_as_people_say_it() -> None:
    """`2h` and `2h ago` are one; what is to come cannot be explained."""
    now_ms = time.time_ns() // 1_000_000
    for words in ("2h", "2h ago", " 2hago"):
        assert abs(now_ms - 7_200_000 - cli_why._past(words)) < 3_600_000
    for words in ("+2h", "2999-01-01T00:00Z"):
        with pytest.raises(ValueError, match="in the past"):
            cli_why._past(words)


def test_the_cluster_file_in_the_help_of_plan_is_one(tmp_path: Path) -> None:
    lines = (cli_why.plan.help or "").splitlines()
    first = next(at for at, line in enumerate(lines) if "levels:" in line)
    end = lines.index("", first)
    file = tmp_path / "cluster.yaml"
    file.write_text(textwrap.dedent("\n".join(lines[first:end])))
    levels, nodes = clusterfile.load(file)
    assert levels == ["row", "rack"]
    assert [len(there.devices) for _, there in nodes] == [8, 8, 8, 8, 0]


def test_a_move_is_shown_with_what_it_gains() -> None:
    reason = "moves so that j9 can start 3 h earlier: gains 24 GPU-hours, loses 0.4"
    loss = scheduler_pb2.Loss(
        job_id="j8", user="bob", rule="MOVE", lost_gpu_ms=720_000, reason=reason
    )
    assert list(loss_lines([loss])) == [
        f"stops j8 (bob) under MOVE: it loses 0.2 GPU-hours of work; it {reason}"
    ]
