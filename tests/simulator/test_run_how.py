"""Runs in rounds and in events of jobs that have tables; what has no rounds says so."""

import json
from pathlib import Path
from typing import Any

import pytest

from aimass import cli
from aimass.simulator import perf_pollux_off_table
from aimass.simulator.clusters import parse_cluster
from aimass.simulator.models import Costs, Models, Paces
from aimass.simulator.run_policies import parse_policies
from aimass.simulator.run_report import Setting, simulate
from tests.simulator.pollux_apps import write_app

WORKLOAD = "name,time,application,num_replicas,batch_size\n" + "".join(
    f"job-{at},{at * 7},toy,{1 + at % 3},{8 * (1 + at % 3)}\n" for at in range(12)
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a workload of the toy application, and be where it is."""
    write_app(tmp_path / "apps" / "toy")
    (tmp_path / "jobs.csv").write_text(WORKLOAD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ends(policy: str, **how: Any) -> dict[str, float]:
    """When each job ends, in s."""
    found: dict[str, float] = {}
    (named,) = parse_policies(policy)
    setting = Setting(Path("jobs.csv"), parse_cluster("2x4xT4"), **how)
    simulate(setting, named, write=lambda row: found.update({row["id"]: row["end_s"]}))
    return found


@pytest.mark.parametrize("policy", ["pollux-tiresias", "pollux-optimus"])
def test_in_rounds_starts_cost_and_wait_for_their_end(policy: str) -> None:
    """The first job comes at 0; what it works is what it would from 90 s or from 0 s on."""
    in_rounds = ends(policy, round_s=60, costs=Costs(restart_ms=30_000))
    in_events = ends(policy)
    assert len(in_rounds) == len(in_events) == 12
    assert all(in_rounds[job] >= in_events[job] + 30 for job in in_events)
    longer = ends(policy, round_s=60)
    assert in_rounds["job-0"] == longer["job-0"] + 30


@pytest.mark.parametrize("policy", ["pollux-tiresias", "fifo-skip", "optimus"])
def test_in_events_every_job_ends(policy: str) -> None:
    assert all(end_s is not None for end_s in ends(policy).values())


def test_under_other_policies_jobs_choose_their_batch(here: Path) -> None:
    """Alone on its GPUs, a job is faster with a smaller batch than it asks for."""
    header = WORKLOAD.splitlines()[0]
    (here / "jobs.csv").write_text(f"{header}\njob-0,0,toy,4,64\n")
    kept, chosen = ends("pollux-tiresias")["job-0"], ends("fifo-skip")["job-0"]
    assert kept == pytest.approx(3 * 100 / (10 / 3 / 0.21), abs=0.01)
    assert chosen < 0.9 * kept


def refusal(**how: Any) -> str:
    """What a run is refused for."""
    with pytest.raises(ValueError, match="; fix: ") as caught:
        ends(how.pop("policy", "pollux-tiresias"), **how)
    return str(caught.value)


def test_what_has_no_rounds_says_so(here: Path) -> None:
    assert refusal(policy="fifo", round_s=60).startswith("fifo is of no simulator with rounds")
    costs = Costs(checkpoint_ms=1000)
    assert refusal(round_s=60, costs=costs).startswith("rounds know no such costs")
    assert refusal(round_s=60, costs=Costs(restart_ms=1500)).startswith("rounds count whole")
    assert refusal(round_s=30, costs=Costs(restart_ms=30_000)).startswith("a start takes 30 s")
    (here / "jobs.csv").write_text("job_id,num_gpu,submit_time,duration\na,1,0,10\n")
    assert "traces of format pollux" in refusal(round_s=60)


def test_the_command_takes_rounds(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--trace", "jobs.csv", "--cluster", "2x4xT4", "--policy", "pollux-tiresias"]
    assert cli.run(["sim", "run", *words, "--round", "60", "--restart", "30s", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["finished"] == 12
    assert cli.run(["sim", "run", *words[:-1], "fair", "--round", "60"]) == 2
    assert "fair is of no simulator with rounds" in capsys.readouterr().err


def test_without_scipy_it_says_what_that_changes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--trace", "jobs.csv", "--cluster", "2x4xT4", "--policy", "pollux-tiresias"]
    monkeypatch.setattr(perf_pollux_off_table, "_scipy", lambda: None)
    assert cli.run(["sim", "run", *words]) == 0
    assert "pip install 'aimass[pollux]'" in capsys.readouterr().err


@pytest.mark.parametrize("policy", ["fifo-skip", "optimus"])
def test_tables_know_already_what_several_nodes_cost(policy: str) -> None:
    (Path("jobs.csv")).write_text(WORKLOAD.splitlines()[0] + "\nwide,0,toy,8,64\n")
    halved = Models(paces=Paces(nodes_micro=500_000))
    assert ends(policy, models=halved) == ends(policy)
