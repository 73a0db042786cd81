"""Reserves of queues as operators and users see them: massctl against a scheduler."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aimass import amounts
from aimass.v1 import job_pb2
from tests.scheduler.harness import Agent, Scheduler, inventory, scheduler, spec

MODEL = inventory().devices[0].model
QUEUED, PLACED = job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_PLACED
STOPPING = job_pb2.JOB_STATE_STOPPING


async def ok(s: Scheduler, *words: str) -> str:
    code, out, err = await s.massctl(*words)
    assert code == 0, err
    return out


@asynccontextmanager
async def two_nodes(tmp_path: Path) -> AsyncIterator[Scheduler]:
    async with scheduler(tmp_path) as s:
        agents = [Agent(s, name) for name in ("n1", "n2")]
        for agent in agents:
            await agent.hello()
        yield s


async def test_a_reserve_is_given_shown_and_taken_back(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as s:
        cells = f"2x2x{MODEL}"
        await ok(s, "queue", "put", "vision", "--quota", "gpu=4", "--reserve", cells)
        assert f"{cells}: 0 in use, 2 to be had" in await ok(s, "queue", "show", "vision")
        view = json.loads(await ok(s, "queue", "show", "vision", "-o", "json"))
        cell = {"gpus": 2, "model": MODEL, "shards": 1, "level": None, "count": 2}
        assert view["reserve"] == [{**cell, "used": 0, "missing": 0}]
        assert cells in await ok(s, "queue", "ls", "-o", "wide")
        await s.job_in(await s.submit(spec(queue="vision", not_preemptible=True)), PLACED)
        assert f"{cells}: 1 in use, 1 to be had" in await ok(s, "queue", "show", "vision")
        await ok(s, "queue", "put", "vision", "--weight", "2")
        assert f"{cells}: 1 in use" in await ok(s, "queue", "show", "vision")
        await ok(s, "queue", "put", "vision", "--reserve", "none")
        assert "reserve" not in await ok(s, "queue", "show", "vision")


async def test_who_would_break_a_cell_waits_and_learns_why(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as s:
        cells = f"2x2x{MODEL}"
        await ok(s, "queue", "put", "vision", "--quota", "gpu=4", "--reserve", cells)
        await ok(s, "queue", "put", "other", "--quota", "gpu=1")
        job_id = await s.submit(spec(queue="other", not_preemptible=True))
        await s.job_in(job_id, QUEUED)
        page = await ok(s, "why", job_id)
        assert "QUOTA_RESERVE" in page
        assert f"massctl update {job_id} --preemptible" in page
        await ok(s, "update", job_id, "--preemptible")
        await s.job_in(job_id, PLACED)
        code, _, err = await s.massctl("update", job_id, "--not-preemptible")
        assert code == 2
        assert "queue vision has in reserve" in err
        await s.submit(spec("gang", shards=2, gpus=2, queue="vision"))
        await s.job_in(job_id, STOPPING)
        page = await ok(s, "show", job_id)
        assert "under RESERVE" in page
        assert "takes a cell that is in reserve for it" in page


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("4x8xH100", [(4, 1, 8, "H100", "")]),
        ("2x4x8xH100@rack", [(2, 4, 8, "H100", "rack")]),
        ("1x2xa100x, 1x1x4090", [(1, 1, 2, "a100x", ""), (1, 1, 1, "4090", "")]),
        ("none", []),
    ],
)
def test_cells_are_read_and_written(text: str, cells: list[amounts.Cell]) -> None:
    assert amounts.parse_cells(text) == cells
    assert amounts.parse_cells(",".join(map(amounts.cell_text, cells)) or "none") == cells


@pytest.mark.parametrize("text", ["", "8", "8xH100", "4x8x", "-1x8xH100", "4x8xH100@", "4x8xH 1"])
def test_bad_cells_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="4x8xH100"):
        amounts.parse_cells(text)


async def test_an_impossible_reserve_is_refused_with_a_fix(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as s:
        for cells, said in (
            (f"1x2x{MODEL}", "--quota gpu:"),
            (f"1x2x{MODEL}@rack", "leave out @rack"),
            (f"1x2x1x{MODEL}@rack", "no level 'rack'"),
            ("4x8", "COUNTxGPUSxMODEL"),
        ):
            code, _, err = await s.massctl("queue", "put", "q", "--reserve", cells)
            assert (code, "fix:" in err) == (2, True)
            assert said in err
        many = ("--quota", "gpu=8", "--reserve", f"3x2x{MODEL}")
        code, _, err = await s.massctl("queue", "put", "q", *many)
        assert code == 2
        assert "have 2 of the 3" in err
        assert "q" not in (await ok(s, "queue", "ls", "-o", "name")).split()
