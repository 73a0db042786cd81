"""What the demand hears of lives: from the fold, and counted anew for a restored cluster."""

import pytest

from aimass.core import events as ev
from aimass.core.codec import encode_snapshot, restore
from aimass.core.demand import LIFE_ONE, ONE
from aimass.core.invariants import check_invariants
from aimass.core.model import Exit
from aimass.core.shapes import Shape
from tests.core.world import World, gpus, inventory, one_role

SINGLE = Shape(0, 0, 1, 1000, ())
NODE = Shape(0, 0, 8, 1000, ())


def world() -> World:
    """Two nodes of 8 GPUs."""
    made = World()
    for name in ("n1", "n2"):
        made.join(name, inventory(name, gpus(name, 8)))
    return made


def test_a_life_lasts_from_start_to_end_and_through_a_requeue() -> None:
    """What a job held before it was stopped belongs to the same life."""
    w = world()
    job = w.submit(one_role(8, gpus=1))
    w.plan()
    lives = w.cluster.demand.lives[NODE]
    assert (lives.running, lives.left) == (1, 0)
    w.start(job)
    w.wait(60_000)
    w.do(ev.JobRequeueRequested, job_id=job.id, by="ann")
    w.exit(job, how=Exit(signal=15))
    assert (lives.running, lives.left) == (0, 0)
    w.plan()
    w.start(job)
    w.wait(60_000)
    w.exit(job)
    assert lives.running == lives.starts_ms == 0
    assert lives.held_ms == sum(each.ended_ms - each.placed_ms for each in job.attempts)
    assert (len(job.attempts), lives.left) == (2, ONE)


def test_a_restored_cluster_goes_on_with_the_same_lives() -> None:
    """Who runs is counted from the jobs, so nothing can drift; what has left is kept."""
    w = world()
    first = w.submit(one_role(1, gpus=1))
    w.plan()
    w.start(first)
    w.wait(30_000)
    w.exit(first)
    w.submit(one_role(1, gpus=1))
    w.submit(one_role(8, gpus=1))
    w.plan()
    again = restore(encode_snapshot(w.cluster))
    assert again.demand == w.cluster.demand


def test_what_stays_longer_weighs_more() -> None:
    """Submissions times life: as many nodes as singles, ten times as long."""
    w = world()
    for _ in range(40):
        short, long = w.submit(one_role(1, gpus=1)), w.submit(one_role(8, gpus=1))
        w.plan()
        w.start(short)
        w.start(long)
        w.wait(60_000)
        w.exit(short)
        w.wait(540_000)
        w.exit(long)
    demand = w.cluster.demand
    lasting = demand._lasting(w.cluster.now_ms)
    assert demand.weights[NODE] == demand.weights[SINGLE]
    assert lasting[NODE] > 5 * lasting[SINGLE] > LIFE_ONE


def test_a_life_that_was_miscounted_is_found() -> None:
    """What check_invariants stands on."""
    w = world()
    w.submit(one_role(8, gpus=1))
    w.plan()
    lives = w.cluster.demand.lives[NODE]
    for name in ("running", "starts_ms"):
        was = getattr(lives, name)
        setattr(lives, name, was + 1)
        with pytest.raises(AssertionError, match="I8"):
            check_invariants(w.cluster)
        setattr(lives, name, was)
    del w.cluster.demand.lives[NODE]
    with pytest.raises(AssertionError, match="I8"):
        check_invariants(w.cluster)
