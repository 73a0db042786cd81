"""Performance tables of published traces: where they lie, and how fast applications are by them.

Tables are looked for beside the trace, then in its parent folder, or where --perf says.
"""

import csv
import gzip
import json
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from aimass.simulator.pack_files import FileProblem, read_rows

GAVEL_NAMES = ("simulation_throughputs.json", "simulation_throughputs.json.gz")
SPREAD = "_unconsolidated"  # of GPU types in Gavel's table: workers on several servers

_GAVEL_KEY = re.compile(r"\('(.+)', ([1-9][0-9]*)\)\Z")


def located(trace: Path, perf: Path | None, names: Sequence[str]) -> Path:
    """The first of such files or folders that there is. Raises FileProblem.

    names: one with * is of several tables together: the folder in which they are is given. perf:
    that file or folder itself, or the one in which it is.
    """
    if perf is None:
        here = Path(trace).absolute().parent
        places = [here, here.parent]
    else:
        if perf.is_file() or (perf.name in names and perf.exists()):
            return perf
        places = [perf]
    for place in places:
        for name in names:
            if next(place.glob(name), None) is not None:
                return place if "*" in name else place / name
    where = " or ".join(str(place) for place in places)
    what = f"no performance tables ({names[0]}) in {where}"
    raise FileProblem(trace, 1, what, "name where they are with --perf PATH")


def tables_of(found: Path, names: Sequence[str]) -> Iterator[Path]:
    """The files that `located` gave of those names, in order: one, or all of the folders."""
    is_one = found.is_file() or found.name in names
    roots = [found] if is_one else sorted(one for name in names for one in found.glob(name))
    for root in roots:
        yield from sorted(path for path in root.rglob("*") if path.is_file()) or [root]


class GavelTable:
    """Steps a second of Gavel's job types (OSDI 2020) on its GPU types, alone on their GPUs.

    types: those of workers on one server, in the order of the file.
    """

    def __init__(self, rates: dict[str, dict[tuple[str, int], float]]) -> None:
        self.types = tuple(name for name in rates if not name.endswith(SPREAD))
        self._rates = rates

    def steps_per_s(self, job_type: str, gpus: int, gpu_type: str) -> float:
        """0: it does not run there, or nobody knows."""
        return self._rates[gpu_type].get((job_type, gpus), 0.0)


def gavel_table(path: Path) -> GavelTable:
    """The table of that file, plain or gzipped. Raises FileProblem."""
    there = path.stat()
    return _gavel_table(path, there.st_mtime_ns, there.st_size)


@lru_cache(maxsize=4)
def _gavel_table(path: Path, _changed_ns: int, _size: int) -> GavelTable:
    data = path.read_bytes()
    try:
        value = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
        rates = {
            gpu_type: {_gavel_key(key): _rate(row["null"]) for key, row in rows.items()}
            for gpu_type, rows in value.items()
        }
    except (OSError, EOFError, zlib.error, ValueError, TypeError, KeyError, AttributeError) as why:
        what = f"no table of throughputs as Gavel has it ({why!r})"
        raise FileProblem(path, 1, what, "copy it again from Gavel's repository") from None
    return GavelTable(rates)


def _gavel_key(key: str) -> tuple[str, int]:
    found = _GAVEL_KEY.match(key)
    if found is None:
        raise ValueError(f"no job type is written {key!r}")
    return found[1], int(found[2])


def _rate(value: Any) -> float:
    rate = float(value)
    if not (math.isfinite(rate) and rate >= 0):
        raise ValueError(f"a throughput is {value!r}")
    return rate


class ElasticTables:
    """Iterations a second by GPU type, model, global batch size and GPUs (ElasticFlow, 2023)."""

    def __init__(self, rates: dict[tuple[str, str, int], dict[int, float]]) -> None:
        self._rates = rates
        self.types = tuple(dict.fromkeys(gpu_type for gpu_type, _, _ in rates))

    def per_s(self, gpu_type: str, model: str, batch: int) -> dict[int, float]:
        """By number of GPUs, rising; empty where there is no such table or row."""
        return self._rates.get((gpu_type, model, batch), {})


def elastic_tables(folder: Path) -> ElasticTables:
    """All `throughputs_TYPE/MODEL.csv` of that folder, by type and model. Raises FileProblem."""
    rates = {}
    for path in sorted(folder.glob("throughputs_*/*.csv")):
        gpu_type = path.parent.name.removeprefix("throughputs_")
        for batch, row in _elastic_rows(path):
            rates[gpu_type, path.stem, batch] = row
    return ElasticTables(rates)


def _elastic_rows(path: Path) -> list[tuple[int, dict[int, float]]]:
    with open(path, encoding="utf-8", newline="") as file:
        header = next(csv.reader(file), [])
    sizes = [name for name in header if name.isascii() and name.isdigit()]
    rows = []
    for row in read_rows(path, ("global_batch_size",), sizes):
        try:
            found = {int(size): float(row.fields[size] or "nan") for size in sizes}
        except ValueError as error:
            raise row.problem(str(error), "write iterations a second, or nothing") from None
        kept = {size: rate for size, rate in sorted(found.items()) if rate > 0}  # no nan either
        rows.append((row.count("global_batch_size"), kept))
    return rows
