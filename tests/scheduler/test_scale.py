"""massctl scale: another number of shards, for jobs that wait and for elastic ones at work."""

import json
from pathlib import Path

from aimass.v1 import job_pb2
from tests.scheduler.harness import Agent, inventory, scheduler, spec

RUNNING, STOPPING = job_pb2.JOB_STATE_RUNNING, job_pb2.JOB_STATE_STOPPING


def elastic_spec() -> job_pb2.JobSpec:
    """One that asks for four shards and may have two to four; it may be resized at any time."""
    sent = spec("elastic", 4)
    sent.roles[0].elastic.CopyFrom(
        job_pb2.Elastic(min_shards=2, max_shards=4, step=1, interval_ms=0)
    )
    return sent


async def test_what_a_running_job_asks_no_more_goes_to_who_needs_it(tmp_path: Path) -> None:
    """Nobody stops it before that; history tells of the change."""
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1", inventory=inventory(4))
        await agent.hello()
        job_id = await s.submit(elastic_spec())
        for item in (await agent.desired(4)).assignments:
            await agent.report(item, job_pb2.SHARD_STATE_RUNNING, pid=7)
        await s.job_in(job_id, RUNNING)
        code, out, err = await s.massctl("scale", job_id, "3")
        assert (code, out) == (0, f"{job_id} RUNNING\n")
        assert "it asks for 3 shards and has 4: others may have the rest" in err
        assert json.loads((await s.massctl("show", job_id, "-o", "json"))[1])["shards"] == 3
        await s.submit(spec("other", 2))
        assert "has waited" in (await s.massctl("why", "j2"))[1]
        code, _, err = await s.massctl("scale", job_id, "2")
        assert (code, "has 4" in err) == (0, True)
        assert (await s.job_in(job_id, STOPPING)).spec.roles[0].shards == 2
        told = (await s.massctl("history", job_id))[1]
        assert "shards 4 -> 3" in told
        assert "shrinks from 4 to 2 shards for j2" in told


async def test_a_size_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """Beyond the bounds; of a job at work that is not elastic. One that waits may have any."""
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1", inventory=inventory(4))
        await agent.hello()
        await s.submit(elastic_spec())
        code, _, err = await s.massctl("scale", "j1", "5")
        assert code == 2
        assert "2 to 4" in err
        await s.submit(spec("waits", 2))
        assert (await s.massctl("scale", "j2", "3"))[:2] == (0, "j2 QUEUED\n")
        await s.massctl("cancel", "j1")
        for item in (await agent.desired(4)).assignments:
            await agent.ran(item)
        await s.job_in("j2", job_pb2.JOB_STATE_PLACED)
        code, _, err = await s.massctl("scale", "j2", "1")
        assert code == 4
        assert "roles cannot change now" in err
        assert "elastic" in err
