"""Reserves: cells of GPUs that a queue can have in one piece, whatever others do.

A cell is bound to no machine: what could still give its shape counts. In its way are jobs of other
queues that stay, because nobody can take their place; everything else may become a cell, at once or
after those on it were stopped. See docs/decisions/0025 and cells.py.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from aimass.core.capacity import PromiseKey
from aimass.core.cells import Domain, Giving, Row, Shelf, Use
from aimass.core.model import Job, Node, NodeState, Placement
from aimass.core.queues import ROOT, Cell, Reserve
from aimass.core.spec import JobSpec, PreemptMode

if TYPE_CHECKING:
    from aimass.core.cluster import Cluster

Entry = tuple[Job, Placement]
_NOTHING = Row(0)
_MIRROR = "reserves"  # see NodeIndex.mirrors


def stays(spec: JobSpec) -> bool:
    """True when nobody can take the job's whole place: it cannot be preempted, or only shrinks."""
    return not spec.preemptible or spec.preemption.mode is PreemptMode.SHRINK


def takes_new(node: Node) -> bool:
    """Only such a node can give a cell."""
    return node.state is NodeState.READY and not node.cordon


def row_of(node: Node, model: str, entries: Iterable[Entry], queues: Collection[str]) -> Row:
    """What these entries leave of a model on a node; queues: all that may use some reserve.

    O(devices + entries).
    """
    kept: dict[int, str] = {}
    soft: dict[int, str] = {}
    for job, placement in entries:
        queue = job.spec.queue if job.spec.queue in queues else ""
        is_staying = stays(job.spec)
        table = kept if is_staying else soft
        is_alone = is_staying and placement.exclusive
        for index in range(len(node.devices)) if is_alone else placement.devices:
            table[index] = queue if table.get(index, queue) == queue else ""
    free, own = 0, dict[str, list[int]]()
    for index, device in enumerate(node.devices):
        if device.spec.model != model or not device.spec.healthy:
            continue
        is_open = index not in kept
        free += is_open
        queue = soft.get(index, "") if is_open else kept[index]
        if queue:
            own.setdefault(queue, [0, 0])[is_open] += 1
    return Row(free, tuple((queue, *own[queue]) for queue in sorted(own)))  # type: ignore[misc]


def entries_of(cluster: "Cluster", node: Node, trial: Job | None = None) -> Iterator[Entry]:
    """Who has what on the node when all have left who are leaving; who is promised it has nothing.

    trial: a job as it is tried, perhaps other than it is.
    """
    jobs = cluster.jobs
    tried = trial.id if trial is not None else None
    for key, placement in node.holds.items():
        if key not in node.leaving:
            yield (trial if trial and key.job_id == tried else jobs[key.job_id]), placement
    for key, placement in node.claims.items():
        if not isinstance(key, PromiseKey):
            yield (trial if trial and key.job_id == tried else jobs[key.job_id]), placement


@dataclass(frozen=True, slots=True)
class Assigned:
    """What came of giving out all cells.

    missing, begun: of each reserve of the cluster, how many cells are not there, and how many lie
    where the queue's own jobs are. uses: where these are. spare: of each model, shards of its
    largest cell that are there beyond all reserves.
    """

    missing: tuple[int, ...]
    begun: tuple[int, ...]
    uses: tuple[Use, ...]
    spare: dict[str, int]

    def used(self) -> dict[tuple[str, int], int]:
        """GPUs of cells by (queue, node index), where its own jobs are. O(those)."""
        found: dict[tuple[str, int], int] = {}
        for queue, nodes, gpus in self.uses:
            for index in nodes:
                found[queue, index] = found.get((queue, index), 0) + gpus
        return found


