"""Agreement with the published Tiresias simulator: every completion time of every job.

One trace lies in tests/golden/traces; the two long ones, with the reference's results, lie beside
the project on some machines (see SHARED).
"""

import gzip
import json
from pathlib import Path

import pytest

from aimass.simulator.attempts import Record
from aimass.simulator.clusters import parse_cluster
from aimass.simulator.parity_tiresias import as_tiresias
from aimass.simulator.run import run
from aimass.simulator.run_policies import parse_policies
from aimass.simulator.traces import read_trace

GOLDEN = Path(__file__).parents[1] / "golden" / "traces"
SHARED = Path(__file__).parents[3] / "shared" / "traces" / "tiresias"
REFERENCE = {
    "fifo": "fifo",
    "fifo-skip": "fjf",
    "srtf": "shortest",
    "srtf-gpu": "shortest-gpu",
    "las": "dlas-gpu",
}
LONG = {
    "ee9e8c": ("philly_ee9e8c_s0.csv.gz", "32x4xV100"),
    "0e4a51": ("philly_0e4a51_s0.csv", "16x4xV100"),
}
shared = pytest.mark.skipif(not SHARED.exists(), reason="the long traces are not on this machine")


def jct_s(path: Path, cluster: str, policy: str, is_exact: bool) -> dict[str, float]:
    """Completion times by job; GPUs are counted, and is_exact: with the reference's own orders."""
    found: dict[str, float] = {}
    (named,) = parse_policies(policy)
    made = as_tiresias(named.make()) if is_exact else named.make()

    def note(record: Record) -> None:
        found[record.job.name] = (record.end_ms - record.job.submit_ms) / 1000

    run(read_trace(path), parse_cluster(cluster), made, note, is_parity=True)
    return found


def reference_of(key: str, policy: str) -> dict[str, float]:
    """Completion times of the reference on a long trace."""
    with gzip.open(SHARED / "reference-jct.json.gz") as file:
        known = json.load(file)[f"tir_{key}_{REFERENCE[policy]}"]
    return dict(known)


def mean(values: dict[str, float]) -> float:
    """The average."""
    return sum(values.values()) / len(values)


@pytest.mark.parametrize("policy", REFERENCE)
def test_sixty_jobs_end_when_the_reference_says(policy: str) -> None:
    known = json.loads((GOLDEN / "tiresias_60_job.json").read_text())[REFERENCE[policy]]
    found = jct_s(GOLDEN / "tiresias_60_job.csv", "4x4xV100", policy, is_exact=True)
    assert [found[str(job)] for job in range(60)] == known


@shared
@pytest.mark.slow
@pytest.mark.parametrize("policy", [policy for policy in REFERENCE if policy != "fifo-skip"])
@pytest.mark.parametrize("key", LONG)
def test_long_traces_end_when_the_reference_says(key: str, policy: str) -> None:
    name, cluster = LONG[key]
    assert jct_s(SHARED / name, cluster, policy, is_exact=True) == reference_of(key, policy)


@shared
@pytest.mark.slow
@pytest.mark.parametrize("key", LONG)
def test_the_daemons_own_orders_agree_but_for_ties_and_late_demotions(key: str) -> None:
    """Of srtf every job, of las the average within 2 %."""
    name, cluster = LONG[key]
    srtf = jct_s(SHARED / name, cluster, "srtf", is_exact=False)
    assert srtf == reference_of(key, "srtf")
    las = jct_s(SHARED / name, cluster, "las", is_exact=False)
    assert mean(las) == pytest.approx(mean(reference_of(key, "las")), rel=0.02)
