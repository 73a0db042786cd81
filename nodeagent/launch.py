"""What a shard's program is given: torchrun's environment, devices by UUID, our own names. PURE.

User scripts run unchanged under torchrun or here. Order of precedence, weakest first: an
allow-list of what the agent inherited, hints, the user's `env`, and identity, which stays as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from aimass.nodeagent.reconcile import ShardKey
from aimass.nodeagent.shim_stop import CHECKPOINT_NAME
from aimass.v1 import agent_pb2

INHERITED = ("PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SHELL", "LOGNAME")


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What only the node knows about a launch."""

    node_id: str
    cpus: int
    environ: Mapping[str, str]  # the agent's own


def shard_environment(
    launch: agent_pb2.Launch, key: ShardKey, node: NodeFacts, master_port: int, scratch: str
) -> dict[str, str]:
    """Give the whole environment of a shard; nothing else of the agent's reaches it.

    master_port: the rendezvous port of this attempt. scratch: an empty folder of the shard's own.
    """
    inherited = {
        name: value
        for name, value in node.environ.items()
        if name in INHERITED or name.startswith("LC_")
    }
    return {
        **inherited,
        **_hints(launch, node),
        **launch.env,
        **_identity(launch, key, node, master_port, scratch),
    }


def _hints(launch: agent_pb2.Launch, node: NodeFacts) -> dict[str, str]:
    """Defaults that a user may want otherwise."""
    threads = launch.cpu_milli // 1000 or node.cpus // max(launch.local_world_size, 1)
    return {
        "OMP_NUM_THREADS": str(max(threads, 1)),
        "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
        # Output goes to a pipe; held back in a buffer, `massctl logs -f` would show nothing.
        "PYTHONUNBUFFERED": "1",
    }


def _identity(
    launch: agent_pb2.Launch, key: ShardKey, node: NodeFacts, master_port: int, scratch: str
) -> dict[str, str]:
    restarts = str(max(key.attempt - 1, 0))
    task = {
        "AIMASS_ARRAY_ID": launch.array_id,
        "AIMASS_ARRAY_INDEX": str(launch.array_index),
    }
    return {
        **(task if launch.array_id else {}),
        "RANK": str(key.rank),
        "LOCAL_RANK": str(launch.local_rank),
        "WORLD_SIZE": str(launch.world_size),
        "LOCAL_WORLD_SIZE": str(launch.local_world_size),
        "GROUP_RANK": str(launch.group_rank),
        "GROUP_WORLD_SIZE": str(launch.group_world_size),
        "ROLE_RANK": str(launch.role_rank),
        "ROLE_NAME": launch.role,
        "ROLE_WORLD_SIZE": str(launch.role_world_size),
        "MASTER_ADDR": launch.master_addr or "127.0.0.1",
        "MASTER_PORT": str(master_port),
        "TORCHELASTIC_RESTART_COUNT": restarts,
        "TORCHELASTIC_MAX_RESTARTS": restarts,
        "TORCHELASTIC_RUN_ID": key.job_id,
        "TORCHELASTIC_USE_AGENT_STORE": "False",  # rank 0 itself hosts the store
        # Where torch's @record leaves the traceback of a failed rank, as under torchrun.
        "TORCHELASTIC_ERROR_FILE": f"{scratch}/error.json",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": ",".join(launch.visible_uuids),
        "AIMASS_JOB_ID": key.job_id,
        "AIMASS_JOB_NAME": launch.job_name,
        "AIMASS_JOB_QUEUE": launch.queue,
        "AIMASS_ATTEMPT": str(key.attempt),
        "AIMASS_NODE": node.node_id,
        "AIMASS_DEVICES": ",".join(launch.device_uuids),
        "AIMASS_SHARD_DIR": scratch,
        "AIMASS_CHECKPOINT_FILE": f"{scratch}/{CHECKPOINT_NAME}",
    }
