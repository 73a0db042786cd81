"""Durable submits a second over one SubmitBatch stream, against a real massd on the real disk.

Chunks of 1,000 jobs, CHUNKS_IN_FLIGHT sent ahead of their replies; the messages are built before
the clock starts. No node has joined, so every job waits. `submit_batch_cpu` is the daemon's own
processor time per job: compare that one between busy machines.
"""

import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import uvloop

from aimass.v1 import scheduler_pb2, scheduler_pb2_grpc
from benchmarks import anchors, jobs
from benchmarks.daemons import BenchmarkError, Daemon, address_of, folder, massd
from benchmarks.record import Record, of_rounds

ROUNDS = 5
CHUNK_JOBS = 1_000
CHUNKS = 20  # in one round
CHUNKS_IN_FLIGHT = 3  # one is decoded, one is made durable, one is on its way


def run(scale: float) -> list[Record]:
    """Submits/s, processor time of the daemon per job, and the disk's fsync."""
    with folder() as temporary, massd(temporary / "massd") as daemon:
        chunk_jobs = max(10, round(CHUNK_JOBS * min(1.0, scale)))
        rates, cpu_us = uvloop.run(_measure(daemon, max(1, round(CHUNKS * scale)), chunk_jobs))
        submits = ROUNDS * max(1, round(CHUNKS * scale)) * chunk_jobs
        return [
            of_rounds("submit_batch", "1/s", rates, submits),
            of_rounds("submit_batch_cpu", "us", cpu_us, submits),
            anchors.fsync("submit_batch_fsync", temporary, scale),
        ]


async def _measure(daemon: Daemon, chunks: int, chunk_jobs: int) -> tuple[list[float], list[float]]:
    """Per round: submits/s, and the daemon's us of processor time per job."""
    rates, cpu_us = [], []
    async with grpc.aio.insecure_channel(address_of(daemon)) as channel:
        stub = scheduler_pb2_grpc.SchedulerStub(channel)
        await _submit(stub, _chunks(0, 1, chunk_jobs))
        for each in range(ROUNDS):
            prepared = _chunks(1 + each * chunks, chunks, chunk_jobs)
            cpu_s, began = daemon.cpu_s(), time.perf_counter()
            await _submit(stub, prepared)
            rates.append(chunks * chunk_jobs / (time.perf_counter() - began))
            cpu_us.append((daemon.cpu_s() - cpu_s) / (chunks * chunk_jobs) * 1e6)
    return rates, cpu_us


def _chunks(first: int, count: int, size: int) -> list[scheduler_pb2.SubmitBatchRequest]:
    return [
        scheduler_pb2.SubmitBatchRequest(jobs=[jobs.request(c * size + i) for i in range(size)])
        for c in range(first, first + count)
    ]


async def _submit(
    stub: "scheduler_pb2_grpc.SchedulerAsyncStub", chunks: list[scheduler_pb2.SubmitBatchRequest]
) -> None:
    """Send all and wait for every reply. Raises BenchmarkError when a job is refused."""
    room = asyncio.Semaphore(CHUNKS_IN_FLIGHT)

    async def sent() -> AsyncIterator[scheduler_pb2.SubmitBatchRequest]:
        for chunk in chunks:
            await room.acquire()
            yield chunk

    async for reply in stub.SubmitBatch(sent()):
        room.release()
        refused = [entry.error.what for entry in reply.entries if entry.HasField("error")]
        if refused:
            raise BenchmarkError(f"{len(refused)} jobs were refused, the first: {refused[0]}")
