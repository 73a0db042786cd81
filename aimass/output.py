"""How massctl prints: tables, JSON, YAML, colours and hints. Data to stdout, all else to stderr."""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TextIO, TypeVar

Item = TypeVar("Item")

_ANSI = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_STATE_COLOURS = {
    "QUEUED": "yellow",
    "PLACED": "cyan",
    "STARTING": "cyan",
    "RUNNING": "green",
    "STOPPING": "yellow",
    "FAILED": "red",
    "CANCELLED": "dim",
    "READY": "green",
    "SUSPECT": "yellow",
    "LOST": "red",
    "CORDONED": "yellow",
    "DRAINING": "yellow",
    "DRAINED": "cyan",
}
COLUMN_WIDTH_MIN = 8
# Control characters of other people's names and reasons must not reach the terminal.
_CONTROLS = {code: "?" for code in (*range(32), *range(127, 160))}


@dataclass(frozen=True)
class Column(Generic[Item]):
    """One column of a table."""

    title: str
    text: Callable[[Item], str]
    is_wide: bool = False
    is_right: bool = False


def wants_colour(choice: str, stream: TextIO) -> bool:
    """Say whether to colour `stream`. choice: auto, always, never."""
    if choice != "auto":
        return choice == "always"
    is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not is_plain


def paint(text: str, colour: str) -> str:
    """Wrap text in one of the few colours; states are always words as well."""
    return f"\x1b[{_ANSI[colour]}m{text}\x1b[0m"


def clean(text: str) -> str:
    """Take control characters out of text that somebody else chose."""
    return text.translate(_CONTROLS)


def hint(text: str) -> None:
    """Tell the person, not the program: one line on stderr."""
    print(text, file=sys.stderr, flush=True)


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Give JSON text: one line, or indented for reading."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def print_value(view: Any, form: str) -> None:
    """Print one object as json, jsonl or yaml."""
    if form == "yaml":
        from aimass import yamldoc

        print(yamldoc.write(view), end="")
    else:
        print(as_json(view, indent=2 if form == "json" else None), flush=True)


@contextlib.contextmanager
def one_document(form: str, kind: str, count: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Give what prints one of `count` objects. Of several, json and yaml are one list, at the end.

    What came before a failure is printed all the same.
    """
    views: list[dict[str, Any]] = []
    is_list = count > 1 and form in ("json", "yaml")
    try:
        yield views.append if is_list else lambda view: print_value(view, form)
    finally:
        if views:
            print_value({"apiVersion": "aimass/v1", "kind": kind, "items": views}, form)


def print_removed(what: str, names: Sequence[str], form: str, remove: Callable[[str], Any]) -> None:
    """Remove one after the other, and say in any of the formats that it is there no more."""
    with one_document(form, "RemovedList", len(names)) as show:
        for name in names:
            remove(name)
            if form == "name":
                print(name)
            elif form == "table":
                print(f"{what} {name} removed", flush=True)
            else:
                show({"apiVersion": "aimass/v1", "kind": "Removed", "what": what, "name": name})


def print_listing(
    items: Sequence[Item],
    form: str,
    *,
    kind: str,
    columns: Sequence[Column[Item]],
    view: Callable[[Item], dict[str, Any]],
    name: Callable[[Item], str],
    colour: str,
    **header: Any,
) -> None:
    """Print a list in any of the formats. header: further fields of the json and yaml object."""
    if form == "name":
        print("".join(f"{name(item)}\n" for item in items), end="")
    elif form == "jsonl":
        print("".join(f"{as_json(view(item))}\n" for item in items), end="")
    elif form in ("json", "yaml"):
        listing = {"apiVersion": "aimass/v1", "kind": kind, **header}
        print_value({**listing, "items": [view(item) for item in items]}, form)
    else:
        print("".join(table(items, columns, is_wide=form == "wide", colour=colour)), end="")


def table(
    items: Iterable[Item],
    columns: Sequence[Column[Item]],
    *,
    is_wide: bool = False,
    colour: str = "auto",
) -> list[str]:
    """Lay out lines of a table. On a terminal the widest cells are cut to fit; piped, none."""
    shown = [column for column in columns if is_wide or not column.is_wide]
    rows = [[clean(column.text(item)) or "-" for column in shown] for item in items]
    titles = [column.title for column in shown]
    widths = [max(map(len, cells)) for cells in zip(titles, *rows, strict=True)]
    if sys.stdout.isatty():
        _shrink(widths, shutil.get_terminal_size().columns)
    is_coloured = wants_colour(colour, sys.stdout)
    lines = []
    for row in [titles, *rows]:
        cells = [
            _fitted(cell, width, column.is_right)
            for cell, width, column in zip(row, widths, shown, strict=True)
        ]
        lines.append(_line(cells, is_coloured, is_title=row is titles))
    return lines


def _shrink(widths: list[int], columns: int) -> None:
    """Take from the widest column what the terminal lacks, never below a readable rest."""
    excess = sum(widths) + 2 * (len(widths) - 1) - columns
    while excess > 0 and max(widths) > COLUMN_WIDTH_MIN:
        widest = widths.index(max(widths))
        widths[widest] -= 1
        excess -= 1


def _fitted(cell: str, width: int, is_right: bool) -> str:
    cell = cell if len(cell) <= width else f"{cell[: width - 1]}…"
    return cell.rjust(width) if is_right else cell.ljust(width)


def _line(cells: list[str], is_coloured: bool, is_title: bool) -> str:
    text = "  ".join(cells).rstrip()
    if not is_coloured:
        return f"{text}\n"
    if is_title:
        return f"{paint(text, 'bold')}\n"
    for cell in cells:
        word = cell.strip()
        if word in _STATE_COLOURS:
            before, _, after = text.partition(word)
            return f"{before}{paint(word, _STATE_COLOURS[word])}{after}\n"
    return f"{text}\n"
