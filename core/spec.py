"""What a user asks for: JobSpec, its roles and what each shard needs. Immutable and checked once.

A spec that exists is possible: `spec_problems.problems` lists everything wrong with one before it
enters the core, so the rest of the core never asks again. Times of day are epoch milliseconds.
"""

from dataclasses import dataclass, field
from enum import Enum

from aimass.core.speeds import Speeds

WHOLE_GPU_MILLI = 1000


class JobKind(Enum):
    """What the job is for; TRAIN and BATCH are scheduled alike today."""

    TRAIN = "TRAIN"
    BATCH = "BATCH"


class Strategy(Enum):
    """How a gang lies on nodes; DEFAULT leaves it to the cluster's placement policy."""

    __hash__ = object.__hash__  # as in model.py

    DEFAULT = "DEFAULT"
    PACK = "PACK"
    SPREAD = "SPREAD"


@dataclass(frozen=True, slots=True)
class Need:
    """What one shard needs of a node.

    gpu_milli: a multiple of 1000 for whole devices, below 1000 for a share of one.
    gpu_share_mib: a share of one device by its memory, instead of gpu_milli.
    gpu_types: device models that will do; empty means any. in_order: try them one after the other,
    each for the whole role; otherwise a gang may mix them.
    gpu_memory_mib: least memory of each device.
    """

    gpu_milli: int = 0
    cpu_milli: int = 0
    memory_mib: int = 0
    gpu_types: tuple[str, ...] = ()
    gpu_memory_mib: int = 0
    gpu_share_mib: int = 0
    in_order: bool = False

    @property
    def has_gpu(self) -> bool:
        """True when a shard holds any part of a device."""
        return self.gpu_milli > 0 or self.gpu_share_mib > 0

    @property
    def devices(self) -> int:
        """How many devices a shard holds, wholly or in part."""
        return 1 if self.gpu_share_mib else -(-self.gpu_milli // WHOLE_GPU_MILLI)

    def share_on(self, memory_mib: int) -> int:
        """The milli-share held of a device of that memory; rounded up, so that memory suffices."""
        if self.gpu_share_mib:
            return -(-self.gpu_share_mib * WHOLE_GPU_MILLI // max(1, memory_mib))
        return min(self.gpu_milli, WHOLE_GPU_MILLI)


@dataclass(frozen=True, slots=True)
class Elastic:
    """A role may run with min_shards, min_shards + step, ... up to max_shards.

    A resize restarts the gang: it costs cost_ms, and comes at most once per interval_ms.
    """

    min_shards: int
    max_shards: int
    step: int = 1
    cost_ms: int = 60_000
    interval_ms: int = 600_000

    def sizes(self, at_most: int) -> list[int]:
        """Allowed sizes up to `at_most`, largest first."""
        top = min(at_most, self.max_shards)
        return list(range(self.min_shards, top + 1, self.step))[::-1]


@dataclass(frozen=True, slots=True)
class Role:
    """A group of equal shards that run one command (argv, no shell).

    shards: how many are asked for; an elastic role may get fewer, and more of what idles.
    """

    name: str
    shards: int
    need: Need
    command: tuple[str, ...]
    elastic: Elastic | None = None

    @property
    def least(self) -> int:
        """The fewest shards with which it starts."""
        return self.elastic.min_shards if self.elastic is not None else self.shards


class LabelOp(Enum):
    """How a label rule compares."""

    IN = "IN"
    NOT_IN = "NOT_IN"
    EXISTS = "EXISTS"
    ABSENT = "ABSENT"


@dataclass(frozen=True, slots=True)
class LabelRule:
    """A rule on a node's labels; weight 0: required, above: preferred by so much."""

    key: str
    op: LabelOp
    values: tuple[str, ...] = ()
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Topology:
    """Levels of the cluster's tree (see Cluster.levels) that a gang must or would like to share.

    wait_ms: how long the preferred level is waited for before any place will do.
    """

    required: str = ""
    preferred: str = ""
    wait_ms: int = 0


class DependsOn(Enum):
    """Which end of the other job lets this one go on."""

    SUCCESS = "SUCCESS"
    ANY = "ANY"
    FAILURE = "FAILURE"
    EACH = "EACH"  # task i of an array waits for the success of task i of the other


@dataclass(frozen=True, slots=True)
class Dependency:
    """Another job (or array) by id, and the end of it that is waited for."""

    job_id: str
    condition: DependsOn = DependsOn.SUCCESS


@dataclass(frozen=True, slots=True)
class Array:
    """Task indexes of an array, and how many may be active at once (0: any number)."""

    indexes: tuple[int, ...]
    max_parallel: int = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How the job is told to checkpoint before a stop that is not its own: signal, then notice_ms.

    signal: a name such as SIGUSR1; empty: it is not told and loses what it did since its last one.
    """

    signal: str = ""
    notice_ms: int = 0


class PreemptMode(Enum):
    """What becomes of a preempted job."""

    __hash__ = object.__hash__  # as in model.py

    REQUEUE = "REQUEUE"
    SUSPEND = "SUSPEND"  # held until somebody releases it
    CANCEL = "CANCEL"
    SHRINK = "SHRINK"  # gives up elastic extras, is never stopped


@dataclass(frozen=True, slots=True)
class Preemption:
    """What a preemptible job asks for itself, and how long it waits before it preempts others."""

    mode: PreemptMode = PreemptMode.REQUEUE
    min_runtime_ms: int = 0
    max_per_day: int = 0  # 0: any number
    delay_ms: int = 0


class RetryAction(Enum):
    """What a retry rule does with a failed attempt."""

    RETRY = "RETRY"
    FAIL = "FAIL"
    HOLD = "HOLD"


@dataclass(frozen=True, slots=True)
class RetryRule:
    """First match wins. Matches when the exit code or the reason is listed; both empty: always.

    memory_factor_milli: memory of every shard of the role is raised by it (1500 = half as much
    again). counts: against the limit.
    """

    action: RetryAction
    exit_codes: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ()  # ExitReason words
    avoid_node: bool = False
    counts: bool = True
    memory_factor_milli: int = 1000


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a failed gang is tried again; preemption and lost nodes never count."""

    limit: int = 0
    backoff_ms: int = 30_000
    factor_milli: int = 2000
    backoff_max_ms: int = 600_000
    rules: tuple[RetryRule, ...] = ()


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One gang: every shard of every role runs, or none does. Zero means "not given"."""

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
    queue: str = "default"
    preemptible: bool = True
    preemption: Preemption = Preemption()
    checkpoint: Checkpoint = Checkpoint()
    walltime_ms: int = 0  # the gang is stopped when it has run so long
    expected_ms: int = 0  # how long it will probably run
    start_after_ms: int = 0
    deadline_ms: int = 0  # it fails when it cannot be over by then
    affinity: tuple[LabelRule, ...] = ()
    tolerations: tuple[str, ...] = ()  # "key" or "key=value" of taints it puts up with
    exclude_nodes: tuple[str, ...] = ()
    exclusive_node: bool = False  # no other job on its nodes
    topology: Topology = Topology()
    depends_on: tuple[Dependency, ...] = ()
    array: Array | None = None
    retry: Retry = Retry()
    movable: bool = False  # may be moved so that another job can start (defragmentation)
    allow_future: bool = False  # accepted though no present nodes could hold it
    speeds: Speeds = ()  # where it is faster or slower than expected_ms says
    due_ms: int = 0  # it should be over by then; unlike the deadline it stops nobody

    @property
    def world_size(self) -> int:
        """Number of shards asked for, over all roles."""
        return sum(role.shards for role in self.roles)

    @property
    def gpu_milli(self) -> int:
        """Milli-GPU asked for by the whole gang (shares by memory count as nothing here)."""
        return sum(role.shards * role.need.gpu_milli for role in self.roles)

    @property
    def elastic_role(self) -> int:
        """Index of the one elastic role; -1 when the job has one size."""
        for index, role in enumerate(self.roles):
            if role.elastic is not None:
                return index
        return -1

    @property
    def run_ms(self) -> int:
        """The run time that the user gave: what is expected, at most the limit; 0: neither."""
        if self.expected_ms and self.walltime_ms:
            return min(self.expected_ms, self.walltime_ms)
        return self.expected_ms or self.walltime_ms
