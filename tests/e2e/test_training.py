"""A real training job through the whole product: torch, two nodes, a crash in the middle."""

import re
import sys
from pathlib import Path

import pytest

from tests.daemons import REPOSITORY, cluster, massctl
from tests.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.torch]

JOB = """
apiVersion: aimass/v1
kind: TrainJob
name: digits
workdir: {examples}
command: ["{python}", digits_ddp.py, --checkpoint-dir, "{checkpoints}", --min-step-ms, "20"]
replicas: 2
resources: {{gpus: 1, cpus: 1}}
placement: {{strategy: spread}}
"""


def steps(checkpoints: Path) -> list[str]:
    """What the ranks say they have done, a line per rank and step."""
    log = checkpoints / "steps.log"
    return log.read_text().splitlines() if log.exists() else []


def test_two_ranks_on_two_nodes_train_through_the_loss_of_an_agent(tmp_path: Path) -> None:

    checkpoints = tmp_path / "checkpoints"
    file = tmp_path / "digits.yaml"
    examples = REPOSITORY / "examples"
    file.write_text(JOB.format(examples=examples, python=sys.executable, checkpoints=checkpoints))
    with cluster(tmp_path, agents=("n1", "n2")) as c:
        job_id = c.submit(str(file))
        wait_until(lambda: len(steps(checkpoints)) > 10, 60, what="the training to be under way")
        c.kill(c.agents["n2"])
        c.start_agent("n2")
        done = massctl(c.address, "wait", job_id, "--timeout", "90s", timeout_s=100)
        assert done.returncode == 0, done.stderr
        output = c.ctl("logs", job_id)
        accuracy = float(re.findall(r"accuracy (0\.\d+)", output)[-1])
        assert accuracy >= 0.95
        assert {line[:3] for line in output.splitlines()} == {"[0]", "[1]"}
        assert len(c.job(job_id)["attempts"]) == 1
        done_once = steps(checkpoints)
        assert len(done_once) == len(set(done_once))
