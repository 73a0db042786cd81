"""The words of the scenario language: amounts, spans of time, and the options of `submit`.

Times of day (`at=`, `start-after=`, `deadline=`, `start=`) are on the scenario's own clock, which
begins at 0: `1h30m` is an hour and a half after its first event.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from aimass.core.queues import Cell, QueueSpec
from aimass.core.spec import (
    Array,
    Dependency,
    DependsOn,
    Elastic,
    JobSpec,
    LabelOp,
    LabelRule,
    Need,
    PreemptMode,
    RetryAction,
    RetryRule,
    Role,
    Strategy,
)
from aimass.core.windows import WindowSpec

_BYTES = {"MiB": 1, "GiB": 1024, "TiB": 1024 * 1024}
_SPANS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_SPAN = re.compile(r"([0-9]+)(d|h|ms|m|s)")


@dataclass(frozen=True)
class Words:
    """A command's arguments: plain words, and key=value pairs in their order."""

    plain: list[str]
    pairs: list[tuple[str, str]]

    def get(self, key: str, default: str) -> str:
        """The last value given for a key."""
        return dict(self.pairs).get(key, default)

    def labels(self, key: str) -> dict[str, str]:
        """All `key=name:value` as a mapping."""
        return dict(value.split(":", 1) for k, value in self.pairs if k == key)

    def names(self, key: str) -> tuple[str, ...]:
        """The words of `key=a,b`."""
        return tuple(word for word in self.get(key, "").split(",") if word)


def milli(text: str) -> int:
    """Thousandths: `0.25` is 250."""
    return round(float(text) * 1000)


def mib(text: str) -> int:
    """MiB of an amount with its unit: `2GiB` is 2048."""
    return int(text[:-3]) * _BYTES[text[-3:]]


def span_ms(text: str) -> int:
    """A length of time, or a time on the scenario's clock: `1h30m`, `90s`, `2d`."""
    parts = _SPAN.findall(text)
    assert "".join(a + b for a, b in parts) == text, f"{text}: no length of time"
    return sum(int(count) * _SPANS[unit] for count, unit in parts)


def clock_text(at_ms: int) -> str:
    """The inverse of span_ms."""
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, at_ms = divmod(at_ms, _SPANS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def amounts(text: str) -> dict[str, int]:
    """`gpu:8,gpu:H100:4,cpu:64,memory:1TiB` in the units of queues."""
    found = {}
    for part in text.split(","):
        key, amount = part.rsplit(":", 1)
        found[key] = mib(amount) if key == "memory" else milli(amount)
    return found


def indexes(text: str) -> tuple[int, ...]:
    """`0-4` or `1,3,5`."""
    first, dash, last = text.partition("-")
    return tuple(range(int(first), int(last) + 1)) if dash else tuple(map(int, text.split(",")))


_NEEDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "gpus": ("gpu_milli", milli),
    "cpus": ("cpu_milli", milli),
    "memory": ("memory_mib", mib),
    "type": ("gpu_types", lambda text: tuple(text.split(","))),
    "gpu-memory": ("gpu_memory_mib", mib),
    "gpu-share": ("gpu_share_mib", mib),
    "in-order": ("in_order", lambda text: text == "yes"),
}
assert {field for field, _ in _NEEDS.values()} == {f.name for f in fields(Need)}


def _elastic(text: str) -> Elastic:
    """`MIN-MAX[:STEP[:COST[:INTERVAL]]]`."""
    sizes, *rest = text.split(":")
    low, high = map(int, sizes.split("-"))
    elastic = Elastic(low, high, int(rest[0]) if rest else 1)
    if len(rest) > 1:
        elastic = replace(elastic, cost_ms=span_ms(rest[1]))
    return replace(elastic, interval_ms=span_ms(rest[2])) if len(rest) > 2 else elastic


