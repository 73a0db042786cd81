"""Points at which a test can make the daemon die: AIMASS_CRASH_AT=name or name:n (n-th pass)."""

import os

CRASH_POINTS = ("scheduler-before-append", "scheduler-after-append")

_target, _, _nth = os.environ.get("AIMASS_CRASH_AT", "").partition(":")
_left = int(_nth or 1)


def crash_point(name: str) -> None:
    """Exit at once, as a SIGKILL would, when this is the point that was asked for."""
    global _left
    if name == _target:
        _left -= 1
        if _left == 0:
            os._exit(137)
