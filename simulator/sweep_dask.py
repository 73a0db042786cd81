"""Cells on an existing Dask cluster (https://www.dask.org), for sweeps that outgrow one machine.

A cell is sent as it is, and its figures come back: the same bytes as from a process here, because
every worker must have the same code, and the same trace under the same path.
"""

import importlib
import logging
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from aimass import __version__
from aimass.simulator.run_summary import Row
from aimass.simulator.sweep import Cell, Failure, code_digest, play
from aimass.simulator.traces import digest

ANSWER_S = 10.0  # for the scheduler to answer, and its first worker to be there
ALONE_S = 60.0  # without any worker before it is given up
LOOK_S = 1.0
CELLS_A_THREAD = 2  # that wait at each thread of the workers; the rest waits here


class DaskError(Exception):
    """The cluster cannot run the sweep: what is wrong; fix: what to do."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


def identity() -> tuple[str, str, str]:
    """What must be equal for equal figures: our version, a digest of our code, Python's minor."""
    return __version__, code_digest(), ".".join(platform.python_version_tuple()[:2])


def play_checked(cell: Cell, ours: tuple[str, str, str]) -> Row | Failure:
    """Run the cell on a worker, if it has the same code and the same trace."""
    theirs = identity()
    if theirs != ours:
        return Failure(f"a worker {_other(theirs, ours)}", _SAME_CODE)
    path = cell.setting.path
    try:
        found = digest(path, cell.setting.form, cell.setting.perf)
    except ValueError as error:
        return Failure(f"a worker cannot read the trace: {error}", _SAME_TRACE)
    if found != cell.sha256:
        return Failure(f"a worker has another trace at {path}", _SAME_TRACE)
    return play(cell)


_SAME_CODE = "install the same aimass[sim] and Python on every worker"
_SAME_TRACE = "put the trace on a file system that all workers share, under the same path"


def play_on(cells: Sequence[Cell], address: str) -> Iterator[tuple[Cell, Row | Failure]]:
    """Run the cells on the cluster of the scheduler at HOST:PORT; each as it ends, in any order.

    A cell whose worker dies again and again is a Failure. Closing the iterator cancels the rest.
    Raises DaskError, and ModuleNotFoundError without the extra `dask`.
    """
    distributed: Any = importlib.import_module("distributed")

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what is wrong is said here
    try:
        client = distributed.Client(address, timeout=ANSWER_S)
    except (OSError, ValueError) as error:
        what = f"no Dask scheduler answers at {address} within {ANSWER_S:g} s"
        why = str(error).splitlines()[0] if isinstance(error, ValueError) else what
        fix = "name the address that `dask scheduler` prints, as tcp://host:8786"
        raise DaskError(what if why == what else f"{what}: {why}", fix) from None
    try:
        threads = _checked_threads(client)
        yield from _play(distributed, client, cells, threads)
    finally:
        client.close()


def _checked_threads(client: Any) -> int:
    """Threads of all workers, which have the same code as we. Raises DaskError."""
    try:
        client.wait_for_workers(1, timeout=ANSWER_S)
    except TimeoutError:
        fix = "start some: dask worker ADDRESS, where aimass[sim] is installed"
        raise DaskError("the Dask cluster has no workers", fix) from None
    ours = identity()
    for worker, theirs in client.run(identity, on_error="return").items():
        if isinstance(theirs, BaseException):
            raise DaskError(f"the worker {worker} cannot run cells: {theirs!r}", _SAME_CODE)
        if tuple(theirs) != ours:
            raise DaskError(f"the worker {worker} {_other(theirs, ours)}", _SAME_CODE)
    return sum(client.nthreads().values())


def _other(theirs: Sequence[str], ours: Sequence[str]) -> str:
    if theirs[0] != ours[0]:
        return f"has aimass {theirs[0]}, and here is {ours[0]}"
    if theirs[2] != ours[2]:
        return f"has Python {theirs[2]}, and here is {ours[2]}"
    return f"has other code of aimass {ours[0]} ({theirs[1]}, and here is {ours[1]})"


def _play(
    distributed: Any, client: Any, cells: Sequence[Cell], threads: int
) -> Iterator[tuple[Cell, Row | Failure]]:
    waiting = list(reversed(cells))
    running: dict[Any, Cell] = {}
    ours, seen_s = identity(), time.monotonic()
    while waiting or running:
        while waiting and len(running) < CELLS_A_THREAD * max(1, threads):
            cell = waiting.pop()
            running[client.submit(play_checked, _absolute(cell), ours, pure=False)] = cell
        try:
            done = distributed.wait(list(running), LOOK_S, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            done = set()
        threads = sum(client.nthreads().values())
        if done or threads:
            seen_s = time.monotonic()
        elif time.monotonic() - seen_s > ALONE_S:
            fix = "start workers again, and run the same command: finished cells are kept"
            raise DaskError(f"the Dask cluster has had no worker for {ALONE_S:g} s", fix)
        for future in done:
            yield running.pop(future), _found(future)


def _absolute(cell: Cell) -> Cell:
    """The same for a process in another folder."""
    setting = cell.setting
    perf = setting.perf.absolute() if setting.perf is not None else None
    return replace(cell, setting=replace(setting, path=setting.path.absolute(), perf=perf))


def _found(future: Any) -> Row | Failure:
    """What a finished future holds. Raises DaskError when the scheduler has forgotten it."""
    if future.status == "finished":
        found: Row | Failure = future.result()
        return found
    if future.status == "error":
        return Failure(f"a cell broke off: {future.exception()!r}", "look into the worker's log")
    fix = "run the same command again: finished cells are kept"
    raise DaskError("the Dask scheduler has gone, or has dropped the cells", fix)
