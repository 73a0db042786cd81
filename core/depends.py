"""Dependencies: which jobs wait for the end of which others, and what that end does to them.

job.unmet lists what is still waited for; cluster.dependents is the reverse. Whatever has ended
otherwise than wanted fails those that waited for it, at once: they could only wait for ever.
"""

import re
from collections.abc import Iterator

from aimass.core.arrays import jobs_of, task_id
from aimass.core.cluster import Cluster
from aimass.core.model import Job, JobId, JobState
from aimass.core.spec import DependsOn, JobSpec

_WANTED = {
    DependsOn.SUCCESS: "the success of",
    DependsOn.EACH: "the success of",
    DependsOn.FAILURE: "the failure of",
    DependsOn.ANY: "the end of",
}
_ID = re.compile(r"j([1-9][0-9]*)(_[0-9]+)?\Z")


def targets(spec: JobSpec, index: int) -> list[tuple[str, DependsOn]]:
    """(id of a job or array, the end that is wanted) of each dependency of a task or job."""
    return [
        (task_id(d.job_id, index) if d.condition is DependsOn.EACH else d.job_id, d.condition)
        for d in spec.depends_on
    ]


def end_of(cluster: Cluster, target: str) -> tuple[bool, bool] | None:
    """(is over, has succeeded) of a job, or of an array as a whole; None when it is unknown."""
    row = cluster.arrays.get(JobId(target))
    if row is not None:
        return row.over == row.total, row.failed == 0
    job = cluster.jobs.get(JobId(target))
    return None if job is None else (job.state.is_over, job.state is JobState.SUCCEEDED)


def _mismatch(cluster: Cluster, target: str, wanted: DependsOn) -> str:
    """Why this dependency can never be met; empty when it is met or may be."""
    end = end_of(cluster, target)
    if end is None:
        return f"depends on {_WANTED[wanted]} {target}, which is not known"
    is_over, succeeded = end
    if not is_over or wanted is DependsOn.ANY or succeeded == (wanted is not DependsOn.FAILURE):
        return ""
    job = cluster.jobs.get(JobId(target))
    how = job.state.value if job else "SUCCEEDED" if succeeded else "FAILED"
    return f"depends on {_WANTED[wanted]} {target}, which ended as {how}"


def begin_to_wait(cluster: Cluster, job: Job, known: frozenset[str] = frozenset()) -> str:
    """Note what the job waits for. Returns why it can never start, or nothing.

    known: targets that were looked at before; those not in job.unmet have been met.
    """
    for target, wanted in targets(job.spec, job.array_index):
        if target in known and target not in job.unmet:
            continue
        problem = _mismatch(cluster, target, wanted)
        if problem:
            return problem
        end = end_of(cluster, target)
        if end is not None and not end[0] and target not in job.unmet:
            job.unmet += (target,)
    for target in job.unmet:
        cluster.dependents.setdefault(target, {})[job.id] = None
    return ""


def cease_to_wait(cluster: Cluster, job: Job) -> None:
    """The job waits for nobody any more: it is over, or asks for something else."""
    for target in job.unmet:
        waiting = cluster.dependents.get(target)
        if waiting is not None:
            waiting.pop(job.id, None)
            if not waiting:
                del cluster.dependents[target]
    job.unmet = ()


def let_go(cluster: Cluster, target: str) -> Iterator[tuple[Job, str]]:
    """The target is over: yield who waited for it, with why they can never start, or nothing.

    By submit order, which does not depend on how the index was built.
    """
    waited = [cluster.jobs[job_id] for job_id in cluster.dependents.pop(target, {})]
    for job in sorted(waited, key=lambda job: job.submit_seq):
        job.unmet = tuple(other for other in job.unmet if other != target)
        wanted = [w for t, w in targets(job.spec, job.array_index) if t == target]
        yield job, next((p for w in wanted if (p := _mismatch(cluster, target, w))), "")


def dependency_problem(cluster: Cluster, spec: JobSpec, job_id: JobId | None = None) -> str:
    """Why the spec's dependencies are impossible, in a line; empty when they are possible.

    job_id: the job that is to get this spec; None: it is submitted. O(dependencies + all that the
    dependencies themselves wait for).
    """
    job = cluster.jobs[job_id] if job_id else None
    indexes = spec.array.indexes if spec.array else (-1,)
    before = targets(job.spec, job.array_index) if job else []
    for dependency in spec.depends_on:
        row = cluster.arrays.get(JobId(dependency.job_id))
        if dependency.condition is DependsOn.EACH:
            if row is None:
                return f"{_unknown(cluster, dependency.job_id)}; EACH waits for an array"
            if set(indexes) - set(row.indexes):
                return f"EACH: {row.id} has other indexes than this array"
    for index in (job.array_index,) if job else indexes:
        for target, wanted in targets(spec, index):
            if job and (target, wanted) in before and target not in job.unmet:
                continue  # met already, and perhaps forgotten
            if end_of(cluster, target) is None:
                return _unknown(cluster, target)
            problem = _mismatch(cluster, target, wanted)
            if problem:
                return problem
    return _cycle(cluster, job, spec) if job else ""


def _unknown(cluster: Cluster, target: str) -> str:
    found = _ID.match(target)
    if target in cluster.jobs:
        return f"{target} is no array"
    if found and int(found[1]) < cluster.next_seq:
        return (
            f"{target} has ended and is forgotten, or never was; name a job that massctl ls shows"
        )
    return f"there is no job {target}; massctl ls shows those there are"


def _cycle(cluster: Cluster, job: Job, spec: JobSpec) -> str:
    """Follow who waits for whom, from what the job would wait for, back to the job itself."""
    came_from: dict[JobId, str] = {}
    edge = [(t, job.id) for t, _ in targets(spec, job.array_index)]
    while edge:
        target, source = edge.pop()
        for found in jobs_of(cluster, target):
            if found.id == job.id:
                path = [job.id, source]
                while path[-1] != job.id:
                    path.append(JobId(came_from[path[-1]]))
                return "they would wait for each other: " + " -> ".join(reversed(path))
            if found.id not in came_from:
                came_from[found.id] = source
                edge += [(t, found.id) for t in found.unmet]
    return ""
