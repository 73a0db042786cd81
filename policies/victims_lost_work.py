"""Victims by lost work: the GPU time since their last checkpoint, and what a restart costs them."""

from aimass.core.cluster import Cluster
from aimass.core.lost_work import lost_gpu_ms
from aimass.core.model import Job

RESTART_MS = 60_000  # of every GPU, until a resumed job is where it was; an elastic job says its own


class LeastLostWork:
    """Cheapest first in GPU-milliseconds (ray#63968: workers x time since checkpoint)."""

    name = "lost-work"
    version = 1

    def cost(self, cluster: Cluster, job: Job) -> int:
        """See VictimPolicy.cost; GPU-ms. A job without GPUs counts as one milli-GPU."""
        elastic = next((r.elastic for r in job.spec.roles if r.elastic is not None), None)
        restart_ms = elastic.cost_ms if elastic is not None else RESTART_MS
        gpu_milli = max(1, sum(p.share_milli * len(p.devices) for p in job.current.placements))
        return lost_gpu_ms(job, cluster.now_ms) + restart_ms * gpu_milli // 1000
