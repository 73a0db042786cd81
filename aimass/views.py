"""Messages as plain dictionaries: what `-o json`, `jsonl` and `yaml` print. Only ever added to.

Times are RFC 3339, numbers in people's units. `spec` has the job file's form: submit it again.
"""

from typing import Any

from aimass import units
from aimass.specview import API_VERSION, spec_view
from aimass.v1 import job_pb2, node_pb2, scheduler_pb2


def state_of(job: job_pb2.Job | scheduler_pb2.Explanation) -> str:
    """Give the job's state in the word people see, e.g. "RUNNING"."""
    return job_pb2.JobState.Name(job.state).removeprefix("JOB_STATE_")


def is_array(job: job_pb2.Job) -> bool:
    """Say whether it sums up the tasks of an array."""
    return job.HasField("array") and not job.array_id


def is_elastic(job: job_pb2.Job) -> bool:
    """Say whether its size may differ from what it asks."""
    return any(role.HasField("elastic") for role in job.spec.roles)


def node_state_of(node: node_pb2.Node) -> str:
    """Give the node's state in the word people see: READY, SUSPECT, LOST; of a READY one that takes
    nothing new CORDONED, or DRAINING and then DRAINED.
    """
    if node.state == node_pb2.NODE_STATE_READY and node.cordon:
        if not node.drain_ms:
            return "CORDONED"
        return "DRAINING" if node.shards else "DRAINED"
    return node_pb2.NodeState.Name(node.state).removeprefix("NODE_STATE_")


def shard_state_of(shard: job_pb2.Shard) -> str:
    """Give the shard's state in the word people see, e.g. "EXITED"."""
    return job_pb2.ShardState.Name(shard.state).removeprefix("SHARD_STATE_")


def gpu_milli_of(job: job_pb2.Job) -> int:
    """Give the milli-GPU of the whole gang."""
    return sum(role.shards * role.resources.gpu_milli for role in job.spec.roles)


def shards_of(job: job_pb2.Job) -> int:
    """Give the number of shards over all roles."""
    return sum(role.shards for role in job.spec.roles)


def held_of(job: job_pb2.Job) -> tuple[int, int] | None:
    """Give (shards, milli-GPU) of the attempt that is at work; None: no attempt is.

    Of an elastic job that may be less or more than it asks.
    """
    newest = job.attempts[-1] if job.attempts else None
    if newest is None or newest.ended_ms or job.ended_ms:
        return None
    return len(newest.shards), sum(s.gpu_milli * len(s.device_uuids) for s in newest.shards)


def nodes_of(job: job_pb2.Job) -> list[str]:
    """Give the nodes of the newest attempt, each once, in rank order."""
    shards = job.attempts[-1].shards if job.attempts else ()
    return list(dict.fromkeys(shard.node_id for shard in shards if shard.node_id))


def time_view(ms: int) -> str | None:
    """Give RFC 3339 in UTC; None for a time that has not come."""
    return units.time_text(ms) if ms else None


def outlook_view(start: job_pb2.Outlook) -> dict[str, Any]:
    """Give when a job will start."""
    return {
        "at": time_view(start.at_ms),
        "earliest": time_view(start.earliest_ms),
        "latest": time_view(start.latest_ms),
        "isKnown": start.is_known,
        "isPromise": start.is_promise,
        "notBefore": time_view(start.after_ms),
    }


def rule_of(receipt: job_pb2.Receipt) -> str:
    """Give the rule under which an attempt was stopped, e.g. "RECLAIM"."""
    return job_pb2.StopRule.Name(receipt.rule).removeprefix("STOP_RULE_")


