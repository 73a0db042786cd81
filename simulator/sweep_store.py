"""A folder with a file for every finished cell: what decides it, and its figures.

A file is written whole or not at all. One that cannot be read, or was made of something else, is
as good as none: the cell runs again.
"""

import json
import os
from pathlib import Path

from aimass.simulator.run_summary import Row
from aimass.simulator.sweep import Cell, file_name, key


class Store:
    """The finished cells of a folder, which is made when the first is kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, cell: Cell) -> Row | None:
        """The figures of a cell; None: it is not finished. Raises OSError."""
        found = key(cell)
        try:
            kept = json.loads((self._folder / f"{file_name(found)}.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        if not isinstance(kept, dict) or kept.get("key") != found:
            return None
        row = kept.get("row")
        return row if isinstance(row, dict) else None

    def keep(self, cell: Cell, row: Row) -> None:
        """Write the figures of a cell. Raises OSError."""
        found = key(cell)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{file_name(found)}.json"
        # Two sweeps may share the folder: each writes beside, and the last wins with equal bytes.
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps({"key": found, "row": row}, indent=1) + "\n", encoding="utf-8")
        beside.replace(path)
