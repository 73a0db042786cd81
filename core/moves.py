"""How jobs come into and go out of the queue, give up claims, and are counted on the way."""

from aimass.core.capacity import charge, unclaim
from aimass.core.cluster import Cluster
from aimass.core.lifecycle import JOB_TRANSITIONS, JobTrigger, move_job
from aimass.core.model import Goal, HoldKey, Job, JobId, JobState, Node, Placement
from aimass.core.queues import count, count_preemptible
from aimass.core.spec import JobSpec
from aimass.core.timers import set_timer


def move(cluster: Cluster, job: Job, trigger: JobTrigger) -> None:
    """Move the job along the table, and keep the counts of its queues and its array."""
    step = _STEPS.get((job.state, trigger))
    if step is not None:
        job.state, changes = step
    else:
        before = _counted_as(job)
        move_job(job, trigger)
        changes = _changes(before, _counted_as(job))
    if changes is not None:
        _count(cluster, job, changes)
    if job.state is not JobState.QUEUED:  # enqueue() follows
        set_timer(cluster, job)


def count_job(cluster: Cluster, job: Job, sign: int) -> None:
    """Count the job, by its state, in its queue, all queues above it, and its array."""
    active, stopping, queued, holding = _BY_STATE[_counted_as(job)]
    _count(cluster, job, (sign * active, sign * stopping, sign * queued, sign * holding))


# What a job counts as: active, of that stopping, queued; and active if it can be preempted.
_Counts = tuple[int, int, int, int]
_WAITS, _OWNS, _HOLDS, _LEAVES, _OVER = (
    *((0, 0, 1, 0), (1, 0, 0, 0), (1, 0, 0, 1)),
    *((1, 1, 0, 1), (0, 0, 0, 0)),
)
_BY_STATE: dict[JobState, _Counts] = {
    JobState.QUEUED: _WAITS,
    JobState.HELD: _WAITS,
    JobState.RESERVED: _OWNS,
    JobState.PLACED: _HOLDS,
    JobState.STARTING: _HOLDS,
    JobState.RUNNING: _HOLDS,
    JobState.STOPPING: _LEAVES,
    JobState.SUCCEEDED: _OVER,
    JobState.FAILED: _OVER,
    JobState.CANCELLED: _OVER,
}


def _changes(before: JobState, after: JobState) -> _Counts | None:
    was, now = _BY_STATE[before], _BY_STATE[after]
    if was == now:
        return None
    return (now[0] - was[0], now[1] - was[1], now[2] - was[2], now[3] - was[3])


# What a move does to a job, where its state alone decides it. STOPPING: see _counted_as.
_STEPS = {
    (before, trigger): (after, _changes(before, after))
    for (before, trigger), after in JOB_TRANSITIONS.items()
    if JobState.STOPPING not in (before, after)
}


def _counted_as(job: Job) -> JobState:
    """The state by which it is counted: one that stops in order to go on elsewhere stays active."""
    if job.state is JobState.STOPPING and job.current.stop_goal is Goal.RESIZE:
        return JobState.RUNNING
    return job.state


def _count(cluster: Cluster, job: Job, changes: _Counts) -> None:
    active, stopping, queued, holding = changes
    spec = job.spec
    if active and job.array_id:
        cluster.arrays[job.array_id].active += active
    count(cluster.queues, spec.queue, active, stopping, queued)
    if holding and spec.preemptible:
        count_preemptible(cluster.queues[spec.queue], spec.priority, holding)


def enqueue(cluster: Cluster, job: Job, at_ms: int) -> None:
    """The job is QUEUED: into the waiting index, unless time or another job holds it back."""
    job.queued_ms = at_ms
    admit(cluster, job)


def admit(cluster: Cluster, job: Job) -> None:
    """The QUEUED job may be considered from now on, or when its time comes."""
    if not job.unmet and job.not_before_ms <= cluster.now_ms:
        cluster.waiting.add(job)
    set_timer(cluster, job)


def dequeue(cluster: Cluster, job: Job) -> None:
    """The job may be considered no longer, and nothing is promised to it."""
    if job.id in cluster.waiting:
        cluster.waiting.remove(job)
    if cluster.planned.pop(job.id, None) is not None:
        cluster.freed_revision = cluster.revision + 1  # what was kept for it


def give_up_claim(cluster: Cluster, job: Job) -> None:
    """The job owns its next places no longer, if it did."""
    if job.id not in cluster.claims:
        return
    owned = cluster.claims.pop(job.id)
    for rank, placement in enumerate(owned.placements):
        node = cluster.nodes[placement.node_id]
        unclaim(cluster, job, node, HoldKey(job.id, owned.attempt, rank))
    cluster.freed_revision = cluster.revision + 1


def drop_claim(cluster: Cluster, job_id: JobId, at_ms: int) -> None:
    """The claim cannot be kept; a job that only had the claim queues again."""
    job = cluster.jobs[job_id]
    give_up_claim(cluster, job)
    if job.state is JobState.RESERVED:
        move(cluster, job, JobTrigger.REQUEUE)
        enqueue(cluster, job, at_ms)


def recharge(cluster: Cluster, job: Job, spec: JobSpec) -> None:
    """Enter what the job holds and claims as the spec to come says. O(holds of its nodes)."""
    owned = cluster.claims.get(job.id)
    placements = [*job.current.placements, *(owned.placements if owned else ())]
    for node_id in dict.fromkeys(p.node_id for p in placements):
        node = cluster.nodes[node_id]
        for table, key, placement in _entries(node):
            if key.job_id == job.id:
                charge(cluster, job.spec, node, placement, table, -1)
                charge(cluster, spec, node, placement, table, 1)
        cluster.index.touch(node)  # whether it stays counts for reserves


def charge_node(cluster: Cluster, node: Node, sign: int) -> None:
    """Take all that is held and claimed on the node out of the queues' accounts, or enter it."""
    for table, key, placement in _entries(node):
        charge(cluster, cluster.jobs[key.job_id].spec, node, placement, table, sign)


def _entries(node: Node) -> list[tuple[str, HoldKey, Placement]]:
    entries = [("used", key, placement) for key, placement in node.holds.items()]
    entries += [("leaving", key, node.holds[key]) for key in node.leaving]
    return entries + [("claimed", key, placement) for key, placement in node.claims.items()]
