"""massctl sim queue: a table, JSON, and a refusal for whatever cannot be meant."""

import json
from pathlib import Path
from typing import Any

import pytest

from aimass import cli
from aimass.cli_sim_base import parse_seeds
from aimass.cli_sim_queue import parse_loads

NODES = "sn,cpu_milli,memory_mib,gpu,model\n" + "".join(f"n{i},16000,65536,4,A\n" for i in range(6))
PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,creation_time,deletion_time\n" + "".join(
    f"p{i},1000,500,{1 + (i % 5 == 0)},{500 if i % 5 else 1000},{i * 60},{i * 60 + 7200}\n"
    for i in range(200)
)
JOBS = "timestamp,duration,num_gpus\n" + "".join(
    f"2017-09-04 10:{i:02}:00,{3600 * (i % 9)},{(1, 2, 16)[i % 3]}\n" for i in range(60)
)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the lists, and be where they are."""
    for name, text in (("nodes.csv", NODES), ("pods.csv", PODS), ("jobs.csv", JOBS)):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sim(*words: str) -> int:
    """Run the command on the usual cluster."""
    return cli.run(["sim", "queue", "--nodes", "nodes.csv", *words])


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """Run it and give its JSON, without the times that it took itself."""
    assert sim(*words, "-o", "json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    for run in found["runs"]:
        del run["cpu_s"]
    return found


@pytest.mark.usefixtures("files")
def test_the_same_seeds_give_the_same_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Every load, seed and policy once; differences are to fgd."""
    words = ("--pods", "pods.csv", "--load", "0.5,1.2", "--seeds", "1-2")
    found = answer(capsys, *words, "--policy", "best-fit,fgd")
    assert [(run["load"], run["seed"], run["policy"]) for run in found["runs"]] == [
        (load, seed, policy)
        for load in (0.5, 1.2)
        for seed in (1, 2)
        for policy in ("best-fit", "fgd")
    ]
    assert (found["nodes"], found["gpus"], found["jobs"], found["left_out"]) == (6, 24, 200, 0)
    assert [(row["load"], row["policy"]) for row in found["summary"]] == [
        *((0.5, "best-fit"), (0.5, "fgd"), (1.2, "best-fit"), (1.2, "fgd"))
    ]
    assert [(row["policy"], row["against"]) for row in found["differences"]] == [
        *(("best-fit", "fgd"), ("best-fit", "fgd"))
    ]
    assert answer(capsys, *words, "--policy", "best-fit,fgd") == found


@pytest.mark.usefixtures("files")
def test_a_table_shows_means_and_differences(capsys: pytest.CaptureFixture[str]) -> None:
    """On every second node, from a list of jobs; gangs of 16 are larger than these nodes."""
    words = ("--jobs", "jobs.csv", "--every", "2", "--load", "0.7", "--seeds", "7")
    assert sim(*words, "--policy", "fgd,best-fit", "--promises", "1") == 0
    output = capsys.readouterr()
    lines = output.out.splitlines()
    assert lines[0].split()[:3] == ["LOAD", "POLICY", "WAIT"]
    assert [line.split()[:2] for line in lines[1:3]] == [["0.7", "fgd"], ["0.7", "best-fit"]]
    assert "Differences to fgd, with 95 % intervals:" in lines
    assert "20 of 60 jobs fit on no such cluster: left out" in output.err


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "either --pods FILE or --jobs FILE"),
        (("--pods", "pods.csv", "--jobs", "jobs.csv"), "either --pods FILE or --jobs FILE"),
        (("--pods", "pods.csv", "--policy", "fgd,best"), "no policy 'best'"),
        (("--pods", "pods.csv", "--policy", "fgd,fgd"), "comes twice"),
        (("--pods", "pods.csv", "--load", "0"), "loads such as"),
        (("--pods", "pods.csv", "--seeds", "5-1"), "seeds such as"),
        (("--pods", "bad.csv"), "bad.csv:3: num_gpu is '-1'"),
        (("--pods", "timeless.csv"), "take a list with creation_time"),
        (("--pods", "idle.csv"), "no GPU time"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    files: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    """With exit code 2 and what to do; a file by its line."""
    header, first, _ = PODS.split("\n", 2)
    (files / "bad.csv").write_text(f"{header}\n{first}\np,1,1,-1,1,0,1\n")
    (files / "timeless.csv").write_text("\n".join(row.rsplit(",", 2)[0] for row in (header, first)))
    (files / "idle.csv").write_text(f"{header}\np,1,1,0,0,0,1\n")
    assert sim(*words) == 2
    output = capsys.readouterr()
    assert told in output.err
    assert "fix: " in output.err
    assert output.out == ""


@pytest.mark.parametrize("text", ["", "a", "1,,2", "-1", "1-", "0.5", "1,1", "1-2000", "9" * 12])
def test_seeds_are_numbers_and_ranges(text: str) -> None:
    """Each once, and not more than anybody waits for."""
    with pytest.raises(ValueError, match="seeds such as"):
        parse_seeds(text)
    assert parse_seeds("42-44,7") == [42, 43, 44, 7]


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "-1", "0", "11", "1,1.0"])
def test_loads_are_positive_numbers(text: str) -> None:
    """Of GPU time asked for, per GPU time there is."""
    with pytest.raises(ValueError, match="loads such as"):
        parse_loads(text)
    assert parse_loads("0.7,1") == [0.7, 1]
