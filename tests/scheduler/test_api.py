"""What clients may rely on, over real gRPC."""

import asyncio
from pathlib import Path

import grpc
import pytest

from aimass.v1 import job_pb2, scheduler_pb2
from tests.scheduler.harness import Agent, inventory, scheduler, spec

SUCCEEDED, FAILED = job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED
CANCELLED, QUEUED = job_pb2.JOB_STATE_CANCELLED, job_pb2.JOB_STATE_QUEUED
STOPPING, RUNNING = job_pb2.JOB_STATE_STOPPING, job_pb2.JOB_STATE_RUNNING


def detail(error: grpc.aio.AioRpcError) -> scheduler_pb2.ErrorDetail:
    data = dict(error.trailing_metadata())["aimass-error-bin"]
    return scheduler_pb2.ErrorDetail.FromString(data)


async def test_the_same_key_gives_the_same_job(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        request = scheduler_pb2.SubmitRequest(spec=spec(), idempotency_key="k", user="ada")
        first, second = await s.client.Submit(request), await s.client.Submit(request)
        assert (first.job_id, first.existed) == ("j1", False)
        assert (second.job_id, second.existed) == ("j1", True)


async def test_the_same_key_for_another_job_is_refused(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        await s.submit(spec("a"), key="k")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await s.submit(spec("b"), key="k")
        assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
        assert detail(caught.value).id == "j1"


async def test_keys_and_jobs_survive_a_restart(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        assert await s.submit(spec(), key="k") == "j1"
    async with scheduler(tmp_path) as s:
        assert await s.submit(spec(), key="k") == "j1"
        assert await s.submit(spec()) == "j2"
        assert (await s.client.Info(scheduler_pb2.InfoRequest())).term == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"workdir": "relative"}, "workdir"),
        ({"priority": 2_000_000}, "priority"),
    ],
)
async def test_an_impossible_spec_names_the_field(
    tmp_path: Path, change: dict[str, object], field: str
) -> None:
    bad = spec()
    for key, value in change.items():
        setattr(bad, key, value)
    async with scheduler(tmp_path) as s:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await s.submit(bad)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert detail(caught.value).id == field
        reply = await s.client.List(scheduler_pb2.ListRequest())
        assert reply.total == 0


async def test_a_batch_takes_the_good_and_names_the_bad(tmp_path: Path) -> None:
    async def chunks() -> object:
        good = scheduler_pb2.SubmitRequest(spec=spec())
        bad = scheduler_pb2.SubmitRequest(spec=spec(gpus=-1))
        yield scheduler_pb2.SubmitBatchRequest(jobs=[good, bad, good])
        yield scheduler_pb2.SubmitBatchRequest(jobs=[good])

    async with scheduler(tmp_path) as s:
        replies = [reply async for reply in s.client.SubmitBatch(chunks())]
        ids = [[e.reply.job_id for e in reply.entries] for reply in replies]
        assert ids == [["j1", "", "j2"], ["j3"]]
        assert "gpu" in replies[0].entries[1].error.what or replies[0].entries[1].error.id


