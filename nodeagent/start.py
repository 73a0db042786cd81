"""From an assignment to a started shim: the intent, as the shim reads it, and the start itself."""

from pathlib import Path

from aimass.nodeagent import shards
from aimass.nodeagent.crash import crash_point
from aimass.nodeagent.durable import Record
from aimass.nodeagent.home import Home
from aimass.nodeagent.launch import NodeFacts, shard_environment
from aimass.nodeagent.reconcile import Phase, ShardKey
from aimass.nodeagent.shim_log import FILE_BYTES_MAX, FILES_MAX
from aimass.v1 import agent_pb2


def intent(
    key: ShardKey,
    assignment: agent_pb2.Assignment,
    home: Home,
    facts: NodeFacts,
    *,
    port: int,
    boot_id: str,
    cgroup_parent: str,
) -> Record:
    """Give all that a shim must know of its shard. port: the attempt's rendezvous."""
    launch = assignment.launch
    scratch = f"{home.shards / key.folder}/scratch"
    return {
        "node": facts.node_id,
        "boot_id": boot_id,
        "argv": list(launch.argv),
        "env": shard_environment(launch, key, facts, port, scratch),
        "workdir": launch.workdir or scratch,
        "devices": list(launch.device_uuids),
        "is_shared": 0 < launch.gpu_milli < 1000,
        "devices_dir": str(home.devices),
        "lease_file": str(home.lease_file),
        "grace_ms": assignment.grace_ms,
        "memory_mib": launch.memory_mib,
        "cgroup_parent": cgroup_parent,
        "log_file_bytes_max": FILE_BYTES_MAX,
        "log_files_max": FILES_MAX,
    }


def start(folder: Path, spec: Record, boot_id: str) -> tuple[int, int] | shards.Found:
    """Write the intent and start the shim, or give what is there if it was started before.

    Gives the shim's pid and the fd that reads `1` once the program runs. Call it in a thread.
    Errors: OSError, ValueError when it cannot be started now.
    """
    if folder.exists():
        found = shards.look(folder, boot_id)
        if found.phase not in (Phase.PREPARED, Phase.INTENDED):
            shards.remember(folder)
            return found
    crash_point("agent-before-intent")
    shards.write_intent(folder, spec)
    crash_point("agent-after-intent")
    started = shards.spawn_shim(folder)
    crash_point("agent-after-spawn")
    return started
