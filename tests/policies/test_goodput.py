"""Goodput: the fit finds what made the measurements, and the best batch is the best there is."""

from itertools import product

import pytest

from aimass.policies.goodput import (
    LEAST,
    Limits,
    Params,
    Seen,
    best_batches,
    efficiency,
    fit,
    step_s,
)

TRUE = Params(0.05, 0.001, 0.08, 0.004, 0.03, 0.002, 1.2)
LIMITS = Limits(batch_first=32, batch_max=2048, size_min=16, size_max=128)
EVERYWHERE = [(1, 1), (1, 2), (1, 3), (1, 4), (2, 5), (2, 8), (4, 16)]


def measured(true: Params, settings: list[tuple[int, int]], sizes: tuple[int, ...]) -> list[Seen]:
    """Clean measurements of such a program."""
    found = []
    for (nodes, gpus), size in product(settings, sizes):
        whole = step_s(true, nodes, gpus, size)
        computing = true.compute + true.compute_each * size
        found.append(Seen(nodes, gpus, size, whole, whole - computing))
    return found


def test_a_step_is_computing_and_what_synchronising_does_not_hide() -> None:
    alone, local, spread = ((1, 1), (1, 4), (2, 8))
    one_by_one = TRUE._replace(overlap=1.0)
    assert step_s(one_by_one, *alone, 32) == pytest.approx(0.082)
    assert step_s(one_by_one, *local, 32) == pytest.approx(0.082 + 0.034)
    assert step_s(one_by_one, *spread, 32) == pytest.approx(0.082 + 0.104)
    hidden = TRUE._replace(overlap=10.0)
    assert 0.104 < step_s(hidden, *spread, 32) < 0.115  # the longer of the two, and a little


def test_the_fit_explains_clean_measurements() -> None:
    found = fit(measured(TRUE, EVERYWHERE, (16, 48, 128)))
    for (nodes, gpus), size in product([*EVERYWHERE, (3, 12)], (16, 32, 100, 128)):
        assert step_s(found, nodes, gpus, size) == pytest.approx(
            step_s(TRUE, nodes, gpus, size), rel=0.01
        )
    assert found.compute == pytest.approx(TRUE.compute, rel=0.02)
    assert found.compute_each == pytest.approx(TRUE.compute_each, rel=0.02)


def test_the_fit_recovers_parameters_that_nothing_hides() -> None:
    """With no overlap and no growth with GPUs the regularisers pull at nothing."""
    true = Params(0.05, 0.001, 0.08, LEAST, 0.03, LEAST, 1.0)
    found = fit(measured(true, EVERYWHERE, (16, 48, 128)))
    assert found.overlap == pytest.approx(1.0, abs=0.05)
    assert found.spread == pytest.approx(true.spread, rel=0.05)
    assert found.local == pytest.approx(true.local, rel=0.05)


def test_the_order_of_measurements_hardly_matters() -> None:
    seen = measured(TRUE, EVERYWHERE, (16, 48, 128))
    one, other = fit(seen), fit(seen[::-1])
    for nodes, gpus in EVERYWHERE:
        assert step_s(one, nodes, gpus, 64) == pytest.approx(
            step_s(other, nodes, gpus, 64), rel=0.01
        )


def test_what_was_never_seen_is_taken_to_cost_nothing() -> None:
    alone = fit(measured(TRUE, [(1, 1)], (16, 48)))
    assert (alone.local, alone.local_each) == (LEAST, LEAST)
    assert step_s(alone, 1, 4, 48) == pytest.approx(step_s(alone, 1, 1, 48), rel=1e-3)
    one_node = fit(measured(TRUE, [(1, 1), (1, 2), (1, 4)], (16, 48)))
    assert one_node.spread == pytest.approx(1.1 * one_node.local)
    pairs = fit(measured(TRUE, [(1, 2), (2, 2)], (16, 48)))
    assert (pairs.local_each, pairs.spread_each) == (LEAST, LEAST)


def test_of_one_size_half_of_computing_is_taken_for_the_batch() -> None:
    found = fit(measured(TRUE, [(1, 1)], (32,)))
    assert found.compute == pytest.approx(0.041)
    assert found.compute + 32 * found.compute_each == pytest.approx(0.082, rel=0.01)


def goodput_of(params: Params, noise: float, nodes: int, gpus: int, size: int, more: int) -> float:
    """The definition."""
    batch = gpus * size * (more + 1)
    time_s = more * (params.compute + params.compute_each * size) + step_s(
        params, nodes, gpus, size
    )
    return batch / time_s * efficiency(LIMITS.batch_first, noise, batch)


@pytest.mark.parametrize("noise", [1.0, 300.0, 1e5])
@pytest.mark.parametrize(("nodes", "gpus"), [(1, 1), (1, 4), (2, 8), (8, 32)])
def test_the_best_batch_is_about_the_best_of_all(noise: float, nodes: int, gpus: int) -> None:
    (found,) = best_batches(TRUE, LIMITS, (noise,), ((nodes, gpus),))
    assert found.goodput == pytest.approx(
        goodput_of(TRUE, noise, nodes, gpus, found.size, found.gathered)
    )
    least = max(LIMITS.batch_first, LIMITS.size_min * gpus)
    known = max(
        goodput_of(TRUE, noise, nodes, gpus, size, more)
        for size, more in product(range(LIMITS.size_min, LIMITS.size_max + 1), range(16))
        if least <= gpus * size * (more + 1) <= LIMITS.batch_max
        and (gpus > 1 or more or size <= LIMITS.batch_first)
    )
    assert 0.97 * known <= found.goodput <= known * (1 + 1e-9)


def test_noisier_gradients_are_worth_larger_batches() -> None:
    found = best_batches(TRUE, LIMITS, (1.0, 100.0, 1e4), ((1, 4),))
    batches = [4 * best.size * (best.gathered + 1) for best in found]
    assert batches == sorted(batches)
    assert batches[0] < batches[-1]


def test_too_many_gpus_cannot_train() -> None:
    few, many = best_batches(TRUE, LIMITS, (100.0,), ((2, 128), (2, 200)))
    assert few.goodput > 0 == many.goodput
