"""problems(spec): what makes a spec impossible whatever the cluster. The edge asks once.

Fields are named as a job file names them; see field_words.py for the flags.
"""

import re
from collections.abc import Iterable, Iterator

from aimass.core.model import ExitReason
from aimass.core.spans import span_text
from aimass.core.spec import (
    WHOLE_GPU_MILLI,
    DependsOn,
    Elastic,
    JobSpec,
    LabelOp,
    Need,
    PreemptMode,
    Retry,
    Role,
)
from aimass.core.speeds import Speeds

SHARDS_MAX = 4096
ARRAY_TASKS_MAX = 10_000
DEPENDENCIES_MAX = 1000
RULES_MAX = 100
EXIT_CODES_MAX = 256
ENV_BYTES_MAX = 256 * 1024
LAUNCH_BYTES_MAX = 4 * 1024 * 1024  # command and environment, times the shards they are sent to
NAMES_BYTES_MAX = 64 * 1024  # labels, node selector and device models together
GRACE_MS_MAX = 24 * 3600 * 1000
SPAN_MS_MAX = 10 * 365 * 24 * 3600 * 1000  # ten years: above every sensible length of time
TIME_MS_MAX = 253_402_300_799_000  # the end of the year 9999: later is on no calendar
PRIORITY_ABS_MAX = 1_000_000
RETRIES_MAX = 100
SPEEDS_MAX = 1024
SPEED_MICRO_MAX = 1_000_000 * 1_000_000
AMOUNT_MAX = 2**40  # of any resource: far above every machine, far below 64-bit overflow
SIGNALS = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGCONT", "SIGWINCH")

REASONS = tuple(r.value for r in ExitReason if not r.is_infrastructure)  # the others never count

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

Problem = tuple[str, str]
"""(field, what is wrong and what is allowed)"""


def problems(spec: JobSpec) -> Iterator[Problem]:
    """Yield (field, what is wrong and what is allowed); nothing for a possible spec."""
    if not _NAME.match(spec.name):
        yield "name", f"{spec.name[:40]!r}: letters, digits, '.', '_', '-'; 1 to 253 characters"
    if not _NAME.match(spec.queue):
        yield "queue", f"{spec.queue[:40]!r}: the name of a queue, see massctl queue ls"
    if abs(spec.priority) > PRIORITY_ABS_MAX:
        yield "priority", f"{spec.priority}: -{PRIORITY_ABS_MAX} to {PRIORITY_ABS_MAX}"
    if not spec.workdir.startswith("/") or _CONTROL.search(spec.workdir):
        yield "workdir", f"{spec.workdir[:80]!r}: an absolute path, without control characters"
    yield from _span_problem("gracePeriod", spec.grace_ms, GRACE_MS_MAX)
    yield from _text_problems(spec)
    yield from _word_problems(spec)
    yield from _role_problems(spec)
    yield from _time_problems(spec)
    yield from _placement_problems(spec)
    yield from _lifecycle_problems(spec)
    yield from _retry_problems(spec.retry)


def control_problem(field: str, text: str) -> Iterator[Problem]:
    """Control characters would break the lines and tables in which the text is shown."""
    if _CONTROL.search(text):
        yield field, f"{text[:40]!r}: no control characters, such as a line break"


def _span_problem(field: str, span_ms: int, most_ms: int) -> Iterator[Problem]:
    if not 0 <= span_ms <= most_ms:
        length = span_text(span_ms) if span_ms > 0 else f"{span_ms} ms"
        yield field, f"{length}: 0 to {span_text(most_ms)}"


# ---- texts --------------------------------------------------------------------------------------


