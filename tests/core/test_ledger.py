"""The books of check() where queues have cells in reserve: right at every step, and not dear."""

from dataclasses import replace
from typing import Any

import pytest

from aimass.core import reserves
from aimass.core.cells import Row
from aimass.core.check import check
from aimass.core.ledger import Ledger
from aimass.core.model import JobState, Node
from aimass.core.plan import Plan, Start
from aimass.core.queues import Cell, QueueSpec
from aimass.core.reserves import cell_states
from tests.core.plans_by_hand import by_hand, place, preempting, running
from tests.core.queue_world import queue_world
from tests.core.world import World, one_role

VISION = QueueSpec("vision", quota={"gpu": 8000}, reserve=(Cell(8, "H100", 1),))
RESEARCH = QueueSpec("research", quota={"gpu": 16_000})


def starts_of_who_stays(world: World, nodes: list[str]) -> Plan:
    """A job of one GPU on each of these nodes, the number of the GPU as it comes."""
    starts = []
    for number, node in enumerate(nodes):
        job = world.submit(one_role(gpus=1), queue="research", preemptible=False)
        starts.append(Start(job.id, 1, (place(number % 8, node=node),), "by hand"))
    return by_hand(world, starts=tuple(starts))


def rows_made(count: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often check() looks at what is on a node, for so many starts on as many nodes."""
    guaranteed = replace(RESEARCH, quota={"gpu": 1000 * count})
    world = queue_world(VISION, guaranteed, nodes=count + 1)
    plan = starts_of_who_stays(world, [f"n{number + 1}" for number in range(count)])
    cell_states(world.cluster)  # every node has been looked at
    looked_at = []
    row_of = reserves.row_of

    def counted(node: Node, *given: Any) -> Row:
        looked_at.append(node.id)
        return row_of(node, *given)

    with monkeypatch.context() as patched:
        patched.setattr(reserves, "row_of", counted)
        assert check(world.cluster, plan) == (plan, ())
    return len(looked_at)


def test_a_start_costs_as_much_among_many_as_among_few(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = rows_made(5, monkeypatch), rows_made(40, monkeypatch)
    assert 0 < many <= 8 * few


def test_who_is_rejected_leaves_the_books_as_they_were() -> None:
    """It is taken out again before the next is looked at, and no cell remembers the plan."""
    world = queue_world(VISION, RESEARCH)
    before = cell_states(world.cluster)
    plan = starts_of_who_stays(world, ["n1", "n2", "n2", "n1"])
    for _ in range(2):
        accepted, rejected = check(world.cluster, plan)
        assert accepted.starts == (plan.starts[0], plan.starts[3])
        assert [each.job_id for each in rejected] == [start.job_id for start in plan.starts[1:3]]
        assert cell_states(world.cluster) == before


def test_where_a_claim_is_given_up_a_cell_can_be() -> None:
    world = queue_world(VISION, RESEARCH)
    victim = running(world, 8, queue="research")
    (node,) = {p.node_id for p in victim.current.placements}
    (other,) = set(world.cluster.nodes) - {node}
    owner = world.submit(one_role(gpus=8), queue="research", preemptible=False, priority=50)
    world.commit(preempting(world, victim.id, by=owner.id))
    assert owner.state is JobState.RESERVED
    job = world.submit(one_role(gpus=1), queue="research", preemptible=False)
    places = (place(0, node=other),)
    assert "vision" in (Ledger(world.cluster).book(job, places, is_claim=True) or "")
    ledger = Ledger(world.cluster)
    ledger.give_up(world.cluster.claims[owner.id])
    assert ledger.book(job, places, is_claim=True) is None
