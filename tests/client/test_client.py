"""The sync client against a scheduler that answers, refuses, hangs up and comes back."""

import contextlib
import itertools
import threading
from collections.abc import Iterator

import grpc
import pytest

from aimass.client import Client
from aimass.cursors import CHUNK_JOBS_MAX, CHUNKS_IN_FLIGHT_MAX
from aimass.errors import (
    Conflict,
    Denied,
    InvalidRequest,
    MassError,
    NotFound,
    TimedOut,
    Unreachable,
)
from aimass.v1 import job_pb2, scheduler_pb2
from tests.client.conftest import a_spec
from tests.client.fake_scheduler import FakeScheduler
from tests.waiting import wait_until


def test_a_submitted_job_can_be_read_back(client: Client, fake: FakeScheduler) -> None:
    reply = client.submit(a_spec("first"))
    job = client.get(reply.job_id)
    assert (job.id, job.spec.name, job.user) == ("j1", "first", "ann")
    assert client.get("@last").id == "j1"
    assert [job.id for job in client.list().jobs] == ["j1"]
    assert client.list([job_pb2.JOB_STATE_FAILED]).total == 0
    assert client.list(user="bob").total == 0
    assert client.info().version == "fake"
    assert client.nodes().revision == fake.revision
    assert client.why("j1") == fake.explanation


def test_a_submit_whose_answer_is_lost_is_repeated_with_the_same_key(
    client: Client, fake: FakeScheduler
) -> None:
    fake.break_next("Submit", after=1)
    reply = client.submit(a_spec())
    assert reply.existed
    assert list(fake.jobs) == ["j1"]
    keys = {request.idempotency_key for name, request in fake.calls if name == "Submit"}
    assert len(keys) == 1


def test_two_submits_are_two_jobs(client: Client, fake: FakeScheduler) -> None:
    assert client.submit(a_spec()).job_id != client.submit(a_spec()).job_id


def test_a_submit_outlives_a_restart_of_the_scheduler(fake: FakeScheduler) -> None:
    with Client(fake.address) as client:
        client.info()
        fake.stop()
        threading.Timer(0.2, fake.start, [int(fake.address.rpartition(":")[2])]).start()
        assert client.submit(a_spec()).job_id == "j1"


def test_a_submit_that_stays_unanswered_names_the_key_to_try_again_with(
    fake: FakeScheduler,
) -> None:
    fake.stop()
    with Client(fake.address, timeout_s=0.3) as client, pytest.raises(Unreachable) as caught:
        client.submit(a_spec(), idempotency_key="mine")
    assert "--idempotency-key mine" in caught.value.fix
    assert caught.value.exit_code == 6


@pytest.mark.parametrize(
    ("code", "kind", "exit_code"),
    [
        ("NOT_FOUND", NotFound, 3),
        ("FAILED_PRECONDITION", Conflict, 4),
        ("ALREADY_EXISTS", Conflict, 4),
        ("ABORTED", Conflict, 4),
        ("PERMISSION_DENIED", Denied, 5),
        ("INVALID_ARGUMENT", InvalidRequest, 2),
        ("RESOURCE_EXHAUSTED", MassError, 1),
        ("DEADLINE_EXCEEDED", TimedOut, 124),
        ("UNAVAILABLE", Unreachable, 6),
    ],
)
def test_a_refusal_arrives_as_what_why_fix_and_id(
    client: Client, fake: FakeScheduler, code: str, kind: type[MassError], exit_code: int
) -> None:
    fake.refuse_next("Submit", code, what="no", why="because", fix="do this", id="x")
    with pytest.raises(MassError) as caught:
        client.submit(a_spec())
    error = caught.value
    assert type(error) is kind
    assert error.exit_code == exit_code
    assert str(error) == "error: no\nwhy: because\nfix: do this\nid: x"
    assert fake.count("Submit") == 1, "an answer is no broken link: nothing to retry"


def test_reading_fails_at_once_when_nobody_listens(fake: FakeScheduler) -> None:
    fake.stop()
    with Client(fake.address) as client, pytest.raises(Unreachable, match="cannot be reached"):
        client.get("j1")


def test_a_job_too_large_for_any_scheduler_is_not_even_sent(
    client: Client, fake: FakeScheduler
) -> None:
    spec = a_spec()
    spec.env["X"] = "x" * (4 * 2**20)
    with pytest.raises(InvalidRequest, match="at most"):
        client.submit(spec)
    assert fake.calls == []


