"""What a user asks for: JobSpec, its roles and what each shard needs. Immutable and checked once.

A spec that exists is possible: `JobSpec.problems` lists everything wrong with one before it enters
the core, so the rest of the core never asks again.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

WHOLE_GPU_MILLI = 1000
SHARDS_MAX = 4096
ENV_BYTES_MAX = 256 * 1024
LAUNCH_BYTES_MAX = 4 * 1024 * 1024  # command and environment, times the shards they are sent to
NAMES_BYTES_MAX = 64 * 1024  # labels, node selector and device models together
GRACE_MS_MAX = 24 * 3600 * 1000
PRIORITY_ABS_MAX = 1_000_000
AMOUNT_MAX = 2**40  # of any resource: far above every machine, far below 64-bit overflow

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}\Z")


class JobKind(Enum):
    """What the job is for; TRAIN and BATCH are scheduled alike today."""

    TRAIN = "TRAIN"
    BATCH = "BATCH"


class Strategy(Enum):
    """How a gang lies on nodes; DEFAULT leaves it to the cluster's placement policy."""

    DEFAULT = "DEFAULT"
    PACK = "PACK"
    SPREAD = "SPREAD"


@dataclass(frozen=True, slots=True)
class Need:
    """What one shard needs of a node.

    gpu_milli: a multiple of 1000 for whole devices, below 1000 for a share of one.
    gpu_types: device models that will do; empty means any.
    gpu_memory_mib: least memory of each device.
    """

    gpu_milli: int = 0
    cpu_milli: int = 0
    memory_mib: int = 0
    gpu_types: tuple[str, ...] = ()
    gpu_memory_mib: int = 0

    @property
    def devices(self) -> int:
        """How many devices a shard holds, wholly or in part."""
        return -(-self.gpu_milli // WHOLE_GPU_MILLI)

    @property
    def share_milli(self) -> int:
        """The share it holds of each of them."""
        return min(self.gpu_milli, WHOLE_GPU_MILLI)


@dataclass(frozen=True, slots=True)
class Role:
    """A group of equal shards that run one command (argv, no shell)."""

    name: str
    shards: int
    need: Need
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One gang: every shard of every role runs, or none does."""

    name: str
    roles: tuple[Role, ...]
    kind: JobKind = JobKind.TRAIN
    priority: int = 0
    workdir: str = "/"
    env: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    node_selector: dict[str, str] = field(default_factory=dict)
    strategy: Strategy = Strategy.DEFAULT
    grace_ms: int = 30_000

    @property
    def world_size(self) -> int:
        """Number of shards over all roles."""
        return sum(role.shards for role in self.roles)

    @property
    def gpu_milli(self) -> int:
        """Milli-GPU of the whole gang."""
        return sum(role.shards * role.need.gpu_milli for role in self.roles)

    def problems(self) -> Iterator[tuple[str, str]]:
        """Yield (field, what is wrong and what is allowed); nothing for a possible spec."""
        if not _NAME.match(self.name):
            yield "name", f"{self.name[:40]!r}: letters, digits, '.', '_', '-'; 1 to 253 characters"
        if abs(self.priority) > PRIORITY_ABS_MAX:
            yield "priority", f"{self.priority}: -{PRIORITY_ABS_MAX} to {PRIORITY_ABS_MAX}"
        if not self.workdir.startswith("/") or "\0" in self.workdir:
            yield "workdir", f"{self.workdir[:80]!r}: an absolute path"
        if not 0 <= self.grace_ms <= GRACE_MS_MAX:
            yield "grace_ms", f"{self.grace_ms}: 0 to {GRACE_MS_MAX}"
        if sum(len(k.encode()) + len(v.encode()) for k, v in self.env.items()) > ENV_BYTES_MAX:
            yield "env", f"more than {ENV_BYTES_MAX} bytes"
        elif (total := self._launch_bytes()) > LAUNCH_BYTES_MAX:
            limit = f"at most {LAUNCH_BYTES_MAX}: put the bulk into a file that the shards read"
            yield "env", f"with the command, {total} bytes over all shards; {limit}"
        names = [*self.labels.items(), *self.node_selector.items()]
        names += [(model, "") for role in self.roles for model in role.need.gpu_types]
        if sum(len(k.encode()) + len(v.encode()) for k, v in names) > NAMES_BYTES_MAX:
            yield "labels", f"with node selector and GPU types, more than {NAMES_BYTES_MAX} bytes"
        for key, value in self.env.items():
            if not key or "=" in key or "\0" in key + value:
                yield "env", f"{key[:40]!r}: a name without '=', no NUL characters"
        yield from self._role_problems()

    def _launch_bytes(self) -> int:
        env_bytes = sum(len(k.encode()) + len(v.encode()) for k, v in self.env.items())
        return sum(
            role.shards * (env_bytes + sum(len(word.encode()) for word in role.command))
            for role in self.roles
        )

    def _role_problems(self) -> Iterator[tuple[str, str]]:
        if not self.roles:
            yield "roles", "a job needs at least one role with a command"
        if len({role.name for role in self.roles}) < len(self.roles):
            yield "roles", "each role needs a name of its own"
        if self.world_size > SHARDS_MAX:
            yield "roles", f"{self.world_size} shards: at most {SHARDS_MAX}"
        for role in self.roles:
            where = f"roles.{role.name}"
            if not _NAME.match(role.name):
                yield where, "name: letters, digits, '.', '_', '-'"
            if role.shards < 1:
                yield f"{where}.shards", f"{role.shards}: at least 1"
            if not role.command or not role.command[0] or any("\0" in a for a in role.command):
                yield f"{where}.command", "a program and its arguments, without NUL characters"
            yield from _need_problems(f"{where}.resources", role.need)


def _need_problems(where: str, need: Need) -> Iterator[tuple[str, str]]:
    amounts = (need.gpu_milli, need.cpu_milli, need.memory_mib, need.gpu_memory_mib)
    if min(amounts) < 0 or max(amounts) > AMOUNT_MAX:
        yield where, f"amounts must lie between 0 and {AMOUNT_MAX}"
    elif need.gpu_milli > WHOLE_GPU_MILLI and need.gpu_milli % WHOLE_GPU_MILLI:
        yield (
            f"{where}.gpu_milli",
            (f"{need.gpu_milli}: whole devices (multiples of 1000) or a share of one (below 1000)"),
        )
    if (need.gpu_types or need.gpu_memory_mib) and need.gpu_milli == 0:
        yield f"{where}.gpu_types", "a device model or memory is asked for, but no GPU"
