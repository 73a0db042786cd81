"""Strict YAML: one small document of plain values, each with the place it stands at.

A job file is data. What makes YAML dangerous or surprising is refused here: aliases (bombs), tags
(constructors), several documents, duplicate keys, NaN, deep nesting; `no` and `on` stay text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

FILE_BYTES_MAX = 2**20
DEPTH_MAX = 32
DIGITS_MAX = 18  # what a 64-bit number holds

Path = tuple[str | int, ...]
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INT = re.compile(r"[-+]?[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class _Dumper(yaml.SafeDumper):
    """Writes YAML 1.1, with quotes also around what `read` takes for something else.

    Words that are numbers to it, 0e0 and 012; and text with U+0085, where PyYAML breaks the line.
    """

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Quote what would come back as a number or as lines; leave the rest to PyYAML."""
        is_odd = "\x85" in text or _INT.match(text) or _FLOAT.match(text)
        style = '"' if is_odd else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def write(value: Any) -> str:
    """Give plain values as a YAML document that `read` gives back unchanged."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a file. line and column count from 1; path: as in `roles.0.shards`."""

    line: int
    column: int
    path: str
    message: str
    allowed: str = ""
    suggestion: str = ""

    def text(self, file: str) -> str:
        """Give it in one line, beginning as compilers do."""
        parts = [f"{file}:{self.line}:{self.column}:"]
        parts += [f"{self.path}:"] if self.path else []
        parts.append(self.message)
        text = " ".join(parts)
        text += f"; allowed: {self.allowed}" if self.allowed else ""
        return text + (f"; did you mean {self.suggestion}?" if self.suggestion else "")


class Refused(Exception):
    """The text cannot be read at all. `problem` is the first thing that makes it so."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass
class Document:
    """What was read: plain values, the place of each, and what is wrong so far."""

    value: Any = None
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)  # of values
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)  # of the keys before them
    words: dict[Path, str] = field(default_factory=dict)  # scalars as they were written
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: Path, *, of_key: bool = False) -> tuple[int, int]:
        """Give line and column of a value; of what holds it when it is not there."""
        places = self.keys if of_key else self.places
        while path and path not in places:
            path, places = path[:-1], self.places
        return places.get(path, (1, 1))


def dotted(path: Path) -> str:
    """Write a path as people do."""
    return ".".join(map(str, path))


def read(data: bytes) -> Document:
    """Read one document. Refused: it is not YAML, or not the harmless part of it.

    Duplicate keys and numbers that are none are listed in `problems`; reading goes on after them.
    """
    if len(data) > FILE_BYTES_MAX:
        raise _refused(None, f"{len(data)} bytes", allowed=f"at most {FILE_BYTES_MAX}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        what = f"byte {data[error.start]:#04x} is not UTF-8"
        raise Refused(Problem(line, column, "", what, allowed="text in UTF-8")) from None
    try:
        return _read_events(yaml.parse(text, Loader=Loader))
    except yaml.YAMLError as error:
        raise _of_yaml_error(error, data) from None
    except (ValueError, OverflowError) as error:  # the parser's own limits, e.g. odd escapes
        raise _refused(None, f"cannot be read as YAML: {error}") from None


def _refused(mark: Any, message: str, allowed: str = "", path: Path = ()) -> Refused:
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    return Refused(Problem(line, column, dotted(path), message, allowed))


def _of_yaml_error(error: yaml.YAMLError, data: bytes) -> Refused:
    mark = getattr(error, "problem_mark", None)
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
    if mark is not None and _byte_at(data, mark) == b"\t":
        return _refused(mark, "a tab, with which YAML does not indent", allowed="spaces")
    refused = _refused(mark, f"cannot be read as YAML: {str(reason)[:200]}")
    position = getattr(error, "position", None)
    if mark is None and isinstance(position, int):  # of a character that YAML does not allow
        line = data[:position].count(b"\n") + 1
        return Refused(replace(refused.problem, line=line))
    return refused


def _byte_at(data: bytes, mark: Any) -> bytes:
    """Give the byte at a mark; only one after nothing but ASCII is the character there."""
    lines = data.split(b"\n", mark.line + 1)
    return lines[mark.line][mark.column : mark.column + 1] if mark.line < len(lines) else b""


def _read_events(events: Iterator[Any]) -> Document:
    document = Document()
    count = 0
    event: Any
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            count += 1
            if count > 1:
                raise _refused(event.start_mark, "a second document", "one job per file")
        elif isinstance(event, yaml.NodeEvent):
            document.value = _value(event, events, (), document)
    return document


def _value(event: Any, events: Iterator[Any], path: Path, document: Document) -> Any:
    """Build the value that begins with `event`; at most DEPTH_MAX calls deep."""
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise _refused(event.start_mark, "an anchor or alias (& or *)", "write the value out", path)
    if event.tag is not None and event.tag != "!":
        raise _refused(event.start_mark, f"a tag ({str(event.tag)[:40]})", "plain values", path)
    if len(path) >= DEPTH_MAX:
        raise _refused(event.start_mark, "nested too deep", f"at most {DEPTH_MAX} levels")
    document.places[path] = _place(event)
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event, path, document)
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[Any] = []
        while not isinstance(item := next(events), yaml.SequenceEndEvent):
            items.append(_value(item, events, (*path, len(items)), document))
        return items
    return _mapping(events, path, document)


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _mapping(events: Iterator[Any], path: Path, document: Document) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    event: Any
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        if not isinstance(event, yaml.ScalarEvent) or event.anchor or event.tag not in (None, "!"):
            raise _refused(event.start_mark, "a key that is no plain word", "a field's name", path)
        key: str = event.value
        place = _place(event)
        inner = (*path, key)
        if key in mapping:
            first = document.keys[inner][0]
            message = f"given twice, first on line {first}"
            document.problems.append(Problem(*place, dotted(inner), message))
            _value(next(events), events, inner, Document())
            continue
        document.keys[inner] = place
        mapping[key] = _value(next(events), events, inner, document)
    return mapping


def _scalar(event: Any, path: Path, document: Document) -> Any:
    """Give the value of a scalar. Quoted is text; plain words are text unless clearly a value."""
    word: str = event.value
    try:
        word.encode()
    except UnicodeEncodeError:
        message = "half of a surrogate pair, which is no character"
        raise _refused(event.start_mark, message, "text in UTF-8", path) from None
    document.words[path] = word
    if event.style in ("'", '"', "|", ">") or event.tag == "!":
        return word
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    is_int = bool(_INT.match(word))
    if is_int and len(word) <= DIGITS_MAX:
        return int(word)
    if is_int or _NOT_FINITE.match(word) or (_FLOAT.match(word) and abs(float(word)) > 1e18):
        place = document.places[path]
        message = f"{word[:40]} is not a number that can be counted with"
        document.problems.append(Problem(*place, dotted(path), message))
        return 0
    return float(word) if _FLOAT.match(word) else word