def _text_problems(spec: JobSpec) -> Iterator[Problem]:
    env_bytes = sum(len(k.encode()) + len(v.encode()) for k, v in spec.env.items())
    launch_bytes = sum(
        _most_shards(role) * (env_bytes + sum(len(word.encode()) for word in role.command))
        for role in spec.roles
    )
    if env_bytes > ENV_BYTES_MAX:
        yield "env", f"more than {ENV_BYTES_MAX} bytes"
    elif launch_bytes > LAUNCH_BYTES_MAX:
        limit = f"at most {LAUNCH_BYTES_MAX}: put the bulk into a file that the shards read"
        yield "env", f"with the command, {launch_bytes} bytes over all shards; {limit}"
    names = [*spec.labels.items(), *spec.node_selector.items()]
    names += [(model, "") for role in spec.roles for model in role.need.gpu_types]
    names += [(rule.key, value) for rule in spec.affinity for value in (*rule.values, "")]
    names += [(name, "") for name in (*spec.tolerations, *spec.exclude_nodes)]
    if sum(len(k.encode()) + len(v.encode()) for k, v in names) > NAMES_BYTES_MAX:
        yield "labels", f"with all rules on nodes and GPU types, more than {NAMES_BYTES_MAX} bytes"
    for key, value in spec.env.items():
        if not key or "=" in key or _CONTROL.search(key) or "\0" in value:
            yield "env", f"{key[:40]!r}: a name without '=' and control characters, no NUL"


def _word_problems(spec: JobSpec) -> Iterator[Problem]:
    """Names that are shown and compared: none empty, of control characters, or given twice."""
    yield from _list_problems("placement.excludeNodes", spec.exclude_nodes)
    yield from _list_problems("placement.tolerations", spec.tolerations)
    for taint in spec.tolerations:
        if taint.startswith("="):
            yield "placement.tolerations", f"{taint[:40]!r}: KEY or KEY=VALUE"
    for role in spec.roles:
        yield from _list_problems(f"roles.{role.name[:40]}.resources.gpuTypes", role.need.gpu_types)
    for field, table in (("labels", spec.labels), ("placement.nodeSelector", spec.node_selector)):
        for key, value in table.items():
            if not key:
                yield field, "a name is empty"
            yield from control_problem(field, key + value)
    for rule in spec.affinity:
        yield from control_problem("placement.affinity", "".join((rule.key, *rule.values)))