def job_view(job: job_pb2.Job) -> dict[str, Any]:
    """Give one job."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Job",
        "id": job.id,
        "name": job.spec.name,
        "user": job.user,
        "queue": job.spec.queue,
        "state": state_of(job),
        "reason": job.reason,
        "gpus": units.number(gpu_milli_of(job)),
        "shards": shards_of(job),
        "current": _current_view(job),
        "nodes": nodes_of(job),
        "submittedAt": time_view(job.submitted_ms),
        "endedAt": time_view(job.ended_ms),
        "queuedAt": time_view(job.queued_ms),
        "notBefore": time_view(job.not_before_ms),
        "waitsFor": list(job.unmet),
        "holdReason": job.hold_reason,
        "array": _array_view(job) if job.HasField("array") else None,
        "planned": _planned_view(job.planned) if job.HasField("planned") else None,
        "claim": _claim_view(job.claim) if job.HasField("claim") else None,
        "start": outlook_view(job.start) if job.HasField("start") else None,
        "retries": job.retries,
        "preemptions": job.preemptions,
        "avoidNodes": list(job.avoid_nodes),
        "attempts": [_attempt_view(attempt) for attempt in job.attempts],
        "spec": spec_view(job.spec),
        "revision": job.revision,
    }


def _current_view(job: job_pb2.Job) -> dict[str, Any] | None:
    """Give what it has now, beside what it asks."""
    held = held_of(job)
    return {"shards": held[0], "gpus": units.number(held[1])} if held is not None else None


def _array_view(job: job_pb2.Job) -> dict[str, Any]:
    return {
        "id": job.array_id or job.id,
        "index": job.array_index if job.array_id else None,
        "total": job.array.total,
        "over": job.array.over,
        "failed": job.array.failed,
        "active": job.array.active,
    }


def _planned_view(planned: job_pb2.PlannedStart) -> dict[str, Any]:
    return {
        "startAt": time_view(planned.start_ms),
        "endAt": time_view(planned.end_ms),
        "isKnown": planned.is_known,
        "reason": planned.reason,
        "nodes": list(planned.nodes),
    }


def _claim_view(claim: job_pb2.Claim) -> dict[str, Any]:
    return {
        "attempt": claim.attempt,
        "reason": claim.reason,
        "victims": list(claim.victims),
        "nodes": list(claim.nodes),
    }


def _receipt_view(receipt: job_pb2.Receipt) -> dict[str, Any]:
    return {
        "at": time_view(receipt.at_ms),
        "rule": rule_of(receipt),
        "by": receipt.by,
        "reason": receipt.reason,
        "lostGpuMs": receipt.lost_gpu_ms,
        "byUser": receipt.by_user,
        "backAt": time_view(receipt.back_ms),
        "isBack": receipt.is_back,
    }


def _attempt_view(attempt: job_pb2.Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "placedAt": time_view(attempt.placed_ms),
        "runningAt": time_view(attempt.running_ms),
        "endedAt": time_view(attempt.ended_ms),
        "reason": attempt.reason,
        "outcome": attempt.outcome,
        "stoppingAt": time_view(attempt.stopping_ms),
        "checkpointAt": time_view(attempt.checkpoint_ms),
        "receipt": _receipt_view(attempt.receipt) if attempt.HasField("receipt") else None,
        "trail": list(attempt.trail),
        "shards": [_shard_view(shard) for shard in attempt.shards],
    }


def _shard_view(shard: job_pb2.Shard) -> dict[str, Any]:
    return {
        "rank": shard.rank,
        "role": shard.role,
        "node": shard.node_id,
        "devices": list(shard.device_uuids),
        "gpuShare": units.number(shard.gpu_milli),
        "state": shard_state_of(shard),
        "pid": shard.pid,
        "startedAt": time_view(shard.started_ms),
        "exitedAt": time_view(shard.exited_ms),
        "exit": _exit_view(shard.exit) if shard.HasField("exit") else None,
    }


def _exit_view(exit: job_pb2.Exit) -> dict[str, Any]:
    return {
        "code": exit.code,
        "signal": exit.signal,
        "reason": job_pb2.ExitReason.Name(exit.reason).removeprefix("EXIT_REASON_"),
        "detail": exit.detail,
        "wallMs": exit.wall_ms,
        "cpuMs": exit.cpu_ms,
        "rssMibMax": exit.rss_mib_max,
    }


def node_view(node: node_pb2.Node) -> dict[str, Any]:
    """Give one node with its devices."""
    inventory = node.inventory
    return {
        "apiVersion": API_VERSION,
        "kind": "Node",
        "id": node.id,
        "state": node_state_of(node),
        "reason": node.reason,
        "cordon": node.cordon,
        "drainAt": time_view(node.drain_ms),
        "reservations": list(node.windows),
        "since": time_view(node.since_ms),
        "hostname": inventory.hostname,
        "address": inventory.address,
        "cpus": units.number(inventory.cpu_milli),
        "cpusFree": units.number(node.cpu_free_milli),
        "memory": units.memory_text(inventory.memory_mib),
        "memoryFree": units.memory_text(node.memory_free_mib),
        "labels": dict(sorted(inventory.labels.items())),
        "taints": list(inventory.taints),
        "probe": inventory.probe,
        "driverVersion": inventory.driver_version,
        "cudaVersion": inventory.cuda_version,
        "agentVersion": node.agent_version,
        "shards": node.shards,
        "devices": [_device_view(device) for device in inventory.devices],
        "links": _links_view(inventory.links) if inventory.HasField("links") else None,
    }


def _device_view(device: node_pb2.Device) -> dict[str, Any]:
    return {
        "index": device.index,
        "uuid": device.uuid,
        "model": device.model,
        "memory": units.memory_text(device.memory_mib),
        "numaNode": device.numa_node,
        "island": device.island,
        "pciBusId": device.pci_bus_id,
        "healthy": device.healthy,
        "healthDetail": device.health_detail,
        "used": units.number(device.used_milli),
        "jobs": list(device.jobs),
    }


def _links_view(links: node_pb2.Links) -> dict[str, Any]:
    """Give what was reported, by the order of the devices; see node_screen.py for what it means."""
    return {
        "nvlinks": [list(row.counts) for row in links.nvlinks],
        "pcieSwitches": list(links.pcie_switches),
    }


def info_view(info: scheduler_pb2.InfoReply) -> dict[str, Any]:
    """Give what the scheduler says of itself."""
    return {
        "version": info.version,
        "clusterId": info.cluster_id,
        "term": info.term,
        "revision": info.revision,
        "journal": info.journal,
        "policy": info.policy,
        "startedAt": time_view(info.started_ms),
        "httpAddress": info.http_address,
        "refusingWrites": info.refusing_writes,
        "policyProblem": info.policy_problem,
        "decidingPolicy": info.deciding_policy,
        "policyFallbacks": info.policy_fallbacks,
        "decisionsRejected": info.decisions_rejected,
        "nextTickAt": time_view(info.next_tick_ms),
        "levels": list(info.levels),
    }
