"""What fields of a job file say against each other. Each finding: its path, what, what to do."""

from collections.abc import Iterator
from typing import Any

from pydantic.alias_generators import to_camel

from aimass.jobmodel import AffinityModel, ElasticModel, JobModel, Resources
from aimass.jobvalues import SHARDS_MAX
from aimass.units import duration_text, time_text
from aimass.yamldoc import Path

ENV_BYTES_MAX = 256 * 1024
LATE_MS = 60_000  # a start time that has just gone by means "now"

Contradiction = tuple[Path, str, str]
"""(path of the field, what is wrong, what is allowed)"""


def misfits(raw: Any) -> Iterator[Contradiction]:
    """Find what does not fit together in the values as read, whatever else is wrong with them."""
    if not isinstance(raw, dict):
        return
    if "roles" in raw:
        for name in ("command", "replicas", "resources", "elastic"):
            if name in raw:
                yield (name,), "given beside roles", "inside each role"
    elif "command" not in raw:
        yield (), "neither command nor roles", "one of them"
    roles = [role for role in _list(raw.get("roles")) if isinstance(role, dict)]
    if "roles" in raw and raw["roles"] == []:
        yield ("roles",), "no role", "at least one"
    yield from _role_misfits(roles)
    for path, holder in [((), raw), *((("roles", i), role) for i, role in enumerate(roles))]:
        yield from _resource_misfits((*path, "resources"), holder.get("resources"))
    env = raw.get("env")
    if isinstance(env, dict):
        size = sum(len(f"{key}{value}".encode()) for key, value in env.items())
        if size > ENV_BYTES_MAX:
            yield ("env",), f"{size} bytes", f"at most {ENV_BYTES_MAX}"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _role_misfits(roles: list[dict[str, Any]]) -> Iterator[Contradiction]:
    names: list[Any] = []
    for index, role in enumerate(roles):
        name = role.get("name")
        if isinstance(name, str) and name in names:
            yield ("roles", index, "name"), f'"{name[:60]}" twice', "a name of its own"
        names.append(name)
    counts = [role.get("shards", 1) for role in roles]
    if all(isinstance(count, int) for count in counts) and sum(counts) > SHARDS_MAX >= max(counts):
        yield ("roles",), f"{sum(counts)} shards in all", f"at most {SHARDS_MAX}"


def _resource_misfits(path: Path, resources: Any) -> Iterator[Contradiction]:
    if not isinstance(resources, dict):
        return
    has_gpus = resources.get("gpus", 0) != 0
    if has_gpus and "gpuShare" in resources:
        yield (*path, "gpuShare"), "given beside gpus", "gpus or gpuShare, not both"
    if "gpuTypes" in resources and "gpuTypesInOrder" in resources:
        allowed = "gpuTypes (any of them) or gpuTypesInOrder, not both"
        yield (*path, "gpuTypesInOrder"), "given beside gpuTypes", allowed
    if not has_gpus and "gpuShare" not in resources:
        for name in ("gpuTypes", "gpuTypesInOrder", "gpuMemory"):
            if resources.get(name):
                yield (*path, name), "asked for, but no GPU", "gpus: 1 or more beside it"


def contradictions(model: JobModel, now_ms: int) -> Iterator[Contradiction]:
    """Find what a job file whose every value is allowed says against itself, or too late."""
    yield from _size_contradictions(model)
    yield from _time_contradictions(model, now_ms)
    yield from _placement_contradictions(model)
    yield from _lifecycle_contradictions(model)


def _twice(path: Path, words: list[str]) -> Iterator[Contradiction]:
    for index, word in enumerate(words):
        if word in words[:index]:
            yield (*path, index), f'"{word[:60]}" twice', "each once"


def _size_contradictions(model: JobModel) -> Iterator[Contradiction]:
    sizes: list[tuple[Path, Path, ElasticModel | None, int]] = [
        (("elastic",), ("replicas",), model.elastic, shards_given(model, "replicas"))
    ]
    for index, role in enumerate(model.roles):
        at: Path = ("roles", index)
        given = shards_given(role, "shards")
        sizes.append(((*at, "elastic"), (*at, "shards"), role.elastic, given))
    elastic_at = [path for path, _, elastic, _ in sizes if elastic is not None]
    if len(elastic_at) > 1:
        yield elastic_at[1], "a second elastic role", "elastic in one of the roles"
    holders: list[tuple[Path, Resources]] = [(("resources",), model.resources)]
    holders += [(("roles", i, "resources"), role.resources) for i, role in enumerate(model.roles)]
    for path, need in holders:
        yield from _twice((*path, "gpuTypes"), need.gpu_types)
        yield from _twice((*path, "gpuTypesInOrder"), need.gpu_types_in_order)
        if "gpu_share" in need.model_fields_set and not need.gpu_share:
            yield (*path, "gpuShare"), "a share of nothing", "1MiB or more, or leave it out"
    for path, shards_path, elastic, shards in sizes:
        if elastic is not None:
            yield from _elastic_contradictions(path, shards_path, elastic, shards)
    most_of = [max(one.elastic.max if one.elastic else 0, one.shards) for one in model.roles]
    most = sum(most_of)
    if most > SHARDS_MAX and elastic_at:
        yield elastic_at[0], f"{most} shards in all", f"at most {SHARDS_MAX} with elastic.max"


def shards_given(holder: Any, field: str) -> int:
    """Give the shards asked for: as given, else the least of an elastic role, else 1."""
    if field in holder.model_fields_set or holder.elastic is None:
        return int(getattr(holder, field))
    return int(holder.elastic.min)


