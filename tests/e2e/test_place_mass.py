"""massd --place mass through real processes: it places, and says by what score."""

from pathlib import Path

import pytest

from tests.daemons import cluster

pytest.importorskip("numpy")
pytestmark = pytest.mark.e2e


def test_massd_places_by_mass_and_history_has_the_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain Python here: compiled on a fresh machine, the first start takes half a minute."""
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    with cluster(tmp_path, "--place", "mass") as c:
        job_id = c.submit("--gpus", "1", "--", "true")
        c.wait_for(job_id, "SUCCEEDED")
        history = c.ctl("history", job_id, "-o", "wide")
        assert "mass: 1 shard on n1" in history
        assert "milli-GPU: " in history
        assert "room" in history