class Cells:
    """Kept for a cluster in which some queue has a reserve, by looking again at nodes that changed.

    Derived from the rows: losing it costs O(nodes).
    """

    def __init__(
        self, cluster: "Cluster", reserves: tuple[Reserve, ...], dirty: set[int] | None = None
    ) -> None:
        """dirty: gets the index of every node that changes; None: they are looked at once."""
        self.reserves = reserves
        self.queues = frozenset[str]().union(*(reserve.family for reserve in reserves))
        self.dirty = set(range(len(cluster.index.nodes))) if dirty is None else dirty
        self._cluster = cluster
        self._assigned: Assigned | None = None  # as long as no row is another
        levels: dict[str, dict[str, None]] = {}
        for _, cell, _ in reserves:
            levels.setdefault(cell.model, {}).update({cell.level: None} if cell.level else {})
        self._shelves = {model: Shelf(model, tuple(names)) for model, names in levels.items()}

    def refresh(self, trial: Job | None = None) -> None:
        """Look again at the nodes that changed; see entries_of. O(what is on them)."""
        nodes = self._cluster.index.nodes
        for index in sorted(self.dirty):
            node = nodes[index]
            entries = list(entries_of(self._cluster, node, trial))
            self._enter(node, entries, takes_new(node))
        self.dirty.clear()

    def empty(self) -> None:
        """Look at every node as if it were ready and held nothing, but for those that are lost."""
        for node in self._cluster.index.nodes:
            self._enter(node, [], node.state is not NodeState.LOST)
        self.dirty.clear()

    def row(self, index: int, model: str) -> Row:
        """One node as it was last looked at."""
        return self._shelves[model].rows[index][1]

    def assign(self, instead: dict[int, list[Entry]] | None = None) -> Assigned:
        """Give out all cells. instead: nodes that are counted with these entries.

        O(reserves * groups of nodes that are alike), of which each domain has its own where cells
        name a level; O(1) when no row is another than the last time.
        """
        if instead:
            nodes = self._cluster.index.nodes
            for index, entries in instead.items():
                self._enter(nodes[index], entries, takes_new(nodes[index]))
            self.dirty.update(instead)
        if self._assigned is None:
            self._assigned = self._give()
        return self._assigned

    def _give(self) -> Assigned:
        missing: list[int] = []
        begun: list[int] = []
        uses: list[Use] = []
        spare: dict[str, int] = {}
        for model, shelf in self._shelves.items():
            mine = [reserve for reserve in self.reserves if reserve.cell.model == model]
            giving = Giving(shelf)
            for _, same in groupby(mine, key=lambda r: (r.cell.gpus, r.cell.shards)):
                equal = list(same)  # of one size: the larger ones have been given
                own = [giving.own_first(reserve, uses) for reserve in equal]
                left = [reserve.cell.count - n for reserve, n in zip(equal, own, strict=True)]
                missing += [n - giving.anywhere(r, n) for r, n in zip(equal, left, strict=True)]
                begun += own
            spare[model] = giving.spare(mine[0].cell.gpus)
        return Assigned(tuple(missing), tuple(begun), tuple(uses), spare)

    def breaking(self, devices: int, is_strict: bool = False) -> set[int]:
        """Nodes where taking so many GPUs may break a cell; see Shelf.breaking."""
        found: set[int] = set()
        for reserve in self.reserves:
            found |= self._shelves[reserve.cell.model].breaking(reserve.cell, devices, is_strict)
        return found

    def _enter(self, node: Node, entries: list[Entry], is_open: bool) -> None:
        labels = node.inventory.labels
        for shelf in self._shelves.values():
            domain: Domain = tuple([labels.get(level, "") for level in shelf.levels])
            row = row_of(node, shelf.model, entries, self.queues) if is_open else _NOTHING
            if shelf.put(node.index, domain, row):
                self._assigned = None


def cells_of(cluster: "Cluster") -> Cells | None:
    """The cluster's cells; None when no queue has a reserve. O(1), and O(nodes) the first time."""
    reserves, index = cluster.queues[ROOT].tree.reserved, cluster.index
    if not reserves:
        return None
    found = known_cells(cluster)
    if found is None or found.reserves != reserves:
        dirty = found.dirty if found is not None else index.watch()
        dirty.update(range(len(index.nodes)))
        found = index.mirrors[_MIRROR] = Cells(cluster, reserves, dirty)
    return found


def known_cells(cluster: "Cluster") -> Cells | None:
    """Those that are kept already, perhaps of reserves that have changed since."""
    found = cluster.index.mirrors.get(_MIRROR)
    return found if isinstance(found, Cells) else None


def lost_by_staying(cluster: "Cluster", job: Job) -> Reserve | None:
    """The first reserve that would lose a cell if the active job became this one; None: none would.

    O(nodes).
    """
    cells = cells_of(cluster)
    if cells is None or not stays(job.spec):
        return None
    cells.refresh()
    owned = cluster.claims.get(job.id)
    places = (*job.current.placements, *(owned.placements if owned else ()))
    nodes = {place.node_id: cluster.nodes[place.node_id] for place in places}
    instead = {n.index: list(entries_of(cluster, n, trial=job)) for n in nodes.values()}
    before = cells.assign()
    return lost(cells, cells.assign(instead), before)


def lost(cells: Cells, now: Assigned, before: Assigned) -> Reserve | None:
    """The first reserve that has lost a cell which was there; None: none has."""
    rows = zip(cells.reserves, now.missing, before.missing, strict=True)
    return next((reserve for reserve, less, least in rows if less > least), None)


@dataclass(frozen=True, slots=True)
class CellState:
    """How a cell of a reserve fares: of its count, used where the queue's own jobs are, and missing
    whoever were stopped."""

    cell: Cell
    used: int
    missing: int


def cell_states(cluster: "Cluster") -> dict[str, list[CellState]]:
    """All reserves as they are now, by queue."""
    cells, found = cells_of(cluster), dict[str, list[CellState]]()
    if cells is not None:
        cells.refresh()
        now = cells.assign()
        for reserve, used, missing in zip(cells.reserves, now.begun, now.missing, strict=True):
            found.setdefault(reserve.queue, []).append(CellState(reserve.cell, used, missing))
    return found


def when_idle(cluster: "Cluster", reserves: tuple[Reserve, ...]) -> Assigned:
    """All cells given out as if no node that is left held anything. O(nodes)."""
    cells = Cells(cluster, reserves)
    cells.empty()
    return cells.assign()


def cell_text(cell: Cell) -> str:
    """`8 H100 on one node`, `4 x 8 H100 in one rack`."""
    if cell.level:
        return f"{cell.shards} x {cell.gpus} {cell.model} in one {cell.level}"
    return f"{cell.gpus} {cell.model} on one node"
