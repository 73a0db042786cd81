"""Whose turn it is at a queue's own limit: after an hour nobody later of the queue passes.

No promise is made to who waits for its queue's quota and not for nodes, so smaller jobs could pass
it without end. They may for an hour, then what they give back is left for it. Only where that is
sure to be enough: who holds the quota for a time that nobody knows must not stop a whole queue.
"""

from aimass.core.codes import Code
from aimass.core.draft import Draft
from aimass.core.model import Job
from aimass.core.queues import Queue
from aimass.core.quota import quota_refusal
from aimass.core.runtimes import expected_end_ms
from aimass.core.wants import amounts_least

PASSED_MS = 3_600_000
_OWN = (Code.QUEUE_LIMIT, Code.QUOTA_BORROW, Code.QUEUE_MAX_JOBS)


class OwnLimits:
    """The first of each queue that waits for it; each answer is made once in a decision."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._first: dict[str, Job | None] = {}

    def first(self, queue: str) -> Job | None:
        """Whom nobody later of this very queue passes any more; None: they may.

        O(groups + active jobs) once, of a queue with limits.
        """
        if queue not in self._first:
            self._first[queue] = self._find(queue)
        return self._first[queue]

    def due_ms(self, job: Job) -> int:
        """When later ones stop passing the job."""
        return job.queued_ms + PASSED_MS

    def _find(self, name: str) -> Job | None:
        cluster = self._draft.cluster
        limited = [queue for queue in cluster.queues[name].tree.chain if _is_limited(queue)]
        if not limited:
            return None
        groups = [group for group in cluster.waiting.groups.values() if group.queue == name]
        if not groups:
            return None
        head = min(groups, key=lambda group: (-group.priority, group.jobs[0]))
        job = cluster.jobs[head.jobs[0][1]]
        if cluster.now_ms < self.due_ms(job):
            return None
        amounts = amounts_least(job, cluster.now_ms)
        refusal = quota_refusal(cluster, job, amounts)
        if refusal is None or refusal.code not in _OWN:
            return None
        mark = self._draft.checkpoint()
        for other in list(cluster.active.values()):
            chain = cluster.queues[other.spec.queue].tree.chain
            if limited[-1] in chain and expected_end_ms(cluster, other)[1]:
                self._draft.release(other)
        is_enough = quota_refusal(cluster, job, amounts) is None
        self._draft.rollback(mark)
        return job if is_enough else None


def _is_limited(queue: Queue) -> bool:
    return bool(queue.spec.limit or queue.spec.borrow_limit or queue.spec.max_jobs)
