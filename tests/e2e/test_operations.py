"""Queues, holds and drains through real processes."""

import json
import urllib.request
from pathlib import Path

import pytest

from aimass.scheduler.journal_tools import dump
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


def test_a_restarted_massd_waits_for_its_nodes_before_it_decides(tmp_path: Path) -> None:
    """Or else whoever waits would get the node that comes first, and promises would be broken."""
    with cluster(tmp_path, "--heartbeat", "200ms", agents=("n1", "n2")) as c:
        held = c.submit("--gpus", "1", "--hold", "--", "true")
        c.stop()
        assert not any('"NodeSilent"' in line for line in dump(c.data))
        c.start_massd()
        c.ctl("release", held)
        c.wait_for(held, "SUCCEEDED")
        c.stop()
        events = [json.loads(line)["type"] for line in dump(c.data)]
        since = events[events.index("NodeSilent") :]
        assert since.index("PlanCommitted") > len(since) - since[::-1].index("NodeRegistered") - 1
        c.kill(c.agents["n1"])
        c.start_massd()
        last = c.submit("--gpus", "1", "--", "true")
        c.wait_for(last, "SUCCEEDED")  # it does not wait for ever for who does not come back