def test_a_batch_gives_one_result_per_job_in_order(client: Client, fake: FakeScheduler) -> None:
    names = ["a", "bad", *(f"job{i}" for i in range(2 * CHUNK_JOBS_MAX))]
    results = list(client.submit_batch(a_spec(name) for name in names))
    assert len(results) == len(names)
    assert isinstance(results[1], InvalidRequest)
    ids = [result.job_id for result in results if not isinstance(result, MassError)]
    assert ids == [f"j{i + 1}" for i in range(len(names) - 1)]
    sizes = [size for name, size in fake.calls if name == "chunk"]
    assert sizes == [CHUNK_JOBS_MAX, CHUNK_JOBS_MAX, 2]


def test_a_batch_goes_on_after_a_broken_stream_without_a_double(
    client: Client, fake: FakeScheduler
) -> None:
    fake.break_next("SubmitBatch", after=1)
    results = list(client.submit_batch(a_spec() for _ in range(CHUNK_JOBS_MAX + 5)))
    assert len(results) == len(fake.jobs) == CHUNK_JOBS_MAX + 5


def test_a_batch_reads_no_further_ahead_than_its_window(
    client: Client, fake: FakeScheduler
) -> None:
    taken: list[int] = []

    def endless() -> Iterator[job_pb2.JobSpec]:
        for number in itertools.count(1):
            taken.append(number)
            yield a_spec()

    results = client.submit_batch(endless())
    next(results)
    results.close()
    assert len(taken) <= (CHUNKS_IN_FLIGHT_MAX + 2) * CHUNK_JOBS_MAX


def test_a_watch_resumes_without_gap_or_repeat(client: Client, fake: FakeScheduler) -> None:
    for _ in range(3):
        fake.event("j1")
    fake.event("j2", same=True)  # a plan: one revision, two jobs
    fake.event("j3", same=True)
    fake.event("j1")
    for after in (1, 3, 1):
        fake.break_next("Watch", after=after)
    with contextlib.closing(client.watch(1)) as events:
        seen = [next(events) for _ in range(6)]
    assert [(event.revision, event.job_id) for event in seen] == [
        *((2, "j1"), (3, "j1"), (4, "j1")),
        *((4, "j2"), (4, "j3"), (5, "j1")),
    ]
    assert fake.count("Watch") == 4


def test_a_watch_from_now_loses_nothing_to_an_early_break(
    client: Client, fake: FakeScheduler
) -> None:
    fake.event("old")
    fake.break_next("Watch")
    events = client.watch()
    threading.Timer(0.1, fake.event, ["new"]).start()
    assert next(events).job_id == "new"
    events.close()


def test_a_watch_that_is_closed_ends_the_call(client: Client, fake: FakeScheduler) -> None:
    fake.event("j1")
    ended = threading.Event()
    original = fake.Watch

    def watch(request: object, context: grpc.ServicerContext) -> object:
        context.add_callback(ended.set)
        return original(request, context)

    fake.Watch = watch  # type: ignore[method-assign]
    fake.restart()
    events = client.watch(1)
    next(events)
    events.close()
    assert ended.wait(10)


def test_wait_returns_the_ended_job_across_a_restart(client: Client, fake: FakeScheduler) -> None:
    client.submit(a_spec())
    done: list[job_pb2.Job] = []
    waiter = threading.Thread(target=lambda: done.append(client.wait("@last")))
    waiter.start()
    wait_until(lambda: fake.count("Watch") == 1)
    fake.restart()
    fake.event("j1")
    fake.end("j1")
    waiter.join(20)
    assert [job.state for job in done] == [job_pb2.JOB_STATE_SUCCEEDED]


def test_a_burst_of_events_costs_one_reading(client: Client, fake: FakeScheduler) -> None:
    client.submit(a_spec())
    for _ in range(50):
        fake.event("j1")
    fake.end("j1")
    fake.jobs["j1"].state = job_pb2.JOB_STATE_RUNNING
    reading = client.get("j1")
    reading.revision = 1  # as if all of that happened after it
    fake.jobs["j1"].state = job_pb2.JOB_STATE_SUCCEEDED
    before = fake.count("Get")
    assert client._wait_until(reading, lambda job: job.state != reading.state, float("inf"))
    assert fake.count("Get") == before + 1


def test_wait_says_what_the_job_does_when_the_time_is_up(
    client: Client, fake: FakeScheduler
) -> None:
    client.submit(a_spec())
    with pytest.raises(TimedOut) as caught:
        client.wait("j1", timeout_s=0.1)
    assert caught.value.what == "j1 is still RUNNING"
    assert caught.value.exit_code == 124


