"""A checked job file to the JobSpec message that is submitted."""

import os
from pathlib import Path

from aimass.jobchecks import shards_given
from aimass.jobmodel import ElasticModel, JobModel, Resources, RetryModel, RoleModel
from aimass.jobwords import ACTIONS, CONDITIONS, KINDS, LABEL_OPS, MODES, STRATEGIES
from aimass.v1 import job_pb2
from aimass.wire import name_from


def spec_of(model: JobModel, file: str, folder: Path) -> job_pb2.JobSpec:
    """Make the message. file: for the default name; folder: what a relative workdir counts from."""
    workdir = os.path.join(folder, model.workdir) if model.workdir else os.getcwd()
    roles = _roles(model)
    program = os.path.basename(roles[0].command[0])
    placement = model.placement
    return job_pb2.JobSpec(
        name=model.name or name_from(program if file == "-" else Path(file).stem),
        kind=KINDS[model.kind],
        priority=model.priority,
        labels=model.labels,
        roles=roles,
        workdir=os.path.normpath(workdir),
        env=model.env,
        node_selector=placement.node_selector,
        strategy=STRATEGIES.get(placement.strategy, job_pb2.STRATEGY_UNSPECIFIED),
        grace_ms=model.grace_period,
        queue=model.queue,
        not_preemptible=not model.preemptible,
        preemption=_preemption(model),
        checkpoint=_checkpoint(model),
        walltime_ms=model.time_limit,
        expected_ms=model.expected_runtime,
        start_after_ms=model.start_after,
        deadline_ms=model.deadline,
        due_ms=model.due,
        affinity=[
            job_pb2.LabelRule(
                key=one.key, op=LABEL_OPS[one.op], values=one.values, weight=one.weight
            )
            for one in placement.affinity
        ],
        tolerations=placement.tolerations,
        exclude_nodes=placement.exclude_nodes,
        exclusive_node=placement.exclusive_node,
        topology=_topology(model),
        depends_on=[
            job_pb2.Dependency(job_id=one.job, condition=CONDITIONS[one.condition])
            for one in model.depends_on
        ],
        array=_array(model),
        retry=_retry(model.retry) if "retry" in model.model_fields_set else None,
        movable=model.movable,
        allow_future=model.allow_future,
        speeds=[job_pb2.SpeedOn(**one._asdict()) for one in model.speeds],
    )


def _roles(model: JobModel) -> list[job_pb2.Role]:
    if model.command:
        shards = shards_given(model, "replicas")
        return [_role("worker", shards, model.command, model.resources, model.elastic)]
    return [_named_role(role) for role in model.roles]


def _named_role(role: RoleModel) -> job_pb2.Role:
    shards = shards_given(role, "shards")
    return _role(role.name, shards, role.command, role.resources, role.elastic)


def _role(
    name: str, shards: int, command: list[str], need: Resources, elastic: ElasticModel | None
) -> job_pb2.Role:
    return job_pb2.Role(
        name=name,
        shards=shards,
        resources=job_pb2.Resources(
            gpu_milli=need.gpus,
            cpu_milli=need.cpus,
            memory_mib=need.memory,
            gpu_share_mib=need.gpu_share,
        ),
        command=command,
        gpu_types=need.gpu_types_in_order or need.gpu_types,
        gpu_memory_mib=need.gpu_memory,
        gpu_types_in_order=bool(need.gpu_types_in_order),
        elastic=_elastic(elastic) if elastic else None,
    )


def _elastic(elastic: ElasticModel) -> job_pb2.Elastic:
    return job_pb2.Elastic(
        min_shards=elastic.min,
        max_shards=elastic.max,
        step=elastic.step,
        cost_ms=elastic.resize_cost,
        interval_ms=elastic.resize_interval,
    )


def _topology(model: JobModel) -> job_pb2.Topology | None:
    topology = model.placement.topology
    if not topology.model_fields_set:
        return None
    return job_pb2.Topology(
        required=topology.required, preferred=topology.preferred, wait_ms=topology.wait
    )


def _array(model: JobModel) -> job_pb2.Array | None:
    if model.array is None:
        return None
    return job_pb2.Array(indexes=model.array.indexes, max_parallel=model.array.max_parallel)


def _checkpoint(model: JobModel) -> job_pb2.Checkpoint | None:
    if not model.checkpoint.signal:
        return None
    return job_pb2.Checkpoint(
        signal=model.checkpoint.signal, notice_ms=model.checkpoint.grace_period
    )


def _preemption(model: JobModel) -> job_pb2.Preemption | None:
    preemption = model.preemption
    if not preemption.model_fields_set:
        return None
    return job_pb2.Preemption(
        mode=MODES[preemption.mode],
        min_runtime_ms=preemption.min_runtime,
        max_per_day=preemption.max_per_day,
        delay_ms=preemption.delay,
    )


def _retry(retry: RetryModel) -> job_pb2.Retry:
    backoff = retry.backoff
    longest = backoff.max if "max" in backoff.model_fields_set else 0
    return job_pb2.Retry(
        limit=retry.limit,
        backoff_ms=backoff.initial,
        factor_milli=backoff.factor,
        backoff_max_ms=longest or max(backoff.max, backoff.initial),
        rules=[
            job_pb2.RetryRule(
                action=ACTIONS[rule.action],
                exit_codes=rule.on_exit_codes,
                reasons=rule.on_reason,
                avoid_node=rule.avoid_same_node,
                is_free=not rule.counts_against_limit,
                memory_factor_milli=rule.memory_factor,
            )
            for rule in retry.rules
        ],
    )
