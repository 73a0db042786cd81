"""--cluster of `massctl sim`: a few letters, or a file that says more, with every problem in it.

levels: [block, rack]
nodes:
  - {count: 16, gpus: 8xH100, nvlink: true, cpus: 128, memory: 2TiB, perRack: 4, price: 2.50}
failures: llama3
changes:
  - {at: 30d, add: 8x8xH100}
  - {at: 60d, drain: [n0-n3], for: 4h}
"""

import difflib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aimass import units, yamldoc
from aimass.errors import InvalidRequest
from aimass.yamldoc import Document, Problem

SUFFIXES = (".yaml", ".yml")
KEYS = ("levels", "nodes", "failures", "slowdown", "changes")
NODE_KEYS = (
    *("count", "gpus", "gpuMemory", "cpus", "memory", "nvlink", "perRack", "labels", "price"),
)
CHANGE_KEYS = ("at", "add", "remove", "drain", "for", "notice")
RATES = {"programs": "app", "gpus": "gpu", "nodes": "node", "racks": "rack", "slow": "slow"}
TIMES = {"gpuRepair": "gpu", "nodeRepair": "node", "rackRepair": "rack", "slowFor": "slow"}
FAILURE_KEYS = ("like", *RATES, *TIMES, "slowTo", "lease")
SLOWDOWN_KEYS = ("nodes", "racks", "beside")
PROBLEMS_SHOWN_MAX = 20
PRICE_MAX = 1_000_000
HERE = Path()

_GPUS = re.compile(r"([1-9]\d{0,2})x([A-Za-z0-9][A-Za-z0-9._-]{0,63})\Z", re.ASCII)
_NODES = re.compile(r"n(\d{1,6})(?:-n?(\d{1,6}))?\Z", re.ASCII)
_LEVEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,252}\Z", re.ASCII)


def load_cluster(text: str, tools: Any, folder: Path = HERE) -> tuple[Any, Any]:
    """Give (kinds of nodes, models of what happens to them). Raises InvalidRequest.

    tools: has the simulator's clusters, faults and models. folder: from which a path counts.
    """
    if text.endswith(SUFFIXES):
        found: tuple[Any, Any] = _load(folder / text, tools, _Cluster)
        return found
    try:
        return tools.clusters.parse_cluster(text), tools.models.PLAIN
    except ValueError as error:
        fix = f"name {error}; or a YAML file"
        raise InvalidRequest(f"no cluster {text!r}", fix=fix) from None


def load_failures(text: str, tools: Any, folder: Path = HERE) -> Any:
    """Give failures by name, or from a file with what `failures:` of a cluster has."""
    if text.endswith(SUFFIXES):
        return _load(folder / text, tools, _Failures)
    if text not in tools.faults.NAMED:
        known = ", ".join(tools.faults.NAMED)
        raise InvalidRequest(f"no failures {text!r}", fix=f"name {known}, or a YAML file")
    return tools.faults.NAMED[text]


def _load(path: Path, tools: Any, reader: "type[_Reader]") -> Any:
    try:
        document = yamldoc.read(path.read_bytes())
    except OSError as error:
        raise InvalidRequest(
            f"cannot read {path}: {error.strerror}", fix="check its path"
        ) from None
    except yamldoc.Refused as refused:
        raise _refusal(path, [refused.problem]) from None
    found = reader(document, tools)
    value = found.read()
    if found.problems:
        raise _refusal(path, found.problems)
    return value


def _refusal(path: Path, problems: list[Problem]) -> InvalidRequest:
    problems = sorted(problems, key=lambda problem: (problem.line, problem.column))
    lines = [f"  {problem.text(str(path))}" for problem in problems[:PROBLEMS_SHOWN_MAX]]
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return InvalidRequest(
        f"{path} cannot be used as it stands: {count}",
        why="\n".join(lines),
        fix="correct the lines named; docs/simulator.md shows such a file",
    )


