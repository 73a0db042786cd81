"""Queues, holds and drains through real processes."""

import json
import urllib.request
from pathlib import Path

import pytest

from tests.daemons import cluster, run_file
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

SLEEP = ("sleep", "600")


def test_queues_share_holds_and_drains(tmp_path: Path) -> None:
    with cluster(tmp_path, "--levels", "block,rack") as c:
        c.ctl("queue", "put", "vision", "--quota", "gpu=1", "--weight", "2")
        job_id = c.submit("--gpus", "1", "--queue", "vision", "--hold", "--", *SLEEP)
        assert c.job(job_id)["state"] == "HELD"
        c.ctl("release", job_id)
        c.wait_for(job_id, "RUNNING")
        rows = json.loads(c.ctl("share", "-o", "json"))["items"]
        used = {row["name"]: row["used"] for row in rows}
        assert used["vision"]["gpu"] == used["root"]["gpu"] == 1
        assert json.loads(c.ctl("version", "--server", "-o", "json"))["scheduler"]["levels"] == [
            "block",
            "rack",
        ]
        c.ctl("suspend", job_id)
        c.wait_for(job_id, "HELD")
        c.ctl("release", job_id)
        c.wait_for(job_id, "RUNNING")
        c.kill(c.massd)
        c.start_massd()
        c.wait_ready(1)
        assert "vision" in c.ctl("queue", "ls", "-o", "name").split()
        c.ctl("drain", "n1", "--wait")
        assert c.job(job_id)["state"] == "QUEUED"
        c.ctl("cancel", job_id)

        def metrics_tell() -> bool:
            address = run_file(c.data)["http_address"]
            text = urllib.request.urlopen(f"http://{address}/metrics", timeout=10).read().decode()
            return 'aimass_queue_quota{queue="vision",resource="gpu"} 1.0' in text

        wait_until(metrics_tell, what="the queue's quota among the metrics")
