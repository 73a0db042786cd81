"""Whatever comes, whatever breaks: all time is accounted for, and every job ends or is listed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aimass.core.invariants import check_invariants
from aimass.core.model import NodeId
from aimass.core.speeds import SpeedOn
from aimass.policies.registry import make_policy
from aimass.simulator.attempts import Record
from aimass.simulator.clusters import NodeKind
from aimass.simulator.faults import Faults
from aimass.simulator.models import Change, Costs, Models, Paces
from aimass.simulator.run import run
from aimass.simulator.tracejob import TraceJob, misfit
from aimass.simulator.world import World

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
TIMES = st.sampled_from((0, 1, 1234, 5 * MINUTE_MS))
RATES = st.sampled_from((0, 0, 10**7, 10**8))
NODES = st.lists(st.integers(0, 3).map(lambda at: NodeId(f"n{at}")), max_size=2).map(tuple)
KIND = NodeKind(3, 4, "A", rack_nodes=2, price_micro=7)
COSTS = st.builds(Costs, TIMES, TIMES, st.sampled_from((0, 7 * MINUTE_MS)), TIMES, TIMES)
FAULTS = st.builds(
    Faults,
    *(RATES, RATES, RATES, RATES, RATES),
    gpu_ms=st.sampled_from((1, HOUR_MS)),
    node_ms=st.sampled_from((1, HOUR_MS)),
    lease_ms=st.sampled_from((1, 10 * MINUTE_MS)),
)
CHANGES = st.builds(
    Change,
    st.integers(0, 4).map(lambda hours: hours * HOUR_MS),
    st.sampled_from(((), (KIND._replace(nodes=1),))),
    NODES,
    NODES,
    st.sampled_from((1, HOUR_MS)),
    st.sampled_from((0, 0, HOUR_MS)),
)
MODELS = st.builds(
    Models,
    st.just(("rack",)),
    st.lists(CHANGES, max_size=3).map(tuple),
    FAULTS,
    st.sampled_from((Paces(), Paces(700_000, 500_000, 600_000))),
)
ROLES = st.sampled_from(
    (
        {"gpu_milli": 500},
        {"gpu_milli": 1000, "cpu_milli": 3000},
        {"gpu_milli": 4000},
        {"gpu_milli": 8000},
        {"gpu_milli": 2000, "gpus_min": 1, "gpus_max": 6, "speeds": (SpeedOn("A", 1, 0, 900_000),)},
    )
)
JOBS = st.lists(
    st.tuples(st.integers(0, HOUR_MS), st.integers(1, 2 * HOUR_MS), ROLES, st.integers(0, 1)),
    min_size=1,
    max_size=12,
)


def as_jobs(drawn: list[tuple[int, int, dict[str, int], int]]) -> list[TraceJob]:
    """Jobs by submission, all of which fit at first."""
    jobs, at_ms = [], 0
    for number, (gap_ms, work_ms, role, priority) in enumerate(drawn):
        at_ms += gap_ms
        job = TraceJob(f"{number}", at_ms, work_ms, **role, priority=priority)  # type: ignore[arg-type]
        assert misfit(job, (KIND,)) is None
        jobs.append(job)
    return jobs


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JOBS, COSTS, MODELS, st.sampled_from(("priority", "fair", "las")), st.integers(0, 99))
def test_all_time_is_accounted_for_and_every_job_is_told_of_once(
    drawn: list[tuple[int, int, dict[str, int], int]],
    costs: Costs,
    models: Models,
    policy: str,
    seed: int,
) -> None:
    jobs, records, whole = as_jobs(drawn), dict[str, Record](), [0, 0]

    class Watched(World):
        """A world that holds the cluster to its invariants, and counts the nodes' time itself."""

        def advance(self, at_ms: int) -> bool:
            if whole[0]:
                whole[1] += self.meter.capacity_milli * (at_ms - whole[0])
            whole[0] = at_ms
            happened = super().advance(at_ms)
            check_invariants(self.cluster)
            return happened

    def note(record: Record) -> None:
        assert record.job.name not in records
        records[record.job.name] = record

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aimass.simulator.run.World", Watched)
        outcome = run(
            jobs, (KIND,), make_policy(policy, promises=0), note, costs, models=models, seed=seed
        )
    assert outcome.jobs == len(jobs) == len(records)
    assert outcome.held + outcome.idle + outcome.down == whole[1]
    held = sum(record.held for record in records.values())
    ended = all(record.end_ms >= 0 for record in records.values())
    assert held == outcome.held if ended else held <= outcome.held
    assert outcome.paid == 7 * outcome.held
    even = models.paces == Paces() and not models.faults.slow_fit
    for record in records.values():
        assert 0 <= record.worked_ms + record.lost_ms <= record.held_ms
        assert record.worked <= record.held
        if even and record.end_ms >= 0 and not record.is_failed and not record.job.gpus_max:
            assert record.worked_ms == record.job.work_ms


def test_equal_seeds_give_equal_bytes_in_every_process(tmp_path: Path) -> None:
    """Whatever the hash seed, and whether one process runs the cells or two."""
    lines = [
        {"id": n, "submit_s": 40 * n, "run_s": 6000 + 371 * n, "gpus": (0.5, 1, 2, 8)[n % 4]}
        for n in range(30)
    ]
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "c.yaml").write_text(
        "nodes: {count: 3, gpus: 4xA, perRack: 2, price: 1}\n"
        "failures: {programs: 0.02, gpus: 0.02, nodes: 0.02, racks: 0.01, slow: 0.05}\n"
        "slowdown: {nodes: 0.5, racks: 0.9, beside: 0.8}\n"
        "changes: [{at: 1h, add: 1x4xA}, {at: 2h, drain: [n0, n3], for: 1h}]\n"
    )
    (tmp_path / "grid.yaml").write_text(
        "trace: jobs.jsonl\ncluster: [c.yaml, 4x4xA]\npolicy: srtf\nseed: 0-2\npull: 9s\n"
        "realistic: true\n"
    )
    found = []
    for hash_seed, workers in (("1", "1"), ("2", "2")):
        words = ("sim", "sweep", "grid.yaml", "--workers", workers, "-o", "json")
        code = f"import sys; from aimass.cli import run; sys.exit(run({list(words)!r}))"
        done = subprocess.run(
            [sys.executable, "-c", code, "--"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        )
        found.append(done.stdout)
        for cell in (tmp_path / "grid.cells").iterdir():
            cell.unlink()
    assert found[0] == found[1]
    rows = json.loads(found[0])["cells"]
    broken = [row for row in rows if row["cluster"] == "c.yaml"]
    assert len({row["jct_mean_s"] for row in broken}) == len(broken) == 3
    assert all(row["failures"] for row in broken)
    assert all(row["cost"] is None for row in rows if row["cluster"] != "c.yaml")
