"""The client library: `Client` for ordinary code, `AsyncClient` (aimass.client_async) for asyncio.

    with Client() as mass:
        job = mass.wait(mass.submit(spec).job_id)

Messages are those of aimass.v1. Every failure is a MassError with what, why, fix and an exit code.
"""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from queue import SimpleQueue
from typing import Any, Self, TypeVar

import grpc

from aimass import cursors, wire
from aimass.client_admin import Admin
from aimass.client_async import AsyncClient
from aimass.errors import MassError, TimedOut, Unreachable
from aimass.v1 import job_pb2, scheduler_pb2, scheduler_pb2_grpc

__all__ = ["AsyncClient", "Client", "MassError"]

Reply = TypeVar("Reply")


class Client:
    """A connection to one scheduler; safe to share between threads.

    A KeyboardInterrupt in the middle of a call can leave a lock of gRPC's locked. Whoever goes on
    after one makes a new client, or calls from a thread that Ctrl-C does not reach.

    address: HOST:PORT; default $AIMASS_ADDRESS, else 127.0.0.1:6277.
    timeout_s: how long one request may take; for submit its retries included.
    reconnect_s: how long watch, wait and logs bridge a scheduler that went away.
    in_flight_max: requests of this client at one time; further callers wait.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        user: str | None = None,
        timeout_s: float = 10.0,
        reconnect_s: float = 300.0,
        in_flight_max: int = 64,
    ) -> None:
        self.address = wire.address_or_default(address)
        self.user = wire.user_or_default(user)
        self._timeout_s = timeout_s
        self._reconnect_s = reconnect_s
        self._room = threading.BoundedSemaphore(in_flight_max)
        self._channel = grpc.insecure_channel(self.address, options=wire.channel_options(timeout_s))
        self._stub = scheduler_pb2_grpc.SchedulerStub(self._channel)
        self.admin = Admin(self._stub, self._call, self.user)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back; requests under way end with an error."""
        self._channel.close()

    def submit(
        self, spec: job_pb2.JobSpec, *, idempotency_key: str | None = None, held: bool = False
    ) -> scheduler_pb2.SubmitReply:
        """Submit one job; it is durable when this returns. held: it waits for `release`.

        After a broken link it goes again with the same key, so the job is never doubled. Pass a key
        of your own to keep that promise across processes.
        """
        key = idempotency_key or wire.new_key()
        request = wire.submit_request(spec, key, self.user, held)
        return self._call(self._stub.Submit, request, patience_s=self._timeout_s, key=key)

    def submit_batch(
        self, specs: Iterable[job_pb2.JobSpec]
    ) -> Generator[scheduler_pb2.SubmitReply | MassError, None, None]:
        """Submit many jobs over one stream; yields one result per job, in order.

        A refused job is a MassError among the results, not an exception. Memory: a few thousand
        jobs at a time, however many there are.
        """
        window = cursors.BatchWindow(specs, self.user)
        failures = 0
        while True:
            chunks: SimpleQueue[scheduler_pb2.SubmitBatchRequest | None] = SimpleQueue()
            call: Any = self._stub.SubmitBatch(iter(chunks.get, None))
            try:
                for chunk in window.next_to_send():
                    chunks.put(chunk)
                while window.is_waiting:
                    results = window.settle(next(call))
                    failures = 0
                    for chunk in window.next_to_send():
                        chunks.put(chunk)
                    yield from results
                return
            except StopIteration:  # the scheduler ended the stream with chunks unanswered
                window.restart()
            except grpc.RpcError as error:
                if not wire.is_broken(error):
                    raise wire.error_of(error, self.address) from None
                window.restart()
            finally:
                chunks.put(None)
                call.cancel()
            self._await_scheduler(failures, self._timeout_s)
            failures += 1

    def get(self, job: str, *, foresee: bool = False) -> job_pb2.Job:
        """Give one job, by its id, a unique prefix of it, or "@last".

        foresee: also when it will start, or come back: takes longer, as `why` does.
        """
        request = scheduler_pb2.GetRequest(job=job, user=self.user, foresee=foresee)
        return self._call(self._stub.Get, request)

    def list(
        self,
        states: Iterable[int] = (),
        *,
        user: str = "",
        limit: int = 0,
        array: str = "",
        queue: str = "",
    ) -> scheduler_pb2.ListReply:
        """Give jobs, oldest first. No states: all; no user: everybody's; limit 0: newest 1000.

        array: only its tasks. queue: only its jobs and those of the queues below it.
        """
        return self._call(self._stub.List, wire.list_request(states, user, limit, array, queue))

    def watch(
        self, from_revision: int = 0, *, job: str = ""
    ) -> Generator[scheduler_pb2.WatchEvent, None, None]:
        """Yield the events after `from_revision` (0: from now on), without end.

        Goes on after a broken link with no event missing or repeated.
        """
        now = self.info().revision  # pinned, so that an early break loses nothing
        yield from self._watch(cursors.WatchCursor(from_revision or now, job), math.inf)

    def cancel(self, job: str, *, grace_ms: int | None = None) -> job_pb2.Job:
        """Stop a job (SIGTERM, grace, SIGKILL); returns at once, with the job as it is then."""
        request = wire.cancel_request(job, self.user, grace_ms)
        return self._call(self._stub.Cancel, request)

    def hold(self, job: str, reason: str = "") -> job_pb2.Job:
        """Keep a waiting job (or an array's waiting tasks) from starting until `release`."""
        return self._call(self._stub.Hold, wire.job_request(job, self.user, reason))

    def release(self, job: str) -> job_pb2.Job:
        """Let a held job start again."""
        return self._call(self._stub.Release, wire.job_request(job, self.user))

    def requeue(self, job: str) -> job_pb2.Job:
        """Stop an active job, which queues again; returns at once."""
        return self._call(self._stub.Requeue, wire.job_request(job, self.user))

    def suspend(self, job: str) -> job_pb2.Job:
        """Stop an active job, which is then held; returns at once."""
        return self._call(self._stub.Suspend, wire.job_request(job, self.user))

    def update(
        self, job: str, spec: job_pb2.JobSpec, *, was: job_pb2.JobSpec | None = None
    ) -> job_pb2.Job:
        """Give a job another spec; was: Conflict when its spec is no longer this one."""
        return self._call(self._stub.Update, wire.update_request(job, self.user, spec, was))

    def why(self, job: str, *, at_ms: int = 0, history: bool = False) -> scheduler_pb2.Explanation:
        """Give every reason why a job waits, and what would start it.

        at_ms: as of then, from the journal. history: also how the main reason changed.
        """
        return self._call(self._stub.Why, wire.why_request(job, self.user, at_ms, history))

    def plan(
        self,
        spec: job_pb2.JobSpec,
        *,
        more: Iterable[scheduler_pb2.MoreNodes] = (),
        without: Iterable[str] = (),
    ) -> scheduler_pb2.PlanReply:
        """Say what would happen to a job that were submitted now; changes nothing.

        more, without: as if these nodes were there, and those gone.
        """
        return self._call(self._stub.Plan, wire.plan_request(spec, self.user, more, without))

    def history(self, job: str) -> scheduler_pb2.HistoryReply:
        """Give everything that happened to a job, from the journal."""
        return self._call(self._stub.History, scheduler_pb2.HistoryRequest(job=job, user=self.user))

    def logs(
        self,
        job: str,
        *,
        ranks: Sequence[int] = (),
        attempt: int = 0,
        follow: bool = False,
        tail_lines: int = 0,
    ) -> Generator[scheduler_pb2.LogChunk, None, None]:
        """Yield output of a job's shards (no ranks: all), each byte once.

        follow: until the job is over, through later attempts too unless `attempt` names one.
        """
        reading = self.get(job)
        if follow and not attempt:
            reading = self._wait_until(reading, wire.has_started_or_ended, math.inf)
        while True:
            number = attempt or wire.newest_attempt(reading)
            if follow and not number:
                return
            cursor = cursors.LogCursor(reading, self.user, number, ranks, tail_lines)
            yield from self._log_stream(cursor, follow)
            if attempt or not follow:
                return
            reading = self._wait_until(reading, wire.over_or_later_than(number), math.inf)
            if wire.newest_attempt(reading) <= number:
                return
            tail_lines = 0
            yield scheduler_pb2.LogChunk(note=f"attempt {wire.newest_attempt(reading)} begins")

    def nodes(self) -> scheduler_pb2.NodesReply:
        """Give every node with its devices and who holds them."""
        return self._call(self._stub.Nodes, scheduler_pb2.NodesRequest())

    def info(self) -> scheduler_pb2.InfoReply:
        """Give the scheduler's version, revision and health."""
        return self._call(self._stub.Info, scheduler_pb2.InfoRequest())

    def wait(self, job: str, *, timeout_s: float | None = None) -> job_pb2.Job:
        """Return the job once it is over; TimedOut when that takes longer than `timeout_s`."""
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        return self._wait_until(self.get(job), wire.is_over, deadline)

    def _call(
        self,
        method: Callable[..., Reply],
        request: object,
        *,
        patience_s: float = 0,
        key: str = "",
    ) -> Reply:
        """Make one request; retry a broken link for `patience_s`. `key`: of a submit."""
        started = time.monotonic()
        failures = 0
        with self._room:
            while True:
                spent_s = time.monotonic() - started
                timeout_s = wire.try_timeout_s(self._timeout_s, patience_s, spent_s)
                try:
                    return method(request, timeout=timeout_s)
                except grpc.RpcError as error:
                    pause_s = wire.backoff_s(failures)
                    is_late = time.monotonic() + pause_s - started >= patience_s
                    if is_late or not wire.is_outcome_unknown(error):
                        raise wire.request_error(error, self.address, key) from None
                failures += 1
                time.sleep(pause_s)

    def _watch(
        self, cursor: cursors.WatchCursor, deadline: float
    ) -> Generator[scheduler_pb2.WatchEvent, None, None]:
        events = self._resuming(
            lambda left_s: self._stub.Watch(cursor.request(), timeout=left_s),
            deadline,
            endless=True,
        )
        with contextlib.closing(events):
            yield from (event for event in events if cursor.is_new(event))

    def _log_stream(
        self, cursor: cursors.LogCursor, follow: bool
    ) -> Generator[scheduler_pb2.LogChunk, None, None]:
        chunks = self._resuming(
            lambda left_s: self._stub.Logs(cursor.request(follow), timeout=left_s), math.inf
        )
        with contextlib.closing(chunks):
            for chunk in chunks:
                news = cursor.take(chunk)
                if news is not None:
                    yield news
                if cursor.is_done:
                    return

    def _wait_until(
        self, reading: job_pb2.Job, accept: Callable[[job_pb2.Job], bool], deadline: float
    ) -> job_pb2.Job:
        """Read the job again after its events until `accept`; a burst of them costs one reading."""
        if accept(reading):
            return reading
        request = scheduler_pb2.GetRequest(job=reading.id, user=self.user)
        events = self._watch(cursors.WatchCursor(reading.revision, reading.id), deadline)
        with contextlib.closing(events):
            try:
                for event in events:
                    if event.revision > reading.revision:
                        reading = self._call(self._stub.Get, request, patience_s=self._reconnect_s)
                        if accept(reading):
                            return reading
            except (TimedOut, Unreachable):
                if time.monotonic() < deadline:
                    raise
        raise wire.still_running(reading)

    def _resuming(
        self, start: Callable[[float | None], Any], deadline: float, endless: bool = False
    ) -> Generator[Any, None, None]:
        """Yield a stream's messages and start it again whenever the link breaks."""
        failures = 0
        while True:
            call = start(wire.timeout_of(deadline))
            try:
                for message in call:
                    failures = 0
                    yield message
                if not endless:
                    return
            except grpc.RpcError as error:
                if not wire.is_broken(error):
                    raise wire.error_of(error, self.address) from None
            finally:
                call.cancel()  # an abandoned stream would leak on both sides
            self._await_scheduler(failures, min(self._reconnect_s, wire.left_s(deadline)))
            failures += 1

    def _await_scheduler(self, failures: int, patience_s: float) -> None:
        """Return when the scheduler answers again; Unreachable after `patience_s`."""
        wire.check_restarts(failures, self.address)
        time.sleep(min(wire.backoff_s(failures), patience_s))
        self._call(self._stub.Info, scheduler_pb2.InfoRequest(), patience_s=patience_s)
