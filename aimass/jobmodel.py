"""The job file's model: every field, what it allows, and the JSON Schema made from the same lines.

Fields are written in camelCase in files. Defaults stand for "not given" and are not checked; a null
in the file is an error. What one field says against another is checked in aimass.jobchecks.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from aimass.jobspeeds import Speeds
from aimass.jobvalues import (
    NAME_ALLOWED,
    PRIORITY_MAX,
    SHARDS_MAX,
    Command,
    Cpus,
    Duration,
    EnvName,
    Gpus,
    Indexes,
    LabelName,
    Line,
    Memory,
    Moment,
    Name,
    Shards,
    Span,
    Strict,
    Text,
    Times10,
    Times100,
    Word,
)
from aimass.units import SIGNALS
from aimass.wire import DEFAULT_NOTICE_MS

RULES_MAX = 100
INT32_MAX = 2**31 - 1
DEPENDENCIES_MAX = 1000
REASONS = ("EXITED", "LAUNCH_FAILED", "OUT_OF_MEMORY", "STOPPED")  # lost nodes never count
_NOT_GIVEN: Any = ""  # a default is not checked, and no file can say this
_ABSENT: Any = None  # of a part that has no default as a whole


class ElasticModel(Strict):
    """Sizes that a role may run with: min, min + step, … up to max."""

    min: Shards = Field(description="the fewest shards it runs with, from 1")
    max: Shards = Field(description=f"the most shards it can use, to {SHARDS_MAX}")
    step: Shards = Field(default=1, description="sizes are min plus whole steps; from 1")
    resize_cost: Span = Field(default=60_000)
    resize_interval: Span = Field(default=600_000)


class Resources(Strict):
    """What each shard needs. A core, and nothing else, is reserved unless it is named."""

    gpus: Gpus = Field(default=0)
    gpu_types: list[Word] = Field(
        default=[], description="device models that will do, in any order"
    )
    gpu_types_in_order: list[Word] = Field(
        default=[], description="device models to try one after the other, each for all shards"
    )
    gpu_memory: Memory = Field(default=0, description="the least memory of each device")
    gpu_share: Memory = Field(
        default=0, description="a share of one GPU by its memory, as 20GiB, instead of gpus"
    )
    cpus: Cpus = Field(default=1, validate_default=True)
    memory: Memory = Field(default=0)


class RoleModel(Strict):
    """A group of equal shards that run one command."""

    name: Name = Field(description=NAME_ALLOWED)
    shards: Shards = Field(
        default=1,
        description=f"a whole number from 1 to {SHARDS_MAX}; default: 1, or elastic.min",
    )
    elastic: ElasticModel = Field(default=_ABSENT)
    command: Command
    resources: Resources = Field(default_factory=lambda: Resources())


class TopologyModel(Strict):
    """Levels of the cluster, such as rack, that the shards share."""

    required: Word = Field(default=_NOT_GIVEN, description="the level they must share")
    preferred: Word = Field(default=_NOT_GIVEN, description="the level they should share")
    wait: Span = Field(default=0)


class AffinityModel(Strict):
    """A rule on a node's labels."""

    key: Word = Field(description="the label's name")
    op: Literal["in", "notIn", "exists", "absent"] = Field(
        default="in", description="in, notIn, exists or absent"
    )
    values: list[Line] = Field(default=[], description="a list of texts, for in and notIn")
    weight: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=0, description="0: required (default); 1 to 1000: preferred by so much"
    )


class Placement(Strict):
    """Where the shards may go and how they lie."""

    topology: TopologyModel = Field(default_factory=lambda: TopologyModel())
    strategy: Literal["pack", "spread"] = Field(
        default=_NOT_GIVEN, description="pack: as few nodes as possible; spread: as many"
    )
    node_selector: dict[LabelName, Line] = Field(
        default={}, description="labels that a node must have, as texts"
    )
    affinity: list[AffinityModel] = Field(
        default=[],
        max_length=RULES_MAX,
        description=f"at most {RULES_MAX} rules {{key, op, values, weight}} on nodes' labels",
    )
    tolerations: list[Word] = Field(
        default=[],
        max_length=RULES_MAX,
        description=f'at most {RULES_MAX} taints it puts up with: "key" or "key=value"',
    )
    exclusive_node: bool = Field(default=False, description="true: no other job on its nodes")
    exclude_nodes: list[Word] = Field(default=[], description="nodes that it never goes to")


class DependencyModel(Strict):
    """Another job, and the end of it that is waited for."""

    job: Word = Field(description="the id of a job or of an array")
    condition: Literal["success", "any", "failure", "each"] = Field(
        default="success",
        description="success, any, failure; each: task by task, between arrays",
    )


class ArrayModel(Strict):
    """Many tasks of one job, told apart by AIMASS_ARRAY_INDEX."""

    indexes: Indexes = Field(alias="range")
    max_parallel: Annotated[int, Field(ge=1, le=INT32_MAX)] = Field(
        default=0, description="tasks active at once, from 1; default: any number"
    )