def _elastic_contradictions(
    path: Path, shards_path: Path, elastic: ElasticModel, shards: int
) -> Iterator[Contradiction]:
    low, high, step = elastic.min, elastic.max, elastic.step
    name = shards_path[-1]
    if step > high - low > 0:
        fix = f"at most {high - low}, or min and max alike"
        yield (*path, "step"), f"step {step} leaves {low} as the only size", fix
    elif low > high:
        yield (*path, "min"), f"elastic.min {low} is above elastic.max {high}", f"1 to {high}"
    elif not low <= shards <= high:
        fix = f"{low} to {high}, or a wider elastic"
        yield shards_path, f"{name} {shards} lies outside elastic {low} to {high}", fix
    elif (shards - low) % step:
        what = f"{name} {shards} is not elastic.min {low} plus whole steps of {step}"
        yield shards_path, what, f"{shards - (shards - low) % step}, or another elastic.step"


def _time_contradictions(model: JobModel, now_ms: int) -> Iterator[Contradiction]:
    start, end = model.start_after, model.deadline
    limit, expected = model.time_limit, model.expected_runtime
    for field, given in (("time_limit", limit), ("expected_runtime", expected)):
        if field in model.model_fields_set and not given:
            yield (to_camel(field),), f"{to_camel(field)} is no time", "more, or leave it out"
    if start and start < now_ms - LATE_MS:
        what = f"startAfter {time_text(start)} has gone by"
        yield ("startAfter",), what, "a time to come, or leave it out to start at once"
    if limit and expected > limit:
        what = f"expectedRuntime {duration_text(expected)} is more than timeLimit"
        fix = f"at most {duration_text(limit)}, or a longer timeLimit"
        yield ("expectedRuntime",), what, fix
    if not end:
        return
    run_ms = min(expected or limit, limit or expected)
    runs = "expectedRuntime" if expected else "timeLimit"
    if end <= now_ms:
        yield ("deadline",), f"deadline {time_text(end)} has gone by", "a time to come, as +2h"
    elif start >= end:
        what = f"deadline {time_text(end)} is not after startAfter {time_text(start)}"
        yield ("deadline",), what, "a later deadline, or an earlier startAfter"
    elif max(start, now_ms) + run_ms > end:
        what = f"it cannot run for {duration_text(run_ms)} ({runs}) before deadline"
        fix = f"a deadline from {time_text(max(start, now_ms) + run_ms)}, or a shorter {runs}"
        yield ("deadline",), f"{what} {time_text(end)}", fix


def _placement_contradictions(model: JobModel) -> Iterator[Contradiction]:
    placement = model.placement
    yield from _twice(("placement", "excludeNodes"), placement.exclude_nodes)
    yield from _twice(("placement", "tolerations"), placement.tolerations)
    for index, taint in enumerate(placement.tolerations):
        if taint.startswith("="):
            yield ("placement", "tolerations", index), "a taint without a name", "KEY or KEY=VALUE"
    topology = placement.topology
    at: Path = ("placement", "topology")
    if topology.required and topology.required == topology.preferred:
        what = f'"{topology.required}" is both required and preferred'
        yield (*at, "preferred"), what, "a narrower level, or required alone"
    if topology.wait and not topology.preferred:
        yield (*at, "wait"), "waits for a preferred level, and none is given", "preferred beside it"
    for index, rule in enumerate(placement.affinity):
        path = ("placement", "affinity", index)
        if rule.op in ("in", "notIn") and not rule.values:
            yield (*path, "op"), f"{rule.op} without values", "values, or op exists or absent"
        if rule.op in ("exists", "absent") and rule.values:
            yield (*path, "values"), f"given beside op {rule.op}", "op in or notIn, or no values"
        wanted = placement.node_selector.get(rule.key)
        if wanted is not None and _rules_out(rule, wanted):
            what = f"rules out {rule.key}={wanted}, which nodeSelector asks for"
            yield path, what, "one of the two"


def _rules_out(rule: AffinityModel, value: str) -> bool:
    is_out = rule.op == "absent" or (rule.op == "notIn" and value in rule.values)
    return is_out and not rule.weight


def _lifecycle_contradictions(model: JobModel) -> Iterator[Contradiction]:
    waited_for = [one.job for one in model.depends_on]
    for index, job in enumerate(waited_for):
        if job in waited_for[:index]:
            yield ("dependsOn", index, "job"), f'"{job[:60]}" twice', "one entry for each job"
    if model.array is None:
        for index, one in enumerate(model.depends_on):
            if one.condition == "each":
                path = ("dependsOn", index, "condition")
                yield path, "each is for the tasks of an array", "array beside it, or success"
    if "grace_period" in model.checkpoint.model_fields_set and not model.checkpoint.signal:
        what = "time to checkpoint, but no signal that asks for it"
        yield ("checkpoint", "gracePeriod"), what, "signal beside it, as SIGUSR1"
    is_elastic = model.elastic or any(role.elastic for role in model.roles)
    if model.preemption.mode == "shrink" and not is_elastic:
        what = "shrink is for jobs that have elastic"
        yield ("preemption", "mode"), what, "elastic beside it, or requeue, suspend, cancel"
    retry = model.retry
    is_longest_given = "max" in retry.backoff.model_fields_set
    if is_longest_given and retry.backoff.initial > retry.backoff.max:
        what = "backoff.initial is longer than backoff.max"
        yield ("retry", "backoff", "initial"), what, f"at most {duration_text(retry.backoff.max)}"
    for index, rule in enumerate(retry.rules):
        if rule.action == "retry" and rule.counts_against_limit and not retry.limit:
            what = "retry can never happen: retry.limit is 0"
            fix = "retry.limit from 1, or countsAgainstLimit: false"
            yield ("retry", "rules", index, "action"), what, fix
