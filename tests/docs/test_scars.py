"""The table of scars names files that are there, and every file that tells of one is in it."""

import re

from tests.house.tree import ROOT

TABLE = (ROOT / "docs" / "scars.md").read_text()
SCENARIOS = ROOT / "tests" / "scenarios"
ROW = re.compile(r"\| [a-z0-9-]+(#| PR#)")
ROWS = [line.split(" | ") for line in TABLE.splitlines() if ROW.match(line)]


def missing(shown: str) -> bool:
    """True when a scenario, or a test such as `tests/x.py::test_y`, is not there."""
    file, _, test = shown.partition("::")
    path = ROOT / file if "/" in file else SCENARIOS / file
    return not path.is_file() or (bool(test) and f"def {test}(" not in path.read_text())


def test_every_scar_is_in_the_table() -> None:
    """Who adds a file says of which issue it tells."""
    files = sorted(path.name for path in SCENARIOS.glob("scar-*.txt"))
    assert len(files) >= 30
    assert [name for name in files if f"`{name}`" not in TABLE] == []


def test_every_row_names_what_is_there() -> None:
    """Each row has scenarios or tests that exist, or says why it does not apply."""
    assert len(ROWS) >= 40
    for issue, _, shown, *rest in ROWS:
        named = re.findall(r"`([^`]+)`", shown)
        assert [name for name in named if missing(name)] == [], issue
        assert named or (shown == "does not apply" and len(rest[0]) > 5), issue


def test_a_file_is_named_after_an_issue_of_its_row() -> None:
    """`scar-kueue-13662-...` stands in the row of kueue#13662."""
    for issue, _, shown, *_ in ROWS:
        system = re.split(r"[ #]", issue.lstrip("| "))[0]
        for number in re.findall(r"`scar-[a-z0-9-]+?-(\d+)-", shown):
            assert f"#{number}" in issue, issue
            assert f"scar-{system}-{number}-" in shown, issue


def test_the_check_sees_what_is_missing() -> None:
    """The checker itself."""
    assert missing("scar-nobody-1-nothing.txt")
    assert missing("tests/docs/test_scars.py::test_nothing")
    assert not missing("tests/docs/test_scars.py::test_the_check_sees_what_is_missing")
