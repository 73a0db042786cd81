"""Job files under generated input: nothing worse than a refusal; every spec survives a trip."""

import random
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from aimass import jobfile, units, yamldoc
from aimass.core.spec_problems import problems
from aimass.jobfile import JobFileError
from aimass.scheduler.translate_spec import spec_from_proto, spec_to_proto
from aimass.specview import spec_view
from aimass.v1 import job_pb2
from tests.client.job_documents import NOW_MS, jobs
from tests.client.test_jobfile import COMMAND, FULL
from tests.client.test_jobfile_fields import FULL as FIELDS_FULL

TOKENS = [b"&a", b"*a", b"!!", b"- ", b"? ", b": ", b"{", b"}", b"[", b"]", b"'", b'"', b"|\n"]
TOKENS += [b"\n", b"\t", b"#", b"%", b"\xff", b"\x00", b"---\n", b"1e999", b".nan", b"<<", b"~"]
TOKENS += [b"\\ud800", b"\xef\xbb\xbf", b"9" * 30, b"-1", b"\xc2\x85", b"\xe2\x80\xa8"]


def mutated(text: bytes, seed: int, count: int) -> bytes:
    """Change a text at a few random places."""
    chance = random.Random(seed)
    data = bytearray(text)
    for _ in range(count):
        place = chance.randrange(len(data) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            data[place : place + chance.randrange(8)] = b""
        elif kind == 1:
            data[place:place] = chance.choice(TOKENS)
        elif kind == 2:
            data[place : place + 1] = bytes([chance.randrange(256)])
        else:
            start = chance.randrange(len(data) + 1)
            data[place:place] = data[start : start + chance.randrange(20)]
    return bytes(data)


def accepts_or_refuses(data: bytes) -> None:
    """Parse; anything but a spec or a JobFileError with a place fails the test."""
    try:
        spec = jobfile.parse(data, "f.yaml")
    except JobFileError as caught:
        error = caught
    else:
        assert spec.SerializeToString()
        return
    assert error.problems
    assert all(problem.line >= 1 and problem.column >= 1 for problem in error.problems)
    assert error.as_json()["error"]["exitCode"] == 2


@settings(max_examples=600)
@given(st.sampled_from([FULL, FIELDS_FULL, COMMAND]), st.integers(0, 2**32), st.integers(1, 12))
def test_a_mutated_file_is_accepted_or_refused(text: str, seed: int, count: int) -> None:
    accepts_or_refuses(mutated(text.encode(), seed, count))


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_accepted_or_refused(data: bytes) -> None:
    accepts_or_refuses(data)


INDEX, COUNT = st.integers(0, 10**6), st.integers(1, 200)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["64GiB", "30s", "pack"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
FIELDS = ["apiVersion", "kind", "name", "command", "roles", "resources", "replicas", "env"]
FIELDS += ["labels", "placement", "gracePeriod", "priority", "workdir", "x", "queue", "array"]
FIELDS += ["preemptible", "preemption", "elastic", "timeLimit", "startAfter", "deadline", "retry"]
FIELDS += ["dependsOn", "checkpoint", "movable", "expectedRuntime"]


@settings(max_examples=120)
@given(st.dictionaries(st.sampled_from(FIELDS), plain))
def test_any_values_in_any_fields_are_accepted_or_refused(document: dict[str, Any]) -> None:
    accepts_or_refuses(yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "replace"))


def parsed(document: dict[str, Any], file: str = "f.yaml") -> job_pb2.JobSpec:
    return jobfile.parse(yamldoc.write(document).encode(), file, now_ms=NOW_MS)


numeric = st.text("0123456789+-.eE:_xo~naif")


@given(st.lists(numeric))
def test_words_that_look_like_numbers_stay_words_when_written(words: list[str]) -> None:
    document = yamldoc.read(yamldoc.write(words).encode())
    assert (document.value, document.problems) == (words, [])


@settings(max_examples=100)
@given(jobs())
def test_a_valid_file_makes_a_spec_that_prints_as_a_file_of_the_same_spec(
    job: dict[str, Any],
) -> None:
    spec = parsed(job)
    assert parsed(spec_view(spec), "other.yaml") == spec


@settings(max_examples=100)
@given(jobs())
def test_a_valid_file_makes_a_spec_without_problems(job: dict[str, Any]) -> None:
    spec = spec_from_proto(parsed(job))
    assert list(problems(spec)) == []
    assert spec_from_proto(parsed(spec_view(spec_to_proto(spec)))) == spec


@settings(max_examples=100)
@given(jobs())
def test_the_schema_accepts_every_valid_file(job: dict[str, Any]) -> None:
    assert list(Draft202012Validator(jobfile.json_schema()).iter_errors(job)) == []


@given(
    st.lists(st.integers(0, 2**40), min_size=1, max_size=50, unique=True)
    | st.builds(lambda low, n, by: [low + i * by for i in range(n)], INDEX, COUNT, COUNT)
)
def test_indexes_print_as_what_parses_back(numbers: list[int]) -> None:
    assert units.indexes(units.indexes_text(sorted(numbers))) == tuple(sorted(numbers))


@given(st.integers(1, units.TIME_MS_MAX), st.integers(0, units.SPAN_MS_MAX))
def test_times_print_as_what_parses_back(at_ms: int, span_ms: int) -> None:
    assert units.time_ms(units.time_text(at_ms), 0) == at_ms
    assert units.span_ms(units.duration_text(span_ms)) == span_ms
    assert units.time_ms(f"+{units.duration_text(span_ms)}", 5) == 5 + span_ms


@given(st.integers(0, units.AMOUNT_MAX), st.integers(0, units.DURATION_MS_MAX))
def test_units_print_as_what_parses_back(mib: int, ms: int) -> None:
    assert units.memory_mib(units.memory_text(mib)) == mib
    assert units.duration_ms(units.duration_text(ms)) == ms
    assert units.cpu_milli(units.number(mib % 10**9)) == mib % 10**9


def test_memory_is_rounded_up_to_whole_mib() -> None:
    assert units.memory_mib("1K") == 1
    assert units.memory_mib("1.5GiB") == 1536
    assert units.memory_mib("0.001GB") == 2


def test_spans_are_two_units_at_most() -> None:
    spans = {0: "0s", 45_000: "45s", 192_000: "3m12s", 18_180_000: "5h3m", 187_200_000: "2d4h"}
    assert {ms: units.span_text(ms) for ms in spans} == spans


def test_reading_stops_at_the_first_level_too_many() -> None:
    deep = "{a: " * yamldoc.DEPTH_MAX + "1" + "}" * yamldoc.DEPTH_MAX
    assert "nested too deep" in jobfile_error(deep)
    assert "nested too deep" not in jobfile_error(deep[4:-1])


def jobfile_error(text: str) -> str:
    """Give what a refused file is answered with."""
    try:
        jobfile.parse(text.encode(), "f")
    except JobFileError as error:
        return str(error)
    raise AssertionError("accepted")
