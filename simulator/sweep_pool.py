"""Cells on several processes. Whoever leaves the loop early leaves no process behind."""

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait

from aimass.simulator.run_summary import Row
from aimass.simulator.sweep import Cell, Failure, play

# A fresh interpreter, which finds what this one finds: a user's own random.py is not imported.
_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; from aimass.simulator.sweep_pool import work; work({file})"
)


def play_all(cells: Sequence[Cell], workers: int) -> Iterator[tuple[Cell, Row | Failure]]:
    """Run the cells, and give each as it ends, in any order.

    A worker that dies is a Failure of its cell, and the others go on; closing the iterator, or an
    exception in it, kills all. One worker is this process itself.
    """
    if workers == 1:
        for cell in cells:
            yield cell, play(cell)
        return
    waiting = list(reversed(cells))
    staff: list[_Worker] = []
    try:
        for _ in range(min(workers, len(cells))):
            _hire(staff).give(waiting.pop())
        while busy := {worker.pipe: worker for worker in staff if worker.cell is not None}:
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                cell, found = worker.take()
                if waiting:
                    if not worker.is_alive:
                        staff.remove(worker)
                        worker = _hire(staff)
                    worker.give(waiting.pop())
                yield cell, found
    finally:
        for worker in staff:
            worker.end()


def work(file: int) -> None:
    """Run the cells that come by that file, until whoever sends them is gone or kills us."""
    with Connection(file) as pipe, contextlib.suppress(EOFError, OSError):
        while True:
            pipe.send(play(pipe.recv()))


def _hire(staff: "list[_Worker]") -> "_Worker":
    """One more worker. Ctrl-C waits until it can be ended; it itself inherits that it waits."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        staff.append(_Worker())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return staff[-1]


class _Worker:
    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:  # only the worker has it then, so that its end is the end of the pipe
            file = theirs.fileno()
            program = _PROGRAM.format(path=sys.path, file=file)
            command = [sys.executable, "-c", program]
            self._process = subprocess.Popen(command, pass_fds=[file], stdin=subprocess.DEVNULL)
        self.pipe = Connection(ours.detach())
        self.cell: Cell | None = None
        self.is_alive = True

    def give(self, cell: Cell) -> None:
        self.cell = cell
        with contextlib.suppress(OSError):  # it died; take() says so
            self.pipe.send(cell)

    def take(self) -> tuple[Cell, Row | Failure]:
        assert self.cell is not None
        cell, self.cell = self.cell, None
        try:
            return cell, self.pipe.recv()
        except (EOFError, OSError):
            code = self._process.wait()  # it closes its end by ending
            self.end()
            why = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
            what = f"the process that ran {cell.policy} on {cell.cluster} {why}"
            return cell, Failure(what, "use fewer --workers if memory is short")

    def end(self) -> None:
        self.is_alive = False
        self._process.kill()  # it has nothing to lose: only finished cells count
        self._process.wait()
        self.pipe.close()
