"""What Hypothesis draws: job files, as values, that contradict themselves nowhere."""

from typing import Any

from hypothesis import strategies as st

from aimass import units
from aimass.jobmodel import REASONS

NOW_MS = units.time_ms("2026-11-21T12:00Z", 0)
YEAR_MS = 365 * 24 * 3_600_000

words = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=20
)
lines = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
commands = st.lists(words.filter(bool), min_size=1, max_size=4)
gpus = st.integers(1, 64) | st.integers(1, 999).map(lambda milli: milli / 1000)
memory = st.integers(0, units.AMOUNT_MAX).map(units.memory_text)
durations = st.integers(0, units.DURATION_MS_MAX).map(units.duration_text)
spans = st.integers(0, units.SPAN_MS_MAX).map(units.duration_text)
flags = st.booleans()
types = st.lists(names, min_size=1, max_size=3, unique=True)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def _resources(draw: st.DrawFn) -> dict[str, Any]:
    drawn = draw(some(cpus=st.integers(0, 10**6).map(units.number), memory=memory))
    which = draw(st.sampled_from(("gpus", "gpuShare", "none")))
    if which == "gpus":
        drawn["gpus"] = draw(gpus)
    elif which == "gpuShare":
        drawn["gpuShare"] = draw(st.integers(1, units.AMOUNT_MAX).map(units.memory_text))
    if which != "none":
        drawn |= draw(some(gpuMemory=memory))
        drawn |= draw(some(gpuTypes=types) | some(gpuTypesInOrder=types))
    return drawn


@st.composite
def _elastic(draw: st.DrawFn) -> tuple[int, dict[str, Any]]:
    """Give the shards asked for, and the sizes around them."""
    low, step = draw(st.integers(1, 50)), draw(st.integers(1, 5))
    shards = low + step * draw(st.integers(0, 5))
    high = max(shards + draw(st.integers(0, 50)), low + step)
    more = draw(some(resizeCost=spans, resizeInterval=spans))
    return shards, {"min": low, "max": high, "step": step, **more}


@st.composite
def _holder(draw: st.DrawFn, size: str, *, may_stretch: bool) -> dict[str, Any]:
    """Give what a role, or a job of one role, says of its shards."""
    drawn: dict[str, Any] = {"command": draw(commands)}
    drawn |= draw(some(resources=_resources()))
    if may_stretch and draw(flags):
        shards, drawn["elastic"] = draw(_elastic())
        return {**drawn, size: shards} if draw(flags) else drawn
    return drawn | draw(st.fixed_dictionaries({}, optional={size: st.integers(1, 100)}))


@st.composite
def _shape(draw: st.DrawFn) -> dict[str, Any]:
    if draw(flags):
        return draw(_holder("replicas", may_stretch=True))
    role_names = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    roles = [
        {"name": name, **draw(_holder("shards", may_stretch=index == 0))}
        for index, name in enumerate(role_names)
    ]
    return {"roles": roles}


@st.composite
def _times(draw: st.DrawFn) -> dict[str, Any]:
    limit = draw(st.integers(1000, YEAR_MS))
    drawn = draw(
        some(
            timeLimit=st.just(units.duration_text(limit)),
            expectedRuntime=st.integers(1, limit).map(units.duration_text),
        )
    )
    start = NOW_MS + draw(st.integers(0, YEAR_MS))
    end = start + limit + draw(st.integers(0, YEAR_MS))
    return drawn | draw(
        some(
            due=st.just(units.time_text(end)),
            startAfter=st.just(units.time_text(start)),
            deadline=st.sampled_from([units.time_text(end), "+30000h"]),
        )
    )


_speeds = st.integers(0, 10**12).map(lambda micro: micro / 10**6)
_settings = st.fixed_dictionaries(
    {"speed": _speeds},
    optional={"gpuType": names, "gpus": st.integers(0, 64), "nodes": st.integers(0, 8)},
)


def _setting(one: dict[str, Any]) -> tuple[Any, ...]:
    return one.get("gpuType", ""), one.get("gpus", 0), one.get("nodes", 0)


speeds = st.dictionaries(names, _speeds, max_size=3) | st.lists(
    _settings, max_size=4, unique_by=_setting
)

