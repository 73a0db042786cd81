"""Kept: what a decision keeps free on its draft for jobs that were promised a start.

A promise claims places without counting for its queue: it is about nodes, and nothing of it is in
use before its job starts. Of what it claims, a credit is what jobs hold now that will have ended by
then: so a promise takes away what would be free when it begins, and not the same again now.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aimass.core import capacity
from aimass.core.cluster import Cluster
from aimass.core.draft import Draft
from aimass.core.model import HoldKey, Job, JobId, Node, NodeId, Placement
from aimass.core.plan import Planned, Start
from aimass.core.queues import ROOT
from aimass.core.quota import is_guaranteed
from aimass.core.runtimes import expected_end_ms, run_estimate
from aimass.core.spec import WHOLE_GPU_MILLI
from aimass.core.wants import amounts_least

NEVER_MS = 1 << 62


class Kept:
    """Promises made or kept so far, and those of jobs that the pass has not come to yet."""

    def __init__(self, draft: Draft, is_across_queues: bool) -> None:
        self.draft = draft
        self.is_across_queues = is_across_queues  # see OrderPolicy
        self.cluster: Cluster = draft.cluster
        self.starts: dict[JobId, Start] = {}
        self.promises: dict[JobId, Planned] = {}
        self.standing: dict[JobId, Planned] = {}
        self.aside: dict[JobId, Planned] = {}  # of the standing: lifted for one that goes before
        self.is_later = False  # a promise moved: whoever it turned away may fare better now
        self._told_ms: dict[JobId, int] = {}
        self._kept_free: tuple[bool, int, bool] | None = None  # see could_help
        self._ends_ms: dict[JobId, int] = {}  # expected of active jobs
        self._given: dict[JobId, tuple[Planned, list[tuple[capacity.Credit, ...]]]] = {}

    def stand(self) -> None:
        """Keep on the draft what the cluster has promised, until the pass comes to each job."""
        self.standing = {p.job_id: p for p in self.promised()}
        self._kept_free = None
        self.lower(list(self.standing.values()))

    def promised(self) -> list[Planned]:
        """What the cluster has promised, without places that are no longer there."""
        nodes = self.cluster.nodes
        return [
            planned
            for planned in self.cluster.planned.values()
            if all(
                max(place.devices, default=-1) < len(nodes[place.node_id].devices)
                for place in planned.placements
            )
        ]

    def promise(self, job: Job, planned: Planned) -> None:
        """From now on the draft keeps these places for the job."""
        old = self.cluster.planned.get(job.id)
        told_ms = self._told_ms.get(job.id, old.start_ms if old is not None else planned.start_ms)
        if planned.start_ms > told_ms:
            self.is_later = True
        self._told_ms[job.id] = planned.start_ms
        self.promises[job.id] = planned
        self._kept_free = None
        self.lower([planned])

    def lose(self, job: Job) -> None:
        """What the job was promised cannot be kept, and it gets no other promise."""
        if job.id in self.cluster.planned and self._told_ms.get(job.id) != NEVER_MS:
            self._told_ms[job.id] = NEVER_MS
            self.is_later = True

    def break_promise(self, job: Job) -> Planned:
        """Take the promise back and return it."""
        planned = self.promises.pop(job.id)
        self.lift([planned])
        return planned

    def has_slot(self, job: Job, most: int) -> bool:
        """True when the job may be promised a start: one of the `most`, or in place of a lower.

        Whoever has a promise keeps it against all others, so that shares that change all the time
        do not make promises wander.
        """
        if job.id in self.cluster.planned:
            return True
        if len(self.promises) + len(self.standing) + len(self.aside) < most:
            return True
        jobs = self.cluster.jobs
        weakest = min(
            self.aside,
            key=lambda i: (jobs[i].spec.priority, -jobs[i].submit_seq),
            default=None,
        )
        if weakest is not None:
            del self.aside[weakest]
        return weakest is not None

    @contextmanager
    def setting_aside(self, job: Job) -> Iterator[None]:
        """Within the block, promises that do not count against the job are lifted.

        Those are promises to jobs of lower priority, in its queue or where priority counts between
        queues, and to borrowers where the job is within its queue's guarantee. Among equals whoever
        was promised a start first keeps it, though shares change who is next; not against one
        before it that lost its node: it would be at work.
        """
        if not self.standing:
            yield
            return
        jobs = self.cluster.jobs
        is_owed = self._is_owed(job)
        weaker = [
            planned
            for planned in self.standing.values()
            if self._is_lower(other := jobs[planned.job_id], job)
            or (is_owed and not self._is_owed(other))
            or (job.losses and _came_later(other, job))
        ]
        self.aside = {planned.job_id: planned for planned in weaker}
        for job_id in self.aside:
            del self.standing[job_id]
        self.lift(weaker)
        try:
            yield
        finally:
            left = list(self.aside.values())
            self.lower(left)
            self.standing.update(self.aside)
            self.aside = {}

    def _is_lower(self, other: Job, job: Job) -> bool:
        if other.spec.queue != job.spec.queue and not self.is_across_queues:
            return False
        return other.spec.priority < job.spec.priority

    @contextmanager
    def putting_off(self, job: Job, broken: Planned) -> Iterator[None]:
        """Within the block, promises are lifted that came after this one, which cannot be kept.

        What made the job late makes them late as well: or else a second's delay would send it to
        the end of their line. Not those of higher priority, nor what a queue is owed.
        """
        jobs = self.cluster.jobs
        is_owed = self._is_owed(job)
        behind = {
            planned.job_id: planned
            for planned in self.standing.values()
            if planned.start_ms >= broken.start_ms
            and not self._is_lower(job, other := jobs[planned.job_id])
            and (is_owed or not self._is_owed(other))
        }
        for job_id in behind:
            del self.standing[job_id]
        self.lift(list(behind.values()))
        try:
            yield
        finally:
            self.lower(list(behind.values()))
            self.standing.update(behind)

    def _is_owed(self, job: Job) -> bool:
        """True when the job would stay within what its queue is guaranteed."""
        if not self.cluster.queues[ROOT].tree.ruled:
            return False  # nobody is guaranteed anything
        return is_guaranteed(self.cluster, job, amounts_least(job, self.cluster.now_ms))

    def others(self) -> list[Planned]:
        """All promises that are kept now."""
        return [*self.promises.values(), *self.standing.values()]

    def later_than(self, job: Job) -> list[Planned]:
        """Promises that begin when the job, started now, should have ended."""
        ends_ms = self.cluster.now_ms + run_estimate(self.cluster, job)[0]
        return [p for p in self.others() if p.start_ms >= ends_ms]

    def lift(self, promises: list[Planned]) -> None:
        """Let the draft give what it keeps for these promises."""
        for promise in promises:
            self._each(promise, self.draft.let_go)

    def lower(self, promises: list[Planned]) -> None:
        """Let the draft keep it for them (again)."""
        for promise in promises:
            self._each(promise, self.draft.keep_free)

    def _each(
        self,
        promise: Planned,
        do: Callable[[Node, HoldKey, Placement, tuple[capacity.Credit, ...]], None],
    ) -> None:
        job = self.cluster.jobs[promise.job_id]
        credits = self._credits(promise)
        for rank, placement in enumerate(promise.placements):
            node = self.cluster.nodes[placement.node_id]
            do(node, capacity.PromiseKey(job.id, job.attempt + 1, rank), placement, credits[rank])

    def _credits(self, promise: Planned) -> list[tuple[capacity.Credit, ...]]:
        """By rank, what of the place is held now by jobs that will have ended by the start."""
        known = self._given.get(promise.job_id)
        if known is not None and known[0] is promise:
            return known[1]
        ending: dict[NodeId, list[_Ending]] = {}
        given = []
        for placement in promise.placements:
            node = self.cluster.nodes[placement.node_id]
            if node.id not in ending:
                ending[node.id] = self._ending_on(node, promise.start_ms)
            given.append(tuple(_take(ending[node.id], placement)))
        self._given[promise.job_id] = (promise, given)
        return given

    def _ending_on(self, node: Node, start_ms: int) -> list["_Ending"]:
        """What is held on the node by jobs that end by then; what leaves already is no credit."""
        return [
            _Ending(
                key,
                placement.cpu_milli,
                placement.memory_mib,
                dict.fromkeys(placement.devices, placement.share_milli),
            )
            for key, placement in sorted(node.holds.items(), key=self._by_submission)
            if key not in node.leaving and self.end_ms(key.job_id) <= start_ms
        ]

    def _by_submission(self, held: tuple[HoldKey, Placement]) -> tuple[int, int]:
        return (self.cluster.jobs[held[0].job_id].submit_seq, held[0].rank)

    def end_ms(self, job_id: JobId) -> int:
        """When the active job, or one that the decision starts, should end. O(1)."""
        job = self.cluster.jobs[job_id]
        if job_id in self.starts:
            return self.cluster.now_ms + run_estimate(self.cluster, job)[0]
        end_ms = self._ends_ms.get(job_id)
        if end_ms is None:
            end_ms = self._ends_ms[job_id] = expected_end_ms(self.cluster, job)[0]
        return end_ms

    def could_help(self, job: Job) -> bool:
        """False when no shard of the job could use what promises keep: too few GPUs are free there.

        O(promised places) when promises have changed, else O(roles). What has started since makes
        the answer too hopeful, never wrong.
        """
        if self._kept_free is None:
            nodes = self.cluster.nodes
            names = dict.fromkeys(p.node_id for o in self.others() for p in o.placements)
            rows = [[d.used_milli for d in nodes[i].devices if d.spec.healthy] for i in names]
            whole = max((row.count(0) for row in rows), default=0)
            has_part = any(used < WHOLE_GPU_MILLI for row in rows for used in row)
            self._kept_free = (bool(names), whole, has_part)
        is_any, whole, has_part = self._kept_free
        return is_any and any(
            not role.need.has_gpu
            or (role.need.gpu_milli < WHOLE_GPU_MILLI and has_part)
            or 0 < role.need.devices <= whole
            for role in job.spec.roles
        )


def _came_later(other: Job, job: Job) -> bool:
    is_equal = other.spec.priority == job.spec.priority and other.spec.queue == job.spec.queue
    return is_equal and other.submit_seq > job.submit_seq


@dataclass(slots=True)
class _Ending:
    """What of a hold that ends in time nobody's promise has counted on yet."""

    key: HoldKey
    cpu_milli: int
    memory_mib: int
    devices: dict[int, int]


def _take(ending: list[_Ending], placement: Placement) -> Iterator[capacity.Credit]:
    """Yield what the place needs of those holds, as far as they go."""
    cpu_milli, memory_mib = placement.cpu_milli, placement.memory_mib
    shares = dict.fromkeys(placement.devices, placement.share_milli)
    for held in ending:
        cpu, mib = min(cpu_milli, held.cpu_milli), min(memory_mib, held.memory_mib)
        parts = {i: min(shares[i], milli) for i, milli in held.devices.items() if i in shares}
        cpu_milli, memory_mib = cpu_milli - cpu, memory_mib - mib
        held.cpu_milli -= cpu
        held.memory_mib -= mib
        for index, milli in parts.items():
            shares[index] -= milli
            held.devices[index] -= milli
        if cpu or mib or any(parts.values()):
            yield capacity.Credit(held.key, cpu, mib, tuple(parts.items()))
