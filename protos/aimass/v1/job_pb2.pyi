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
JOB_KIND_UNSPECIFIED: JobKind
JOB_KIND_TRAIN: JobKind
JOB_KIND_BATCH: JobKind
STRATEGY_UNSPECIFIED: Strategy
STRATEGY_PACK: Strategy
STRATEGY_SPREAD: Strategy
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_QUEUED: JobState
JOB_STATE_PLACED: JobState
JOB_STATE_STARTING: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_STOPPING: JobState
JOB_STATE_SUCCEEDED: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_CANCELLED: JobState
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

class Resources(_message.Message):
    __slots__ = ("gpu_milli", "cpu_milli", "memory_mib")
    GPU_MILLI_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLI_FIELD_NUMBER: _ClassVar[int]
    MEMORY_MIB_FIELD_NUMBER: _ClassVar[int]
    gpu_milli: int
    cpu_milli: int
    memory_mib: int
    def __init__(self, gpu_milli: _Optional[int] = ..., cpu_milli: _Optional[int] = ..., memory_mib: _Optional[int] = ...) -> None: ...

class Role(_message.Message):
    __slots__ = ("name", "shards", "resources", "command", "gpu_types", "gpu_memory_mib")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPES_FIELD_NUMBER: _ClassVar[int]
    GPU_MEMORY_MIB_FIELD_NUMBER: _ClassVar[int]
    name: str
    shards: int
    resources: Resources
    command: _containers.RepeatedScalarFieldContainer[str]
    gpu_types: _containers.RepeatedScalarFieldContainer[str]
    gpu_memory_mib: int
    def __init__(self, name: _Optional[str] = ..., shards: _Optional[int] = ..., resources: _Optional[_Union[Resources, _Mapping]] = ..., command: _Optional[_Iterable[str]] = ..., gpu_types: _Optional[_Iterable[str]] = ..., gpu_memory_mib: _Optional[int] = ...) -> None: ...

class JobSpec(_message.Message):
    __slots__ = ("name", "kind", "priority", "labels", "roles", "workdir", "env", "node_selector", "strategy", "grace_ms")
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
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[JobKind, str]] = ..., priority: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., roles: _Optional[_Iterable[_Union[Role, _Mapping]]] = ..., workdir: _Optional[str] = ..., env: _Optional[_Mapping[str, str]] = ..., node_selector: _Optional[_Mapping[str, str]] = ..., strategy: _Optional[_Union[Strategy, str]] = ..., grace_ms: _Optional[int] = ...) -> None: ...

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

class Attempt(_message.Message):
    __slots__ = ("number", "placed_ms", "running_ms", "ended_ms", "reason", "outcome", "shards")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PLACED_MS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_MS_FIELD_NUMBER: _ClassVar[int]
    ENDED_MS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    number: int
    placed_ms: int
    running_ms: int
    ended_ms: int
    reason: str
    outcome: str
    shards: _containers.RepeatedCompositeFieldContainer[Shard]
    def __init__(self, number: _Optional[int] = ..., placed_ms: _Optional[int] = ..., running_ms: _Optional[int] = ..., ended_ms: _Optional[int] = ..., reason: _Optional[str] = ..., outcome: _Optional[str] = ..., shards: _Optional[_Iterable[_Union[Shard, _Mapping]]] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("id", "submit_seq", "spec", "state", "user", "reason", "submitted_ms", "ended_ms", "attempts", "revision")
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
    def __init__(self, id: _Optional[str] = ..., submit_seq: _Optional[int] = ..., spec: _Optional[_Union[JobSpec, _Mapping]] = ..., state: _Optional[_Union[JobState, str]] = ..., user: _Optional[str] = ..., reason: _Optional[str] = ..., submitted_ms: _Optional[int] = ..., ended_ms: _Optional[int] = ..., attempts: _Optional[_Iterable[_Union[Attempt, _Mapping]]] = ..., revision: _Optional[int] = ...) -> None: ...
