"""Decider: decide() with a memory of what the last decision turned away. A cache, never state.

On a busy cluster most events free nothing: a submission, a report. Then everything that waited
waits on, and only jobs that have come into the queue since need a look. Whatever may make something
fit that did not fit before raises Cluster.freed_revision, and all is decided anew.
"""

from dataclasses import replace

from aimass.core.cluster import Cluster
from aimass.core.consolidate import would_move
from aimass.core.decide import FUEL, decide, decide_new
from aimass.core.model import JobId, JobState
from aimass.core.plan import Plan
from aimass.core.policy import Policy


class Decider:
    """Decides for one cluster and one policy, event after event."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.last: Plan | None = None  # the last decision about everybody
        self._running = 0  # jobs that ran at the last decision: these may be resized
        self._waiting = 0  # jobs that the last decision left waiting
        self._eased = 0  # jobs noted as eased that it has been asked about whether to move them
        self._seen = 0  # additions to the waiting index that decisions have looked at

    def forget(self) -> None:
        """The cluster was replaced, or a plan was not carried out: decide anew."""
        self.last = None

    def decide(self, cluster: Cluster, fuel_units: int = FUEL) -> Plan:
        """The plan for now. O(new jobs) when nothing was freed since the last, else as decide()."""
        plan = None
        fresh = cluster.waiting.added_since(self._seen)
        self._seen = cluster.waiting.additions
        if fresh is None or not self._is_valid(cluster) or self._is_eased(cluster):
            pass
        elif self.policy.allot is not None:
            plan = self._nothing_new(cluster, fresh, fuel_units)
        elif self.policy.order.is_strict:
            plan = self._behind_the_head(cluster, fresh, fuel_units)
        else:
            assert self.last is not None
            plan = decide_new(cluster, self.policy, self.last, fresh, fuel_units)
            if plan is not None and (
                plan.waits is not self.last.waits or plan.wake_ms != self.last.wake_ms
            ):
                self.last = replace(self.last, waits=plan.waits, wake_ms=plan.wake_ms)
        if plan is None:
            plan = decide(cluster, self.policy, fuel_units)
            self.last = plan
            self._eased = cluster.eased.count
            moving = [*(s.job_id for s in plan.starts), *(c.job_id for c in plan.claims)]
            gone = sum(job_id in cluster.waiting for job_id in moving)
            self._waiting = len(cluster.waiting) - gone
            self._running = _running(cluster) if self.policy.allot is not None else 0
        return plan

    def _is_eased(self, cluster: Cluster) -> bool:
        """True when a move pays that did not at the last look. O(1) while none may have."""
        before, self._eased = self._eased, cluster.eased.count
        if not self.policy.options.moves or before == self._eased or not cluster.planned:
            return False
        assert self.last is not None
        is_eased, wake_ms = would_move(cluster, self.policy, FUEL, cluster.eased.since(before))
        times = [at_ms for at_ms in (self.last.wake_ms, wake_ms) if at_ms]
        self.last = replace(self.last, wake_ms=min(times, default=0))
        return is_eased

    def _is_valid(self, cluster: Cluster) -> bool:
        last = self.last
        return (
            last is not None
            and cluster.freed_revision <= last.basis
            and (not last.wake_ms or cluster.now_ms < last.wake_ms)
            and last.fuel_left > 0
        )

    def _nothing_new(self, cluster: Cluster, fresh: list[JobId], fuel_units: int) -> Plan | None:
        """An allotment is about everybody: it stands as long as nobody comes, and nobody goes."""
        last = self.last
        assert last is not None
        is_same = len(cluster.waiting) == self._waiting and _running(cluster) == self._running
        if fresh or not is_same:
            return None
        return Plan(
            cluster.revision,
            last.policy,
            waits=last.waits,
            wake_ms=last.wake_ms,
            fuel_left=fuel_units,
        )

    def _behind_the_head(
        self, cluster: Cluster, fresh: list[JobId], fuel_units: int
    ) -> Plan | None:
        """Under a strict order nobody passes the first who waits. None: somebody else is first."""
        last = self.last
        assert last is not None
        if not last.waits or last.waits[0].first not in cluster.waiting:
            return None
        is_before, head = self.policy.order.is_before, cluster.jobs[last.waits[0].first]
        if not all(is_before(cluster, head, cluster.jobs[job_id]) for job_id in fresh):
            return None
        waits, wake_ms = last.waits, last.wake_ms
        return Plan(
            cluster.revision, last.policy, waits=waits, wake_ms=wake_ms, fuel_left=fuel_units
        )


def _running(cluster: Cluster) -> int:
    return sum(job.state is JobState.RUNNING for job in cluster.active.values())
