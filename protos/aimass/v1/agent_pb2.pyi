from aimass.v1 import job_pb2 as _job_pb2
from aimass.v1 import node_pb2 as _node_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Goal(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GOAL_UNSPECIFIED: _ClassVar[Goal]
    GOAL_RUN: _ClassVar[Goal]
    GOAL_STOP: _ClassVar[Goal]
GOAL_UNSPECIFIED: Goal
GOAL_RUN: Goal
GOAL_STOP: Goal

class AgentMessage(_message.Message):
    __slots__ = ("register", "heartbeat", "shard", "inventory", "checkpoint")
    REGISTER_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    register: Register
    heartbeat: Heartbeat
    shard: ShardReport
    inventory: _node_pb2.Inventory
    checkpoint: CheckpointReport
    def __init__(self, register: _Optional[_Union[Register, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., shard: _Optional[_Union[ShardReport, _Mapping]] = ..., inventory: _Optional[_Union[_node_pb2.Inventory, _Mapping]] = ..., checkpoint: _Optional[_Union[CheckpointReport, _Mapping]] = ...) -> None: ...

class Register(_message.Message):
    __slots__ = ("protocol", "node_id", "incarnation", "boot_id", "agent_version", "inventory", "shards", "term", "generation", "cluster_id", "instance", "checkpoints")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    node_id: str
    incarnation: int
    boot_id: str
    agent_version: str
    inventory: _node_pb2.Inventory
    shards: _containers.RepeatedCompositeFieldContainer[ShardReport]
    term: int
    generation: int
    cluster_id: str
    instance: str
    checkpoints: _containers.RepeatedCompositeFieldContainer[CheckpointReport]
    def __init__(self, protocol: _Optional[int] = ..., node_id: _Optional[str] = ..., incarnation: _Optional[int] = ..., boot_id: _Optional[str] = ..., agent_version: _Optional[str] = ..., inventory: _Optional[_Union[_node_pb2.Inventory, _Mapping]] = ..., shards: _Optional[_Iterable[_Union[ShardReport, _Mapping]]] = ..., term: _Optional[int] = ..., generation: _Optional[int] = ..., cluster_id: _Optional[str] = ..., instance: _Optional[str] = ..., checkpoints: _Optional[_Iterable[_Union[CheckpointReport, _Mapping]]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("seq", "term", "generation")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    seq: int
    term: int
    generation: int
    def __init__(self, seq: _Optional[int] = ..., term: _Optional[int] = ..., generation: _Optional[int] = ...) -> None: ...

class ShardReport(_message.Message):
    __slots__ = ("job_id", "attempt", "rank", "state", "pid", "master_port", "exit")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    MASTER_PORT_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    attempt: int
    rank: int
    state: _job_pb2.ShardState
    pid: int
    master_port: int
    exit: _job_pb2.Exit
    def __init__(self, job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., rank: _Optional[int] = ..., state: _Optional[_Union[_job_pb2.ShardState, str]] = ..., pid: _Optional[int] = ..., master_port: _Optional[int] = ..., exit: _Optional[_Union[_job_pb2.Exit, _Mapping]] = ...) -> None: ...

class CheckpointReport(_message.Message):
    __slots__ = ("job_id", "attempt", "rank", "age_ms")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    attempt: int
    rank: int
    age_ms: int
    def __init__(self, job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., rank: _Optional[int] = ..., age_ms: _Optional[int] = ...) -> None: ...

class SchedulerMessage(_message.Message):
    __slots__ = ("welcome", "desired", "heartbeat_ack", "logs", "refused")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    DESIRED_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_ACK_FIELD_NUMBER: _ClassVar[int]
    LOGS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    desired: DesiredSet
    heartbeat_ack: HeartbeatAck
    logs: LogRequest
    refused: Refused
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., desired: _Optional[_Union[DesiredSet, _Mapping]] = ..., heartbeat_ack: _Optional[_Union[HeartbeatAck, _Mapping]] = ..., logs: _Optional[_Union[LogRequest, _Mapping]] = ..., refused: _Optional[_Union[Refused, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("term", "cluster_id", "heartbeat_ms", "lease_ms")
    TERM_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_MS_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    term: int
    cluster_id: str
    heartbeat_ms: int
    lease_ms: int
    def __init__(self, term: _Optional[int] = ..., cluster_id: _Optional[str] = ..., heartbeat_ms: _Optional[int] = ..., lease_ms: _Optional[int] = ...) -> None: ...

class HeartbeatAck(_message.Message):
    __slots__ = ("seq", "lease_ms")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    seq: int
    lease_ms: int
    def __init__(self, seq: _Optional[int] = ..., lease_ms: _Optional[int] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("what", "fix", "retry")
    WHAT_FIELD_NUMBER: _ClassVar[int]
    FIX_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    what: str
    fix: str
    retry: bool
    def __init__(self, what: _Optional[str] = ..., fix: _Optional[str] = ..., retry: _Optional[bool] = ...) -> None: ...

class DesiredSet(_message.Message):
    __slots__ = ("term", "generation", "assignments")
    TERM_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    term: int
    generation: int
    assignments: _containers.RepeatedCompositeFieldContainer[Assignment]
    def __init__(self, term: _Optional[int] = ..., generation: _Optional[int] = ..., assignments: _Optional[_Iterable[_Union[Assignment, _Mapping]]] = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("job_id", "attempt", "rank", "goal", "grace_ms", "stop_reason", "launch", "notice_signal", "notice_ms")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    GOAL_FIELD_NUMBER: _ClassVar[int]
    GRACE_MS_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    LAUNCH_FIELD_NUMBER: _ClassVar[int]
    NOTICE_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    NOTICE_MS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    attempt: int
    rank: int
    goal: Goal
    grace_ms: int
    stop_reason: str
    launch: Launch
    notice_signal: str
    notice_ms: int
    def __init__(self, job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., rank: _Optional[int] = ..., goal: _Optional[_Union[Goal, str]] = ..., grace_ms: _Optional[int] = ..., stop_reason: _Optional[str] = ..., launch: _Optional[_Union[Launch, _Mapping]] = ..., notice_signal: _Optional[str] = ..., notice_ms: _Optional[int] = ...) -> None: ...

class Launch(_message.Message):
    __slots__ = ("job_name", "argv", "env", "workdir", "device_uuids", "visible_uuids", "gpu_milli", "cpu_milli", "memory_mib", "role", "role_rank", "role_world_size", "world_size", "local_rank", "local_world_size", "group_rank", "group_world_size", "master_addr", "master_port", "queue", "array_id", "array_index")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    JOB_NAME_FIELD_NUMBER: _ClassVar[int]
    ARGV_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    WORKDIR_FIELD_NUMBER: _ClassVar[int]
    DEVICE_UUIDS_FIELD_NUMBER: _ClassVar[int]
    VISIBLE_UUIDS_FIELD_NUMBER: _ClassVar[int]
    GPU_MILLI_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLI_FIELD_NUMBER: _ClassVar[int]
    MEMORY_MIB_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ROLE_RANK_FIELD_NUMBER: _ClassVar[int]
    ROLE_WORLD_SIZE_FIELD_NUMBER: _ClassVar[int]
    WORLD_SIZE_FIELD_NUMBER: _ClassVar[int]
    LOCAL_RANK_FIELD_NUMBER: _ClassVar[int]
    LOCAL_WORLD_SIZE_FIELD_NUMBER: _ClassVar[int]
    GROUP_RANK_FIELD_NUMBER: _ClassVar[int]
    GROUP_WORLD_SIZE_FIELD_NUMBER: _ClassVar[int]
    MASTER_ADDR_FIELD_NUMBER: _ClassVar[int]
    MASTER_PORT_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    ARRAY_ID_FIELD_NUMBER: _ClassVar[int]
    ARRAY_INDEX_FIELD_NUMBER: _ClassVar[int]
    job_name: str
    argv: _containers.RepeatedScalarFieldContainer[str]
    env: _containers.ScalarMap[str, str]
    workdir: str
    device_uuids: _containers.RepeatedScalarFieldContainer[str]
    visible_uuids: _containers.RepeatedScalarFieldContainer[str]
    gpu_milli: int
    cpu_milli: int
    memory_mib: int
    role: str
    role_rank: int
    role_world_size: int
    world_size: int
    local_rank: int
    local_world_size: int
    group_rank: int
    group_world_size: int
    master_addr: str
    master_port: int
    queue: str
    array_id: str
    array_index: int
    def __init__(self, job_name: _Optional[str] = ..., argv: _Optional[_Iterable[str]] = ..., env: _Optional[_Mapping[str, str]] = ..., workdir: _Optional[str] = ..., device_uuids: _Optional[_Iterable[str]] = ..., visible_uuids: _Optional[_Iterable[str]] = ..., gpu_milli: _Optional[int] = ..., cpu_milli: _Optional[int] = ..., memory_mib: _Optional[int] = ..., role: _Optional[str] = ..., role_rank: _Optional[int] = ..., role_world_size: _Optional[int] = ..., world_size: _Optional[int] = ..., local_rank: _Optional[int] = ..., local_world_size: _Optional[int] = ..., group_rank: _Optional[int] = ..., group_world_size: _Optional[int] = ..., master_addr: _Optional[str] = ..., master_port: _Optional[int] = ..., queue: _Optional[str] = ..., array_id: _Optional[str] = ..., array_index: _Optional[int] = ...) -> None: ...

class LogRequest(_message.Message):
    __slots__ = ("request_id", "job_id", "attempt", "rank", "offset", "follow", "tail_lines")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    TAIL_LINES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    job_id: str
    attempt: int
    rank: int
    offset: int
    follow: bool
    tail_lines: int
    def __init__(self, request_id: _Optional[str] = ..., job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., rank: _Optional[int] = ..., offset: _Optional[int] = ..., follow: _Optional[bool] = ..., tail_lines: _Optional[int] = ...) -> None: ...

class LogPush(_message.Message):
    __slots__ = ("request_id", "offset", "data", "eof", "skipped_bytes", "note")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    EOF_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_BYTES_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    offset: int
    data: bytes
    eof: bool
    skipped_bytes: int
    note: str
    def __init__(self, request_id: _Optional[str] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., eof: _Optional[bool] = ..., skipped_bytes: _Optional[int] = ..., note: _Optional[str] = ...) -> None: ...

class LogPushReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
