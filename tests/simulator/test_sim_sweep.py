"""Sweeps: workloads made of a trace, cells and their keys, verdicts about differences."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from aimass.simulator.clusters import parse_cluster
from aimass.simulator.models import Costs
from aimass.simulator.reshape import changed
from aimass.simulator.run_summary import Row
from aimass.simulator.sweep import Cell, Failure, Grid, cells, file_name, key, play, problem
from aimass.simulator.sweep_pool import play_all
from aimass.simulator.sweep_report import MEASURES, differences, means
from aimass.simulator.sweep_store import Store
from aimass.simulator.tracejob import TraceJob

CLUSTER = ("2x4xA", parse_cluster("2x4xA"))
JOBS = [TraceJob(f"j{i}", 5000 + 100 * i * i, 60_000, 1000) for i in range(40)]


class Deadly(str):
    """A name that ends the process which reads it."""

    __slots__ = ()

    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (7,)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Write a trace of 60 jobs that keep 8 GPUs busy."""
    lines = [
        json.dumps({"id": i, "submit_s": 20 * i, "run_s": 60 + 37 * i % 400, "gpus": 1 + i % 4})
        for i in range(60)
    ]
    path = tmp_path / "jobs.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def grid(trace: Path) -> Grid:
    """Two policies, two loads, three weeks of the trace."""
    return Grid((trace,), (CLUSTER,), ("fifo", "srtf"), (1000, 1500), (0, 1, 2), block=5)


def test_a_load_divides_the_times_since_the_first_submission() -> None:
    found = list(changed(2000, 0, 0)(iter(JOBS)))
    assert [job.submit_ms for job in found] == [5000 + 50 * i * i for i in range(40)]
    assert [replace(job, submit_ms=0) for job in found] == [
        replace(job, submit_ms=0) for job in JOBS
    ]


def test_each_seed_draws_whole_blocks_with_the_gaps_of_the_trace() -> None:
    found = list(changed(1000, 8, 3)(iter(JOBS)))
    assert found == list(changed(1000, 8, 3)(iter(JOBS)))
    assert found != list(changed(1000, 8, 4)(iter(JOBS)))
    assert len(found) == len(JOBS)
    numbers = [int(job.name[1:]) for job in found]
    for at in range(1, len(found)):
        if at % 8:
            assert numbers[at] == (numbers[at - 1] + 1) % 40
        gap_ms = found[at].submit_ms - found[at - 1].submit_ms
        own_ms = JOBS[numbers[at]].submit_ms - JOBS[numbers[at] - 1].submit_ms
        assert gap_ms == (own_ms if numbers[at] else 0)


def test_everything_that_decides_a_cell_is_in_its_key(trace: Path) -> None:
    cell = cells(grid(trace))[0]
    other = parse_cluster("3x4xA")
    variants = [
        cell,
        replace(cell, sha256="0"),
        replace(cell, cluster="3x4xA", setting=replace(cell.setting, kinds=other)),
        replace(cell, policy="las"),
        replace(cell, load_milli=999),
        replace(cell, seed=9),
        replace(cell, block=6),
        replace(cell, is_lenient=True),
        replace(cell, setting=replace(cell.setting, costs=Costs(restart_ms=1))),
        replace(cell, setting=replace(cell.setting, error_milli=1)),
    ]
    assert len({file_name(key(each)) for each in variants}) == len(variants)
    moved = replace(cell, setting=replace(cell.setting, path=Path("elsewhere")))
    assert key(moved) == key(cell)


def test_the_pool_finds_what_one_process_finds(trace: Path) -> None:
    every = cells(grid(trace))
    serial, pooled = (dict(play_all(every, workers)) for workers in (1, 3))
    assert json.dumps([serial[cell] for cell in every]) == json.dumps(
        [pooled[cell] for cell in every]
    )
    assert len({json.dumps(row) for row in serial.values()}) == len(every)


def test_a_process_that_dies_takes_only_its_cell_along(trace: Path) -> None:
    every = cells(grid(trace))[:4]
    every.insert(1, replace(every[0], policy=Deadly("deadly")))
    found = dict(play_all(every, 2))
    failed = [cell for cell, row in found.items() if isinstance(row, Failure)]
    assert failed == [every[1]]
    assert "ended with 7" in str(found[every[1]])
    assert len(found) == 5


