"""Decider: decide() with a memory of what the last decision turned away. A cache, never state.

On a busy cluster most events free nothing: a submission, a report. Then everything that waited
waits on, and only jobs that have come into the queue since need a look. Whatever may make something
fit that did not fit before raises Cluster.freed_revision, and all is decided anew.
"""

from dataclasses import replace

from aimass.core.cluster import Cluster
from aimass.core.decide import FUEL, decide, decide_new
from aimass.core.plan import Plan
from aimass.core.policy import Policy


class Decider:
    """Decides for one cluster and one policy, event after event."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.last: Plan | None = None  # the last decision about everybody
        self._seen = 0  # additions to the waiting index that decisions have looked at

    def forget(self) -> None:
        """The cluster was replaced, or a plan was not carried out: decide anew."""
        self.last = None

    def decide(self, cluster: Cluster, fuel_units: int = FUEL) -> Plan:
        """The plan for now. O(new jobs) when nothing was freed since the last, else as decide()."""
        plan = None
        fresh = cluster.waiting.added_since(self._seen)
        self._seen = cluster.waiting.additions
        if self._is_valid(cluster) and fresh is not None:
            assert self.last is not None
            plan = decide_new(cluster, self.policy, self.last, fresh, fuel_units)
            if plan is not None:
                self.last = replace(self.last, waits=plan.waits, wake_ms=plan.wake_ms)
        if plan is None:
            plan = decide(cluster, self.policy, fuel_units)
            self.last = plan
        return plan

    def _is_valid(self, cluster: Cluster) -> bool:
        last = self.last
        return (
            last is not None
            and cluster.freed_revision <= last.basis
            and (not last.wake_ms or cluster.now_ms < last.wake_ms)
            and last.fuel_left > 0
            and not self.policy.order.is_strict
        )
