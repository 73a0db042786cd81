"""The rows of the cluster's tables: jobs with their attempts and shards, nodes with their devices.

Specs and placements are immutable values; rows are plain records that only `apply` (and a `Draft`,
which takes it back) changes. Integers only: `_ms`, `_milli`, `_mib`.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, NewType

from aimass.core.spec import WHOLE_GPU_MILLI, JobSpec

JobId = NewType("JobId", str)
NodeId = NewType("NodeId", str)


class JobState(Enum):
    """Where a job is in its life; see lifecycle.JOB_TRANSITIONS."""

    __hash__ = object.__hash__  # Enum hashes its name, in Python, at every look-up

    QUEUED = "QUEUED"
    PLACED = "PLACED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_over(self) -> bool:
        """True for the three states that are never left."""
        return self in _OVER

    @property
    def is_active(self) -> bool:
        """True while an attempt holds capacity."""
        return self not in _OVER and self is not JobState.QUEUED


_OVER = frozenset((JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED))


class ShardState(Enum):
    """How far one shard of the current attempt has come."""

    __hash__ = object.__hash__  # Enum hashes its name, in Python, at every look-up

    PENDING = "PENDING"
    PREPARED = "PREPARED"
    RUNNING = "RUNNING"
    EXITED = "EXITED"


class ExitReason(Enum):
    """Why a shard ended; the first four are about the program, the others about the world."""

    __hash__ = object.__hash__  # Enum hashes its name, in Python, at every look-up

    EXITED = "EXITED"
    LAUNCH_FAILED = "LAUNCH_FAILED"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    STOPPED = "STOPPED"
    LEASE_EXPIRED = "LEASE_EXPIRED"
    NODE_REBOOT = "NODE_REBOOT"
    NODE_LOST = "NODE_LOST"
    SUPERVISOR_LOST = "SUPERVISOR_LOST"

    @property
    def is_infrastructure(self) -> bool:
        """True when the machine failed, not the program: the job is tried again."""
        return self in _INFRASTRUCTURE


_INFRASTRUCTURE = frozenset(
    (
        ExitReason.LEASE_EXPIRED,
        ExitReason.NODE_REBOOT,
        ExitReason.NODE_LOST,
        ExitReason.SUPERVISOR_LOST,
    )
)


class NodeState(Enum):
    """Whether a node can be used; see lifecycle.NODE_TRANSITIONS."""

    READY = "READY"
    SUSPECT = "SUSPECT"
    LOST = "LOST"


class Goal(Enum):
    """What becomes of a job when its current attempt has stopped."""

    __hash__ = object.__hash__  # Enum hashes its name, in Python, at every look-up

    FAIL = "FAIL"
    CANCEL = "CANCEL"
    REQUEUE = "REQUEUE"


@dataclass(frozen=True, slots=True)
class Exit:
    """How a shard ended. `signal` > 0 when a signal ended it, else `code` holds."""

    code: int = 0
    signal: int = 0
    reason: ExitReason = ExitReason.EXITED
    detail: str = ""
    wall_ms: int = 0
    cpu_ms: int = 0
    rss_mib_max: int = 0

    @property
    def is_success(self) -> bool:
        """True when the program ended by itself with code 0."""
        return self.reason is ExitReason.EXITED and self.code == 0 and self.signal == 0


class HoldKey(NamedTuple):
    """Who holds a share of a node: one shard of one attempt."""

    job_id: JobId
    attempt: int
    rank: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one shard goes. The index in an attempt's placements is the shard's rank.

    devices: indexes on the node; share_milli is held of each (1000 = whole).
    """

    role: int
    node_id: NodeId
    devices: tuple[int, ...]
    share_milli: int
    cpu_milli: int
    memory_mib: int


@dataclass(slots=True)
class Shard:
    """What is known of one shard of an attempt; times are 0 until they happen."""

    state: ShardState = ShardState.PENDING
    pid: int = 0
    started_ms: int = 0
    exited_ms: int = 0
    exit: Exit | None = None


@dataclass(slots=True)
class Attempt:
    """One try of the whole gang; shards[rank] lies at placements[rank].

    device_uuids[rank] names the devices for later questions: indexes are only good while held.
    """

    number: int
    placements: tuple[Placement, ...]
    device_uuids: list[list[str]]
    shards: list[Shard]
    placed_ms: int
    reason: str
    running_ms: int = 0
    ended_ms: int = 0
    master_port: int = 0
    live: int = 0  # shards that have not exited
    started: int = 0  # shards that have ever reported RUNNING
    stop_goal: Goal | None = None
    stop_reason: str = ""
    grace_ms: int = 0
    outcome: str = ""


@dataclass(slots=True)
class Job:
    """A submitted job: its spec, where it is in its life, and its newest attempts."""

    id: JobId
    submit_seq: int
    spec: JobSpec
    user: str
    idempotency_key: str
    submitted_ms: int
    state: JobState = JobState.QUEUED
    attempt: int = 0  # number of the newest attempt; 0 before the first
    attempts: list[Attempt] = field(default_factory=list)  # the newest ATTEMPTS_KEPT
    ended_ms: int = 0
    outcome: str = ""

    @property
    def current(self) -> Attempt:
        """The attempt that holds capacity now. Only for active jobs."""
        assert self.state.is_active, f"{self.id} is {self.state.value}: no attempt holds capacity"
        return self.attempts[-1]


ATTEMPTS_KEPT = 8
ATTEMPTS_MAX = 100  # a job that loses so many to infrastructure fails: it may be what breaks nodes


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """One GPU as the agent reports it; island: NVLink group on the node, -1 for none."""

    uuid: str
    model: str
    memory_mib: int
    numa_node: int = -1
    island: int = -1
    pci_bus_id: str = ""
    healthy: bool = True
    health_detail: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a node has to offer, as its agent reports it."""

    hostname: str
    address: str
    cpu_milli: int
    memory_mib: int
    devices: tuple[DeviceSpec, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    probe: str = ""
    driver_version: str = ""
    cuda_version: str = ""


@dataclass(slots=True)
class Device:
    """A device's slot: what is held of it and by whom."""

    spec: DeviceSpec
    used_milli: int = 0
    holders: dict[HoldKey, int] = field(default_factory=dict)

    @property
    def free_milli(self) -> int:
        """Share that may be given out now; nothing of a failed device."""
        return WHOLE_GPU_MILLI - self.used_milli if self.spec.healthy else 0


@dataclass(slots=True)
class Node:
    """A machine that has joined, what it has and what is held of it."""

    id: NodeId
    index: int  # join order: the tie-break of every placement
    inventory: Inventory
    boot_id: str
    incarnation: int
    agent_version: str
    state: NodeState
    since_ms: int
    reason: str = ""
    lease_ms: int = 0  # the longest that its shims may hold
    instance: str = ""  # whose folder its agent runs on
    generation: int = 0
    cpu_used_milli: int = 0
    memory_used_mib: int = 0
    devices: list[Device] = field(default_factory=list)
    holds: dict[HoldKey, Placement] = field(default_factory=dict)
