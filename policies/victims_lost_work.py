"""Victims by lost work: the GPU time since their last checkpoint, and what a restart costs them."""

from aimass.core.cluster import Cluster
from aimass.core.model import Job

# Of every GPU, until a resumed job is where it was; an elastic job says its own.
RESTART_MS = 60_000


class LeastLostWork:
    """Cheapest first in GPU-milliseconds (ray#63968: workers x time since checkpoint)."""

    name = "lost-work"
    version = 1

    def cost(self, cluster: Cluster, job: Job) -> int:
        """See VictimPolicy.cost; GPU-ms. A job without GPUs counts as one milli-GPU."""
        restart_ms = RESTART_MS
        for role in job.spec.roles:
            if role.elastic is not None:
                restart_ms = role.elastic.cost_ms
        attempt, now_ms = job.attempts[-1], cluster.now_ms
        held = 0  # lost_work.held_milli and lost_ms spelled out: every candidate is asked
        for place in attempt.placements:
            held += place.share_milli * len(place.devices)
        lost_ms, since_ms = 0, attempt.running_ms
        if since_ms:
            if since_ms < attempt.checkpoint_ms:
                since_ms = attempt.checkpoint_ms
            if now_ms > since_ms:
                lost_ms = now_ms - since_ms
        return lost_ms * held // 1000 + restart_ms * (held or 1) // 1000
