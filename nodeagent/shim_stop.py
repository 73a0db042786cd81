"""How a shard is brought to its end: notice, SIGTERM, SIGKILL, each in its time. PURE but one stat.

The shim tells it what was ordered and what time it is, and sends the signals that are due. Part of
the shim: lean imports. Times are the shim's `now_ms`; no order ever makes an end come later.
"""

from __future__ import annotations

import os

CHECKPOINT_NAME = "checkpoint.done"
CHECKPOINT_FILE = f"scratch/{CHECKPOINT_NAME}"  # in the shard's folder: AIMASS_CHECKPOINT_FILE

Stamp = tuple[int, int]


def checkpoint_stamp(path: str) -> Stamp | None:
    """Name the checkpoint that a file announces: another one when it was written, touched or
    replaced. (inode, mtime in ns); None: there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


class Ending:
    """How far the end has come. `cause` (reason, detail) is the first thing that asked for it."""

    def __init__(self) -> None:
        self.cause: tuple[str, str] | None = None
        self.is_killed = False
        self._term_at_ms = 0
        self._grace_ms = 0
        self._kill_at_ms: int | None = None  # known from SIGTERM on

    @property
    def is_noticed(self) -> bool:
        """True while the program has its notice and no SIGTERM yet."""
        return self.cause is not None and self._kill_at_ms is None

    def order(self, cause: tuple[str, str], now_ms: int, grace_ms: int, notice_ms: int = 0) -> bool:
        """Take an order: SIGTERM in notice_ms, SIGKILL grace_ms later. True: it is the first.

        A later one only brings forward what is still to come; its notice counts until SIGTERM.
        """
        if self.cause is None:
            self.cause = cause
            self._term_at_ms, self._grace_ms = now_ms + notice_ms, grace_ms
            return True
        if self._kill_at_ms is None:
            self._term_at_ms = min(self._term_at_ms, now_ms + notice_ms)
            self._grace_ms = min(self._grace_ms, grace_ms)
        else:
            self._kill_at_ms = min(self._kill_at_ms, now_ms + grace_ms)
        return False

    def takes_term(self, now_ms: int, is_acknowledged: bool) -> bool:
        """Say, once, that the notice is over, because it was answered or by its time."""
        if not self.is_noticed or not (is_acknowledged or now_ms >= self._term_at_ms):
            return False
        self._kill_at_ms = now_ms + self._grace_ms
        return True

    def takes_kill(self, now_ms: int, again_ms: int) -> bool:
        """Say that SIGKILL is due; it is again every again_ms, until nothing is left."""
        if self._kill_at_ms is None or now_ms < self._kill_at_ms:
            return False
        self._kill_at_ms = now_ms + again_ms
        self.is_killed = True
        return True

    def next_ms(self) -> int | None:
        """Give when something is due by itself; None: nothing is."""
        if self.cause is None:
            return None
        return self._term_at_ms if self._kill_at_ms is None else self._kill_at_ms

    def is_over_by(self, deadline_ms: int) -> bool:
        """Say whether the end comes by then anyway."""
        return self.is_killed or (self._kill_at_ms is not None and self._kill_at_ms <= deadline_ms)
