"""How far a run of `massctl sim` is: counted always, shown on a terminal about once a second."""

import sys
import time
from collections.abc import Callable

from aimass import units
from aimass.cli_sim_base import Row

EVERY_S = 1.0

Write = Callable[[Row], None]


class Progress:
    """Watches the runs of one command, one after another. ended: jobs, of all of them."""

    def __init__(self) -> None:
        self.ended = 0
        self._is_shown = sys.stderr.isatty()
        self._shown_s = time.monotonic()
        self._begin("")

    def _begin(self, what: str) -> None:
        self._what = what
        self._come = self._over = 0
        self._first_s = self._last_s = 0.0

    def watch(self, what: str, write: Write | None) -> Write:
        """Begin with a run, which is called so; give what takes the rows of its jobs."""
        self._begin(what)

        def took(row: Row) -> None:
            if write is not None:
                write(row)
            if row["end_s"] is None:
                return
            self.ended += 1
            self._over += 1
            first_s = row["submit_s"] if self._over == 1 else self._first_s
            self._first_s = min(first_s, row["submit_s"])
            self._last_s = row["end_s"]
            self._show()

        return took

    def come(self, count: int) -> None:
        """So many jobs have come."""
        self._come = count
        self._show()

    def _show(self) -> None:
        if not self._is_shown or time.monotonic() < self._shown_s + EVERY_S:
            return
        self._shown_s = time.monotonic()
        at = units.span_text(round(1000 * (self._last_s - self._first_s)))
        come = f"{self._come:,} jobs have come, " if self._come else ""
        line = f"{self._what}: {at} of its time, {come}{self._over:,} ended"
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
