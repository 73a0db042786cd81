"""Everything that can happen, in the past tense. The journal holds these and nothing else.

`at_ms` is the only clock the core knows. To add an event: a class here, a line in EVENT_TYPES, a
function in apply.py, and a scenario; old journals must still decode, so new fields get defaults.
"""

from dataclasses import dataclass

from aimass.core.model import Exit, Inventory, JobId, NodeId
from aimass.core.plan import Claim, Planned, Start, Stop
from aimass.core.queues import QueueSpec
from aimass.core.spec import JobSpec
from aimass.core.speeds import Speeds
from aimass.core.windows import WindowSpec


@dataclass(frozen=True, slots=True)
class ClusterCreated:
    """The first event of every journal."""

    at_ms: int
    cluster_id: str


@dataclass(frozen=True, slots=True)
class TermStarted:
    """A scheduler took the leadership; every node's set is sent again under the new term."""

    at_ms: int
    term: int


@dataclass(frozen=True, slots=True)
class LevelsPut:
    """The names of the topology's levels, from the widest: labels of nodes say where they are."""

    at_ms: int
    levels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has reached something that waited for it: see Cluster.next_timer_ms."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class JobSubmitted:
    """A checked spec was accepted; the id is the next of the submit sequence.

    Of an array it is the id of the whole: its tasks are jobs job_id + "_" + index.
    """

    at_ms: int
    job_id: JobId
    spec: JobSpec
    user: str
    idempotency_key: str = ""
    held: bool = False


@dataclass(frozen=True, slots=True)
class JobHeld:
    """A queued job is not to be considered until it is released."""

    at_ms: int
    job_id: JobId
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class JobReleased:
    """A held job may be considered again."""

    at_ms: int
    job_id: JobId
    by: str


@dataclass(frozen=True, slots=True)
class JobUpdated:
    """A job that has not started gets another spec; of an active one only limits may change."""

    at_ms: int
    job_id: JobId
    spec: JobSpec
    by: str


@dataclass(frozen=True, slots=True)
class JobRequeueRequested:
    """Somebody wants an active job to stop and queue again (suspend: to stop and be held)."""

    at_ms: int
    job_id: JobId
    by: str
    suspend: bool = False


@dataclass(frozen=True, slots=True)
class CheckpointReported:
    """The job has completed a checkpoint, age_ms before at_ms."""

    at_ms: int
    job_id: JobId
    attempt: int
    age_ms: int = 0


@dataclass(frozen=True, slots=True)
class WorkReported:
    """The program says how much work is left (ms at normal speed; -1: unknown), and how fast it is.

    speeds: measured, in place of what was declared; empty: nothing new.
    """

    at_ms: int
    job_id: JobId
    attempt: int
    left_ms: int = -1
    speeds: Speeds = ()


@dataclass(frozen=True, slots=True)
class JobCancelRequested:
    """Somebody wants the job to end; grace_ms lies between SIGTERM and SIGKILL."""

    at_ms: int
    job_id: JobId
    by: str
    grace_ms: int


@dataclass(frozen=True, slots=True)
class QueuePut:
    """A queue was made or changed; see queues.problems for what is possible."""

    at_ms: int
    spec: QueueSpec
    by: str = ""


@dataclass(frozen=True, slots=True)
class QueueDeleted:
    """An empty queue without children was removed."""

    at_ms: int
    name: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class WindowPut:
    """A reservation of nodes for a time was made or changed."""

    at_ms: int
    spec: WindowSpec
    by: str = ""


@dataclass(frozen=True, slots=True)
class WindowDeleted:
    """A reservation was removed."""

    at_ms: int
    name: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class NodeCordoned:
    """Nothing new goes to the node. drain: what runs there is stopped at drain_ms (0: never)."""

    at_ms: int
    node_id: NodeId
    by: str
    reason: str = ""
    drain_ms: int = 0


@dataclass(frozen=True, slots=True)
class NodeUncordoned:
    """The node may be used again; a drain is called off."""

    at_ms: int
    node_id: NodeId
    by: str


@dataclass(frozen=True, slots=True)
class NodeRegistered:
    """An agent introduced itself: first contact, its restart, or a reboot (new boot_id).

    instance: drawn once for the agent's data folder; incarnation counts its starts there.
    """

    at_ms: int
    node_id: NodeId
    inventory: Inventory
    boot_id: str
    incarnation: int
    agent_version: str = ""
    lease_ms: int = 0
    instance: str = ""


@dataclass(frozen=True, slots=True)
class InventoryChanged:
    """The machine changed under a running agent."""

    at_ms: int
    node_id: NodeId
    inventory: Inventory


@dataclass(frozen=True, slots=True)
class NodeSilent:
    """The agent's link broke or its beats stopped: SUSPECT, nothing new, nothing killed."""

    at_ms: int
    node_id: NodeId
    reason: str


@dataclass(frozen=True, slots=True)
class LeaseExpired:
    """The node was silent longer than its lease: its shards have been stopped by their shims."""

    at_ms: int
    node_id: NodeId


@dataclass(frozen=True, slots=True)
class PortReserved:
    """Rank 0's agent holds this port for the attempt's rendezvous; the others may start."""

    at_ms: int
    job_id: JobId
    attempt: int
    port: int


@dataclass(frozen=True, slots=True)
class ShardStarted:
    """The shard's program runs."""

    at_ms: int
    job_id: JobId
    attempt: int
    rank: int
    pid: int


@dataclass(frozen=True, slots=True)
class ShardExited:
    """No process of the shard lives any more: what it held is free."""

    at_ms: int
    job_id: JobId
    attempt: int
    rank: int
    exit: Exit


@dataclass(frozen=True, slots=True)
class PlanCommitted:
    """A checked plan became fact. `basis` is the revision it was decided on."""

    at_ms: int
    basis: int
    policy: str
    starts: tuple[Start, ...] = ()
    stops: tuple[Stop, ...] = ()
    claims: tuple[Claim, ...] = ()
    unclaims: tuple[JobId, ...] = ()
    planned: tuple[Planned, ...] = ()
    unplanned: tuple[JobId, ...] = ()


Event = (
    ClusterCreated
    | TermStarted
    | LevelsPut
    | Tick
    | JobHeld
    | JobReleased
    | JobUpdated
    | JobRequeueRequested
    | CheckpointReported
    | WorkReported
    | QueuePut
    | QueueDeleted
    | WindowPut
    | WindowDeleted
    | NodeCordoned
    | NodeUncordoned
    | JobSubmitted
    | JobCancelRequested
    | NodeRegistered
    | InventoryChanged
    | NodeSilent
    | LeaseExpired
    | PortReserved
    | ShardStarted
    | ShardExited
    | PlanCommitted
)

EVENT_TYPES: tuple[type[Event], ...] = (
    ClusterCreated,
    TermStarted,
    LevelsPut,
    Tick,
    JobHeld,
    JobReleased,
    JobUpdated,
    JobRequeueRequested,
    CheckpointReported,
    WorkReported,
    QueuePut,
    QueueDeleted,
    WindowPut,
    WindowDeleted,
    NodeCordoned,
    NodeUncordoned,
    JobSubmitted,
    JobCancelRequested,
    NodeRegistered,
    InventoryChanged,
    NodeSilent,
    LeaseExpired,
    PortReserved,
    ShardStarted,
    ShardExited,
    PlanCommitted,
)
