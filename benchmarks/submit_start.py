"""Milliseconds from submit to the first instruction of the shard's program, on an idle cluster.

Real massd, real massnode with 8 simulated GPUs, real shims; the client library submits one job at a
time, the next one a random 50-250 ms after the last has ended, so that nothing is measured in step
with a tick. The program reads the clock in its first statement and writes that to a FIFO, on
which we wait without polling. It is a static C program compiled here; without a C compiler it is
`date` under /bin/sh, 1-2 ms slower, and we say so on stderr.

submit_start_ack    until submit() returns: the job is durable
submit_start_spawn  the same program started by posix_spawn: what the machine needs by itself
"""

import os
import random
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

from aimass import Client
from aimass.v1 import job_pb2
from benchmarks.daemons import BenchmarkError, address_of, folder, massd, massnode
from benchmarks.record import Record, percentiles

ROUNDS = 5
SUBMITS = 30  # in one round
TIMEOUT_S = 30.0
_SOURCE = r"""
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char **argv) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char line[32];
    int length = snprintf(line, sizeof line, "%lld\n", now.tv_sec * 1000000000LL + now.tv_nsec);
    int fd = open(argv[argc - 1], O_WRONLY);
    return write(fd, line, length) != length;
}
"""


def run(scale: float) -> list[Record]:
    """p50 and p99 of the three, in ms."""
    count = max(2, round(SUBMITS * scale))
    with (
        folder() as temporary,
        massd(temporary / "massd") as daemon,
        massnode(temporary / "node", address_of(daemon), "8xH100-SXM5-80GB"),
        Client(address_of(daemon)) as client,
        _Stamps(temporary) as stamps,
    ):
        pauses = random.Random(1)
        for _ in range(2):  # warm: first imports, first files
            _submit(client, stamps)
        acks, starts, spawns = [], [], []
        for _ in range(ROUNDS):
            taken = []
            for _ in range(count):
                time.sleep(pauses.uniform(0.05, 0.25))
                taken.append(_submit(client, stamps))
            acks.append([ack for ack, _ in taken])
            starts.append([start for _, start in taken])
            spawns.append([_spawn(stamps) for _ in range(count)])
    return [
        *percentiles("submit_start", "ms", starts),
        *percentiles("submit_start_ack", "ms", acks),
        *percentiles("submit_start_spawn", "ms", spawns),
    ]


class _Stamps:
    """The program that tells when it started, and the FIFO on which it tells."""

    def __init__(self, folder: Path) -> None:
        self._fifo = folder / "stamps"
        os.mkfifo(self._fifo, 0o600)
        self._fd = os.open(self._fifo, os.O_RDWR)
        self.command = [*_program(folder), str(self._fifo)]

    def __enter__(self) -> "_Stamps":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def read_ns(self) -> int:
        """Wait for the next one. Raises BenchmarkError when none comes."""
        if not select.select([self._fd], [], [], TIMEOUT_S)[0]:
            raise BenchmarkError(f"the job's program did not start within {TIMEOUT_S:g} s")
        return int(os.read(self._fd, 64))


def _program(folder: Path) -> list[str]:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        print("no C compiler: the program is sh and date, 1-2 ms slower", file=sys.stderr)
        return ["/bin/sh", "-c", 'date +%s%N > "$0"']
    source, binary = folder / "stamp.c", folder / "stamp"
    source.write_text(_SOURCE)
    built = subprocess.run(
        [compiler, "-O2", "-static", "-o", binary, source],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        raise BenchmarkError(f"{compiler}: {built.stderr}")
    return [str(binary)]


def _submit(client: Client, stamps: _Stamps) -> tuple[float, float]:
    """Submit one job and wait for its end. (ms until durable, ms until its program ran)."""
    resources = job_pb2.Resources(gpu_milli=1000, cpu_milli=100)
    role = job_pb2.Role(name="main", shards=1, resources=resources, command=stamps.command)
    spec = job_pb2.JobSpec(name="stamp", roles=[role], workdir="/", grace_ms=1000)
    began_ns = time.time_ns()
    job_id = client.submit(spec).job_id
    acked_ns = time.time_ns()
    started_ns = stamps.read_ns()
    job = client.wait(job_id, timeout_s=TIMEOUT_S)
    if job.state != job_pb2.JOB_STATE_SUCCEEDED:
        raise BenchmarkError(f"{job_id} did not succeed: {job.reason}")
    return (acked_ns - began_ns) / 1e6, (started_ns - began_ns) / 1e6


def _spawn(stamps: _Stamps) -> float:
    began_ns = time.time_ns()
    pid = os.posix_spawn(stamps.command[0], stamps.command, dict(os.environ))
    started_ns = stamps.read_ns()
    os.waitpid(pid, 0)
    return (started_ns - began_ns) / 1e6
