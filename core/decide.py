"""decide(cluster, policy, fuel) -> Plan. Pure: same arguments, same plan, nothing changed.

In the policy's order: place the whole gang on a draft, or leave the job and everything of its shape
waiting. A strict order stops at the first job that cannot start. Why a job waits is worked out when
somebody asks (survey.py): most decisions are never asked about.
"""

from aimass.core.cluster import Cluster, ShapeKey
from aimass.core.draft import Draft
from aimass.core.model import JobId
from aimass.core.plan import Plan, Start, Wait
from aimass.core.policy import Fuel, Policy

FUEL = 5_000_000  # nodes examined in one decision


def decide(cluster: Cluster, policy: Policy, fuel_units: int = FUEL) -> Plan:
    """Plan what to start now. O(starts + shapes) placements; the cluster is left as it was."""
    fuel = Fuel(fuel_units)
    starts: dict[JobId, Start] = {}
    waits: dict[ShapeKey, Wait] = {}
    with Draft(cluster) as draft:
        while True:
            before = len(starts)
            _pass(draft, policy, fuel, starts, waits)
            if len(starts) == before or not fuel.left:
                break
            # Roles are placed one after the other: what has started since may have pushed the first
            # of them to where it leaves room for the next. Deciding again must change nothing.
            several = [s for s, w in waits.items() if len(cluster.jobs[w.first].spec.roles) > 1]
            if not several:
                break
            for shape in several:
                del waits[shape]
    plan_starts, plan_waits = tuple(starts.values()), tuple(waits.values())
    return Plan(cluster.revision, policy.tag, plan_starts, plan_waits, fuel.left)


def _pass(
    draft: Draft,
    policy: Policy,
    fuel: Fuel,
    starts: dict[JobId, Start],
    waits: dict[ShapeKey, Wait],
) -> None:
    """Try every queued job once, except those of shapes that wait and those that have started."""
    cluster = draft.cluster
    blocked = set(waits)
    for shape, job_id in policy.order.queue(cluster, blocked):
        if job_id in starts:
            continue
        job = cluster.jobs[job_id]
        mark = draft.checkpoint()
        placed = policy.place.place(draft, job, fuel) if fuel.left else None
        if placed is not None:
            starts[job_id] = Start(job_id, job.attempt + 1, placed.placements, placed.reason)
            continue
        draft.rollback(mark)
        blocked.add(shape)
        waits[shape] = Wait(shape, job_id, is_cut_short=not fuel.left)
        if policy.order.is_strict or not fuel.left:
            return