def _role(roles: list[Role], key: str, value: str) -> bool:
    """Take a word that is about a role; False when it is not."""
    if key == "role":
        roles.append(Role(value, 1, Need(), ("train",)))
    elif key == "shards":
        roles[-1] = replace(roles[-1], shards=int(value))
    elif key == "elastic":
        elastic = _elastic(value)
        shards = max(roles[-1].shards, elastic.min_shards)
        roles[-1] = replace(roles[-1], elastic=elastic, shards=shards)
    elif key in _NEEDS:
        field, parse = _NEEDS[key]
        roles[-1] = replace(roles[-1], need=replace(roles[-1].need, **{field: parse(value)}))
    else:
        return False
    return True


def _array(spec: JobSpec, text: str) -> JobSpec:
    """`0-9%2`: ten tasks, two at a time."""
    tasks, _, most = text.partition("%")
    return replace(spec, array=Array(indexes(tasks), int(most or 0)))


def _after(condition: DependsOn) -> Callable[[JobSpec, str], JobSpec]:
    def take(spec: JobSpec, text: str) -> JobSpec:
        more = tuple(Dependency(job_id, condition) for job_id in text.split(","))
        return replace(spec, depends_on=(*spec.depends_on, *more))

    return take


def _retry_rule(spec: JobSpec, text: str) -> JobSpec:
    """`ACTION[:code=1,2][:reason=OUT_OF_MEMORY][:avoid][:free][:memory=1.5]`."""
    action, *rest = text.split(":")
    rule = RetryRule(RetryAction(action.upper()))
    for word in rest:
        key, _, value = word.partition("=")
        if key == "code":
            rule = replace(rule, exit_codes=tuple(map(int, value.split(","))))
        elif key == "reason":
            rule = replace(rule, reasons=tuple(value.split(",")))
        elif key == "memory":
            rule = replace(rule, memory_factor_milli=milli(value))
        else:
            rule = replace(rule, **{"avoid": {"avoid_node": True}, "free": {"counts": False}}[key])
    return replace(spec, retry=replace(spec.retry, rules=(*spec.retry.rules, rule)))


def _affinity(spec: JobSpec, text: str) -> JobSpec:
    """`zone:IN:a,b[:WEIGHT]`, `zone:EXISTS`."""
    key, op, *rest = text.split(":")
    values = tuple(rest[0].split(",")) if rest and rest[0] else ()
    rule = LabelRule(key, LabelOp(op), values, int(rest[1]) if len(rest) > 1 else 0)
    return replace(spec, affinity=(*spec.affinity, rule))


def _prefer(spec: JobSpec, text: str) -> JobSpec:
    """`rack[:5m]`: would like to lie in one rack, and waits so long for it."""
    level, _, wait = text.partition(":")
    wait_ms = span_ms(wait) if wait else 0
    return replace(spec, topology=replace(spec.topology, preferred=level, wait_ms=wait_ms))


def _field(name: str, parse: Callable[[str], Any]) -> Callable[[JobSpec, str], JobSpec]:
    """An option that sets one field, perhaps of a part of the spec: `retry.limit`."""
    part, _, inner = name.partition(".")

    def take(spec: JobSpec, text: str) -> JobSpec:
        value = parse(text)
        if inner:
            value = replace(getattr(spec, part), **{inner: value})
        return replace(spec, **{part: value})

    return take


def _yes(text: str) -> bool:
    return {"yes": True, "no": False}[text]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


