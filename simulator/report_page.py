"""The page of a report: one HTML file that loads nothing, for light and dark screens and for paper.

Its policy forbids the browser to fetch anything. Whatever comes from traces is escaped here.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from aimass.simulator.chart import colour, dashes, shape
from aimass.simulator.report_style import SCRIPT, STYLE

_UNIT, _NO_BREAK = re.compile(r"(?<=\d) (?=(?:%|d|h|min|s|GPUs|jobs)\b|%)"), "&nbsp;"


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text; the first column names the row. best: cells in bold: (row, column)."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    best: frozenset[tuple[int, int]] = frozenset()
    styles: Sequence[int] | None = None  # of the rows: each gets its key


@dataclass(slots=True)
class Page:
    """A page that grows from the top. title: in the window; heading, lede: what it says first."""

    title: str
    heading: str
    lede: Sequence[str]
    _parts: list[str] = field(default_factory=list)
    _figures: int = 0

    def tiles(self, pairs: Sequence[tuple[str, str, str]]) -> None:
        """Large figures: (what, value, note)."""
        cells = "".join(
            f'<div class="tile"><span>{escape(what)}</span><b>{escape(value)}</b>'
            f"<small>{escape(note)}</small></div>"
            for what, value, note in pairs
        )
        self._parts.append(f'<div class="tiles">{cells}</div>')

    def section(self, title: str, text: str = "") -> None:
        """A heading, and a paragraph below it."""
        about = f'<p class="about">{escape(text)}</p>' if text else ""
        self._parts.append(f"<h2>{escape(title)}</h2>{about}")

    def text(self, text: str) -> None:
        """A paragraph."""
        self._parts.append(f"<p>{escape(text)}</p>")

    def table(self, table: Table, caption: str) -> None:
        """A table that all see."""
        self._parts.append(f'<div class="wide">{_table(table, caption)}</div>')

    def legend(self, names: Sequence[tuple[str, int]]) -> None:
        """Which line and dot is whose."""
        items = "".join(f"<li>{key(style)}{escape(name)}</li>" for name, style in names)
        self._parts.append(f'<ul class="legend">{items}</ul>')

    def swatches(self, names: Sequence[tuple[str, str]]) -> None:
        """Which part of a bar is what: (class, name)."""
        items = "".join(
            '<li><svg class="key swatch" viewBox="0 0 14 14" aria-hidden="true">'
            f'<rect class="{kind}" width="14" height="14"/></svg>{escape(name)}</li>'
            for kind, name in names
        )
        self._parts.append(f'<ul class="legend">{items}</ul>')

    def pictures(self, figures: Iterable["Figure"]) -> None:
        """Pictures side by side where there is room, each with its figures below it."""
        self._parts.append('<div class="pictures">')
        for figure in figures:
            self._figures += 1
            name = f"f{self._figures}"
            self._parts.append(
                f'<figure id="{name}"><h3>{escape(figure.title)}</h3>{figure.svg}'
                f"<figcaption>{escape(figure.caption)}</figcaption>"
                f"<details><summary>Figures</summary>{_table(figure.table, figure.title)}"
                "</details></figure>"
            )
        self._parts.append("</div>")

    def facts(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Names and values, as a list."""
        items = "".join(f"<dt>{escape(n)}</dt><dd>{escape(v)}</dd>" for n, v in pairs)
        self._parts.append(f"<dl>{items}</dl>")

    def end(self) -> str:
        """The whole page."""
        digest = b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
        rules = (
            f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
            f"script-src 'sha256-{digest}'"
        )
        lede = "".join(f"<p>{_UNIT.sub(_NO_BREAK, escape(line))}</p>" for line in self.lede)
        body = "\n".join(self._parts)
        return (
            "<!doctype html>\n"
            '<html lang="en"><head><meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{rules}">\n'
            '<meta name="viewport" content="width=device-width">\n'
            f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style></head>\n"
            f"<body><header><h1>{escape(self.heading)}</h1>"
            f'<div class="lede">{lede}</div></header>\n'
            f"<main>\n{body}\n</main>\n"
            f"<script>{SCRIPT}</script></body></html>\n"
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture, what to see in it, and its figures."""

    title: str
    svg: str
    caption: str
    table: Table


def key(style: int) -> str:
    """A sample of the style's line and dot."""
    kind = colour(style)
    return (
        '<svg class="key" viewBox="0 0 34 14" aria-hidden="true">'
        f'<path class="line {kind}"{dashes(style)} d="M1 7H33"/>'
        f'<path class="dot {kind}" transform="translate(17 7) scale(.75)" d="{shape(style)}"/>'
        "</svg>"
    )


def _table(table: Table, caption: str) -> str:
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in table.heads)
    rows = "".join(_row(table, number) for number in range(len(table.rows)))
    return (
        f'<table><caption class="unseen">{escape(caption)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _row(table: Table, number: int) -> str:
    first, *others = table.rows[number]
    sample = key(table.styles[number]) if table.styles is not None else ""
    cells = "".join(
        f'<td class="best">{escape(cell)}</td>'
        if (number, column) in table.best
        else f"<td>{escape(cell)}</td>"
        for column, cell in enumerate(others, 1)
    )
    return f'<tr><th scope="row">{sample}{escape(first)}</th>{cells}</tr>'