def _list_problems(field: str, words: Iterable[str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for word in words:
        if not word:
            yield field, "one of them is empty: leave it out"
        yield from control_problem(field, word)
        if word in seen:
            yield field, f"{word[:40]!r} is named twice: name each once"
        seen.add(word)


# ---- roles --------------------------------------------------------------------------------------


def _most_shards(role: Role) -> int:
    return max(role.shards, role.elastic.max_shards if role.elastic else 0)


def _role_problems(spec: JobSpec) -> Iterator[Problem]:
    if not spec.roles:
        yield "roles", "a job needs at least one role with a command"
    if len({role.name for role in spec.roles}) < len(spec.roles):
        yield "roles", "each role needs a name of its own"
    if (most := sum(_most_shards(role) for role in spec.roles)) > SHARDS_MAX:
        yield "roles", f"{most} shards: at most {SHARDS_MAX}"
    if sum(role.elastic is not None for role in spec.roles) > 1:
        yield "roles", "at most one role may be elastic"
    for role in spec.roles:
        where = f"roles.{role.name[:40]}"
        if not _NAME.match(role.name):
            yield where, "name: letters, digits, '.', '_', '-'"
        if role.shards < 1:
            yield f"{where}.shards", f"{role.shards}: at least 1"
        if not role.command or not role.command[0] or any("\0" in a for a in role.command):
            yield f"{where}.command", "a program and its arguments, without NUL characters"
        yield from _need_problems(f"{where}.resources", role.need)
        if role.elastic is not None:
            yield from _elastic_problems(f"{where}.elastic", role.shards, role.elastic)


def _need_problems(where: str, need: Need) -> Iterator[Problem]:
    amounts = (
        *(need.gpu_milli, need.cpu_milli, need.memory_mib),
        *(need.gpu_memory_mib, need.gpu_share_mib),
    )
    if min(amounts) < 0 or max(amounts) > AMOUNT_MAX:
        yield where, "an amount is negative, or larger than any machine"
    elif need.gpu_milli > WHOLE_GPU_MILLI and need.gpu_milli % WHOLE_GPU_MILLI:
        gpus = f"{need.gpu_milli / WHOLE_GPU_MILLI:g}"
        yield f"{where}.gpus", f"{gpus}: whole GPUs, or a share of one (below 1)"
    if need.gpu_milli and need.gpu_share_mib:
        yield f"{where}.gpuShare", "given beside gpus: a share is said by one of them"
    if (need.gpu_types or need.gpu_memory_mib) and not need.has_gpu:
        yield f"{where}.gpuTypes", "a device model or memory is asked for, but no GPU"


def _elastic_problems(where: str, shards: int, elastic: Elastic) -> Iterator[Problem]:
    low, high, step = elastic.min_shards, elastic.max_shards, elastic.step
    if not 1 <= low <= high:
        yield where, f"min {low}, max {high}: at least 1, and min at most max"
    elif not low <= shards <= high:
        yield where, f"{shards} shards are asked for, outside {low} to {high}"
    elif step < 1 or (shards - low) % step:
        yield f"{where}.step", f"{step}: at least 1, and {shards} must be min plus whole steps"
    elif step > high - low > 0:
        yield f"{where}.step", f"{step}: at most {high - low}, or {low} is its only size"
    yield from _span_problem(f"{where}.resizeCost", elastic.cost_ms, SPAN_MS_MAX)
    yield from _span_problem(f"{where}.resizeInterval", elastic.interval_ms, SPAN_MS_MAX)


# ---- times, places, life ------------------------------------------------------------------------


def _time_problems(spec: JobSpec) -> Iterator[Problem]:
    spans = {
        "timeLimit": spec.walltime_ms,
        "expectedRuntime": spec.expected_ms,
        "placement.topology.wait": spec.topology.wait_ms,
        "preemption.minRuntime": spec.preemption.min_runtime_ms,
        "preemption.delay": spec.preemption.delay_ms,
    }
    for name, span_ms in spans.items():
        yield from _span_problem(name, span_ms, SPAN_MS_MAX)
    yield from _span_problem("checkpoint.gracePeriod", spec.checkpoint.notice_ms, GRACE_MS_MAX)
    times = (("startAfter", spec.start_after_ms), ("deadline", spec.deadline_ms))
    for name, at_ms in (*times, ("due", spec.due_ms)):
        if not 0 <= at_ms <= TIME_MS_MAX:
            yield name, "a time in the years 1970 to 9999"
    yield from speeds_problems(spec.speeds)
    if spec.deadline_ms and spec.start_after_ms + spec.run_ms > spec.deadline_ms:
        yield "deadline", "it starts too late, or runs too long, to be over by then"


def speeds_problems(speeds: Speeds) -> Iterator[Problem]:
    """What is wrong with declared or measured speeds; nothing for possible ones."""
    if len(speeds) > SPEEDS_MAX:
        yield "speeds", f"{len(speeds)} settings: at most {SPEEDS_MAX}"
    if len({(s.gpu_type, s.gpus, s.nodes) for s in speeds}) < len(speeds):
        yield "speeds", "a setting comes twice: one speed for each GPU type, number and nodes"
    for speed in speeds:
        yield from control_problem("speeds", speed.gpu_type)
        if not (0 <= speed.gpus <= AMOUNT_MAX and 0 <= speed.nodes <= SHARDS_MAX):
            yield "speeds", f"on {speed.gpus} GPUs of {speed.nodes} nodes: 0 (any) or more"
        if not 0 <= speed.speed_micro <= SPEED_MICRO_MAX:
            yield "speeds", f"{speed.speed_micro} millionths of the normal speed: 0 to 1000000 fold"


def _placement_problems(spec: JobSpec) -> Iterator[Problem]:
    affinity, topology = "placement.affinity", spec.topology
    if len(spec.affinity) > RULES_MAX or len(spec.tolerations) > RULES_MAX:
        yield affinity, f"at most {RULES_MAX} rules, and as many tolerations"
    for rule in spec.affinity:
        needs_values = rule.op in (LabelOp.IN, LabelOp.NOT_IN)
        if not rule.key or needs_values != bool(rule.values):
            few = "a key; values for in and notIn, none for exists and absent"
            yield affinity, f"{rule.key[:40]!r} {_OPS[rule.op]}: {few}"
        if not 0 <= rule.weight <= 1000:
            yield affinity, f"weight {rule.weight}: 0 (required) to 1000"
    for key, value in spec.node_selector.items():
        for rule in spec.affinity:
            excluded = rule.op is LabelOp.NOT_IN and value in rule.values
            if rule.key == key and not rule.weight and (rule.op is LabelOp.ABSENT or excluded):
                yield affinity, f"{key}={value} is selected and ruled out at once"
    yield from control_problem("placement.topology", topology.required + topology.preferred)
    if topology.required and topology.required == topology.preferred:
        what = "required and preferred are the same level: required says it already"
        yield "placement.topology.preferred", what
    if topology.wait_ms and not topology.preferred:
        yield "placement.topology.wait", "waits for a preferred level, and none is given"


_OPS = {
    LabelOp.IN: "in",
    LabelOp.NOT_IN: "notIn",
    LabelOp.EXISTS: "exists",
    LabelOp.ABSENT: "absent",
}


def _lifecycle_problems(spec: JobSpec) -> Iterator[Problem]:
    if spec.checkpoint.signal and spec.checkpoint.signal not in SIGNALS:
        yield "checkpoint.signal", f"{spec.checkpoint.signal[:40]!r}: one of {', '.join(SIGNALS)}"
    if not 0 <= spec.preemption.max_per_day <= 1000:
        yield "preemption.maxPerDay", f"{spec.preemption.max_per_day}: 0 (any) to 1000"
    if spec.preemption.mode is PreemptMode.SHRINK and spec.elastic_role < 0:
        yield "preemption.mode", "shrink is for jobs with an elastic role"
    if len(spec.depends_on) > DEPENDENCIES_MAX:
        yield "dependsOn", f"at most {DEPENDENCIES_MAX} jobs"
    if len({d.job_id for d in spec.depends_on}) < len(spec.depends_on):
        yield "dependsOn", "a job is named twice: one dependency on each"
    if any(d.condition is DependsOn.EACH for d in spec.depends_on) and spec.array is None:
        yield "dependsOn", "each is for the tasks of an array"
    if spec.array is not None:
        indexes = spec.array.indexes
        if not 1 <= len(indexes) <= ARRAY_TASKS_MAX:
            yield "array", f"{len(indexes)} tasks: 1 to {ARRAY_TASKS_MAX}"
        elif list(indexes) != sorted(set(indexes)) or indexes[0] < 0 or indexes[-1] > AMOUNT_MAX:
            yield "array", "indexes: whole numbers from 0, rising, each once"
        if spec.array.max_parallel < 0:
            yield "array.maxParallel", f"{spec.array.max_parallel}: 0 (any number) or more"


def _retry_problems(retry: Retry) -> Iterator[Problem]:
    if not 0 <= retry.limit <= RETRIES_MAX:
        yield "retry.limit", f"{retry.limit}: 0 to {RETRIES_MAX}"
    if not 0 <= retry.backoff_ms <= retry.backoff_max_ms <= SPAN_MS_MAX:
        yield "retry.backoff", "0 or more, and at most its maximum"
    if not 1000 <= retry.factor_milli <= 100_000:
        yield "retry.backoff.factor", f"{retry.factor_milli / 1000:g}: 1 to 100"
    if len(retry.rules) > RULES_MAX:
        yield "retry.rules", f"at most {RULES_MAX}"
    for rule in retry.rules:
        if len(rule.exit_codes) > EXIT_CODES_MAX:
            yield "retry.rules", f"{len(rule.exit_codes)} exit codes: at most {EXIT_CODES_MAX}"
        elif any(not 0 <= code <= 255 for code in rule.exit_codes):
            yield "retry.rules", "exit codes: 0 to 255"
        unknown = [word for word in rule.reasons if word not in REASONS]
        if unknown:
            yield "retry.rules", f"reason {unknown[0][:40]!r}: one of {', '.join(REASONS)}"
        if not 1000 <= rule.memory_factor_milli <= 10_000:
            yield "retry.rules", f"memory factor {rule.memory_factor_milli / 1000:g}: 1 to 10"
