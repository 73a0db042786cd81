"""Protobuf messages to core values and back: the only file that knows both."""

from typing import Any

from aimass.core.cluster import Cluster
from aimass.core.effects import Assignment, DesiredSet, Launch
from aimass.core.explain import Explanation
from aimass.core.model import (
    Attempt,
    DeviceSpec,
    Exit,
    ExitReason,
    Inventory,
    Job,
    JobState,
    Node,
    NodeState,
    ShardState,
)
from aimass.core.spec import JobKind, JobSpec, Need, Role, Strategy
from aimass.v1 import agent_pb2, job_pb2, node_pb2, scheduler_pb2

# Protobuf enums carry a prefix; the core's values are the bare words.
_KINDS = {
    job_pb2.JOB_KIND_UNSPECIFIED: JobKind.TRAIN,
    job_pb2.JOB_KIND_TRAIN: JobKind.TRAIN,
    job_pb2.JOB_KIND_BATCH: JobKind.BATCH,
}
_STRATEGIES = {
    job_pb2.STRATEGY_UNSPECIFIED: Strategy.DEFAULT,
    job_pb2.STRATEGY_PACK: Strategy.PACK,
    job_pb2.STRATEGY_SPREAD: Strategy.SPREAD,
}
_KIND_TO_PROTO = {JobKind.TRAIN: job_pb2.JOB_KIND_TRAIN, JobKind.BATCH: job_pb2.JOB_KIND_BATCH}
_STRATEGY_TO_PROTO = {core: proto for proto, core in _STRATEGIES.items()}
_JOB_STATES: dict[JobState, Any] = {
    s: job_pb2.JobState.Value(f"JOB_STATE_{s.value}") for s in JobState
}
JOB_STATE_FROM_PROTO = {proto: core for core, proto in _JOB_STATES.items()}
_SHARD_STATES: dict[ShardState, Any] = {
    s: job_pb2.ShardState.Value(f"SHARD_STATE_{s.value}") for s in ShardState
}
SHARD_STATE_FROM_PROTO = {proto: core for core, proto in _SHARD_STATES.items()}
_EXIT_REASONS: dict[ExitReason, Any] = {
    r: job_pb2.ExitReason.Value(f"EXIT_REASON_{r.value}") for r in ExitReason
}
_EXIT_REASON_FROM_PROTO = {proto: core for core, proto in _EXIT_REASONS.items()}
_NODE_STATES: dict[NodeState, Any] = {
    s: node_pb2.NodeState.Value(f"NODE_STATE_{s.value}") for s in NodeState
}


# ---- what comes in ------------------------------------------------------------------------------


def spec_from_proto(message: job_pb2.JobSpec) -> JobSpec:
    """The spec as the core has it; not yet checked (see JobSpec.problems)."""
    return JobSpec(
        name=message.name,
        roles=tuple(_role_from_proto(role) for role in message.roles),
        kind=_KINDS.get(message.kind, JobKind.TRAIN),
        priority=message.priority,
        workdir=message.workdir,
        env=dict(message.env),
        labels=dict(message.labels),
        node_selector=dict(message.node_selector),
        strategy=_STRATEGIES.get(message.strategy, Strategy.DEFAULT),
        grace_ms=message.grace_ms,
    )


def _role_from_proto(role: job_pb2.Role) -> Role:
    each = role.resources
    need = Need(
        each.gpu_milli,
        each.cpu_milli,
        each.memory_mib,
        tuple(role.gpu_types),
        role.gpu_memory_mib,
    )
    return Role(role.name, role.shards, need, tuple(role.command))


def inventory_from_proto(message: node_pb2.Inventory) -> Inventory:
    """What an agent reports of its machine."""
    return Inventory(
        hostname=message.hostname,
        address=message.address,
        cpu_milli=message.cpu_milli,
        memory_mib=message.memory_mib,
        devices=tuple(
            DeviceSpec(
                uuid=d.uuid,
                model=d.model,
                memory_mib=d.memory_mib,
                numa_node=d.numa_node,
                island=d.island,
                pci_bus_id=d.pci_bus_id,
                healthy=d.healthy,
                health_detail=d.health_detail,
            )
            for d in message.devices
        ),
        labels=dict(message.labels),
        probe=message.probe,
        driver_version=message.driver_version,
        cuda_version=message.cuda_version,
    )


