"""How the demo tells its story: what happens, with the time, and what was seen to be true."""

import textwrap
import time
from collections.abc import Callable
from typing import TypeVar

WAIT_S = 30.0

Seen = TypeVar("Seen")


class DemoFailed(Exception):
    """Something was not as the demo says it is."""


class Story:
    """Tells what happens, with the time, and keeps what was proved for the summary."""

    def __init__(self) -> None:
        """Start the clock."""
        self.began = time.monotonic()
        self.proved: list[str] = []

    def elapsed_s(self) -> float:
        """Give the seconds since the start."""
        return time.monotonic() - self.began

    def chapter(self, title: str) -> None:
        """Begin a part."""
        print(f"\n{title}", flush=True)

    def tell(self, text: str) -> None:
        """Say what happens."""
        print(f"{self.elapsed_s():6.1f} s  {text}", flush=True)

    def show(self, command: str, output: str, lines: int = 12) -> None:
        """Show a command and what it printed."""
        print(f"{self.elapsed_s():6.1f} s  $ {command}", flush=True)
        print(textwrap.indent("\n".join(output.splitlines()[:lines]), " " * 12), flush=True)

    def claim(self, text: str, is_true: bool, otherwise: object = "") -> None:
        """Say something that was looked at; DemoFailed when it is not so."""
        print(f"{self.elapsed_s():6.1f} s  {'✓' if is_true else '✗'} {text}", flush=True)
        if not is_true:
            raise DemoFailed(f"not so: {text}\n{otherwise}".rstrip())
        self.proved.append(text)


def wait_for(what: str, look: Callable[[], Seen | None], timeout_s: float = WAIT_S) -> Seen:
    """Call `look` until it gives something true; DemoFailed after the timeout."""
    deadline = time.monotonic() + timeout_s
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise DemoFailed(f"waited {timeout_s:.0f} s in vain for: {what}")
        time.sleep(0.05)
    return seen


def tail(text: str, lines: int) -> str:
    """Give the last lines of a text."""
    return "\n".join(text.splitlines()[-lines:])
