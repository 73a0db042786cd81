"""Whole job specs over real gRPC: what is accepted comes back, what is impossible is named."""

import time
from pathlib import Path

import grpc
import pytest

from aimass.v1 import job_pb2, scheduler_pb2
from tests.scheduler.harness import Agent, inventory, scheduler, spec
from tests.scheduler.test_api import detail

HOUR_MS = 3_600_000


def full_spec() -> job_pb2.JobSpec:
    """A job that says something in every field, and can be accepted at once."""
    soon_ms = time.time_ns() // 1_000_000 + HOUR_MS
    full = spec(
        env={"A": "1"},
        labels={"team": "nlp"},
        kind=job_pb2.JOB_KIND_BATCH,
        priority=3,
        node_selector={"zone": "a"},
        strategy=job_pb2.STRATEGY_SPREAD,
        queue="default",
        not_preemptible=True,
        preemption={"mode": job_pb2.PREEMPT_MODE_SHRINK, "min_runtime_ms": 5, "delay_ms": 6},
        checkpoint={"signal": "SIGUSR1", "notice_ms": 1000},
        walltime_ms=HOUR_MS,
        expected_ms=HOUR_MS // 2,
        start_after_ms=soon_ms,
        deadline_ms=soon_ms + 2 * HOUR_MS,
        affinity=[{"key": "net", "op": job_pb2.LABEL_OP_EXISTS, "weight": 5}],
        tolerations=["gpu"],
        exclude_nodes=["n7"],
        exclusive_node=True,
        retry={"limit": 3, "backoff_ms": 0, "factor_milli": 1000, "backoff_max_ms": 7},
        movable=True,
        allow_future=True,
    )
    full.retry.rules.add(
        action=job_pb2.RETRY_ACTION_RETRY,
        exit_codes=[2],
        reasons=["OUT_OF_MEMORY"],
        is_free=True,
        memory_factor_milli=1500,
    )
    role = full.roles[0]
    role.gpu_types[:] = ["H100", "A100"]
    role.gpu_types_in_order = True
    role.elastic.CopyFrom(
        job_pb2.Elastic(min_shards=1, max_shards=4, step=1, cost_ms=0, interval_ms=9)
    )
    return full


async def test_a_whole_spec_is_kept_across_a_restart(tmp_path: Path) -> None:
    full = full_spec()
    async with scheduler(tmp_path) as s:
        job_id = await s.submit(full)
        assert (await s.client.Get(scheduler_pb2.GetRequest(job=job_id))).spec == full
    async with scheduler(tmp_path) as s:
        job = await s.client.Get(scheduler_pb2.GetRequest(job=job_id))
        assert job.spec == full
        assert job.not_before_ms == full.start_after_ms


async def test_what_is_not_given_comes_back_as_the_default(tmp_path: Path) -> None:
    sent = spec()
    sent.ClearField("grace_ms")
    async with scheduler(tmp_path) as s:
        job = await s.client.Get(scheduler_pb2.GetRequest(job=await s.submit(sent)))
        assert (job.spec.queue, job.spec.grace_ms) == ("default", 30_000)
        assert not job.spec.not_preemptible
        parts = ("preemption", "checkpoint", "topology", "array", "retry")
        assert [part for part in parts if job.spec.HasField(part)] == []


IMPOSSIBLE: list[tuple[dict[str, object], str]] = [
    ({"queue": "a b"}, "queue"),
    ({"walltime_ms": -1}, "timeLimit"),
    ({"deadline_ms": 2**60}, "deadline"),
    ({"start_after_ms": 10, "deadline_ms": 5}, "deadline"),
    ({"topology": {"required": "rack", "preferred": "rack"}}, "placement.topology.preferred"),
    ({"topology": {"wait_ms": 5}}, "placement.topology.wait"),
    ({"affinity": [{"key": ""}]}, "placement.affinity"),
    ({"affinity": [{"key": "a", "values": ["b"], "weight": 1001}]}, "placement.affinity"),
    ({"checkpoint": {"signal": "SIGKILL"}}, "checkpoint.signal"),
    ({"preemption": {"mode": job_pb2.PREEMPT_MODE_SHRINK}}, "preemption.mode"),
    ({"preemption": {"max_per_day": -1}}, "preemption.maxPerDay"),
    ({"depends_on": [{"job_id": "j1", "condition": job_pb2.DEPENDS_ON_EACH}]}, "dependsOn"),
    ({"array": {}}, "array"),
    ({"array": {"indexes": range(10_001)}}, "array"),
    ({"array": {"indexes": [2, 1]}}, "array"),
    ({"array": {"indexes": [1], "max_parallel": -1}}, "array.maxParallel"),
    ({"retry": {"limit": 101}}, "retry.limit"),
    ({"retry": {"backoff_ms": 700_000}}, "retry.backoff"),
    ({"retry": {"factor_milli": 999}}, "retry.backoff.factor"),
    ({"retry": {"rules": [{"reasons": ["BAD_LUCK"]}]}}, "retry.rules"),
    ({"kind": 99}, "kind"),
    ({"preemption": {"mode": 99}}, "preemption.mode"),
    ({"depends_on": [{"job_id": "j1", "condition": 99}]}, "dependsOn.condition"),
    ({"retry": {"rules": [{"action": 99}]}}, "retry.rules.action"),
]


