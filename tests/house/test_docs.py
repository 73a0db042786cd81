"""The documents hold together: links lead somewhere, decisions are indexed, targets exist."""

import re
from pathlib import Path

import pytest

from tests.house.tree import LAYERS, ROOT, name_of

DECISIONS = ROOT / "docs" / "decisions"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
WANTED = (
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/glossary.md",
    "docs/decisions/README.md",
)

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"`[^`\n]*`")


def links_in(text: str) -> list[str]:
    """Give the targets of the links that lead into the repository, code left out."""
    prose = INLINE_CODE.sub("", FENCE.sub("", text))
    return [link for link in LINK.findall(prose) if "://" not in link and ":" not in link[:8]]


def anchors_in(text: str) -> set[str]:
    """Give the anchors that a page's headings make."""
    headings = re.findall(r"^#+ +(.*?) *$", FENCE.sub("", text), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def dead_links(page: Path) -> list[str]:
    """List the links of one page that lead nowhere."""
    dead = []
    for link in links_in(page.read_text()):
        where, _, anchor = link.partition("#")
        target = (page.parent / where).resolve() if where else page
        leads_to_heading = not anchor or (
            target.suffix == ".md" and target.is_file() and anchor in anchors_in(target.read_text())
        )
        if not target.exists() or not leads_to_heading:
            dead.append(link)
    return dead


@pytest.mark.parametrize("name", WANTED)
def test_the_pages_people_look_for_are_there(name: str) -> None:
    """Where everybody looks first."""
    assert (ROOT / name).read_text().startswith("#")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file that exists and, with an anchor, to a heading in it."""
    assert dead_links(page) == []


def test_every_page_is_linked_from_another() -> None:
    """A page that nothing leads to is not read, and grows old unseen."""
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in links_in(page.read_text())
    }
    assert [
        name_of(page) for page in PAGES if page not in linked and page.name != "README.md"
    ] == []


def test_every_decision_has_one_line_in_the_index() -> None:
    """Numbered without a gap, so that `decision 7` in a comment is always the same page."""
    pages = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    assert [name[:4] for name in pages] == [f"{i:04}" for i in range(1, len(pages) + 1)]
    assert sorted(links_in((DECISIONS / "README.md").read_text())) == pages


def test_every_cited_decision_exists() -> None:
    """Comments and pages cite `docs/decisions/0007`; it has to be there."""
    known = {path.name[:4] for path in DECISIONS.glob("[0-9]*.md")}
    texts = [*PAGES, ROOT / "pyproject.toml", *(f for d in LAYERS.values() for f in d.glob("*.py"))]
    cited = {
        (name_of(path), number)
        for path in texts
        for number in re.findall(r"decisions/(\d{4})", path.read_text())
    }
    assert {cite for cite in cited if cite[1] not in known} == set()


def test_the_architecture_names_every_folder() -> None:
    """The map has no white spots."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    folders = {folder.relative_to(ROOT).as_posix() for folder in LAYERS.values()}
    assert {folder for folder in folders if f"{folder}/" not in text} == set()


def test_every_make_target_in_the_documents_exists() -> None:
    """The two commands of the README above all."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = {
        (name_of(page), target)
        for page in PAGES
        for target in re.findall(r"(?:`|^ *\$? ?)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    }
    assert {use for use in told if use[1] not in targets} == set()


def test_the_link_check_sees_a_dead_link(tmp_path: Path) -> None:
    """The checker itself: a missing file, a missing heading, and three links that are fine."""
    (tmp_path / "b.md").write_text("# A `b` c?\n")
    page = tmp_path / "a.md"
    page.write_text("# Top\n[1](b.md) [2](b.md#a-b-c) [3](#top) `[x](y)` [4](no.md) [5](b.md#no)\n")
    assert dead_links(page) == ["no.md", "b.md#no"]
