"""Work that Ctrl-C must not hit in the middle: gRPC takes locks that an interrupt leaves locked."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Generic, NoReturn, TypeVar

Result = TypeVar("Result")
LOOK_UP_S = 0.5


class Background(Generic[Result]):
    """Runs a function in a thread of its own, which no KeyboardInterrupt reaches.

    It begins with the first call of `result`: by then the caller handles interrupts. The thread
    exists before, because an interrupt in the middle of making it could lose it.
    """

    def __init__(self, work: Callable[[], Result]) -> None:
        self._results: list[Result] = []
        self._errors: list[BaseException] = []
        # Bare locks: Thread.join forgets the thread after an interrupt (Python 3.11), and an Event
        # that is interrupted in set() can stay locked.
        self._closed = threading.Lock()
        self._closed.acquire()
        self._unfinished = threading.Lock()
        self._unfinished.acquire()
        self._is_done = False
        threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def _run(self, work: Callable[[], Result]) -> None:
        self._closed.acquire()
        try:
            self._results.append(work())
        except BaseException as error:  # raised again in result(), where somebody can act on it
            self._errors.append(error)
        finally:
            self._is_done = True
            self._unfinished.release()

    def result(self) -> Result:
        """Wait for the end of the work and give what it gave. Ctrl-C interrupts only the wait."""
        if self._closed.locked():
            self._closed.release()
        while not self._is_done:  # looking up: a signal that another thread took wakes nobody here
            if self._unfinished.acquire(timeout=LOOK_UP_S):
                self._unfinished.release()
        if self._errors:
            raise self._errors[0]
        return self._results[0]


def leave_now(code: int) -> NoReturn:
    """End the process without closing connections: their locks may be held by an interrupted call.

    The scheduler sees them close all the same.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a broken pipe, or we interrupted its own writing
            stream.flush()
    os._exit(code)


def leave_on_interrupt() -> None:
    """From now on let Ctrl-C end the process at once, with exit code 130."""
    signal.signal(signal.SIGINT, lambda *_: leave_now(130))


@contextlib.contextmanager
def raising_on(*numbers: signal.Signals) -> Iterator[None]:
    """Let these signals raise KeyboardInterrupt in the main thread for a while."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
