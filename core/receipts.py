"""What becomes of a job that a plan stopped: the work that it lost in the end, and its return.

The plan weighed what a stop would lose at that moment; a checkpoint made on notice saves it after
all, and whatever the job does afterwards is lost. And why a plan took places back from a job that
owned them and had not started there.
"""

from dataclasses import dataclass

from aimass.core import events as ev
from aimass.core.cluster import Cluster
from aimass.core.draft import Draft
from aimass.core.feasible import node_refusal
from aimass.core.lost_work import held_milli
from aimass.core.model import Attempt, Job, JobId, NodeId, Placement
from aimass.core.plan import Claim, Start
from aimass.core.quota import quota_refusal
from aimass.core.runtimes import open_run_ms
from aimass.core.suits import still_suit
from aimass.core.wants import amounts_placed
from aimass.core.windows import blocked_nodes
from aimass.core.words import some


def lost_at_last(attempt: Attempt) -> int:
    """GPU-milliseconds since its last checkpoint when the attempt was over; 0 without a receipt.

    Until then those up to the order to stop. Nothing is lost when every shard ended with 0 before
    the order reached it. O(shards).
    """
    if attempt.receipt is None or not attempt.running_ms:
        return 0
    if attempt.ended_ms and all(s.exit and s.exit.is_success for s in attempt.shards):
        return 0
    end_ms = attempt.ended_ms or attempt.receipt.at_ms
    since_ms = max(attempt.checkpoint_ms, attempt.running_ms)
    return max(0, end_ms - since_ms) * held_milli(attempt.placements) // 1000


def back_ms(cluster: Cluster, job: Job, attempt: Attempt) -> tuple[int, bool]:
    """When the job went on after this attempt, and whether it has; 0: nobody can say.

    While it waits, what it is promised. See forecast.py for what is foreseen without a promise.
    """
    following = next((a for a in job.attempts if a.number > attempt.number), None)
    if following is not None:
        return following.placed_ms, True
    planned = cluster.planned.get(job.id)
    return (planned.start_ms if planned is not None and planned.is_known else 0), False


@dataclass(frozen=True, slots=True)
class LostClaim:
    """The receipt of a job whose claim was dropped. by: who got the places; empty: nobody did."""

    text: str
    by: str = ""


def lost_claim(cluster: Cluster, event: ev.PlanCommitted, job: Job) -> LostClaim:
    """Why the plan drops the job's claim; the cluster is as the plan found it.

    In the order in which decide asks (settle.py): places that are no longer fit or closed to the
    job, its queue's rules; what remains is that somebody more entitled got them. O(shards) times
    the claims and starts of the plan.
    """
    claim = cluster.claims[job.id]
    places = claim.placements
    where = f"its places on {some(list(dict.fromkeys([p.node_id for p in places])))}"
    if not still_suit(cluster, job, places):
        return LostClaim(f"{where} are no longer fit for it{_what_changed(cluster, job, places)}")
    until_ms = event.at_ms + open_run_ms(cluster, job)
    closed = blocked_nodes(cluster, job, event.at_ms, until_ms)
    if any(p.node_id in closed for p in places):
        return LostClaim(f"{where} are reserved for others before it could be over")
    with Draft(cluster) as draft:
        draft.unclaim(job, claim.attempt, places)
        refusal = quota_refusal(cluster, job, amounts_placed(cluster, places), is_soon=True)
    if refusal is not None:
        return LostClaim(f"{where} are more than it may have now: {refusal.text}")
    taker = next((cluster.jobs[i] for i in _takers(event, claim)), None)
    if taker is None:
        return LostClaim(f"{where} are kept for somebody more entitled")
    if taker.spec.queue != job.spec.queue:
        right = f"queue {taker.spec.queue} takes back what it is guaranteed"
    else:
        mine, theirs = job.spec.priority, taker.spec.priority
        right = f"priority {theirs} over {mine} in queue {job.spec.queue}"
    who = f"{taker.id} ({taker.user})" if taker.user else taker.id
    return LostClaim(f"{where} went to {who}, before it had started there: {right}", taker.id)


def _what_changed(cluster: Cluster, job: Job, places: tuple[Placement, ...]) -> str:
    """What a node says against it now; nothing where a device or a domain is not what it was."""
    for place in places:
        need = job.spec.roles[place.role].need
        refusal = node_refusal(cluster.nodes[place.node_id], job, need)
        if refusal is not None:
            return f": {place.node_id} is refused with {refusal.code.value}, {refusal.text}"
    return ""


def _takers(event: ev.PlanCommitted, claim: Claim) -> list[JobId]:
    """Who gets some of these places by the plan, most of them first."""
    lost = _slots(claim.placements)
    found: list[tuple[int, int, JobId]] = []
    gets: list[Claim | Start] = [*event.claims, *event.starts]
    for made in gets:
        shared = len(lost & _slots(made.placements))
        if shared and made.job_id != claim.job_id:
            found.append((-shared, len(found), made.job_id))
    return [job_id for _, _, job_id in sorted(found)]


def _slots(places: tuple[Placement, ...]) -> set[tuple[NodeId, int]]:
    """Devices, and nodes (-1) where there are shards without any."""
    return {(p.node_id, index) for p in places for index in p.devices or (-1,)}