_with_values = st.fixed_dictionaries(
    {"key": names, "values": st.lists(lines, min_size=1, max_size=3)},
    optional={"op": st.sampled_from(["in", "notIn"]), "weight": st.integers(0, 1000)},
)
_without_values = st.fixed_dictionaries(
    {"key": names, "op": st.sampled_from(["exists", "absent"])},
    optional={"weight": st.integers(0, 1000)},
)


@st.composite
def _placement(draw: st.DrawFn) -> dict[str, Any]:
    drawn = draw(
        some(
            strategy=st.sampled_from(["pack", "spread"]),
            nodeSelector=st.dictionaries(names, lines, max_size=2),
            tolerations=st.lists(names, max_size=2, unique=True),
            exclusiveNode=flags,
            excludeNodes=st.lists(names, max_size=2, unique=True),
            topology=some(required=st.just("block"))
            | st.fixed_dictionaries({"preferred": st.just("rack")}, optional={"wait": spans}),
        )
    )
    rules = draw(st.lists(_with_values | _without_values, max_size=3))
    selected = drawn.get("nodeSelector", {})
    return {**drawn, "affinity": [rule for rule in rules if rule["key"] not in selected]}


_rules = st.fixed_dictionaries(
    {"action": st.sampled_from(["retry", "fail", "hold"])},
    optional={
        "onReason": st.lists(st.sampled_from(REASONS), max_size=2),
        "onExitCodes": st.lists(st.integers(0, 255), max_size=2),
        "avoidSameNode": flags,
        "countsAgainstLimit": flags,
        "memoryFactor": st.integers(1000, 10_000).map(units.number),
    },
)


@st.composite
def _retry(draw: st.DrawFn) -> dict[str, Any]:
    first, more = draw(st.integers(0, YEAR_MS)), draw(st.integers(0, YEAR_MS))
    backoff = draw(
        some(
            factor=st.integers(1000, 100_000).map(units.number),
            max=st.just(units.duration_text(max(first, 30_000) + more)),
        )
    )
    backoff |= draw(some(initial=st.just(units.duration_text(first))))
    limit = draw(st.integers(1, 100))
    return {"limit": limit, **draw(some(backoff=st.just(backoff), rules=st.lists(_rules)))}


@st.composite
def _lifecycle(draw: st.DrawFn, *, is_elastic: bool) -> dict[str, Any]:
    modes = ["requeue", "suspend", "cancel", *["shrink"] * is_elastic]
    preemption = some(
        minRuntime=spans,
        maxPerDay=st.integers(0, 1000),
        delay=spans,
        mode=st.sampled_from(modes),
    )
    checkpoint = st.fixed_dictionaries(
        {"signal": st.sampled_from(units.SIGNALS)}, optional={"gracePeriod": durations}
    )
    drawn = draw(some(preemption=preemption, checkpoint=checkpoint, retry=_retry()))
    conditions = ["success", "any", "failure"]
    if draw(flags):
        indexes = st.sets(st.integers(0, 300), min_size=1, max_size=30)
        drawn["array"] = {
            "range": units.indexes_text(sorted(draw(indexes))),
            **draw(some(maxParallel=st.integers(1, 100))),
        }
        conditions.append("each")
    one = st.fixed_dictionaries({"job": names}, optional={"condition": st.sampled_from(conditions)})
    return drawn | draw(
        some(dependsOn=st.lists(one, max_size=3, unique_by=lambda o: str(o["job"])))
    )


@st.composite
def jobs(draw: st.DrawFn) -> dict[str, Any]:
    """A job file that is accepted at NOW_MS."""
    shape = draw(_shape())
    is_elastic = any("elastic" in holder for holder in [shape, *shape.get("roles", ())])
    drawn = draw(
        some(
            name=names,
            queue=names,
            priority=st.integers(-(10**6), 10**6),
            preemptible=flags,
            labels=st.dictionaries(names, lines, max_size=3),
            env=st.dictionaries(names, words, max_size=3),
            workdir=st.sampled_from([".", "/data", "a/b", "../x"]),
            gracePeriod=durations,
            placement=_placement(),
            speeds=speeds,
            movable=flags,
            allowFuture=flags,
        )
    )
    head = {"apiVersion": "aimass/v1", "kind": draw(st.sampled_from(["TrainJob", "BatchJob"]))}
    lifecycle = draw(_lifecycle(is_elastic=is_elastic))
    return {**head, **shape, **drawn, **draw(_times()), **lifecycle}
