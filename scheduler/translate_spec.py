"""JobSpec messages to core specs and back. What a message does not give is the core's default."""

from collections.abc import Iterator
from typing import Any, TypeVar

from google.protobuf.message import Message

from aimass.core.field_words import word
from aimass.core.spec import (
    Array,
    Checkpoint,
    Dependency,
    DependsOn,
    Elastic,
    JobKind,
    JobSpec,
    LabelOp,
    LabelRule,
    Need,
    Preemption,
    PreemptMode,
    Retry,
    RetryAction,
    RetryRule,
    Role,
    Strategy,
    Topology,
)
from aimass.core.speeds import SpeedOn
from aimass.v1 import job_pb2

Value = TypeVar("Value")

_SPEC, _ELASTIC, _RETRY = JobSpec("", ()), Elastic(1, 1), Retry()  # for their defaults
_RULE = RetryRule(RetryAction.RETRY)

# Protobuf enums carry a prefix; the core's values are the bare words. 0 is "not given".
_KINDS = {
    job_pb2.JOB_KIND_UNSPECIFIED: JobKind.TRAIN,
    job_pb2.JOB_KIND_TRAIN: JobKind.TRAIN,
    job_pb2.JOB_KIND_BATCH: JobKind.BATCH,
}
_STRATEGIES = {
    job_pb2.STRATEGY_UNSPECIFIED: Strategy.DEFAULT,
    job_pb2.STRATEGY_PACK: Strategy.PACK,
    job_pb2.STRATEGY_SPREAD: Strategy.SPREAD,
}
_LABEL_OPS = {
    job_pb2.LABEL_OP_IN: LabelOp.IN,
    job_pb2.LABEL_OP_NOT_IN: LabelOp.NOT_IN,
    job_pb2.LABEL_OP_EXISTS: LabelOp.EXISTS,
    job_pb2.LABEL_OP_ABSENT: LabelOp.ABSENT,
}
_CONDITIONS = {
    job_pb2.DEPENDS_ON_SUCCESS: DependsOn.SUCCESS,
    job_pb2.DEPENDS_ON_ANY: DependsOn.ANY,
    job_pb2.DEPENDS_ON_FAILURE: DependsOn.FAILURE,
    job_pb2.DEPENDS_ON_EACH: DependsOn.EACH,
}
_MODES = {
    job_pb2.PREEMPT_MODE_REQUEUE: PreemptMode.REQUEUE,
    job_pb2.PREEMPT_MODE_SUSPEND: PreemptMode.SUSPEND,
    job_pb2.PREEMPT_MODE_CANCEL: PreemptMode.CANCEL,
    job_pb2.PREEMPT_MODE_SHRINK: PreemptMode.SHRINK,
}
_ACTIONS = {
    job_pb2.RETRY_ACTION_RETRY: RetryAction.RETRY,
    job_pb2.RETRY_ACTION_FAIL: RetryAction.FAIL,
    job_pb2.RETRY_ACTION_HOLD: RetryAction.HOLD,
}


def _to_proto(table: dict[Any, Value]) -> dict[Value, Any]:
    """The same table read the other way; of two messages for one value the later one."""
    return {core: proto for proto, core in table.items()}


_KIND_TO_PROTO = _to_proto(_KINDS)
_STRATEGY_TO_PROTO = _to_proto(_STRATEGIES)
_LABEL_OP_TO_PROTO = _to_proto(_LABEL_OPS)
_CONDITION_TO_PROTO = _to_proto(_CONDITIONS)
_MODE_TO_PROTO = _to_proto(_MODES)
_ACTION_TO_PROTO = _to_proto(_ACTIONS)


def _given(message: Message, field: str, default: int) -> int:
    """The value of an optional field, or the default where it is absent."""
    value: int = getattr(message, field) if message.HasField(field) else default
    return value


# ---- what comes in ------------------------------------------------------------------------------


