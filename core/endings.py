"""How attempts and jobs end, and what their end means for others."""

from dataclasses import replace

from aimass.core import lives
from aimass.core.cluster import OVER_KEPT, Cluster
from aimass.core.depends import cease_to_wait, let_go
from aimass.core.lifecycle import JobTrigger
from aimass.core.model import (
    LOSSES_MAX,
    PREEMPTIONS_KEPT,
    Attempt,
    Goal,
    Job,
    JobState,
    StopRule,
)
from aimass.core.moves import admit, dequeue, enqueue, give_up_claim, move
from aimass.core.retry import backoff_ms
from aimass.core.runtimes import learn
from aimass.core.spec import PreemptMode


def end_attempt(cluster: Cluster, job: Job, attempt: Attempt, at_ms: int) -> None:
    """No shard of the attempt lives any more: what becomes of the job follows from its goal."""
    _conclude(cluster, job, attempt, at_ms)
    lives.end(cluster.demand, job, attempt)


def _conclude(cluster: Cluster, job: Job, attempt: Attempt, at_ms: int) -> None:
    attempt.ended_ms = at_ms
    if attempt.running_ms:
        job.ran_ms += at_ms - attempt.running_ms
        job.saved_ms += max(0, min(at_ms, attempt.checkpoint_ms) - attempt.running_ms)
    cluster.active.pop(job.id)
    cluster.elastic.pop(job.id, None)
    attempt.outcome = attempt.stop_reason or "every shard exited with 0"
    if job.faults and not any(
        s.exit is not None and s.exit.reason.is_infrastructure for s in attempt.shards
    ):
        job.faults = ()
    goal = attempt.stop_goal
    if goal is not None:
        _count_type(cluster, job, attempt, at_ms)
        goal = _goal(cluster, job, attempt, at_ms)
    if goal is None:
        learn(cluster, job, attempt)
        end_job(cluster, job, JobTrigger.SUCCEED, attempt.outcome)
        return
    if goal is Goal.RESIZE:
        if attempt.receipt is not None and attempt.receipt.rule is StopRule.MOVE:
            _count_preemption(job, at_ms)
        move(cluster, job, JobTrigger.RESERVE)
        return
    give_up_claim(cluster, job)
    if goal in (Goal.REQUEUE, Goal.RETRY):
        wait_ms = backoff_ms(job, goal)
        job.not_before_ms = at_ms + wait_ms if wait_ms else job.not_before_ms
        move(cluster, job, JobTrigger.REQUEUE)
        enqueue(cluster, job, at_ms)
    elif goal is Goal.HOLD:
        job.hold_reason = attempt.outcome
        move(cluster, job, JobTrigger.HOLD)
    else:
        trigger = JobTrigger.CANCEL if goal is Goal.CANCEL else JobTrigger.FAIL
        end_job(cluster, job, trigger, attempt.outcome)


def _count_type(cluster: Cluster, job: Job, attempt: Attempt, at_ms: int) -> None:
    """How long it has run on which model of GPU: what its next attempt is due depends on that."""
    first = attempt.placements[0]
    if attempt.running_ms and first.devices:
        gpu_type = cluster.nodes[first.node_id].devices[first.devices[0]].spec.model
        ran_on = dict(job.told.ran_on)
        ran_on[gpu_type] = ran_on.get(gpu_type, 0) + at_ms - attempt.running_ms
        job.told = replace(job.told, ran_on=tuple(sorted(ran_on.items())))


def _goal(cluster: Cluster, job: Job, attempt: Attempt, at_ms: int) -> Goal | None:
    """What the end of an attempt that was told to stop leads to; None: success."""
    goal = attempt.stop_goal
    if goal is not Goal.CANCEL and all(s.exit and s.exit.is_success for s in attempt.shards):
        # Every shard had ended by itself before the order to stop reached it.
        attempt.outcome = "every shard exited with 0"
        return None
    if goal is Goal.RESIZE and job.id not in cluster.claims:
        goal = Goal.REQUEUE  # its next place was lost meanwhile
    if goal is Goal.PREEMPT:
        goal = _after_preemption(job, at_ms)
    if goal in (Goal.REQUEUE, Goal.RETRY) and job.losses >= LOSSES_MAX:
        attempt.outcome = f"given up after {job.losses} lost attempts; the last: {attempt.outcome}"
        return Goal.FAIL
    return goal


def _after_preemption(job: Job, at_ms: int) -> Goal:
    """Its capacity has a new owner: it does as its user wants. Counts no retry."""
    _count_preemption(job, at_ms)
    mode = job.spec.preemption.mode
    if mode is PreemptMode.CANCEL:
        return Goal.CANCEL
    return Goal.HOLD if mode is PreemptMode.SUSPEND else Goal.REQUEUE


def _count_preemption(job: Job, at_ms: int) -> None:
    """It was stopped for another's sake: so often a day is enough, where it says so."""
    job.preempted_ms = (*job.preempted_ms, at_ms)[-PREEMPTIONS_KEPT:]


def end_job(cluster: Cluster, job: Job, trigger: JobTrigger, outcome: str) -> None:
    """The job is over, for good, and so is every job that waited for another end of it."""
    ending = [(job, trigger, outcome)]  # a list: a chain may be longer than the stack is deep
    for over, how, why in ending:
        array_id = _end_one(cluster, over, how, why)
        if cluster.dependents:
            for target in (over.id, array_id) if array_id else (over.id,):
                for waiting, problem in let_go(cluster, target):
                    if problem:
                        cease_to_wait(cluster, waiting)
                        ending.append((waiting, JobTrigger.FAIL, problem))
                    elif waiting.state is JobState.QUEUED:
                        admit(cluster, waiting)
        if len(cluster.over) > OVER_KEPT:
            _forget_oldest(cluster)


def _end_one(cluster: Cluster, job: Job, trigger: JobTrigger, outcome: str) -> str:
    """End the job itself. Returns the id of its array if that is over with it, else nothing."""
    if not job.state.is_active:
        dequeue(cluster, job)
        cease_to_wait(cluster, job)
    if cluster.claims:
        give_up_claim(cluster, job)
    move(cluster, job, trigger)
    job.outcome = outcome
    job.hold_reason = ""
    job.ended_ms = cluster.now_ms
    cluster.over[job.id] = None
    if not job.array_id:
        return ""
    row = cluster.arrays[job.array_id]
    row.over += 1
    row.failed += job.state is not JobState.SUCCEEDED
    return row.id if row.over == row.total else ""


def _forget_oldest(cluster: Cluster) -> None:
    """Keep memory bounded: of the jobs that are over, the oldest are only in the journal."""
    while len(cluster.over) > OVER_KEPT:
        oldest, _ = cluster.over.popitem(last=False)
        job = cluster.jobs.pop(oldest)
        if job.array_id:
            row = cluster.arrays[job.array_id]
            row.kept -= 1
            if row.kept:
                continue
            del cluster.arrays[row.id]
        if job.idempotency_key:
            del cluster.by_key[job.idempotency_key]
