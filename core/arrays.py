"""Arrays: one spec, many jobs. Their ids, and what an id of a job or an array stands for."""

from aimass.core.cluster import Cluster
from aimass.core.model import Job, JobId


def task_id(array_id: str, index: int) -> JobId:
    """The id of one task: the array's, and its index."""
    return JobId(f"{array_id}_{index}")


def jobs_of(cluster: Cluster, ref: str) -> list[Job]:
    """The job of this id, or all remembered tasks of this array; none when it is unknown."""
    row = cluster.arrays.get(JobId(ref))
    ids = [JobId(ref)] if row is None else [task_id(ref, index) for index in row.indexes]
    return [cluster.jobs[job_id] for job_id in ids if job_id in cluster.jobs]
