"""Readers of traces whose run times and speeds are in performance tables beside them."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from aimass.core.speeds import SpeedOn
from aimass.simulator.clusters import parse_cluster
from aimass.simulator.pack_files import FileProblem
from aimass.simulator.perf import GAVEL_NAMES, gavel_table, located
from aimass.simulator.tracejob import TraceJob, misfit, spelled
from aimass.simulator.traces import digest, read_trace
from tests.simulator.shared import trace

TABLE = {
    "k80": {"('A (batch size 1)', 2)": {"null": 0.0}, "('B', 1)": {"null": 1.0}},
    "V100": {"('A (batch size 1)', 2)": {"null": 3.0}, "('B', 1)": {"null": 0}},
    "p100": {"('A (batch size 1)', 2)": {"null": 2.0}, "('B', 1)": {"null": 3.0}},
    "p100_unconsolidated": {"('A (batch size 1)', 2)": {"null": 1.0}},
}


def line(*changes: tuple[int, str]) -> str:
    """A line of a Gavel trace, with other fields at some places."""
    fields = ["B", "run", "at", "-n", "0", "9", "1", "1", "-1.000000", "5.5"]
    for place, field in changes:
        fields[place] = field
    return "\t".join(fields) + "\n"


@pytest.fixture
def gavel(tmp_path: Path) -> Path:
    """Where to put a trace whose table is in the folder above."""
    table = {name.lower(): rows for name, rows in TABLE.items()}
    (tmp_path / "simulation_throughputs.json.gz").write_bytes(
        gzip.compress(json.dumps(table).encode())
    )
    (tmp_path / "traces").mkdir()
    return tmp_path / "traces" / "some.trace"


def problem_of(path: Path, text: str, perf: Path | None = None) -> str:
    """What a trace is refused for."""
    path.write_text(text)
    with pytest.raises(FileProblem) as caught:
        list(read_trace(path, perf=perf))
    return str(caught.value)


def test_a_gavel_job_takes_as_long_as_the_table_says_on_its_normal_gpu(gavel: Path) -> None:
    gavel.write_text(
        line()
        + line((0, "A (batch size 1)"), (5, "600"), (6, "2"), (7, "5.0"), (8, "1.200000"), (9, "6"))
    )
    first, second = read_trace(gavel)
    k80, p100 = SpeedOn("k80", 0, 0, 1_000_000), SpeedOn("p100", 0, 0, 3_000_000)
    assert first == TraceJob(
        *("0", 5500, 9000, 1000, 1),
        **{"gpu_types": ("k80", "p100"), "speeds": (k80, p100), "app": "B|1", "steps": 9},
    )
    assert (second.work_ms, second.slo_ms, second.priority) == (200_000, 240_000, 4)
    assert second.speeds == (SpeedOn("p100", 0, 0, 666_667), SpeedOn("v100", 0, 0, 1_000_000))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (line() + line((0, "C")), ":2: the table has no throughput of 'C' on 1 GPUs"),
        (line((6, "4")), ":1: the table has no throughput of 'B' on 4 GPUs"),
        (line() + "B\t1\n", ":2: 2 fields between tabs, not 10"),
        (line((6, "0")), ":1: scale factor is 0"),
        (line((7, "0.5")), ":1: weight is 0.5"),
        (line((8, "soon")), ":1: SLO is 'soon'"),
        (line((5, "-9")), ":1: steps is '-9'"),
        (line() + line((9, "3")), ":2: submitted 2500 ms before the job above it"),
    ],
)
def test_what_is_wrong_in_a_gavel_trace_names_its_line(gavel: Path, text: str, told: str) -> None:
    assert told in problem_of(gavel, text)


def test_tables_are_beside_the_trace_or_above_or_where_one_says(gavel: Path) -> None:
    above = gavel.parent.parent / "simulation_throughputs.json.gz"
    assert located(gavel, None, GAVEL_NAMES) == above
    beside = gavel.parent / "simulation_throughputs.json"
    beside.write_text(json.dumps({"a100": TABLE["k80"]}))
    assert located(gavel, None, GAVEL_NAMES) == beside
    assert located(gavel, above, GAVEL_NAMES) == located(gavel, above.parent, GAVEL_NAMES) == above
    gavel.write_text(line())
    assert [job.gpu_types for job in read_trace(gavel)] == [("a100",)]
    assert [job.gpu_types for job in read_trace(gavel, perf=above)] == [("k80", "p100")]
    other = beside.rename(gavel.parent / "measured.json")
    assert [job.gpu_types for job in read_trace(gavel, perf=other)] == [("a100",)]
    assert digest(gavel, perf=other) != digest(gavel)
    told = problem_of(gavel, line(), perf=gavel.parent / "nowhere")
    assert "no performance tables (simulation_throughputs.json)" in told
    assert told.endswith("fix: name where they are with --perf PATH")


def test_another_table_is_another_input(gavel: Path) -> None:
    gavel.write_text(line())
    before = digest(gavel)
    table = json.dumps({"a100": TABLE["k80"]})
    (gavel.parent / "simulation_throughputs.json").write_text(table)
    assert digest(gavel) != before
    assert digest(gavel, perf=gavel.parent.parent) == before


@pytest.mark.parametrize("text", ["[]", "{", '{"v100": {"B": {"null": 1}}}', '{"v100": []}'])
def test_a_table_that_is_none_is_refused(gavel: Path, text: str) -> None:
    (gavel.parent / "simulation_throughputs.json").write_text(text)
    assert "simulation_throughputs.json:1: no table of throughputs" in problem_of(gavel, line())


def test_shared_gavel_traces_read_whole() -> None:
    """Run times as the derived Tiresias traces have them: whole seconds of the same division."""
    path = trace("gavel/physical_max_min_fairness.trace")
    jobs = list(read_trace(path))
    assert len(jobs) == 96
    assert all(speed.speed_micro for job in jobs for speed in job.speeds)
    table = gavel_table(located(path, None, GAVEL_NAMES))
    for job in jobs:
        job_type, _, gpus = job.app.rpartition("|")
        rate = table.steps_per_s(job_type, int(gpus), "v100")
        assert abs(job.work_ms * rate - 1000 * job.steps) <= rate
        assert job.gpu_milli == 1000 * int(gpus)


HEADER = "job_id,submit_time,iteration,model_name,ddl,batch_size,num_gpu,duration\n"


@pytest.fixture
def elastic(tmp_path: Path) -> Path:
    """Where to put an ElasticFlow trace with small tables."""
    for name, text in {
        "T4/m.csv": "global_batch_size,1,2,4,8\n64,1.0,1.5,1.4,3\n",
        "A100/m.csv": "global_batch_size,1,2,4,8\n64,4.0,,0,nan\n32,1,1,1,1\n",
        "T4/ncf.csv": "global_batch_size,1,2\n64,1.0,1.5\n",
    }.items():
        path = tmp_path / f"throughputs_{name}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path / "trace.csv"


def test_an_elasticflow_job_has_a_speed_for_each_level_that_is_worth_it(elastic: Path) -> None:
    elastic.write_text(
        HEADER + "0,10,30,m,70,64,2,20\n1,10,30,m,70,64,4,21\n2,11,3,ncf,70,64,2,2\n"
    )
    first, second, third = read_trace(elastic)
    assert (first.work_ms, first.slo_ms, first.steps, first.batch) == (20_000, 60_000, 30, 64)
    assert (first.gpus_min, first.gpus_max, first.gpu_types) == (1, 8, ("A100", "T4"))
    assert [(one.gpu_type, one.gpus, one.speed_micro) for one in first.speeds] == [
        *(("A100", 1, 2_666_667), ("T4", 1, 666_667)),
        *(("T4", 2, 1_000_000), ("T4", 8, 2_000_000)),
    ]
    assert SpeedOn("T4", 4, 0, 1_000_000) in second.speeds  # asked for, though no level
    assert (third.gpus_min, third.gpus_max, len(third.speeds)) == (1, 1, 2)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("0,10,30,x,70,64,2,20\n", ":2: no throughput of x at batch 64 on 2 T4"),
        ("0,10,30,m,70,32,2,20\n", ":2: no throughput of m at batch 32 on 2 T4"),
        ("0,10,30,m,10,64,2,20\n", ":2: ddl is not after submit_time"),
    ],
)
def test_what_is_wrong_in_an_elasticflow_trace_names_its_line(
    elastic: Path, row: str, told: str
) -> None:
    assert told in problem_of(elastic, HEADER + row)


def test_every_elasticflow_table_is_part_of_the_input(elastic: Path) -> None:
    elastic.write_text(HEADER + "0,10,30,m,70,64,2,20\n")
    before = digest(elastic)
    for name in ("T4/m.csv", "A100/m.csv"):
        table = elastic.parent / f"throughputs_{name}"
        text = table.read_text()
        table.write_text(text + "99,1,1,1,1\n")
        assert digest(elastic) != before
        table.write_text(text)
    assert digest(elastic) == digest(elastic, perf=elastic.parent) == before


def test_the_shared_elasticflow_trace_agrees_with_its_own_durations() -> None:
    path = trace("elasticflow/elasticVpollux_e.csv")
    rows = path.read_text().splitlines()[1:]
    jobs = list(read_trace(path))
    assert len(jobs) == len(rows) == 195
    for job, row in zip(jobs, rows, strict=True):
        assert abs(job.work_ms - 1000 * float(row.split(",")[-1])) < 1000
    caps = {(job.app, job.batch): job.gpus_max for job in jobs}
    assert caps == {
        **{("bert", 384): 16, ("cifar10", 2048): 16, ("cifar10", 4096): 16, ("yolov3", 64): 4},
        **{("deepspeech2", 320): 32, ("deepspeech2", 640): 64, ("ncf", 32768): 1},
        **{("imagenet", 3200): 64, ("imagenet", 6400): 64},
    }


def test_the_shared_pollux_workload_has_its_run_times_alone() -> None:
    jobs = list(read_trace(trace("pollux/workloads/workload-6.csv")))
    assert len(jobs) == 160
    assert {job.app: (job.gpus_min, job.gpus_max) for job in jobs}["ncf"] == (1, 1)
    assert all(job.gpus_max == 64 for job in jobs if job.app == "cifar10")
    # The shortest of the published run's jobs is an ncf job; nothing is faster than alone.
    assert min(job.work_ms for job in jobs) > 30_000


def test_a_pollux_job_that_its_tables_do_not_have_names_its_line(tmp_path: Path) -> None:
    apps = trace("pollux/apps")
    path = tmp_path / "w.csv"
    header = "name,time,application,num_replicas,batch_size\n"
    assert ":2: no application 'x'" in problem_of(path, header + "a,1,x,1,64\n", perf=apps)
    told = problem_of(path, header + "a,1,bert,1,999\n", perf=apps)
    assert ":2: bert cannot train with a batch of 999 on 1 GPUs" in told


def test_gpu_types_are_matched_as_the_cluster_spells_them() -> None:
    speeds = (SpeedOn("a100", 0, 0, 5), SpeedOn("v100", 2, 1, 7))
    job = TraceJob("a", 0, 1, 1000, gpu_types=("a100", "v100"), speeds=speeds)
    kinds = parse_cluster("1x4xV100+1x1xH100")
    assert spelled(job, kinds) == replace(
        job,
        gpu_types=("V100", "a100"),
        speeds=(SpeedOn("a100", 0, 0, 5), SpeedOn("V100", 2, 1, 7)),
    )
    assert misfit(job, kinds) is None
    assert misfit(replace(job, gpu_types=("a100",)), kinds) is not None
    plain = TraceJob("a", 0, 1, 1000)
    assert spelled(plain, kinds) is plain
