"""A spec message as a job file: what `-o json` and `-o yaml` print, and can be submitted again."""

from typing import Any

from aimass import units
from aimass.jobwords import ACTIONS, CONDITIONS, KINDS, LABEL_OPS, MODES, STRATEGIES, named
from aimass.speedview import speeds_view
from aimass.v1 import job_pb2
from aimass.wire import DEFAULT_GRACE_MS

API_VERSION = "aimass/v1"
View = dict[str, Any]


def spec_view(spec: job_pb2.JobSpec) -> View:
    """Give a spec as a job file: reading it again gives the same spec. Nothing for defaults."""
    return _without_empty(
        {
            "apiVersion": API_VERSION,
            "kind": named(KINDS, spec.kind, "TrainJob"),
            "name": spec.name,
            "queue": spec.queue or None,
            "priority": spec.priority,
            "preemptible": False if spec.not_preemptible else None,
            "labels": dict(sorted(spec.labels.items())),
            "workdir": spec.workdir,
            "env": dict(sorted(spec.env.items())),
            "roles": [_role_view(role) for role in spec.roles],
            "placement": _placement_view(spec),
            "gracePeriod": units.duration_text(
                spec.grace_ms if spec.HasField("grace_ms") else DEFAULT_GRACE_MS
            ),
            "timeLimit": _span(spec.walltime_ms),
            "expectedRuntime": _span(spec.expected_ms),
            "speeds": speeds_view(spec.speeds),
            "startAfter": _time(spec.start_after_ms),
            "deadline": _time(spec.deadline_ms),
            "due": _time(spec.due_ms),
            "dependsOn": [
                {"job": one.job_id, "condition": named(CONDITIONS, one.condition, "success")}
                for one in spec.depends_on
            ],
            "array": _array_view(spec.array) if spec.HasField("array") else None,
            "checkpoint": _checkpoint_view(spec.checkpoint),
            "preemption": _preemption_view(spec) if spec.HasField("preemption") else None,
            "retry": _retry_view(spec.retry) if spec.HasField("retry") else None,
            "movable": spec.movable or None,
            "allowFuture": spec.allow_future or None,
        }
    )


def _without_empty(view: View) -> View:
    return {key: value for key, value in view.items() if value not in (None, {}, [])}


def _span(ms: int) -> str | None:
    return units.duration_text(ms) if ms else None


def _time(ms: int) -> str | None:
    return units.time_text(ms) if ms else None


def _role_view(role: job_pb2.Role) -> View:
    need = role.resources
    types = "gpuTypesInOrder" if role.gpu_types_in_order else "gpuTypes"
    share_mib = need.gpu_share_mib
    resources = {
        "gpus": None if share_mib else units.number(need.gpu_milli),
        "gpuShare": units.memory_text(share_mib) if share_mib else None,
        types: list(role.gpu_types),
        "gpuMemory": units.memory_text(role.gpu_memory_mib) if role.gpu_memory_mib else None,
        "cpus": units.number(need.cpu_milli),
        "memory": units.memory_text(need.memory_mib),
    }
    return _without_empty(
        {
            "name": role.name,
            "shards": role.shards,
            "elastic": _elastic_view(role.elastic) if role.HasField("elastic") else None,
            "command": list(role.command),
            "resources": _without_empty(resources),
        }
    )


def _elastic_view(elastic: job_pb2.Elastic) -> View:
    view: View = {"min": elastic.min_shards, "max": elastic.max_shards, "step": elastic.step or 1}
    if elastic.HasField("cost_ms"):
        view["resizeCost"] = units.duration_text(elastic.cost_ms)
    if elastic.HasField("interval_ms"):
        view["resizeInterval"] = units.duration_text(elastic.interval_ms)
    return view


def _placement_view(spec: job_pb2.JobSpec) -> View:
    topology = spec.topology
    return _without_empty(
        {
            "topology": _without_empty(
                {
                    "required": topology.required or None,
                    "preferred": topology.preferred or None,
                    "wait": _span(topology.wait_ms),
                }
            ),
            "strategy": named(STRATEGIES, spec.strategy, None),
            "nodeSelector": dict(sorted(spec.node_selector.items())),
            "affinity": [_rule_view(rule) for rule in spec.affinity],
            "tolerations": list(spec.tolerations),
            "exclusiveNode": spec.exclusive_node or None,
            "excludeNodes": list(spec.exclude_nodes),
        }
    )


def _rule_view(rule: job_pb2.LabelRule) -> View:
    view = {"key": rule.key, "op": named(LABEL_OPS, rule.op, "in"), "values": list(rule.values)}
    return _without_empty({**view, "weight": rule.weight or None})


def _array_view(array: job_pb2.Array) -> View:
    """Listings leave out the indexes, and then the view does too."""
    view = {"range": units.indexes_text(array.indexes) or None}
    return _without_empty({**view, "maxParallel": array.max_parallel or None})


def _checkpoint_view(checkpoint: job_pb2.Checkpoint) -> View | None:
    if not checkpoint.signal:
        return None
    notice = units.duration_text(checkpoint.notice_ms)
    return {"signal": checkpoint.signal, "gracePeriod": notice}


def _preemption_view(spec: job_pb2.JobSpec) -> View:
    preemption = spec.preemption
    return _without_empty(
        {
            "minRuntime": _span(preemption.min_runtime_ms),
            "maxPerDay": preemption.max_per_day or None,
            "delay": _span(preemption.delay_ms),
            "mode": named(MODES, preemption.mode, "requeue"),
        }
    )


def _retry_view(retry: job_pb2.Retry) -> View:
    backoff: View = {"factor": units.number(retry.factor_milli or 2000)}
    if retry.HasField("backoff_ms"):
        backoff["initial"] = units.duration_text(retry.backoff_ms)
    if retry.HasField("backoff_max_ms"):
        backoff["max"] = units.duration_text(retry.backoff_max_ms)
    rules = [_retry_rule_view(rule) for rule in retry.rules]
    return _without_empty({"limit": retry.limit, "backoff": backoff, "rules": rules})


def _retry_rule_view(rule: job_pb2.RetryRule) -> View:
    factor_milli = rule.memory_factor_milli or 1000
    return _without_empty(
        {
            "onReason": list(rule.reasons),
            "onExitCodes": list(rule.exit_codes),
            "action": named(ACTIONS, rule.action, "retry"),
            "avoidSameNode": rule.avoid_node or None,
            "countsAgainstLimit": False if rule.is_free else None,
            "memoryFactor": units.number(factor_milli) if factor_milli != 1000 else None,
        }
    )
