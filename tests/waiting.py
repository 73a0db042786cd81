"""Wait for a condition with a deadline: the one place where tests poll."""

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")


def wait_until(
    look: Callable[[], Seen],
    timeout_s: float = 20,
    *,
    what: str = "",
    every_s: float = 0.01,
) -> Seen:
    """Call `look` until it returns something true, and return that.

    Errors: AssertionError at the deadline, naming `what` and the last thing seen, so that a failed
    test says what was there instead. An exception out of `look` is not caught.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            name = what or getattr(look, "__qualname__", repr(look))
            raise AssertionError(f"not within {timeout_s:g} s: {name}; last seen: {seen!r}")
        time.sleep(every_s)
