"""The environment of a shard, whole: torchrun's set, devices, our names, and who wins."""

import importlib.util
import re
from pathlib import Path

import pytest

from aimass.nodeagent.launch import NodeFacts, shard_environment
from aimass.nodeagent.reconcile import ShardKey
from aimass.v1 import agent_pb2

KEY = ShardKey("j7", 3, 5)
FACTS = NodeFacts("n1", 16, {"PATH": "/bin", "HOME": "/root", "LC_ALL": "C", "SECRET": "x"})

# What torch.distributed.elastic writes for each worker (local_elastic_agent.py, torch 2.13).
TORCHRUN = {
    "LOCAL_RANK",
    "RANK",
    "GROUP_RANK",
    "ROLE_RANK",
    "ROLE_NAME",
    "LOCAL_WORLD_SIZE",
    "WORLD_SIZE",
    "GROUP_WORLD_SIZE",
    "ROLE_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "TORCHELASTIC_RESTART_COUNT",
    "TORCHELASTIC_MAX_RESTARTS",
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_USE_AGENT_STORE",
    "TORCH_NCCL_ASYNC_ERROR_HANDLING",
}


def launch(**fields: object) -> agent_pb2.Launch:
    """Give a launch of rank 5 in a gang of 8 on two nodes."""
    usual: dict[str, object] = {
        "job_name": "digits",
        "queue": "research",
        "argv": ["train"],
        "device_uuids": ["GPU-b"],
        "visible_uuids": ["GPU-a", "GPU-b"],
        "gpu_milli": 1000,
        "cpu_milli": 4000,
        "role": "worker",
        "role_rank": 5,
        "role_world_size": 8,
        "world_size": 8,
        "local_rank": 1,
        "local_world_size": 4,
        "group_rank": 1,
        "group_world_size": 2,
        "master_addr": "10.0.0.1",
    }
    return agent_pb2.Launch(**{**usual, **fields})


def test_the_whole_environment_of_a_shard() -> None:
    """Every variable, compared as one value."""
    assert shard_environment(launch(), KEY, FACTS, 29500, "/s") == {
        "PATH": "/bin",
        "HOME": "/root",
        "LC_ALL": "C",
        "OMP_NUM_THREADS": "4",
        "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
        "PYTHONUNBUFFERED": "1",
        "RANK": "5",
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "8",
        "LOCAL_WORLD_SIZE": "4",
        "GROUP_RANK": "1",
        "GROUP_WORLD_SIZE": "2",
        "ROLE_RANK": "5",
        "ROLE_NAME": "worker",
        "ROLE_WORLD_SIZE": "8",
        "MASTER_ADDR": "10.0.0.1",
        "MASTER_PORT": "29500",
        "TORCHELASTIC_RESTART_COUNT": "2",
        "TORCHELASTIC_MAX_RESTARTS": "2",
        "TORCHELASTIC_RUN_ID": "j7",
        "TORCHELASTIC_USE_AGENT_STORE": "False",
        "TORCHELASTIC_ERROR_FILE": "/s/error.json",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b",
        "AIMASS_JOB_ID": "j7",
        "AIMASS_JOB_NAME": "digits",
        "AIMASS_JOB_QUEUE": "research",
        "AIMASS_ATTEMPT": "3",
        "AIMASS_NODE": "n1",
        "AIMASS_DEVICES": "GPU-b",
        "AIMASS_SHARD_DIR": "/s",
        "AIMASS_CHECKPOINT_FILE": "/s/checkpoint.done",
    }


def test_a_task_of_an_array_knows_which_it_is() -> None:
    """The first index is 0; a job that is no task has neither name."""
    task = shard_environment(launch(array_id="j6", array_index=0), KEY, FACTS, 1, "/s")
    assert (task["AIMASS_ARRAY_ID"], task["AIMASS_ARRAY_INDEX"]) == ("j6", "0")
    assert "AIMASS_ARRAY_INDEX" not in shard_environment(launch(), KEY, FACTS, 1, "/s")


def test_torchruns_set_is_complete() -> None:
    """A script that runs under torchrun finds all that it would find there."""
    assert set(shard_environment(launch(), KEY, FACTS, 1, "/s")) >= TORCHRUN


def test_torchruns_set_is_what_the_installed_torch_writes() -> None:
    """Read from torch's source, so that a new torch with a new variable is noticed."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        pytest.skip("torch is not installed")
    agent = Path(spec.origin).parent / "distributed/elastic/agent/server/local_elastic_agent.py"
    block = re.search(r"worker_env = \{(.*?)\n +\}", agent.read_text(), re.DOTALL)
    assert block is not None
    set_apart = {"LOCAL_RANK"}  # by a method of its own
    assert set(re.findall(r'"([A-Z_]+)":', block[1])) | set_apart == TORCHRUN


def test_users_win_over_hints_and_never_over_identity() -> None:
    """OMP_NUM_THREADS is advice; RANK is who the shard is; devices are what it was given."""
    env = {"OMP_NUM_THREADS": "1", "PATH": "/mine", "RANK": "0", "CUDA_VISIBLE_DEVICES": "GPU-z"}
    seen = shard_environment(launch(env=env), KEY, FACTS, 1, "/s")
    assert (seen["OMP_NUM_THREADS"], seen["PATH"]) == ("1", "/mine")
    assert (seen["RANK"], seen["CUDA_VISIBLE_DEVICES"]) == ("5", "GPU-a,GPU-b")


@pytest.mark.parametrize(
    ("cpu_milli", "local_world_size", "threads"),
    [(4000, 4, "4"), (500, 1, "16"), (0, 4, "4"), (0, 0, "16"), (0, 99, "1")],
)
def test_threads_follow_the_cores(cpu_milli: int, local_world_size: int, threads: str) -> None:
    """What the shard asked for, else an even part of the node."""
    asked = launch(cpu_milli=cpu_milli, local_world_size=local_world_size)
    assert shard_environment(asked, KEY, FACTS, 1, "/s")["OMP_NUM_THREADS"] == threads


def test_a_shard_without_devices_sees_none() -> None:
    """Unset would show all of them."""
    bare = launch(device_uuids=[], visible_uuids=[])
    assert shard_environment(bare, KEY, FACTS, 1, "/s")["CUDA_VISIBLE_DEVICES"] == ""