class _Reader(ABC):
    """Reads field by field, and remembers what is wrong."""

    def __init__(self, document: Document, tools: Any) -> None:
        self.problems = list(document.problems)
        self.tools = tools
        self._document = document

    @abstractmethod
    def read(self) -> Any:
        """Give what the whole file says; only of use while there are no problems."""

    @property
    def value(self) -> Any:
        return self._document.value

    def note(self, path: yamldoc.Path, what: str, allowed: str) -> None:
        place = self._document.place(path)
        self.problems.append(Problem(*place, yamldoc.dotted(path), what, allowed))

    def fields(
        self, path: yamldoc.Path, value: Any, keys: tuple[str, ...], needed: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Give the mapping without what is not known in it."""
        if not isinstance(value, dict):
            self.note(path, "no fields", f"fields, of {', '.join(keys)}")
            return {}
        for name in value:
            if name not in keys:
                close = difflib.get_close_matches(name, keys, n=1)
                inner = (*path, name)
                place = self._document.place(inner, of_key=True)
                allowed, near = ", ".join(keys), close[0] if close else ""
                where = yamldoc.dotted(inner)
                self.problems.append(Problem(*place, where, "unknown field", allowed, near))
        for name in needed:
            if name not in value:
                self.note(path, f"no {name}", f"{', '.join(needed)} are needed")
        return {name: found for name, found in value.items() if name in keys}

    def items(self, path: yamldoc.Path, value: Any) -> Iterator[tuple[yamldoc.Path, Any]]:
        """Yield what a list holds, each with its place; a single value is a list of one."""
        if isinstance(value, list):
            yield from (((*path, at), item) for at, item in enumerate(value))
        else:
            yield path, value

    def one(
        self,
        path: yamldoc.Path,
        fields: dict[str, Any],
        name: str,
        parse: Callable[[Any], Any],
        default: Any = None,
    ) -> Any:
        """Give the value of a field, parsed; the default where it is not there, or wrong."""
        if name not in fields:
            return default
        return self.parsed((*path, name), fields[name], parse, default)

    def parsed(
        self, path: yamldoc.Path, value: Any, parse: Callable[[Any], Any], default: Any = None
    ) -> Any:
        try:
            return parse(value)
        except ValueError as error:
            word = self._document.words.get(path, "")
            self.note(path, f"{word[:60]!r}" if word else "no such value", str(error))
            return default


class _Failures(_Reader):
    """Reads what fails, and how often."""

    def read(self) -> Any:
        return self.failures((), self.value)

    def failures(self, path: yamldoc.Path, value: Any) -> Any:
        named = self.tools.faults.NAMED
        allowed = f"one of {', '.join(named)}, or fields, of {', '.join(FAILURE_KEYS)}"
        if isinstance(value, str):
            if value not in named:
                self.note(path, repr(value[:60]), allowed)
            return named.get(value, named["none"])
        fields = self.fields(path, value, FAILURE_KEYS)
        like = self.one(path, fields, "like", _choice(named), named["none"])
        found = {f"{to}_fit": self.one(path, fields, key, _fit) for key, to in RATES.items()}
        found |= {
            f"{to}_ms": self.one(path, fields, key, _time) for key, to in (*TIMES.items(), _LEASE)
        }
        found["slow_micro"] = self.one(path, fields, "slowTo", _micro)
        changed = {name: given for name, given in found.items() if given is not None}
        return self.tools.faults.changed(like, changed)


_LEASE = ("lease", "lease")


class _Cluster(_Failures):
    """Reads a whole cluster."""

    def read(self) -> tuple[Any, Any]:
        models = self.tools.models
        fields = self.fields((), self.value, KEYS, ("nodes",))
        kinds = self._kinds(("nodes",), fields.get("nodes", []))
        if not kinds and not self.problems:
            self.note(("nodes",), "no nodes", "a list of kinds of nodes")
        faults = models.PLAIN.faults
        if "failures" in fields:
            faults = self.failures(("failures",), fields["failures"])
        found = models.Models(
            self._levels(fields, kinds),
            self._changes(fields.get("changes", []), kinds),
            faults,
            self._paces(fields),
        )
        gpus = self.tools.clusters.gpus_of(models.kinds_ever(kinds, found))
        most = self.tools.clusters.GPUS_MAX
        if gpus > most:
            self.note(("nodes",), f"{gpus} GPUs", f"at most {most} in all")
        return kinds, found

    def _kinds(self, path: yamldoc.Path, value: Any) -> tuple[Any, ...]:
        found = [self._kind(at, item) for at, item in self.items(path, value)]
        return tuple(kind for kinds in found for kind in kinds)

    def _kind(self, path: yamldoc.Path, value: Any) -> tuple[Any, ...]:
        """Give one kind from its fields, or some from a few letters."""
        clusters = self.tools.clusters
        if isinstance(value, str):
            return tuple(self.parsed(path, value, clusters.parse_cluster, ()))
        fields = self.fields(path, value, NODE_KEYS, ("gpus",))
        gpus, gpu_type = self.one(path, fields, "gpus", _gpus, (1, ""))
        if gpus > clusters.GPUS_OF_NODE_MAX:
            most = f"at most {clusters.GPUS_OF_NODE_MAX} GPUs on a node"
            self.note((*path, "gpus"), str(gpus), most)
        nvlink = self.one(path, fields, "nvlink", _nvlink, 0)
        kind = clusters.NodeKind(
            self.one(path, fields, "count", _count, 1),
            gpus,
            gpu_type,
            self.one(path, fields, "cpus", units.cpu_milli, clusters.CPU_MILLI),
            self.one(path, fields, "memory", units.memory_mib, clusters.MEMORY_MIB),
            self.one(path, fields, "gpuMemory", units.memory_mib, clusters.GPU_MEMORY_MIB),
            gpus if nvlink is True else int(nvlink),
            self.one(path, fields, "perRack", _count, 0),
            self.one(path, fields, "labels", _labels, ()),
            self.one(path, fields, "price", _price, 0),
        )
        return (kind,)

    def _levels(self, fields: dict[str, Any], kinds: tuple[Any, ...]) -> tuple[str, ...]:
        found = (
            tuple(self.parsed(at, item, _level, "") for at, item in self.items(("levels",), levels))
            if (levels := fields.get("levels", []))
            else ()
        )
        rack = self.tools.clusters.RACK
        if any(kind.rack_nodes for kind in kinds) and rack not in found:
            if found:
                self.note(("levels",), f"no {rack}", f"{rack} among them, because of perRack")
            return (*found, rack)
        return found

    def _paces(self, fields: dict[str, Any]) -> Any:
        path, models = ("slowdown",), self.tools.models
        if "slowdown" not in fields:
            return models.EVEN
        slowdown = self.fields(path, fields["slowdown"], SLOWDOWN_KEYS)
        even = (models.EVEN.nodes_micro, models.EVEN.racks_micro, models.EVEN.beside_micro)
        return models.Paces(
            *(
                self.one(path, slowdown, name, _micro, default)
                for name, default in zip(SLOWDOWN_KEYS, even, strict=True)
            )
        )

    # ---- changes --------------------------------------------------------------------------------

    def _changes(self, value: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
        read = [self._change(at, item) for at, item in self.items(("changes",), value)]
        read.sort(key=lambda found: found[1].at_ms)
        count = sum(kind.nodes for kind in kinds)
        for path, change in read:
            count += sum(kind.nodes for kind in change.add)
            for name in ("remove", "drain"):
                unknown = [n for n in getattr(change, name) if int(n[1:]) >= count]
                if unknown:
                    allowed = f"nodes that are there by then: n0 to n{count - 1}"
                    self.note((*path, name), f"no node {unknown[0]}", allowed)
        return tuple(change for _, change in read)

    def _change(self, path: yamldoc.Path, value: Any) -> tuple[yamldoc.Path, Any]:
        fields = self.fields(path, value, CHANGE_KEYS, ("at",))
        if ("drain" in fields) != ("for" in fields):
            self.note(path, "drain without for, or for without drain", "drain: [n0], for: 4h")
        if "notice" in fields and "drain" not in fields:
            self.note(path, "notice without drain", "drain: [n0], for: 4h, notice: 1d")
        if len(fields.keys() & {"add", "remove", "drain"}) == 0:
            self.note(path, "nothing changes", "one of add, remove, drain")
        return path, self.tools.models.Change(
            self.one(path, fields, "at", _time, 0),
            self._kinds((*path, "add"), fields["add"]) if "add" in fields else (),
            self._names(path, fields, "remove"),
            self._names(path, fields, "drain"),
            self.one(path, fields, "for", _time, 1),
            self.one(path, fields, "notice", _time, 0),
        )

    def _names(self, path: yamldoc.Path, fields: dict[str, Any], key: str) -> tuple[str, ...]:
        if key not in fields:
            return ()
        each = [self.parsed(at, v, _names, ()) for at, v in self.items((*path, key), fields[key])]
        return tuple(dict.fromkeys(name for names in each for name in names))


# ---- values -------------------------------------------------------------------------------------


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _choice(known: dict[str, Any]) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        if value not in known:
            raise ValueError(f"one of {', '.join(known)}")
        return known[value]

    return parse


def _fit(value: Any) -> int:
    if not _is_number(value) or not 0 <= value <= 1:
        raise ValueError("failures of a GPU in an hour, from 0 to 1, such as 20e-6")
    return round(float(value) * 10**9)


def _time(value: Any) -> int:
    found = units.span_ms(value)
    if not found:
        raise ValueError(units.SPAN_ALLOWED)
    return found


def _micro(value: Any) -> int:
    if not _is_number(value) or not 0.001 <= value <= 1:
        raise ValueError("the part of its speed that is left, from 0.001 to 1")
    return round(float(value) * 10**6)


def _gpus(value: Any) -> tuple[int, str]:
    match = _GPUS.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("GPUs of each node x type, such as 8xH100")
    return int(match[1]), match[2]


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 1_000_000:
        raise ValueError("a whole number from 1 to 1000000")
    return value


def _nvlink(value: Any) -> int | bool:
    if not isinstance(value, int) or value < 0:
        raise ValueError("true: all GPUs of a node; or how many are joined, such as 4; or false")
    return value


def _labels(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not all(_LEVEL.match(str(word)) for word in value.values()):
        raise ValueError("names with values, such as {block: b1}")
    return tuple((name, str(word)) for name, word in value.items())


def _level(value: Any) -> str:
    if not isinstance(value, str) or not _LEVEL.match(value):
        raise ValueError("names of levels, from the widest, such as [block, rack]")
    return value


def _price(value: Any) -> int:
    if not _is_number(value) or not 0 <= value <= PRICE_MAX:
        raise ValueError(f"what a GPU costs in an hour, a number from 0 to {PRICE_MAX}")
    return round(float(value) * 10**6)


def _names(value: Any) -> tuple[str, ...]:
    match = _NODES.match(value) if isinstance(value, str) else None
    if match is None or int(match[2] or match[1]) < int(match[1]):
        raise ValueError("names of nodes in the order of the file, n0 first: n3, or n0-n3")
    return tuple(f"n{at}" for at in range(int(match[1]), int(match[2] or match[1]) + 1))