def spec_from_proto(message: job_pb2.JobSpec) -> JobSpec:
    """The spec as the core has it; not yet checked (see spec_problems.problems)."""
    return JobSpec(
        name=message.name,
        roles=tuple(_role_from_proto(role) for role in message.roles),
        kind=_KINDS.get(message.kind, JobKind.TRAIN),
        priority=message.priority,
        workdir=message.workdir,
        env=dict(message.env),
        labels=dict(message.labels),
        node_selector=dict(message.node_selector),
        strategy=_STRATEGIES.get(message.strategy, Strategy.DEFAULT),
        grace_ms=_given(message, "grace_ms", _SPEC.grace_ms),
        queue=message.queue or _SPEC.queue,
        preemptible=not message.not_preemptible,
        preemption=Preemption(
            _MODES.get(message.preemption.mode, PreemptMode.REQUEUE),
            message.preemption.min_runtime_ms,
            message.preemption.max_per_day,
            message.preemption.delay_ms,
        ),
        checkpoint=Checkpoint(message.checkpoint.signal, message.checkpoint.notice_ms),
        walltime_ms=message.walltime_ms,
        expected_ms=message.expected_ms,
        start_after_ms=message.start_after_ms,
        deadline_ms=message.deadline_ms,
        due_ms=message.due_ms,
        affinity=tuple(
            LabelRule(
                rule.key, _LABEL_OPS.get(rule.op, LabelOp.IN), tuple(rule.values), rule.weight
            )
            for rule in message.affinity
        ),
        tolerations=tuple(message.tolerations),
        exclude_nodes=tuple(message.exclude_nodes),
        exclusive_node=message.exclusive_node,
        topology=Topology(
            message.topology.required, message.topology.preferred, message.topology.wait_ms
        ),
        depends_on=tuple(
            Dependency(one.job_id, _CONDITIONS.get(one.condition, DependsOn.SUCCESS))
            for one in message.depends_on
        ),
        array=_array_from_proto(message.array) if message.HasField("array") else None,
        retry=_retry_from_proto(message.retry),
        movable=message.movable,
        allow_future=message.allow_future,
        speeds=tuple(
            SpeedOn(one.gpu_type, one.gpus, one.nodes, one.speed_micro) for one in message.speeds
        ),
    )


