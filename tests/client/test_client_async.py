"""The asyncio client keeps the same promises."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from aimass import AsyncClient, MassError, wire
from aimass.cursors import CHUNK_JOBS_MAX
from aimass.errors import NotFound, TimedOut, Unreachable
from aimass.v1 import job_pb2
from tests.client.conftest import a_spec
from tests.client.fake_scheduler import FakeScheduler


@pytest_asyncio.fixture
async def mass(fake: FakeScheduler) -> AsyncIterator[AsyncClient]:
    """An async client of the fake scheduler."""
    async with AsyncClient(fake.address, user="ann", timeout_s=10, reconnect_s=20) as client:
        yield client


async def test_jobs_are_submitted_read_and_cancelled(
    mass: AsyncClient, fake: FakeScheduler
) -> None:
    replies = await asyncio.gather(*(mass.submit(a_spec(f"n{i}")) for i in range(50)))
    assert len({reply.job_id for reply in replies}) == 50
    assert (await mass.get("j7")).user == "ann"
    assert (await mass.list(limit=10)).total == 50
    assert (await mass.cancel("j1")).state == job_pb2.JOB_STATE_CANCELLED
    assert await mass.why("j1") == fake.explanation
    assert (await mass.nodes()).revision == fake.revision
    with pytest.raises(NotFound):
        await mass.get("j99")


async def test_no_more_requests_are_under_way_than_allowed(fake: FakeScheduler) -> None:
    running = most = 0
    original = fake._accept

    def accept(request: object) -> object:
        nonlocal running, most
        running += 1
        most = max(most, running)
        reply = original(request)  # type: ignore[arg-type]
        running -= 1
        return reply

    fake._accept = accept  # type: ignore[method-assign, assignment]
    async with AsyncClient(fake.address, in_flight_max=2) as mass:
        await asyncio.gather(*(mass.submit(a_spec()) for _ in range(30)))
    assert most <= 2


async def test_a_lost_answer_gives_no_second_job(mass: AsyncClient, fake: FakeScheduler) -> None:
    fake.break_next("Submit", after=1)
    assert (await mass.submit(a_spec())).existed
    assert list(fake.jobs) == ["j1"]


async def test_a_batch_survives_a_broken_stream(mass: AsyncClient, fake: FakeScheduler) -> None:
    fake.break_next("SubmitBatch", after=1)
    specs = [a_spec(), a_spec("bad"), *(a_spec() for _ in range(CHUNK_JOBS_MAX))]
    results = [result async for result in mass.submit_batch(specs)]
    assert len(results) == len(specs)
    assert [i for i, result in enumerate(results) if isinstance(result, MassError)] == [1]
    assert len(fake.jobs) == len(specs) - 1


async def test_a_watch_resumes_and_a_cancelled_one_ends(
    mass: AsyncClient, fake: FakeScheduler
) -> None:
    for _ in range(4):
        fake.event("j1")
    fake.break_next("Watch", after=2)
    async with contextlib.aclosing(mass.watch(1)) as events:
        revisions = [(await anext(events)).revision for _ in range(4)]
        assert revisions == [2, 3, 4, 5]
        waiting = asyncio.ensure_future(anext(events))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_logs_resume_and_follow_to_the_end(mass: AsyncClient, fake: FakeScheduler) -> None:
    await mass.submit(a_spec(shards=2))
    fake.write("j1", b"0123456789")
    fake.write("j1", b"abcdefghij", rank=1)
    fake.break_next("Logs", after=1)
    fake.break_next("Logs", after=2)
    fake.end("j1")
    output: dict[int, bytes] = {}
    async for chunk in mass.logs("j1", follow=True):
        output[chunk.rank] = output.get(chunk.rank, b"") + chunk.data
    assert output == {0: b"0123456789", 1: b"abcdefghij"}


async def test_wait_gives_the_ended_job_or_says_that_it_is_not(
    mass: AsyncClient, fake: FakeScheduler
) -> None:
    await mass.submit(a_spec())
    with pytest.raises(TimedOut, match="still RUNNING"):
        await mass.wait("j1", timeout_s=0.1)
    waiting = asyncio.ensure_future(mass.wait("j1", timeout_s=20))
    fake.end("j1", code=3)
    assert (await waiting).state == job_pb2.JOB_STATE_FAILED


async def test_nobody_listening_is_unreachable(fake: FakeScheduler) -> None:
    fake.stop()
    async with AsyncClient(fake.address, timeout_s=0.3) as mass:
        with pytest.raises(Unreachable):
            await mass.submit(a_spec())
        with pytest.raises(Unreachable):
            await anext(mass.watch())


@pytest.mark.parametrize(
    ("status", "details", "is_broken"),
    [
        (grpc.StatusCode.INTERNAL, "Internal error from Core", True),
        (grpc.StatusCode.INTERNAL, "a bug in the scheduler", False),
        (grpc.StatusCode.UNAVAILABLE, "connection refused", True),
        (grpc.StatusCode.INVALID_ARGUMENT, "no", False),
    ],
)
def test_what_counts_as_a_broken_link(
    status: grpc.StatusCode, details: str, is_broken: bool
) -> None:
    error = grpc.aio.AioRpcError(status, grpc.aio.Metadata(), grpc.aio.Metadata(), details)
    assert wire.is_broken(error) is is_broken
