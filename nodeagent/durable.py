"""Small files that survive a crash: written aside, synced, renamed. JSON without `import json`.

Shared by the agent and the shim. `import json` would cost the shim 10 ms of its start (it pulls in
`re` and `enum`), so this file uses the C scanner underneath, which is the same parser.
"""

from __future__ import annotations

import os
from _json import encode_basestring_ascii as _quote
from _json import make_scanner as _make_scanner

TYPE_CHECKING = False  # type checkers know the name; `import typing` would cost 5 ms
if TYPE_CHECKING:
    from typing import Any

    Record = dict[str, Any]
else:
    Record = dict


class _Settings:
    """What the C scanner asks of its decoder; the defaults of `json.loads`."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float

    def __init__(self) -> None:
        self.memo: dict[str, str] = {}


def read_json(path: str) -> Record | None:
    """Give the object in a file that this module wrote, or None when there is no such file.

    Errors: ValueError when it is not JSON, OSError when it cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return None
    try:
        value, _ = _make_scanner(_Settings())(text, 0)  # type: ignore[arg-type]
    except (StopIteration, ValueError) as error:
        raise ValueError(f"{path} is not JSON") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds no object")
    return value


def encode(value: object) -> str:
    """Write str, int, bool, None, lists and dicts as JSON."""
    if isinstance(value, str):
        return _quote(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quote(k)}: {encode(v)}" for k, v in value.items()) + "}"
    assert isinstance(value, list | tuple), f"{type(value)} has no place in these files"
    return "[" + ", ".join(map(encode, value)) + "]"


def write_file(path: str, text: str, *, sync: bool = True) -> None:
    """Replace a file as a whole: a reader sees the old text or the new, never a part.

    sync: also survive the loss of power (about 0.3 ms on a good disk).
    Errors: OSError; the old file is then still there.
    """
    fresh = f"{path}.new"
    with open(fresh, "w", encoding="utf-8") as file:
        file.write(text)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    os.replace(fresh, path)
    if sync:
        sync_folder(os.path.dirname(path) or ".")


def write_json(path: str, value: Record, *, sync: bool = True) -> None:
    """`write_file` of an object."""
    write_file(path, encode(value) + "\n", sync=sync)


def reserve(path: str, size_bytes: int) -> None:
    """Set disk space aside for a later `write_reserved`. Errors: OSError when there is none."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        os.posix_fallocate(fd, 0, size_bytes)
    finally:
        os.close(fd)


def write_reserved(reserved: str, path: str, value: Record) -> None:
    """`write_json`, synced, into the space that `reserve` has set aside: for a disk that is full.

    Written in place, so that nobody else takes the space in between. Without a reserve, or when
    this fails half-way and is called again, it is plain `write_json`.
    """
    fresh = f"{path}.new"
    try:
        os.rename(reserved, fresh)
    except FileNotFoundError:
        write_json(path, value)
        return
    with open(fresh, "r+", encoding="utf-8") as file:
        file.write(encode(value) + "\n")
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    sync_folder(os.path.dirname(path) or ".")


def sync_folder(folder: str) -> None:
    """Make a folder's entries (a new file, a rename) survive the loss of power."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
