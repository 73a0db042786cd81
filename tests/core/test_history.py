"""A job's history and its reasons over time, told from nothing but the journal."""

from itertools import pairwise

from aimass.core import events as ev
from aimass.core.codec import state_hash
from aimass.core.history import Entry, cluster_at, history, reasons
from aimass.core.model import Exit, ExitReason, JobId, NodeId
from aimass.core.spec import JobSpec, Need, Role
from tests.core.world import World, gpus, inventory

HOUR_MS = 3_600_000


def job(name: str, gpus: int = 4, **more: object) -> JobSpec:
    """A job of one shard that runs for an hour."""
    role = Role("w", 1, Need(1000 * gpus), ("x",))
    return JobSpec(name, (role,), expected_ms=HOUR_MS, **more)  # type: ignore[arg-type]


def journal(world: World) -> list[tuple[int, ev.Event]]:
    """What the world's journal holds."""
    return list(enumerate(world.history, 1))


def preempted() -> tuple[World, JobId, JobId]:
    """A job that lost its place half an hour into its run, and who took it."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 4)))
    low = world.submit_spec(job("low"), user="bob")
    world.plan()
    world.start(low)
    world.wait(HOUR_MS // 2)
    high = world.submit_spec(job("high", priority=5))
    world.plan()
    return world, low.id, high.id


def words(entries: list[Entry]) -> list[str]:
    """What happened, without details."""
    return [entry.what for entry in entries]


def test_a_preempted_job_has_a_receipt_and_when_it_is_back() -> None:
    """Who, under which rule, what was lost; expected back when promised, then when it was."""
    world, low, high = preempted()
    stopped = Exit(reason=ExitReason.STOPPED)
    world.exit(world.cluster.jobs[low], how=stopped)
    world.plan()
    found = history(journal(world), low)
    assert words(found) == [
        *("SUBMITTED", "STARTED", "PLACED", "RUNNING", "STOPPED", "STOPPING", "QUEUED"),
        "PROMISED",
    ]
    receipt = found[4]
    assert (receipt.by, receipt.lost_gpu_ms // HOUR_MS) == (high, 2)
    assert receipt.text.startswith(f"under PRIORITY for {high} (ann): preempted by {high}")
    assert receipt.back_ms == found[-1].start_ms == world.cluster.planned[low].start_ms
    world.start(world.cluster.jobs[high])
    world.exit(world.cluster.jobs[high])
    world.plan()
    again = history(journal(world), low)
    assert again[4].back_ms == world.now_ms
    assert words(again)[-2:] == ["STARTED", "PLACED"]
    assert again[-2].attempt == 2


def test_a_decision_is_told_with_its_policy_and_how_it_was_weighed() -> None:
    """The trail of the start, the victims of the claim."""
    world, low, high = preempted()
    started = history(journal(world), low)[1]
    assert (started.policy, started.trail) == (
        world.policy.tag,
        world.cluster.jobs[low].attempts[0].trail,
    )
    claimed = history(journal(world), high)[1]
    assert claimed.what == "CLAIMED"
    assert f"waits for {low} (bob) to leave" in claimed.text


def test_updates_holds_and_cancels_say_by_whom() -> None:
    """And what changed."""
    world = World()
    made = world.submit_spec(job("a"))
    world.do(ev.JobHeld, job_id=made.id, by="eve", reason="wait for data")
    world.do(ev.JobUpdated, job_id=made.id, by="bob", spec=job("a", priority=7, queue="default"))
    world.do(ev.JobReleased, job_id=made.id, by="eve")
    world.cancel(made)
    found = [(e.what, e.by, e.text) for e in history(journal(world), made.id)]
    assert found[1:] == [
        ("HOLD", "eve", "wait for data"),
        ("HELD", "", ""),
        ("UPDATED", "bob", "priority 0 -> 7"),
        ("RELEASE", "eve", ""),
        ("QUEUED", "", ""),
        ("CANCEL", "ann", "grace 30 s"),
        ("CANCELLED", "", "cancelled by ann"),
    ]


def test_a_job_that_memory_has_forgotten_still_has_its_history() -> None:
    """The journal outlives the rows; what never was has none."""
    world = World()
    world.join("n1", inventory("n1", gpus("n1", 4)))
    made = world.submit_spec(job("a"))
    world.plan()
    world.start(made)
    world.exit(made, how=Exit(code=3))
    found = history(journal(world), made.id)
    assert words(found)[-2:] == ["SHARD_FAILED", "FAILED"]
    assert found[-1].text == made.outcome
    assert history(journal(world), JobId("j99")) == []


def test_reasons_over_time_are_coalesced() -> None:
    """No node; busy; a start; a silent node is nothing new to a job that runs."""
    world = World()
    world.submit_spec(job("first"))
    second = world.submit_spec(job("second"))
    world.plan()
    world.join("n1", inventory("n1", gpus("n1", 4)))
    world.plan()
    first = world.cluster.jobs[JobId("j1")]
    world.start(first)
    world.submit_spec(job("third"))
    world.plan()
    world.exit(first)
    world.plan()
    world.start(second)
    world.do(ev.NodeSilent, node_id=NodeId("n1"), reason="no heartbeat")
    found = [reason.code for reason in reasons(journal(world), second.id, world.policy)]
    assert found[0] == "NO_NODES"
    assert found[-1] == "RUNNING"
    assert "GPUS_BUSY" in found
    assert all(a != b for a, b in pairwise(found))


def test_the_state_of_any_time_can_be_had_again() -> None:
    """Up to and with the events of that moment."""
    world, _, _ = preempted()
    for revision, event in journal(world)[::3]:
        last = max(r for r, e in journal(world) if e.at_ms == event.at_ms)
        again = cluster_at(journal(world), event.at_ms)
        assert again.revision == last >= revision
    assert state_hash(again) == state_hash(cluster_at(journal(world), again.now_ms))