def exit_from_proto(message: job_pb2.Exit) -> Exit:
    """How an agent says a shard ended."""
    return Exit(
        code=message.code,
        signal=message.signal,
        reason=_EXIT_REASON_FROM_PROTO.get(message.reason, ExitReason.EXITED),
        detail=message.detail,
        wall_ms=message.wall_ms,
        cpu_ms=message.cpu_ms,
        rss_mib_max=message.rss_mib_max,
    )


# ---- what goes out ------------------------------------------------------------------------------


def spec_to_proto(spec: JobSpec, *, with_env: bool = True) -> job_pb2.JobSpec:
    """The spec as clients see it."""
    return job_pb2.JobSpec(
        name=spec.name,
        kind=_KIND_TO_PROTO[spec.kind],
        priority=spec.priority,
        labels=spec.labels,
        roles=[
            job_pb2.Role(
                name=role.name,
                shards=role.shards,
                resources=job_pb2.Resources(
                    gpu_milli=role.need.gpu_milli,
                    cpu_milli=role.need.cpu_milli,
                    memory_mib=role.need.memory_mib,
                ),
                command=role.command,
                gpu_types=role.need.gpu_types,
                gpu_memory_mib=role.need.gpu_memory_mib,
            )
            for role in spec.roles
        ],
        workdir=spec.workdir,
        env=spec.env if with_env else {},
        node_selector=spec.node_selector,
        strategy=_STRATEGY_TO_PROTO[spec.strategy],
        grace_ms=spec.grace_ms,
    )


def job_to_proto(cluster: Cluster, job: Job, reason: str, *, in_short: bool = False) -> job_pb2.Job:
    """A job; `reason` says why it waits, or is empty.

    in_short, for listings: the newest attempt alone, and no environment (it may be 256 KiB).
    """
    attempts = job.attempts[-1:] if in_short else job.attempts
    return job_pb2.Job(
        id=job.id,
        submit_seq=job.submit_seq,
        spec=spec_to_proto(job.spec, with_env=not in_short),
        state=_JOB_STATES[job.state],
        user=job.user,
        reason=reason,
        submitted_ms=job.submitted_ms,
        ended_ms=job.ended_ms,
        attempts=[_attempt_to_proto(job, attempt) for attempt in attempts],
        revision=cluster.revision,
    )


def _attempt_to_proto(job: Job, attempt: Attempt) -> job_pb2.Attempt:
    message = job_pb2.Attempt(
        number=attempt.number,
        placed_ms=attempt.placed_ms,
        running_ms=attempt.running_ms,
        ended_ms=attempt.ended_ms,
        reason=attempt.reason,
        outcome=attempt.outcome or attempt.stop_reason,
    )
    rows = zip(attempt.placements, attempt.device_uuids, attempt.shards, strict=True)
    for rank, (placement, uuids, shard) in enumerate(rows):
        message.shards.add(
            rank=rank,
            role=job.spec.roles[placement.role].name,
            node_id=placement.node_id,
            device_uuids=uuids,
            gpu_milli=placement.share_milli if placement.devices else 0,
            state=_SHARD_STATES[shard.state],
            pid=shard.pid,
            started_ms=shard.started_ms,
            exited_ms=shard.exited_ms,
            exit=exit_to_proto(shard.exit) if shard.exit else None,
        )
    return message


def exit_to_proto(how: Exit) -> job_pb2.Exit:
    """How a shard ended, for clients."""
    return job_pb2.Exit(
        code=how.code,
        signal=how.signal,
        reason=_EXIT_REASONS[how.reason],
        detail=how.detail,
        wall_ms=how.wall_ms,
        cpu_ms=how.cpu_ms,
        rss_mib_max=how.rss_mib_max,
    )


