"""Files of `massctl sim`: what is read is not written over, and what breaks off leaves nothing."""

import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from aimass.background import raising_on
from aimass.cli_sim_base import installed
from aimass.cli_sim_cluster import SUFFIXES
from aimass.errors import InvalidRequest
from aimass.output import hint

Outputs = Iterable[Path | None]


def trace_files(path: Path, form: str, perf: Path | None) -> list[Path]:
    """The trace, and the files beside it that are read with it. Raises FileProblem."""
    with installed():
        from aimass.simulator.traces import files_of
    return files_of(path, form, perf)


def world_files(*words: str) -> list[Path]:
    """Those of the words of --cluster and --failures that name files."""
    return [Path(word) for word in words if word.endswith(SUFFIXES)]


def keep_apart(outputs: Outputs, inputs: Iterable[Path]) -> None:
    """Refuse to write over what is read, by whatever path it is named, or one output over another.

    Raises InvalidRequest. O(files).
    """
    taken = {_place(path): (path, "is read") for path in inputs}
    for path in outputs:
        if path is None or (path.exists() and not path.is_file()):
            continue  # a pipe or terminal takes everything
        place = _place(path)
        if place in taken:
            first, does = taken[place]
            what = f"{path} would be written over"
            other = "" if first == path else f" as {first}"
            fix = "name another file to write; nothing has been written"
            raise InvalidRequest(what, why=f"it {does}{other} by the same command", fix=fix)
        taken[place] = path, "is written"


def known_form(path: Path | None, otherwise: str = "") -> str:
    """The format that the file's name ends in; a pipe or stdout gets JSONL.

    otherwise: what else would say it. Raises InvalidRequest.
    """
    with installed():
        from aimass.simulator.trace_targets import target_of
    if path is None or (path.exists() and not path.is_file()):
        return "jsonl"
    target = target_of(path)
    if target is None:
        fix = f"end it in .jsonl, .swf (also with .gz or .zst) or .parquet{otherwise}"
        raise InvalidRequest(f"no format is known by the name of {path}", fix=fix)
    return target


def _place(path: Path) -> object:
    """Equal for two paths to the same file, whether it is there yet or not."""
    try:
        found = path.stat()
    except OSError:
        return path.resolve()
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def stopped_clean(done: Callable[[], str]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM go through all that cleans up. done: what had been done till then."""
    with raising_on(signal.SIGINT, signal.SIGTERM):
        try:
            yield
        except KeyboardInterrupt:
            hint(f"stopped {done()}; nothing was written")
            raise