async def test_every_impossible_field_is_named_and_nothing_is_accepted(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        for change, field in IMPOSSIBLE:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await s.submit(spec(**change))  # type: ignore[arg-type]
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, change
            assert detail(caught.value).id == field, change
        assert (await s.client.List(scheduler_pb2.ListRequest())).total == 0


@pytest.mark.parametrize(
    "elastic",
    [
        job_pb2.Elastic(min_shards=4, max_shards=2),
        job_pb2.Elastic(min_shards=2, max_shards=4),
        job_pb2.Elastic(max_shards=4),
        job_pb2.Elastic(min_shards=1, max_shards=4, step=-1),
    ],
    ids=str,
)
async def test_sizes_that_leave_out_what_is_asked_are_refused(
    tmp_path: Path, elastic: job_pb2.Elastic
) -> None:
    bad = spec()
    bad.roles[0].elastic.CopyFrom(elastic)
    async with scheduler(tmp_path) as s:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await s.submit(bad)
        assert detail(caught.value).id.startswith("roles.worker.elastic")


async def test_an_array_is_one_id_and_its_tasks_are_listed_without_their_indexes(
    tmp_path: Path,
) -> None:
    async with scheduler(tmp_path) as s:
        sent = spec(gpus=0, array={"indexes": [0, 3, 5], "max_parallel": 2})
        assert await s.submit(sent) == "j1"
        jobs = (await s.client.List(scheduler_pb2.ListRequest())).jobs
        assert [(job.id, job.array_id, job.array_index) for job in jobs] == [
            *(("j1_0", "j1", 0), ("j1_3", "j1", 3), ("j1_5", "j1", 5))
        ]
        assert jobs[0].array == job_pb2.ArrayProgress(total=3)
        assert (list(jobs[0].spec.array.indexes), jobs[0].spec.array.max_parallel) == ([], 2)
        for name in ("j1_3", "j1"):  # one task, and the whole
            found = await s.client.Get(scheduler_pb2.GetRequest(job=name))
            assert list(found.spec.array.indexes) == [0, 3, 5]
            assert (found.id, found.array.total) == (name, 3)


async def test_a_job_says_whom_it_waits_for_and_who_holds_it(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        first = await s.submit(spec())
        second = await s.submit(spec(depends_on=[{"job_id": first}]))
        job = await s.client.Get(scheduler_pb2.GetRequest(job=second))
        assert (job.state, list(job.unmet)) == (job_pb2.JOB_STATE_QUEUED, [first])
        request = scheduler_pb2.SubmitRequest(spec=spec(), held=True, user="ada")
        held = (await s.client.Submit(request)).job_id
        job = await s.client.Get(scheduler_pb2.GetRequest(job=held))
        assert job.state == job_pb2.JOB_STATE_HELD
        assert job.hold_reason


async def test_an_elastic_job_shows_the_size_that_it_was_given(tmp_path: Path) -> None:
    sent = spec(shards=1)
    sent.roles[0].elastic.CopyFrom(job_pb2.Elastic(min_shards=1, max_shards=2))
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1", inventory=inventory(1))
        await agent.hello()
        job_id = await s.submit(sent)
        await agent.desired(1)
        job = await s.client.Get(scheduler_pb2.GetRequest(job=job_id))
        assert [len(attempt.shards) for attempt in job.attempts] == [1]
        assert job.attempts[0].trail
        await agent.leave()
