"""Between the wire's messages and the agent's own values; the only file that knows both."""

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

from aimass.nodeagent.durable import Record
from aimass.nodeagent.probe import Probed, ProbedDevice
from aimass.nodeagent.reconcile import Local, Phase, ShardKey, Wanted
from aimass.v1 import agent_pb2, job_pb2, node_pb2

GRACE_MS_DEFAULT = 30_000

# What the scheduler hears of a phase; the others say nothing yet.
STATES = {
    Phase.PREPARED: job_pb2.SHARD_STATE_PREPARED,
    Phase.RUNNING: job_pb2.SHARD_STATE_RUNNING,
    Phase.EXITED: job_pb2.SHARD_STATE_EXITED,
}


@dataclass(slots=True)
class Shard:
    """One shard as the agent sees it; `phase` follows the folder."""

    folder: Path
    phase: Phase
    grace_ms: int = GRACE_MS_DEFAULT
    stop_grace_ms: int | None = None
    pid: int = 0
    port: int = 0
    port_socket: socket.socket | None = None
    exit: Record = field(default_factory=dict)
    shim_pid: int = 0  # when it is our own child, to be waited for
    fds: list[int] = field(default_factory=list)  # watched by the event loop

    def local(self) -> Local:
        """Give what reconciling needs to know."""
        return Local(self.phase, self.grace_ms, self.stop_grace_ms)

    def take_shim_status(self) -> int:
        """Collect the exit status of our own shim that has ended; 0: it is not our child."""
        if not self.shim_pid:
            return 0
        _, status = os.waitpid(self.shim_pid, 0)
        self.shim_pid = 0
        return os.waitstatus_to_exitcode(status)


def wanted_of(assignment: agent_pb2.Assignment) -> Wanted:
    """Give what reconciling needs to know of an assignment."""
    launch = assignment.launch
    return Wanted(
        stop=assignment.goal == agent_pb2.GOAL_STOP,
        grace_ms=assignment.grace_ms,
        stop_reason=assignment.stop_reason,
        waits_for_port=launch.world_size > 1 and launch.master_port == 0,
    )


def shard_report(key: ShardKey, shard: Shard) -> agent_pb2.ShardReport:
    """Say how a shard in one of STATES is."""
    report = agent_pb2.ShardReport(
        job_id=key.job_id,
        attempt=key.attempt,
        rank=key.rank,
        state=STATES[shard.phase],
        pid=shard.pid,
        master_port=shard.port,
    )
    if shard.exit:
        end = {**shard.exit, "reason": f"EXIT_REASON_{shard.exit['reason']}"}
        report.exit.CopyFrom(job_pb2.Exit(**end))
    return report


def device_message(device: ProbedDevice) -> node_pb2.Device:
    """Say what a device is."""
    return node_pb2.Device(
        index=device.index,
        uuid=device.uuid,
        model=device.model,
        memory_mib=device.memory_mib,
        numa_node=device.numa_node,
        island=device.island,
        pci_bus_id=device.pci_bus_id,
        healthy=device.is_healthy,
        health_detail=device.health_detail,
    )


def inventory_message(
    probe_name: str,
    probed: Probed,
    *,
    hostname: str,
    address: str,
    cpus: int,
    memory_mib: int,
    labels: dict[str, str],
) -> node_pb2.Inventory:
    """Say what a node has."""
    return node_pb2.Inventory(
        hostname=hostname,
        address=address,
        cpu_milli=cpus * 1000,
        memory_mib=memory_mib,
        labels=labels,
        devices=[device_message(device) for device in probed.devices],
        probe=probe_name,
        driver_version=probed.driver_version,
        cuda_version=probed.cuda_version,
    )
