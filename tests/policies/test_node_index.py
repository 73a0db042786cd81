"""The node index follows from the nodes alone, and misses no node that could take a shard."""

from hypothesis import given
from hypothesis import strategies as st

from aimass.core.bitslice import Sliced, lowest, mask_of, members
from aimass.core.feasible import node_refusal, shards_fit
from aimass.core.node_index import NodeIndex
from aimass.core.node_view import use_of
from aimass.core.spec import JobSpec
from tests.policies.crowd import LEVELS, Crowd, crowds, specs

numbers = st.lists(st.integers(0, 40), min_size=1, max_size=40)


@given(numbers, st.data())
def test_slices_compare_all_numbers_at_once(given_numbers: list[int], data: st.DataObject) -> None:
    """Built at once or number by number, they answer as the numbers themselves do."""
    built, entered = Sliced(), Sliced()
    built.put_all(list(given_numbers))
    entered.put_all([0] * len(given_numbers))
    for index, number in enumerate(given_numbers):
        entered.put(index, 63)
        entered.put(index, number)
    among = data.draw(st.sets(st.sampled_from(range(len(given_numbers))), min_size=1))
    limit = data.draw(st.integers(0, 70))
    values = {index: given_numbers[index] for index in among}
    for sliced in (built, entered):
        mask = mask_of(sorted(among))
        assert set(members(sliced.at_least(limit, mask))) == {
            index for index, value in values.items() if value >= limit
        }
        least, most = min(values.values()), max(values.values())
        assert set(members(sliced.least(mask))) == {i for i, v in values.items() if v == least}
        assert set(members(sliced.most(mask))) == {i for i, v in values.items() if v == most}
        assert lowest(mask) == min(among)


@given(crowds(), st.booleans())
def test_it_is_what_a_fresh_one_would_be(crowd: Crowd, is_soon: bool) -> None:
    """After any history: every number of every node, now and soon."""
    view = crowd.cluster.index.view(is_soon)
    nodes = list(crowd.cluster.nodes.values())
    assert [view.use(node.index) for node in nodes] == [use_of(node, is_soon) for node in nodes]
    for column in view.columns:
        fresh = Sliced()
        fresh.put_all(list(column.values))
        assert column.slices[: len(fresh.slices)] == fresh.slices
        assert not any(column.slices[len(fresh.slices) :])


@given(crowds(), specs())
def test_allowed_nodes_are_those_that_are_not_refused(crowd: Crowd, spec: JobSpec) -> None:
    """It says so after any history, as a fresh index does."""
    fresh = NodeIndex()
    for node in crowd.cluster.nodes.values():
        fresh.put(node)
    job, need = crowd.job(spec), spec.roles[0].need
    job.avoid = (fresh.nodes[0].id,)
    index = crowd.cluster.index
    assert index.allowed(job, need) == fresh.allowed(job, need)
    assert [index.domains(level) for level in LEVELS] == [fresh.domains(level) for level in LEVELS]
    assert index.least_share(need) == fresh.least_share(need)
    for node in fresh.nodes:
        if node_refusal(node, job, need) is None:
            assert index.allowed(job, need) >> node.index & 1


@given(crowds(), specs(), st.booleans(), st.integers(1, 8))
def test_no_node_with_room_is_left_out(
    crowd: Crowd, spec: JobSpec, is_soon: bool, fits: int
) -> None:
    """The set for so many shards contains every node that takes so many."""
    job, need, index = crowd.job(spec), spec.roles[0].need, crowd.cluster.index
    view, share = index.view(is_soon), index.least_share(need)
    room = view.room(need, share, fits, index.allowed(job, need))
    for node in index.nodes:
        if shards_fit(node, job, need, fits, is_soon)[0] == fits:
            assert room >> node.index & 1
