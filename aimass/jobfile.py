"""Job files: YAML text to a JobSpec message, or every problem with its line, field and remedy."""

import difflib
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aimass import yamldoc
from aimass.errors import InvalidRequest
from aimass.jobchecks import Contradiction, contradictions, misfits
from aimass.jobmodel import JobModel
from aimass.jobspec import spec_of
from aimass.jobvalues import KEY_ALLOWED, Wrong
from aimass.v1 import job_pb2
from aimass.yamldoc import Document, Problem, dotted

PROBLEMS_SHOWN_MAX = 20


class JobFileError(InvalidRequest):
    """A job file that cannot be submitted. `problems`: all that is wrong with it, by line."""

    def __init__(self, file: str, problems: list[Problem], fix: str = "") -> None:
        self.file = file = "<stdin>" if file == "-" else file
        self.problems = sorted(problems, key=lambda problem: (problem.line, problem.column))
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = [f"  {problem.text(file)}" for problem in self.problems[:PROBLEMS_SHOWN_MAX]]
        if len(problems) > PROBLEMS_SHOWN_MAX:
            lines.append(f"  and {len(problems) - PROBLEMS_SHOWN_MAX} more")
        fix = fix or "correct the lines named; all fields: massctl schema"
        super().__init__(
            f"{file} is no job file as it stands: {count}", why="\n".join(lines), fix=fix
        )

    def as_json(self) -> dict[str, Any]:
        """The same for programs, one entry per problem."""
        view = super().as_json()
        view["error"]["problems"] = [
            {"file": self.file, **vars(problem)} for problem in self.problems
        ]
        return view


def load(path: Path) -> job_pb2.JobSpec:
    """Read a job file. A relative workdir in it counts from its folder; JobFileError if bad."""
    try:
        with path.open("rb") as file:
            data = file.read(yamldoc.FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problem = Problem(1, 1, "", f"cannot be read: {reason}")
        fix = f"check the path; a command goes after two dashes: -- {path}"
        raise JobFileError(str(path), [problem], fix=fix) from None
    return parse(data, str(path), folder=path.absolute().parent)


def read_stdin() -> bytes:
    """Give what stands on stdin: at most what a job file may hold, and one byte to show more."""
    return sys.stdin.buffer.read(yamldoc.FILE_BYTES_MAX + 1)


def parse(
    data: bytes, file: str, *, folder: Path | None = None, now_ms: int = 0
) -> job_pb2.JobSpec:
    """Turn the text of a job file into a spec, or raise JobFileError with every problem.

    file: its name, in messages and for the job's default name; "-" is stdin. folder: what a
    relative workdir counts from; default: the current directory. now_ms: what relative times count
    from; default: now.
    """
    now_ms = now_ms or time.time_ns() // 1_000_000
    try:
        document = yamldoc.read(data)
    except yamldoc.Refused as refused:
        raise JobFileError(file, [refused.problem]) from None
    problems = [*document.problems]
    problems += [_of_contradiction(document, one) for one in misfits(document.value)]
    model = None
    try:
        model = JobModel.model_validate(document.value, context={"now_ms": now_ms})
    except ValidationError as error:
        known = {problem.path for problem in document.problems}
        found = (_problem(document, dict(one)) for one in error.errors(include_url=False))
        problems += [problem for problem in found if problem.path not in known]
    if model is not None and not problems:
        problems = [_of_contradiction(document, one) for one in contradictions(model, now_ms)]
    if model is None or problems:
        raise JobFileError(file, problems)
    return spec_of(model, file, folder or Path.cwd())


def _of_contradiction(document: Document, found: Contradiction) -> Problem:
    path, message, allowed = found
    return Problem(*document.place(path, of_key=True), dotted(path), message, allowed)


@cache
def json_schema() -> dict[str, Any]:
    """Give the JSON Schema of job files, made from the model that checks them."""
    schema = JobModel.model_json_schema(by_alias=True)
    for model in (schema, *schema["$defs"].values()):
        model.pop("title", None)
        for field in model["properties"].values():
            field.pop("title", None)
            field.pop("default", None)  # of the parsed value, not of what is written
    either = {"required": ["command"], "not": {"required": ["roles"]}}
    tops = [{"required": [name]} for name in ("command", "replicas", "resources", "elastic")]
    schema["oneOf"] = [either, {"required": ["roles"], "not": {"anyOf": tops}}]
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "AI Mass job file"
    return schema


def _problem(document: Document, error: dict[str, Any]) -> Problem:
    """Put one of pydantic's errors into our words, at its place in the file."""
    path: yamldoc.Path = tuple(part for part in error["loc"] if part != "[key]")
    kind: str = error["type"]
    if kind == "extra_forbidden":
        names = list(_schema_at(path[:-1]).get("properties", ()))
        close = difflib.get_close_matches(str(path[-1]), names, n=1)
        place = document.place(path, of_key=True)
        allowed, suggestion = ", ".join(names), close[0] if close else ""
        return Problem(*place, dotted(path), "unknown field", allowed, suggestion)
    schema = _schema_at(path)
    allowed = schema.get("description", "")
    if kind == "missing":
        return Problem(*document.place(path), dotted(path), "missing field", allowed)
    if error["loc"][-1:] == ("[key]",):
        place, message = document.place(path, of_key=True), f'the name "{path[-1]}" is not allowed'
        return Problem(*place, dotted(path), message, KEY_ALLOWED)
    message = f"{_shown(error['input'], document, path)} is not allowed"
    if kind == "value_error":
        reason = error["ctx"]["error"]
        allowed = str(reason)
        message = reason.what if isinstance(reason, Wrong) else message
    if not path:
        message = "the file is empty" if not (document.words or document.places) else message
        allowed = "a mapping of fields: apiVersion, kind, command …"
    elif "properties" in schema:
        allowed = f"a mapping of fields: {', '.join(schema['properties'])}"
    suggestion = _suggestion(error, schema, document.words.get(path, ""))
    return Problem(*document.place(path), dotted(path), message, allowed, suggestion)


def _suggestion(error: dict[str, Any], schema: dict[str, Any], word: str) -> str:
    value = error["input"]
    if error["type"] == "string_type" and isinstance(value, int | float) and len(word) <= 40:
        return f'"{word}"'
    if error["type"] == "literal_error":
        words = [str(choice) for choice in _choices(schema)]
        by_lower = {choice.lower(): choice for choice in words}
        close = difflib.get_close_matches(str(value).lower(), by_lower, n=1, cutoff=0.5)
        return by_lower[close[0]] if close else ""
    return ""


def _choices(schema: dict[str, Any]) -> list[Any]:
    nested = [choice for part in schema.get("anyOf", ()) for choice in _choices(part)]
    return [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else []), *nested]


def _schema_at(path: yamldoc.Path) -> dict[str, Any]:
    """Find the part of the schema for a path; an empty one where there is none."""
    root = json_schema()
    here: dict[str, Any] = root
    for part in path:
        if isinstance(part, int):
            inner = here.get("items", {})
        else:
            inner = here.get("properties", {}).get(part) or here.get("additionalProperties") or {}
        described = here.get("description", "")
        here = inner if isinstance(inner, dict) else {}
        if "$ref" in here:
            here = root["$defs"][here["$ref"].rpartition("/")[2]]
        if "description" not in here and "properties" not in here:  # an item of a described list
            here = {**here, "description": described}
    return here


def _shown(value: Any, document: Document, path: yamldoc.Path) -> str:
    """Show a value as it stands in the file, shortened."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f'"{value[:60]}…"' if len(value) > 60 else f'"{value}"'
    return document.words.get(path, "")[:60] or "nothing"
