"""What people do to jobs that exist, and which specs are accepted: over real gRPC."""

import time
from pathlib import Path

import grpc
import pytest

from aimass.v1 import job_pb2, scheduler_pb2
from tests.scheduler.harness import Agent, Scheduler, scheduler, spec
from tests.scheduler.test_api import detail

QUEUED, HELD = job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_HELD
RUNNING, STOPPING = job_pb2.JOB_STATE_RUNNING, job_pb2.JOB_STATE_STOPPING
PLACED, CANCELLED = job_pb2.JOB_STATE_PLACED, job_pb2.JOB_STATE_CANCELLED
SUCCEEDED, FAILED = job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED


def job(ref: str = "j1", **more: str) -> scheduler_pb2.JobRequest:
    return scheduler_pb2.JobRequest(job=ref, user="ada", **more)


async def get(s: Scheduler, ref: str = "j1") -> job_pb2.Job:
    return await s.client.Get(scheduler_pb2.GetRequest(job=ref))


def array(*indexes: int, **more: object) -> job_pb2.JobSpec:
    return spec("sweep", array=job_pb2.Array(indexes=indexes), **more)


async def test_a_held_job_waits_for_its_release(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        request = scheduler_pb2.SubmitRequest(spec=spec(), user="ada", held=True)
        await s.client.Submit(request)
        assert (await get(s)).state == HELD
        assert "held by ada" in (await get(s)).reason
        await s.client.Release(job())
        await s.job_in("j1", PLACED)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await s.client.Hold(job())
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "massctl suspend j1" in detail(caught.value).fix


async def test_hold_says_why_and_changes_nothing_twice(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        await s.submit(spec())
        assert (await s.client.Hold(job(reason="no data yet"))).state == HELD
        assert "no data yet" in (await get(s)).reason
        revision = s.engine.revision
        await s.client.Hold(job())
        assert s.engine.revision == revision
        code, out, err = await s.massctl("release", "j1")
        assert (code, out, err) == (0, "j1 QUEUED\n", "")
        assert (await s.massctl("release", "j1"))[0] == 4


@pytest.mark.parametrize(("word", "after"), [("requeue", PLACED), ("suspend", HELD)])
async def test_an_active_job_is_stopped_and_queues_again_or_is_held(
    tmp_path: Path, word: str, after: int
) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        item = await agent.running(s)
        code, out, _ = await s.massctl(word, "j1")
        assert (code, out) == (0, "j1 STOPPING\n")
        await agent.report(
            item,
            job_pb2.SHARD_STATE_EXITED,
            exit=job_pb2.Exit(signal=15, reason=job_pb2.EXIT_REASON_STOPPED),
        )
        again = await s.job_in("j1", after)
        assert again.retries == 0
        assert (await s.massctl("requeue", "j1"))[0] == (4 if after == HELD else 0)


async def test_a_job_that_is_over_is_left_alone(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        await s.submit(spec())
        await s.client.Cancel(scheduler_pb2.CancelRequest(job="j1"))
        for word in ("hold", "release", "requeue", "suspend"):
            code, _, err = await s.massctl(word, "j1")
            assert (code, "already CANCELLED" in err) == (4, True)
        assert (await s.massctl("update", "j1", "--priority", "1"))[0] == 4


async def test_a_waiting_job_is_updated(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        await s.submit(spec())
        words = ("--priority", "7", "--time", "2d", "--begin", "+1h", "--deadline", "+9d")
        code, out, err = await s.massctl("update", "j1", *words)
        assert (code, out, err) == (0, "j1 QUEUED\n", "")
        after = (await get(s)).spec
        assert (after.priority, after.walltime_ms) == (7, 2 * 24 * 3_600_000)
        assert 0 < after.start_after_ms < after.deadline_ms
        assert (await s.massctl("update", "j1", "--deadline", "none"))[0] == 0
        assert (await get(s)).spec.deadline_ms == 0
        assert (await s.massctl("update", "j1", "--queue", "nobody"))[0] == 3
        assert (await s.massctl("update", "j1"))[0] == 2


async def test_an_update_of_what_somebody_else_changed_is_refused(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        await s.submit(spec())
        was = (await get(s)).spec
        mine, theirs = spec(priority=1), spec(priority=2)
        request = scheduler_pb2.UpdateRequest(job="j1", spec=theirs, was=was)
        assert (await s.client.Update(request)).spec.priority == 2
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await s.client.Update(scheduler_pb2.UpdateRequest(job="j1", spec=mine, was=was))
        assert caught.value.code() is grpc.StatusCode.ABORTED


async def test_of_an_active_job_only_limits_change(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        await agent.running(s)
        assert (await s.massctl("update", "j1", "--time", "1h"))[0] == 0
        code, _, err = await s.massctl("update", "j1", "--begin", "+1h")
        assert (code, "startAfter cannot change now" in err) == (4, True)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--deadline", "2020-01-01T00:00Z"), "cannot be over"),
        (("--time", "3h"), "-t TIME"),
        (("--priority", "6"), "priorities 0 to 5"),
    ],
)
async def test_a_wrong_update_neither_changes_nor_stops_an_active_job(
    tmp_path: Path, flags: tuple[str, str], words: str
) -> None:
    """What a submission may not ask an update may not either; what stays as it is is not asked."""
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        await agent.running(s)
        bounds = ("--max-walltime", "2h", "--priority", "0:5")
        code, _, err = await s.massctl("queue", "put", "default", *bounds)
        assert code == 0, err
        code, _, err = await s.massctl("update", "j1", *flags)
        assert (code, words in err) == (2, True), err
        assert (await s.massctl("update", "j1", "--priority", "5"))[0] == 0
        assert (await get(s)).state == RUNNING


# ---- arrays -------------------------------------------------------------------------------------


async def test_the_id_of_an_array_stands_for_all_its_tasks(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        assert await s.submit(array(0, 1, 2)) == "j1"
        assert await s.submit(spec()) == "j4"
        whole = await s.client.Hold(job("j1"))
        assert (whole.id, whole.state, whole.array.total) == ("j1", HELD, 3)
        assert (await get(s, "j1_2")).state == HELD
        assert (await get(s, "j4")).state == QUEUED
        assert "3 HELD" in whole.reason
        await s.client.Release(job("j1_0"))
        assert (await get(s, "j1")).state == QUEUED
        code, out, _ = await s.massctl("show", "j1")
        assert (code, "j1_0" in out, "j1_2" in out) == (0, True, True)
        listed = await s.client.List(scheduler_pb2.ListRequest(array="j1"))
        assert [one.id for one in listed.jobs] == ["j1_0", "j1_1", "j1_2"]
        ended = await s.client.Cancel(scheduler_pb2.CancelRequest(job="j1", user="ada"))
        assert (ended.state, ended.array.over) == (CANCELLED, 3)
        assert (await get(s, "j4")).state == QUEUED
        code, out, _ = await s.massctl("wait", "j1")
        assert (code, out.split()[:2]) == (1, ["j1", "CANCELLED:"])


async def test_one_task_has_its_own_id_and_no_other_stands_for_it(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        await s.submit(array(1, 10))
        assert (await get(s, "j1_1")).id == "j1_1"
        assert (await get(s, "@last")).id == "j1"
        for ref in ("j1_2", "j2", "j1_100"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await get(s, ref)
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        call = s.client.Logs(scheduler_pb2.LogsRequest(job="j1"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert "j1_1" in detail(caught.value).fix


async def test_a_wait_for_an_array_ends_with_its_last_task(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        await s.submit(array(0, 1))
        desired = await agent.desired(2)
        await agent.ran(desired.assignments[0])
        await agent.ran(desired.assignments[1], code=3)
        whole = await s.job_in("j1", FAILED, SUCCEEDED)
        assert (whole.state, whole.array.failed) == (FAILED, 1)
        assert whole.ended_ms > 0


async def test_the_same_key_gives_the_same_array(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        assert await s.submit(array(0, 1), key="k") == "j1"
        assert await s.submit(array(0, 1), key="k") == "j1"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await s.submit(array(0, 2), key="k")
        assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS


# ---- what is accepted ---------------------------------------------------------------------------


async def test_while_no_node_has_joined_every_size_is_accepted(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        assert await s.submit(spec(shards=4, gpus=8)) == "j1"


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        ({"shards": 3}, "--shards 2"),
        ({"gpus": 4}, "--gpus 2"),
        ({"shards": 200, "gpus": 0}, "--shards 16"),
    ],
)
async def test_what_could_never_fit_is_refused_with_the_largest_that_would(
    tmp_path: Path, change: dict[str, int], fix: str
) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        for _ in range(2):  # the second answer comes from memory
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await s.submit(spec(**change))
            assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE
            assert fix in detail(caught.value).fix
        assert await s.submit(spec(allow_future=True, **change)) == "j1"
        if change == {"shards": 3}:
            second = Agent(s, "n2")
            await second.hello()
            assert await s.submit(spec(**change)) == "j2"  # the answer is not remembered too long


async def test_a_gpu_model_that_is_nearly_there_is_named(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        asked = spec()
        asked.roles[0].gpu_types.append("h10")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await s.submit(asked)
        assert detail(caught.value).why == "did you mean H100?"


async def test_an_update_may_allow_what_only_future_nodes_can_hold(tmp_path: Path) -> None:
    """The fix that the refusal names is one that update has."""
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1")
        await agent.hello()
        await s.submit(spec(start_after_ms=2**47))
        code, _, err = await s.massctl("update", "j1", "--shards", "3")
        assert (code, "--allow-future" in err) == (7, True)
        assert (await s.massctl("update", "j1", "--shards", "3", "--allow-future"))[0] == 0
        assert (await get(s)).spec.roles[0].shards == 3


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"queue": "nobody"}, grpc.StatusCode.NOT_FOUND, "nobody"),
        ({"start_after_ms": 1000}, grpc.StatusCode.INVALID_ARGUMENT, "in the past"),
        ({"deadline_ms": 1000}, grpc.StatusCode.INVALID_ARGUMENT, "cannot be over"),
        (
            {"depends_on": [job_pb2.Dependency(job_id="j99")]},
            grpc.StatusCode.INVALID_ARGUMENT,
            "j99",
        ),
        (
            {"topology": job_pb2.Topology(required="rack")},
            grpc.StatusCode.INVALID_ARGUMENT,
            "rack",
        ),
    ],
)
async def test_what_cannot_be_is_refused_with_a_fix(
    tmp_path: Path, change: dict[str, object], status: grpc.StatusCode, words: str
) -> None:
    async with scheduler(tmp_path) as s:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await s.submit(spec(**change))
        assert caught.value.code() is status
        assert words in detail(caught.value).what
        assert detail(caught.value).fix
        assert (await s.client.List(scheduler_pb2.ListRequest())).total == 0


async def test_a_deadline_counts_the_run(tmp_path: Path) -> None:
    now_ms = time.time_ns() // 1_000_000
    async with scheduler(tmp_path) as s:
        with pytest.raises(grpc.aio.AioRpcError):
            await s.submit(spec(expected_ms=7_200_000, deadline_ms=now_ms + 3_600_000))
        assert await s.submit(spec(expected_ms=1000, deadline_ms=now_ms + 3_600_000)) == "j1"


async def test_a_watch_of_an_array_hears_of_its_tasks(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        await s.submit(spec())
        revision = s.engine.revision
        call = s.client.Watch(scheduler_pb2.WatchRequest(from_revision=revision, job="j2"))
        await s.submit(array(0, 1))
        await s.client.Hold(job("j2_1"))
        await s.client.Hold(job("j1"))
        await s.client.Cancel(scheduler_pb2.CancelRequest(job="j2"))
        seen = [(await call.read()) for _ in range(4)]
        call.cancel()
        assert [(event.type, event.job_id) for event in seen] == [
            ("JobSubmitted", "j2"),
            ("JobHeld", "j2_1"),
            ("JobCancelRequested", "j2_0"),
            ("JobCancelRequested", "j2_1"),
        ]
