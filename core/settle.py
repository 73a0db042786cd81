"""What a decision settles first: claims that are free now, drains and windows that are due."""

from aimass.core.lost_work import lost_gpu_ms
from aimass.core.model import Job, JobId, JobState, StopRule
from aimass.core.plan import Claim, Start, Stop
from aimass.core.quota import quota_refusal
from aimass.core.search import Search
from aimass.core.suits import still_suit
from aimass.core.wants import amounts_placed
from aimass.core.windows import blocked_nodes, next_change_ms


def settle_claims(search: Search) -> None:
    """Start whoever's claimed places are all free; drop claims that can no longer be kept."""
    draft, cluster = search.draft, search.cluster
    for claim in list(cluster.claims.values()):
        job = cluster.jobs[claim.job_id]
        if _is_broken(search, job, claim):
            search.dropped.add(job.id)
            draft.unclaim(job, claim.attempt, claim.placements)
            continue
        if job.state is not JobState.RESERVED:
            continue  # a resize: its old attempt has not left
        mark = draft.checkpoint()
        draft.unclaim(job, claim.attempt, claim.placements)
        amounts = amounts_placed(cluster, claim.placements)
        if quota_refusal(cluster, job, amounts, is_soon=True) is not None:
            search.dropped.add(job.id)  # a limit was lowered meanwhile
            continue
        if quota_refusal(cluster, job, amounts) is not None:
            draft.rollback(mark)  # somebody of its queue is still leaving
            continue
        if draft.hold_exactly(job, claim.placements):
            reason = claim.reason
            start = Start(job.id, claim.attempt, claim.placements, reason, claim.trail)
            search.starts[job.id] = start
        else:
            draft.rollback(mark)


def _is_broken(search: Search, job: Job, claim: Claim) -> bool:
    """True when a claimed place went away, is another one now, or is closed to the job."""
    closed = search.closed_for(job, search.cluster.now_ms)
    if any(placement.node_id in closed for placement in claim.placements):
        return True
    return not still_suit(search.cluster, job, claim.placements)


def stop_what_is_due(search: Search) -> None:
    """Stop what still runs on nodes whose drain deadline has passed or whose window is others'."""
    cluster = search.cluster
    now_ms = cluster.now_ms
    for node in [cluster.index.nodes[i] for i in sorted(cluster.index.draining)]:
        if node.holds:
            search.wake(node.drain_ms)
            if node.drain_ms <= now_ms:
                jobs = _running_on(search, [key.job_id for key in node.holds])
                for job in jobs:
                    _stop(search, job, StopRule.DRAIN, f"{node.id} is drained ({node.cordon})")
    search.wake(next_change_ms(cluster))
    for window in cluster.windows.values():
        for node_id in window.nodes:
            held = cluster.nodes.get(node_id)  # type: ignore[call-overload]
            if held is None or not held.holds:
                continue
            for job in _running_on(search, [key.job_id for key in held.holds]):
                if node_id in blocked_nodes(cluster, job, now_ms, now_ms + 1):
                    _stop(search, job, StopRule.WINDOW, f"window {window.name} of {node_id} began")


def _running_on(search: Search, job_ids: list[JobId]) -> list[Job]:
    jobs = [search.cluster.jobs[i] for i in dict.fromkeys(job_ids)]
    live = [j for j in jobs if j.state is not JobState.STOPPING and j.id not in search.evicted]
    return sorted(live, key=lambda job: job.submit_seq)


def _stop(search: Search, job: Job, rule: StopRule, reason: str) -> None:
    lost = lost_gpu_ms(job, search.cluster.now_ms)
    search.stops.append(Stop(job.id, job.attempt, rule, JobId(""), reason, lost))
    search.evicted.add(job.id)
    search.draft.evict(job)
