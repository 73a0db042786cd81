"""What Hypothesis draws: values of any type of the core, and jobs and nodes that make sense."""

from dataclasses import fields, is_dataclass, replace
from enum import Enum
from types import UnionType
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from aimass.core.events import EVENT_TYPES, Event
from aimass.core.links import Links
from aimass.core.model import DeviceSpec, Exit, ExitReason, Inventory
from aimass.core.spec import (
    Array,
    Checkpoint,
    Elastic,
    JobSpec,
    Need,
    Preemption,
    PreemptMode,
    Retry,
    RetryAction,
    RetryRule,
    Role,
    Strategy,
)
from tests.core.world import GIB, inventory

# ---- any value of a type, sensible or not: for the codec ----------------------------------------


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a type that an event may hold. A new event needs no line here."""
    if isinstance(kind, NewType):
        return values_of(kind.__supertype__)
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        return st.lists(values_of(item), max_size=3).map(tuple)
    if get_origin(kind) is dict:
        key, value = get_args(kind)
        return st.dictionaries(values_of(key), values_of(value), max_size=3)
    if get_origin(kind) in (Union, UnionType):
        return st.one_of([values_of(item) for item in get_args(kind)])
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        return st.builds(kind, **{f.name: values_of(hints[f.name]) for f in fields(kind)})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    return _PLAIN[kind]


_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    type(None): st.none(),
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1),
    str: st.text(max_size=8),
}

any_event: st.SearchStrategy[Event] = st.one_of([values_of(kind) for kind in EVENT_TYPES])

# ---- jobs and nodes as a small cluster could see them -------------------------------------------

MODELS = ("H100", "A100")
# Not reported; pairs of devices; a chain of which one end has lost a link; PCIe switches alone. Of
# nodes with more devices than rows, or fewer, all the same.
LINKS = (
    None,
    Links(((0, 4), (4, 0), (0, 0, 0, 4), (0, 0, 4, 0))),
    Links(((0, 1), (1, 0, 2), (0, 2, 0, 1), (0, 0, 1, 0, 1)), (0, 0, 1)),
    Links(pcie_switches=(0, 0, 1, 1, 2, 2, 3, 3)),
)


@st.composite
def _need(draw: st.DrawFn) -> Need:
    gpu_milli = draw(st.sampled_from((0, 250, 400, 500, 1000, 1000, 2000, 4000)))
    return Need(
        gpu_milli,
        cpu_milli=draw(st.sampled_from((0, 500, 4000, 16_000))),
        memory_mib=draw(st.sampled_from((0, GIB, 64 * GIB))),
        gpu_types=draw(st.sampled_from(((), (), ("H100",), MODELS))) if gpu_milli else (),
        gpu_memory_mib=draw(st.sampled_from((0, 0, 40 * GIB))) if gpu_milli else 0,
    )


@st.composite
def job_specs(draw: st.DrawFn) -> JobSpec:
    """A possible job: one role mostly, sometimes two; some fit nowhere."""
    roles = tuple(
        Role(name, draw(st.integers(1, 4)), draw(_need()), ("train",))
        for name in draw(st.sampled_from((("worker",), ("worker",), ("ps", "worker"))))
    )
    return JobSpec(
        "job",
        roles,
        priority=draw(st.sampled_from((0, 0, 0, 5, -5))),
        node_selector=draw(st.sampled_from(({}, {}, {"zone": "a"}, {"zone": "c"}))),
        strategy=draw(st.sampled_from(list(Strategy))),
        grace_ms=draw(st.sampled_from((0, 30_000))),
    )


MINUTE_MS = 60_000
_RULES = st.lists(
    st.builds(
        RetryRule,
        st.sampled_from(list(RetryAction)),
        st.sampled_from(((), (1,), (137,))),
        st.sampled_from(((), ("OUT_OF_MEMORY",))),
        avoid_node=st.booleans(),
        counts=st.booleans(),
        memory_factor_milli=st.sampled_from((1000, 1500)),
    ),
    max_size=2,
).map(tuple)
_RETRIES = st.builds(Retry, st.integers(0, 2), st.sampled_from((0, 1000)), rules=_RULES)
_PREEMPTIONS = st.builds(
    Preemption,
    st.sampled_from((PreemptMode.REQUEUE, PreemptMode.SUSPEND, PreemptMode.CANCEL)),
    st.sampled_from((0, 0, MINUTE_MS)),
    st.sampled_from((0, 1)),
    st.sampled_from((0, 0, MINUTE_MS)),
)


@st.composite
def life_specs(draw: st.DrawFn, now_ms: int = 0, queues: tuple[str, ...] = ("default",)) -> JobSpec:
    """A possible job with anything about its life: times, rules, arrays, sizes."""
    spec = draw(job_specs())
    role = spec.roles[0]
    if draw(st.integers(0, 3)) == 0:
        elastic = Elastic(1, role.shards + 1, cost_ms=1000, interval_ms=MINUTE_MS)
        spec = replace(spec, roles=(replace(role, elastic=elastic), *spec.roles[1:]))
    spec = replace(
        spec,
        queue=draw(st.sampled_from(queues)),
        preemptible=draw(st.sampled_from((True, True, True, False))),
        preemption=draw(_PREEMPTIONS),
        checkpoint=draw(st.sampled_from((Checkpoint(), Checkpoint("SIGUSR1", 10_000)))),
        walltime_ms=draw(st.sampled_from((0, 0, 30_000, 10 * MINUTE_MS))),
        expected_ms=draw(st.sampled_from((0, 0, 20_000, 10 * MINUTE_MS))),
        array=draw(st.sampled_from((None, None, None, Array((0, 2, 3)), Array((0, 1), 1)))),
        exclusive_node=draw(st.sampled_from((False,) * 9 + (True,))),
        retry=draw(_RETRIES),
    )
    start_ms = draw(st.sampled_from((0, 0, 0, now_ms + MINUTE_MS)))
    deadline_ms = draw(st.sampled_from((0, 0, 0, now_ms + 20 * MINUTE_MS)))
    return replace(spec, start_after_ms=start_ms, deadline_ms=deadline_ms)


@st.composite
def inventories(draw: st.DrawFn, node: str) -> Inventory:
    """What a node may report: any mix of models, islands, failed devices and devices left out."""
    devices = []
    island = draw(st.sampled_from((0, 2, 4)))
    model = draw(st.sampled_from(MODELS))
    for index in range(draw(st.sampled_from((0, 2, 4, 8)))):
        state = draw(st.sampled_from(("ok", "ok", "ok", "ok", "ok", "failed", "gone", "other")))
        if state != "gone":
            devices.append(
                DeviceSpec(
                    f"GPU-{node}-{index}",
                    MODELS[1] if state == "other" else model,
                    (80 if index < 4 else 24) * GIB,
                    numa_node=index // 4,
                    island=index // island if island else -1,
                    healthy=state != "failed",
                )
            )
    found = inventory(
        node,
        tuple(devices),
        cpus=draw(st.sampled_from((8, 64))),
        memory_mib=draw(st.sampled_from((32 * GIB, 512 * GIB))),
        labels=draw(st.sampled_from(({}, {"zone": "a"}, {"zone": "b"}))),
    )
    return replace(found, links=draw(st.sampled_from(LINKS)))


exits = st.one_of(
    st.just(Exit()),
    st.builds(
        Exit,
        code=st.sampled_from((0, 1, 137)),
        signal=st.sampled_from((0, 9, 15)),
        reason=st.sampled_from(list(ExitReason)),
        wall_ms=st.sampled_from((0, 10**9)),
    ),
)
