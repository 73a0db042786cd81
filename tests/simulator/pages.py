"""What must hold of every page with pictures: checked by reading it strictly."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

VOID = {"meta", "br", "hr", "img", "link", "input"}
LOADS = {"src", "href", "xlink:href", "srcset", "data", "action", "poster", "background"}


class Read(HTMLParser):
    """Reads a page; says what is wrong with it, and keeps what tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.wrong: list[str] = []
        self.tags: dict[str, int] = {}
        self.words: list[str] = []
        self._open: list[str] = []
        self._ids: set[str] = set()
        self.feed(text)
        self.close()
        self.wrong += [f"<{tag}> is not closed" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count it, and look at what it loads and names."""
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if tag not in VOID:
            self._open.append(tag)
        for name, value in attrs:
            if name in LOADS and not (value or "").startswith("data:image/png;base64,"):
                self.wrong.append(f"<{tag} {name}={value!r}> loads something")
            if name.startswith("on"):
                self.wrong.append(f"<{tag} {name}> is a script")
            if name == "id":
                if value in self._ids:
                    self.wrong.append(f"id {value} comes twice")
                self._ids.add(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One that ends where it begins."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        """It must end what was opened last."""
        if not self._open or self._open.pop() != tag:
            self.wrong.append(f"</{tag}> ends what was not opened last")

    def handle_data(self, data: str) -> None:
        """Keep what a reader sees."""
        if self._open and self._open[-1] not in ("style", "script"):
            self.words.append(data.replace("\xa0", " "))


def checked(text: str) -> Read:
    """Read the page and assert that it is whole, loads nothing, and that its pictures are SVG."""
    read = Read(text)
    assert read.wrong == []
    assert len(text.encode()) < 1_000_000
    assert "@import" not in text
    assert not re.search(r"url\(", text)
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(pictures) == read.tags.get("svg", 0)
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        assert root.get("aria-label") or root.get("aria-hidden") == "true"
        for node in root.iter():
            for name, value in node.attrib.items():
                assert "nan" not in value.lower() or name in ("data-name", "aria-label"), (
                    name,
                    value,
                )
    return read
