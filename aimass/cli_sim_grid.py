"""GRID.yaml of `massctl sim sweep`: what a sweep goes through, or every problem with its place."""

import difflib
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from aimass import units, yamldoc
from aimass.cli_sim_base import parse_seeds
from aimass.cli_sim_cluster import SUFFIXES, load_cluster, load_failures
from aimass.cli_sim_files import trace_files, world_files
from aimass.cli_sim_options import FORMATS, parse_error
from aimass.errors import InvalidRequest
from aimass.yamldoc import Document, Problem

NEEDED = ("trace", "cluster", "policy")
COSTS = ("start", "restart", "checkpoint", "stop", "pull")
WORLD = ("failures", "realistic")
KEYS = (*NEEDED, "load", "seed", "error", "resample", *COSTS, *WORLD, "format", "perf", "lenient")
LOADS_ALLOWED = "a number above 0, at most 1000, with at most three decimals; 1 is the trace's own"
BLOCK_MAX = 1_000_000
PROBLEMS_SHOWN_MAX = 20


def load_grid(path: Path, tools: Any) -> Any:
    """Read the file as a sweep.Grid; paths in it count from its folder. Raises InvalidRequest.

    tools: the parts of the simulator that know policies and clusters.
    """
    try:
        document = yamldoc.read(path.read_bytes())
    except OSError as error:
        fix = "name the file of the sweep; massctl sim sweep --help shows one"
        raise InvalidRequest(f"cannot read {path}: {error.strerror}", fix=fix) from None
    except yamldoc.Refused as refused:
        raise _refusal(path, [refused.problem]) from None
    if not isinstance(document.value, dict):
        what = "no grid"
        raise _refusal(path, [Problem(1, 1, "", what, f"fields, of {', '.join(KEYS)}")])
    return _Reader(path, document, tools).grid()


def grid_inputs(path: Path, grid: Any) -> list[Path]:
    """All files that the sweep reads: its own, those that it names, and what is read with these.

    Raises FileProblem and OSError.
    """
    fields = yamldoc.read(path.read_bytes()).value
    world = [word for name in ("cluster", "failures") for word in _texts(fields.get(name))]
    read = [one for trace in grid.traces for one in trace_files(trace, grid.form, grid.perf)]
    return [path, *(path.parent / one for one in world_files(*world)), *read]


def _texts(value: Any) -> list[str]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]


def _refusal(path: Path, problems: list[Problem]) -> InvalidRequest:
    problems = sorted(problems, key=lambda problem: (problem.line, problem.column))
    lines = [f"  {problem.text(str(path))}" for problem in problems[:PROBLEMS_SHOWN_MAX]]
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return InvalidRequest(
        f"{path} is no grid as it stands: {count}",
        why="\n".join(lines),
        fix="correct the lines named; massctl sim sweep --help shows a grid",
    )


