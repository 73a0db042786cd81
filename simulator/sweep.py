"""Sweeps: every policy on every trace, cluster and load with every seed; a cell is one such run.

What decides a cell is in its key, and its figures follow from that alone, whoever runs it. All
policies get the same jobs of a seed, so that their differences can be taken pair by pair.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from aimass import __version__
from aimass.simulator.clusters import Kinds
from aimass.simulator.models import PLAIN, Costs, Models, kinds_ever
from aimass.simulator.pack_files import FileProblem
from aimass.simulator.reshape import changed
from aimass.simulator.run import SimulationError
from aimass.simulator.run_policies import parse_policies
from aimass.simulator.run_report import Setting, simulate
from aimass.simulator.run_summary import MEASURED, Row
from aimass.simulator.tracejob import fix_of, misfit, spelled
from aimass.simulator.traces import digest, read_jobs

CODE = ("core", "policies", "simulator")


@dataclass(frozen=True, slots=True)
class Grid:
    """What a sweep goes through. policies: their labels. clusters: as written, and what they mean.

    models: of each cluster; (): nothing happens to any. form, costs, error_milli, perf: as in
    Setting. block: as in reshape.changed. is_lenient: lines
    that are wrong and jobs that are too large are left out.
    """

    traces: tuple[Path, ...]
    clusters: tuple[tuple[str, Kinds], ...]
    policies: tuple[str, ...]
    loads_milli: tuple[int, ...] = (1000,)
    seeds: tuple[int, ...] = (0,)
    form: str = "auto"
    costs: Costs = field(default_factory=Costs)
    error_milli: int = 0
    block: int = 0
    is_lenient: bool = False
    perf: Path | None = None
    models: tuple[Models, ...] = ()

    @property
    def worlds(self) -> list[tuple[str, Kinds, Models]]:
        """Clusters with what happens to them."""
        models = self.models or (PLAIN,) * len(self.clusters)
        return [
            (text, kinds, each) for (text, kinds), each in zip(self.clusters, models, strict=True)
        ]

    @property
    def is_drawn(self) -> bool:
        """Whether one seed differs from another."""
        fails = any(any(models.faults.rates) for models in self.models)
        return bool(self.error_milli or self.block or fails)


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a sweep. sha256: of the trace as it is stored, and of its tables."""

    setting: Setting
    sha256: str
    cluster: str
    policy: str
    load_milli: int
    seed: int
    block: int
    is_lenient: bool


class Failure(NamedTuple):
    """Why a cell has no figures: a sentence, and what to do."""

    what: str
    fix: str


def cells(grid: Grid) -> list[Cell]:
    """All cells in the order in which they are shown: seeds last, before them policies."""
    return [
        Cell(
            Setting(
                *(trace, kinds, grid.form, grid.costs, grid.error_milli),
                perf=grid.perf,
                models=models,
            ),
            sha256,
            cluster,
            policy,
            load_milli,
            seed,
            grid.block,
            grid.is_lenient,
        )
        for trace in grid.traces
        for sha256 in [digest(trace, grid.form, grid.perf)]
        for cluster, kinds, models in grid.worlds
        for load_milli in grid.loads_milli
        for policy in grid.policies
        for seed in grid.seeds
    ]


def in_pairs(found: Iterable[Cell]) -> list[Cell]:
    """The cells in an order in which a sweep that is broken off leaves most pairs whole."""
    return sorted(found, key=lambda cell: cell.seed)


def problem(grid: Grid) -> FileProblem | None:
    """What would end the sweep half-way: the first line or job that some cell cannot take.

    Reads every trace once. None with is_lenient, unless there is no job at all.
    """
    ever = [kinds_ever(kinds, models) for _, kinds, models in grid.worlds]
    for trace in grid.traces:
        jobs = 0
        try:
            skip = _nothing if grid.is_lenient else None
            for job in read_jobs(trace, grid.form, skip, grid.perf):
                wrong = [
                    (what, kinds) for kinds in ever if (what := misfit(spelled(job, kinds), kinds))
                ]
                if wrong and not grid.is_lenient:
                    what, kinds = wrong[0]
                    fix = fix_of(job, kinds, "lenient: true")
                    return FileProblem(trace, job.line, f"{job.name} {what}", fix)
                jobs += len(wrong) < len(grid.clusters)
        except FileProblem as found:
            return found
        if not jobs:
            return FileProblem(trace, 1, "no job fits on a cluster", "name a larger one")
    return None


def key(cell: Cell) -> Row:
    """All that decides the figures of a cell, in words."""
    return {
        "trace_sha256": cell.sha256,
        "cluster": cell.cluster,
        "policy": cell.policy,
        "load": cell.load_milli / 1000,
        "seed": cell.seed,
        "resample": cell.block,
        "lenient": cell.is_lenient,
        "models": repr(replace(cell.setting, path=Path(), perf=None)),
        "version": __version__,
        "code": code_digest(),
    }


def file_name(found: Row) -> str:
    """The name of a key's file, without its ending."""
    return blake2b(json.dumps(found, sort_keys=True).encode(), digest_size=12).hexdigest()


@cache
def code_digest() -> str:
    """A digest of the code that decides: another version of it may decide otherwise. 20 ms."""
    digest = blake2b(digest_size=8)
    for path in _sources():
        digest.update(f"{path.parent.name}/{path.name}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources() -> Iterator[Path]:
    here = Path(__file__).parent
    for folder in CODE:
        yield from sorted((here.parent / folder).glob("*.py"))


def play(cell: Cell) -> Row | Failure:
    """Run the cell; its figures without what was measured, so that equal cells are equal bytes."""
    left_out: list[FileProblem] = []
    skip = left_out.append if cell.is_lenient else None
    (named,) = parse_policies(cell.policy)
    change = changed(cell.load_milli, cell.block, cell.seed)
    try:
        row = simulate(cell.setting, named, cell.seed, skip, change=change)
    except FileProblem as found:
        return Failure(f"{found.path}:{found.line}: {found.what}", found.fix)
    except SimulationError as error:
        return Failure(f"the simulation of {cell.policy} broke off: {error}", "report it")
    kept = {name: value for name, value in row.items() if name not in MEASURED}
    return {
        "cluster": cell.cluster,
        "load": cell.load_milli / 1000,
        **kept,
        "left_out": sum(found.about == "line" for found in left_out),
    }


def _nothing(found: FileProblem) -> None:
    """What is left out is counted in each cell."""
