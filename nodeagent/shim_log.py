"""A shard's output on disk: bounded, rotated, addressed by absolute offset. Pure stdlib, lean.

`log` is the newest file. A full one becomes `log.START`, START being the absolute offset of its
first byte in 20 digits, so the names alone tell a reader where everything is: `log` begins where
the last `log.START` ends. The oldest go when there are more than `files_max` in all.
"""

from __future__ import annotations

import os

NEWEST = "log"
FILE_BYTES_MAX = 64 << 20
FILES_MAX = 4
_TAIL_BYTES = 64 << 10


def rotated(folder: str) -> list[tuple[int, str]]:
    """List the full files of a shard's folder as (first offset, name), oldest first."""
    return sorted(
        (int(name[4:]), name)
        for name in os.listdir(folder)
        if name.startswith("log.") and name[4:].isdigit()
    )


def newest_start(folder: str) -> int:
    """Give the absolute offset of the first byte of `log`."""
    files = rotated(folder)
    if not files:
        return 0
    start, name = files[-1]
    return start + os.stat(os.path.join(folder, name)).st_size


class RotatingLog:
    """Appends to the log of one shard. When the disk refuses, bytes are dropped and counted:
    a shard must not stand still because its output cannot be kept."""

    def __init__(self, folder: str, file_bytes_max: int, files_max: int) -> None:
        assert files_max >= 2, "one full file stays beside the newest"
        self._folder = folder
        self._file_bytes_max = file_bytes_max
        self._files_max = files_max
        self._start = newest_start(folder)
        self._fd = self._open()
        self._size = os.fstat(self._fd).st_size
        self.lost_bytes = 0

    def write(self, data: bytes) -> None:
        """Append; rotates before a file would grow beyond its bound."""
        view = memoryview(data)
        try:
            while view:
                if self._size >= self._file_bytes_max:
                    self._rotate()
                written = os.write(self._fd, view[: self._file_bytes_max - self._size])
                self._size += written
                view = view[written:]
        except OSError:
            self.lost_bytes += len(view)

    def _open(self) -> int:
        path = os.path.join(self._folder, NEWEST)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def _rotate(self) -> None:
        newest = os.path.join(self._folder, NEWEST)
        full = f"{newest}.{self._start:020}"
        os.rename(newest, full)
        try:
            fresh = self._open()
        except OSError:
            os.rename(full, newest)
            raise
        os.close(self._fd)
        self._start += self._size
        self._fd, self._size = fresh, 0
        for _, name in rotated(self._folder)[: 1 - self._files_max]:
            os.unlink(os.path.join(self._folder, name))

    def give_space_back(self) -> int:
        """Drop the oldest full file, or when there is none, the end of `log`.

        For a disk so full that the shard's own end cannot be recorded. Gives the number of bytes
        dropped; 0: there is nothing left to drop. Offsets stay as they are.
        """
        for start, name in rotated(self._folder):
            path = os.path.join(self._folder, name)
            size = os.stat(path).st_size
            if size == 0:
                continue
            if start + size < self._start:
                os.unlink(path)
            else:  # the last one's name and size tell where `log` begins
                os.truncate(path, 0)
                os.rename(path, os.path.join(self._folder, f"{NEWEST}.{self._start:020}"))
            return size
        dropped = min(self._size, _TAIL_BYTES)
        self._size -= dropped
        os.truncate(self._fd, self._size)
        return dropped
