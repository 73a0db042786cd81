"""`AsyncClient`: the client library for asyncio. The same calls as `Client`, awaited."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from typing import Any, Self, TypeVar

import grpc

from aimass import cursors, wire
from aimass.client_admin import AsyncAdmin
from aimass.errors import MassError, TimedOut, Unreachable
from aimass.v1 import job_pb2, scheduler_pb2, scheduler_pb2_grpc

Reply = TypeVar("Reply")
END_OF_STREAM: Any = vars(grpc.aio)["EOF"]  # missing in the type stubs


class AsyncClient:
    """A connection to one scheduler, made inside the event loop that uses it.

    The arguments are those of `Client`. Cancelling a task that awaits a call cancels the call.
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
        self._room = asyncio.Semaphore(in_flight_max)
        self._channel: Any = grpc.aio.insecure_channel(
            self.address, options=wire.channel_options(timeout_s)
        )
        self._stub: scheduler_pb2_grpc.SchedulerAsyncStub = scheduler_pb2_grpc.SchedulerStub(
            self._channel
        )
        self.admin = AsyncAdmin(self._stub, self._call, self.user)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connection back; requests under way end with an error."""
        await self._channel.close()

    async def submit(
        self, spec: job_pb2.JobSpec, *, idempotency_key: str | None = None, held: bool = False
    ) -> scheduler_pb2.SubmitReply:
        """Submit one job, as `Client.submit`: durable when it returns, never doubled."""
        key = idempotency_key or wire.new_key()
        request = wire.submit_request(spec, key, self.user, held)
        return await self._call(self._stub.Submit, request, patience_s=self._timeout_s, key=key)

    async def submit_batch(
        self, specs: Iterable[job_pb2.JobSpec]
    ) -> AsyncGenerator[scheduler_pb2.SubmitReply | MassError, None]:
        """Submit many jobs over one stream, as `Client.submit_batch`: one result per job."""
        window = cursors.BatchWindow(specs, self.user)
        open_stream: Any = self._stub.SubmitBatch  # the stubs know no writing side
        failures = 0
        while True:
            call = open_stream()
            try:
                for chunk in window.next_to_send():
                    await call.write(chunk)
                while window.is_waiting:
                    reply = await call.read()
                    if reply is END_OF_STREAM:
                        break
                    results = window.settle(reply)
                    failures = 0
                    for chunk in window.next_to_send():
                        await call.write(chunk)
                    for result in results:
                        yield result
                else:
                    return
            except grpc.RpcError as error:
                if not wire.is_broken(error):
                    raise wire.error_of(error, self.address) from None
            except asyncio.InvalidStateError:  # written to a stream that had just ended
                pass
            finally:
                call.cancel()
            window.restart()
            await self._await_scheduler(failures, self._timeout_s)
            failures += 1

    async def get(self, job: str, *, foresee: bool = False) -> job_pb2.Job:
        """Give one job, as `Client.get`."""
        return await self._get(job, 0, foresee=foresee)

    async def list(
        self,
        states: Iterable[int] = (),
        *,
        user: str = "",
        limit: int = 0,
        array: str = "",
        queue: str = "",
    ) -> scheduler_pb2.ListReply:
        """Give jobs, oldest first, as `Client.list`."""
        request = wire.list_request(states, user, limit, array, queue)
        return await self._call(self._stub.List, request)

    async def watch(
        self, from_revision: int = 0, *, job: str = ""
    ) -> AsyncGenerator[scheduler_pb2.WatchEvent, None]:
        """Yield the events after `from_revision` (0: from now on), as `Client.watch`."""
        now = (await self.info()).revision  # pinned, so that an early break loses nothing
        cursor = cursors.WatchCursor(from_revision or now, job)
        async with contextlib.aclosing(self._watch(cursor, math.inf)) as events:
            async for event in events:
                yield event

    async def cancel(self, job: str, *, grace_ms: int | None = None) -> job_pb2.Job:
        """Stop a job (SIGTERM, grace, SIGKILL); returns at once, with the job as it is then."""
        request = wire.cancel_request(job, self.user, grace_ms)
        return await self._call(self._stub.Cancel, request)

    async def hold(self, job: str, reason: str = "") -> job_pb2.Job:
        """Keep a waiting job (or an array's waiting tasks) from starting until `release`."""
        return await self._call(self._stub.Hold, wire.job_request(job, self.user, reason))

    async def release(self, job: str) -> job_pb2.Job:
        """Let a held job start again."""
        return await self._call(self._stub.Release, wire.job_request(job, self.user))

    async def requeue(self, job: str) -> job_pb2.Job:
        """Stop an active job, which queues again; returns at once."""
        return await self._call(self._stub.Requeue, wire.job_request(job, self.user))

    async def suspend(self, job: str) -> job_pb2.Job:
        """Stop an active job, which is then held; returns at once."""
        return await self._call(self._stub.Suspend, wire.job_request(job, self.user))

    async def update(
        self, job: str, spec: job_pb2.JobSpec, *, was: job_pb2.JobSpec | None = None
    ) -> job_pb2.Job:
        """Give a job another spec, as `Client.update`."""
        request = wire.update_request(job, self.user, spec, was)
        return await self._call(self._stub.Update, request)

    async def why(
        self, job: str, *, at_ms: int = 0, history: bool = False
    ) -> scheduler_pb2.Explanation:
        """Give every reason why a job waits, as `Client.why`."""
        request = wire.why_request(job, self.user, at_ms, history)
        return await self._call(self._stub.Why, request)

    async def plan(
        self,
        spec: job_pb2.JobSpec,
        *,
        more: Iterable[scheduler_pb2.MoreNodes] = (),
        without: Iterable[str] = (),
    ) -> scheduler_pb2.PlanReply:
        """Say what would happen to a job, as `Client.plan`."""
        request = wire.plan_request(spec, self.user, more, without)
        return await self._call(self._stub.Plan, request)

    async def history(self, job: str) -> scheduler_pb2.HistoryReply:
        """Give everything that happened to a job, from the journal."""
        request = scheduler_pb2.HistoryRequest(job=job, user=self.user)
        return await self._call(self._stub.History, request)

    async def logs(
        self,
        job: str,
        *,
        ranks: Sequence[int] = (),
        attempt: int = 0,
        follow: bool = False,
        tail_lines: int = 0,
    ) -> AsyncGenerator[scheduler_pb2.LogChunk, None]:
        """Yield output of a job's shards (no ranks: all), each byte once, as `Client.logs`."""
        reading = await self.get(job)
        if follow and not attempt:
            reading = await self._wait_until(reading, wire.has_started_or_ended, math.inf)
        while True:
            number = attempt or wire.newest_attempt(reading)
            if follow and not number:
                return
            cursor = cursors.LogCursor(reading, self.user, number, ranks, tail_lines)
            async with contextlib.aclosing(self._log_stream(cursor, follow)) as chunks:
                async for chunk in chunks:
                    yield chunk
            if attempt or not follow:
                return
            reading = await self._wait_until(reading, wire.over_or_later_than(number), math.inf)
            if wire.newest_attempt(reading) <= number:
                return
            tail_lines = 0
            yield scheduler_pb2.LogChunk(note=f"attempt {wire.newest_attempt(reading)} begins")

    async def nodes(self) -> scheduler_pb2.NodesReply:
        """Give every node with its devices and who holds them."""
        return await self._call(self._stub.Nodes, scheduler_pb2.NodesRequest())

    async def info(self) -> scheduler_pb2.InfoReply:
        """Give the scheduler's version, revision and health."""
        return await self._call(self._stub.Info, scheduler_pb2.InfoRequest())

    async def wait(self, job: str, *, timeout_s: float | None = None) -> job_pb2.Job:
        """Return the job once it is over; TimedOut when that takes longer than `timeout_s`."""
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        return await self._wait_until(await self.get(job), wire.is_over, deadline)

    async def _get(self, job: str, patience_s: float, *, foresee: bool = False) -> job_pb2.Job:
        request = scheduler_pb2.GetRequest(job=job, user=self.user, foresee=foresee)
        return await self._call(self._stub.Get, request, patience_s=patience_s)

    async def _call(
        self,
        method: Callable[..., Awaitable[Reply]],
        request: object,
        *,
        patience_s: float = 0,
        key: str = "",
    ) -> Reply:
        """Make one request; retry a broken link for `patience_s`. `key`: of a submit."""
        started = time.monotonic()
        failures = 0
        async with self._room:
            while True:
                spent_s = time.monotonic() - started
                timeout_s = wire.try_timeout_s(self._timeout_s, patience_s, spent_s)
                try:
                    return await method(request, timeout=timeout_s)
                except grpc.RpcError as error:
                    pause_s = wire.backoff_s(failures)
                    is_late = time.monotonic() + pause_s - started >= patience_s
                    if is_late or not wire.is_outcome_unknown(error):
                        raise wire.request_error(error, self.address, key) from None
                failures += 1
                await asyncio.sleep(pause_s)

    async def _watch(
        self, cursor: cursors.WatchCursor, deadline: float
    ) -> AsyncGenerator[scheduler_pb2.WatchEvent, None]:
        events = self._resuming(
            lambda left_s: self._stub.Watch(cursor.request(), timeout=left_s),
            deadline,
            endless=True,
        )
        async with contextlib.aclosing(events):
            async for event in events:
                if cursor.is_new(event):
                    yield event

    async def _log_stream(
        self, cursor: cursors.LogCursor, follow: bool
    ) -> AsyncGenerator[scheduler_pb2.LogChunk, None]:
        chunks = self._resuming(
            lambda left_s: self._stub.Logs(cursor.request(follow), timeout=left_s), math.inf
        )
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                news = cursor.take(chunk)
                if news is not None:
                    yield news
                if cursor.is_done:
                    return

    async def _wait_until(
        self, reading: job_pb2.Job, accept: Callable[[job_pb2.Job], bool], deadline: float
    ) -> job_pb2.Job:
        """Read the job again after its events until `accept`; a burst of them costs one reading."""
        if accept(reading):
            return reading
        cursor = cursors.WatchCursor(reading.revision, reading.id)
        async with contextlib.aclosing(self._watch(cursor, deadline)) as events:
            try:
                async for event in events:
                    if event.revision > reading.revision:
                        reading = await self._get(reading.id, self._reconnect_s)
                        if accept(reading):
                            return reading
            except (TimedOut, Unreachable):
                if time.monotonic() < deadline:
                    raise
        raise wire.still_running(reading)

    async def _resuming(
        self, start: Callable[[float | None], Any], deadline: float, endless: bool = False
    ) -> AsyncGenerator[Any, None]:
        """Yield a stream's messages and start it again whenever the link breaks."""
        failures = 0
        while True:
            call: Any = start(wire.timeout_of(deadline))
            try:
                async for message in call:
                    failures = 0
                    yield message
                if not endless:
                    return
            except grpc.RpcError as error:
                if not wire.is_broken(error):
                    raise wire.error_of(error, self.address) from None
            finally:
                call.cancel()  # an abandoned stream would leak on both sides
            patience_s = min(self._reconnect_s, wire.left_s(deadline))
            await self._await_scheduler(failures, patience_s)
            failures += 1

    async def _await_scheduler(self, failures: int, patience_s: float) -> None:
        """Return when the scheduler answers again; Unreachable after `patience_s`."""
        wire.check_restarts(failures, self.address)
        await asyncio.sleep(min(wire.backoff_s(failures), patience_s))
        await self._call(self._stub.Info, scheduler_pb2.InfoRequest(), patience_s=patience_s)
