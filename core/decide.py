"""decide(cluster, policy, fuel) -> Plan. Pure: same arguments, same plan, nothing changed.

In the policy's order: place the whole gang on a draft, or leave the job and everything of its shape
waiting with the reason. A strict order stops at the first job that cannot start.
"""

from aimass.core.cluster import Cluster, ShapeKey
from aimass.core.draft import Draft
from aimass.core.model import Job
from aimass.core.plan import Plan, Start, Wait
from aimass.core.policy import Fuel, Policy
from aimass.core.survey import survey

FUEL = 5_000_000  # nodes examined in one decision


def decide(cluster: Cluster, policy: Policy, fuel_units: int = FUEL) -> Plan:
    """Plan what to start now. O(starts + shapes) placements; the cluster is left as it was."""
    fuel = Fuel(fuel_units)
    blocked: set[ShapeKey] = set()
    starts: list[Start] = []
    waits: list[Wait] = []
    with Draft(cluster) as draft:
        for shape, job_id in policy.order.queue(cluster, blocked):
            job = cluster.jobs[job_id]
            mark = draft.checkpoint()
            placed = policy.place.place(draft, job, fuel) if fuel.left else None
            if placed is not None:
                starts.append(Start(job.id, job.attempt + 1, placed.placements, placed.reason))
                continue
            draft.rollback(mark)
            blocked.add(shape)
            waits.append(_wait(cluster, job, shape, fuel))
            if policy.order.is_strict or not fuel.left:
                break
    return Plan(cluster.revision, policy.tag, tuple(starts), tuple(waits), fuel.left)


def _wait(cluster: Cluster, job: Job, shape: ShapeKey, fuel: Fuel) -> Wait:
    if not fuel.left:
        return Wait(shape, job.id, "SEARCH_LIMIT", "the search budget of this decision is spent")
    found = survey(cluster, job)
    return Wait(shape, job.id, found.code, found.text)