_OPTIONS: dict[str, Callable[[JobSpec, str], JobSpec]] = {
    "prio": _field("priority", int),
    "grace": _field("grace_ms", lambda text: int(text) * 1000),
    "strategy": _field("strategy", lambda text: Strategy(text.upper())),
    "queue": _field("queue", str),
    "time": _field("walltime_ms", span_ms),
    "expected": _field("expected_ms", span_ms),
    "start-after": _field("start_after_ms", span_ms),
    "deadline": _field("deadline_ms", span_ms),
    "preemptible": _field("preemptible", _yes),
    "min-runtime": _field("preemption.min_runtime_ms", span_ms),
    "max-per-day": _field("preemption.max_per_day", int),
    "preempt-delay": _field("preemption.delay_ms", span_ms),
    "preempt-mode": _field("preemption.mode", lambda text: PreemptMode(text.upper())),
    "checkpoint": _field("checkpoint.signal", str),
    "notice": _field("checkpoint.notice_ms", span_ms),
    "topology": _field("topology.required", str),
    "prefer": _prefer,
    "affinity": _affinity,
    "tolerate": _field("tolerations", _words),
    "exclude": _field("exclude_nodes", _words),
    "array": _array,
    "after": _after(DependsOn.SUCCESS),
    "after-any": _after(DependsOn.ANY),
    "after-failure": _after(DependsOn.FAILURE),
    "after-each": _after(DependsOn.EACH),
    "retry": _field("retry.limit", int),
    "backoff": _field("retry.backoff_ms", span_ms),
    "backoff-factor": _field("retry.factor_milli", milli),
    "backoff-max": _field("retry.backoff_max_ms", span_ms),
    "retry-rule": _retry_rule,
}
_FLAGS = {"exclusive": "exclusive_node", "movable": "movable", "future": "allow_future"}
_NOT_OF_THE_SPEC = ("select", "user")


def spec_of(words: Words, base: JobSpec | None = None) -> JobSpec:
    """The JobSpec of a `submit` line, or what an `update` line makes of another."""
    spec = base or JobSpec(words.plain[0], (Role("worker", 1, Need(), ("train",)),))
    roles = [] if words.pairs and words.pairs[0][0] == "role" else list(spec.roles)
    for key, value in words.pairs:
        if not _role(roles, key, value) and key not in _NOT_OF_THE_SPEC:
            assert key in _OPTIONS, f"submit knows no {key}="
            spec = _OPTIONS[key](spec, value)
    for flag in words.plain[1:]:
        assert flag in (*_FLAGS, "hold"), f"submit knows no {flag}"
        if flag in _FLAGS:
            spec = replace(spec, **{_FLAGS[flag]: True})
    selector = words.labels("select") or spec.node_selector
    return replace(spec, roles=tuple(roles), node_selector=selector)


_QUEUE_WORDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "parent": ("parent", str),
    "weight": ("weight", int),
    "reclaim": ("reclaim", _yes),
    "quota": ("quota", amounts),
    "limit": ("limit", amounts),
    "borrow": ("borrow_limit", amounts),
    "lend": ("lend_limit", amounts),
    "job-limit": ("job_limit", amounts),
    "max-jobs": ("max_jobs", int),
    "max-queued": ("max_queued", int),
    "half-life": ("half_life_ms", span_ms),
    "min-runtime": ("min_runtime_ms", span_ms),
    "max-time": ("max_walltime_ms", span_ms),
    "reserve": ("reserve", lambda text: tuple(map(cell_of, text.split(",")))),
}


def cell_of(text: str) -> Cell:
    """`4x8xH100`: 4 cells of 8 GPUs; `2x4x8xH100@rack`: each of 4 shards in one rack."""
    shape, _, level = text.partition("@")
    *numbers, model = shape.split("x")
    count, *shards, gpus = map(int, numbers)
    return Cell(gpus, model, count, shards[0] if shards else 1, level)


def queue_of(words: Words) -> QueueSpec:
    """The QueueSpec of a `queue` line."""
    spec = QueueSpec(words.plain[0])
    for key, value in words.pairs:
        if key == "priorities":
            low, high = map(int, value.split(".."))
            spec = replace(spec, priority_min=low, priority_max=high)
        else:
            field, parse = _QUEUE_WORDS[key]
            spec = replace(spec, **{field: parse(value)})
    return spec


def window_of(words: Words) -> WindowSpec:
    """The WindowSpec of a `window` line."""
    return WindowSpec(
        words.plain[0],
        span_ms(words.get("start", "")),
        span_ms(words.get("length", "")),
        words.names("nodes"),
        span_ms(words.get("every", "")),
        words.names("users"),
        words.names("queues"),
        "maintenance" in words.plain,
        span_ms(words.get("until", "")),
    )
