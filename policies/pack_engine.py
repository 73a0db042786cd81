"""The packing engine: where does a pod go, in time that hardly depends on how many nodes there are.

A score per shape and node is computed once, and again only for nodes that were touched since the
shape was last asked for. What is kept is derived: losing it costs time and changes no decision.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from aimass.core.demand import Demand
from aimass.core.shapes import Shape
from aimass.policies import pack_kernels as kernels
from aimass.policies.pack_learn import NO_PRICES, TERMS, Places, prices, reprice
from aimass.policies.pack_live import Live
from aimass.policies.pack_mass import mass_terms
from aimass.policies.pack_mix import Mix, mix_of
from aimass.policies.pack_policies import PackPolicy, Stream
from aimass.policies.pack_room import NO_DEVICE, set_free, settle, take
from aimass.policies.pack_state import (
    DEVICES,
    GPU_MILLI,
    Array,
    Ask,
    Books,
    Models,
    Nodes,
    empty_nodes,
    grown,
    tag_of,
)

# Scores that are kept in all, 5 bytes each; the shape that was not asked for longest goes first.
CELLS_MAX = 32 << 20
CPU_MAX_MILLI = 1 << 27  # of a node; products of scores stay far within 64 bits


class Choice(NamedTuple):
    """Where a pod goes. devices: ascending; score: higher is better, whatever the policy counts."""

    node: int
    devices: tuple[int, ...]
    score: int


class NodeSize(NamedTuple):
    """What a node has. gpu_milli: of each device, 0 for one that is sick."""

    cpu_milli: int
    memory_mib: int
    gpu_milli: tuple[int, ...]
    model: str


class _Row:
    """The scores of one shape at some prices, right up to a place in the log of touched nodes."""

    def __init__(self, ask: Ask, room: int) -> None:
        self.ask = ask
        self.scores: Array = np.full(room, kernels.NEVER, np.int32)
        self.devices: Array = np.full(room, NO_DEVICE, np.int8)
        self.block_best: Array = np.full(-(-room // kernels.BLOCK), kernels.NEVER, np.int32)
        self.at = -1  # before everything


class Packer:
    """Nodes with what is taken on them, and one policy's scores. Nodes are numbered from 0.

    The number is the order of ties. Choices depend on what is free and on the mix that is known,
    not on what happened before; only those of `random` do.
    """

    def __init__(self, policy: PackPolicy, nodes: int = 1) -> None:
        self.policy = policy
        self.models = Models()
        self.nodes, self.books = empty_nodes(nodes)
        self._count = 0  # nodes that were ever set
        self._stream = Stream(policy.seed)
        self._classes = policy.classes
        self._lasting: Mapping[Shape, int] = {}
        self._demand = Demand()
        self._mix: Mix | None = None
        self._live: Live = NO_PRICES
        self._places: Places | None = None
        self._priced_at = 0  # of the log: the places of nodes touched before are counted
        self._is_resized = False  # nodes came or changed since all prices were made
        # By shape and prices of places, which swing to and fro; the least lately used first.
        self._rows: dict[tuple[Shape, bytes], _Row] = {}
        self._price_key = b""
        self._start_log()

    def set_node(self, node: int, size: NodeSize) -> None:
        """Add a node, or change what it has, its health too. What is taken there stays taken."""
        if len(size.gpu_milli) > DEVICES or set(size.gpu_milli) - {0, GPU_MILLI}:
            raise ValueError(f"node {node}: give up to {DEVICES} devices of 0 or {GPU_MILLI} milli")
        if not 0 <= size.cpu_milli <= CPU_MAX_MILLI or size.memory_mib < 0:
            raise ValueError(f"node {node}: {size.cpu_milli} milli-CPU, {size.memory_mib} MiB")
        self._make_room(node)
        known = len(self.models.number)
        self.nodes.model[node] = self.models.number_of(size.model)
        if len(self.models.number) > known:  # what shapes ask for, and all tables, lack it
            self._mix = None
        gpu_milli = size.gpu_milli + (0,) * (DEVICES - len(size.gpu_milli))
        self._resize(node, size.cpu_milli, size.memory_mib, gpu_milli)

    def remove_node(self, node: int) -> None:
        """Take out a node that is lost. What is taken there stays taken until it is released."""
        self._make_room(node)
        self._resize(node, 0, 0, (0,) * DEVICES, is_there=0)

    def submitted(self, shape: Shape, at_ms: int = 0) -> None:
        """Tell that a pod was submitted: what `mass` learns from. Once per pod, before `best`."""
        if self.policy.kernel == kernels.MASS:
            demand = self._demand
            if demand.add(shape, self._count, at_ms=at_ms):
                self.know(demand.classes, demand.lasting)

    def started(self, shape: Shape, at_ms: int) -> None:
        """Tell that a pod began to hold its place: how `mass` learns lives."""
        self._demand.started(shape, at_ms)

    def left(self, shape: Shape, started_ms: int, at_ms: int) -> None:
        """Tell that a pod that `started` then is gone."""
        self._demand.left(shape, started_ms, at_ms)

    def know(self, classes: Mapping[Shape, int], lasting: Mapping[Shape, int]) -> None:
        """Go by this mix from now on, see `Demand`; for whoever keeps the demand elsewhere."""
        self._classes, self._lasting = classes, lasting
        self._mix = None

    def take(self, node: int, shape: Shape, devices: tuple[int, ...]) -> None:
        """Take a pod's resources on a node, whether or not it has room there now. O(1).

        Raises ValueError for devices that are not as many, or not there at all.
        """
        if len(set(devices)) != shape.gpus or not set(devices) <= set(range(DEVICES)):
            raise ValueError(f"devices {devices} of node {node} for a pod of {shape.gpus}")
        self._change(node, shape, devices, 1)

    def release(self, node: int, shape: Shape, devices: tuple[int, ...]) -> None:
        """Give back what `take` took. O(1)."""
        self._change(node, shape, devices, -1)

    def set_free(self, changed: Sequence[int], free: Sequence[Sequence[int]]) -> None:
        """Say what is free on nodes, for whoever keeps the books elsewhere. O(those).

        free: of each, milli-CPU, MiB and milli-GPU of each of DEVICES devices; what a node has not
        is not free either.
        """
        touched = np.array(changed, np.int64)
        set_free(self.nodes, self.books, touched, np.array(free, np.int64).reshape(-1, 2 + DEVICES))
        for node in changed:
            self._touch(node)

    def best(self, shape: Shape, is_allowed: Array | None = None) -> Choice | None:
        """Give the best place for a pod, None if no node has room; nothing is taken.

        is_allowed: True for nodes that may be chosen, [nodes]. O(nodes touched since this shape was
        last asked for, + blocks); O(nodes) for a shape that is new or was dropped.
        """
        row = self._row(shape)
        if self.policy.kernel == kernels.RANDOM:
            return self._any_of(row, is_allowed)
        if is_allowed is None:
            node = int(kernels.first_best(row.scores, row.block_best))
        else:
            node = int(kernels.first_allowed(row.scores, row.block_best, is_allowed))
        if node < 0:
            return None
        return Choice(node, self._devices(row, node), int(row.scores[node]))

    def score(self, shape: Shape, node: int) -> int | None:
        """Give a node's score for a pod, None if it has no room there; as `best` sees it."""
        score = int(self._row(shape).scores[node])
        return None if score == kernels.NEVER else score

    def terms(self, shape: Shape, node: int) -> dict[str, int]:
        """Give what a score of `mass` is the sum of, in micro-GPU; {} where there is no room."""
        row = self._row(shape)
        if row.scores[node] == kernels.NEVER:
            return {}
        found = mass_terms(self._tables(), self._live, self.nodes, node, row.ask)
        return dict(zip(TERMS, map(int, found), strict=False))

    def _row(self, shape: Shape) -> _Row:
        """Give the scores of a shape, up to date."""
        mix = self._tables()
        key = shape, self._price_key
        row = self._rows.pop(key, None)
        if row is None:
            if shape.gpus > 1 and shape.gpu_milli != GPU_MILLI:
                raise ValueError(f"{shape}: a pod of several devices takes whole ones")
            most = max(1, CELLS_MAX // len(self.nodes.model))
            while len(self._rows) >= most:
                del self._rows[next(iter(self._rows))]
            row = _Row(self.models.ask(shape), len(self.nodes.model))
        self._rows[key] = row
        if row.at != self._log_end:
            self._rescore(row, mix)
        return row

    def _touched_since(self, at: int) -> Array:
        """Give the nodes that were touched since a place in the log; all if it is forgotten."""
        if at < self._log_begin:
            return self._all[: self._count]
        return self._log[at - self._log_begin : self._log_end - self._log_begin]

    def _rescore(self, row: _Row, mix: Mix) -> None:
        touched = self._touched_since(row.at)
        self._stamp += 1
        kernels.rescore(
            self.policy.kernel,
            mix,
            self._live,
            self.nodes,
            row.ask,
            touched,
            self._seen,
            self._twins,
            self._stamp,
            row.scores,
            row.devices,
            row.block_best,
        )
        row.at = self._log_end

    def _tables(self) -> Mix:
        """Bring mix and prices up to date; where they changed, no score holds any more."""
        if self._mix is None:
            self._mix = mix_of(self._classes, self.models)
            self._rows.clear()
            self._is_resized = True
        if self.policy.kernel == kernels.MASS:
            self._price()
        return self._mix

    def _price(self) -> None:
        if self._is_resized or self._places is None:
            terms = self.policy.terms
            live, self._places = prices(
                self._classes, self._lasting, terms, self.models, self.nodes, self.books
            )
            if not all(map(np.array_equal, live, self._live)):
                self._live = live
                self._rows.clear()
            self._is_resized = False
            self._set_price_key()
        elif self._priced_at != self._log_end:
            touched = self._touched_since(self._priced_at)
            if reprice(self.nodes, self._live, self._places, touched):
                self._set_price_key()
        self._priced_at = self._log_end

    def _set_price_key(self) -> None:
        self._price_key = self._live.needs[:, 3].tobytes()

    def _devices(self, row: _Row, node: int) -> tuple[int, ...]:
        """Give the devices of a choice: those of whole pods are the first that are idle."""
        if row.ask.gpus == 1:
            return (int(row.devices[node]),)
        free = np.flatnonzero(self.nodes.gpu_free[node] == GPU_MILLI)
        return tuple(int(device) for device in free[: row.ask.gpus])

    def _any_of(self, row: _Row, is_allowed: Array | None) -> Choice | None:
        """Choose among all nodes with room, and among the devices of a share."""
        has_room = row.scores > kernels.NEVER
        able = np.flatnonzero(has_room if is_allowed is None else has_room & is_allowed)
        if not len(able):
            return None
        node = int(able[self._stream.below(len(able))])
        devices = self._devices(row, node)
        if row.ask.gpus == 1:
            fitting = np.flatnonzero(self.nodes.gpu_free[node] >= row.ask.gpu_milli)
            devices = (int(fitting[self._stream.below(len(fitting))]),)
        return Choice(node, devices, 0)

    def _change(self, node: int, shape: Shape, devices: tuple[int, ...], sign: int) -> None:
        ask, where = self.models.ask(shape), np.array(devices, np.int64)
        take(self.nodes, self.books, node, ask, where, tag_of(shape), sign)
        self._touch(node)

    def _resize(
        self,
        node: int,
        cpu_milli: int,
        memory_mib: int,
        gpu_milli: tuple[int, ...],
        is_there: int = 1,
    ) -> None:
        self._is_resized = True
        self.books.cpu_size[node] = cpu_milli
        self.books.memory_size[node] = memory_mib
        self.books.gpu_size[node] = gpu_milli
        self.nodes.is_there[node] = is_there
        settle(self.nodes, self.books, node)
        self._touch(node)

    def _touch(self, node: int) -> None:
        """Remember that scores of a node are out of date."""
        at = self._log_end - self._log_begin
        if at == len(self._log):  # forget the older half: who needs it looks at all nodes
            half = at // 2
            self._log[: at - half] = self._log[half:]
            self._log_begin += half
            at -= half
        self._log[at] = node
        self._log_end += 1

    def _make_room(self, node: int) -> None:
        if node >= len(self.nodes.model):
            self._grow(max(node + 1, 2 * node))
        self._count = max(self._count, node + 1)

    def _grow(self, room: int) -> None:
        self.nodes = Nodes(*grown(self.nodes, room))
        self.books = Books(*grown(self.books, room))
        self._rows.clear()
        self._start_log()

    def _start_log(self) -> None:
        room = len(self.nodes.model)
        self._all = np.arange(room)
        self._log: Array = np.zeros(2 * room + 1024, np.int64)
        self._log_begin = self._log_end = 0
        self._seen: Array = np.zeros(room, np.int64)
        self._twins: Array = np.zeros(kernels.TWINS, np.int64)
        self._stamp = 0
