"""The folder of a report: report.html, and beside it all that it was made of.

summary.json, jobs.jsonl.gz (a record of every job), timeline.jsonl.gz (a line a bin) and
manifest.json. Equal runs give equal bytes, but for what was measured (summary.json).
"""

import gzip
import hashlib
import io
import json
import platform
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from aimass import __version__
from aimass.simulator.clusters import Kinds, gpus_of
from aimass.simulator.report import About, page
from aimass.simulator.report_runs import Drawn, Watch, Write
from aimass.simulator.run_summary import Row
from aimass.simulator.size import spelled
from aimass.simulator.sweep import code_digest
from aimass.simulator.trace_write import replaced

FILES = ("report.html", "summary.json", "manifest.json", "jobs.jsonl.gz", "timeline.jsonl.gz")
"""All that is written into the folder."""


class ReportFolder:
    """Writes one report. Use as a context: the files are there when it ends without an error.

    argv: the words of the command; cluster: as it was written. Raises OSError.
    """

    def __init__(self, folder: Path, kinds: Kinds, cluster: str, argv: Sequence[str]) -> None:
        self._folder, self._kinds, self._cluster, self._argv = folder, kinds, cluster, list(argv)
        self._runs: list[Drawn] = []
        self._watch: Watch | None = None
        self._stack = ExitStack()
        self._is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        self._jobs = self._stack.enter_context(packed(self._beside("jobs.jsonl.gz")))

    def __enter__(self) -> "ReportFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            with self._stack:  # files take their names when all of them are whole
                if error is not None:
                    raise error
                self._write()
        except BaseException:
            if self._is_new:
                with suppress(OSError):
                    self._folder.rmdir()
            raise

    def _beside(self, name: str) -> Path:
        """Where to write the file of that name until all went well."""
        return self._stack.enter_context(replaced(self._folder / name))

    def watch(self, write: Write | None = None) -> Watch:
        """What sees the next run. write: gets the row of every job besides."""

        def both(row: Row) -> None:
            self._jobs.write(_line(row))
            if write is not None:
                write(row)

        self._watch = Watch(self._kinds, both)
        return self._watch

    def take(self, row: Row) -> None:
        """The run that was watched is over, and this is its summary."""
        assert self._watch is not None, "no run was watched"
        self._runs.append(self._watch.drawn(row))

    def _write(self) -> None:
        rows = [run.row for run in self._runs]
        manifest = manifest_of(rows, self._cluster, self._argv)
        path = Path(self._cluster)
        cluster = f"{spelled(self._kinds)} of {path.name}" if path.is_file() else self._cluster
        about = About(rows[0]["trace"], cluster, gpus_of(self._kinds), shown(manifest))
        self._beside("report.html").write_text(page(self._runs, about), encoding="utf-8")
        self._beside("summary.json").write_text(_pretty({"runs": rows}), encoding="utf-8")
        self._beside("manifest.json").write_text(_pretty(manifest), encoding="utf-8")
        with packed(self._beside("timeline.jsonl.gz")) as file:
            for run in self._runs:
                for line in timeline_lines(run):
                    file.write(_line(line))


def manifest_of(rows: Sequence[Row], cluster: str, argv: Sequence[str]) -> Row:
    """What it takes to run it again and find the same."""
    return {
        "command": ["massctl", *argv],
        "trace": rows[0]["trace"],
        "input_sha256": rows[0]["input_sha256"],
        "cluster": cluster,
        **({"cluster_sha256": _sha256(Path(cluster))} if Path(cluster).is_file() else {}),
        "policies": list(dict.fromkeys(row["policy"] for row in rows)),
        "seeds": list(dict.fromkeys(row["seed"] for row in rows)),
        **made_by(),
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def made_by() -> Row:
    """Which code ran, on which Python."""
    return {
        "version": __version__,
        "code": code_digest(),
        "git": git_id(),
        "python": platform.python_version(),
    }


def git_id() -> str | None:
    """The commit of the code that runs, "+" if it was changed since; None: it is no checkout."""
    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return None
    words = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12"]
    try:
        found = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def timeline_lines(run: Drawn) -> Iterator[Row]:
    """A line a bin: GPUs and jobs, averages over the bin; at_s since the first submission."""
    course = run.course
    for index in range(course.bins):
        span_ms = course.span_ms(index) or 1
        gpu_ms = 1000 * span_ms
        yield {
            "policy": run.row["policy"],
            "seed": run.row["seed"],
            "at_s": index * course.width_ms / 1000,
            "length_s": span_ms / 1000,
            "gpus": _rounded(course.there[index], gpu_ms),
            "held": _rounded(course.held[index], gpu_ms),
            "idle_beside": _rounded(course.beside[index], gpu_ms),
            "waiting_gpus": _rounded(course.waiting[index], gpu_ms),
            "waiting_jobs": _rounded(course.waiting_jobs[index], span_ms),
            "held_by_queue": {
                queue.name: _rounded(queue.held[index], gpu_ms) for queue in course.queues
            },
        }


def _rounded(total: int, over: int) -> float:
    return round(total / over, 6)


def shown(manifest: Row) -> list[tuple[str, str]]:
    """A manifest as names and values on a page."""
    return [(name, _text(value)) for name, value in manifest.items()]


def _text(value: Any) -> str:
    if value is None:
        return "unknown"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _line(value: Row) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def put(path: Path, text: str) -> None:
    """Write the file whole or not at all. Raises OSError."""
    with replaced(path) as beside:
        beside.write_text(text, encoding="utf-8")


def packed(path: Path) -> "closing[IO[str]]":
    """A gzip file for text, with nothing in it that changes from run to run."""
    return closing(_Packed(path))


class _Packed(io.TextIOWrapper):
    """Closes all three layers: a gzip file leaves the file below it open."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb")  # noqa: SIM115 - closed by close()
        zipped = gzip.GzipFile(filename="", mode="wb", fileobj=self._file, mtime=0)
        super().__init__(zipped, encoding="utf-8", newline="\n")

    def close(self) -> None:
        super().close()
        self._file.close()
