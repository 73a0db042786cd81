"""Folders of shards that are over: kept for their output while there is room, oldest out first."""

import asyncio
import contextlib
import os
import shutil
from pathlib import Path

import structlog

from aimass.nodeagent import shards

_FOLDERS_MAX = 200
_BYTES_MAX = 10 << 30

log = structlog.get_logger()


class Pruner:
    """Prunes beside all else, one pass at a time: large folders take their time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._wanted = 0
        self._task: asyncio.Task[None] | None = None

    def want(self) -> None:
        """One more folder is forgotten."""
        self._wanted += 1
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._wanted:
            done = self._wanted
            try:
                pruned = await asyncio.to_thread(prune, self._root, _FOLDERS_MAX, _BYTES_MAX)
                log.info("pruned", deleted=pruned)
            except OSError as error:
                log.error("cannot prune", why=str(error))
            self._wanted -= done


def prune(root: Path, folders_max: int, bytes_max: int) -> list[str]:
    """Delete the oldest forgotten folders above either bound; gives their names. O(their files).

    Errors: OSError when the disk refuses.
    """
    old = []
    for left in root.glob(".doomed-*"):  # a crash came between
        shutil.rmtree(left, ignore_errors=True)
    for entry in root.iterdir():
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            forgotten_ns = (entry / "forgotten").lstat().st_mtime_ns  # first: others may be large
            old.append((forgotten_ns, _size_bytes(entry), entry))
    old.sort(reverse=True)
    kept_bytes = 0
    pruned = []
    for number, (_, size, entry) in enumerate(old):
        kept_bytes += size
        # The mark is looked at again: the scheduler may have asked about it in the meantime.
        if (number >= folders_max or kept_bytes > bytes_max) and (entry / "forgotten").exists():
            shards.delete(entry)
            pruned.append(entry.name)
    return pruned


def _size_bytes(folder: Path) -> int:
    """Add up a folder's files; links count as themselves, wherever they lead."""
    total = 0
    for inside, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(inside, name)).st_size
    return total
