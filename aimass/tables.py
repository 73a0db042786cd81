"""The columns of massctl's tables."""

import time
from collections.abc import Sequence

from aimass import units, views
from aimass.output import Column
from aimass.v1 import job_pb2, node_pb2, scheduler_pb2


def now_ms() -> int:
    """Give the time that ages in tables count to."""
    return time.time_ns() // 1_000_000


def _since(ms: int, until_ms: int = 0) -> str:
    return units.span_text((until_ms or now_ms()) - ms) if ms else ""


def _run_time(job: job_pb2.Job) -> str:
    if not job.attempts:
        return ""
    newest = job.attempts[-1]
    return _since(newest.running_ms, newest.ended_ms or job.ended_ms)


def gpus_text(job: job_pb2.Job) -> str:
    """Give the GPUs asked for, and shares by memory; what an elastic job has while it runs."""
    held = views.held_of(job)
    if held is not None and views.is_elastic(job):
        return f"{units.number(held[1])}"
    shares = [
        f"{role.shards}x{units.memory_text(role.resources.gpu_share_mib)}"
        for role in job.spec.roles
        if role.resources.gpu_share_mib
    ]
    asked_milli = views.gpu_milli_of(job)
    whole = [f"{units.number(asked_milli)}"] if asked_milli or not shares else []
    return "+".join(whole + shares)


def _shards_text(job: job_pb2.Job) -> str:
    held = views.held_of(job)
    return str(held[0] if held is not None and views.is_elastic(job) else views.shards_of(job))


def some(names: Sequence[str], most: int = 3) -> str:
    """Give the first few of many names."""
    more = f" +{len(names) - most}" if len(names) > most else ""
    return ",".join(names[:most]) + more


JOBS: Sequence[Column[job_pb2.Job]] = (
    Column("ID", lambda job: job.id),
    Column("NAME", lambda job: job.spec.name),
    Column("USER", lambda job: job.user),
    Column("QUEUE", lambda job: job.spec.queue),
    Column("STATE", views.state_of),
    Column("GPUS", gpus_text, is_right=True),
    Column("SHARDS", lambda job: _shards_text(job), is_wide=True, is_right=True),
    Column("PRIO", lambda job: str(job.spec.priority), is_wide=True, is_right=True),
    Column(
        "ATTEMPT",
        lambda job: str(job.attempts[-1].number) if job.attempts else "",
        is_wide=True,
        is_right=True,
    ),
    Column("AGE", lambda job: _since(job.submitted_ms)),
    Column("RUN", _run_time),
    Column("NODES", lambda job: some(views.nodes_of(job))),
    Column("REASON", lambda job: job.reason),
)

SHARDS: Sequence[Column[job_pb2.Shard]] = (
    Column("RANK", lambda shard: str(shard.rank), is_right=True),
    Column("ROLE", lambda shard: shard.role),
    Column("NODE", lambda shard: shard.node_id),
    Column("STATE", views.shard_state_of),
    Column("PID", lambda shard: str(shard.pid or ""), is_right=True),
    Column("RUN", lambda shard: _since(shard.started_ms, shard.exited_ms)),
    Column("EXIT", lambda shard: exit_text(shard)),
    Column("DEVICES", lambda shard: some(list(shard.device_uuids), 8)),
)

BLOCKERS: Sequence[Column[scheduler_pb2.Blocker]] = (
    Column("REASON", lambda blocker: blocker.code),
    Column("NODES", lambda blocker: str(blocker.nodes or ""), is_right=True),
    Column("EXAMPLES", lambda blocker: some(list(blocker.examples))),
    Column("WHAT", lambda blocker: blocker.text),
)


def exit_text(shard: job_pb2.Shard) -> str:
    """Give how a shard ended in a few words."""
    if not shard.HasField("exit"):
        return ""
    reason = job_pb2.ExitReason.Name(shard.exit.reason).removeprefix("EXIT_REASON_")
    if shard.exit.reason == job_pb2.EXIT_REASON_LAUNCH_FAILED:
        return f"{reason}: {shard.exit.detail}"
    how = f"signal {shard.exit.signal}" if shard.exit.signal else f"code {shard.exit.code}"
    return how if reason == "EXITED" else f"{how} ({reason})"


def _used_milli(node: node_pb2.Node) -> int:
    return sum(device.used_milli for device in node.inventory.devices)


def _models(node: node_pb2.Node) -> str:
    return ",".join(dict.fromkeys(device.model for device in node.inventory.devices))


def _sick(node: node_pb2.Node) -> str:
    count = sum(not device.healthy for device in node.inventory.devices)
    return str(count) if count else ""


def _jobs_on(node: node_pb2.Node) -> str:
    jobs = dict.fromkeys(job for device in node.inventory.devices for job in device.jobs)
    return some(list(jobs))


NODES: Sequence[Column[node_pb2.Node]] = (
    Column("NODE", lambda node: node.id),
    Column("STATE", views.node_state_of),
    Column("GPUS", lambda node: str(len(node.inventory.devices)), is_right=True),
    Column("USED", lambda node: f"{units.number(_used_milli(node))}", is_right=True),
    Column("SICK", _sick, is_wide=True, is_right=True),
    Column("MODEL", _models),
    Column("CPUS-FREE", lambda node: f"{units.number(node.cpu_free_milli)}", is_right=True),
    Column("MEMORY-FREE", lambda node: units.memory_short(node.memory_free_mib), is_right=True),
    Column("SHARDS", lambda node: str(node.shards), is_right=True),
    Column("PROBE", lambda node: node.inventory.probe, is_wide=True),
    Column("ADDRESS", lambda node: node.inventory.address, is_wide=True),
    Column("AGENT", lambda node: node.agent_version, is_wide=True),
    Column("SINCE", lambda node: _since(node.since_ms), is_wide=True),
    Column("JOBS", _jobs_on),
    Column("RESERVED", lambda node: some(list(node.windows)), is_wide=True),
    Column("REASON", lambda node: node.reason or node.cordon),
)
