"""How fast the applications of the Pollux artifact (OSDI 2021) train, from its own tables.

An application is a folder: placements.csv and scalability.csv say how long a step and its
synchronisation take, in seconds, on so many GPUs of so many nodes with so large a batch on each
GPU; validation-B.csv says, epoch by epoch, how far training with a total batch of B comes and how
noisy its gradients are. They were measured on 16 nodes of 4 T4.
"""

import csv
import math
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aimass.simulator.pack_files import FileProblem
from aimass.simulator.perf_pollux_off_table import Interpolant, Point, between, off_table

GPUS_OF_NODE = 4  # of the cluster on which the tables were measured
NODES_MAX = 16  # beyond, more nodes make no difference to the tables
GPUS_MAX = 64
SLACK = 1e-8  # a quotient that is so little above a whole number is that number

BATCH_ON_GPU_MAX = {"yolov3": 8}  # less than its tables have: more did not fit into a T4's memory
FIXED_BATCH = {"ncf": 32_768}  # a job of these keeps one batch, on one GPU

Placement = tuple[int, ...]
"""GPUs on each node."""

Batches = tuple[int, int]
"""Of one GPU: the batch that goes through at once, and how many are gathered before the last."""


class Times(NamedTuple):
    """Seconds of one step, and how much of it goes into synchronising."""

    step_s: float
    sync_s: float


class Validation(NamedTuple):
    """One epoch of one validation file; progress counts steps of the application's first batch."""

    progress: float
    iteration: float
    sqr: float
    var: float


