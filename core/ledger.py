"""The books of check(): what is given out on nodes and in queues, counted anew for one plan.

Each is kept twice: `now` is what is held, and what starts; `soon` is what stays when everybody who
is leaving has left, every claim, and what starts. Nodes are recounted from the holds and claims
themselves, because their running totals may be what is wrong; queues begin with their rows.
"""

from dataclasses import dataclass, field

from aimass.core.cluster import Cluster
from aimass.core.model import Job, JobId, JobState, Node, NodeId, Placement, ShardState
from aimass.core.plan import Claim
from aimass.core.queues import ROOT, Amounts, Queue
from aimass.core.quota import is_beyond_firm, is_lent
from aimass.core.reserves import (
    Assigned,
    Cells,
    Entry,
    cell_text,
    cells_of,
    entries_of,
    lost,
    stays,
)
from aimass.core.spec import WHOLE_GPU_MILLI
from aimass.core.wants import amounts_placed


@dataclass(slots=True)
class _NodeSums:
    """Amounts given out on one node, and how many places each job has there."""

    cpu_milli: int = 0
    memory_mib: int = 0
    devices: list[int] = field(default_factory=list)
    places: dict[JobId, int] = field(default_factory=dict)
    alone: int = 0  # places of who has the node alone

    def add(self, job_id: JobId, placement: Placement, sign: int) -> None:
        self.cpu_milli += sign * placement.cpu_milli
        self.memory_mib += sign * placement.memory_mib
        for index in placement.devices:
            self.devices[index] += sign * placement.share_milli
        count = self.places.get(job_id, 0) + sign
        self.places[job_id] = count
        if not count:
            del self.places[job_id]
        self.alone += sign * placement.exclusive

    def problem(self, node: Node, job_id: JobId, placement: Placement) -> str | None:
        """Only what is added to can refuse: a node may have come back smaller than it was."""
        if len(self.places) > 1 and (placement.exclusive or self.alone):
            return f"{node.id}: would be shared though one wants it alone"
        if (
            (placement.cpu_milli and self.cpu_milli > node.inventory.cpu_milli)
            or (placement.memory_mib and self.memory_mib > node.inventory.memory_mib)
            or any(self.devices[i] > WHOLE_GPU_MILLI for i in placement.devices)
        ):
            return f"{node.id}: more is given out than it has"
        return None


@dataclass(slots=True)
class _QueueSums:
    """What the plan changes in the accounts of one queue: see Queue."""

    now: Amounts = field(default_factory=dict)
    soon: Amounts = field(default_factory=dict)
    firm: Amounts = field(default_factory=dict)
    active: int = 0
    staying: int = 0


