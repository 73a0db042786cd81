"""The fidelity run in small: real daemons live a few jobs, and their journal is simulated."""

from pathlib import Path

import pytest

from aimass.simulator.counterfactual import again
from aimass.simulator.observed import Observer
from aimass.simulator.recorded import read
from aimass.simulator.validate import recorded_policy
from benchmarks import fidelity
from benchmarks.fidelity import Asked

# All eight GPUs, then one that makes room for a more important one, and one that fails once.
JOBS = [
    Asked(0.0, 2, 4, 12, 0, 0),
    Asked(0.5, 2, 4, 3, 1, 0),
    Asked(0.6, 1, 1, 4, 0, 2),
    Asked(0.7, 1, 2, 3, 0, 0),
]


def test_the_mix_is_the_same_each_time_and_asks_for_what_there_is() -> None:
    jobs = fidelity.mix(30, 7)
    assert jobs == fidelity.mix(30, 7) != fidelity.mix(30, 8)
    assert {job.shards * job.gpus for job in jobs} == {1, 2, 4, 8}
    assert {job.priority for job in jobs} == {0, 1}
    assert any(job.fail_at for job in jobs)
    assert all(0 <= job.fail_at < job.ticks for job in jobs)


@pytest.mark.e2e
@pytest.mark.slow
def test_what_real_daemons_lived_is_compared_with_its_simulation(tmp_path: Path) -> None:
    """Structure, no times: what was preempted or failed live is so when simulated."""
    data = fidelity.live(JOBS, tmp_path)
    found, delays = fidelity.validated(data)
    assert (found.jobs, found.compared) == (4, 4)
    assert delays.first_start_ms > 0
    recorded = read(fidelity.journal_tools.events(data))
    simulated = again(recorded, recorded_policy(recorded)[1])
    assert outcomes(recorded.seen) == outcomes(simulated)
    assert [attempts for _, attempts in outcomes(simulated).values()] == [2, 1, 2, 1]
    told = fidelity.told(found, delays)
    assert set(told["off"]) == set(told["live"]) == set(told["simulated"])
    fidelity.draw(found, tmp_path / "plot.svg")
    assert "completion time live, s" in (tmp_path / "plot.svg").read_text()


def outcomes(seen: Observer) -> dict[str, tuple[str, int]]:
    """How each job ended, by its name, and after how many attempts."""
    lives = sorted(seen.lives.values(), key=lambda life: life.name)
    return {life.name: (life.state.value, life.attempts) for life in lives}