def test_waiting_for_an_unknown_job_fails(client: Client) -> None:
    with pytest.raises(NotFound):
        client.wait("j9")


def test_cancel_passes_the_grace_period_only_when_given(
    client: Client, fake: FakeScheduler
) -> None:
    client.submit(a_spec())
    assert client.cancel("j1").state == job_pb2.JOB_STATE_CANCELLED
    client.cancel("j1", grace_ms=0)
    requests = [request for name, request in fake.calls if name == "Cancel"]
    assert [(request.has_grace, request.grace_ms) for request in requests] == [
        (False, 0),
        (True, 0),
    ]


def output_of(chunks: "list[scheduler_pb2.LogChunk]") -> dict[int, bytes]:
    """Put chunks together by rank, checking that each begins where the last one ended."""
    output: dict[int, bytes] = {}
    for chunk in chunks:
        if chunk.data:
            assert chunk.offset == len(output.get(chunk.rank, b""))
            output[chunk.rank] = output.get(chunk.rank, b"") + chunk.data
    return output


def test_logs_resume_by_offset_without_gap_or_repeat(client: Client, fake: FakeScheduler) -> None:
    client.submit(a_spec(shards=3))
    texts = {0: b"abcdefghijklmnop", 1: bytes(range(40)), 2: b""}
    for rank, text in texts.items():
        fake.write("j1", text, rank=rank)
    for after in (1, 3, 1, 2):
        fake.break_next("Logs", after=after)
    chunks = list(client.logs("j1"))
    assert output_of(chunks) == {0: texts[0], 1: texts[1]}
    assert fake.count("Logs") == 5


def test_a_followed_log_ends_with_the_job(client: Client, fake: FakeScheduler) -> None:
    client.submit(a_spec())
    fake.write("j1", b"one\n")
    chunks = client.logs("j1", follow=True)
    first = next(chunks)
    fake.write("j1", b"two\n")
    fake.end("j1")
    assert output_of([first, *chunks]) == {0: b"one\ntwo\n"}


def test_following_a_waiting_job_begins_when_it_starts(client: Client, fake: FakeScheduler) -> None:
    fake.first_state = job_pb2.JOB_STATE_QUEUED
    client.submit(a_spec())
    got: list[scheduler_pb2.LogChunk] = []
    reader = threading.Thread(target=lambda: got.extend(client.logs("j1", follow=True)))
    reader.start()
    wait_until(lambda: fake.count("Watch") == 1)
    assert fake.count("Logs") == 0
    fake.write("j1", b"hello")
    fake.add_attempt(fake.jobs["j1"])
    fake.event("j1")
    fake.end("j1")
    reader.join(20)
    assert output_of(got) == {0: b"hello"}


def test_following_a_job_cancelled_in_the_queue_ends(client: Client, fake: FakeScheduler) -> None:
    fake.first_state = job_pb2.JOB_STATE_QUEUED
    client.submit(a_spec())
    fake.end("j1", state="CANCELLED")
    assert list(client.logs("j1", follow=True)) == []


def test_a_followed_log_goes_on_with_the_next_attempt(client: Client, fake: FakeScheduler) -> None:
    client.submit(a_spec())
    fake.write("j1", b"first")
    fake.is_closed.add(("j1", 1, 0))  # its node is lost: the output ends, the job does not
    fake.write("j1", b"second", attempt=2)
    chunks = client.logs("j1", follow=True)
    seen = [next(chunks), next(chunks)]
    fake.add_attempt(fake.jobs["j1"])
    fake.event("j1")
    fake.end("j1")
    seen += list(chunks)
    assert [chunk.note for chunk in seen if chunk.note] == ["attempt 2 begins"]
    assert b"".join(chunk.data for chunk in seen) == b"firstsecond"


def test_a_wait_outlasts_a_scheduler_that_is_too_slow_to_answer(
    client: Client, fake: FakeScheduler
) -> None:
    job_id = client.submit(a_spec()).job_id
    waiting = threading.Thread(target=client.wait, args=(job_id,), kwargs={"timeout_s": 20})
    fake.break_next("Watch")
    fake.break_next("Info", "DEADLINE_EXCEEDED", times=2)
    waiting.start()
    wait_until(lambda: fake.count("Watch") >= 2)
    fake.end(job_id)
    waiting.join(20)
    assert not waiting.is_alive()
    assert not fake.failures["Info"]
