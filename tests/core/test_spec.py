"""Where a possible spec turns into an impossible one, field by field."""

from dataclasses import replace
from typing import Any

import pytest

from aimass.core.spec import (
    AMOUNT_MAX,
    ENV_BYTES_MAX,
    GRACE_MS_MAX,
    PRIORITY_ABS_MAX,
    SHARDS_MAX,
    JobSpec,
    Need,
    Role,
)
from tests.core.world import one_role

WORKER = Role("worker", 1, Need(gpu_milli=1000), ("python", "train.py"))
SPEC = JobSpec("train", (WORKER,))


def wrong_fields(spec: JobSpec) -> list[str]:
    """The fields that the spec's problems name, in their order."""
    return [field for field, text in spec.problems() if text]


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
    assert wrong_fields(replace(SPEC, **{field: impossible})) == [field]


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
        (Need(gpu_milli=999), Need(gpu_milli=1001), ".gpu_milli"),
        (Need(gpu_milli=2000), Need(gpu_milli=2500), ".gpu_milli"),
        (Need(), Need(cpu_milli=-1), ""),
        (Need(cpu_milli=AMOUNT_MAX), Need(cpu_milli=AMOUNT_MAX + 1), ""),
        (Need(memory_mib=AMOUNT_MAX), Need(memory_mib=AMOUNT_MAX + 1), ""),
        (Need(memory_mib=0), Need(memory_mib=-1), ""),
        (Need(gpu_milli=1, gpu_memory_mib=1), Need(gpu_memory_mib=1), ".gpu_types"),
        (Need(gpu_milli=1, gpu_types=("H100",)), Need(gpu_types=("H100",)), ".gpu_types"),
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
        "grace_ms",
        "roles.worker.shards",
        "roles.worker.command",
    ]


@pytest.mark.parametrize(
    ("gpu_milli", "devices", "share_milli"),
    [(0, 0, 0), (250, 1, 250), (999, 1, 999), (1000, 1, 1000), (4000, 4, 1000)],
)
def test_a_need_is_so_many_devices_of_such_a_share(
    gpu_milli: int, devices: int, share_milli: int
) -> None:
    """A share lies on one device; several devices are held whole."""
    need = Need(gpu_milli=gpu_milli)
    assert (need.devices, need.share_milli) == (devices, share_milli)


def test_a_gang_counts_all_its_roles() -> None:
    """World size and GPUs are sums over roles."""
    spec = JobSpec("j", (replace(WORKER, shards=3), Role("ps", 2, Need(gpu_milli=500), ("ps",))))
    assert (spec.world_size, spec.gpu_milli) == (5, 4000)


@pytest.mark.parametrize(("shards", "fields"), [(20, []), (21, ["env"])])
def test_what_all_shards_are_sent_together_is_bounded(shards: int, fields: list[str]) -> None:
    """A node is told of all its shards at once: 200 KB of environment go to 20, not to 21."""
    spec = JobSpec("a", one_role(shards), env={"A": "x" * 200_000})
    assert [field for field, _ in spec.problems()] == fields


def test_labels_and_their_like_are_bounded_together() -> None:
    """They are kept with the job for as long as it is remembered."""
    spec = JobSpec("a", one_role(), labels={"a": "x" * 40_000}, node_selector={"b": "x" * 40_000})
    assert [field for field, _ in spec.problems()] == ["labels"]
