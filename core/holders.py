"""Who holds what a job waits for, and until when."""

from dataclasses import dataclass

from aimass.core.arrays import jobs_of
from aimass.core.cluster import Cluster
from aimass.core.codes import Code
from aimass.core.model import Job, JobId, JobState
from aimass.core.quota import firm_rivals
from aimass.core.runtimes import expected_end_ms
from aimass.core.survey import Survey
from aimass.core.turned import Turned
from aimass.core.wants import amounts_asked, forms

HOLDERS_MAX = 5


@dataclass(frozen=True, slots=True)
class Holder:
    """An active job in the way. end_ms: when it should end; is_known: whether anybody knows."""

    job_id: JobId
    user: str
    gpu_milli: int
    end_ms: int
    is_known: bool
    is_leaving: bool = False


def holders_of(
    cluster: Cluster, job: Job, found: Survey | None, turned: Turned | None
) -> tuple[tuple[Holder, ...], int]:
    """The HOLDERS_MAX who should end first, and how many there are. O(holds on the nodes)."""
    claim, planned = cluster.claims.get(job.id), cluster.planned.get(job.id)
    if claim is not None:
        ids = {i for i in claim.victims if i in cluster.active}
    elif job.unmet:
        ids = {j.id for target in job.unmet for j in jobs_of(cluster, target) if j.state.is_active}
    elif job.state is JobState.HELD or job.not_before_ms > cluster.now_ms:
        ids = set()  # nobody: only its hour, or whoever holds it back
    elif turned is not None and turned.refusal.code is Code.QUOTA_FIRM:
        ids = _firm_in_the_way(cluster, job)
    elif turned is not None and turned.is_quota:
        ids = {other.id for other in cluster.active.values() if other.spec.queue == job.spec.queue}
        ids = ids or set(cluster.active)
    elif planned is not None:
        ids = set()
        for placement in planned.placements:
            node = cluster.nodes[placement.node_id]
            keys = [key for i in placement.devices for key in node.devices[i].holders]
            ids.update(key.job_id for key in (keys if placement.devices else node.holds))
    else:
        fits = found.fits if found is not None else ()
        busy = {n.id: n for f in fits for n, _, r in f.refused if r.code.is_busy}
        ids = {key.job_id for node in busy.values() for key in node.holds}
    rows = []
    for job_id in ids:
        other = cluster.jobs[job_id]
        end_ms, is_known = expected_end_ms(cluster, other)
        rows.append((not is_known, end_ms, other.submit_seq, other))
    rows.sort(key=lambda row: row[:3])
    return tuple(_holder(other, end_ms, not u) for u, end_ms, _, other in rows[:HOLDERS_MAX]), len(
        ids
    )


def _firm_in_the_way(cluster: Cluster, job: Job) -> set[JobId]:
    """Who cannot be preempted either, and uses what the job would have to be guaranteed."""
    wants = forms(job, cluster.now_ms)
    rivals = {name for w in wants for name in firm_rivals(cluster, job, amounts_asked(job, w))}
    active = cluster.active.values()
    return {o.id for o in active if not o.spec.preemptible and o.spec.queue in rivals}


def _holder(other: Job, end_ms: int, is_known: bool) -> Holder:
    gpu_milli = sum(p.share_milli * len(p.devices) for p in other.current.placements)
    is_leaving = other.state is JobState.STOPPING
    return Holder(other.id, other.user, gpu_milli, end_ms, is_known, is_leaving)
