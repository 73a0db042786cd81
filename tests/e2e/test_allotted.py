"""massd under policies that settle for all jobs at once who holds what, through real processes."""

from pathlib import Path

import pytest

from tests.daemons import Cluster, cluster
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e


def has_shards(c: Cluster, job_id: str, count: int) -> None:
    """Wait until the job runs with so many shards."""

    def there() -> bool:
        job = c.job(job_id)
        return job["state"] == "RUNNING" and len(job["attempts"][-1]["shards"]) == count

    wait_until(there, what=f"{job_id} runs with {count} shards")


@pytest.mark.parametrize("order", ["optimus", "elasticflow", "sia", "mass"])
def test_an_elastic_job_gives_a_gpu_to_who_comes_and_takes_it_back(
    order: str, tmp_path: Path
) -> None:
    """Two GPUs: one job has both; another comes, runs and ends; then the first has both again."""
    elastic = ("--elastic", "1-2", "--elastic-interval", "0s", "--expected", "10h", "--grace", "1s")
    with cluster(tmp_path, "--order", order, "--heartbeat", "100ms", agents=("n1", "n2")) as c:
        job_id = c.submit("--gpus", "1", *elastic, "--", "sleep", "600")
        has_shards(c, job_id, 2)
        other = c.submit("--gpus", "1", "--expected", "1m", "--", "true")
        c.wait_for(other, "SUCCEEDED")
        has_shards(c, job_id, 2)
        history = c.ctl("history", job_id)
        assert "RESHAPE" in history
        assert c.job(other)["attempts"][-1]["receipt"] is None
