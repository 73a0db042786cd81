from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_KIND_UNSPECIFIED: _ClassVar[JobKind]
    JOB_KIND_TRAIN: _ClassVar[JobKind]
    JOB_KIND_BATCH: _ClassVar[JobKind]

class Strategy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STRATEGY_UNSPECIFIED: _ClassVar[Strategy]
    STRATEGY_PACK: _ClassVar[Strategy]
    STRATEGY_SPREAD: _ClassVar[Strategy]

class LabelOp(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LABEL_OP_UNSPECIFIED: _ClassVar[LabelOp]
    LABEL_OP_IN: _ClassVar[LabelOp]
    LABEL_OP_NOT_IN: _ClassVar[LabelOp]
    LABEL_OP_EXISTS: _ClassVar[LabelOp]
    LABEL_OP_ABSENT: _ClassVar[LabelOp]

class DependsOn(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEPENDS_ON_UNSPECIFIED: _ClassVar[DependsOn]
    DEPENDS_ON_SUCCESS: _ClassVar[DependsOn]
    DEPENDS_ON_ANY: _ClassVar[DependsOn]
    DEPENDS_ON_FAILURE: _ClassVar[DependsOn]
    DEPENDS_ON_EACH: _ClassVar[DependsOn]

class PreemptMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PREEMPT_MODE_UNSPECIFIED: _ClassVar[PreemptMode]
    PREEMPT_MODE_REQUEUE: _ClassVar[PreemptMode]
    PREEMPT_MODE_SUSPEND: _ClassVar[PreemptMode]
    PREEMPT_MODE_CANCEL: _ClassVar[PreemptMode]
    PREEMPT_MODE_SHRINK: _ClassVar[PreemptMode]

class RetryAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RETRY_ACTION_UNSPECIFIED: _ClassVar[RetryAction]
    RETRY_ACTION_RETRY: _ClassVar[RetryAction]
    RETRY_ACTION_FAIL: _ClassVar[RetryAction]
    RETRY_ACTION_HOLD: _ClassVar[RetryAction]

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_QUEUED: _ClassVar[JobState]
    JOB_STATE_PLACED: _ClassVar[JobState]
    JOB_STATE_STARTING: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_STOPPING: _ClassVar[JobState]
    JOB_STATE_SUCCEEDED: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]
    JOB_STATE_HELD: _ClassVar[JobState]
    JOB_STATE_RESERVED: _ClassVar[JobState]

class ShardState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SHARD_STATE_UNSPECIFIED: _ClassVar[ShardState]
    SHARD_STATE_PENDING: _ClassVar[ShardState]
    SHARD_STATE_PREPARED: _ClassVar[ShardState]
    SHARD_STATE_RUNNING: _ClassVar[ShardState]
    SHARD_STATE_EXITED: _ClassVar[ShardState]

class ExitReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXIT_REASON_UNSPECIFIED: _ClassVar[ExitReason]
    EXIT_REASON_EXITED: _ClassVar[ExitReason]
    EXIT_REASON_LAUNCH_FAILED: _ClassVar[ExitReason]
    EXIT_REASON_OUT_OF_MEMORY: _ClassVar[ExitReason]
    EXIT_REASON_STOPPED: _ClassVar[ExitReason]
    EXIT_REASON_LEASE_EXPIRED: _ClassVar[ExitReason]
    EXIT_REASON_NODE_REBOOT: _ClassVar[ExitReason]
    EXIT_REASON_NODE_LOST: _ClassVar[ExitReason]
    EXIT_REASON_SUPERVISOR_LOST: _ClassVar[ExitReason]

class StopRule(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STOP_RULE_UNSPECIFIED: _ClassVar[StopRule]
    STOP_RULE_PRIORITY: _ClassVar[StopRule]
    STOP_RULE_RECLAIM: _ClassVar[StopRule]
    STOP_RULE_SHRINK: _ClassVar[StopRule]
    STOP_RULE_GROW: _ClassVar[StopRule]
    STOP_RULE_MOVE: _ClassVar[StopRule]
    STOP_RULE_DRAIN: _ClassVar[StopRule]
    STOP_RULE_WINDOW: _ClassVar[StopRule]
    STOP_RULE_RESERVE: _ClassVar[StopRule]
    STOP_RULE_ORDER: _ClassVar[StopRule]
    STOP_RULE_RESHAPE: _ClassVar[StopRule]
    STOP_RULE_ALLOT: _ClassVar[StopRule]
JOB_KIND_UNSPECIFIED: JobKind
JOB_KIND_TRAIN: JobKind
JOB_KIND_BATCH: JobKind
STRATEGY_UNSPECIFIED: Strategy
STRATEGY_PACK: Strategy
STRATEGY_SPREAD: Strategy
LABEL_OP_UNSPECIFIED: LabelOp
LABEL_OP_IN: LabelOp
LABEL_OP_NOT_IN: LabelOp
LABEL_OP_EXISTS: LabelOp
LABEL_OP_ABSENT: LabelOp
DEPENDS_ON_UNSPECIFIED: DependsOn
DEPENDS_ON_SUCCESS: DependsOn
DEPENDS_ON_ANY: DependsOn
DEPENDS_ON_FAILURE: DependsOn
DEPENDS_ON_EACH: DependsOn
PREEMPT_MODE_UNSPECIFIED: PreemptMode
PREEMPT_MODE_REQUEUE: PreemptMode
PREEMPT_MODE_SUSPEND: PreemptMode
PREEMPT_MODE_CANCEL: PreemptMode
PREEMPT_MODE_SHRINK: PreemptMode
RETRY_ACTION_UNSPECIFIED: RetryAction
RETRY_ACTION_RETRY: RetryAction
RETRY_ACTION_FAIL: RetryAction
RETRY_ACTION_HOLD: RetryAction
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_QUEUED: JobState
JOB_STATE_PLACED: JobState
JOB_STATE_STARTING: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_STOPPING: JobState
JOB_STATE_SUCCEEDED: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_CANCELLED: JobState
JOB_STATE_HELD: JobState
JOB_STATE_RESERVED: JobState
SHARD_STATE_UNSPECIFIED: ShardState
SHARD_STATE_PENDING: ShardState
SHARD_STATE_PREPARED: ShardState
SHARD_STATE_RUNNING: ShardState
SHARD_STATE_EXITED: ShardState
EXIT_REASON_UNSPECIFIED: ExitReason
EXIT_REASON_EXITED: ExitReason
EXIT_REASON_LAUNCH_FAILED: ExitReason
EXIT_REASON_OUT_OF_MEMORY: ExitReason
EXIT_REASON_STOPPED: ExitReason
EXIT_REASON_LEASE_EXPIRED: ExitReason
EXIT_REASON_NODE_REBOOT: ExitReason
EXIT_REASON_NODE_LOST: ExitReason
EXIT_REASON_SUPERVISOR_LOST: ExitReason
STOP_RULE_UNSPECIFIED: StopRule
STOP_RULE_PRIORITY: StopRule
STOP_RULE_RECLAIM: StopRule
STOP_RULE_SHRINK: StopRule
STOP_RULE_GROW: StopRule
STOP_RULE_MOVE: StopRule
STOP_RULE_DRAIN: StopRule
STOP_RULE_WINDOW: StopRule
STOP_RULE_RESERVE: StopRule
STOP_RULE_ORDER: StopRule
STOP_RULE_RESHAPE: StopRule
STOP_RULE_ALLOT: StopRule

class Resources(_message.Message):
    __slots__ = ("gpu_milli", "cpu_milli", "memory_mib", "gpu_share_mib")
    GPU_MILLI_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLI_FIELD_NUMBER: _ClassVar[int]
    MEMORY_MIB_FIELD_NUMBER: _ClassVar[int]
    GPU_SHARE_MIB_FIELD_NUMBER: _ClassVar[int]
    gpu_milli: int
    cpu_milli: int
    memory_mib: int
    gpu_share_mib: int
    def __init__(self, gpu_milli: _Optional[int] = ..., cpu_milli: _Optional[int] = ..., memory_mib: _Optional[int] = ..., gpu_share_mib: _Optional[int] = ...) -> None: ...

class Elastic(_message.Message):
    __slots__ = ("min_shards", "max_shards", "step", "cost_ms", "interval_ms")
    MIN_SHARDS_FIELD_NUMBER: _ClassVar[int]
    MAX_SHARDS_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    COST_MS_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    min_shards: int
    max_shards: int
    step: int
    cost_ms: int
    interval_ms: int
    def __init__(self, min_shards: _Optional[int] = ..., max_shards: _Optional[int] = ..., step: _Optional[int] = ..., cost_ms: _Optional[int] = ..., interval_ms: _Optional[int] = ...) -> None: ...

class Role(_message.Message):
    __slots__ = ("name", "shards", "resources", "command", "gpu_types", "gpu_memory_mib", "gpu_types_in_order", "elastic")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPES_FIELD_NUMBER: _ClassVar[int]
    GPU_MEMORY_MIB_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPES_IN_ORDER_FIELD_NUMBER: _ClassVar[int]
    ELASTIC_FIELD_NUMBER: _ClassVar[int]
    name: str
    shards: int
    resources: Resources
    command: _containers.RepeatedScalarFieldContainer[str]
    gpu_types: _containers.RepeatedScalarFieldContainer[str]
    gpu_memory_mib: int
    gpu_types_in_order: bool
    elastic: Elastic
    def __init__(self, name: _Optional[str] = ..., shards: _Optional[int] = ..., resources: _Optional[_Union[Resources, _Mapping]] = ..., command: _Optional[_Iterable[str]] = ..., gpu_types: _Optional[_Iterable[str]] = ..., gpu_memory_mib: _Optional[int] = ..., gpu_types_in_order: _Optional[bool] = ..., elastic: _Optional[_Union[Elastic, _Mapping]] = ...) -> None: ...

class LabelRule(_message.Message):
    __slots__ = ("key", "op", "values", "weight")
    KEY_FIELD_NUMBER: _ClassVar[int]
    OP_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    key: str
    op: LabelOp
    values: _containers.RepeatedScalarFieldContainer[str]
    weight: int
    def __init__(self, key: _Optional[str] = ..., op: _Optional[_Union[LabelOp, str]] = ..., values: _Optional[_Iterable[str]] = ..., weight: _Optional[int] = ...) -> None: ...

class Topology(_message.Message):
    __slots__ = ("required", "preferred", "wait_ms")
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    required: str
    preferred: str
    wait_ms: int
    def __init__(self, required: _Optional[str] = ..., preferred: _Optional[str] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class Dependency(_message.Message):
    __slots__ = ("job_id", "condition")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    condition: DependsOn
    def __init__(self, job_id: _Optional[str] = ..., condition: _Optional[_Union[DependsOn, str]] = ...) -> None: ...

class Array(_message.Message):
    __slots__ = ("indexes", "max_parallel")
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    MAX_PARALLEL_FIELD_NUMBER: _ClassVar[int]
    indexes: _containers.RepeatedScalarFieldContainer[int]
    max_parallel: int
    def __init__(self, indexes: _Optional[_Iterable[int]] = ..., max_parallel: _Optional[int] = ...) -> None: ...

class Checkpoint(_message.Message):
    __slots__ = ("signal", "notice_ms")
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    NOTICE_MS_FIELD_NUMBER: _ClassVar[int]
    signal: str
    notice_ms: int
    def __init__(self, signal: _Optional[str] = ..., notice_ms: _Optional[int] = ...) -> None: ...

class Preemption(_message.Message):
    __slots__ = ("mode", "min_runtime_ms", "max_per_day", "delay_ms")
    MODE_FIELD_NUMBER: _ClassVar[int]
    MIN_RUNTIME_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_PER_DAY_FIELD_NUMBER: _ClassVar[int]
    DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    mode: PreemptMode
    min_runtime_ms: int
    max_per_day: int
    delay_ms: int
    def __init__(self, mode: _Optional[_Union[PreemptMode, str]] = ..., min_runtime_ms: _Optional[int] = ..., max_per_day: _Optional[int] = ..., delay_ms: _Optional[int] = ...) -> None: ...

class RetryRule(_message.Message):
    __slots__ = ("action", "exit_codes", "reasons", "avoid_node", "is_free", "memory_factor_milli")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODES_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    AVOID_NODE_FIELD_NUMBER: _ClassVar[int]
    IS_FREE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FACTOR_MILLI_FIELD_NUMBER: _ClassVar[int]
    action: RetryAction
    exit_codes: _containers.RepeatedScalarFieldContainer[int]
    reasons: _containers.RepeatedScalarFieldContainer[str]
    avoid_node: bool
    is_free: bool
    memory_factor_milli: int
    def __init__(self, action: _Optional[_Union[RetryAction, str]] = ..., exit_codes: _Optional[_Iterable[int]] = ..., reasons: _Optional[_Iterable[str]] = ..., avoid_node: _Optional[bool] = ..., is_free: _Optional[bool] = ..., memory_factor_milli: _Optional[int] = ...) -> None: ...

class Retry(_message.Message):
    __slots__ = ("limit", "backoff_ms", "factor_milli", "backoff_max_ms", "rules")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_MS_FIELD_NUMBER: _ClassVar[int]
    FACTOR_MILLI_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_MAX_MS_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    limit: int
    backoff_ms: int
    factor_milli: int
    backoff_max_ms: int
    rules: _containers.RepeatedCompositeFieldContainer[RetryRule]
    def __init__(self, limit: _Optional[int] = ..., backoff_ms: _Optional[int] = ..., factor_milli: _Optional[int] = ..., backoff_max_ms: _Optional[int] = ..., rules: _Optional[_Iterable[_Union[RetryRule, _Mapping]]] = ...) -> None: ...

class SpeedOn(_message.Message):
    __slots__ = ("gpu_type", "gpus", "nodes", "speed_micro")
    GPU_TYPE_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    SPEED_MICRO_FIELD_NUMBER: _ClassVar[int]
    gpu_type: str
    gpus: int
    nodes: int
    speed_micro: int
    def __init__(self, gpu_type: _Optional[str] = ..., gpus: _Optional[int] = ..., nodes: _Optional[int] = ..., speed_micro: _Optional[int] = ...) -> None: ...

class JobSpec(_message.Message):
    __slots__ = ("name", "kind", "priority", "labels", "roles", "workdir", "env", "node_selector", "strategy", "grace_ms", "queue", "not_preemptible", "preemption", "checkpoint", "walltime_ms", "expected_ms", "start_after_ms", "deadline_ms", "affinity", "tolerations", "exclude_nodes", "exclusive_node", "topology", "depends_on", "array", "retry", "movable", "allow_future", "speeds", "due_ms")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class NodeSelectorEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    WORKDIR_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    NODE_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    GRACE_MS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    NOT_PREEMPTIBLE_FIELD_NUMBER: _ClassVar[int]
    PREEMPTION_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    WALLTIME_MS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_MS_FIELD_NUMBER: _ClassVar[int]
    START_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    AFFINITY_FIELD_NUMBER: _ClassVar[int]
    TOLERATIONS_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_NODES_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_NODE_FIELD_NUMBER: _ClassVar[int]
    TOPOLOGY_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    MOVABLE_FIELD_NUMBER: _ClassVar[int]
    ALLOW_FUTURE_FIELD_NUMBER: _ClassVar[int]
    SPEEDS_FIELD_NUMBER: _ClassVar[int]
    DUE_MS_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: JobKind
    priority: int
    labels: _containers.ScalarMap[str, str]
    roles: _containers.RepeatedCompositeFieldContainer[Role]
    workdir: str
    env: _containers.ScalarMap[str, str]
    node_selector: _containers.ScalarMap[str, str]
    strategy: Strategy
    grace_ms: int
    queue: str
    not_preemptible: bool
    preemption: Preemption
    checkpoint: Checkpoint
    walltime_ms: int
    expected_ms: int
    start_after_ms: int
    deadline_ms: int
    affinity: _containers.RepeatedCompositeFieldContainer[LabelRule]
    tolerations: _containers.RepeatedScalarFieldContainer[str]
    exclude_nodes: _containers.RepeatedScalarFieldContainer[str]
    exclusive_node: bool
    topology: Topology
    depends_on: _containers.RepeatedCompositeFieldContainer[Dependency]
    array: Array
    retry: Retry
    movable: bool
    allow_future: bool
    speeds: _containers.RepeatedCompositeFieldContainer[SpeedOn]
    due_ms: int
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[JobKind, str]] = ..., priority: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., roles: _Optional[_Iterable[_Union[Role, _Mapping]]] = ..., workdir: _Optional[str] = ..., env: _Optional[_Mapping[str, str]] = ..., node_selector: _Optional[_Mapping[str, str]] = ..., strategy: _Optional[_Union[Strategy, str]] = ..., grace_ms: _Optional[int] = ..., queue: _Optional[str] = ..., not_preemptible: _Optional[bool] = ..., preemption: _Optional[_Union[Preemption, _Mapping]] = ..., checkpoint: _Optional[_Union[Checkpoint, _Mapping]] = ..., walltime_ms: _Optional[int] = ..., expected_ms: _Optional[int] = ..., start_after_ms: _Optional[int] = ..., deadline_ms: _Optional[int] = ..., affinity: _Optional[_Iterable[_Union[LabelRule, _Mapping]]] = ..., tolerations: _Optional[_Iterable[str]] = ..., exclude_nodes: _Optional[_Iterable[str]] = ..., exclusive_node: _Optional[bool] = ..., topology: _Optional[_Union[Topology, _Mapping]] = ..., depends_on: _Optional[_Iterable[_Union[Dependency, _Mapping]]] = ..., array: _Optional[_Union[Array, _Mapping]] = ..., retry: _Optional[_Union[Retry, _Mapping]] = ..., movable: _Optional[bool] = ..., allow_future: _Optional[bool] = ..., speeds: _Optional[_Iterable[_Union[SpeedOn, _Mapping]]] = ..., due_ms: _Optional[int] = ...) -> None: ...

class Exit(_message.Message):
    __slots__ = ("code", "signal", "reason", "detail", "wall_ms", "cpu_ms", "rss_mib_max")
    CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    WALL_MS_FIELD_NUMBER: _ClassVar[int]
    CPU_MS_FIELD_NUMBER: _ClassVar[int]
    RSS_MIB_MAX_FIELD_NUMBER: _ClassVar[int]
    code: int
    signal: int
    reason: ExitReason
    detail: str
    wall_ms: int
    cpu_ms: int
    rss_mib_max: int
    def __init__(self, code: _Optional[int] = ..., signal: _Optional[int] = ..., reason: _Optional[_Union[ExitReason, str]] = ..., detail: _Optional[str] = ..., wall_ms: _Optional[int] = ..., cpu_ms: _Optional[int] = ..., rss_mib_max: _Optional[int] = ...) -> None: ...

class Shard(_message.Message):
    __slots__ = ("rank", "role", "node_id", "device_uuids", "gpu_milli", "state", "pid", "started_ms", "exited_ms", "exit")
    RANK_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_UUIDS_FIELD_NUMBER: _ClassVar[int]
    GPU_MILLI_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    STARTED_MS_FIELD_NUMBER: _ClassVar[int]
    EXITED_MS_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    rank: int
    role: str
    node_id: str
    device_uuids: _containers.RepeatedScalarFieldContainer[str]
    gpu_milli: int
    state: ShardState
    pid: int
    started_ms: int
    exited_ms: int
    exit: Exit
    def __init__(self, rank: _Optional[int] = ..., role: _Optional[str] = ..., node_id: _Optional[str] = ..., device_uuids: _Optional[_Iterable[str]] = ..., gpu_milli: _Optional[int] = ..., state: _Optional[_Union[ShardState, str]] = ..., pid: _Optional[int] = ..., started_ms: _Optional[int] = ..., exited_ms: _Optional[int] = ..., exit: _Optional[_Union[Exit, _Mapping]] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("at_ms", "rule", "by", "reason", "lost_gpu_ms", "back_ms", "is_back", "by_user")
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LOST_GPU_MS_FIELD_NUMBER: _ClassVar[int]
    BACK_MS_FIELD_NUMBER: _ClassVar[int]
    IS_BACK_FIELD_NUMBER: _ClassVar[int]
    BY_USER_FIELD_NUMBER: _ClassVar[int]
    at_ms: int
    rule: StopRule
    by: str
    reason: str
    lost_gpu_ms: int
    back_ms: int
    is_back: bool
    by_user: str
    def __init__(self, at_ms: _Optional[int] = ..., rule: _Optional[_Union[StopRule, str]] = ..., by: _Optional[str] = ..., reason: _Optional[str] = ..., lost_gpu_ms: _Optional[int] = ..., back_ms: _Optional[int] = ..., is_back: _Optional[bool] = ..., by_user: _Optional[str] = ...) -> None: ...

class Attempt(_message.Message):
    __slots__ = ("number", "placed_ms", "running_ms", "ended_ms", "reason", "outcome", "shards", "receipt", "checkpoint_ms", "trail", "stopping_ms")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PLACED_MS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_MS_FIELD_NUMBER: _ClassVar[int]
    ENDED_MS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_MS_FIELD_NUMBER: _ClassVar[int]
    TRAIL_FIELD_NUMBER: _ClassVar[int]
    STOPPING_MS_FIELD_NUMBER: _ClassVar[int]
    number: int
    placed_ms: int
    running_ms: int
    ended_ms: int
    reason: str
    outcome: str
    shards: _containers.RepeatedCompositeFieldContainer[Shard]
    receipt: Receipt
    checkpoint_ms: int
    trail: _containers.RepeatedScalarFieldContainer[str]
    stopping_ms: int
    def __init__(self, number: _Optional[int] = ..., placed_ms: _Optional[int] = ..., running_ms: _Optional[int] = ..., ended_ms: _Optional[int] = ..., reason: _Optional[str] = ..., outcome: _Optional[str] = ..., shards: _Optional[_Iterable[_Union[Shard, _Mapping]]] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ..., checkpoint_ms: _Optional[int] = ..., trail: _Optional[_Iterable[str]] = ..., stopping_ms: _Optional[int] = ...) -> None: ...

class PlannedStart(_message.Message):
    __slots__ = ("start_ms", "end_ms", "is_known", "reason", "nodes")
    START_MS_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    IS_KNOWN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    start_ms: int
    end_ms: int
    is_known: bool
    reason: str
    nodes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, start_ms: _Optional[int] = ..., end_ms: _Optional[int] = ..., is_known: _Optional[bool] = ..., reason: _Optional[str] = ..., nodes: _Optional[_Iterable[str]] = ...) -> None: ...

class Claim(_message.Message):
    __slots__ = ("attempt", "reason", "victims", "nodes")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    VICTIMS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    reason: str
    victims: _containers.RepeatedScalarFieldContainer[str]
    nodes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, attempt: _Optional[int] = ..., reason: _Optional[str] = ..., victims: _Optional[_Iterable[str]] = ..., nodes: _Optional[_Iterable[str]] = ...) -> None: ...

