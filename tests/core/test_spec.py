"""Where a possible spec turns into an impossible one, field by field."""

from dataclasses import replace
from typing import Any

import pytest

from aimass.core.field_words import word
from aimass.core.spec import (
    Array,
    Checkpoint,
    Dependency,
    DependsOn,
    Elastic,
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
    Topology,
)
from aimass.core.spec_problems import (
    AMOUNT_MAX,
    ARRAY_TASKS_MAX,
    DEPENDENCIES_MAX,
    ENV_BYTES_MAX,
    GRACE_MS_MAX,
    PRIORITY_ABS_MAX,
    RETRIES_MAX,
    SHARDS_MAX,
    SPAN_MS_MAX,
    TIME_MS_MAX,
    problems,
)
from tests.core.world import one_role

WORKER = Role("worker", 1, Need(gpu_milli=1000), ("python", "train.py"))
SPEC = JobSpec("train", (WORKER,))


def wrong_fields(spec: JobSpec) -> list[str]:
    """The fields that the spec's problems name, in their order."""
    return [field for field, text in problems(spec) if text]


@pytest.mark.parametrize(
    ("field", "possible", "impossible"),
    [
        ("name", "a", ""),
        ("name", "9.a_B-", "-a"),
        ("name", "a" * 253, "a" * 254),
        ("name", "a", "a b"),
        ("name", "a", "a\n"),
        ("name", "a", "ä"),
        ("priority", PRIORITY_ABS_MAX, PRIORITY_ABS_MAX + 1),
        ("priority", -PRIORITY_ABS_MAX, -PRIORITY_ABS_MAX - 1),
        ("workdir", "/", ""),
        ("workdir", "/a b", "a"),
        ("workdir", "/a", "/a\0"),
        ("grace_ms", 0, -1),
        ("grace_ms", GRACE_MS_MAX, GRACE_MS_MAX + 1),
        ("env", {"A": "x" * (ENV_BYTES_MAX - 1)}, {"A": "x" * ENV_BYTES_MAX}),
        ("env", {"A": "é" * (ENV_BYTES_MAX // 2 - 1)}, {"A": "é" * (ENV_BYTES_MAX // 2)}),
        ("env", {"A": "b=c"}, {"A=b": "c"}),
        ("env", {"A": ""}, {"": "a"}),
        ("env", {"A": "a"}, {"A": "a\0"}),
        ("env", {"A": "a"}, {"A\0": "a"}),
        ("roles", (WORKER, replace(WORKER, name="ps")), (WORKER, WORKER)),
        ("roles", (WORKER,), ()),
        (
            "roles",
            (replace(WORKER, shards=SHARDS_MAX),),
            (replace(WORKER, shards=SHARDS_MAX), replace(WORKER, name="ps")),
        ),
    ],
)
def test_a_field_of_the_job_has_an_edge(field: str, possible: Any, impossible: Any) -> None:
    """On one side nothing is wrong; one step further exactly this field is."""
    assert wrong_fields(replace(SPEC, **{field: possible})) == []
    assert wrong_fields(replace(SPEC, **{field: impossible})) == [word(field)]


HOUR_MS = 3_600_000
DEADLINE = {"deadline_ms": 3 * HOUR_MS}
ELASTIC_WORKER = replace(WORKER, shards=2, elastic=Elastic(1, 4))


@pytest.mark.parametrize(
    ("possible", "impossible", "field"),
    [
        ({"queue": "a.b"}, {"queue": "a b"}, "queue"),
        ({"walltime_ms": SPAN_MS_MAX}, {"walltime_ms": SPAN_MS_MAX + 1}, "timeLimit"),
        ({"expected_ms": 0}, {"expected_ms": -1}, "expectedRuntime"),
        ({"start_after_ms": TIME_MS_MAX}, {"start_after_ms": -1}, "startAfter"),
        (
            {**DEADLINE, "start_after_ms": HOUR_MS, "expected_ms": 2 * HOUR_MS},
            {**DEADLINE, "start_after_ms": HOUR_MS + 1, "expected_ms": 2 * HOUR_MS},
            "deadline",
        ),
        (
            {**DEADLINE, "walltime_ms": 4 * HOUR_MS, "expected_ms": HOUR_MS},
            {**DEADLINE, "walltime_ms": 4 * HOUR_MS},
            "deadline",
        ),
        (
            {"topology": Topology("rack", "block", 1)},
            {"topology": Topology("rack", "rack")},
            "placement.topology.preferred",
        ),
        (
            {"topology": Topology(preferred="rack", wait_ms=1)},
            {"topology": Topology(wait_ms=1)},
            "placement.topology.wait",
        ),
        (
            {"affinity": (LabelRule("a", LabelOp.IN, ("b",)),)},
            {"affinity": (LabelRule("a", LabelOp.IN),)},
            "placement.affinity",
        ),
        (
            {"affinity": (LabelRule("a", LabelOp.EXISTS),)},
            {"affinity": (LabelRule("a", LabelOp.EXISTS, ("b",)),)},
            "placement.affinity",
        ),
        (
            {"affinity": (LabelRule("a", LabelOp.EXISTS, weight=1000),)},
            {"affinity": (LabelRule("a", LabelOp.EXISTS, weight=1001),)},
            "placement.affinity",
        ),
        (
            {"node_selector": {"a": "b"}, "affinity": (LabelRule("a", LabelOp.NOT_IN, ("c",)),)},
            {"node_selector": {"a": "b"}, "affinity": (LabelRule("a", LabelOp.NOT_IN, ("b",)),)},
            "placement.affinity",
        ),
        (
            {"checkpoint": Checkpoint("SIGUSR1", GRACE_MS_MAX)},
            {"checkpoint": Checkpoint("SIGKILL")},
            "checkpoint.signal",
        ),
        (
            {"preemption": Preemption(max_per_day=1000)},
            {"preemption": Preemption(max_per_day=-1)},
            "preemption.maxPerDay",
        ),
        (
            {"roles": (ELASTIC_WORKER,), "preemption": Preemption(PreemptMode.SHRINK)},
            {"preemption": Preemption(PreemptMode.SHRINK)},
            "preemption.mode",
        ),
        (
            {"depends_on": tuple(Dependency(f"j{i}") for i in range(DEPENDENCIES_MAX))},
            {"depends_on": tuple(Dependency(f"j{i}") for i in range(DEPENDENCIES_MAX + 1))},
            "dependsOn",
        ),
        (
            {"depends_on": (Dependency("j1"), Dependency("j2"))},
            {"depends_on": (Dependency("j1"), Dependency("j1", DependsOn.FAILURE))},
            "dependsOn",
        ),
        (
            {"depends_on": (Dependency("j1", DependsOn.EACH),), "array": Array((0,))},
            {"depends_on": (Dependency("j1", DependsOn.EACH),)},
            "dependsOn",
        ),
        ({"array": Array((0, 7))}, {"array": Array(())}, "array"),
        (
            {"array": Array(tuple(range(ARRAY_TASKS_MAX)))},
            {"array": Array(tuple(range(ARRAY_TASKS_MAX + 1)))},
            "array",
        ),
        ({"array": Array((0, 1))}, {"array": Array((1, 0))}, "array"),
        ({"array": Array((0, 1))}, {"array": Array((0, 0))}, "array"),
        ({"array": Array((0,))}, {"array": Array((-1,))}, "array"),
        ({"array": Array((0,), 0)}, {"array": Array((0,), -1)}, "array.maxParallel"),
        ({"retry": Retry(RETRIES_MAX)}, {"retry": Retry(RETRIES_MAX + 1)}, "retry.limit"),
        (
            {"retry": Retry(backoff_ms=5, backoff_max_ms=5)},
            {"retry": Retry(backoff_ms=6, backoff_max_ms=5)},
            "retry.backoff",
        ),
        (
            {"retry": Retry(factor_milli=1000)},
            {"retry": Retry(factor_milli=999)},
            "retry.backoff.factor",
        ),
        (
            {"retry": Retry(rules=(RetryRule(RetryAction.FAIL, (255,)),))},
            {"retry": Retry(rules=(RetryRule(RetryAction.FAIL, (256,)),))},
            "retry.rules",
        ),
        (
            {"retry": Retry(rules=(RetryRule(RetryAction.FAIL, reasons=("OUT_OF_MEMORY",)),))},
            {"retry": Retry(rules=(RetryRule(RetryAction.FAIL, reasons=("OOM",)),))},
            "retry.rules",
        ),
        (
            {"retry": Retry(rules=(RetryRule(RetryAction.RETRY, memory_factor_milli=10_000),))},
            {"retry": Retry(rules=(RetryRule(RetryAction.RETRY, memory_factor_milli=999),))},
            "retry.rules",
        ),
        (
            {"roles": (replace(WORKER, shards=3, elastic=Elastic(1, 5, 2)),)},
            {"roles": (replace(WORKER, shards=2, elastic=Elastic(1, 5, 2)),)},
            "roles.worker.elastic.step",
        ),
        (
            {"roles": (replace(WORKER, shards=2, elastic=Elastic(2, 2)),)},
            {"roles": (replace(WORKER, shards=2, elastic=Elastic(3, 2)),)},
            "roles.worker.elastic",
        ),
        (
            {"roles": (ELASTIC_WORKER, replace(WORKER, name="ps"))},
            {"roles": (ELASTIC_WORKER, replace(ELASTIC_WORKER, name="ps"))},
            "roles",
        ),
    ],
)
def test_what_a_job_may_ask_of_its_life_has_edges(
    possible: dict[str, Any], impossible: dict[str, Any], field: str
) -> None:
    """Times, rules, arrays, dependencies, retries and sizes: what contradicts itself is refused."""
    assert wrong_fields(replace(SPEC, **possible)) == []
    assert wrong_fields(replace(SPEC, **impossible)) == [field]


@pytest.mark.parametrize(
    ("field", "where", "possible", "impossible"),
    [
        ("name", "", "a", ""),
        ("name", "", "stage-0", "stage 0"),
        ("shards", ".shards", 1, 0),
        ("shards", ".shards", 2, -1),
        ("command", ".command", ("true",), ()),
        ("command", ".command", ("true", ""), ("",)),
        ("command", ".command", ("true", "a b"), ("true", "a\0b")),
    ],
)
def test_a_field_of_a_role_has_an_edge(
    field: str, where: str, possible: Any, impossible: Any
) -> None:
    """The problem names the role as well as the field."""
    good = replace(WORKER, **{field: possible})
    bad = replace(WORKER, **{field: impossible})
    assert wrong_fields(replace(SPEC, roles=(good,))) == []
    assert wrong_fields(replace(SPEC, roles=(bad,))) == [f"roles.{bad.name}{where}"]


@pytest.mark.parametrize(
    ("possible", "impossible", "where"),
    [
        (Need(gpu_milli=1), Need(gpu_milli=-1), ""),
        (Need(gpu_milli=999), Need(gpu_milli=1001), ".gpus"),
        (Need(gpu_milli=2000), Need(gpu_milli=2500), ".gpus"),
        (Need(), Need(cpu_milli=-1), ""),
        (Need(cpu_milli=AMOUNT_MAX), Need(cpu_milli=AMOUNT_MAX + 1), ""),
        (Need(memory_mib=AMOUNT_MAX), Need(memory_mib=AMOUNT_MAX + 1), ""),
        (Need(memory_mib=0), Need(memory_mib=-1), ""),
        (Need(gpu_milli=1, gpu_memory_mib=1), Need(gpu_memory_mib=1), ".gpuTypes"),
        (Need(gpu_milli=1, gpu_types=("H100",)), Need(gpu_types=("H100",)), ".gpuTypes"),
    ],
)
def test_what_a_shard_needs_has_edges(possible: Need, impossible: Need, where: str) -> None:
    """Whole devices or a share of one; nothing negative, nothing beyond every machine."""
    good, bad = (replace(SPEC, roles=(replace(WORKER, need=n),)) for n in (possible, impossible))
    assert wrong_fields(good) == []
    assert wrong_fields(bad) == [f"roles.worker.resources{where}"]


def test_every_problem_is_listed_at_once() -> None:
    """A user mends a job file in one go, not error by error."""
    bad = JobSpec("", (replace(WORKER, shards=0, command=()),), priority=10**9, grace_ms=-1)
    assert wrong_fields(bad) == [
        "name",
        "priority",
        "gracePeriod",
        "roles.worker.shards",
        "roles.worker.command",
    ]


@pytest.mark.parametrize(
    ("need", "devices", "share_milli"),
    [
        (Need(0), 0, 0),
        (Need(250), 1, 250),
        (Need(999), 1, 999),
        (Need(1000), 1, 1000),
        (Need(4000), 4, 1000),
        (Need(gpu_share_mib=20_480), 1, 250),
        (Need(gpu_share_mib=20_481), 1, 251),
    ],
)
def test_a_need_is_so_many_devices_of_such_a_share(
    need: Need, devices: int, share_milli: int
) -> None:
    """A share lies on one device; several are held whole. By memory it is rounded up."""
    assert (need.devices, need.share_on(81_920)) == (devices, share_milli)


def test_a_gang_counts_all_its_roles() -> None:
    """World size and GPUs are sums over roles."""
    spec = JobSpec("j", (replace(WORKER, shards=3), Role("ps", 2, Need(gpu_milli=500), ("ps",))))
    assert (spec.world_size, spec.gpu_milli) == (5, 4000)


@pytest.mark.parametrize(("shards", "fields"), [(20, []), (21, ["env"])])
def test_what_all_shards_are_sent_together_is_bounded(shards: int, fields: list[str]) -> None:
    """A node is told of all its shards at once: 200 KB of environment go to 20, not to 21."""
    spec = JobSpec("a", one_role(shards), env={"A": "x" * 200_000})
    assert [field for field, _ in problems(spec)] == fields


def test_labels_and_their_like_are_bounded_together() -> None:
    """They are kept with the job for as long as it is remembered."""
    spec = JobSpec("a", one_role(), labels={"a": "x" * 40_000}, node_selector={"b": "x" * 40_000})
    assert [field for field, _ in problems(spec)] == ["labels"]
