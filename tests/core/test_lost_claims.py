"""A job that owned its next places and lost them is told to whom, or why nobody may have them."""

import pytest

from aimass.core import events as ev
from aimass.core.history import Entry, history, reasons
from aimass.core.model import JobId, JobState, NodeId
from aimass.core.queues import QueueSpec
from aimass.core.spec import JobSpec
from aimass.core.windows import WindowSpec
from tests.core.world import World, gpus, inventory, one_role

HOUR_MS = 3_600_000


def reserved() -> tuple[World, JobId]:
    """A job for which another is being stopped."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 4)))
    low = world.submit(one_role(gpus=4))
    world.plan()
    world.start(low)
    job = world.submit(one_role(gpus=4), priority=5, walltime_ms=HOUR_MS)
    world.plan()
    assert job.state is JobState.RESERVED
    return world, job.id


def lost(world: World, job_id: JobId) -> Entry:
    """What its history says, once the next plan has dropped the claim."""
    world.settle()
    assert world.cluster.jobs[job_id].state is JobState.QUEUED
    entries = history(enumerate(world.history, 1), job_id)
    (found,) = (entry for entry in entries if entry.what == "CLAIM_LOST")
    told = reasons(enumerate(world.history, 1), job_id, world.policy)
    assert told[-1].text.endswith(found.text)
    return found


def test_who_got_the_places_is_named_with_the_right_to_them() -> None:
    """A higher priority comes before the first has started."""
    world, job_id = reserved()
    spec = JobSpec("higher", one_role(gpus=4), priority=9)
    higher = world.submit_spec(spec, user="eve")
    found = lost(world, job_id)
    assert found.by == higher.id
    assert found.text == (
        f"its places on n1 went to {higher.id} (eve), before it had started there: priority 9 over "
        "5 in queue default"
    )


@pytest.mark.parametrize(
    ("kind", "fields", "text"),
    [
        (
            ev.NodeCordoned,
            {"node_id": NodeId("n1"), "by": "ann", "reason": "fan", "drain_ms": 0},
            "are no longer fit for it: n1 is refused with NODE_CORDONED, ",
        ),
        (
            ev.WindowPut,
            {"spec": WindowSpec("patch", 8000, HOUR_MS, ("n1",), maintenance=True), "by": "ann"},
            "are reserved for others before it could be over",
        ),
        (
            ev.QueuePut,
            {"spec": QueueSpec("default", limit={"gpu": 2000}), "by": "ann"},
            "are more than it may have now: queue default uses 0 GPUs of its limit of 2 GPUs",
        ),
    ],
)
def test_why_nobody_got_them_is_said(
    kind: type[ev.Event], fields: dict[str, object], text: str
) -> None:
    """An operator takes the node out, reserves it, or lowers a limit."""
    world, job_id = reserved()
    world.do(kind, **fields)
    found = lost(world, job_id)
    assert found.by == ""
    assert found.text.startswith(f"its places on n1 {text}")