class CheckpointModel(Strict):
    """How the job is told to checkpoint before it is stopped for another's sake."""

    signal: Literal[SIGNALS] = Field(  # type: ignore[valid-type]
        default=_NOT_GIVEN, description=f"one of {', '.join(SIGNALS)}"
    )
    grace_period: Duration = Field(default=DEFAULT_NOTICE_MS)


class PreemptionModel(Strict):
    """How it takes being preempted, and how long it waits before it preempts others."""

    min_runtime: Span = Field(default=0)
    max_per_day: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=0, description="at most so many in 24 hours, 0 (any number) to 1000"
    )
    delay: Span = Field(default=0)
    mode: Literal["requeue", "suspend", "cancel", "shrink"] = Field(
        default="requeue", description="requeue, suspend, cancel or shrink"
    )


class BackoffModel(Strict):
    """How long a retry waits: initial, then factor times as long, up to max."""

    initial: Span = Field(default=30_000)
    factor: Times100 = Field(default=2000, description="a number from 1 to 100")
    max: Span = Field(default=600_000)


class RetryRuleModel(Strict):
    """What a failure means. The first rule that matches decides; one without on… always does."""

    on_reason: list[Literal[REASONS]] = Field(  # type: ignore[valid-type]
        default=[], description=f"a list of {', '.join(REASONS)}"
    )
    on_exit_codes: list[Annotated[int, Field(ge=0, le=255)]] = Field(
        default=[], description="a list of exit codes, 0 to 255"
    )
    action: Literal["retry", "fail", "hold"] = Field(description="retry, fail or hold")
    avoid_same_node: bool = Field(default=False, description="true: never on that node again")
    counts_against_limit: bool = Field(default=True, description="false: retry for free")
    memory_factor: Times10 = Field(default=1000, description="so many times the memory, 1 to 10")


class RetryModel(Strict):
    """How often a failed gang is tried again. Preemption and lost nodes never count."""

    limit: Annotated[int, Field(ge=0, le=100)] = Field(
        default=0, description="a whole number from 0 to 100"
    )
    backoff: BackoffModel = Field(default_factory=lambda: BackoffModel())
    rules: list[RetryRuleModel] = Field(
        default=[],
        max_length=RULES_MAX,
        description=f"at most {RULES_MAX} rules; the first that matches decides",
    )


class JobModel(Strict):
    """One job: either `command` with `replicas` and `resources`, or `roles`."""

    api_version: Literal["aimass/v1"] = Field(description="aimass/v1")
    kind: Literal["TrainJob", "BatchJob"] = Field(description="TrainJob or BatchJob")
    name: Name = Field(default="", description=NAME_ALLOWED)
    queue: Name = Field(default="", description="a queue's name, see massctl queue ls")
    priority: Annotated[int, Field(ge=-PRIORITY_MAX, le=PRIORITY_MAX)] = Field(
        default=0,
        description=f"a whole number, -{PRIORITY_MAX} to {PRIORITY_MAX}; larger goes first",
    )
    preemptible: bool = Field(
        default=True, description="false: never stopped for the sake of another job"
    )
    labels: dict[LabelName, Line] = Field(default={}, description="texts by name")
    workdir: Line = Field(
        default="", description="a path; relative to this file. Default: where it is submitted"
    )
    command: Command = Field(default=[])
    env: dict[EnvName, Text] = Field(
        default={}, description="texts by name; put numbers and true/false in quotes"
    )
    resources: Resources = Field(default_factory=lambda: Resources())
    replicas: Shards = Field(
        default=1,
        description=f"shards, a whole number from 1 to {SHARDS_MAX}; default: 1, or elastic.min",
    )
    elastic: ElasticModel = Field(default=_ABSENT)
    roles: list[RoleModel] = Field(default=[], description="a list of roles, instead of command")
    placement: Placement = Field(default_factory=lambda: Placement())
    grace_period: Duration = Field(default=30_000)
    time_limit: Span = Field(default=0)
    expected_runtime: Span = Field(default=0)
    speeds: Speeds = Field(default=())
    start_after: Moment = Field(default=0)
    deadline: Moment = Field(default=0)
    due: Moment = Field(default=0)
    depends_on: list[DependencyModel] = Field(
        default=[],
        max_length=DEPENDENCIES_MAX,
        description=f"at most {DEPENDENCIES_MAX} entries {{job, condition}}",
    )
    array: ArrayModel = Field(default=_ABSENT)
    checkpoint: CheckpointModel = Field(default_factory=lambda: CheckpointModel())
    preemption: PreemptionModel = Field(default_factory=lambda: PreemptionModel())
    retry: RetryModel = Field(default_factory=lambda: RetryModel())
    movable: bool = Field(default=False, description="true: may be moved to make room for others")
    allow_future: bool = Field(
        default=False, description="true: accepted though no present nodes could hold it"
    )
