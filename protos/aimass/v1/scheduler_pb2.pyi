from aimass.v1 import job_pb2 as _job_pb2
from aimass.v1 import node_pb2 as _node_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorDetail(_message.Message):
    __slots__ = ("what", "why", "fix", "id")
    WHAT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    FIX_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    what: str
    why: str
    fix: str
    id: str
    def __init__(self, what: _Optional[str] = ..., why: _Optional[str] = ..., fix: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class SubmitRequest(_message.Message):
    __slots__ = ("spec", "idempotency_key", "user", "held")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    spec: _job_pb2.JobSpec
    idempotency_key: str
    user: str
    held: bool
    def __init__(self, spec: _Optional[_Union[_job_pb2.JobSpec, _Mapping]] = ..., idempotency_key: _Optional[str] = ..., user: _Optional[str] = ..., held: _Optional[bool] = ...) -> None: ...

class SubmitReply(_message.Message):
    __slots__ = ("job_id", "existed", "warnings")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    EXISTED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    existed: bool
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, job_id: _Optional[str] = ..., existed: _Optional[bool] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class SubmitBatchRequest(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[SubmitRequest]
    def __init__(self, jobs: _Optional[_Iterable[_Union[SubmitRequest, _Mapping]]] = ...) -> None: ...

class SubmitBatchReply(_message.Message):
    __slots__ = ("entries",)
    class Entry(_message.Message):
        __slots__ = ("reply", "error")
        REPLY_FIELD_NUMBER: _ClassVar[int]
        ERROR_FIELD_NUMBER: _ClassVar[int]
        reply: SubmitReply
        error: ErrorDetail
        def __init__(self, reply: _Optional[_Union[SubmitReply, _Mapping]] = ..., error: _Optional[_Union[ErrorDetail, _Mapping]] = ...) -> None: ...
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[SubmitBatchReply.Entry]
    def __init__(self, entries: _Optional[_Iterable[_Union[SubmitBatchReply.Entry, _Mapping]]] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("job", "user", "foresee")
    JOB_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    FORESEE_FIELD_NUMBER: _ClassVar[int]
    job: str
    user: str
    foresee: bool
    def __init__(self, job: _Optional[str] = ..., user: _Optional[str] = ..., foresee: _Optional[bool] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("states", "user", "limit", "array", "queue")
    STATES_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedScalarFieldContainer[_job_pb2.JobState]
    user: str
    limit: int
    array: str
    queue: str
    def __init__(self, states: _Optional[_Iterable[_Union[_job_pb2.JobState, str]]] = ..., user: _Optional[str] = ..., limit: _Optional[int] = ..., array: _Optional[str] = ..., queue: _Optional[str] = ...) -> None: ...

class ListReply(_message.Message):
    __slots__ = ("jobs", "total", "revision")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    total: int
    revision: int
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ..., total: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("from_revision", "job")
    FROM_REVISION_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    from_revision: int
    job: str
    def __init__(self, from_revision: _Optional[int] = ..., job: _Optional[str] = ...) -> None: ...

class WatchEvent(_message.Message):
    __slots__ = ("revision", "at_ms", "type", "job_id", "node_id", "json")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    revision: int
    at_ms: int
    type: str
    job_id: str
    node_id: str
    json: str
    def __init__(self, revision: _Optional[int] = ..., at_ms: _Optional[int] = ..., type: _Optional[str] = ..., job_id: _Optional[str] = ..., node_id: _Optional[str] = ..., json: _Optional[str] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("job", "user", "grace_ms", "has_grace")
    JOB_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    GRACE_MS_FIELD_NUMBER: _ClassVar[int]
    HAS_GRACE_FIELD_NUMBER: _ClassVar[int]
    job: str
    user: str
    grace_ms: int
    has_grace: bool
    def __init__(self, job: _Optional[str] = ..., user: _Optional[str] = ..., grace_ms: _Optional[int] = ..., has_grace: _Optional[bool] = ...) -> None: ...

class JobRequest(_message.Message):
    __slots__ = ("job", "user", "reason")
    JOB_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    job: str
    user: str
    reason: str
    def __init__(self, job: _Optional[str] = ..., user: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class UpdateRequest(_message.Message):
    __slots__ = ("job", "user", "spec", "was")
    JOB_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    WAS_FIELD_NUMBER: _ClassVar[int]
    job: str
    user: str
    spec: _job_pb2.JobSpec
    was: _job_pb2.JobSpec
    def __init__(self, job: _Optional[str] = ..., user: _Optional[str] = ..., spec: _Optional[_Union[_job_pb2.JobSpec, _Mapping]] = ..., was: _Optional[_Union[_job_pb2.JobSpec, _Mapping]] = ...) -> None: ...

class WhyRequest(_message.Message):
    __slots__ = ("job", "user", "at_ms", "history")
    JOB_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    job: str
    user: str
    at_ms: int
    history: bool
    def __init__(self, job: _Optional[str] = ..., user: _Optional[str] = ..., at_ms: _Optional[int] = ..., history: _Optional[bool] = ...) -> None: ...

class Blocker(_message.Message):
    __slots__ = ("code", "text", "nodes", "examples")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    code: str
    text: str
    nodes: int
    examples: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, code: _Optional[str] = ..., text: _Optional[str] = ..., nodes: _Optional[int] = ..., examples: _Optional[_Iterable[str]] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("job_id", "state", "code", "summary", "blockers", "ahead", "shards_asked", "shards_fit_now", "fits_when_empty", "holders", "unblock", "revision", "waiting_ms", "kind", "held_by", "holders_total", "start", "owned", "changes", "now_ms", "reasons")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    BLOCKERS_FIELD_NUMBER: _ClassVar[int]
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    SHARDS_ASKED_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIT_NOW_FIELD_NUMBER: _ClassVar[int]
    FITS_WHEN_EMPTY_FIELD_NUMBER: _ClassVar[int]
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    UNBLOCK_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    WAITING_MS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    HELD_BY_FIELD_NUMBER: _ClassVar[int]
    HOLDERS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    OWNED_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    NOW_MS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    state: _job_pb2.JobState
    code: str
    summary: str
    blockers: _containers.RepeatedCompositeFieldContainer[Blocker]
    ahead: int
    shards_asked: int
    shards_fit_now: int
    fits_when_empty: bool
    holders: _containers.RepeatedScalarFieldContainer[str]
    unblock: _containers.RepeatedScalarFieldContainer[str]
    revision: int
    waiting_ms: int
    kind: str
    held_by: _containers.RepeatedCompositeFieldContainer[Holder]
    holders_total: int
    start: _job_pb2.Outlook
    owned: Owned
    changes: _containers.RepeatedCompositeFieldContainer[Change]
    now_ms: int
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    def __init__(self, job_id: _Optional[str] = ..., state: _Optional[_Union[_job_pb2.JobState, str]] = ..., code: _Optional[str] = ..., summary: _Optional[str] = ..., blockers: _Optional[_Iterable[_Union[Blocker, _Mapping]]] = ..., ahead: _Optional[int] = ..., shards_asked: _Optional[int] = ..., shards_fit_now: _Optional[int] = ..., fits_when_empty: _Optional[bool] = ..., holders: _Optional[_Iterable[str]] = ..., unblock: _Optional[_Iterable[str]] = ..., revision: _Optional[int] = ..., waiting_ms: _Optional[int] = ..., kind: _Optional[str] = ..., held_by: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., holders_total: _Optional[int] = ..., start: _Optional[_Union[_job_pb2.Outlook, _Mapping]] = ..., owned: _Optional[_Union[Owned, _Mapping]] = ..., changes: _Optional[_Iterable[_Union[Change, _Mapping]]] = ..., now_ms: _Optional[int] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ...) -> None: ...

class Holder(_message.Message):
    __slots__ = ("job_id", "user", "gpu_milli", "end_ms", "is_leaving")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    GPU_MILLI_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    IS_LEAVING_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    user: str
    gpu_milli: int
    end_ms: int
    is_leaving: bool
    def __init__(self, job_id: _Optional[str] = ..., user: _Optional[str] = ..., gpu_milli: _Optional[int] = ..., end_ms: _Optional[int] = ..., is_leaving: _Optional[bool] = ...) -> None: ...

class Owned(_message.Message):
    __slots__ = ("nodes", "victims", "by_ms")
    NODES_FIELD_NUMBER: _ClassVar[int]
    VICTIMS_FIELD_NUMBER: _ClassVar[int]
    BY_MS_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedScalarFieldContainer[str]
    victims: _containers.RepeatedScalarFieldContainer[str]
    by_ms: int
    def __init__(self, nodes: _Optional[_Iterable[str]] = ..., victims: _Optional[_Iterable[str]] = ..., by_ms: _Optional[int] = ...) -> None: ...

class Loss(_message.Message):
    __slots__ = ("job_id", "user", "rule", "lost_gpu_ms", "reason")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    LOST_GPU_MS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    user: str
    rule: str
    lost_gpu_ms: int
    reason: str
    def __init__(self, job_id: _Optional[str] = ..., user: _Optional[str] = ..., rule: _Optional[str] = ..., lost_gpu_ms: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("kind", "text", "command", "losses")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    kind: str
    text: str
    command: str
    losses: _containers.RepeatedCompositeFieldContainer[Loss]
    def __init__(self, kind: _Optional[str] = ..., text: _Optional[str] = ..., command: _Optional[str] = ..., losses: _Optional[_Iterable[_Union[Loss, _Mapping]]] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("revision", "at_ms", "code", "text")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    revision: int
    at_ms: int
    code: str
    text: str
    def __init__(self, revision: _Optional[int] = ..., at_ms: _Optional[int] = ..., code: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class PlanRequest(_message.Message):
    __slots__ = ("spec", "user", "more", "without")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_FIELD_NUMBER: _ClassVar[int]
    spec: _job_pb2.JobSpec
    user: str
    more: _containers.RepeatedCompositeFieldContainer[MoreNodes]
    without: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, spec: _Optional[_Union[_job_pb2.JobSpec, _Mapping]] = ..., user: _Optional[str] = ..., more: _Optional[_Iterable[_Union[MoreNodes, _Mapping]]] = ..., without: _Optional[_Iterable[str]] = ...) -> None: ...

class MoreNodes(_message.Message):
    __slots__ = ("count", "gpus", "model")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    count: int
    gpus: int
    model: str
    def __init__(self, count: _Optional[int] = ..., gpus: _Optional[int] = ..., model: _Optional[str] = ...) -> None: ...

class PlanReply(_message.Message):
    __slots__ = ("verdict", "summary", "nodes", "reason", "trail", "losses", "start", "gpu_ms", "queues", "largest", "explanation", "tasks", "tasks_total", "revision", "now_ms")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TRAIL_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    GPU_MS_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    LARGEST_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    TASKS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    NOW_MS_FIELD_NUMBER: _ClassVar[int]
    verdict: str
    summary: str
    nodes: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    trail: _containers.RepeatedScalarFieldContainer[str]
    losses: _containers.RepeatedCompositeFieldContainer[Loss]
    start: _job_pb2.Outlook
    gpu_ms: int
    queues: _containers.RepeatedCompositeFieldContainer[QueueUse]
    largest: _containers.RepeatedCompositeFieldContainer[RoleSize]
    explanation: Explanation
    tasks: int
    tasks_total: int
    revision: int
    now_ms: int
    def __init__(self, verdict: _Optional[str] = ..., summary: _Optional[str] = ..., nodes: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ..., trail: _Optional[_Iterable[str]] = ..., losses: _Optional[_Iterable[_Union[Loss, _Mapping]]] = ..., start: _Optional[_Union[_job_pb2.Outlook, _Mapping]] = ..., gpu_ms: _Optional[int] = ..., queues: _Optional[_Iterable[_Union[QueueUse, _Mapping]]] = ..., largest: _Optional[_Iterable[_Union[RoleSize, _Mapping]]] = ..., explanation: _Optional[_Union[Explanation, _Mapping]] = ..., tasks: _Optional[int] = ..., tasks_total: _Optional[int] = ..., revision: _Optional[int] = ..., now_ms: _Optional[int] = ...) -> None: ...

class QueueUse(_message.Message):
    __slots__ = ("queue", "resource", "used", "after", "quota", "limit")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    queue: str
    resource: str
    used: int
    after: int
    quota: int
    limit: int
    def __init__(self, queue: _Optional[str] = ..., resource: _Optional[str] = ..., used: _Optional[int] = ..., after: _Optional[int] = ..., quota: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class RoleSize(_message.Message):
    __slots__ = ("role", "asked", "most")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    role: str
    asked: int
    most: int
    def __init__(self, role: _Optional[str] = ..., asked: _Optional[int] = ..., most: _Optional[int] = ...) -> None: ...

class HistoryRequest(_message.Message):
    __slots__ = ("job", "user")
    JOB_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    job: str
    user: str
    def __init__(self, job: _Optional[str] = ..., user: _Optional[str] = ...) -> None: ...

class HistoryReply(_message.Message):
    __slots__ = ("job_id", "entries", "revision")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    entries: _containers.RepeatedCompositeFieldContainer[HistoryEntry]
    revision: int
    def __init__(self, job_id: _Optional[str] = ..., entries: _Optional[_Iterable[_Union[HistoryEntry, _Mapping]]] = ..., revision: _Optional[int] = ...) -> None: ...

class HistoryEntry(_message.Message):
    __slots__ = ("revision", "at_ms", "what", "text", "by", "attempt", "policy", "trail", "lost_gpu_ms", "start_ms", "back_ms", "is_back")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    TRAIL_FIELD_NUMBER: _ClassVar[int]
    LOST_GPU_MS_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    BACK_MS_FIELD_NUMBER: _ClassVar[int]
    IS_BACK_FIELD_NUMBER: _ClassVar[int]
    revision: int
    at_ms: int
    what: str
    text: str
    by: str
    attempt: int
    policy: str
    trail: _containers.RepeatedScalarFieldContainer[str]
    lost_gpu_ms: int
    start_ms: int
    back_ms: int
    is_back: bool
    def __init__(self, revision: _Optional[int] = ..., at_ms: _Optional[int] = ..., what: _Optional[str] = ..., text: _Optional[str] = ..., by: _Optional[str] = ..., attempt: _Optional[int] = ..., policy: _Optional[str] = ..., trail: _Optional[_Iterable[str]] = ..., lost_gpu_ms: _Optional[int] = ..., start_ms: _Optional[int] = ..., back_ms: _Optional[int] = ..., is_back: _Optional[bool] = ...) -> None: ...

class LogsRequest(_message.Message):
    __slots__ = ("job", "user", "attempt", "ranks", "follow", "offsets", "tail_lines")
    JOB_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RANKS_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    TAIL_LINES_FIELD_NUMBER: _ClassVar[int]
    job: str
    user: str
    attempt: int
    ranks: _containers.RepeatedScalarFieldContainer[int]
    follow: bool
    offsets: _containers.RepeatedScalarFieldContainer[int]
    tail_lines: int
    def __init__(self, job: _Optional[str] = ..., user: _Optional[str] = ..., attempt: _Optional[int] = ..., ranks: _Optional[_Iterable[int]] = ..., follow: _Optional[bool] = ..., offsets: _Optional[_Iterable[int]] = ..., tail_lines: _Optional[int] = ...) -> None: ...

class LogChunk(_message.Message):
    __slots__ = ("rank", "offset", "data", "eof", "skipped_bytes", "note", "attempt")
    RANK_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    EOF_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_BYTES_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    rank: int
    offset: int
    data: bytes
    eof: bool
    skipped_bytes: int
    note: str
    attempt: int
    def __init__(self, rank: _Optional[int] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., eof: _Optional[bool] = ..., skipped_bytes: _Optional[int] = ..., note: _Optional[str] = ..., attempt: _Optional[int] = ...) -> None: ...

class NodesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NodesReply(_message.Message):
    __slots__ = ("nodes", "revision")
    NODES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[_node_pb2.Node]
    revision: int
    def __init__(self, nodes: _Optional[_Iterable[_Union[_node_pb2.Node, _Mapping]]] = ..., revision: _Optional[int] = ...) -> None: ...

class InfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class InfoReply(_message.Message):
    __slots__ = ("version", "cluster_id", "term", "revision", "journal", "policy", "started_ms", "http_address", "refusing_writes", "policy_problem", "deciding_policy", "policy_fallbacks", "decisions_rejected", "next_tick_ms", "levels")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    STARTED_MS_FIELD_NUMBER: _ClassVar[int]
    HTTP_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    REFUSING_WRITES_FIELD_NUMBER: _ClassVar[int]
    POLICY_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    DECIDING_POLICY_FIELD_NUMBER: _ClassVar[int]
    POLICY_FALLBACKS_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_REJECTED_FIELD_NUMBER: _ClassVar[int]
    NEXT_TICK_MS_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    version: str
    cluster_id: str
    term: int
    revision: int
    journal: str
    policy: str
    started_ms: int
    http_address: str
    refusing_writes: str
    policy_problem: str
    deciding_policy: str
    policy_fallbacks: int
    decisions_rejected: int
    next_tick_ms: int
    levels: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., cluster_id: _Optional[str] = ..., term: _Optional[int] = ..., revision: _Optional[int] = ..., journal: _Optional[str] = ..., policy: _Optional[str] = ..., started_ms: _Optional[int] = ..., http_address: _Optional[str] = ..., refusing_writes: _Optional[str] = ..., policy_problem: _Optional[str] = ..., deciding_policy: _Optional[str] = ..., policy_fallbacks: _Optional[int] = ..., decisions_rejected: _Optional[int] = ..., next_tick_ms: _Optional[int] = ..., levels: _Optional[_Iterable[str]] = ...) -> None: ...

class CordonRequest(_message.Message):
    __slots__ = ("nodes", "user", "reason", "drain", "deadline_ms")
    NODES_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedScalarFieldContainer[str]
    user: str
    reason: str
    drain: bool
    deadline_ms: int
    def __init__(self, nodes: _Optional[_Iterable[str]] = ..., user: _Optional[str] = ..., reason: _Optional[str] = ..., drain: _Optional[bool] = ..., deadline_ms: _Optional[int] = ...) -> None: ...

class UncordonRequest(_message.Message):
    __slots__ = ("nodes", "user")
    NODES_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedScalarFieldContainer[str]
    user: str
    def __init__(self, nodes: _Optional[_Iterable[str]] = ..., user: _Optional[str] = ...) -> None: ...

class Amounts(_message.Message):
    __slots__ = ("of",)
    class OfEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    OF_FIELD_NUMBER: _ClassVar[int]
    of: _containers.ScalarMap[str, int]
    def __init__(self, of: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Cell(_message.Message):
    __slots__ = ("gpus", "model", "count", "shards", "level")
    GPUS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    gpus: int
    model: str
    count: int
    shards: int
    level: str
    def __init__(self, gpus: _Optional[int] = ..., model: _Optional[str] = ..., count: _Optional[int] = ..., shards: _Optional[int] = ..., level: _Optional[str] = ...) -> None: ...

class Reserve(_message.Message):
    __slots__ = ("cells",)
    CELLS_FIELD_NUMBER: _ClassVar[int]
    cells: _containers.RepeatedCompositeFieldContainer[Cell]
    def __init__(self, cells: _Optional[_Iterable[_Union[Cell, _Mapping]]] = ...) -> None: ...

class CellState(_message.Message):
    __slots__ = ("cell", "used", "missing")
    CELL_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    cell: Cell
    used: int
    missing: int
    def __init__(self, cell: _Optional[_Union[Cell, _Mapping]] = ..., used: _Optional[int] = ..., missing: _Optional[int] = ...) -> None: ...

class QueueSpec(_message.Message):
    __slots__ = ("name", "parent", "weight", "quota", "limit", "borrow_limit", "lend_limit", "reclaim", "max_jobs", "max_queued", "job_limit", "max_walltime_ms", "priority_min", "priority_max", "min_runtime_ms", "half_life_ms", "reserve")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BORROW_LIMIT_FIELD_NUMBER: _ClassVar[int]
    LEND_LIMIT_FIELD_NUMBER: _ClassVar[int]
    RECLAIM_FIELD_NUMBER: _ClassVar[int]
    MAX_JOBS_FIELD_NUMBER: _ClassVar[int]
    MAX_QUEUED_FIELD_NUMBER: _ClassVar[int]
    JOB_LIMIT_FIELD_NUMBER: _ClassVar[int]
    MAX_WALLTIME_MS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_MIN_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_MAX_FIELD_NUMBER: _ClassVar[int]
    MIN_RUNTIME_MS_FIELD_NUMBER: _ClassVar[int]
    HALF_LIFE_MS_FIELD_NUMBER: _ClassVar[int]
    RESERVE_FIELD_NUMBER: _ClassVar[int]
    name: str
    parent: str
    weight: int
    quota: Amounts
    limit: Amounts
    borrow_limit: Amounts
    lend_limit: Amounts
    reclaim: bool
    max_jobs: int
    max_queued: int
    job_limit: Amounts
    max_walltime_ms: int
    priority_min: int
    priority_max: int
    min_runtime_ms: int
    half_life_ms: int
    reserve: Reserve
    def __init__(self, name: _Optional[str] = ..., parent: _Optional[str] = ..., weight: _Optional[int] = ..., quota: _Optional[_Union[Amounts, _Mapping]] = ..., limit: _Optional[_Union[Amounts, _Mapping]] = ..., borrow_limit: _Optional[_Union[Amounts, _Mapping]] = ..., lend_limit: _Optional[_Union[Amounts, _Mapping]] = ..., reclaim: _Optional[bool] = ..., max_jobs: _Optional[int] = ..., max_queued: _Optional[int] = ..., job_limit: _Optional[_Union[Amounts, _Mapping]] = ..., max_walltime_ms: _Optional[int] = ..., priority_min: _Optional[int] = ..., priority_max: _Optional[int] = ..., min_runtime_ms: _Optional[int] = ..., half_life_ms: _Optional[int] = ..., reserve: _Optional[_Union[Reserve, _Mapping]] = ...) -> None: ...

class Queue(_message.Message):
    __slots__ = ("spec", "used", "leaving", "claimed", "firm", "active", "queued", "share_ppm", "fair_ppm", "dominant", "depth", "past_ppm", "entitled_ppm", "guarantee", "borrowed", "lent", "cells")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_FIELD_NUMBER: _ClassVar[int]
    FIRM_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    SHARE_PPM_FIELD_NUMBER: _ClassVar[int]
    FAIR_PPM_FIELD_NUMBER: _ClassVar[int]
    DOMINANT_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    PAST_PPM_FIELD_NUMBER: _ClassVar[int]
    ENTITLED_PPM_FIELD_NUMBER: _ClassVar[int]
    GUARANTEE_FIELD_NUMBER: _ClassVar[int]
    BORROWED_FIELD_NUMBER: _ClassVar[int]
    LENT_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    spec: QueueSpec
    used: Amounts
    leaving: Amounts
    claimed: Amounts
    firm: Amounts
    active: int
    queued: int
    share_ppm: int
    fair_ppm: int
    dominant: str
    depth: int
    past_ppm: int
    entitled_ppm: int
    guarantee: Amounts
    borrowed: Amounts
    lent: Amounts
    cells: _containers.RepeatedCompositeFieldContainer[CellState]
    def __init__(self, spec: _Optional[_Union[QueueSpec, _Mapping]] = ..., used: _Optional[_Union[Amounts, _Mapping]] = ..., leaving: _Optional[_Union[Amounts, _Mapping]] = ..., claimed: _Optional[_Union[Amounts, _Mapping]] = ..., firm: _Optional[_Union[Amounts, _Mapping]] = ..., active: _Optional[int] = ..., queued: _Optional[int] = ..., share_ppm: _Optional[int] = ..., fair_ppm: _Optional[int] = ..., dominant: _Optional[str] = ..., depth: _Optional[int] = ..., past_ppm: _Optional[int] = ..., entitled_ppm: _Optional[int] = ..., guarantee: _Optional[_Union[Amounts, _Mapping]] = ..., borrowed: _Optional[_Union[Amounts, _Mapping]] = ..., lent: _Optional[_Union[Amounts, _Mapping]] = ..., cells: _Optional[_Iterable[_Union[CellState, _Mapping]]] = ...) -> None: ...

class PutQueueRequest(_message.Message):
    __slots__ = ("spec", "user")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    spec: QueueSpec
    user: str
    def __init__(self, spec: _Optional[_Union[QueueSpec, _Mapping]] = ..., user: _Optional[str] = ...) -> None: ...

class PutQueueReply(_message.Message):
    __slots__ = ("queue", "existed", "warnings")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    EXISTED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    queue: Queue
    existed: bool
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, queue: _Optional[_Union[Queue, _Mapping]] = ..., existed: _Optional[bool] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("name", "user")
    NAME_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    name: str
    user: str
    def __init__(self, name: _Optional[str] = ..., user: _Optional[str] = ...) -> None: ...

class DeleteReply(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class QueuesRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class QueuesReply(_message.Message):
    __slots__ = ("queues", "revision")
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    queues: _containers.RepeatedCompositeFieldContainer[Queue]
    revision: int
    def __init__(self, queues: _Optional[_Iterable[_Union[Queue, _Mapping]]] = ..., revision: _Optional[int] = ...) -> None: ...

class Window(_message.Message):
    __slots__ = ("name", "start_ms", "length_ms", "nodes", "every_ms", "users", "queues", "maintenance", "until_ms", "next_start_ms", "in_force", "warnings")
    NAME_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    LENGTH_MS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    EVERY_MS_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    MAINTENANCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    NEXT_START_MS_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    name: str
    start_ms: int
    length_ms: int
    nodes: _containers.RepeatedScalarFieldContainer[str]
    every_ms: int
    users: _containers.RepeatedScalarFieldContainer[str]
    queues: _containers.RepeatedScalarFieldContainer[str]
    maintenance: bool
    until_ms: int
    next_start_ms: int
    in_force: bool
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., start_ms: _Optional[int] = ..., length_ms: _Optional[int] = ..., nodes: _Optional[_Iterable[str]] = ..., every_ms: _Optional[int] = ..., users: _Optional[_Iterable[str]] = ..., queues: _Optional[_Iterable[str]] = ..., maintenance: _Optional[bool] = ..., until_ms: _Optional[int] = ..., next_start_ms: _Optional[int] = ..., in_force: _Optional[bool] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class PutWindowRequest(_message.Message):
    __slots__ = ("window", "user")
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    window: Window
    user: str
    def __init__(self, window: _Optional[_Union[Window, _Mapping]] = ..., user: _Optional[str] = ...) -> None: ...

class WindowsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WindowsReply(_message.Message):
    __slots__ = ("windows", "revision")
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    windows: _containers.RepeatedCompositeFieldContainer[Window]
    revision: int
    def __init__(self, windows: _Optional[_Iterable[_Union[Window, _Mapping]]] = ..., revision: _Optional[int] = ...) -> None: ...
