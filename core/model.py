"""The rows of the cluster's tables; only `apply` changes them, and a `Draft` takes it back."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, NewType

from aimass.core.links import Links
from aimass.core.spec import WHOLE_GPU_MILLI, JobSpec, Need
from aimass.core.speeds import UNTOLD, Told

JobId = NewType("JobId", str)
NodeId = NewType("NodeId", str)


class JobState(Enum):
    """Where a job is in its life; see lifecycle.JOB_TRANSITIONS."""

    __hash__ = object.__hash__  # Enum hashes its name, in Python, at every look-up
    is_over: bool  # one of the three states that are never left
    is_active: bool  # an attempt holds capacity

    QUEUED = "QUEUED"
    HELD = "HELD"
    RESERVED = "RESERVED"  # owns capacity that others are still leaving
    PLACED = "PLACED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


_OVER = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
_ACTIVE = (JobState.PLACED, JobState.STARTING, JobState.RUNNING, JobState.STOPPING)
for _state in JobState:  # plain attributes: properties are calls, and these are asked all the time
    _state.is_over = _state in _OVER
    _state.is_active = _state in _ACTIVE


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
    RETRY = "RETRY"  # after a failure that a rule allows: counts, waits, then QUEUED
    HOLD = "HOLD"
    REQUEUE = "REQUEUE"  # a node's fault, or asked for: never counts
    PREEMPT = "PREEMPT"  # its capacity has a new owner; what follows is the job's PreemptMode
    RESIZE = "RESIZE"  # goes on at once where its own claim is, in another size or place


class StopRule(Enum):
    """Under which rule a plan stops an attempt."""

    __hash__ = object.__hash__

    PRIORITY = "PRIORITY"  # a job of its own queue with higher priority needs the capacity
    RECLAIM = "RECLAIM"  # a queue takes back what it is guaranteed
    RESERVE = "RESERVE"  # a queue takes a cell that it has in reserve
    ORDER = "ORDER"  # a job that comes before it in the policy's order needs the capacity
    SHRINK = "SHRINK"  # it gives up elastic extras
    GROW = "GROW"  # it takes more of what idles
    MOVE = "MOVE"  # it makes room by going elsewhere (defragmentation)
    RESHAPE = "RESHAPE"  # an allotment gives it another size or model of GPU
    ALLOT = "ALLOT"  # an allotment gives what it has to others
    DRAIN = "DRAIN"  # its node is emptied
    WINDOW = "WINDOW"  # a reservation of its nodes begins


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a job that a plan stopped is told: by whom, under which rule, and what it cost.

    lost_gpu_ms: milli-GPU x ms / 1000 of work since its last checkpoint.
    """

    at_ms: int
    rule: StopRule
    by: JobId  # empty when no job gains by it
    reason: str
    lost_gpu_ms: int


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
    exclusive: bool = False  # no other job may hold anything on the node


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
    notice_ms: int = 0  # for a checkpoint, before SIGTERM
    stopping_ms: int = 0  # when the stop was ordered
    outcome: str = ""
    receipt: Receipt | None = None
    checkpoint_ms: int = 0  # when its last checkpoint was complete
    trail: tuple[str, ...] = ()  # how the decision weighed it: score terms, alternatives
    ran_ms: int = 0  # how long it ran before in other sizes: its limit counts that as well

    @property
    def since_ms(self) -> int:
        """From when its time limit counts: as if it had run all along; 0: it does not run yet."""
        return self.running_ms - self.ran_ms if self.running_ms else 0


@dataclass(slots=True)
class Job:
    """A submitted job: its spec, where it is in its life, and its newest attempts.

    not_before_ms: a QUEUED job is not considered earlier (start-after, back-off).
    unmet: ids of jobs and arrays whose end it still waits for.
    """

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
    array_id: JobId = JobId("")
    array_index: int = -1
    not_before_ms: int = 0
    unmet: tuple[str, ...] = ()  # a tuple, as below: nearly always empty, and then shared
    hold_reason: str = ""
    retries: int = 0  # failed attempts that counted
    preempted_ms: tuple[int, ...] = ()  # the newest PREEMPTIONS_KEPT
    avoid: tuple[NodeId, ...] = ()  # nodes that a retry rule rules out
    queued_ms: int = 0  # when it last became QUEUED
    losses: int = 0  # attempts lost to infrastructure, or to failures that no limit counts
    faults: tuple[NodeId, ...] = ()  # nodes of the newest such, in a row
    ran_ms: int = 0  # how long its ended attempts ran
    saved_ms: int = 0  # of that, until their last checkpoints
    told: Told = UNTOLD

    @property
    def current(self) -> Attempt:
        """The attempt that holds capacity now. Only for active jobs."""
        assert self.state.is_active, f"{self.id} is {self.state.value}: no attempt holds capacity"
        return self.attempts[-1]


