"""Durable submits a second by single calls, 32 in flight, against a real massd on the real disk.

Every call is answered when its job is fsynced; calls that arrive together share one fsync. The
client is this process (grpc.aio on uvloop, one connection) and takes about half of a core. No node
has joined, so every job waits. `submit_unary_cpu` is the daemon's own processor time per submit:
compare that one between busy machines.
"""

import asyncio
import time

import grpc
import uvloop

from aimass.v1 import scheduler_pb2, scheduler_pb2_grpc
from benchmarks import anchors, jobs
from benchmarks.daemons import Daemon, address_of, folder, massd
from benchmarks.record import Record, of_rounds, percentiles

ROUNDS = 5
SUBMITS = 3_000  # in one round
IN_FLIGHT = 32


def run(scale: float) -> list[Record]:
    """Submits/s, a caller's latency, processor time of the daemon, and the disk's fsync."""
    with folder() as temporary, massd(temporary / "massd") as daemon:
        count = max(IN_FLIGHT, round(SUBMITS * scale))
        rates, cpu_us, latencies = uvloop.run(_measure(daemon, count))
        return [
            of_rounds("submit_unary", "1/s", rates, count * ROUNDS),
            *percentiles("submit_unary", "ms", latencies),
            of_rounds("submit_unary_cpu", "us", cpu_us, count * ROUNDS),
            anchors.fsync("submit_unary_fsync", temporary, scale),
        ]


async def _measure(
    daemon: Daemon, count: int
) -> tuple[list[float], list[float], list[list[float]]]:
    """Per round: submits/s, the daemon's us of processor time per submit, latencies in ms."""
    rates, cpu_us, latencies = [], [], []
    async with grpc.aio.insecure_channel(address_of(daemon)) as channel:
        stub = scheduler_pb2_grpc.SchedulerStub(channel)
        await _submit_all(stub, [jobs.request(-1 - i) for i in range(max(IN_FLIGHT, count // 5))])
        for each in range(ROUNDS):
            requests = [jobs.request(each * count + i) for i in range(count)]
            cpu_s, began = daemon.cpu_s(), time.perf_counter()
            latencies.append(await _submit_all(stub, requests))
            rates.append(count / (time.perf_counter() - began))
            cpu_us.append((daemon.cpu_s() - cpu_s) / count * 1e6)
    return rates, cpu_us, latencies


async def _submit_all(
    stub: "scheduler_pb2_grpc.SchedulerAsyncStub", requests: list[scheduler_pb2.SubmitRequest]
) -> list[float]:
    """Submit all, IN_FLIGHT at a time; each one's milliseconds."""
    taken_ms: list[float] = []
    source = iter(requests)

    async def caller() -> None:
        for request in source:
            began = time.perf_counter()
            await stub.Submit(request)
            taken_ms.append((time.perf_counter() - began) * 1000)

    await asyncio.gather(*[caller() for _ in range(IN_FLIGHT)])
    return taken_ms
