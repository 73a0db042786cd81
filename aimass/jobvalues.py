"""The kinds of values that job files are made of: each with its check and its JSON Schema.

Values are checked strictly: no text for numbers, no numbers for text.
"""

import re
import shlex
from functools import partial
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from aimass import units

SHARDS_MAX = 4096
PRIORITY_MAX = 1_000_000
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$"
KEY_ALLOWED = "names of at least one character, without control characters, of env without '='"
NAME_ALLOWED = "letters, digits, '.', '_', '-'; 1 to 253, the first a letter or digit"
COMMAND_ALLOWED = "a list of texts: the program and its arguments"
_SHELL = set("|&;<>()$`*?[]{}~\n")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Strict(BaseModel):
    """Unknown fields and wrong types are errors; names in files are camelCase."""

    model_config = ConfigDict(
        extra="forbid", strict=True, alias_generator=to_camel, frozen=True, allow_inf_nan=False
    )


class Wrong(ValueError):
    """A value that needs more words than "not allowed". `what`: is wrong; str(): is allowed."""

    def __init__(self, what: str, allowed: str) -> None:
        super().__init__(allowed)
        self.what = what


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise Wrong("has a NUL character in it", "text without NUL characters")
    return text


def _one_line(text: str) -> str:
    """What is shown in lines and tables, and compared with what others wrote."""
    if _CONTROL.search(text):
        raise Wrong("has a control character in it", "one line of text")
    return text


def _command(value: object) -> list[str]:
    """Check a command; for one line of shell show the list that was meant."""
    if isinstance(value, str) and value.strip():
        raise ValueError(f"{COMMAND_ALLOWED}, as in {list_form(value)}")
    if not isinstance(value, list):
        raise ValueError(COMMAND_ALLOWED)
    if not value or value[0] == "":
        what = "its first item, the program, is empty" if value else "is an empty list"
        raise Wrong(what, f"{COMMAND_ALLOWED}; the program at least")
    for number, word in enumerate(value, 1):
        if isinstance(word, list | dict):
            raise Wrong(f"item {number} is no text", COMMAND_ALLOWED)
        if not isinstance(word, str):
            raise Wrong(f"item {number} is no text", f"{COMMAND_ALLOWED}; put it in quotes")
        if "\0" in word:
            raise Wrong(f"item {number} has a NUL character in it", "text without NUL characters")
    return value


def list_form(line: str) -> str:
    """Write a shell line as the list that does the same."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = []
    if not words or _SHELL & set(line):
        words = ["bash", "-c", line]
    return "[" + ", ".join(_quoted(word) for word in words) + "]"


def _quoted(word: str) -> str:
    is_plain = word.replace("-", "").replace("_", "").replace("/", "").replace(".", "").isalpha()
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return word if is_plain and word[0].isalpha() else f'"{escaped}"'


def _moment(value: object, info: ValidationInfo) -> int:
    """Turn a time into epoch milliseconds; what is relative counts from the context's now_ms."""
    now_ms: int = (info.context or {})["now_ms"]
    return units.time_ms(value, now_ms)


_amount = {"type": "number", "minimum": 0, "maximum": units.AMOUNT_MAX // 1000}
_gpus = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": units.AMOUNT_MAX // 1000},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    ],
    "description": units.GPUS_ALLOWED,
}
_cpus = {**_amount, "description": units.CPUS_ALLOWED}
_memory = {
    "type": "string",
    "pattern": r"^[0-9]{1,13}(\.[0-9]{1,3})? ?[KMGT](i?B)?$",
    "description": units.MEMORY_ALLOWED,
}
_duration = {
    "type": "string",
    "pattern": r"^(?=.)([0-9]{1,5}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?([0-9]{1,12}ms)?$",
    "description": units.DURATION_ALLOWED,
}
_span = {**_duration, "description": units.SPAN_ALLOWED}
_time = {
    "type": "string",
    "pattern": (
        r"^(\+.+|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{3})?)?"
        r"(Z|[+-][0-9]{2}:[0-9]{2}))$"
    ),
    "description": units.TIME_ALLOWED,
}
_indexes = {
    "type": "string",
    "pattern": r"^ *[0-9]+(-[0-9]+(:[0-9]+)?)? *(, *[0-9]+(-[0-9]+(:[0-9]+)?)? *)*$",
    "description": units.INDEXES_ALLOWED,
}
_times_100 = {"type": "number", "minimum": 1, "maximum": 100, "description": "1 to 100 times"}
_times_10 = {"type": "number", "minimum": 1, "maximum": 10, "description": "1 to 10 times"}
Gpus = Annotated[int, PlainValidator(units.gpu_milli), WithJsonSchema(_gpus)]
Cpus = Annotated[int, PlainValidator(units.cpu_milli), WithJsonSchema(_cpus)]
Memory = Annotated[int, PlainValidator(units.memory_mib), WithJsonSchema(_memory)]
Duration = Annotated[int, PlainValidator(units.duration_ms), WithJsonSchema(_duration)]
Span = Annotated[int, PlainValidator(units.span_ms), WithJsonSchema(_span)]
Moment = Annotated[int, PlainValidator(_moment), WithJsonSchema(_time)]
Indexes = Annotated[tuple[int, ...], PlainValidator(units.indexes), WithJsonSchema(_indexes)]
Times100 = Annotated[
    int, PlainValidator(partial(units.factor_milli, most=100)), WithJsonSchema(_times_100)
]
Times10 = Annotated[
    int, PlainValidator(partial(units.factor_milli, most=10)), WithJsonSchema(_times_10)
]
Command = Annotated[
    list[str],
    PlainValidator(_command),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "description": COMMAND_ALLOWED,
        }
    ),
]
Text = Annotated[str, AfterValidator(_no_nul)]
Line = Annotated[str, AfterValidator(_one_line)]
Word = Annotated[str, StringConstraints(min_length=1), AfterValidator(_one_line)]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
LabelName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
EnvName = Annotated[str, StringConstraints(pattern=r"^[^=\x00-\x1f\x7f-\x9f]+$")]
Shards = Annotated[int, Field(ge=1, le=SHARDS_MAX)]