async def test_an_oversized_message_is_refused_and_the_daemon_lives(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await s.submit(spec(env={"BIG": "x" * (5 << 20)}))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await s.submit(spec()) == "j1"


async def test_a_job_is_found_by_id_prefix_and_last(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        for index in range(12):
            await s.submit(spec(f"n{index}"), user="ada" if index < 11 else "bob")

        async def get(ref: str, user: str = "ada") -> str:
            return (await s.client.Get(scheduler_pb2.GetRequest(job=ref, user=user))).id

        assert await get("j1") == "j1"  # exact, though j10 to j12 begin so
        assert await get("j12") == "j12"
        assert await get("@last") == "j11"
        assert await get("@last", "bob") == "j12"
        for ref, code in [
            ("j", grpc.StatusCode.INVALID_ARGUMENT),
            ("x", grpc.StatusCode.NOT_FOUND),
            ("", grpc.StatusCode.NOT_FOUND),
            ("j²", grpc.StatusCode.NOT_FOUND),
            ("j" + "9" * 5000, grpc.StatusCode.NOT_FOUND),
        ]:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await get(ref)
            assert caught.value.code() is code


async def test_lists_keep_the_newest_and_count_all(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        for index in range(5):
            await s.submit(spec(f"n{index}"))
        await s.client.Cancel(scheduler_pb2.CancelRequest(job="j2"))
        reply = await s.client.List(scheduler_pb2.ListRequest(limit=2))
        assert [job.id for job in reply.jobs] == ["j4", "j5"]
        assert reply.total == 5
        reply = await s.client.List(scheduler_pb2.ListRequest(states=[CANCELLED]))
        assert [job.id for job in reply.jobs] == ["j2"]


async def test_cancelling_twice_says_that_it_is_over(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        await s.submit(spec())
        job = await s.client.Cancel(scheduler_pb2.CancelRequest(job="j1", user="ada"))
        assert (job.state, job.reason) == (CANCELLED, "cancelled by ada")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await s.client.Cancel(scheduler_pb2.CancelRequest(job="j1"))
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_watch_resumes_by_revision_without_gap(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        for _ in range(3):
            await s.submit(spec())
        call = s.client.Watch(scheduler_pb2.WatchRequest(from_revision=2))
        seen = [await call.read() for _ in range(2)]
        call.cancel()
        call = s.client.Watch(scheduler_pb2.WatchRequest(from_revision=seen[-1].revision))
        await s.submit(spec())
        seen += [await call.read() for _ in range(2)]
        call.cancel()
        assert [(e.revision, e.type, e.job_id) for e in seen] == [
            (3, "JobSubmitted", "j1"),
            (4, "JobSubmitted", "j2"),
            (5, "JobSubmitted", "j3"),
            (6, "JobSubmitted", "j4"),
        ]


async def test_a_watch_resumes_across_a_restart_from_the_journal(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        await s.submit(spec())
    async with scheduler(tmp_path) as s:
        call = s.client.Watch(scheduler_pb2.WatchRequest(from_revision=1))
        types = [(await call.read()).type for _ in range(3)]
        call.cancel()
        assert types == ["TermStarted", "JobSubmitted", "TermStarted"]


async def test_a_watch_of_one_job_shows_only_it(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        await s.submit(spec("a"))
        await s.submit(spec("b"))
        call = s.client.Watch(scheduler_pb2.WatchRequest(from_revision=1, job="j2"))
        agent = Agent(s, "n1")
        await agent.hello()
        assert [(await call.read()).type for _ in range(2)] == ["JobSubmitted", "PlanCommitted"]
        call.cancel()
        await agent.leave()


async def test_a_watch_from_the_future_is_refused(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await s.client.Watch(scheduler_pb2.WatchRequest(from_revision=99)).read()
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_why_counts_the_nodes_that_refuse(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        agent = Agent(s, "n1", inventory=inventory(2))
        await agent.hello()
        first = await s.submit(spec(gpus=2))
        await agent.desired(1)
        second = await s.submit(spec(gpus=1))
        reply = await s.client.Why(scheduler_pb2.WhyRequest(job=second))
        assert (reply.code, reply.shards_fit_now, reply.fits_when_empty) == ("GPUS_BUSY", 0, True)
        assert list(reply.holders) == [first]
        assert [(b.code, b.nodes) for b in reply.blockers] == [("GPUS_BUSY", 1)]
        await agent.leave()


async def test_a_full_journal_refuses_writes_keeps_reads_and_comes_back(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        await s.submit(spec("kept"))
        pages = s.journal._db.execute("PRAGMA page_count").fetchone()[0]
        s.journal._db.execute(f"PRAGMA max_page_count = {pages}")
        big = spec("lost", env={"FILL": "x" * 200_000})
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asyncio.gather(*[s.submit(big) for _ in range(50)])
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "no space" in detail(caught.value).why
        acknowledged = (await s.client.List(scheduler_pb2.ListRequest())).total
        assert (await s.client.Info(scheduler_pb2.InfoRequest())).refusing_writes
        s.journal._db.execute("PRAGMA max_page_count = 1000000")
        s.engine._next_probe_s = 0.0
        await s.submit(spec("after"))
        reply = await s.client.List(scheduler_pb2.ListRequest())
        assert reply.total == acknowledged + 1
        assert not (await s.client.Info(scheduler_pb2.InfoRequest())).refusing_writes
    async with scheduler(tmp_path) as s:
        assert (await s.client.List(scheduler_pb2.ListRequest())).total == reply.total


async def test_many_submits_at_once_share_appends(tmp_path: Path) -> None:
    async with scheduler(tmp_path) as s:
        appended = s.journal.append
        batches: list[int] = []

        def counting(events: list[object], first: int, term: int) -> None:
            batches.append(len(events))
            appended(events, first, term)

        s.journal.append = counting  # type: ignore[method-assign]
        ids = await asyncio.gather(*[s.submit(spec(f"n{i}")) for i in range(200)])
        assert sorted(ids, key=lambda i: int(i[1:])) == [f"j{n}" for n in range(1, 201)]
        assert sum(batches) == 200
        assert len(batches) < 150
