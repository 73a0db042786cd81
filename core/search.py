"""Search: one decision under way. It tries forms of a job on the draft and remembers what failed.

A pass gets cheap by what it need not ask twice: a fit that no node can take is not tried again, nor
a run as long as one that a promise turned away. Where the pass itself gives something back (a stop,
a start or claim taken back, a promise that moved), decide forgets that and passes once more.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from aimass.core.among import among_promises, as_promised, fits_without_promises
from aimass.core.at_work import AtWork
from aimass.core.beside import Beside
from aimass.core.cluster import FitKey, Group
from aimass.core.codes import Code, Refusal
from aimass.core.draft import Draft
from aimass.core.feasible import suits_some_role
from aimass.core.kept import Kept
from aimass.core.model import Job, JobId, NodeId, StopRule
from aimass.core.own_limit import OwnLimits
from aimass.core.plan import Claim, Start, Stop
from aimass.core.policy import Fuel, Placed, Policy, Want
from aimass.core.queues import ROOT, Amounts
from aimass.core.quota import quota_refusal
from aimass.core.reserves import cells_of
from aimass.core.runtimes import open_run_ms, run_estimate
from aimass.core.spec import WHOLE_GPU_MILLI
from aimass.core.turned import NO_ROOM, PROMISED, TAKEN_BACK, WINDOW_OR_ROOM, Turned
from aimass.core.wants import (
    amounts_asked,
    amounts_placed,
    devices_of,
    forms,
    locality_ends_ms,
    sized,
)
from aimass.core.windows import blocked_nodes

if TYPE_CHECKING:
    from aimass.core.victims import Victim


class Search(Kept):
    """What all phases of a decision share: draft, policy, fuel, promises made so far."""

    def __init__(self, draft: Draft, policy: Policy, fuel: Fuel) -> None:
        super().__init__(draft, policy.order.is_across_queues)
        self.policy = policy
        self.fuel = fuel
        self.at_work = AtWork(self.cluster)
        self.own_limits = OwnLimits(draft)
        self.stops: list[Stop] = []
        self.claims: list[Claim] = []
        self.dropped: set[JobId] = set()  # claims that cannot be kept
        self.displaced: dict[JobId, list[Claim]] = {}  # by who claimed instead: of those dropped
        self.is_revoked = False  # a start was taken back: its job is to be looked at again
        self.evicted: set[JobId] = set()  # jobs that the decision stops
        self.futile = 0  # looks into the future that found no time; they count as promises made
        self.hopeless: set[Group] = set()  # nobody will make way for these, nor promise them
        self.wake_ms = 0
        self.stoppable: dict[tuple[str, int, StopRule], list[Victim]] = {}  # see victims.py
        self.held_from: list[int] = []  # see by_order.py
        self.started: dict[JobId, int] = {}  # by array
        self._no_room: set[tuple[FitKey, bool]] = set()
        self._compared: dict[Group, int] = {}
        self._shorter: dict[Group, bool] = {}
        self._too_long: dict[FitKey, int] = {}  # shortest run that a promise turned away
        self.by_model = self.cluster.queues[ROOT].tree.by_model
        cells = cells_of(self.cluster)
        self.beside = Beside(self, cells) if cells is not None else None

    def wake(self, at_ms: int) -> None:
        """Time alone may change the decision at at_ms (after now)."""
        if at_ms > self.cluster.now_ms and (not self.wake_ms or at_ms < self.wake_ms):
            self.wake_ms = at_ms

    # ---- starting now ---------------------------------------------------------------------------

    def start(self, job: Job, fit: FitKey) -> Placed | Turned:
        """Place the job on the draft as its next attempt, in the best form; or say why not."""
        own = self.standing.pop(job.id, None)
        if own is not None:
            self.lift([own])
        refusal = self.refusal_before_place(job)
        if refusal is not None:
            return Turned(refusal)
        is_waiting = self.is_waiting_for_locality(job)
        no_room = replace(NO_ROOM, is_personal=True) if is_waiting else NO_ROOM
        if (fit, is_waiting) in self._no_room:
            return no_room
        is_usual = not is_waiting and not self.closed_for(job, self.cluster.now_ms)
        if is_usual and own is None:
            least_ms = self._too_long.get(fit)
            if least_ms is not None and run_estimate(self.cluster, job)[0] >= least_ms:
                return PROMISED
            if self._is_short(job):
                refusal = quota_refusal(self.cluster, job, self._asked(job))
                if refusal is not None:
                    return self._by_quota(job, refusal)
                self._no_room.add((fit, is_waiting))
                return no_room
        quota: list[Refusal] = []
        with self.closing(job, self.cluster.now_ms):
            closed = self.draft.closed
            placed = (
                as_promised(self, job, own, quota)
                or self.in_some_form(job, quota)
                or among_promises(self, job, quota)
            )
            if placed is not None:
                return placed
            if quota:
                return self._by_quota(job, quota[0])
            if not self.fuel.left:
                return Turned(Refusal(Code.SEARCH_LIMIT, "the search budget is spent"))
            if self.could_help(job) and fits_without_promises(self, job):
                if is_usual:
                    run_ms = run_estimate(self.cluster, job)[0]
                    self._too_long[fit] = min(run_ms, self._too_long.get(fit, run_ms))
                return PROMISED
        if closed:
            nodes = (self.cluster.nodes[i] for i in closed if i in self.cluster.nodes)
            is_kept = any(suits_some_role(node, job) for node in nodes)
            return WINDOW_OR_ROOM if is_kept else replace(no_room, is_personal=True)
        self._no_room.add((fit, is_waiting))
        return no_room

    def _is_short(self, job: Job) -> bool:
        """A quick yes for one gang of whole GPUs: all nodes together have not so many idle."""
        roles = job.spec.roles
        need = roles[0].need
        if self.beside is not None or len(roles) > 1 or roles[0].elastic or need.in_order:
            return False
        if need.gpu_milli < WHOLE_GPU_MILLI or self.fuel.left < 2:
            return False
        if roles[0].shards * need.devices <= self.cluster.index.view(is_soon=False).idle:
            return False
        self.fuel.burn(1)  # as a look at the nodes would
        return True

    def _asked(self, job: Job) -> Amounts:
        return amounts_asked(job, forms(job, self.cluster.now_ms)[0])

    def _by_quota(self, job: Job, refusal: Refusal) -> Turned:
        """What the queues say comes before what the nodes say."""
        self.wake(self.own_limits.due_ms(job))
        if refusal.code is Code.QUOTA_RESERVE:  # the nodes have it, for another queue
            return Turned(refusal, may_take=True)
        return Turned(refusal, may_take=refusal.code in TAKEN_BACK, is_quota=True)

    def start_among(self, job: Job, fit: FitKey) -> Placed | Turned:
        """As start(), but all promises of the cluster count: for a job that comes after a pass."""
        is_first = not self.promises and self.cluster.planned
        if is_first and (fit, self.is_waiting_for_locality(job)) not in self._no_room:
            mark = self.draft.checkpoint()
            found = self.start(job, fit)
            self.draft.rollback(mark)
            if isinstance(found, Turned):
                return found
            for planned in self.promised():
                self.promise(self.cluster.jobs[planned.job_id], planned)
        return self.start(job, fit)

    def refusal_before_place(self, job: Job) -> Refusal | None:
        """What stops it whatever is free: whose turn it is in its queue, its array's limit."""
        first = self.own_limits.first(job.spec.queue)
        if first is not None and first.id != job.id and not self._moves(first):
            text = f"{first.id} of its queue has waited at the limit for an hour: it is next"
            return Refusal(Code.QUEUE_LIMIT, text)
        array = job.spec.array
        if array is not None and array.max_parallel:
            active = self.cluster.arrays[job.array_id].active + self.started_of(job.array_id)
            if active >= array.max_parallel:
                text = f"{active} tasks of {job.array_id} are active, at most {array.max_parallel}"
                return Refusal(Code.ARRAY_LIMIT, text)
        return None

    def _moves(self, job: Job) -> bool:
        return job.id in self.starts or self.is_claimed(job.id)

    def started_of(self, array_id: JobId) -> int:
        """How many tasks of an array this decision has started or claimed for."""
        return self.started.get(array_id, 0)

    def add_start(self, job: Job, placed: Placed) -> None:
        """The decision starts the job where it lies on the draft."""
        attempt = job.attempt + 1
        start = Start(job.id, attempt, placed.placements, placed.reason, placed.trail)
        self.starts[job.id] = start
        self._count(job)

    def revoke(self, job: Job) -> None:
        """Somebody with a right to them takes the places that the job owned or would start on."""
        is_new = job.id in self.starts or self.is_claimed(job.id)
        self.starts.pop(job.id, None)
        if is_new and job.id not in self.cluster.claims:
            self.started[job.array_id] = self.started.get(job.array_id, 0) - 1
        self.claims = [claim for claim in self.claims if claim.job_id != job.id]
        self.dropped.difference_update(claim.job_id for claim in self.displaced.pop(job.id, ()))
        if job.id in self.cluster.claims:
            self.dropped.add(job.id)
        else:
            self.is_revoked = True

    def add_claim(self, claim: Claim, stops: list[Stop]) -> None:
        """The decision claims places for the job; its victims leave."""
        self.claims.append(claim)
        self.stops += stops
        self.evicted.update(stop.job_id for stop in stops)
        self._count(self.cluster.jobs[claim.job_id])

    def _count(self, job: Job) -> None:
        for role in job.spec.roles:
            if role.elastic is not None:
                self.wake(self.cluster.now_ms + role.elastic.interval_ms)  # it may grow then
        if job.array_id and not job.state.is_active:  # who goes on elsewhere counts already
            self.started[job.array_id] = self.started.get(job.array_id, 0) + 1

    def is_waiting_for_locality(self, job: Job) -> bool:
        """True while the job may start on its preferred level of the topology only."""
        if not job.spec.topology.preferred:
            return False
        ends_ms = locality_ends_ms(job)
        self.wake(ends_ms)
        return self.cluster.now_ms < ends_ms

    @contextmanager
    def closing(self, job: Job, from_ms: int) -> Iterator[None]:
        """Within the block the placer leaves out nodes closed to the job if it started then."""
        before, self.draft.closed = self.draft.closed, self.closed_for(job, from_ms)
        try:
            yield
        finally:
            self.draft.closed = before

    def closed_for(self, job: Job, from_ms: int) -> frozenset[NodeId]:
        """Nodes closed to the job if it started then."""
        if not self.cluster.windows:
            return frozenset()
        return blocked_nodes(self.cluster, job, from_ms, from_ms + open_run_ms(self.cluster, job))

    def in_some_form(self, job: Job, quota: list[Refusal]) -> Placed | None:
        """The first form that quota and nodes allow, at the largest size up to what is asked."""
        for want in forms(job, self.cluster.now_ms):
            placed = self.at_largest(job, want, quota)
            if placed is not None:
                return placed
        return None

    def at_largest(
        self, job: Job, want: Want, quota: list[Refusal], most: int = 0, least: int = 0
    ) -> Placed | None:
        """Place it at the largest size that fits, from `least` to `most` (0: what it asks).

        O(log sizes) placements, because what holds many shards holds fewer.
        """
        role = job.spec.elastic_role
        if role < 0:
            return self.place(job, want, quota)
        elastic = job.spec.roles[role].elastic
        assert elastic is not None
        sizes = [n for n in elastic.sizes(most or job.spec.roles[role].shards) if n >= least]
        if not sizes:
            return None
        mark = self.draft.checkpoint()
        if self.place(job, sized(job, want, sizes[-1]), quota) is None:
            return None
        self.draft.rollback(mark)
        low, high = 0, len(sizes) - 1  # sizes[high:] fit, sizes[:low] do not
        while low < high:
            middle = (low + high) // 2
            if self.place(job, sized(job, want, sizes[middle]), []) is not None:
                high = middle
            else:
                low = middle + 1
            self.draft.rollback(mark)
        return self.place(job, sized(job, want, sizes[low]), [])

    def place(self, job: Job, want: Want, quota: list[Refusal]) -> Placed | None:
        """Place it in exactly this form, within quota; undone when it does not fit."""
        is_soon = self.draft.is_soon
        refusal = quota_refusal(self.cluster, job, amounts_asked(job, want), is_soon)
        if refusal is not None:
            quota.append(refusal)
            return None
        mark = self.draft.checkpoint()
        placed = self._put(job, want, quota)
        if placed is None:
            self.draft.rollback(mark)
            return None
        needs = [role.need for role in job.spec.roles if role.need.has_gpu]
        if not needs or not (self.by_model or any(need.gpu_share_mib for need in needs)):
            return placed
        # Only now it is known which models it would count for, and what a share by memory is.
        self.draft.rollback(mark)
        refusal = quota_refusal(
            self.cluster, job, amounts_placed(self.cluster, placed.placements), is_soon
        )
        if refusal is None:
            placed = self._put(job, want, quota)
            if placed is None:  # out of fuel meanwhile
                self.draft.rollback(mark)
            return placed
        quota.append(refusal)
        return None if want.gpu_types is not None else self._by_one_model(job, want, quota)

    def is_beside(self, job: Job) -> bool:
        """True when no queue loses a cell that it has in reserve by where the job lies now."""
        return self.beside is None or self.beside.is_kept(job)

    def _put(self, job: Job, want: Want, quota: list[Refusal]) -> Placed | None:
        if self.beside is not None:
            return self.beside.place(job, want, quota)
        if devices_of(job, want) > self.cluster.index.view(self.draft.is_soon).whole:
            self.fuel.burn(1)
            return None  # all nodes together have not so many
        return self.policy.place.place(self.draft, job, want, self.fuel)

    def _by_one_model(self, job: Job, want: Want, quota: list[Refusal]) -> Placed | None:
        """A mix of models broke a quota: try each model alone, by name."""
        models = sorted({d.spec.model for n in self.cluster.nodes.values() for d in n.devices})
        for model in models:
            placed = self.place(job, Want(want.sizes, (model,), want.level), quota)
            if placed is not None:
                return placed
        return None

    def has_shorter(self, group: Group) -> bool:
        """False when nobody of the group runs for less than what a promise has turned away.

        O(jobs of the group), and O(1) as long as nothing shorter was turned away since.
        """
        least_ms = self._too_long.get(group.fit)
        if least_ms is None:
            return True
        if self._compared.get(group) != least_ms:
            self._compared[group] = least_ms
            jobs, cluster = self.cluster.jobs, self.cluster
            runs = (run_estimate(cluster, jobs[job_id])[0] for _, job_id in group.jobs)
            self._shorter[group] = any(run_ms < least_ms for run_ms in runs)
        return self._shorter[group]

    def forget(self, group: Group) -> None:
        """Try this group again, though it failed; its promises are made anew."""
        self._no_room -= {(group.fit, False), (group.fit, True)}
        self._too_long.pop(group.fit, None)
        self.hopeless.discard(group)
        for job_id in [i for i in self.promises if self.cluster.waiting.group(i) is group]:
            self.break_promise(self.cluster.jobs[job_id])

    def is_claimed(self, job_id: JobId) -> bool:
        """True when the decision made a claim for the job."""
        return any(claim.job_id == job_id for claim in self.claims)