class App:
    """The tables of one application.

    batch_first, batch_max: total batches between which it can train. on_gpu_min, on_gpu_max: the
    same for one GPU. progress_ends[e]: where epoch e is over. Answers are remembered.
    """

    def __init__(
        self,
        name: str,
        placed: dict[str, list[tuple[int, Times]]],
        scaled: list[tuple[Point, Times]],
        validated: dict[int, list[Validation]],
    ) -> None:
        """placed: by digits of a placement, (batch on each GPU, times) in rising order."""
        self.name = name
        sizes = sorted({size for rows in placed.values() for size, _ in rows})
        self.on_gpu_min = sizes[0]
        self.on_gpu_max = min(sizes[-1], BATCH_ON_GPU_MAX.get(name, sizes[-1]))
        self._batches = sorted(validated)
        self.batch_first, self.batch_max = self._batches[0], self._batches[-1]
        self.epochs = min(map(len, validated.values()))
        epochs = range(self.epochs)
        self.progress_ends = [min(rows[e].progress for rows in validated.values()) for e in epochs]
        self._validated, self._placed, self._scaled = validated, placed, scaled
        self._interpolant: Interpolant | None = None
        self._times: dict[tuple[Placement, int], Times] = {}
        self._rates: dict[tuple[Placement, Batches, int], float] = {}

    def gpus_max(self, batch: int = 0) -> int:
        """How many GPUs can share the batch (0: the largest one), each with one that it can run."""
        if self.name in FIXED_BATCH:
            return 1
        return max(1, min(GPUS_MAX, (batch or self.batch_max) // self.on_gpu_min))

    def split(self, batch: int, gpus: int, gathered_min: int = 0) -> Batches:
        """How the GPUs share a total batch: what each runs at once, and how often before the last.

        What is really run, gpus * size * (gathered + 1), may differ a little from the batch.
        """
        share = _ceil(batch / gpus)
        gathered = _ceil(share / self.on_gpu_max) - 1
        if gpus == 1 and batch > self.batch_first:
            gathered = max(1, gathered)
        gathered = max(gathered, gathered_min)
        size = _ceil(share / (gathered + 1))
        return min(size, self.batch_max // (gpus * (gathered + 1))), gathered

    def validation(self, batch: int, epoch: int) -> Validation:
        """What validation says of so large a batch, linear between the nearest two."""
        batches = self._batches
        at = bisect_left(batches, batch)
        if at == len(batches) or batches[at] == batch:
            return self._validated[batches[min(at, len(batches) - 1)]][epoch]
        if at == 0:
            return self._validated[batches[0]][epoch]
        low, high = batches[at - 1], batches[at]
        below, above = self._validated[low][epoch], self._validated[high][epoch]
        part = (batch - low) / (high - low)
        return Validation(*(a + (b - a) * part for a, b in zip(below, above, strict=True)))

    def times(self, placement: Placement, size: int) -> Times:
        """Of one step with `size` on each GPU. Off the tables: see perf_pollux_off_table."""
        key = (placement, size)
        found = self._times.get(key)
        if found is None:
            rows = self._placed.get(_least_rotation(placement))
            if rows is not None:
                found = Times(*between(rows, size))
            else:
                if self._interpolant is None:
                    self._interpolant = off_table(_points(self._placed, self._scaled))
                nodes = min(len(placement), NODES_MAX)
                found = Times(*self._interpolant((nodes, sum(placement), size)))
            self._times[key] = found
        return found

    def step_s(self, placement: Placement, batches: Batches) -> float:
        """Seconds from one update of the model to the next."""
        size, gathered = batches
        step_s, sync_s = self.times(placement, size)
        return step_s + gathered * (step_s - sync_s)

    def rate(self, placement: Placement, batches: Batches, epoch: int) -> float:
        """Progress per second: steps, each worth what its batch gains over the first one."""
        key = (placement, batches, epoch)
        found = self._rates.get(key)
        if found is None:
            size, gathered = batches
            batch = sum(placement) * size * (gathered + 1)
            seen = self.validation(batch, epoch)
            gain = (seen.var + seen.sqr) / (seen.var / (batch / self.batch_first) + seen.sqr)
            found = gain / self.step_s(placement, batches)
            self._rates[key] = found
        return found

    def alone_s(self, batch: int, gpus: int, epoch: int = 0, progress: float = 0.0) -> float:
        """Seconds from there to its end on so many GPUs, packed, when nothing disturbs it."""
        placement, batches = packed(gpus), self.split(batch, gpus)
        total = 0.0
        for at in range(epoch, self.epochs):
            end = self.progress_ends[at]
            total += max(0.0, end - progress) / self.rate(placement, batches, at)
            progress = max(progress, end)
        return total


def packed(gpus: int, of_node: int = GPUS_OF_NODE) -> Placement:
    """GPUs of one gang on as few nodes as can be: full nodes, then the rest."""
    whole, rest = divmod(gpus, of_node)
    return (of_node,) * whole + ((rest,) if rest else ())


def _ceil(quotient: float) -> int:
    return math.ceil(quotient - SLACK)


def _least_rotation(placement: Placement) -> str:
    if max(placement) > 9:
        return ""
    digits = "".join(map(str, placement))
    return min(digits[at:] + digits[:at] for at in range(len(digits)))


def _points(
    placed: dict[str, list[tuple[int, Times]]], scaled: list[tuple[Point, Times]]
) -> list[tuple[Point, Times]]:
    """All measurements by (nodes, GPUs, batch on each), in the order of the artifact.

    They lie on a grid, which can be cut into simplices in many ways; the order decides which.
    """
    groups: dict[Point, list[Times]] = {}
    for digits, rows in placed.items():
        for size, times in rows:
            point = (len(digits), sum(map(int, digits)), size)
            groups.setdefault(point, []).append(times)
    return [(point, _mean(groups[point])) for point in sorted(groups)] + scaled


def _mean(times: list[Times]) -> Times:
    return Times(*(math.fsum(column) / len(times) for column in zip(*times, strict=True)))


# ---- files --------------------------------------------------------------------------------------


class Apps:
    """The applications of one folder, each read when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        """folder: holds one folder for each application."""
        self.folder = folder
        self._apps: dict[str, App] = {}

    def names(self) -> list[str]:
        """What can be asked for."""
        return sorted(path.parent.name for path in self.folder.glob("*/placements.csv"))

    def app(self, name: str) -> App:
        """Raises FileProblem when it is not there or a table is wrong."""
        if name not in self._apps:
            if name not in self.names():
                fix = f"there are {', '.join(self.names()) or 'none'}; give it its tables"
                raise FileProblem(self.folder, 1, f"no application {name!r}", fix)
            self._apps[name] = read_app(self.folder / name)
        return self._apps[name]


def read_app(folder: Path) -> App:
    """The application of this folder. Raises FileProblem."""
    placed: dict[str, list[tuple[int, Times]]] = {}
    columns = ("local_bsz", "step_time", "sync_time")
    for digits, size, *times in _rows(folder / "placements.csv", ("placement", *columns)):
        placed.setdefault(f"{digits:.0f}", []).append((int(size), Times(*times)))
    for rows in placed.values():
        rows.sort(key=lambda row: row[0])
    scaled = [
        ((nodes, gpus, size), Times(*times))
        for nodes, gpus, size, *times in _rows(
            folder / "scalability.csv", ("num_nodes", "num_replicas", *columns)
        )
    ]
    validated: dict[int, list[Validation]] = {}
    for path in sorted(folder.glob("validation-*.csv")):
        batch = path.stem.removeprefix("validation-")
        if not (batch.isascii() and batch.isdigit() and int(batch)):
            raise FileProblem(path, 1, f"no batch size in {path.name}", "name it validation-B.csv")
        found = _rows(path, ("progress", "iteration", "grad_sqr", "grad_var"))
        validated[int(batch)] = [Validation(*row) for row in found]
    if not validated:
        raise FileProblem(folder, 1, "no validation-B.csv", "give the tables of one batch at least")
    return App(folder.name, placed, scaled, validated)


def _rows(path: Path, columns: Sequence[str]) -> list[list[float]]:
    """These columns of a CSV file, all numbers, at least one row. Raises FileProblem."""
    rows = []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
                what, fix = f"no column {', '.join(missing)}", f"it has {','.join(columns)}"
                raise FileProblem(path, 1, what, fix)
            for row in reader:
                rows.append([_number(path, reader.line_num, name, row[name]) for name in columns])
    except OSError as error:
        what = error.strerror or "cannot be read"
        raise FileProblem(path, 1, what, "give the application all of its tables") from None
    except UnicodeDecodeError:
        raise FileProblem(path, 1, "is not UTF-8", "save it as UTF-8") from None
    if not rows:
        raise FileProblem(path, 1, "no rows", "give the application all of its tables")
    return rows


def _number(path: Path, line: int, name: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise FileProblem(path, line, f"{name} is {text!r}", "give a number that is not negative")
    return value
