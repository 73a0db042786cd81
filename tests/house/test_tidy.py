"""Style that a program can check; the rest is in CONTRIBUTING.md. Line length is ruff's."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import LAYERS, ROOT, name_of, our_files, python_files

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 400

# Written so that this file does not find itself.
UNFINISHED = re.compile(r"\b(T[O]DO|FIX[M]E|XX[X])\b")
TEXT_FILES = ("Makefile", "pyproject.toml", ".ci/run", "*.md", "docs/**/*.md", "protos/**/*.proto")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def long_functions(source: str) -> list[str]:
    """Name the functions that do not fit on a screen."""
    return [
        f"{node.lineno}: {node.name} has {length} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, Function)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]


def undocumented(tree: ast.Module | ast.ClassDef, scope: str = "") -> Iterator[str]:
    """Name the public functions, classes and methods (properties are nouns) without a docstring."""
    for node in tree.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        is_property = any("property" in ast.unparse(mark) for mark in node.decorator_list)
        if ast.get_docstring(node) is None and not is_property:
            yield f"{node.lineno}: {scope}{node.name}"
        if isinstance(node, ast.ClassDef):
            yield from undocumented(node, f"{node.name}.")


def sleeps(source: str) -> list[int]:
    """Find the lines that call time.sleep."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "sleep")
    ]


def test_no_function_is_longer_than_a_screen() -> None:
    """When you scroll to see how it ends, a sentence inside it wants a name."""
    wrong = [
        f"{name_of(p)}:{found}" for p in our_files() for found in long_functions(p.read_text())
    ]
    assert wrong == []


def test_no_file_is_longer_than_400_lines() -> None:
    """A file tells one story; at 400 lines it tells two."""
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in our_files()}
    assert {name: n for name, n in lengths.items() if n > FILE_LINES_MAX} == {}


def test_nothing_is_marked_as_unfinished() -> None:
    """What is left to do is an issue, not a comment."""
    texts = [path for pattern in TEXT_FILES for path in ROOT.glob(pattern)]
    wrong = [
        f"{name_of(path)}:{number}"
        for path in [*our_files(), *texts]
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert wrong == []


@pytest.mark.parametrize("layer", ["core", "policies"])
def test_everything_public_in_the_pure_folders_says_what_it_gives(layer: str) -> None:
    """The core is read far more often than it is changed."""
    wrong = [
        f"{name_of(path)}:{found}"
        for path in python_files(LAYERS[layer])
        for found in undocumented(ast.parse(path.read_text()))
    ]
    assert wrong == []


def test_tests_do_not_sleep() -> None:
    """A fixed wait is too short on a slow machine and too long on every other: tests/waiting.py."""
    wrong = [
        f"{name_of(path)}:{line}"
        for path in python_files(ROOT / "tests")
        if path.name != "waiting.py"
        for line in sleeps(path.read_text())
    ]
    assert wrong == []


def test_the_checks_see_what_they_are_for(tmp_path: Path) -> None:
    """Each check on the smallest thing that it must find, and on one line less."""
    body = "    pass\n" * FUNCTION_LINES_MAX
    assert long_functions(f"async def f():\n{body}") == ["1: f has 71 lines"]
    assert long_functions(f"class C:\n  def f():\n{body[9:]}") == []
    assert UNFINISHED.search("# {}: later".format("TO" + "DO"))
    assert not UNFINISHED.search("MASTODON")
    source = 'def a(): pass\nclass B:\n    """B."""\n    def c(self): pass\n    def _d(self): pass'
    assert list(undocumented(ast.parse(source))) == ["1: a", "4: B.c"]
    assert sleeps("import time\ntime.sleep(1)") == [2]