class Ledger:
    """Opened on the cluster as it is; takes in a plan step by step."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._entries: dict[int, list[Entry]] = {}  # by node index: who has what in the end
        self._changed: set[int] = set()  # of these, where the cells do not know it yet
        self._emptied: dict[NodeId, None] = {}  # where somebody leaves, or gives up a claim
        self._left: set[JobId] = set()  # ordered to stop by the plan
        self._gone: set[JobId] = set()  # whose claims the plan gives up
        self._nodes: dict[NodeId, tuple[_NodeSums, _NodeSums]] = {}
        self._queues: dict[str, _QueueSums] = {}
        self._tasks: dict[JobId, int] = {}  # by array: started or claimed for
        self._cells = cells_of(cluster)
        self._before: Assigned | None = None
        if self._cells is not None:
            self._cells.refresh()
            self._before = self._cells.assign()

    # ---- measures: see quota.Measure ------------------------------------------------------------

    def now(self, queue: Queue, key: str) -> int:
        """What is held of the resource in the queue and below it."""
        return queue.used.get(key, 0) + self._queue(queue).now.get(key, 0)

    def soon(self, queue: Queue, key: str) -> int:
        """The same when all have left and every claim is held."""
        return queue.owned(key) + self._queue(queue).soon.get(key, 0)

    def firm(self, queue: Queue, key: str) -> int:
        """Of that, what jobs have that cannot be preempted."""
        return queue.firm.get(key, 0) + self._queue(queue).firm.get(key, 0)

    def _queue(self, queue: Queue) -> _QueueSums:
        return self._queues.setdefault(queue.spec.name, _QueueSums())

    # ---- who leaves -----------------------------------------------------------------------------

    def leave(self, job: Job, stays_active: bool) -> None:
        """The job is ordered to stop; stays_active: it has a claim of its own. Before any book."""
        assert not self._nodes, "a node was opened before all stops were known"
        self._left.add(job.id)
        self._emptied.update(dict.fromkeys(p.node_id for p in job.current.placements))
        self._charge(job, self.staying_amounts(job), now=0, soon=-1)
        self._count(job, active=0, staying=0 if stays_active else -1)

    def give_up(self, claim: Claim) -> None:
        """The claim is given up. Before any book."""
        assert not self._nodes, "a node was opened before all claims given up were known"
        job = self.cluster.jobs[claim.job_id]
        self._gone.add(claim.job_id)
        self._emptied.update(dict.fromkeys(p.node_id for p in claim.placements))
        self._charge(job, amounts_placed(self.cluster, claim.placements), now=0, soon=-1)
        if job.state is JobState.RESERVED:
            self._count(job, active=-1, staying=-1)

    def staying_amounts(self, job: Job) -> Amounts:
        """What the job holds, without shards that have exited or are leaving already."""
        attempt = job.current
        if attempt.stop_goal is not None:
            return {}
        live = [
            placement
            for placement, shard in zip(attempt.placements, attempt.shards, strict=True)
            if shard.state is not ShardState.EXITED
        ]
        return amounts_placed(self.cluster, tuple(live))

    def would_be_over(self, claim: Claim) -> bool:
        """True when the queues would not grant this claim again, as they are now."""
        job = self.cluster.jobs[claim.job_id]
        amounts = amounts_placed(self.cluster, claim.placements)
        self._charge(job, amounts, now=0, soon=-1)
        problem = self._quota_problem(job, amounts, is_claim=True)
        self._charge(job, amounts, now=0, soon=1)
        return problem is not None

    # ---- who comes ------------------------------------------------------------------------------

    def book(self, job: Job, placements: tuple[Placement, ...], is_claim: bool) -> str | None:
        """Enter the whole gang, or nothing and the reason. Its own claim is used up. O(shards)."""
        owned = self.cluster.claims.get(job.id) if job.state is JobState.RESERVED else None
        given = amounts_placed(self.cluster, owned.placements) if owned is not None else {}
        amounts = amounts_placed(self.cluster, placements)
        self._enter(job, owned.placements if owned is not None else (), is_claim=True, sign=-1)
        self._charge(job, given, now=0, soon=-1)
        problem = self._quota_problem(job, amounts, is_claim)
        if problem is None:
            self._enter(job, placements, is_claim, 1)
            problem = self._node_problem(job, placements, is_claim) or self._reserve_problem(job)
            if problem is None:
                self._charge(job, amounts, now=0 if is_claim else 1, soon=1)
                if is_new(job):
                    self._count(job, active=0 if is_claim else 1, staying=1)
                    self._tasks[job.array_id] = self._tasks.get(job.array_id, 0) + 1
                return None
            self._enter(job, placements, is_claim, -1)
        self._charge(job, given, now=0, soon=1)
        self._enter(job, owned.placements if owned is not None else (), is_claim=True, sign=1)
        return problem

    def _enter(
        self, job: Job, placements: tuple[Placement, ...], is_claim: bool, sign: int
    ) -> None:
        for placement in placements:
            now, soon = self._node(self.cluster.nodes[placement.node_id])
            soon.add(job.id, placement, sign)
            if self._cells is not None:
                self._enter_cell(job, placement, sign)
            if not is_claim:
                now.add(job.id, placement, sign)

    def _node(self, node: Node) -> tuple[_NodeSums, _NodeSums]:
        if node.id not in self._nodes:
            now = _NodeSums(devices=[0] * len(node.devices))
            soon = _NodeSums(devices=[0] * len(node.devices))
            for key, placement in node.holds.items():
                now.add(key.job_id, placement, 1)
                state = self.cluster.jobs[key.job_id].state
                if state is not JobState.STOPPING and key.job_id not in self._left:
                    soon.add(key.job_id, placement, 1)
            for key, placement in node.claims.items():
                if key.job_id not in self._gone:
                    soon.add(key.job_id, placement, 1)
            self._nodes[node.id] = now, soon
        return self._nodes[node.id]

    def _node_problem(
        self, job: Job, placements: tuple[Placement, ...], is_claim: bool
    ) -> str | None:
        for placement in placements:
            node = self.cluster.nodes[placement.node_id]
            for sums in self._node(node)[1 if is_claim else 0 :]:
                if (problem := sums.problem(node, job.id, placement)) is not None:
                    return problem
        return None

    # ---- reserves: see reserves.py --------------------------------------------------------------

    def _assigned(self, cells: Cells) -> Assigned:
        """The cells of all queues, as the books say who has what. O(nodes changed) and assign().

        From one call to the next the cells keep what is entered; nobody else may look at the rows
        anew before the books are closed. Whoever does so then finds these nodes dirty.
        """
        for node_id in self._emptied:  # a cell may be there now
            self._cells_on(self.cluster.nodes[node_id])
        self._emptied.clear()
        instead = {index: self._entries[index] for index in sorted(self._changed)}
        self._changed.clear()
        return cells.assign(instead)

    def _cells_on(self, node: Node) -> list[Entry]:
        """Who has what on the node in the end, so far."""
        if node.index not in self._entries:
            self._changed.add(node.index)
            self._entries[node.index] = [
                (job, placement)
                for job, placement in entries_of(self.cluster, node)
                if job.id not in self._left and job.id not in self._gone
            ]
        return self._entries[node.index]

    def _enter_cell(self, job: Job, placement: Placement, sign: int) -> None:
        node = self.cluster.nodes[placement.node_id]
        entries = self._cells_on(node)
        self._changed.add(node.index)
        if sign > 0:
            entries.append((job, placement))
        else:
            entries.remove((job, placement))

    def _reserve_problem(self, job: Job) -> str | None:
        """None while no queue has lost a cell that it has in reserve by a job that stays."""
        if self._cells is None or self._before is None or not stays(job.spec):
            return None
        reserve = lost(self._cells, self._assigned(self._cells), self._before)
        if reserve is not None:
            shape = cell_text(reserve.cell)
            return f"queue {reserve.queue}: loses one of the cells it has in reserve, {shape}"
        return None

    # ---- queues ---------------------------------------------------------------------------------

    def _quota_problem(self, job: Job, amounts: Amounts, is_claim: bool) -> str | None:
        """Limits, counts of jobs, borrowing, lending and the firm rule, before the gang is entered.

        The rules of lending are quota.py's; the sums they are held against are these.
        """
        queue = self.cluster.queues[job.spec.queue]
        measures = (self.soon,) if is_claim else (self.now, self.soon)
        if not job.state.is_active:
            problem = self._count_problem(job, queue, is_claim)
            if problem is not None:
                return problem
        for above in queue.tree.chain:
            spec = above.spec
            for key, most in spec.job_limit.items():
                if amounts.get(key, 0) > most:
                    return f"queue {spec.name}: one job has at most {most} {key}"
            for key, most in spec.limit.items():
                amount = amounts.get(key, 0)
                if amount and any(measure(above, key) + amount > most for measure in measures):
                    return f"queue {spec.name}: more than its limit of {most} {key}"
        for key in self.cluster.queues[ROOT].tree.ruled:
            amount = amounts.get(key, 0)
            if not amount:
                continue
            for measure in measures:
                if not is_lent(self.cluster, queue, key, amount, measure):
                    return f"queue {queue.spec.name}: more {key} than it has and may borrow"
            if not job.spec.preemptible and is_beyond_firm(
                self.cluster, queue, key, amount, self.firm
            ):
                return f"queue {queue.spec.name}: more {key} than it is guaranteed, for good"
        return None

    def _count_problem(self, job: Job, queue: Queue, is_claim: bool) -> str | None:
        own = not is_new(job)  # its claim counts already
        for above in queue.tree.chain:
            most, sums = above.spec.max_jobs, self._queue(above)
            staying = above.active - above.stopping + sums.staying - own
            active = 0 if is_claim else above.active + sums.active - own
            if most and max(staying, active) >= most:
                return f"queue {above.spec.name}: more than its {most} active jobs"
        array = job.spec.array
        if not own and job.array_id and array is not None and array.max_parallel:
            active = self.cluster.arrays[job.array_id].active + self._tasks.get(job.array_id, 0)
            if active >= array.max_parallel:
                return f"array {job.array_id}: more than {array.max_parallel} tasks at once"
        return None

    def _charge(self, job: Job, amounts: Amounts, now: int, soon: int) -> None:
        for queue in self.cluster.queues[job.spec.queue].tree.chain:
            sums = self._queue(queue)
            for key, amount in amounts.items():
                sums.now[key] = sums.now.get(key, 0) + now * amount
                sums.soon[key] = sums.soon.get(key, 0) + soon * amount
                if not job.spec.preemptible:
                    sums.firm[key] = sums.firm.get(key, 0) + soon * amount

    def _count(self, job: Job, active: int, staying: int) -> None:
        for queue in self.cluster.queues[job.spec.queue].tree.chain:
            sums = self._queue(queue)
            sums.active += active
            sums.staying += staying


def is_new(job: Job) -> bool:
    """True when it neither holds nor owns anything yet: its queues do not count it as active."""
    return not job.state.is_active and job.state is not JobState.RESERVED
