"""Who may import whom, and what the pure folders may use at all (DESIGN.md §2, as one table)."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.house.tree import LAYERS, name_of, our_files, python_files

# Layer -> the other layers of ours that it may import.
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "policies": {"core"},
    "scheduler": {"core", "policies", "v1"},
    "nodeagent": {"core", "v1"},
    "simulator": {"core", "policies"},
    "aimass": {"v1"},
    "v1": set(),
}

# By name, and only inside a function: `massctl journal` reads a journal where the scheduler's code
# is installed, and says so where it is not. `massctl sim` needs the extra `sim` in the same way.
MAY_IMPORT_LAZILY = {
    ("aimass", "aimass.scheduler.journal_tools"),
    ("aimass", "aimass.scheduler.described"),
    ("aimass", "aimass.simulator"),
    ("aimass", "aimass.policies.described"),
    ("aimass", "aimass.policies.pack_cache"),
    ("aimass", "aimass.policies.registry"),
}

# Layer -> other people's packages. What an extra does not install, its layer cannot import.
THIRD_PARTY: dict[str, set[str]] = {
    "core": set(),
    "policies": set(),
    "scheduler": {
        *{"grpc", "google", "click", "yaml", "pydantic"},
        *{"msgspec", "uvloop", "structlog", "prometheus_client", "grpc_health", "grpc_reflection"},
    },
    "nodeagent": {"grpc", "google", "click", "pydantic", "pynvml", "uvloop", "structlog"},
    "simulator": {"numpy", "highspy", "matplotlib", "zstandard", "pyarrow"},
    "aimass": {"grpc", "google", "click", "yaml", "pydantic"},
    "v1": {"grpc", "google"},
}
# Kernels of scores are named pack_*.py; no daemon imports them but for `--place mass`.
THIRD_PARTY_BY_FILE = {"core/codec.py": {"msgspec"}} | {
    name_of(path): {"numpy", "numba"} for path in LAYERS["policies"].glob("pack_*.py")
}
# Linear programs; highspy inside functions only, for policies do without where it is missing.
THIRD_PARTY_BY_FILE |= {
    name_of(path): {"numpy", "highspy"} for path in LAYERS["policies"].glob("lp_*.py")
}
# What programs that choose their own batch reckon with; no daemon imports it.
THIRD_PARTY_BY_FILE["policies/goodput.py"] = {"numpy"}
# Not of the extra `sim`: it does without where they are not installed.
THIRD_PARTY_BY_FILE["simulator/perf_pollux_off_table.py"] = {"scipy", "threadpoolctl"}

# Where compiled kernels are kept on disk; shells call it before they load any.
CACHE = "policies/pack_cache.py"

# The pure folders get nothing that reads a clock, a disk, a network, an environment or chance.
PURE = {"core", "policies"}
PURE_MODULES = {
    *{"__future__", "abc", "bisect", "collections", "dataclasses", "enum", "functools", "hashlib"},
    *{"heapq", "itertools", "math", "operator", "re", "types", "typing"},
    *{"contextlib", "difflib"},  # try and take back; "did you mean" in what the edge refuses
}
# Calls that reach outside, and two whose answer differs from process to process.
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "__import__", "breakpoint", "id", "hash"}


@dataclass(frozen=True)
class Import:
    """One imported name, absolute: `from aimass.core import plan` is `aimass.core.plan`."""

    line: int
    module: str
    is_lazy: bool


def imports_of(tree: ast.AST, package: str, is_lazy: bool = False) -> Iterator[Import]:
    """Find every import at any depth; `package` resolves the relative ones."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Import():
                for alias in node.names:
                    yield Import(node.lineno, alias.name, is_lazy)
            case ast.ImportFrom():
                parts = package.split(".")[: 1 - node.level or None] if node.level else []
                base = ".".join([*parts, *([node.module] if node.module else [])])
                for alias in node.names:
                    yield Import(node.lineno, f"{base}.{alias.name}", is_lazy)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from imports_of(node, package, is_lazy=True)
            case _:
                yield from imports_of(node, package, is_lazy)


def layer_of(module: str) -> str:
    """Name the layer of an `aimass` module; what is not a folder of its own is the client's."""
    part = module.split(".")[1] if "." in module else ""
    return part if part in LAYERS and part != "aimass" else "aimass"


def is_allowed(layer: str, file: str, found: Import) -> bool:
    """Hold one import against the tables above."""
    root = found.module.split(".")[0]
    if root == "aimass":
        target = layer_of(found.module)
        by_name = any(
            found.is_lazy and layer == who and f"{found.module}.".startswith(f"{module}.")
            for who, module in MAY_IMPORT_LAZILY
        )
        is_version = found.module == "aimass.__version__"
        return target == layer or target in MAY_IMPORT[layer] or by_name or is_version
    if root in sys.stdlib_module_names:
        return layer not in PURE or root in PURE_MODULES or file == CACHE
    return root in THIRD_PARTY[layer] | THIRD_PARTY_BY_FILE.get(file, set())


def is_bare(module: str) -> bool:
    """Say whether it names a folder of ours without `aimass.`: a user's file could be meant."""
    return module.split(".")[0] in {*LAYERS, "protos"} - {"aimass"}