def node_to_proto(node: Node) -> node_pb2.Node:
    """A node with what is held on it."""
    inventory = inventory_to_proto(node.inventory)
    for message, device in zip(inventory.devices, node.devices, strict=True):
        message.used_milli = device.used_milli
        message.jobs.extend(sorted({key.job_id for key in device.holders}))
    return node_pb2.Node(
        id=node.id,
        state=_NODE_STATES[node.state],
        reason=node.reason,
        inventory=inventory,
        cpu_free_milli=node.inventory.cpu_milli - node.cpu_used_milli,
        memory_free_mib=node.inventory.memory_mib - node.memory_used_mib,
        shards=len(node.holds),
        generation=node.generation,
        boot_id=node.boot_id,
        incarnation=node.incarnation,
        agent_version=node.agent_version,
        since_ms=node.since_ms,
    )


def inventory_to_proto(inventory: Inventory) -> node_pb2.Inventory:
    """What a machine has."""
    return node_pb2.Inventory(
        hostname=inventory.hostname,
        address=inventory.address,
        cpu_milli=inventory.cpu_milli,
        memory_mib=inventory.memory_mib,
        labels=inventory.labels,
        devices=[
            node_pb2.Device(
                index=index,
                uuid=d.uuid,
                model=d.model,
                memory_mib=d.memory_mib,
                numa_node=d.numa_node,
                island=d.island,
                pci_bus_id=d.pci_bus_id,
                healthy=d.healthy,
                health_detail=d.health_detail,
            )
            for index, d in enumerate(inventory.devices)
        ],
        probe=inventory.probe,
        driver_version=inventory.driver_version,
        cuda_version=inventory.cuda_version,
    )


def desired_to_proto(cluster: Cluster, desired: DesiredSet) -> agent_pb2.DesiredSet:
    """The set for an agent, with what each shard that is to be started needs."""
    message = agent_pb2.DesiredSet(term=desired.term, generation=desired.generation)
    for item in desired.assignments:
        message.assignments.add(
            job_id=item.job_id,
            attempt=item.attempt,
            rank=item.rank,
            goal=agent_pb2.GOAL_STOP if item.stop else agent_pb2.GOAL_RUN,
            grace_ms=item.grace_ms,
            stop_reason=item.stop_reason,
            launch=_launch_to_proto(cluster, item, item.launch) if item.launch else None,
        )
    return message


def _launch_to_proto(cluster: Cluster, item: Assignment, launch: Launch) -> agent_pb2.Launch:
    job = cluster.jobs[item.job_id]
    placement = job.current.placements[item.rank]
    role = job.spec.roles[placement.role]
    return agent_pb2.Launch(
        job_name=job.spec.name,
        argv=role.command,
        env=job.spec.env,
        workdir=job.spec.workdir,
        device_uuids=launch.device_uuids,
        visible_uuids=launch.visible_uuids,
        gpu_milli=placement.share_milli if placement.devices else 0,
        cpu_milli=placement.cpu_milli,
        memory_mib=placement.memory_mib,
        role=role.name,
        role_rank=launch.role_rank,
        role_world_size=role.shards,
        world_size=job.spec.world_size,
        local_rank=launch.local_rank,
        local_world_size=launch.local_world_size,
        group_rank=launch.group_rank,
        group_world_size=launch.group_world_size,
        master_addr=launch.master_addr,
        master_port=launch.master_port,
    )


def explanation_to_proto(
    cluster: Cluster, job: Job, explanation: Explanation, now_ms: int
) -> scheduler_pb2.Explanation:
    """The whole explanation, for clients."""
    return scheduler_pb2.Explanation(
        job_id=job.id,
        state=_JOB_STATES[job.state],
        code=explanation.code,
        summary=explanation.summary,
        blockers=[
            scheduler_pb2.Blocker(code=b.code, text=b.text, nodes=b.nodes, examples=b.examples)
            for b in explanation.blockers
        ],
        ahead=explanation.ahead,
        shards_asked=explanation.shards_asked,
        shards_fit_now=explanation.shards_fit_now,
        fits_when_empty=explanation.fits_when_empty,
        holders=explanation.holders,
        unblock=explanation.unblock,
        revision=cluster.revision,
        waiting_ms=max(0, now_ms - job.submitted_ms) if job.state is JobState.QUEUED else 0,
    )