class _Reader:
    """Reads field by field, and remembers what is wrong."""

    def __init__(self, path: Path, document: Document, tools: Any) -> None:
        self._path, self._document, self._tools = path, document, tools
        self._fields: dict[str, Any] = document.value
        self._problems = [*document.problems, *self._unknown(), *self._missing()]

    def grid(self) -> Any:
        tools = self._tools
        folder = self._path.parent
        found = {
            "traces": tuple(folder / each for each in self._each("trace", _text)),
            "clusters": tuple(self._each("cluster", self._cluster)),
            "policies": tuple(chain(*self._each("policy", self._policies))),
            "loads_milli": tuple(self._each("load", _load_milli, 1000)),
            "seeds": tuple(chain(*self._each("seed", parse_seeds, [0]))),
            "form": self._one("format", _choice, "auto"),
            "error_milli": self._one("error", parse_error, 0),
            "block": self._one("resample", _block, 0),
            "perf": self._one("perf", lambda value: folder / _text(value), None),
            "is_lenient": self._one("lenient", _flag, False),
        }
        costs, models = self._world()
        worlds, found["clusters"] = (
            found["clusters"],
            tuple((t, k) for t, k, _ in found["clusters"]),
        )
        found["models"] = tuple(models(own) for _, _, own in worlds)
        grid = tools.sweep.Grid(**found, costs=costs)
        for name in ("trace", "cluster", "policy", "load", "seed"):
            self._refuse_twice(name, found)
        if not self._problems and len(grid.seeds) > 1 and not grid.is_drawn:
            what = "every seed would give the same: nothing is drawn"
            allowed = "one seed, or add resample: 50 (other weeks of the trace), error or failures"
            self._note(("seed",), what, allowed)
        if self._problems:
            raise _refusal(self._path, self._problems)
        return grid

    def _world(self) -> tuple[Any, Callable[[Any], Any]]:
        """Give the costs of all clusters, and what makes the models of one of its own."""
        tools = self._tools
        costs = tools.models.Costs(*(self._one(name, units.duration_ms, 0) for name in COSTS))
        measured = tools.models.measured if self._one("realistic", _flag, False) else None
        faults = self._one("failures", self._failures, None)
        if measured is not None:
            costs, _ = measured(costs, tools.models.PLAIN)

        def models(own: Any) -> Any:
            if measured is not None:
                _, own = measured(costs, own)
            return own if faults is None else replace(own, faults=faults)

        return costs, models

    def _failures(self, value: Any) -> Any:
        named, text = self._tools.faults.NAMED, _text(value)
        if text not in named and not text.endswith(SUFFIXES):
            raise ValueError(f"one of {', '.join(named)}, or a YAML file")
        return load_failures(text, self._tools, self._path.parent)

    def _unknown(self) -> Iterator[Problem]:
        for name in self._fields:
            if name not in KEYS:
                close = difflib.get_close_matches(name, KEYS, n=1)
                place = self._document.place((name,), of_key=True)
                allowed, suggestion = ", ".join(KEYS), close[0] if close else ""
                yield Problem(*place, name, "unknown field", allowed, suggestion)

    def _missing(self) -> Iterator[Problem]:
        for name in NEEDED:
            if name not in self._fields:
                yield Problem(1, 1, name, "missing", f"every grid has {', '.join(NEEDED)}")

    def _note(self, path: yamldoc.Path, what: str, allowed: str) -> None:
        place = self._document.place(path)
        self._problems.append(Problem(*place, yamldoc.dotted(path), what, allowed))

    def _one(self, name: str, parse: Callable[[Any], Any], default: Any) -> Any:
        if name not in self._fields:
            return default
        return next(iter(self._parsed((name,), self._fields[name], parse)), default)

    def _each(self, name: str, parse: Callable[[Any], Any], default: Any = None) -> list[Any]:
        """The values of a field that is one of them or a list."""
        if name not in self._fields:
            return [] if default is None else [default]
        value = self._fields[name]
        if not isinstance(value, list):
            return self._parsed((name,), value, parse)
        if not value:
            self._note((name,), "an empty list", "at least one")
        return [
            found
            for place, item in enumerate(value)
            for found in self._parsed((name, place), item, parse)
        ]

    def _parsed(self, path: yamldoc.Path, value: Any, parse: Callable[[Any], Any]) -> list[Any]:
        try:
            return [parse(value)]
        except ValueError as error:
            what, _, fix = str(error).partition("; fix: ")
            word = self._document.words.get(path, "")
            self._note(path, what if fix else f"{word[:60]!r}" if word else "no value", fix or what)
            return []

    def _cluster(self, value: Any) -> tuple[str, Any, Any]:
        text = _text(value)
        if not text.endswith(SUFFIXES):
            return text, self._tools.clusters.parse_cluster(text), self._tools.models.PLAIN
        return text, *load_cluster(text, self._tools, self._path.parent)

    def _policies(self, value: Any) -> tuple[str, ...]:
        found = self._tools.policies.parse_policies(_text(value))
        fix = "leave it out: a sweep has no rounds, massctl sim run --round 360 has"
        self._tools.policies.refuse_rounds(found, fix)
        return tuple(named.label for named in found)

    def _refuse_twice(self, name: str, found: dict[str, Any]) -> None:
        field = {"policy": "policies", "load": "loads_milli"}.get(name, f"{name}s")
        values = found[field]
        if len({*values}) < len(values):
            self._note((name,), "one value comes twice", "each once")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return value


def _choice(value: Any) -> str:
    if value not in FORMATS:
        raise ValueError(f"one of {', '.join(FORMATS)}")
    return str(value)


def _load_milli(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1000:
        raise ValueError(LOADS_ALLOWED)
    milli = round(value * 1000)
    if not milli or abs(value * 1000 - milli) > 1e-6:
        raise ValueError(LOADS_ALLOWED)
    return milli


def _block(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= BLOCK_MAX:
        raise ValueError(f"the jobs of a block, a whole number from 1 to {BLOCK_MAX}")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value
