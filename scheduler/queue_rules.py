"""Temporary: what core/queues.py, quota.py and fair_share.py will offer."""

from dataclasses import dataclass

from aimass.core.cluster import Cluster
from aimass.core.model import Job
from aimass.core.queues import QueueSpec
from aimass.core.spec import JobSpec


@dataclass(frozen=True, slots=True)
class Share:
    name: str
    depth: int = 0
    share_ppm: int = 0
    fair_ppm: int = 0
    dominant: str = ""


def share_report(cluster: Cluster) -> list[Share]:
    return [Share(name, 0 if not q.spec.parent else 1) for name, q in cluster.queues.items()]


def queue_problems(cluster: Cluster, spec: QueueSpec) -> list[tuple[str, str]]:
    return []


def queue_warnings(cluster: Cluster, spec: QueueSpec) -> list[str]:
    return []


def delete_problem(cluster: Cluster, name: str) -> str:
    return ""


def admission_problem(cluster: Cluster, spec: JobSpec, of: Job | None) -> str:
    return "" if spec.queue in cluster.queues else f"there is no queue {spec.queue}"