class ArrayProgress(_message.Message):
    __slots__ = ("total", "over", "failed", "active")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    OVER_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    total: int
    over: int
    failed: int
    active: int
    def __init__(self, total: _Optional[int] = ..., over: _Optional[int] = ..., failed: _Optional[int] = ..., active: _Optional[int] = ...) -> None: ...

class Outlook(_message.Message):
    __slots__ = ("at_ms", "earliest_ms", "latest_ms", "is_known", "is_promise", "after_ms")
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    EARLIEST_MS_FIELD_NUMBER: _ClassVar[int]
    LATEST_MS_FIELD_NUMBER: _ClassVar[int]
    IS_KNOWN_FIELD_NUMBER: _ClassVar[int]
    IS_PROMISE_FIELD_NUMBER: _ClassVar[int]
    AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    at_ms: int
    earliest_ms: int
    latest_ms: int
    is_known: bool
    is_promise: bool
    after_ms: int
    def __init__(self, at_ms: _Optional[int] = ..., earliest_ms: _Optional[int] = ..., latest_ms: _Optional[int] = ..., is_known: _Optional[bool] = ..., is_promise: _Optional[bool] = ..., after_ms: _Optional[int] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("id", "submit_seq", "spec", "state", "user", "reason", "submitted_ms", "ended_ms", "attempts", "revision", "array_id", "array_index", "array", "not_before_ms", "unmet", "hold_reason", "retries", "preemptions", "queued_ms", "planned", "claim", "avoid_nodes", "start")
    ID_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_SEQ_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_MS_FIELD_NUMBER: _ClassVar[int]
    ENDED_MS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ARRAY_ID_FIELD_NUMBER: _ClassVar[int]
    ARRAY_INDEX_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_MS_FIELD_NUMBER: _ClassVar[int]
    UNMET_FIELD_NUMBER: _ClassVar[int]
    HOLD_REASON_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    PREEMPTIONS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_MS_FIELD_NUMBER: _ClassVar[int]
    PLANNED_FIELD_NUMBER: _ClassVar[int]
    CLAIM_FIELD_NUMBER: _ClassVar[int]
    AVOID_NODES_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    id: str
    submit_seq: int
    spec: JobSpec
    state: JobState
    user: str
    reason: str
    submitted_ms: int
    ended_ms: int
    attempts: _containers.RepeatedCompositeFieldContainer[Attempt]
    revision: int
    array_id: str
    array_index: int
    array: ArrayProgress
    not_before_ms: int
    unmet: _containers.RepeatedScalarFieldContainer[str]
    hold_reason: str
    retries: int
    preemptions: int
    queued_ms: int
    planned: PlannedStart
    claim: Claim
    avoid_nodes: _containers.RepeatedScalarFieldContainer[str]
    start: Outlook
    def __init__(self, id: _Optional[str] = ..., submit_seq: _Optional[int] = ..., spec: _Optional[_Union[JobSpec, _Mapping]] = ..., state: _Optional[_Union[JobState, str]] = ..., user: _Optional[str] = ..., reason: _Optional[str] = ..., submitted_ms: _Optional[int] = ..., ended_ms: _Optional[int] = ..., attempts: _Optional[_Iterable[_Union[Attempt, _Mapping]]] = ..., revision: _Optional[int] = ..., array_id: _Optional[str] = ..., array_index: _Optional[int] = ..., array: _Optional[_Union[ArrayProgress, _Mapping]] = ..., not_before_ms: _Optional[int] = ..., unmet: _Optional[_Iterable[str]] = ..., hold_reason: _Optional[str] = ..., retries: _Optional[int] = ..., preemptions: _Optional[int] = ..., queued_ms: _Optional[int] = ..., planned: _Optional[_Union[PlannedStart, _Mapping]] = ..., claim: _Optional[_Union[Claim, _Mapping]] = ..., avoid_nodes: _Optional[_Iterable[str]] = ..., start: _Optional[_Union[Outlook, _Mapping]] = ...) -> None: ...
