"""Jobs to measure with: messages for a daemon's door, and whole lives as events for the core."""

from collections.abc import Iterator

from aimass.core import events as ev
from aimass.core.apply_jobs import job_id_of
from aimass.core.model import DeviceSpec, Exit, Inventory, NodeId, Placement
from aimass.core.plan import Start
from aimass.core.spec import JobSpec, Need, Role
from aimass.v1 import job_pb2, scheduler_pb2

SIZES = (1, 1, 2, 1, 8, 1, 4, 1, 2, 1)  # GPUs of the jobs in turn: most are small
GPUS_PER_NODE = 8
NODES = 128
STARTS_PER_PLAN = 8
MEMORY_MIB_PER_GPU = 32 * 1024
_ENV = {"EPOCHS": "90", "BATCH_SIZE": "256", "NCCL_DEBUG": "WARN", "DATA": "/data/imagenet"}
_COMMAND = ("python", "-m", "train", "--model", "resnet50", "--lr", "0.1", "--checkpoint", "/ckpt")


def request(number: int) -> scheduler_pb2.SubmitRequest:
    """An ordinary training job: one shard of 1, 2, 4 or 8 GPUs, one of three priorities."""
    gpus = SIZES[number % len(SIZES)]
    resources = job_pb2.Resources(
        gpu_milli=1000 * gpus, cpu_milli=8000 * gpus, memory_mib=MEMORY_MIB_PER_GPU * gpus
    )
    role = job_pb2.Role(name="main", shards=1, resources=resources, command=_COMMAND)
    spec = job_pb2.JobSpec(
        name=f"train-{number}",
        kind=job_pb2.JOB_KIND_TRAIN,
        priority=number % 3,
        labels={"team": "vision"},
        roles=[role],
        workdir="/home/user/project",
        env=_ENV,
        grace_ms=30_000,
    )
    return scheduler_pb2.SubmitRequest(spec=spec, user="bench", idempotency_key=f"key-{number}")


def spec(number: int) -> JobSpec:
    """The same as the core has it; every value an object of its own, as out of a decoder."""
    gpus = SIZES[number % len(SIZES)]
    need = Need(1000 * gpus, 8000 * gpus, MEMORY_MIB_PER_GPU * gpus)
    return JobSpec(
        name=f"train-{number}",
        roles=(Role("main", 1, need, tuple(_COMMAND)),),
        priority=number % 3,
        workdir="/home/user/project",
        env=dict(_ENV),
        labels={"team": "vision"},
    )


def submitted(seq: int) -> ev.JobSubmitted:
    """The event of job number `seq`, from 1."""
    return ev.JobSubmitted(seq, job_id_of(seq), spec(seq), "bench", f"key-{seq}")


def devices_of(node: str) -> tuple[DeviceSpec, ...]:
    """GPUS_PER_NODE GPUs on two NUMA nodes and one NVLink island."""
    return tuple(
        DeviceSpec(f"GPU-{node}-{i}", "H100-SXM5-80GB", 80 * 1024, i // 4, 0)
        for i in range(GPUS_PER_NODE)
    )


def opening() -> list[ev.Event]:
    """A cluster of NODES nodes with GPUS_PER_NODE devices each, under its first leader."""
    found: list[ev.Event] = [ev.ClusterCreated(0, "bench"), ev.TermStarted(0, 1)]
    for index in range(NODES):
        node = f"n{index}"
        inventory = Inventory(node, "127.0.0.1", 10**6, 2**21, devices_of(node), probe="simulated")
        found.append(ev.NodeRegistered(0, NodeId(node), inventory, "boot", 1))
    return found


def lives(jobs: int) -> Iterator[list[list[ev.Event]]]:
    """Waves of whole lives: each wave fills the cluster and gives four lists of events.

    They are: submitted, planned (STARTS_PER_PLAN in one), started, exited; one exit in 50 is a
    failure. A wave leaves the cluster empty again.
    """
    seq = 1
    while seq <= jobs:
        wave = _wave(seq, jobs)
        seq += len(wave)
        starts = [_start(seq, node, first) for seq, node, first in wave]
        yield [
            [submitted(seq) for seq, _, _ in wave],
            [
                ev.PlanCommitted(wave[i][0], 0, "bench", tuple(starts[i : i + STARTS_PER_PLAN]))
                for i in range(0, len(wave), STARTS_PER_PLAN)
            ],
            [ev.ShardStarted(seq, job_id_of(seq), 1, 0, seq) for seq, _, _ in wave],
            [ev.ShardExited(seq, job_id_of(seq), 1, 0, _exit(seq)) for seq, _, _ in wave],
        ]


def _wave(seq: int, last: int) -> list[tuple[int, int, int]]:
    """(job, node, first device) of the jobs from `seq` on, node after node, until all are full."""
    found = []
    for node in range(NODES):
        first = 0
        while seq <= last and first + SIZES[seq % len(SIZES)] <= GPUS_PER_NODE:
            found.append((seq, node, first))
            first += SIZES[seq % len(SIZES)]
            seq += 1
    return found


def _start(seq: int, node: int, first: int) -> Start:
    gpus = SIZES[seq % len(SIZES)]
    devices = tuple(range(first, first + gpus))
    amounts = (1000, 8000 * gpus, MEMORY_MIB_PER_GPU * gpus)
    placement = Placement(0, NodeId(f"n{node}"), devices, *amounts)
    return Start(job_id_of(seq), 1, (placement,), "tightest node that fits")


def _exit(seq: int) -> Exit:
    return Exit(code=1 if seq % 50 == 0 else 0, wall_ms=3_600_000, cpu_ms=7_200_000)
