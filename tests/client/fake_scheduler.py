"""A scheduler in memory for client tests: the real service, scripted jobs, failures on demand."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from aimass.v1 import job_pb2, node_pb2, scheduler_pb2, scheduler_pb2_grpc

RUNNING = job_pb2.JOB_STATE_RUNNING
QUEUED = job_pb2.JOB_STATE_QUEUED


class FakeScheduler(scheduler_pb2_grpc.SchedulerServicer):
    """Answers as the real one does; `break_next` makes calls fail the way a dying one would.

    Jobs start RUNNING and change only when a test says so. `calls` counts what arrived.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.jobs: dict[str, job_pb2.Job] = {}
        self.keys: dict[str, str] = {}
        self.events: list[scheduler_pb2.WatchEvent] = []
        self.revision = 1
        self.first_state = RUNNING
        self.output: dict[tuple[str, int, int], bytes] = {}  # (job, attempt, rank)
        self.is_closed: set[tuple[str, int, int]] = set()
        self.explanation = scheduler_pb2.Explanation()
        self.nodes: list[node_pb2.Node] = []
        self.calls: list[tuple[str, Any]] = []
        self.failures: dict[str, deque[tuple[str, Any]]] = {}
        self.chunk_bytes = 4
        self.address = ""
        self._server: grpc.Server | None = None

    # --- the test's side -----------------------------------------------------------------

    def start(self, port: int = 0) -> str:
        """Listen on the loopback; port 0 picks one. Returns the address."""
        self._server = grpc.server(ThreadPoolExecutor(32), options=[("grpc.so_reuseport", 0)])
        scheduler_pb2_grpc.add_SchedulerServicer_to_server(self, self._server)
        bound = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()
        self.address = f"127.0.0.1:{bound}"
        return self.address

    def stop(self) -> None:
        """Hang up on everybody, as a killed process would."""
        if self._server is not None:
            server, self._server = self._server, None
            with self.changed:
                self.changed.notify_all()
            server.stop(0).wait()

    def restart(self) -> None:
        """Go away and come back at the same address with the same jobs."""
        port = int(self.address.rpartition(":")[2])
        self.stop()
        self.start(port)

    def break_next(
        self, method: str, code: str = "UNAVAILABLE", *, after: int = 0, times: int = 1
    ) -> None:
        """Let the next calls of `method` fail; after: messages (or the work) that still come."""
        for _ in range(times):
            self.failures.setdefault(method, deque()).append((code, after))

    def refuse_next(self, method: str, code: str, **detail: str) -> None:
        """Let the next call of `method` be answered with an error and its detail."""
        self.failures.setdefault(method, deque()).append((code, detail))

    def event(self, job_id: str = "", kind: str = "ShardStarted", *, same: bool = False) -> None:
        """Record an event; same: of the revision of the one before."""
        with self.changed:
            self.revision += not same
            self.events.append(
                scheduler_pb2.WatchEvent(
                    revision=self.revision, type=kind, job_id=job_id, json="{}", at_ms=1
                )
            )
            self.changed.notify_all()

    def end(self, job_id: str, code: int = 0, signal: int = 0, state: str = "") -> None:
        """End a job: every shard with this exit."""
        job = self.jobs[job_id]
        done = "SUCCEEDED" if not code and not signal else "FAILED"
        with self.changed:
            for shard in job.attempts[-1].shards if job.attempts else ():
                self.is_closed.add((job_id, job.attempts[-1].number, shard.rank))
                shard.state = job_pb2.SHARD_STATE_EXITED
                shard.exit.code, shard.exit.signal = code, signal
                shard.exit.reason = job_pb2.EXIT_REASON_EXITED
            job.state = job_pb2.JobState.Value(f"JOB_STATE_{state or done}")
            job.ended_ms = job.submitted_ms + 5000
        self.event(job_id, "JobEnded")

    def add_attempt(self, job: job_pb2.Job) -> None:
        """Place a job (again): all its shards on node n1."""
        attempt = job.attempts.add(number=len(job.attempts) + 1, placed_ms=2000, running_ms=3000)
        rank = 0
        for role in job.spec.roles:
            for _ in range(role.shards):
                attempt.shards.add(
                    rank=rank, role=role.name, node_id="n1", state=job_pb2.SHARD_STATE_RUNNING
                )
                rank += 1
        job.state = RUNNING

    def write(self, job_id: str, data: bytes, *, rank: int = 0, attempt: int = 1) -> None:
        """Let a shard print."""
        with self.changed:
            key = (job_id, attempt, rank)
            self.output[key] = self.output.get(key, b"") + data
            self.changed.notify_all()

    def count(self, method: str) -> int:
        """How many calls of `method` arrived."""
        return sum(name == method for name, _ in self.calls)

    # --- the service ---------------------------------------------------------------------

    def _arrived(self, method: str, request: Any, context: grpc.ServicerContext) -> int:
        """Note a call; abort it if a failure is due. Gives after how many messages it fails."""
        with self.changed:
            self.calls.append((method, request))
            due = self.failures.get(method)
            failure = due.popleft() if due else None
        if failure is None:
            return -1
        code, what = failure
        if isinstance(what, dict):
            detail = scheduler_pb2.ErrorDetail(**what).SerializeToString()
            context.set_trailing_metadata((("aimass-error-bin", detail),))
            context.abort(grpc.StatusCode[code], what.get("what", "refused"))
        if what == 0:
            context.abort(grpc.StatusCode[code], "broken by the test")
        return int(what)

    def _find(self, name: str, context: grpc.ServicerContext) -> job_pb2.Job:
        if name == "@last" and self.jobs:
            return next(reversed(self.jobs.values()))
        if name in self.jobs:
            return self.jobs[name]
        detail = scheduler_pb2.ErrorDetail(what=f"no job {name!r}", fix="massctl ls --all", id=name)
        context.set_trailing_metadata((("aimass-error-bin", detail.SerializeToString()),))
        context.abort(grpc.StatusCode.NOT_FOUND, detail.what)
        raise AssertionError("abort raises")

    def _reading(self, job: job_pb2.Job) -> job_pb2.Job:
        with self.changed:
            reading = job_pb2.Job()
            reading.CopyFrom(job)
            reading.revision = self.revision
            return reading

    def _accept(self, request: scheduler_pb2.SubmitRequest) -> scheduler_pb2.SubmitReply:
        with self.changed:
            known = self.keys.get(request.idempotency_key)
            if known:
                return scheduler_pb2.SubmitReply(job_id=known, existed=True)
            job = job_pb2.Job(id=f"j{len(self.jobs) + 1}", spec=request.spec, user=request.user)
            job.submitted_ms = int(time.time() * 1000)
            job.state = QUEUED
            self.jobs[job.id] = job
            self.keys[request.idempotency_key] = job.id
            if self.first_state == RUNNING:
                self.add_attempt(job)
        self.event(job.id, "JobSubmitted")
        return scheduler_pb2.SubmitReply(job_id=job.id)

    def Submit(self, request: Any, context: Any) -> Any:
        after = self._arrived("Submit", request, context)
        reply = self._accept(request)
        if after > 0:  # done, but the answer is lost
            context.abort(grpc.StatusCode.UNAVAILABLE, "broken by the test")
        return reply

    def SubmitBatch(self, request_iterator: Any, context: Any) -> Iterator[Any]:
        after = self._arrived("SubmitBatch", None, context)
        for count, chunk in enumerate(request_iterator):
            self.calls.append(("chunk", len(chunk.jobs)))
            reply = scheduler_pb2.SubmitBatchReply()
            for request in chunk.jobs:
                entry = reply.entries.add()
                if request.spec.name == "bad":
                    entry.error.what = "job 'bad' is refused"
                else:
                    entry.reply.CopyFrom(self._accept(request))
            if count + 1 == after:
                context.abort(grpc.StatusCode.UNAVAILABLE, "broken by the test")
            yield reply

    def Get(self, request: Any, context: Any) -> Any:
        self._arrived("Get", request, context)
        return self._reading(self._find(request.job, context))

    def List(self, request: Any, context: Any) -> Any:
        self._arrived("List", request, context)
        found = [
            self._reading(job)
            for job in self.jobs.values()
            if (not request.states or job.state in request.states)
            and request.user in ("", job.user)
        ]
        kept = found[-(request.limit or 1000) :]
        return scheduler_pb2.ListReply(jobs=kept, total=len(found), revision=self.revision)

    def Watch(self, request: Any, context: Any) -> Iterator[Any]:
        after = self._arrived("Watch", request, context)
        server = self._server
        position = 0 if request.from_revision else len(self.events)
        sent = 0
        while context.is_active() and self._server is server:
            with self.changed:
                if position == len(self.events):
                    self.changed.wait(0.2)
                batch = self.events[position:]
                position = len(self.events)
            for event in batch:
                if event.revision > request.from_revision and request.job in ("", event.job_id):
                    yield event
                    sent += 1
                    if sent == after:
                        context.abort(grpc.StatusCode.UNAVAILABLE, "broken by the test")

    def Cancel(self, request: Any, context: Any) -> Any:
        self._arrived("Cancel", request, context)
        job = self._find(request.job, context)
        self.end(job.id, state="CANCELLED")
        return self._reading(job)

    def Why(self, request: Any, context: Any) -> Any:
        self._arrived("Why", request, context)
        self._find(request.job, context)
        return self.explanation

    def Logs(self, request: Any, context: Any) -> Iterator[Any]:
        after = self._arrived("Logs", request, context)
        job = self._find(request.job, context)
        attempt = request.attempt or len(job.attempts)
        ranks = list(request.ranks) or range(sum(role.shards for role in job.spec.roles))
        offsets = dict(zip(ranks, request.offsets, strict=False))
        open_ranks = list(ranks)
        sent = 0
        while open_ranks and context.is_active():
            for rank in list(open_ranks):
                key = (job.id, attempt, rank)
                with self.changed:
                    offset = offsets.get(rank, 0)
                    data = self.output.get(key, b"")[offset : offset + self.chunk_bytes]
                    is_end = offset + len(data) == len(self.output.get(key, b""))
                    is_over = is_end and (key in self.is_closed or not request.follow)
                if data or is_over:
                    yield scheduler_pb2.LogChunk(
                        rank=rank, offset=offset, data=data, eof=is_over, attempt=attempt
                    )
                    sent += 1
                    if sent == after:
                        context.abort(grpc.StatusCode.UNAVAILABLE, "broken by the test")
                offsets[rank] = offset + len(data)
                if is_over:
                    open_ranks.remove(rank)
            with self.changed:
                self.changed.wait(0.005)

    def Nodes(self, request: Any, context: Any) -> Any:
        self._arrived("Nodes", request, context)
        return scheduler_pb2.NodesReply(nodes=self.nodes, revision=self.revision)

    def Info(self, request: Any, context: Any) -> Any:
        self._arrived("Info", request, context)
        return scheduler_pb2.InfoReply(version="fake", cluster_id="c1", revision=self.revision)
