"""Whatever is bent in a plan: what check() accepts of it can be carried out."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aimass.core import events as ev
from aimass.core.check import check
from aimass.core.decide import decide
from aimass.core.model import StopRule
from aimass.core.plan import Plan
from aimass.core.queues import QueueSpec
from aimass.policies.registry import make_policy
from tests.core.plans_by_hand import NOBODY, UNKNOWN
from tests.core.strategies import inventories, life_specs
from tests.core.world import World, gpus, inventory

# ---- whatever is bent ---------------------------------------------------------------------------


@st.composite
def busy_worlds(draw: st.DrawFn) -> World:
    """Queues with quotas, jobs of any kind that run, and others that want their places."""
    world = World(make_policy())
    world.join("n1", inventory("n1", gpus("n1", 4)))
    world.join("n2", draw(inventories("n2")))
    world.do(ev.QueuePut, spec=QueueSpec("a", quota={"gpu": 3000}), by="ann")
    world.do(ev.QueuePut, spec=QueueSpec("b", limit={"gpu": 4000}), by="ann")
    queues = ("a", "b", "default")
    for spec in draw(st.lists(life_specs(world.now_ms, queues), min_size=1, max_size=4)):
        world.submit_spec(spec)
    world.commit(decide(world.cluster, world.policy))
    for job in list(world.cluster.active.values()):
        world.start(job)
    for spec in draw(st.lists(life_specs(world.now_ms, queues), min_size=1, max_size=4)):
        world.submit_spec(replace(spec, priority=draw(st.sampled_from((0, 50)))))
    if draw(st.booleans()):
        world.commit(decide(world.cluster, world.policy))
        world.submit_spec(draw(life_specs(world.now_ms, queues)))
    return world


PARTS = ("starts", "stops", "claims", "planned", "unclaims", "unplanned")


def bend(draw: Any, world: World, plan: Plan) -> Plan:
    """Drop, repeat, or change one field of one element."""
    parts = [part for part in PARTS if getattr(plan, part)]
    ids = st.sampled_from([*world.cluster.jobs, UNKNOWN, NOBODY])
    if not parts:
        return replace(plan, unclaims=(draw(ids),))
    part = draw(st.sampled_from(parts))
    items = list(getattr(plan, part))
    index = draw(st.integers(0, len(items) - 1))
    item = items[index]
    how = draw(st.sampled_from(("drop", "repeat", "change", "change", "change")))
    if how == "drop":
        del items[index]
    elif how == "repeat":
        items.append(item)
    elif part in ("unclaims", "unplanned"):
        items[index] = draw(ids)
    else:
        items[index] = _changed(draw, plan, item, ids)
    return replace(plan, **{part: tuple(items)})


def _changed(draw: Any, plan: Plan, item: Any, ids: Any) -> Any:
    moves = (*plan.starts, *plan.claims, *plan.planned)
    places = [placement for move in moves for placement in move.placements]
    values: dict[str, Any] = {
        "job_id": ids,
        "by": ids,
        "attempt": st.integers(0, 3),
        "rule": st.sampled_from(list(StopRule)),
        "victims": st.lists(ids, max_size=2).map(tuple),
        "start_ms": st.integers(0, 10**8),
        "end_ms": st.integers(0, 10**8),
        "lost_gpu_ms": st.integers(0, 10),
    }
    if places:
        other = st.builds(
            replace,
            st.sampled_from(places),
            devices=st.lists(st.integers(-1, 8), max_size=4).map(tuple),
        )
        one = st.sampled_from(places) | other
        values["placements"] = st.lists(one, max_size=4).map(tuple)
    names = [name for name in values if hasattr(item, name)]
    name = draw(st.sampled_from(names))
    return replace(item, **{name: draw(values[name])})


@settings(max_examples=100)
@given(world=busy_worlds(), data=st.data())
def test_what_is_accepted_of_a_bent_plan_can_be_carried_out(
    world: World, data: st.DataObject
) -> None:
    """No invariant breaks, no limit is passed, nobody is stopped who may not be."""
    plan = decide(world.cluster, world.policy)
    assert check(world.cluster, plan) == (plan, ())
    for _ in range(data.draw(st.integers(1, 3))):
        plan = bend(data.draw, world, plan)
    accepted, rejected = check(world.cluster, plan)
    for part in PARTS:
        assert set(getattr(accepted, part)) <= set(getattr(plan, part))
    assert (accepted != plan) == bool(rejected)
    assert check(world.cluster, accepted) == (accepted, ())
    for stop in accepted.stops:
        job = world.cluster.jobs[stop.job_id]
        assert job.spec.preemptible or stop.rule not in (StopRule.PRIORITY, StopRule.RECLAIM)
    world.commit(accepted)
    limited = world.cluster.queues["b"]
    assert max(limited.used.get("gpu", 0), limited.owned("gpu")) <= 4000
