"""Every reason that a job waits for, as a stable word: part of the API and of JSON output.

Other parts import these names from feasible.py, next to the questions that they answer.
"""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What would have to change: the job or the nodes, a rule, what is in use, or the hour."""

    CONFIG = "CONFIG"
    POLICY = "POLICY"
    CAPACITY = "CAPACITY"
    TIME = "TIME"


class Code(Enum):
    """Why a node takes no shard, or a job does not start; see `kind`."""

    __hash__ = object.__hash__  # Enum hashes its name, in Python, at every look-up

    # CONFIG: the present nodes are not what the job asks for.
    NO_NODES = "NO_NODES"
    CLUSTER_TOO_SMALL = "CLUSTER_TOO_SMALL"
    LABELS_DIFFER = "LABELS_DIFFER"
    AFFINITY = "AFFINITY"
    TAINTED = "TAINTED"
    EXCLUDED_NODE = "EXCLUDED_NODE"
    NO_GPU = "NO_GPU"
    WRONG_GPU_TYPE = "WRONG_GPU_TYPE"
    GPU_MEMORY_SMALL = "GPU_MEMORY_SMALL"
    GPUS_TOO_FEW = "GPUS_TOO_FEW"
    CPU_TOO_SMALL = "CPU_TOO_SMALL"
    MEMORY_TOO_SMALL = "MEMORY_TOO_SMALL"
    TOPOLOGY_TOO_SMALL = "TOPOLOGY_TOO_SMALL"  # no domain could hold the gang, even idle

    # POLICY: a rule that somebody set is in the way.
    AVOIDED_NODE = "AVOIDED_NODE"
    NODE_CORDONED = "NODE_CORDONED"
    HELD = "HELD"
    DEPENDENCY = "DEPENDENCY"
    ARRAY_LIMIT = "ARRAY_LIMIT"
    QUEUE_LIMIT = "QUEUE_LIMIT"
    QUEUE_MAX_JOBS = "QUEUE_MAX_JOBS"
    QUOTA_BORROW = "QUOTA_BORROW"  # it would borrow more than its queue may
    QUOTA_LENT = "QUOTA_LENT"  # what it would borrow is not lent
    QUOTA_FIRM = "QUOTA_FIRM"  # it cannot be preempted and would exceed the guarantee
    QUOTA_RESERVE = "QUOTA_RESERVE"  # it would break a cell that a queue has in reserve, and stays
    MIN_RUNTIME = "MIN_RUNTIME"  # whose place it could take is protected for some time yet
    PREEMPT_BUDGET = "PREEMPT_BUDGET"  # ... was preempted as often as a day allows
    NOT_PREEMPTIBLE = "NOT_PREEMPTIBLE"  # ... is never stopped for another
    EXTRAS_ONLY = "EXTRAS_ONLY"  # ... gives up extras only
    ORDER = "ORDER"  # it fits, but jobs ahead of it take that first
    BEHIND = "BEHIND"  # it fits, but a strict order lets nobody pass
    SEARCH_LIMIT = "SEARCH_LIMIT"

    # CAPACITY: what it needs is in use, failed, or owned by another.
    NODE_SUSPECT = "NODE_SUSPECT"
    NODE_LOST = "NODE_LOST"
    NODE_EXCLUSIVE = "NODE_EXCLUSIVE"  # another job has the node for itself
    NODE_SHARED = "NODE_SHARED"  # the job wants a node for itself, others are on it
    GPUS_FAILED = "GPUS_FAILED"
    GPUS_BUSY = "GPUS_BUSY"
    CPU_BUSY = "CPU_BUSY"
    MEMORY_BUSY = "MEMORY_BUSY"
    ROLES_TOGETHER = "ROLES_TOGETHER"  # each role fits alone, not all of them together
    TOPOLOGY = "TOPOLOGY"  # no one domain of the level has room for the gang now
    PROMISED = "PROMISED"  # it would delay the start that another job is promised
    RESERVED = "RESERVED"  # it owns its places; others are still leaving them

    # TIME: it is not the hour yet.
    NOT_BEFORE = "NOT_BEFORE"
    BACKOFF = "BACKOFF"
    WINDOW = "WINDOW"  # a reservation of the nodes begins before it could be over
    PREEMPT_DELAY = "PREEMPT_DELAY"
    LOCALITY_WAIT = "LOCALITY_WAIT"
    RESIZE_INTERVAL = "RESIZE_INTERVAL"  # an elastic job was started too short a time ago
    STARTING_NEXT = "STARTING_NEXT"

    @property
    def kind(self) -> Kind:
        """What would have to change for it to start."""
        return _KINDS[self]

    @property
    def is_transient(self) -> bool:
        """About a node: True when waiting can help, as it is big enough and of the right kind."""
        return self in _TRANSIENT

    @property
    def is_busy(self) -> bool:
        """True when the end of a job that holds something there would help."""
        return self in _BUSY


def _kinds() -> dict[Code, Kind]:
    """Codes are declared kind by kind; these begin the next one."""
    begins = {
        Code.NO_NODES: Kind.CONFIG,
        Code.AVOIDED_NODE: Kind.POLICY,
        Code.NODE_SUSPECT: Kind.CAPACITY,
        Code.NOT_BEFORE: Kind.TIME,
    }
    kinds, kind = {}, Kind.CONFIG
    for code in Code:
        kind = begins.get(code, kind)
        kinds[code] = kind
    return kinds


_KINDS = _kinds()
_BUSY = frozenset(
    (Code.GPUS_BUSY, Code.CPU_BUSY, Code.MEMORY_BUSY, Code.NODE_EXCLUSIVE, Code.NODE_SHARED)
)
_TRANSIENT = _BUSY | {Code.NODE_SUSPECT, Code.NODE_LOST, Code.NODE_CORDONED, Code.GPUS_FAILED}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the node takes no (further) shard: a stable code and the figures behind it."""

    code: Code
    text: str