def impure_calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Find calls of built-ins that a pure module has no use for, its `__main__` part left out."""
    for part in tree.body:
        if isinstance(part, ast.If) and "__main__" in ast.unparse(part.test):
            continue
        for node in ast.walk(part):
            match node:
                case ast.Call(func=ast.Name(id=name)) if name in IMPURE_CALLS:
                    yield node.lineno, name


def violations(layer: str, file: str, source: str) -> list[str]:
    """List what one packaged file does that its layer may not."""
    tree = ast.parse(source)
    package = "aimass" if layer == "aimass" else f"aimass.{layer}"
    wrong = [
        f"{file}:{found.line}: {layer} may not import {found.module}"
        for found in imports_of(tree, package)
        if is_bare(found.module) or not is_allowed(layer, file, found)
    ]
    if layer in PURE:
        wrong += [
            f"{file}:{line}: {layer} may not call {name}()" for line, name in impure_calls(tree)
        ]
    return wrong


def test_every_layer_has_a_row() -> None:
    """A new folder in pyproject.toml needs a decision about its imports."""
    assert set(MAY_IMPORT) == set(THIRD_PARTY) == set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_what_the_table_allows(layer: str) -> None:
    """The table is the architecture: to change it is a decision record."""
    wrong: list[str] = []
    for path in python_files(LAYERS[layer]):
        wrong += violations(layer, name_of(path), path.read_text())
    assert wrong == []


def test_nobody_imports_a_folder_by_its_bare_name() -> None:
    """`import scheduler` works in a checkout and finds a user's own file anywhere else."""
    wrong = [
        f"{name_of(path)}:{found.line}: import aimass.{found.module}"
        for path in our_files()
        for found in imports_of(ast.parse(path.read_text()), package_of(path))
        if is_bare(found.module)
    ]
    assert wrong == []


def package_of(path: Path) -> str:
    """Give the package a file is in, for its relative imports."""
    for layer, folder in LAYERS.items():
        if path.parent == folder:
            return "aimass" if layer == "aimass" else f"aimass.{layer}"
    return name_of(path.parent).replace("/", ".")


@pytest.mark.parametrize(
    ("layer", "file", "source"),
    [
        ("core", "core/x.py", "import time"),
        ("core", "core/x.py", "from datetime import datetime"),
        ("core", "core/x.py", "import os.path"),
        ("core", "core/x.py", "import msgspec"),
        ("core", "core/x.py", "def f():\n    import random"),
        ("core", "core/x.py", "x = open('a')"),
        ("core", "core/x.py", "from aimass.policies import fifo"),
        ("core", "core/x.py", "from aimass import policies"),
        ("core", "core/x.py", "from ..scheduler import engine"),
        ("policies", "policies/x.py", "from aimass.v1 import job_pb2"),
        ("policies", "policies/x.py", "import numpy"),
        ("scheduler", "scheduler/x.py", "from aimass.nodeagent import launch"),
        ("scheduler", "scheduler/x.py", "import aimass.client"),
        ("scheduler", "scheduler/x.py", "import redis"),
        ("scheduler", "scheduler/x.py", "from core import plan"),
        ("nodeagent", "nodeagent/x.py", "from aimass.scheduler import config"),
        ("nodeagent", "nodeagent/x.py", "import prometheus_client"),
        ("nodeagent", "nodeagent/x.py", "import torch"),
        ("simulator", "simulator/x.py", "from aimass.scheduler import engine"),
        ("simulator", "simulator/x.py", "import torch"),
        ("aimass", "aimass/x.py", "from aimass.scheduler import journal_tools"),
        ("aimass", "aimass/x.py", "def f():\n    from aimass.scheduler import engine"),
        ("aimass", "aimass/x.py", "from .core import plan"),
        ("aimass", "aimass/x.py", "from aimass.simulator import packing"),
    ],
)
def test_a_planted_violation_is_seen(layer: str, file: str, source: str) -> None:
    """The checker itself: each line here is a rule that it must not miss."""
    assert len(violations(layer, file, source)) == 1


@pytest.mark.parametrize(
    ("layer", "file", "source"),
    [
        ("core", "core/x.py", "from collections.abc import Iterator"),
        ("core", "core/x.py", "from . import plan\nfrom .plan import Plan"),
        ("core", "core/codec.py", "import msgspec"),
        ("policies", "policies/x.py", "from aimass.core import plan"),
        ("scheduler", "scheduler/x.py", "from aimass import __version__\nimport asyncio"),
        ("policies", "policies/pack_live.py", "import numpy\nimport numba"),
        ("simulator", "simulator/x.py", "import time\nfrom aimass.policies import gang"),
        ("aimass", "aimass/x.py", "def f():\n    from aimass.simulator.packing import pack"),
        ("aimass", "aimass/x.py", "def f():\n    from aimass.scheduler import journal_tools"),
        ("aimass", "aimass/x.py", "def f():\n    from aimass.scheduler.journal_tools import dump"),
    ],
)
def test_what_the_table_allows_passes(layer: str, file: str, source: str) -> None:
    """The other side of the checker: no false alarm."""
    assert violations(layer, file, source) == []
