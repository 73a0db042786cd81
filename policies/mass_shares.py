"""Shares of queues under `mass`: GPUs by weight, what one does not ask for going to the others."""

from aimass.policies.allot_view import View


class Shares:
    """How many GPUs each queue may take before the others have had theirs."""

    def __init__(self, view: View) -> None:
        """Progressive filling of what the queues' jobs could use. O(jobs + queues log queues)."""
        asked: dict[str, int] = {}
        for job in view.jobs:
            most = max((levels[-1][0] for levels in job.levels if levels), default=0)
            asked[job.queue] = asked.get(job.queue, 0) + most
        weights = {queue: view.weights.get(queue, 1) for queue in asked}
        left, total = sum(model.gpus for model in view.models), sum(weights.values())
        self._left: dict[str, int] = {}
        for queue in sorted(asked, key=lambda q: (asked[q] * 10**6 // weights[q], q)):
            share = min(asked[queue], -(-left * weights[queue] // total))
            self._left[queue] = share
            left -= share
            total -= weights[queue]

    def is_open(self, queue: str) -> bool:
        """True while the queue has not had its share: its next gang may go beyond it."""
        return self._left[queue] > 0

    def take(self, queue: str, gpus: int) -> None:
        """Count GPUs that a job of the queue gets."""
        self._left[queue] -= gpus
