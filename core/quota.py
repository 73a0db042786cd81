"""Temporary: everything is allowed, until the rules are here."""

from aimass.core.cluster import Cluster
from aimass.core.feasible import Refusal
from aimass.core.model import Job
from aimass.core.queues import Amounts


def quota_refusal(
    cluster: Cluster, job: Job, amounts: Amounts, is_soon: bool = False
) -> Refusal | None:
    """None."""
    return None


def may_reclaim(cluster: Cluster, job: Job, amounts: Amounts, victim: Job) -> bool:
    """Never."""
    return False
