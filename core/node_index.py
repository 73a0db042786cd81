"""NodeIndex: which nodes can possibly take a shard, without asking them all.

It is a filter: what it leaves out cannot take the shard, what it names is asked by shards_fit. All
of it follows from the node rows, never from the order in which they changed. put() and touch() only
note which nodes to look at again, so that a hold costs next to nothing; a question does the rest.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from aimass.core.bitslice import mask_of
from aimass.core.domains import DeviceKinds, Domain, DomainCounts, Level
from aimass.core.feasible import is_tolerated
from aimass.core.model import Inventory, Job, Node, NodeId, NodeState
from aimass.core.node_view import View
from aimass.core.spec import WHOLE_GPU_MILLI, LabelOp, LabelRule, Need
from aimass.core.totals import Totals

ASKED_MAX = 512  # answers kept for rules and labels that jobs have asked for


class _Kind(NamedTuple):
    """What about a node decides for which jobs it will do: labels; its kit of GPUs and taints."""

    labels: dict[str, str]
    groups: frozenset[str | DeviceKinds]


_NOTHING = _Kind({}, frozenset())


class NodeIndex:
    """Kept by core/capacity.py and apply: put() when a node is new or other than it was, touch()
    when what is held, leaving or claimed on it has changed."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.totals = Totals()
        self.draining: set[int] = set()  # nodes that are to be empty by a time
        self.mirrors: dict[str, object] = {}  # what policies keep of a cluster, by name; derived
        self._now = View(is_soon=False)
        self._soon = View(is_soon=True)
        self._watchers = [self._now.dirty, self._soon.dirty]
        self._index_of: dict[NodeId, int] = {}
        self._new: set[int] = set()
        self._ready = 0
        self._kinds: list[_Kind] = []  # of each node; the sets below are made of them
        self._kits: dict[DeviceKinds, int] = {}
        self._taints: dict[str, int] = {}
        # Answers, made when asked for and dropped when an inventory changes.
        self._labelled: dict[tuple[str, str | None], int] = {}
        self._allowed: dict[object, int] = {}
        self._levels: dict[str, Level] = {}

    # ---- what happens to nodes ------------------------------------------------------------------

    def put(self, node: Node) -> None:
        """The node joined, or its hardware, labels, health or state changed."""
        if node.index == len(self.nodes):
            self.nodes.append(node)
            self._kinds.append(_NOTHING)
            self._index_of[node.id] = node.index
        self.nodes[node.index] = node
        self.totals.put(node)
        if node.drain_ms:
            self.draining.add(node.index)
        else:
            self.draining.discard(node.index)
        self._new.add(node.index)
        self.touch(node)

    def touch(self, node: Node) -> None:
        """What is held, leaving or claimed on the node changed."""
        for dirty in self._watchers:
            dirty.add(node.index)

    def watch(self) -> set[int]:
        """A set that gets the index of every node that changes from now on; all are in it now."""
        dirty = set(range(len(self.nodes)))
        self._watchers.append(dirty)
        return dirty

    # ---- questions ------------------------------------------------------------------------------

    def view(self, is_soon: bool) -> View:
        """What is free now, or soon."""
        view = self._soon if is_soon else self._now
        if view.dirty:
            view.refresh(self.nodes)
        return view

    def allowed(self, job: Job, need: Need) -> int:
        """Nodes that are ready, obey the job's rules and have a GPU of the right kind, if any."""
        self._refresh()
        spec = job.spec
        key = (
            need.has_gpu and (need.gpu_types, need.gpu_memory_mib, need.gpu_share_mib),
            tuple(sorted(spec.node_selector.items())),
            spec.affinity,
            spec.tolerations,
            spec.exclude_nodes,
            tuple(job.avoid),
        )
        found = self._allowed.get(key)
        if found is None:
            if len(self._allowed) >= ASKED_MAX:
                self._allowed.clear()
            found = self._allowed[key] = self._allow(job, need)
        return found & self._ready

    def named(self, names: Iterable[str]) -> int:
        """The nodes with these ids; unknown ones are passed over."""
        known = self._index_of
        return mask_of([known[NodeId(name)] for name in names if name in known])

    def least_share(self, need: Need) -> int:
        """The least milli-share that a shard may hold of any device here; 0 without GPU."""
        if not need.gpu_share_mib:
            return min(need.gpu_milli, WHOLE_GPU_MILLI)
        self._refresh()
        return need.share_on(max((mib for kit in self._kits for _, mib in kit), default=0))

    def labelled(self, key: str, value: str | None = None) -> int:
        """Nodes with this label, or with any value of it. O(nodes) the first time."""
        self._refresh()
        found = self._labelled.get((key, value))
        if found is None:
            if len(self._labelled) >= ASKED_MAX:
                self._labelled.clear()
            if value is None:
                found = self._where(lambda labels: key in labels)
            else:
                found = self._where(lambda labels: labels.get(key) == value)
            self._labelled[key, value] = found
        return found

    def obeying(self, rule: LabelRule) -> int:
        """Nodes whose labels obey the rule."""
        if rule.op is LabelOp.EXISTS or rule.op is LabelOp.ABSENT:
            having = self.labelled(rule.key)
        else:
            having = 0
            for value in rule.values:
                having |= self.labelled(rule.key, value)
        return having if rule.op in (LabelOp.EXISTS, LabelOp.IN) else self._everything & ~having

    def level(self, name: str) -> Level:
        """A level of the topology; O(nodes) the first time."""
        self._refresh()
        found = self._levels.get(name)
        if found is None:
            found = self._levels[name] = Level(name, self.nodes)
        return found

    def domains(self, level: str) -> dict[str, Domain]:
        """The domains of a level by name, by their first nodes."""
        return self.level(level).by_name

    def counts(self, level: str, need: Need, is_soon: bool) -> DomainCounts:
        """What is free in a level's domains of the devices that would do for a shard."""
        domains = self.level(level)
        least_mib = max(need.gpu_memory_mib, need.gpu_share_mib)
        kinds = frozenset(
            (model, memory_mib)
            for kit in self._kits
            for model, memory_mib in kit
            if memory_mib >= least_mib and (not need.gpu_types or model in need.gpu_types)
        )
        return self.view(is_soon).counts_of(kinds, self.nodes).of(domains)

    def drifted(self) -> str:
        """A level whose counters are not those of the rows, for check_invariants; O(nodes)."""
        self._refresh()
        kept = [each for soon in (False, True) for each in self.view(soon).kept(self.nodes)]
        return next(filter(None, (each.drifted(self.nodes) for each in kept)), "")

    # ---- inside ---------------------------------------------------------------------------------

    @property
    def _everything(self) -> int:
        return (1 << len(self.nodes)) - 1

    def _where(self, matches: Callable[[dict[str, str]], bool]) -> int:
        return mask_of([n.index for n in self.nodes if matches(n.inventory.labels)])

    def _allow(self, job: Job, need: Need) -> int:
        spec = job.spec
        found = self._everything
        if need.has_gpu:
            found = 0
            least_mib = max(need.gpu_memory_mib, need.gpu_share_mib)
            for kit, mask in self._kits.items():
                if any(
                    memory_mib >= least_mib and (not need.gpu_types or model in need.gpu_types)
                    for model, memory_mib in kit
                ):
                    found |= mask
        for key, value in spec.node_selector.items():
            found &= self.labelled(key, value)
        for rule in spec.affinity:
            if rule.weight == 0:
                found &= self.obeying(rule)
        for taint, mask in self._taints.items():
            if not is_tolerated(taint, spec.tolerations):
                found &= ~mask
        return found & ~self.named(spec.exclude_nodes) & ~self.named(job.avoid)

    def _refresh(self) -> None:
        """Look again at the nodes that are other than they were."""
        if not self._new:
            return
        ready, flips = [], defaultdict[str | DeviceKinds, list[int]](list)
        is_other = False
        for index in self._new:
            node, was = self.nodes[index], self._kinds[index]
            if node.state is NodeState.READY and not node.cordon:
                ready.append(index)
            kind = _kind(node.inventory)
            if kind != was:
                is_other = True
                self._kinds[index] = kind
                for group in was.groups ^ kind.groups:
                    flips[group].append(index)
        self._ready = self._ready & ~mask_of(list(self._new)) | mask_of(ready)
        self._new.clear()
        for group, indexes in flips.items():
            masks: dict[Any, int] = self._taints if isinstance(group, str) else self._kits
            masks[group] = masks.get(group, 0) ^ mask_of(indexes)
            if not masks[group]:
                del masks[group]
        if is_other:
            self._labelled.clear()
            self._allowed.clear()
            self._levels.clear()
            self._now.forget_counts()
            self._soon.forget_counts()


def _kind(inventory: Inventory) -> _Kind:
    kit = frozenset((spec.model, spec.memory_mib) for spec in inventory.devices)
    return _Kind(inventory.labels, frozenset((kit, *inventory.taints)))
