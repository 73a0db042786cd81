"""Grow where the time won is worth the restart."""

from aimass.core.cluster import Cluster
from aimass.core.model import Job
from aimass.core.runtimes import expected_end_ms


class GrowForGain:
    """Gain in shard-milliseconds of the time that is left, minus what a restart of them all costs.

    That is the elastic job's own cost, and without a checkpoint signal the work since its last one.
    """

    name = "gain"
    version = 1

    def gain(self, cluster: Cluster, job: Job, shards: int) -> int:
        """See ResizePolicy.gain. Linear speed-up is assumed, and at least one interval to go."""
        elastic = job.spec.roles[job.spec.elastic_role].elastic
        assert elastic is not None
        role = job.spec.elastic_role
        has = sum(p.role == role for p in job.current.placements)
        end_ms, is_known = expected_end_ms(cluster, job)
        left_ms = end_ms - cluster.now_ms
        if not is_known:
            left_ms = max(elastic.interval_ms, 10 * elastic.cost_ms)
        lost_ms = elastic.cost_ms
        if not job.spec.checkpoint.signal:  # it cannot be asked to save what it has done
            attempt = job.current
            lost_ms += cluster.now_ms - max(attempt.running_ms, attempt.checkpoint_ms)
        return (shards - has) * max(0, left_ms - elastic.cost_ms) - has * lost_ms
