"""Elastic sizes: grow into what idles. To shrink see shrink.py, to move consolidate.py.

A resize restarts the gang: its attempt is stopped and its next one claims places at once, so nobody
can come in between. To move is to resize to the same size.
"""

from aimass.core.at_work import idle_milli
from aimass.core.lost_work import lost_gpu_ms
from aimass.core.model import Job, JobState, StopRule
from aimass.core.plan import Claim, Stop
from aimass.core.policy import Placed, Want
from aimass.core.preempt import claiming
from aimass.core.runtimes import expected_end_ms
from aimass.core.search import Search
from aimass.core.spec import Elastic
from aimass.core.wants import forms, sized, sizes_of


def elastic_of(job: Job) -> Elastic:
    """The elastic bounds of a job that has them."""
    elastic = job.spec.roles[job.spec.elastic_role].elastic
    assert elastic is not None, f"{job.id} is not elastic"
    return elastic


def size_of(job: Job) -> int:
    """Elastic shards that the active job has now."""
    return sizes_of(job, job.current.placements)[job.spec.elastic_role]


def may_resize(search: Search, job: Job) -> bool:
    """True when the job runs and its last start is an interval ago."""
    if job.state is not JobState.RUNNING or job.id in search.evicted:
        return False
    due_ms = job.current.running_ms + elastic_of(job).interval_ms
    search.wake(due_ms)
    return due_ms <= search.cluster.now_ms


def restart(
    search: Search, job: Job, rule: StopRule, by: Job | None, reason: str, again: Placed
) -> None:
    """Enter that the active job goes on there as its next attempt: it is stopped, and owns them.

    by: who gains by it; None: the job itself.
    """
    stop = Stop(
        job.id,
        job.attempt,
        rule,
        by.id if by is not None else job.id,
        reason,
        lost_gpu_ms(job, search.cluster.now_ms),
    )
    claim = Claim(
        job.id,
        job.attempt + 1,
        again.placements,
        f"{reason}; {again.reason}",
        (job.id,),
        again.trail,
    )
    search.add_claim(claim, [stop])


# ---- grow ---------------------------------------------------------------------------------------


def grow(search: Search) -> None:
    """Let running elastic jobs have what idles, where it is worth a restart; best gain first."""
    offers = []
    promised = {
        (place.node_id, index)
        for promise in search.promises.values()
        for place in promise.placements
        for index in place.devices or (-1,)
    }
    for job in search.at_work.elastic():
        places = job.current.placements
        if any((p.node_id, index) in promised for p in places for index in p.devices or (-1,)):
            continue  # a restart would let it end later than somebody was promised
        if search.own_limits.first(job.spec.queue) is not None:
            continue  # what comes free in its queue is for that one
        if size_of(job) < elastic_of(job).max_shards and may_resize(search, job):
            gain = search.policy.resize.gain(search.cluster, job, elastic_of(job).max_shards)
            offers.append((-gain, job.submit_seq, job))
            search.wake(expected_end_ms(search.cluster, job)[0] + 1)  # it gains if it goes on then
    for _, _, job in sorted(offers, key=lambda offer: offer[:2]):
        _grow_one(search, job)


def _grow_one(search: Search, job: Job) -> None:
    """The size most worth it, of equals the largest, that fits into its places and what is free."""
    cluster, draft, gain_of = search.cluster, search.draft, search.policy.resize.gain
    has, mark = size_of(job), draft.checkpoint()
    best, chosen = 0, None
    most = min(elastic_of(job).max_shards, has + _most_more(search, job))
    for shards in elastic_of(job).sizes(most):
        if shards <= has or not search.fuel.left:
            break
        if gain_of(cluster, job, shards) <= best:
            continue  # wherever it were
        for want in forms(job, cluster.now_ms):
            placed = _place_larger(search, job, sized(job, want, shards))
            if placed is not None:
                gain = gain_of(cluster, job, shards, placed.placements)
                if gain > best and waits_for_nobody(search, job, placed):
                    best, chosen = gain, sized(job, want, shards)
            draft.rollback(mark)
    if chosen is None:
        return
    again = _place_larger(search, job, chosen)
    if again is None:  # the search budget has ended meanwhile
        draft.rollback(mark)
        return
    shards = chosen.sizes[job.spec.elastic_role]
    reason = f"grows from {has} to {shards} shards into what idles"
    restart(search, job, StopRule.GROW, None, reason, again)


def _most_more(search: Search, job: Job) -> int:
    """Shards that the GPUs which nobody owns are enough for, wherever they are."""
    gpu_milli = job.spec.roles[job.spec.elastic_role].need.gpu_milli
    return idle_milli(search.cluster) // gpu_milli if gpu_milli else elastic_of(job).max_shards


def _place_larger(search: Search, job: Job, want: Want) -> Placed | None:
    """Its next attempt, on the draft, beside nothing of its present one."""
    search.draft.evict(job)
    with claiming(search, job):
        return search.place(job, want, [])


def waits_for_nobody(search: Search, job: Job, placed: Placed) -> bool:
    """True when its claimed places are free, or held by its own attempt only."""
    for placement in placed.placements:
        node = search.cluster.nodes[placement.node_id]
        for index in placement.devices:
            device = node.devices[index]
            own = sum(m for key, m in device.holders.items() if key.job_id == job.id)
            if device.used_milli - own + device.claimed_milli > 1000:
                return False
        own_cpu = sum(p.cpu_milli for key, p in node.holds.items() if key.job_id == job.id)
        cpu_milli = node.cpu_used_milli - own_cpu + node.cpu_claimed_milli
        own_mib = sum(p.memory_mib for key, p in node.holds.items() if key.job_id == job.id)
        memory_mib = node.memory_used_mib - own_mib + node.memory_claimed_mib
        if cpu_milli > node.inventory.cpu_milli or memory_mib > node.inventory.memory_mib:
            return False
    return True
