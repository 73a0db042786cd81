"""Placement by the index is what asking every node would give, on any mix of holds and claims."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from aimass.core.feasible import count_fits, node_refusal, shards_fit
from aimass.core.model import Job, Node
from aimass.core.policy import Placed
from aimass.core.spec import JobSpec
from tests.policies.crowd import LEVELS, Crowd, crowds, specs


def fits_by_node(crowd: Crowd, job: Job, role: int, is_soon: bool) -> dict[str, int]:
    """What shards_fit says of every node."""
    need = job.spec.roles[role].need
    nodes = crowd.cluster.nodes.values()
    return {node.id: shards_fit(node, job, need, 100, is_soon)[0] for node in nodes}


def domain_of(node: Node, level: str) -> str | None:
    """The node's value of the level's label."""
    return node.inventory.labels.get(level)


def assert_sound(crowd: Crowd, job: Job, placed: Placed, is_soon: bool) -> None:
    """No node takes what feasible refuses, or more; the gang is whole, in the order of ranks."""
    assert [p.role for p in placed.placements] == [
        index for index, role in enumerate(job.spec.roles) for _ in range(role.shards)
    ]
    for index, role in enumerate(job.spec.roles):
        fits = fits_by_node(crowd, job, index, is_soon)
        for node_id, count in Counter(
            p.node_id for p in placed.placements if p.role == index
        ).items():
            assert count <= fits[node_id]
            assert node_refusal(crowd.cluster.nodes[node_id], job, role.need) is None
    assert all(p.exclusive == job.spec.exclusive_node for p in placed.placements)


PLACERS = st.sampled_from(("best-fit", "mass"))


@given(crowds(), specs(), st.booleans(), PLACERS)
def test_a_gang_of_one_role_is_placed_exactly_when_there_is_room(
    crowd: Crowd, spec: JobSpec, is_soon: bool, by: str
) -> None:
    """The sum over all nodes decides, now and soon, packed and spread."""
    job = crowd.job(spec)
    placed = crowd.try_place(job, is_soon, by=by)
    room = sum(fits_by_node(crowd, job, 0, is_soon).values())
    assert (placed is not None) == (room >= spec.roles[0].shards)
    if placed is not None:
        assert_sound(crowd, job, placed, is_soon)


@given(crowds(), specs(), st.booleans(), st.sampled_from(LEVELS))
def test_a_gang_that_wants_a_level_lies_in_one_domain_of_it(
    crowd: Crowd, spec: JobSpec, is_soon: bool, level: str
) -> None:
    """It is placed exactly when some domain has room for all of it."""
    job = crowd.job(spec)
    placed = crowd.try_place(job, is_soon, level)
    nodes = crowd.cluster.nodes
    room: Counter[str] = Counter()
    for node_id, fits in fits_by_node(crowd, job, 0, is_soon).items():
        name = domain_of(nodes[node_id], level)
        if name is not None:
            room[name] += fits
    assert (placed is not None) == any(n >= spec.roles[0].shards for n in room.values())
    if placed is not None:
        assert_sound(crowd, job, placed, is_soon)
        domains = {domain_of(nodes[p.node_id], level) for p in placed.placements}
        assert len(domains) == 1
        assert None not in domains


@given(crowds(), specs(roles=2), st.booleans(), st.sampled_from(("", *LEVELS)), PLACERS)
def test_what_is_placed_of_several_roles_is_sound(
    crowd: Crowd, spec: JobSpec, is_soon: bool, level: str, by: str
) -> None:
    """Whole, within what every node can take, and in one domain where one is wanted."""
    job = crowd.job(spec)
    placed = crowd.try_place(job, is_soon, level, by=by)
    if placed is not None:
        assert_sound(crowd, job, placed, is_soon)
        nodes = [crowd.cluster.nodes[p.node_id] for p in placed.placements]
        assert not level or len({domain_of(node, level) for node in nodes}) == 1


@given(crowds(), specs(), st.integers(0, 5))
def test_fuel_ends_a_search_and_breaks_nothing(crowd: Crowd, spec: JobSpec, fuel: int) -> None:
    """With little fuel it finds the same place or none."""
    job = crowd.job(spec)
    placed = crowd.try_place(job, fuel=fuel)
    assert placed is None or placed == crowd.try_place(job)


@given(crowds(), specs(), st.booleans())
def test_the_quick_count_is_the_count_with_the_reason(
    crowd: Crowd, spec: JobSpec, is_soon: bool
) -> None:
    """count_fits and shards_fit agree on every node; a refusal comes exactly when not all fit."""
    job, need = crowd.job(spec), spec.roles[0].need
    for node in crowd.cluster.nodes.values():
        fits, refusal = shards_fit(node, job, need, 3, is_soon)
        assert count_fits(node, job, need, 3, is_soon) == fits
        assert (refusal is None) == (fits == 3)
