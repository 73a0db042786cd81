"""What a committed plan does: unclaims, stops, claims, starts, promises; in this order."""

from aimass.core import events as ev
from aimass.core import lives
from aimass.core.apply_shards import stop_gang, touch_nodes
from aimass.core.capacity import claim, hold
from aimass.core.cluster import Cluster
from aimass.core.lifecycle import JobTrigger
from aimass.core.model import (
    ATTEMPTS_KEPT,
    Attempt,
    Goal,
    HoldKey,
    JobState,
    NodeState,
    Receipt,
    Shard,
    StopRule,
)
from aimass.core.move_rules import DAY_MS
from aimass.core.moves import dequeue, drop_claim, give_up_claim, move
from aimass.core.plan import Claim, Start, Stop
from aimass.core.queues import settle
from aimass.core.tallies import Moved

_RESIZES = (StopRule.SHRINK, StopRule.GROW, StopRule.MOVE, StopRule.RESHAPE)


def plan_committed(cluster: Cluster, event: ev.PlanCommitted) -> None:
    """See plan.Plan. An impossible decision is an assertion: check() has proved this one."""
    assert event.basis <= cluster.revision, "a plan cannot be based on the future"
    for job_id in event.unclaims:
        drop_claim(cluster, job_id, event.at_ms)
    for stop in event.stops:
        _stop(cluster, stop, event.at_ms)
    _count_moves(cluster, event)
    for owned in event.claims:
        _claim(cluster, owned)
    for start in event.starts:
        _start(cluster, start, event.at_ms)
    for name in {cluster.jobs[start.job_id].spec.queue: None for start in event.starts}:
        settle(cluster.queues, name, event.at_ms)
    for job_id in event.unplanned:
        cluster.planned.pop(job_id, None)
    for planned in event.planned:
        if cluster.jobs[planned.job_id].state is JobState.QUEUED:
            cluster.planned[planned.job_id] = planned


def _start(cluster: Cluster, start: Start, at_ms: int) -> None:
    job = cluster.jobs[start.job_id]
    assert start.attempt == job.attempt + 1, f"{job.id}: attempt {start.attempt} out of order"
    if cluster.claims:
        give_up_claim(cluster, job)
    dequeue(cluster, job)
    job.attempt = start.attempt
    uuids, shards = [], []
    for rank, placement in enumerate(start.placements):
        node = cluster.nodes[placement.node_id]
        assert node.state is NodeState.READY, f"{node.id} is {node.state.value}"
        hold(cluster, job, node, HoldKey(job.id, start.attempt, rank), placement)
        devices = node.devices
        uuids.append([devices[i].spec.uuid for i in placement.devices])
        shards.append(Shard())
    attempt = Attempt(start.attempt, start.placements, uuids, shards, at_ms, start.reason)
    attempt.live = len(shards)
    attempt.trail = start.trail
    if job.attempts and (last := job.attempts[-1]).stop_goal is Goal.RESIZE and last.since_ms:
        attempt.ran_ms = _worked_until_ms(last) - last.since_ms
    lives.begin(cluster.demand, job, attempt)
    job.attempts.append(attempt)
    del job.attempts[:-ATTEMPTS_KEPT]
    cluster.active[job.id] = job
    if job.spec.elastic_role >= 0:
        cluster.elastic[job.id] = job
    move(cluster, job, JobTrigger.PLACE)
    touch_nodes(cluster, attempt)


def _worked_until_ms(last: Attempt) -> int:
    """Up to when what it did counts against the limit of time of who goes on.

    Who was moved for another's sake is not charged for the work that this cost it.
    """
    is_moved = last.receipt is not None and last.receipt.rule is StopRule.MOVE
    return max(last.running_ms, last.checkpoint_ms) if is_moved else last.ended_ms


def _stop(cluster: Cluster, stop: Stop, at_ms: int) -> None:
    job = cluster.jobs[stop.job_id]
    assert job.attempt == stop.attempt, f"{job.id}: stops attempt {stop.attempt}, runs another"
    goal = Goal.RESIZE if stop.rule in _RESIZES else Goal.PREEMPT
    if stop.rule in (StopRule.DRAIN, StopRule.WINDOW):
        goal = Goal.REQUEUE
    job.current.receipt = Receipt(at_ms, stop.rule, stop.by, stop.reason, stop.lost_gpu_ms)
    notice_ms = job.spec.checkpoint.notice_ms if job.spec.checkpoint.signal else 0
    stop_gang(cluster, job, goal, stop.reason, job.spec.grace_ms, notice_ms)


def _count_moves(cluster: Cluster, event: ev.PlanCommitted) -> None:
    """What they cost; what is a day old is forgotten."""
    costs = [s.lost_gpu_ms + s.restart_gpu_ms for s in event.stops if s.rule is StopRule.MOVE]
    if costs:
        cluster.moved.append(Moved(event.at_ms, sum(costs)))
        while cluster.moved[0].at_ms <= event.at_ms - DAY_MS:
            cluster.moved.popleft()


def _claim(cluster: Cluster, owned: Claim) -> None:
    job = cluster.jobs[owned.job_id]
    assert owned.attempt == job.attempt + 1, f"{job.id}: claims for attempt {owned.attempt}"
    assert job.id not in cluster.claims, f"{job.id} has a claim already"
    if job.state is JobState.QUEUED:
        dequeue(cluster, job)
        move(cluster, job, JobTrigger.RESERVE)
    for rank, placement in enumerate(owned.placements):
        node = cluster.nodes[placement.node_id]
        claim(cluster, job, node, HoldKey(job.id, owned.attempt, rank), placement)
    cluster.claims[job.id] = owned
