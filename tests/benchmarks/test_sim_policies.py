"""The comparison of policies: its figures by hand, draws that are the same for all, intervals."""

import json
from pathlib import Path
from typing import Any

import pytest

from aimass.simulator.attempts import Record
from aimass.simulator.clusters import parse_cluster
from aimass.simulator.tracejob import TraceJob
from benchmarks import sim_policies, sim_policies_paired
from benchmarks.sim_policies import Draw, Workload, fairness, measure
from benchmarks.sim_policies_paired import FIGURES, best_other, by_workload, dominators, gap


def row(policy: str, seed: int, *figures: float, jobs: int = 8) -> dict[str, Any]:
    """A run of a workload called w."""
    named = dict(zip(FIGURES, figures, strict=True))
    return {"workload": "w", "jobs": jobs, "policy": policy, "seed": seed, **named}


def runs(**policies: list[tuple[float, float, float]]) -> sim_policies_paired.Runs:
    """Figures of the seeds 0, 1 and so on, by policy."""
    rows = [row(p, seed, *own) for p, some in policies.items() for seed, own in enumerate(some)]
    return by_workload(rows)["w, 8 jobs"]


def record(name: str, submit_ms: int, end_ms: int, work_ms: int, gpus: int) -> Record:
    """A job of one attempt."""
    job = TraceJob(name, submit_ms, work_ms, 1000 * gpus)
    return Record(job, submit_ms, end_ms, 1, 0, gpus * work_ms, work_ms, 0)


def test_fairness_is_the_time_over_that_with_an_equal_share() -> None:
    """Two jobs of 2 GPUs and 10 s, on 2 GPUs one after the other: in the life of the first two are
    there, so that half the GPUs are its share; in that of the second 1.5 in the mean."""
    records = [record("a", 0, 10_000, 10_000, 2), record("b", 0, 20_000, 10_000, 2)]
    assert list(fairness(records, parse_cluster("1x2xV100"))) == pytest.approx([0.5, 20 / 15])


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A workload of 12 jobs of different lengths."""
    lines = [
        json.dumps({"id": f"j{n}", "submit_s": 10 * n, "run_s": 5 + 7 * (n % 5), "gpus": 1 + n % 2})
        for n in range(12)
    ]
    path = tmp_path / "jobs.jsonl"
    path.write_text("\n".join(lines) + "\n")
    monkeypatch.setitem(sim_policies.WORKLOADS, "small", Workload(str(path), "1x2xV100"))
    return "small"


def test_a_draw_has_so_many_jobs_and_differs_from_seed_to_seed(small: str) -> None:
    """The same seed gives the same figures but for the processor's time."""
    one, again, other = (measure(small, "mass", Draw(seed, 3, 8)) for seed in (1, 1, 2))
    assert one["jobs"] == other["jobs"] == 8
    assert one | {"cpu_s": 0} == again | {"cpu_s": 0}
    assert one["jct_mean_s"] != other["jct_mean_s"]


def test_rows_of_draws_become_a_table(
    small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the one command to the other."""
    out = tmp_path / "rows.jsonl"
    drawn = ["--seeds", "0-5", "--block", "3", "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["x", "--workload", small, "--policy", "fifo,las,mass", *drawn])
    assert sim_policies.main() == 0
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", ["x", str(out)])
    assert sim_policies_paired.main() == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 3
    assert table[2].startswith("| small, 12 jobs | 6 | `")


def test_a_gap_is_a_part_of_the_others_mean_over_the_seeds_of_both() -> None:
    """A seed that only one has counts for nothing; six pairs of one sign are enough to show it."""
    ours = [(110.0, 1, 1), (121.0, 1, 1), (132.0, 1, 1), (110.0, 1, 1), (121.0, 1, 1), (132, 1, 1)]
    theirs = [(100.0, 1, 1), (110.0, 1, 1), (120.0, 1, 1)] * 2
    found = gap(runs(mass=ours, other=theirs), "mass", "other", "jct_mean_s")
    assert found is not None
    assert found.part == pytest.approx(0.1)
    assert 0.09 < found.low < 0.1 < found.high < 0.11
    assert found.pairs == 6
    assert found.is_shown
    few = gap(runs(mass=ours, other=theirs[:5]), "mass", "other", "jct_mean_s")
    assert few is not None
    assert few.pairs == 5
    assert not few.is_shown


def test_draws_of_other_lengths_are_not_compared() -> None:
    """They are other work, also of one seed."""
    rows = [row("mass", 0, 1, 1, 1), row("las", 0, 2, 2, 2, jobs=4)]
    assert {name: [*found] for name, found in by_workload(rows).items()} == {
        "w, 8 jobs": ["mass"],
        "w, 4 jobs": ["las"],
    }


def test_the_best_other_is_another_one_for_each_figure() -> None:
    """Also where it is behind; who ran with fewer seeds is not looked at."""
    found = runs(
        mass=[(10, 10, 10)] * 2,
        quick=[(11, 20, 20)] * 2,
        fair=[(20, 20, 9)] * 2,
        lucky=[(5, 5, 5)],
    )
    best = [best_other(found, figure) for figure in FIGURES]
    assert [each and each[0] for each in best] == ["quick", "quick", "fair"]


def test_only_who_is_as_good_in_all_three_and_better_in_one_is_named() -> None:
    """Equal in all is not better; what six pairs show is marked as shown."""
    found = runs(
        mass=[(10, 10, 10)] * 6,
        equal=[(10, 10, 10)] * 6,
        better=[(10, 9, 10)] * 6,
        perhaps=[(10, 10, 9), (10, 10, 10.5), *[(10, 10, 10)] * 4],
        other=[(9, 9, 11)] * 6,
    )
    assert list(dominators(found)) == [("better", True), ("perhaps", False)]