ATTEMPTS_KEPT, PREEMPTIONS_KEPT, LOSSES_MAX = 8, 1000, 100  # after so many losses a job fails


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
    taints: tuple[str, ...] = ()  # "key" or "key=value": only jobs that tolerate them all
    links: Links | None = None  # None: not reported


@dataclass(slots=True)
class Device:
    """A device's slot: what is held of it, what of that is leaving, and what is claimed."""

    spec: DeviceSpec
    used_milli: int = 0
    leaving_milli: int = 0
    claimed_milli: int = 0
    credit_milli: int = 0  # of what is promised: held now by jobs that end before (drafts only)
    holders: dict[HoldKey, int] = field(default_factory=dict)

    @property
    def free_milli(self) -> int:
        """Share that may be given out now; nothing of a failed device, never below 0.

        A claim on a share that somebody is still leaving takes nothing away now; it does once
        they have left.
        """
        if not self.spec.healthy:
            return 0
        owed = self.claimed_milli - self.leaving_milli - self.credit_milli
        free = WHOLE_GPU_MILLI - self.used_milli - (owed if owed > 0 else 0)
        return free if free > 0 else 0  # max() is a call, and this is asked most of all

    @property
    def soon_milli(self) -> int:
        """Share that may be claimed: free when everybody who is leaving has left."""
        if not self.spec.healthy:
            return 0
        return max(0, WHOLE_GPU_MILLI - self.used_milli - self.owed_milli)

    @property
    def owed_milli(self) -> int:
        """Claimed beyond what is leaving (negative: leaving beyond what is claimed)."""
        return self.claimed_milli - self.leaving_milli


@dataclass(slots=True)
class Node:
    """A machine that has joined, what it has, what is held of it and who has claims on it."""

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
    cordon: str = ""  # by whom and why nothing new may go there; empty: it may
    drain_ms: int = 0  # what still runs there is stopped at this time; 0: never
    cpu_used_milli: int = 0
    cpu_leaving_milli: int = 0
    cpu_claimed_milli: int = 0
    cpu_credit_milli: int = 0  # as Device.credit_milli
    memory_used_mib: int = 0
    memory_leaving_mib: int = 0
    memory_claimed_mib: int = 0
    memory_credit_mib: int = 0
    devices: list[Device] = field(default_factory=list)
    holds: dict[HoldKey, Placement] = field(default_factory=dict)
    leaving: dict[HoldKey, None] = field(default_factory=dict)  # of holds: ordered to stop
    claims: dict[HoldKey, Placement] = field(default_factory=dict)
    credits: dict[HoldKey, list[Any]] = field(default_factory=dict)  # see capacity.Credit

    @property
    def cpu_free_milli(self) -> int:
        """CPU that may be given out now; never below 0: it may have come back smaller."""
        owed = max(0, self.cpu_claimed_milli - self.cpu_leaving_milli - self.cpu_credit_milli)
        return max(0, self.inventory.cpu_milli - self.cpu_used_milli - owed)

    @property
    def cpu_soon_milli(self) -> int:
        """CPU that may be claimed."""
        owed = self.cpu_claimed_milli - self.cpu_leaving_milli
        return max(0, self.inventory.cpu_milli - self.cpu_used_milli - owed)

    @property
    def memory_free_mib(self) -> int:
        """Memory that may be given out now."""
        owed = max(0, self.memory_claimed_mib - self.memory_leaving_mib - self.memory_credit_mib)
        return max(0, self.inventory.memory_mib - self.memory_used_mib - owed)

    @property
    def memory_soon_mib(self) -> int:
        """Memory that may be claimed."""
        owed = self.memory_claimed_mib - self.memory_leaving_mib
        return max(0, self.inventory.memory_mib - self.memory_used_mib - owed)


def placement_of(
    node: Node, role: int, devices: tuple[int, ...], need: Need, exclusive: bool = False
) -> Placement:
    """The placement of one shard on these devices of the node."""
    share = need.share_on(node.devices[devices[0]].spec.memory_mib) if devices else 0
    cpu_milli, memory_mib = need.cpu_milli, need.memory_mib
    return Placement(role, node.id, devices, share, cpu_milli, memory_mib, exclusive)
