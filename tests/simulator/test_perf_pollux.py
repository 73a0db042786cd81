"""Tables of the Pollux artifact: how a batch is split, and how fast it trains on and off them."""

from pathlib import Path

import pytest

from aimass.simulator import perf_pollux_off_table
from aimass.simulator.pack_files import FileProblem
from aimass.simulator.perf_pollux import App, Apps, Times, Validation, packed, read_app
from aimass.simulator.perf_pollux_off_table import nested, off_table
from tests.simulator.pollux_apps import write_app
from tests.simulator.shared import trace


@pytest.fixture
def app(tmp_path: Path) -> App:
    """Batches of 8 to 64 in all, of 4 to 16 on a GPU; a step takes 10 ms for each of them."""
    write_app(tmp_path / "toy")
    return read_app(tmp_path / "toy")


def test_the_tables_bound_what_can_be_trained(app: App) -> None:
    assert (app.batch_first, app.batch_max, app.on_gpu_min, app.on_gpu_max) == (8, 64, 4, 16)
    assert (app.epochs, app.gpus_max(), app.gpus_max(20)) == (3, 16, 5)


@pytest.mark.parametrize(
    ("batch", "gpus", "found"),
    [
        (8, 1, (8, 0)),
        (16, 1, (8, 1)),  # one GPU alone gathers what is more than the first batch
        (64, 1, (16, 3)),
        (64, 4, (16, 0)),
        (64, 3, (10, 1)),  # of 22 on each, two times 11 were 66 in all: more than can be trained
        (20, 5, (4, 0)),
    ],
)
def test_a_batch_is_split_among_gpus(
    app: App, batch: int, gpus: int, found: tuple[int, int]
) -> None:
    assert app.split(batch, gpus) == found


def test_the_largest_batch_is_never_exceeded(app: App) -> None:
    for batch in range(8, 65):
        for gpus in range(1, app.gpus_max(batch) + 1):
            size, gathered = app.split(batch, gpus)
            assert 0 < size <= app.on_gpu_max
            assert gpus * size * (gathered + 1) <= app.batch_max


def test_it_does_not_matter_which_node_is_first(app: App) -> None:
    assert app.times((2, 1), 4) == app.times((1, 2), 4) == Times(0.14, 0.1)


def test_between_two_sizes_a_step_is_interpolated(app: App) -> None:
    assert app.times((1,), 4) == Times(0.04, 0.0)
    assert app.times((1,), 6) == Times(0.06, 0.0)
    assert app.times((1,), 99) == Times(0.16, 0.0)  # as long as for the largest


def test_between_two_batches_validation_is_interpolated(app: App) -> None:
    assert app.validation(8, 0) == Validation(100, 100, 1.0, 8.0)
    assert app.validation(64, 0) == Validation(104, 20, 2.0, 8.0)
    assert app.validation(36, 0) == Validation(102, 60, 1.5, 8.0)


def test_gathered_batches_synchronise_once(app: App) -> None:
    assert app.step_s((1, 1), (4, 2)) == pytest.approx(0.14 + 2 * 0.04)


def test_alone_it_takes_its_epochs_one_after_the_other(app: App) -> None:
    """On one GPU with the first batch: 80 ms a step, each worth one; 100 steps an epoch."""
    assert app.alone_s(8, 1) == pytest.approx(24)
    assert app.alone_s(8, 1, epoch=1, progress=150) == pytest.approx(12)


def test_a_larger_batch_gains_less_than_its_size(app: App) -> None:
    """(var + sqr) / (var / scale + sqr) of epoch 0 at a batch of 64: 10 / (1 + 2)."""
    assert app.rate((4,), (16, 0), 0) == pytest.approx(10 / 3 / app.times((4,), 16).step_s)


@pytest.mark.parametrize("gpus", [1, 4, 5, 8])
def test_packed_gangs_fill_nodes(gpus: int) -> None:
    assert packed(gpus) == {1: (1,), 4: (4,), 5: (4, 1), 8: (4, 4)}[gpus]


# ---- off the tables -----------------------------------------------------------------------------

GRID = [
    ((nodes, gpus, size), (nodes + gpus + size / 10, nodes / 10))
    for nodes, gpus in [(1, 1), (1, 4), (2, 2), (2, 8), (4, 4), (4, 16)]
    for size in (8, 16)
]


@pytest.mark.parametrize("make", [nested, off_table])
def test_what_is_linear_is_met(make: perf_pollux_off_table.Interpolant) -> None:
    at = make(GRID)
    for point in [(2, 2, 8), (2, 5, 12), (3, 6, 10), (4, 10, 16)]:
        step_s, sync_s = at(point)
        assert step_s == pytest.approx(point[0] + point[1] + point[2] / 10)
        assert sync_s == pytest.approx(point[0] / 10)


@pytest.mark.parametrize("make", [nested, off_table])
def test_beyond_all_that_was_measured_it_stays_as_at_the_end(
    make: perf_pollux_off_table.Interpolant,
) -> None:
    at = make(GRID)
    assert at((4, 64, 16)) == at((4, 16, 16))
    assert at((9, 16, 16)) == at((4, 16, 16))
    assert at((1, 1, 1)) == at((1, 1, 8))


@pytest.mark.skipif(not perf_pollux_off_table.has_scipy(), reason="SciPy is not installed")
def test_off_the_tables_of_the_artifact_scipys_triangulation_counts() -> None:
    """A value of its runs; along one axis after the other it is 7 % less."""
    app = Apps(trace("pollux/apps")).app("cifar10")
    assert app.times((4, 4, 4, 4, 4), 64).step_s == pytest.approx(0.19489083290100095, rel=1e-12)


# ---- files --------------------------------------------------------------------------------------


def problem_of(folder: Path) -> str:
    """What its tables are refused for, without their folder."""
    with pytest.raises(FileProblem) as caught:
        read_app(folder)
    return str(caught.value).replace(f"{folder}/", "")


def test_a_wrong_number_names_its_line(tmp_path: Path) -> None:
    write_app(tmp_path)
    path = tmp_path / "scalability.csv"
    path.write_text(path.read_text() + "8,8,4,fast,0.1\n")
    said = problem_of(tmp_path)
    assert said.startswith(f"scalability.csv:{len(path.read_text().splitlines())}:")
    assert "step_time is 'fast'" in said


def test_a_table_needs_its_columns_and_rows(tmp_path: Path) -> None:
    write_app(tmp_path)
    (tmp_path / "placements.csv").write_text("placement,local_bsz,step_time\n1,4,0.1\n")
    assert "no column sync_time" in problem_of(tmp_path)
    (tmp_path / "placements.csv").write_text("placement,local_bsz,step_time,sync_time\n")
    assert "no rows" in problem_of(tmp_path)
    (tmp_path / "placements.csv").unlink()
    assert "placements.csv:1: No such file" in problem_of(tmp_path)


def test_validation_names_its_batch(tmp_path: Path) -> None:
    write_app(tmp_path)
    (tmp_path / "validation-8.csv").rename(tmp_path / "validation-big.csv")
    assert "no batch size in validation-big.csv" in problem_of(tmp_path)


def test_an_unknown_application_says_which_there_are(tmp_path: Path) -> None:
    write_app(tmp_path / "toy")
    with pytest.raises(FileProblem, match=r"no application .gpt.*toy"):
        Apps(tmp_path).app("gpt")
