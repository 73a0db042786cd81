"""Specs on the wire: every one comes back as it went, and what is not given is the default."""

from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimass.core.spec import (
    Array,
    Elastic,
    JobSpec,
    Need,
    Retry,
    RetryAction,
    RetryRule,
    Role,
)
from aimass.scheduler.translate_spec import spec_from_proto, spec_to_proto
from aimass.v1 import job_pb2

GIVEN_AS_ZERO = {  # fields whose 0 on the wire stands for another value of the core
    *((Elastic, "step"), (Retry, "factor_milli"), (RetryRule, "memory_factor_milli")),
}
WIDE = {"priority", "weight", "shards", "min_shards", "max_shards", "step", "limit", "max_per_day"}
WIDE |= {"max_parallel", "nodes", "factor_milli", "memory_factor_milli", "exit_codes"}
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def values_of(kind: Any, owner: Any = None, name: str = "") -> st.SearchStrategy[Any]:
    """Any value of a field of a spec that a message can hold. A new field needs no line here."""
    if kind is str:
        return texts.filter(bool) if name == "queue" else texts
    if kind is int:
        most = 2**31 - 1 if name in WIDE else 2**63 - 1
        return st.integers(1 if (owner, name) in GIVEN_AS_ZERO else -most, most)
    if kind is bool:
        return st.booleans()
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return st.builds(
            kind,  # type: ignore[arg-type]
            **{one.name: values_of(hints[one.name], kind, one.name) for one in fields(kind)},
        )
    item, *others = get_args(kind)
    if dict in (kind, getattr(kind, "__origin__", None)):
        return st.dictionaries(texts, texts, max_size=3)
    if others == [type(None)]:
        return st.none() | values_of(item, owner, name)
    return st.lists(values_of(item, owner, name), max_size=3).map(tuple)


@settings(max_examples=300)
@given(values_of(JobSpec))
def test_every_spec_comes_back_from_the_wire_as_it_went(spec: JobSpec) -> None:
    message = spec_to_proto(spec)
    assert spec_from_proto(job_pb2.JobSpec.FromString(message.SerializeToString())) == spec


ROLE = Role("worker", 1, Need(gpu_milli=1000), ("true",))


def test_what_a_message_does_not_give_is_the_cores_default() -> None:
    message = job_pb2.JobSpec(name="a", workdir="/")
    message.roles.add(name="worker", shards=1, command=["true"], resources={"gpu_milli": 1000})
    assert spec_from_proto(message) == JobSpec("a", (ROLE,))


def test_parts_that_are_given_empty_have_the_cores_defaults() -> None:
    message = job_pb2.JobSpec(name="a", workdir="/")
    message.roles.add(name="worker", shards=1, command=["true"], resources={"gpu_milli": 1000})
    message.roles[0].elastic.CopyFrom(job_pb2.Elastic(min_shards=1, max_shards=3))
    message.retry.rules.add()
    message.array.SetInParent()
    spec = spec_from_proto(message)
    assert spec.roles[0].elastic == Elastic(1, 3)
    assert spec.retry == Retry(rules=(RetryRule(RetryAction.RETRY),))
    assert spec.array == Array(())


@pytest.mark.parametrize("field", ["grace_ms", "cost_ms", "interval_ms", "backoff_ms"])
def test_a_zero_that_is_given_is_no_default(field: str) -> None:
    message = job_pb2.JobSpec(grace_ms=0, retry=job_pb2.Retry(backoff_ms=0))
    message.roles.add().elastic.CopyFrom(job_pb2.Elastic(cost_ms=0, interval_ms=0))
    spec = spec_from_proto(message)
    holders: list[Any] = [spec, spec.retry, spec.roles[0].elastic]
    assert [getattr(holder, field) for holder in holders if hasattr(holder, field)] == [0]


def test_a_listing_leaves_out_what_is_large() -> None:
    spec = JobSpec("a", (ROLE,), env={"A": "1"}, array=Array(tuple(range(100)), 5))
    short = spec_from_proto(spec_to_proto(spec, in_short=True))
    assert short == replace(spec, env={}, array=Array((), 5))
