"""Whom a resize interval keeps waiting: a job that could grow, or one that could have extras."""

from aimass.core.blockers import EXAMPLES, Blocker
from aimass.core.cluster import Cluster
from aimass.core.codes import Code
from aimass.core.model import Job, JobState
from aimass.core.resize import elastic_of, size_of
from aimass.core.search import Search
from aimass.core.spans import span_text
from aimass.core.survey import Survey
from aimass.core.victims import is_extra, is_stoppable, rule_for, smallest_forms
from aimass.core.wants import amounts_asked
from aimass.core.words import in_text, some


def own_interval(cluster: Cluster, job: Job) -> tuple[Blocker, ...]:
    """Of a running job below its largest size: when it may grow, if that is still to come."""
    if not _is_kept(cluster, job):
        return ()
    elastic, has = elastic_of(job), size_of(job)
    if has >= elastic.max_shards:
        return ()
    left = in_text(_due_ms(job) - cluster.now_ms)
    text = f"has {has} of at most {elastic.max_shards} shards and may grow {left}"
    every = f"it is resized once in {span_text(elastic.interval_ms)}"
    return (Blocker(Code.RESIZE_INTERVAL.value, f"{text}: {every}", 0, ()),)


def extras_kept(search: Search, job: Job, found: Survey) -> tuple[Blocker, ...]:
    """The extras that it could have, of jobs whose interval has not passed. O(holds there).

    found: why the nodes do not take it. Who may be stopped altogether is left out: its interval
    does not protect it.
    """
    cluster = search.cluster
    amounts = [amounts_asked(job, want) for want in smallest_forms(search, job)]
    busy = {n.id: n for fit in found.fits for n, _, r in fit.refused if r.code.is_busy}
    rows = []
    for job_id in dict.fromkeys(key.job_id for node in busy.values() for key in node.holds):
        other = cluster.jobs[job_id]
        if not is_extra(other) or not _is_kept(cluster, other):
            continue
        is_right = any(rule_for(search, job, asked, other) is not None for asked in amounts)
        asked_for = other.spec.roles[other.spec.elastic_role].shards
        if is_stoppable(search, other) if is_right else size_of(other) <= asked_for:
            continue
        rows.append((_due_ms(other), other.submit_seq, other))
    if not rows:
        return ()
    rows.sort()
    jobs = [other for _, _, other in rows]
    nodes = list(dict.fromkeys(p.node_id for other in jobs for p in other.current.placements))
    who = "1 job has" if len(jobs) == 1 else f"{len(jobs)} jobs have"
    first = "it" if len(jobs) == 1 else "the first"
    left = in_text(rows[0][0] - cluster.now_ms)
    text = f"{who} extras to give up: {some([other.id for other in jobs])}; {first} may {left}"
    text += ", when its resize interval is over"
    return (Blocker(Code.RESIZE_INTERVAL.value, text, len(nodes), tuple(nodes[:EXAMPLES])),)


def _due_ms(job: Job) -> int:
    return job.current.running_ms + elastic_of(job).interval_ms


def _is_kept(cluster: Cluster, job: Job) -> bool:
    """True when the job runs, is elastic, and was started less than an interval ago."""
    if job.state is not JobState.RUNNING or job.spec.elastic_role < 0:
        return False
    return cluster.now_ms < _due_ms(job)
