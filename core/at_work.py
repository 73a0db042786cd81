"""Who is at work, as the phases of one decision ask for it: each answer is made once, if at all."""

from collections import defaultdict

from aimass.core.cluster import Cluster
from aimass.core.model import Job, JobId, JobState
from aimass.core.queues import ROOT
from aimass.core.runtimes import expected_end_ms, stop_ms


def idle_milli(cluster: Cluster) -> int:
    """Milli-GPU that nobody owns once all have left who are leaving, whole or not. O(1)."""
    return cluster.index.totals.with_failed("gpu") - cluster.queues[ROOT].owned("gpu")


class AtWork:
    """The active jobs of a cluster; for as long as none starts or ends."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._left_ms: int | None = None
        self._longest_stop_ms: int | None = None
        self._elastic: list[Job] | None = None
        self._preemptible: dict[str, dict[int, list[Job]]] | None = None

    def left_ms(self, evicted: set[JobId]) -> int:
        """When everybody should have left who is leaving; 0: nobody is. O(active) once.

        evicted: whom the decision has stopped so far.
        """
        cluster = self._cluster
        if not any(cluster.queues[ROOT].leaving.values()):
            return 0
        if self._left_ms is None:
            stopping = (j for j in cluster.active.values() if j.state is JobState.STOPPING)
            self._left_ms = max((expected_end_ms(cluster, j)[0] for j in stopping), default=0)
        stops = (stop_ms(cluster.jobs[job_id]) for job_id in evicted)
        return max(self._left_ms, cluster.now_ms + max(stops, default=0))

    def longest_stop_ms(self) -> int:
        """The longest that anybody may take to stop who can be preempted. O(active) once."""
        if self._longest_stop_ms is None:
            by_priority = self.by_queue().values()
            jobs = (job for ranks in by_priority for found in ranks.values() for job in found)
            self._longest_stop_ms = max(map(stop_ms, jobs), default=0)
        return self._longest_stop_ms

    def elastic(self) -> list[Job]:
        """Active jobs that have an elastic role, by submit order. O(those) once."""
        if self._elastic is None:
            self._elastic = sorted(self._cluster.elastic.values(), key=_submit_seq)
        return self._elastic

    def by_queue(self) -> dict[str, dict[int, list[Job]]]:
        """Active jobs that can be preempted, by queue and priority, in no order. O(active) once."""
        if self._preemptible is None:
            self._preemptible = defaultdict(lambda: defaultdict(list))
            for job in self._cluster.active.values():
                if job.spec.preemptible:
                    self._preemptible[job.spec.queue][job.spec.priority].append(job)
        return self._preemptible


def _submit_seq(job: Job) -> int:
    return job.submit_seq