def test_a_cell_is_kept_whole_or_not_at_all(trace: Path, tmp_path: Path) -> None:
    cell, other, *_ = cells(grid(trace))
    store = Store(tmp_path / "cells")
    assert store.load(cell) is None
    row = play(cell)
    assert not isinstance(row, Failure)
    store.keep(cell, row)
    assert store.load(cell) == row
    assert store.load(other) is None
    (file,) = (tmp_path / "cells").iterdir()
    file.rename(file.with_stem(file_name(key(other))))
    assert store.load(other) is None  # it says what it was made of
    for content in (b"", b"{}", b"[1]", b"\xff", b'{"key": 1}'):
        (tmp_path / "cells" / f"{file_name(key(cell))}.json").write_bytes(content)
        assert store.load(cell) is None


def test_what_would_end_a_sweep_half_way_is_found_before_it_begins(
    trace: Path, tmp_path: Path
) -> None:
    assert problem(grid(trace)) is None
    small = replace(grid(trace), clusters=(CLUSTER, ("1x2xA", parse_cluster("1x2xA"))))
    found = problem(small)
    assert found is not None
    assert (found.line, found.what.split()[:3]) == (3, ["2", "asks", "for"])
    assert problem(replace(small, is_lenient=True)) is None
    row = play(cells(replace(small, is_lenient=True))[-1])
    assert isinstance(row, dict)
    assert row["left_out"] == 30
    bad = tmp_path / "bad.jsonl"
    bad.write_text(trace.read_text() + "{}\n")
    found = problem(grid(bad))
    assert found is not None
    assert found.line == 61
    failure = play(cells(grid(bad))[0])
    assert isinstance(failure, Failure)
    assert "bad.jsonl:61" in failure.what


def row(policy: str, seed: int, wait_s: float | None) -> Row:
    """Give the figures of a cell of which only one matters."""
    names = {"trace": "t", "input_sha256": "0", "cluster": "c", "load": 1.0, "jobs": 1}
    figures = dict.fromkeys(MEASURES, 1.0) | {"wait_mean_s": wait_s}
    return {**names, "finished": 1, "policy": policy, "seed": seed, **figures}


@pytest.mark.parametrize(
    ("gaps", "verdict"),
    [
        ((-3, -5, -4, -6, -2, -3), "differs"),
        ((-3, 5, -4, 6, 2, -3), "no difference shown"),
        ((0, 0, 0, 0, 0, 0), "equal"),
        ((-3, -5, -4, -6, -2), "too few seeds"),
        ((-3,), "too few seeds"),
        ((0,), "equal"),
    ],
)
def test_differences_are_taken_seed_by_seed_and_judged(gaps: tuple[int, ...], verdict: str) -> None:
    base = [row("a", seed, 1000.0 * seed) for seed in range(len(gaps))]
    other = [row("b", seed, 1000.0 * seed + gap) for seed, gap in enumerate(gaps)]
    (found,) = differences([*base, *reversed(other)])
    assert (found["policy"], found["against"]) == ("b", "a")
    wait = found["wait_mean_s"]
    assert wait["verdict"] == verdict
    assert wait["mean"] == pytest.approx(sum(gaps) / len(gaps), abs=1e-6)
    base_s = 1000 * (len(gaps) - 1) / 2
    assert wait["part"] == (pytest.approx(wait["mean"] / base_s, abs=1e-6) if base_s else None)
    assert (wait["low"] is None) == (len(gaps) == 1)
    if len(gaps) > 1:
        assert min(gaps) <= wait["low"] <= wait["mean"] <= wait["high"] <= max(gaps)
    assert found["jct_mean_s"]["verdict"] == "equal"


def test_means_leave_out_what_a_run_cannot_tell() -> None:
    first, second = means([row("a", 0, 10.0), row("a", 1, 20.0), row("b", 0, None)])
    assert first["wait_mean_s"] == {"mean": 15, "sd": pytest.approx(7.0710678)}
    assert (first["seeds"], first["jobs"]) == (2, 2)
    assert second["wait_mean_s"] is None
    assert second["makespan_s"] == {"mean": 1, "sd": None}


def test_cells_come_by_trace_cluster_load_policy_and_seed(trace: Path) -> None:
    found = [(cell.load_milli, cell.policy, cell.seed) for cell in cells(grid(trace))]
    assert found == [(x, y, z) for x in (1000, 1500) for y in ("fifo", "srtf") for z in range(3)]
    assert isinstance(cells(grid(trace))[0], Cell)
