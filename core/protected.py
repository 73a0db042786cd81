"""Whose place a waiting job could take by right, were they not protected; and until when."""

from aimass.core.blockers import EXAMPLES, Blocker
from aimass.core.cluster import Cluster
from aimass.core.codes import Code
from aimass.core.model import Job, JobState, StopRule
from aimass.core.runtimes import expected_end_ms
from aimass.core.search import Search
from aimass.core.spans import span_text
from aimass.core.stop_rules import protection
from aimass.core.survey import Survey
from aimass.core.take_cells import may_take_cells
from aimass.core.victims import rule_as_preemptible, smallest_forms
from aimass.core.wants import amounts_asked
from aimass.core.words import in_text, some

_HOW = {
    Code.MIN_RUNTIME: "by a minimum run time",
    Code.PREEMPT_BUDGET: "by a limit of preemptions a day",
    Code.EXTRAS_ONLY: "because only extras are given up",
    Code.NOT_PREEMPTIBLE: "as not preemptible",
}


def protected_blockers(search: Search, job: Job, found: Survey) -> tuple[Blocker, ...]:
    """One for each kind of protection, of active jobs where it could go. O(holds on these nodes).

    found: why the nodes do not take it.
    """
    cluster = search.cluster
    rules: dict[tuple[str, int], StopRule | None] = {}
    groups: dict[Code, list[tuple[int, int, Job]]] = {}
    amounts = [amounts_asked(job, want) for want in smallest_forms(search, job)]
    busy = {n.id: n for fit in found.fits for n, _, r in fit.refused if r.code.is_busy}
    for job_id in dict.fromkeys(key.job_id for node in busy.values() for key in node.holds):
        other = cluster.jobs[job_id]
        if other.state is JobState.STOPPING:
            continue
        kind = (other.spec.queue, other.spec.priority)
        if kind not in rules:
            each = (rule_as_preemptible(search, job, asked, other) for asked in amounts)
            right = next((rule for rule in each if rule is not None), None)
            has_cells = any(may_take_cells(search, job, asked, other) for asked in amounts)
            rules[kind] = right or (StopRule.RESERVE if has_cells else None)
        kept = protection(cluster, other) if rules[kind] is not None else None
        if kept is not None:
            until_ms = kept.until_ms or _end_ms(cluster, other)
            groups.setdefault(kept.code, []).append((until_ms, other.submit_seq, other))
    return tuple(_blocker(cluster, code, groups[code]) for code in _HOW if code in groups)


def _end_ms(cluster: Cluster, job: Job) -> int:
    end_ms, is_known = expected_end_ms(cluster, job)
    return end_ms if is_known else 0


def _blocker(cluster: Cluster, code: Code, rows: list[tuple[int, int, Job]]) -> Blocker:
    rows.sort(key=lambda row: (not row[0], *row[:2]))  # who is protected longest comes last
    jobs = [job for _, _, job in rows]
    until_ms, is_one = rows[0][0], len(jobs) == 1
    nodes = list(dict.fromkeys(p.node_id for job in jobs for p in job.current.placements))
    who = "1 job that it could stop is" if is_one else f"{len(jobs)} jobs that it could stop are"
    first = "" if is_one else "the first "
    if code in (Code.MIN_RUNTIME, Code.PREEMPT_BUDGET):
        left = f"{first}for another {span_text(until_ms - cluster.now_ms)}"
    elif until_ms:
        left = f"{first or 'it '}ends {in_text(until_ms - cluster.now_ms)}"
    else:
        left = "nobody knows until when"
    text = f"{who} protected {_HOW[code]}: {some([job.id for job in jobs])}; {left}"
    return Blocker(code.value, text, len(nodes), tuple(nodes[:EXAMPLES]))
