"""What a job asks for, in a person's words; what is left to defaults is left out."""

from aimass import units
from aimass.jobwords import ACTIONS, CONDITIONS, LABEL_OPS, MODES, named
from aimass.speedview import speed_texts
from aimass.v1 import job_pb2

SPEEDS_SHOWN = 8
DEFAULT_INTERVAL_MS = 600_000  # as in job.proto; not worth a word
_OPS = {"in": "in", "notIn": "not in", "exists": "exists", "absent": "absent"}


def role_text(role: job_pb2.Role) -> str:
    """Give a role in one line: worker: 4 x 2 GPU, 8 CPU, elastic 2 to 8."""
    need = role.resources
    if need.gpu_share_mib:
        parts = [f"{units.memory_text(need.gpu_share_mib)} of a GPU"]
    else:
        parts = [f"{units.number(need.gpu_milli)} GPU"]
    between = ", then " if role.gpu_types_in_order else " or "
    parts += [between.join(role.gpu_types)] if role.gpu_types else []
    parts += [f"≥ {units.memory_text(role.gpu_memory_mib)} each"] if role.gpu_memory_mib else []
    parts += [f"{units.number(need.cpu_milli)} CPU"] if need.cpu_milli else []
    parts += [units.memory_text(need.memory_mib)] if need.memory_mib else []
    if role.HasField("elastic"):
        elastic = role.elastic
        step = f" in steps of {elastic.step}" if elastic.step > 1 else ""
        parts.append(f"elastic {elastic.min_shards} to {elastic.max_shards}{step}")
        if elastic.HasField("interval_ms") and elastic.interval_ms != DEFAULT_INTERVAL_MS:
            parts.append(
                f"resized {units.duration_text(elastic.interval_ms)} after a start or later"
            )
    return f"{role.name}: {role.shards} x {', '.join(parts)}"


def spec_rows(spec: job_pb2.JobSpec) -> list[tuple[str, list[str]]]:
    """Give (title, lines) of what a spec says beyond roles, command and workdir."""
    rows = [
        ("queue", [spec.queue] if spec.queue not in ("", "default") else []),
        ("time", _time_lines(spec)),
        ("speed", _speed_lines(spec)),
        ("after", [_dependency_text(one) for one in spec.depends_on]),
        ("tasks", _task_lines(spec.array)),
        ("place", _place_lines(spec)),
        ("stop", _stop_lines(spec)),
        ("retry", _retry_lines(spec.retry)),
    ]
    return [(title, lines) for title, lines in rows if lines]


def _time_lines(spec: job_pb2.JobSpec) -> list[str]:
    parts = []
    if spec.walltime_ms:
        parts.append(f"limit {units.duration_text(spec.walltime_ms)}")
    if spec.expected_ms:
        parts.append(f"expected {units.duration_text(spec.expected_ms)}")
    if spec.start_after_ms:
        parts.append(f"from {units.time_text(spec.start_after_ms)}")
    if spec.deadline_ms:
        parts.append(f"over by {units.time_text(spec.deadline_ms)}")
    if spec.due_ms:
        parts.append(f"due {units.time_text(spec.due_ms)}")
    return [", ".join(parts)] if parts else []


def _speed_lines(spec: job_pb2.JobSpec) -> list[str]:
    lines = list(speed_texts(spec.speeds))
    more = len(lines) - SPEEDS_SHOWN
    return lines if more <= 0 else [*lines[:SPEEDS_SHOWN], f"and {more} more: -o yaml"]


def _dependency_text(one: job_pb2.Dependency) -> str:
    condition = named(CONDITIONS, one.condition, "success")
    end = {"any": "end", "each": "success, task by task"}.get(condition, condition)
    return f"{one.job_id}: its {end}"


def _task_lines(array: job_pb2.Array) -> list[str]:
    """Listings leave out the indexes."""
    most = f"at most {array.max_parallel} at once" if array.max_parallel else ""
    text = ", ".join(part for part in (units.indexes_text(array.indexes), most) if part)
    return [text] if text else []


def _place_lines(spec: job_pb2.JobSpec) -> list[str]:
    topology = spec.topology
    lines = []
    if topology.required:
        lines.append(f"within one {topology.required}")
    if topology.preferred:
        wait = f", waits {units.duration_text(topology.wait_ms)} for it" if topology.wait_ms else ""
        lines.append(f"if possible within one {topology.preferred}{wait}")
    lines += [f"{key}={value}" for key, value in sorted(spec.node_selector.items())]
    lines += [_rule_text(rule) for rule in spec.affinity]
    lines += [f"tolerates {taint}" for taint in spec.tolerations]
    lines += ["alone on its nodes"] if spec.exclusive_node else []
    lines += [f"never on {', '.join(spec.exclude_nodes)}"] if spec.exclude_nodes else []
    lines += ["may be moved to make room"] if spec.movable else []
    lines += ["accepted for nodes to come"] if spec.allow_future else []
    return lines


def _rule_text(rule: job_pb2.LabelRule) -> str:
    op = _OPS[named(LABEL_OPS, rule.op, "in")]
    text = " ".join([rule.key, op, *([", ".join(rule.values)] if rule.values else [])])
    return f"{text}, preferred by {rule.weight}" if rule.weight else text


def _stop_lines(spec: job_pb2.JobSpec) -> list[str]:
    preemption, checkpoint = spec.preemption, spec.checkpoint
    lines = ["never preempted"] if spec.not_preemptible else []
    mode = named(MODES, preemption.mode, "requeue")
    lines += [f"when preempted: {mode}"] if mode != "requeue" else []
    if preemption.min_runtime_ms:
        least = units.duration_text(preemption.min_runtime_ms)
        lines.append(f"not preempted in its first {least}")
    if preemption.max_per_day:
        lines.append(f"preempted at most {preemption.max_per_day} times a day")
    if preemption.delay_ms:
        lines.append(f"preempts others after {units.duration_text(preemption.delay_ms)}")
    if checkpoint.signal:
        notice = units.duration_text(checkpoint.notice_ms)
        lines.append(f"checkpoints on {checkpoint.signal}, {notice} before SIGTERM")
    return lines


def _retry_lines(retry: job_pb2.Retry) -> list[str]:
    lines = [f"at most {retry.limit} times"] if retry.limit else []
    for rule in retry.rules:
        codes = [f"exit code {code}" for code in rule.exit_codes]
        when = " or ".join([*rule.reasons, *codes]) or "otherwise"
        parts = [named(ACTIONS, rule.action, "retry")]
        parts += ["elsewhere"] if rule.avoid_node else []
        parts += ["for free"] if rule.is_free else []
        if rule.memory_factor_milli > 1000:
            parts.append(f"with {units.number(rule.memory_factor_milli)} times the memory")
        lines.append(f"{when}: {', '.join(parts)}")
    return lines
