"""What the documents say that the code can say as well: diagrams, exit codes, codes, limits."""

import ast
import re

from aimass import errors
from aimass.core.feasible import Code
from aimass.core.lifecycle import diagram
from aimass.core.model import ExitReason
from tests.house.tree import ROOT

BEGIN = "<!-- python -m aimass.core.lifecycle: begin -->\n"
END = "\n<!-- python -m aimass.core.lifecycle: end -->"
ERRORS = (ROOT / "docs" / "errors-and-limits.md").read_text()


def test_the_diagrams_are_the_ones_the_tables_give() -> None:
    """After a change of the tables: paste `python -m aimass.core.lifecycle` between the marks."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert text.partition(BEGIN)[2].partition(END)[0] == diagram()


def test_every_exit_code_is_told() -> None:
    """The table of exit codes has each code that an error of the client can end with."""
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", ERRORS, re.MULTILINE)}
    kinds: list[type[errors.MassError]] = [errors.MassError, *errors.MassError.__subclasses__()]
    assert {kind.exit_code for kind in kinds} <= told


def codes_in(file: str) -> set[str]:
    """The words in capitals that a file of the core has in quotes, such as "STARTING_NEXT"."""
    literals = ast.walk(ast.parse((ROOT / "core" / file).read_text()))
    texts = {node.value for node in literals if isinstance(node, ast.Constant)}
    return {text for text in texts if isinstance(text, str) and re.fullmatch("[A-Z_]{4,}", text)}


def test_every_reason_is_told() -> None:
    """Codes are part of the API: a person who meets one can look it up."""
    words = {*(code.value for code in Code), *(reason.value for reason in ExitReason)}
    words |= codes_in("decide.py") | codes_in("explain.py") | codes_in("survey.py")
    assert {"SEARCH_LIMIT", "STARTING_NEXT", "NO_NODES"} <= words
    assert {word for word in words if f"`{word}`" not in ERRORS} == set()
