"""Between the wire's messages and the agent's own values; the only file that knows both."""

import os
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path

from aimass.nodeagent.durable import Record
from aimass.nodeagent.probe import Probed, ProbedDevice
from aimass.nodeagent.reconcile import Local, Phase, ShardKey, Wanted
from aimass.nodeagent.shim_stop import CHECKPOINT_FILE, Stamp, checkpoint_stamp
from aimass.v1 import agent_pb2, job_pb2, node_pb2

GRACE_MS_DEFAULT = 30_000

Report = agent_pb2.ShardReport | agent_pb2.CheckpointReport

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
    stop_notice_ms: int = 0
    checkpoint: Stamp | None = None  # the newest that was seen
    pid: int = 0
    port: int = 0
    port_socket: socket.socket | None = None
    exit: Record = field(default_factory=dict)
    shim_pid: int = 0  # when it is our own child, to be waited for
    fds: list[int] = field(default_factory=list)  # watched by the event loop

    def local(self) -> Local:
        """Give what reconciling needs to know."""
        return Local(self.phase, self.grace_ms, self.stop_grace_ms, self.stop_notice_ms)

    def take_stop(self, grace_ms: int, notice_ms: int) -> None:
        """Note what its shim has been told; that only ever hurries."""
        if self.stop_grace_ms is not None:
            grace_ms = min(grace_ms, self.stop_grace_ms)
            notice_ms = min(notice_ms, self.stop_notice_ms)
        self.stop_grace_ms, self.stop_notice_ms = grace_ms, notice_ms

    def sees_checkpoint(self) -> bool:
        """Look at the file that a program marks its checkpoints with. True: there is a new one."""
        known, self.checkpoint = (
            self.checkpoint,
            checkpoint_stamp(f"{self.folder}/{CHECKPOINT_FILE}"),
        )
        return self.checkpoint not in (None, known)

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
        notice_ms=assignment.notice_ms,
        notice_signal=assignment.notice_signal,
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


def checkpoint_report(key: ShardKey, shard: Shard) -> agent_pb2.CheckpointReport:
    """Say how old a shard's newest checkpoint is, by the clock that its file is stamped with."""
    assert shard.checkpoint is not None, f"{key.folder} has no checkpoint"
    _, at_ns = shard.checkpoint
    return agent_pb2.CheckpointReport(
        job_id=key.job_id,
        attempt=key.attempt,
        rank=key.rank,
        age_ms=max(0, time.time_ns() - at_ns) // 1_000_000,
    )


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
    taints: tuple[str, ...] = (),
) -> node_pb2.Inventory:
    """Say what a node has."""
    return node_pb2.Inventory(
        hostname=hostname,
        address=address,
        cpu_milli=cpus * 1000,
        memory_mib=memory_mib,
        labels=labels,
        taints=taints,
        devices=[device_message(device) for device in probed.devices],
        probe=probe_name,
        driver_version=probed.driver_version,
        cuda_version=probed.cuda_version,
        links=_links_message(probed) if probed.nvlinks or probed.pcie_switches else None,
    )


def _links_message(probed: Probed) -> node_pb2.Links:
    rows = [node_pb2.Links.Row(counts=row) for row in probed.nvlinks]
    return node_pb2.Links(nvlinks=rows, pcie_switches=probed.pcie_switches)
