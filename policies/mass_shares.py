"""Shares of queues under `mass`: GPUs by weight, what one does not ask for going to the others."""

from collections.abc import Iterable, Mapping

from aimass.policies.allot_view import View


class Shares:
    """How many GPUs each queue may take before the others have had theirs."""

    def __init__(self, view: View) -> None:
        """Of all GPUs, those that cannot be taken away counted. O(jobs + queues^2 log queues)."""
        asked = dict(view.taken)
        for job in view.jobs:
            most = max((levels[-1][0] for levels in job.levels if levels), default=0)
            asked[job.queue] = asked.get(job.queue, 0) + most
        weights = {queue: view.weights.get(queue, 1) for queue in asked}
        total = sum(model.gpus for model in view.models) + sum(view.taken.values())
        shares = _filled(asked, asked, weights, total)
        while over := {queue for queue in shares if view.taken.get(queue, 0) > shares[queue]}:
            # Who holds more than its share keeps that; the others share what remains.
            total -= sum(view.taken[queue] for queue in sorted(over))
            shares = _filled(asked, (q for q in shares if q not in over), weights, total)
        self._left = {queue: share - view.taken.get(queue, 0) for queue, share in shares.items()}

    def is_open(self, queue: str) -> bool:
        """True while the queue has not had its share: its next gang may go beyond it."""
        return self._left.get(queue, 0) > 0

    def take(self, queue: str, gpus: int) -> None:
        """Count GPUs that a job of the queue gets."""
        self._left[queue] = self._left.get(queue, 0) - gpus


def _filled(
    asked: Mapping[str, int], queues: Iterable[str], weights: Mapping[str, int], left: int
) -> dict[str, int]:
    """Progressive filling: GPUs by weight, but no queue more than it asks for."""
    order = sorted(queues, key=lambda q: (asked[q] * 10**6 // weights[q], q))
    total = sum(weights[queue] for queue in order)
    shares = {}
    for queue in order:
        shares[queue] = min(asked[queue], -(-max(0, left) * weights[queue] // total))
        left -= shares[queue]
        total -= weights[queue]
    return shares
