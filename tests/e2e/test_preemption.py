"""A preempted gang through real daemons: told, saves its work, leaves, and comes back to go on."""

import sys
from pathlib import Path

import pytest

from tests.daemons import cluster
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

# Says what it is sent. Rank 0 alone saves and marks; the second attempt ends when `saved` is there.
GANG = """
import os, signal, sys, time
truth, saved = sys.argv[1:3]
rank, attempt = os.environ["RANK"], os.environ["AIMASS_ATTEMPT"]
def say(word):
    with open(truth, "a") as file:
        file.write(f"{rank}.{attempt} {word}\\n")
def notice(*_):
    say("notice")
    if rank == "0":
        while "1.1 notice" not in open(truth).read():
            time.sleep(0.01)
        open(saved, "w").close()
        open(os.environ["AIMASS_CHECKPOINT_FILE"], "w").close()
def term(*_):
    say("term")
    sys.exit(143)
signal.signal(signal.SIGUSR1, notice)
signal.signal(signal.SIGTERM, term)
say("begin")
while not (attempt == "2" and os.path.exists(saved)):
    signal.pause()
"""

JOB = """
apiVersion: aimass/v1
kind: TrainJob
name: gang
command: [{python}, -S, {script}, {truth}, {saved}]
replicas: 2
resources: {{gpus: 1}}
checkpoint: {{signal: SIGUSR1, gracePeriod: 10m}}
"""


def test_a_preempted_gang_saves_its_work_leaves_and_goes_on(tmp_path: Path) -> None:
    """The answer of rank 0 on one node ends rank 1's notice of ten minutes on the other."""
    script, truth, saved, file = (tmp_path / name for name in ("gang.py", "truth", "saved", "job"))
    script.write_text(GANG)
    truth.touch()
    file.write_text(JOB.format(python=sys.executable, script=script, truth=truth, saved=saved))
    with cluster(tmp_path, "--heartbeat", "100ms", agents=("n1", "n2")) as c:
        gang = c.submit(str(file))
        c.wait_for(gang, "RUNNING")
        wait_until(lambda: truth.read_text().count("begin") == 2, what="both ranks are up")
        urgent = c.submit("--gpus", "1", "--shards", "2", "--priority", "100", "--", "true")
        c.wait_for(urgent, "SUCCEEDED")
        job = c.wait_for(gang, "SUCCEEDED", timeout_s=60)
    words = truth.read_text().splitlines()
    for rank in "01":
        seen = [word for word in words if word.startswith(rank)]
        assert seen == [f"{rank}.1 begin", f"{rank}.1 notice", f"{rank}.1 term", f"{rank}.2 begin"]
    first, second = job["attempts"]
    assert [shard["exit"]["reason"] for shard in first["shards"]] == ["STOPPED", "STOPPED"]
    assert [shard["exit"]["code"] for shard in second["shards"]] == [0, 0]
