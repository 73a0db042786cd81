"""massctl sim size: goals, the search, and what is said when nothing meets them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aimass import cli
from aimass.simulator.clusters import parse_cluster
from aimass.simulator.size import Trial, answer, search, spelled, with_nodes
from aimass.slo import parse_goals, value_text


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a trace, and be where it is: 6 jobs of 2 GPUs at once, one of 8, then nothing."""
    jobs = [{"id": i, "submit_s": 0, "run_s": 600, "gpus": 2, "slo_s": 900} for i in range(6)]
    jobs.append({"id": "large", "submit_s": 7200, "run_s": 60, "gpus": 8, "slo_s": 900})
    (tmp_path / "jobs.jsonl").write_text("\n".join(map(json.dumps, jobs)) + "\n")
    typed = {"id": "t1", "submit_s": 0, "run_s": 9, "gpus": 1, "gpu_types": ["B"]}
    (tmp_path / "typed.jsonl").write_text(json.dumps(typed) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def size(*words: str, slo: str = "wait_p95<1m", cluster: str = "1x4xA") -> int:
    """Run the command."""
    return cli.run(
        ["sim", "size", "--slo", slo, "--trace", "jobs.jsonl", "--cluster", cluster, *words]
    )


def sizing(capsys: pytest.CaptureFixture[str], *words: str, **options: str) -> dict[str, Any]:
    """Run it and give its JSON."""
    assert size("-o", "json", *words, **options) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("needed", [1, 2, 3, 7, 8, 9, 63, 100])
@pytest.mark.parametrize("start", [1, 8, 13, 100])
def test_the_search_ends_at_the_edge(needed: int, start: int) -> None:
    trials = list(search(lambda nodes: Trial(nodes, nodes >= needed, {}), start, 100))
    found = answer(trials)
    assert found is not None
    assert found.nodes == needed
    tried = [trial.nodes for trial in trials]
    assert len({*tried}) == len(tried) <= 2 * 7 + 1
    assert needed == 1 or needed - 1 in tried


def test_the_search_looks_no_further_than_it_may_or_than_helps() -> None:
    never: Callable[[int], Trial] = lambda nodes: Trial(nodes, False, {})  # noqa: E731
    assert [trial.nodes for trial in search(never, 3, 20)] == [3, 6, 12, 20]
    idle: Callable[[int], Trial] = lambda nodes: Trial(nodes, False, {}, "", nodes > 5)  # noqa: E731
    assert [trial.nodes for trial in search(idle, 3, 20)] == [3, 6]
    assert [trial.nodes for trial in search(never, 30, 20)] == [20]
    assert answer(list(search(never, 3, 20))) is None


def test_the_last_kind_grows() -> None:
    kinds = with_nodes(parse_cluster("2x4xA+1x8xB"), 5)
    assert spelled(kinds) == "2x4xA+5x8xB"


def test_the_fewest_nodes_are_found_with_their_steps(capsys: pytest.CaptureFixture[str]) -> None:
    """All six start at once on three nodes of four; the large job would need but two."""
    found = sizing(capsys)
    assert (found["nodes"], found["gpus"], found["cluster"]) == (3, 12, "3x4xA")
    steps = {step["nodes"]: step for step in found["steps"]}
    assert sorted(steps) == [1, 2, 3, 4]
    assert [steps[nodes]["met"] for nodes in (1, 2, 3, 4)] == [False, False, True, True]
    assert steps[1]["why"].startswith("large asks for 8 GPUs")
    assert "wait_p95_s" not in steps[1]
    assert steps[2]["wait_p95_s"] == 600
    assert size() == 0
    told = capsys.readouterr().out
    assert told.endswith("\n3x4xA (12 GPUs) is the smallest that meets wait_p95<1m; 2 would not.\n")


def test_several_goals_and_every_seed_must_be_met(capsys: pytest.CaptureFixture[str]) -> None:
    goals = "wait_p95<=10m, slo_attainment>=95%"
    found = sizing(capsys, slo=goals)
    assert found["slo"] == ["wait_p95<=10m", "slo_attainment>=95%"]
    assert found["nodes"] == 3  # on two the second half ends after 20 minutes
    drawn = sizing(capsys, "--seeds", "5", "--resample", "1", slo="wait_mean<1s")
    own = [
        sizing(capsys, "--seed", str(seed), "--resample", "1", slo="wait_mean<1s")["nodes"]
        for seed in range(5)
    ]
    assert drawn["nodes"] == max(own)


def test_what_nothing_meets_is_said_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert size(slo="jct_mean<1m") == 1
    told = capsys.readouterr().err
    assert "no number of nodes meets jct_mean<1m" in told
    assert "more nodes change nothing" in told
    assert size("--max-nodes", "2") == 1
    told = capsys.readouterr().err
    assert "up to 2 nodes do not meet wait_p95<1m\nwhy: 2 nodes: wait_p95_s 10m: not met" in told
    assert "--max-nodes 8" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--slo", "wait_p95<30"), "wait_p95 is a time with its unit"),
        (("--slo", "wait_p95>30m"), "more nodes make wait_p95 lower; write wait_p95<30m"),
        (("--slo", "slo_attainment<0.9"), "more nodes make slo_attainment higher"),
        (("--slo", "slo_attainment>95"), "slo_attainment is a part such as 0.95 or 95%"),
        (("--slo", "gpu_util>80%"), "more nodes do not improve gpu_util"),
        (("--slo", "waiting<3m"), "FIGURE<VALUE such as wait_p95<30m"),
        (("--slo", "wait_p95=3m"), "FIGURE<VALUE such as wait_p95<30m"),
        (("--slo", "wait_p95<3m,wait_p95<4m"), "one goal for each figure"),
        (("--slo", ""), "FIGURE<VALUE"),
        (("--policy", "fifo,las"), "more than one policy"),
        (("--policy", "best"), "no policy 'best'"),
        (("--policy", "gavel-fifo"), "gavel-fifo decides in rounds alone\nfix: name another"),
        (("--trace", "typed.jsonl"), "t1 asks for B, and there are A\nfix: add nodes with B"),
        (("--cluster", "4x8"), "no cluster '4x8'"),
        (("--seeds", "2"), "nothing is drawn"),
        (("--trace", "none.jsonl"), "none.jsonl"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    assert size(*words) in (1, 2)
    assert told in capsys.readouterr().err


def test_a_figure_that_says_nothing_is_an_error(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    (here / "jobs.jsonl").write_text('{"id": 1, "submit_s": 0, "run_s": 1, "gpus": 1}\n{}\n')
    assert size(slo="slo_attainment>0.5") == 2
    assert "jobs.jsonl:2: no id" in capsys.readouterr().err
    assert size("--lenient", slo="slo_attainment>0.5") == 2
    assert "slo_attainment says nothing of this trace" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("wait_p95<90m", "1h30m"),
        ("slo_attainment>95%", "95.00%"),
        ("slo_attainment>=0.5", "50.00%"),
        ("preemptions<17", "17"),
        ("wait_mean<500ms", "0.5s"),
    ],
)
def test_goals_are_read_and_written_with_their_units(text: str, written: str) -> None:
    (goal,) = parse_goals(text)
    assert value_text(goal["figure"], goal["limit"]) == written
    assert goal["text"] == text
    assert goal["may_equal"] == ("=" in text)