def unknown_values(message: Message, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (field, what is wrong) for enum values that only a newer client knows.

    Read as defaults they would change what the job means.
    """
    for field, value in message.ListFields():
        inner = f"{path}{word(field.name)}"
        is_single = isinstance(value, Message | int | str)
        if field.enum_type is not None:
            for one in [value] if is_single else value:
                if one not in field.enum_type.values_by_number:
                    yield inner, f"{one}: not known to this scheduler, which may be too old for it"
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for one in [value] if is_single else value:
                yield from unknown_values(one, f"{inner}.")


def _role_from_proto(role: job_pb2.Role) -> Role:
    each = role.resources
    need = Need(
        each.gpu_milli,
        each.cpu_milli,
        each.memory_mib,
        tuple(role.gpu_types),
        role.gpu_memory_mib,
        each.gpu_share_mib,
        role.gpu_types_in_order,
    )
    elastic = _elastic_from_proto(role.elastic) if role.HasField("elastic") else None
    return Role(role.name, role.shards, need, tuple(role.command), elastic)


def _elastic_from_proto(message: job_pb2.Elastic) -> Elastic:
    return Elastic(
        message.min_shards,
        message.max_shards,
        message.step or _ELASTIC.step,
        _given(message, "cost_ms", _ELASTIC.cost_ms),
        _given(message, "interval_ms", _ELASTIC.interval_ms),
    )


def _array_from_proto(message: job_pb2.Array) -> Array:
    return Array(tuple(message.indexes), message.max_parallel)


def _retry_from_proto(message: job_pb2.Retry) -> Retry:
    return Retry(
        limit=message.limit,
        backoff_ms=_given(message, "backoff_ms", _RETRY.backoff_ms),
        factor_milli=message.factor_milli or _RETRY.factor_milli,
        backoff_max_ms=_given(message, "backoff_max_ms", _RETRY.backoff_max_ms),
        rules=tuple(
            RetryRule(
                _ACTIONS.get(rule.action, RetryAction.RETRY),
                tuple(rule.exit_codes),
                tuple(rule.reasons),
                rule.avoid_node,
                not rule.is_free,
                rule.memory_factor_milli or _RULE.memory_factor_milli,
            )
            for rule in message.rules
        ),
    )


# ---- what goes out ------------------------------------------------------------------------------


def spec_to_proto(spec: JobSpec, *, in_short: bool = False) -> job_pb2.JobSpec:
    """The spec as clients see it.

    in_short, for listings: without environment (it may be 256 KiB), speeds (1,024), and an array's
    indexes (10,000 tasks would each name all of them).
    """
    return job_pb2.JobSpec(
        name=spec.name,
        kind=_KIND_TO_PROTO[spec.kind],
        priority=spec.priority,
        labels=spec.labels,
        roles=[_role_to_proto(role) for role in spec.roles],
        workdir=spec.workdir,
        env={} if in_short else spec.env,
        node_selector=spec.node_selector,
        strategy=_STRATEGY_TO_PROTO[spec.strategy],
        grace_ms=spec.grace_ms,
        queue=spec.queue,
        not_preemptible=not spec.preemptible,
        preemption=_preemption_to_proto(spec.preemption),
        checkpoint=_checkpoint_to_proto(spec.checkpoint),
        walltime_ms=spec.walltime_ms,
        expected_ms=spec.expected_ms,
        start_after_ms=spec.start_after_ms,
        deadline_ms=spec.deadline_ms,
        due_ms=spec.due_ms,
        affinity=[
            job_pb2.LabelRule(
                key=rule.key, op=_LABEL_OP_TO_PROTO[rule.op], values=rule.values, weight=rule.weight
            )
            for rule in spec.affinity
        ],
        tolerations=spec.tolerations,
        exclude_nodes=spec.exclude_nodes,
        exclusive_node=spec.exclusive_node,
        topology=_topology_to_proto(spec.topology),
        depends_on=[
            job_pb2.Dependency(job_id=one.job_id, condition=_CONDITION_TO_PROTO[one.condition])
            for one in spec.depends_on
        ],
        array=_array_to_proto(spec.array, in_short) if spec.array else None,
        retry=_retry_to_proto(spec.retry),
        movable=spec.movable,
        allow_future=spec.allow_future,
        speeds=[] if in_short else [_speed_to_proto(one) for one in spec.speeds],
    )


def _speed_to_proto(speed: SpeedOn) -> job_pb2.SpeedOn:
    return job_pb2.SpeedOn(
        gpu_type=speed.gpu_type,
        gpus=speed.gpus,
        nodes=speed.nodes,
        speed_micro=speed.speed_micro,
    )


def _role_to_proto(role: Role) -> job_pb2.Role:
    need, elastic = role.need, role.elastic
    return job_pb2.Role(
        name=role.name,
        shards=role.shards,
        resources=job_pb2.Resources(
            gpu_milli=need.gpu_milli,
            cpu_milli=need.cpu_milli,
            memory_mib=need.memory_mib,
            gpu_share_mib=need.gpu_share_mib,
        ),
        command=role.command,
        gpu_types=need.gpu_types,
        gpu_memory_mib=need.gpu_memory_mib,
        gpu_types_in_order=need.in_order,
        elastic=job_pb2.Elastic(
            min_shards=elastic.min_shards,
            max_shards=elastic.max_shards,
            step=elastic.step,
            cost_ms=elastic.cost_ms,
            interval_ms=elastic.interval_ms,
        )
        if elastic
        else None,
    )


def _preemption_to_proto(preemption: Preemption) -> job_pb2.Preemption | None:
    if preemption == _SPEC.preemption:
        return None
    return job_pb2.Preemption(
        mode=_MODE_TO_PROTO[preemption.mode],
        min_runtime_ms=preemption.min_runtime_ms,
        max_per_day=preemption.max_per_day,
        delay_ms=preemption.delay_ms,
    )


def _checkpoint_to_proto(checkpoint: Checkpoint) -> job_pb2.Checkpoint | None:
    if checkpoint == _SPEC.checkpoint:
        return None
    return job_pb2.Checkpoint(signal=checkpoint.signal, notice_ms=checkpoint.notice_ms)


def _topology_to_proto(topology: Topology) -> job_pb2.Topology | None:
    if topology == _SPEC.topology:
        return None
    return job_pb2.Topology(
        required=topology.required, preferred=topology.preferred, wait_ms=topology.wait_ms
    )


def _array_to_proto(array: Array, in_short: bool) -> job_pb2.Array:
    indexes = () if in_short else array.indexes
    return job_pb2.Array(indexes=indexes, max_parallel=array.max_parallel)


def _retry_to_proto(retry: Retry) -> job_pb2.Retry | None:
    if retry == _RETRY:
        return None
    return job_pb2.Retry(
        limit=retry.limit,
        backoff_ms=retry.backoff_ms,
        factor_milli=retry.factor_milli,
        backoff_max_ms=retry.backoff_max_ms,
        rules=[
            job_pb2.RetryRule(
                action=_ACTION_TO_PROTO[rule.action],
                exit_codes=rule.exit_codes,
                reasons=rule.reasons,
                avoid_node=rule.avoid_node,
                is_free=not rule.counts,
                memory_factor_milli=rule.memory_factor_milli,
            )
            for rule in retry.rules
        ],
    )
