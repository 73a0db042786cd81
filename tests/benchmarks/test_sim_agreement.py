"""The page on agreement: it says what was measured, and the script measures it."""

import json
from pathlib import Path

import pytest

from aimass.core.speeds import speed_on
from aimass.simulator.perf_pollux import read_app
from aimass.simulator.tracejob import TraceJob
from aimass.simulator.work import Setting
from benchmarks import sim_agreement, sim_agreement_mixed, sim_agreement_page
from tests.simulator.pollux_apps import write_app
from tests.simulator.shared import trace

Row = sim_agreement_page.Row
EMPTY = "".join(
    f"<!-- {name} -->\n<!-- end -->\n" for name in ("agreement", "hidden", "costs", "mixed")
)


def test_the_page_in_docs_is_what_the_results_come_to(tmp_path: Path) -> None:
    """Tables and pictures: nobody has written a figure there, and no result is missing."""
    page, docs = tmp_path / "agreement.md", sim_agreement.PAGE
    page.write_text(docs.read_text())
    sim_agreement_page.write(page, sim_agreement.results(sim_agreement.RESULTS))
    assert page.read_text() == docs.read_text()
    for made in (tmp_path / "img").iterdir():
        assert made.read_text() == (docs.parent / "img" / made.name).read_text()


def test_a_place_that_is_missing_in_the_page_is_named(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here")
    with pytest.raises(ValueError, match="no place for agreement"):
        sim_agreement_page.write(page, [])


def test_the_script_runs_what_is_missing_and_fills_the_page(tmp_path: Path) -> None:
    """Sixty jobs, six runs; a second time there is nothing left to run."""
    folder = trace("tiresias").parent
    page, results = tmp_path / "page.md", tmp_path / "results.jsonl"
    page.write_text(EMPTY)
    asked = ["--table", "a", "--only", "60_job", "--traces", str(folder)]
    asked += ["--results", str(results), "--page", str(page)]
    assert sim_agreement.main(asked) == 0
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert [row["same"] for row in rows] == [60] * 6
    assert page.read_text().count("| exact | all |") == 5
    assert sim_agreement.main(asked) == 0
    assert len(results.read_text().splitlines()) == 6


def test_what_is_off_by_more_than_was_asked_for_is_said_to_miss_it() -> None:
    row: Row = {"table": "a", "trace": "multi2", "policy": "gavel-max-min-perf", "world": "rounds"}
    row |= {"theirs_s": 1000.0, "jct_mean_s": 1016.0, "same": 3, "jobs": 500}
    assert sim_agreement_page.agreement([row])[-1] == (
        "| Gavel multi2 | gavel-max-min-perf | 1,000.000 | 1,016.000 | +1.60 % "
        "| ±1.5 %: **missed** | 3 of 500 |"
    )


def test_a_job_is_faster_on_other_models_by_one_factor(tmp_path: Path) -> None:
    """Half of its work on an A100, then the other half on a T4; it reports what it would do."""
    write_app(tmp_path)
    job = TraceJob("job", 0, 1000, 1000, app=tmp_path.name, batch=8)
    work = sim_agreement_mixed.MixedWork(read_app(tmp_path), job, is_tuned=False)
    alone_ms = work.duration_ms(Setting("T4", (1,)))
    faster_ms = work.duration_ms(Setting("A100", (1,)))
    assert faster_ms == pytest.approx(alone_ms / 2.656, abs=1)
    work.advance(Setting("A100", (1,)), faster_ms // 2)
    assert work.duration_ms(Setting("T4", (1,))) == pytest.approx(alone_ms / 2, abs=4)
    on_t4, on_a100 = (speed_on(work.speeds(), model, 1, 1) or 0 for model in ("T4", "A100"))
    assert on_a100 == pytest.approx(2.656 * on_t4, abs=2)


def test_a_node_of_eight_counts_as_two_of_four() -> None:
    assert sim_agreement_mixed.in_fours((8, 3)) == (4, 4, 3)
    assert sim_agreement_mixed.in_fours((5,)) == (4, 1)
