"""Every file in tests/scenarios says what the scheduler does, command by command."""

from pathlib import Path

import pytest

from tests.core.scenario import run

FILES = sorted((Path(__file__).parents[1] / "scenarios").glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_scenario(path: Path, pytestconfig: pytest.Config) -> None:
    """The answers in the file are the answers that the code gives; `--accept` rewrites them."""
    text = path.read_text()
    found = run(text)
    if pytestconfig.getoption("--accept"):
        path.write_text(found)
    else:
        assert found == text


def test_a_scenario_says_what_it_is_about() -> None:
    """Each begins with a comment: the name is the claim, the comment its reason."""
    assert len(FILES) >= 20
    assert [path.name for path in FILES if not path.read_text().startswith("# ")] == []


def test_a_wrong_answer_is_seen() -> None:
    """The runner itself: it writes what happens, not what the file hopes for."""
    right = "# one\nnode n1 1xH100\n> n1 READY\n"
    assert run(right.replace("READY", "LOST")) == right
