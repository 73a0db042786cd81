"""Room: the nodes that can take shards of one role, for a policy to choose from, best ones first.

The node index names who may have room, feasible.count_fits says for sure, and only nodes that a
policy is about to use are asked: placing one shard on 100,000 nodes asks one or two of them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from aimass.core.bitslice import lowest, mask_of
from aimass.core.domains import Domain, DomainCounts, Level
from aimass.core.draft import Draft
from aimass.core.feasible import count_fits
from aimass.core.model import Job, Node
from aimass.core.node_index import NodeIndex
from aimass.core.node_view import EXCLUSIVE, SHARED
from aimass.core.policy import Fuel
from aimass.core.spec import WHOLE_GPU_MILLI, Need
from aimass.core.spec_problems import SHARDS_MAX
from aimass.policies.devices import slowest_link

# Of nodes that are equal otherwise, so many are compared by their links.
_TIES_MAX = 4

# Sizes at which nodes are counted: exact up to 16 shards a node, from above beyond.
_STEPS = (*range(1, 17), *(1 << b for b in range(5, SHARDS_MAX.bit_length())), SHARDS_MAX + 1)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that can take `fits` shards of the role (at most as many as were asked for)."""

    node: Node
    fits: int


class Room:
    """Nodes with room for a role on the draft as it is; what is taken from them is no longer named.

    among: only these nodes (a set, see bitslice). own: nodes where the gang itself already lies, so
    that its being alone there does not shut it out. fuel: burns one unit for each node asked.
    all: the nodes that nothing but room forbids.
    """

    def __init__(
        self, draft: Draft, job: Job, need: Need, fuel: Fuel, among: int = -1, own: int = 0
    ) -> None:
        cluster, index = draft.cluster, draft.cluster.index
        self.index, self.demand = index, cluster.demand
        self.job, self.need, self.fuel, self.is_soon = job, need, fuel, draft.is_soon
        self.nodes = index.nodes
        self.view = index.view(draft.is_soon)
        self.share_milli = index.least_share(need)
        mask = index.allowed(job, need) & among
        if draft.closed:
            mask &= ~index.named(draft.closed)
        shut = self.view.others.at_least(SHARED if job.spec.exclusive_node else EXCLUSIVE, mask)
        if shut:
            mask &= ~(shut & ~own & ~_own_nodes(draft, job))
        self.all = mask
        self._room: dict[int, int] = {}  # by shards a node
        self._asked: dict[int, int] = {}  # by node index, shards that fit for sure
        self._less: dict[int, int] = {}  # by shards that fit: nodes to name no higher
        self._draft, self._own = draft, own
        self._anchor: Node | None = None  # the node taken first
        self.note = ""  # what the policy says of its first choice, for the trail
        self._last: tuple[int, Callable[[int], int]] | None = None
        self._preferred = _preferred(index, job) if job.spec.affinity else ()

    def mask(self, fits: int) -> int:
        """The nodes that may take so many shards each: every one that does, and perhaps others."""
        found = self._room.get(fits)
        if found is None:
            found = self.view.room(self.need, self.share_milli, fits, self.all)
            self._room[fits] = found
        for less, nodes in self._less.items():
            if less < fits:
                found &= ~nodes
        return found

    def count(self, enough: int, among: int = -1) -> int:
        """An upper bound of the shards that fit on these nodes; counting stops at `enough`.

        Exact where whole GPUs of one kind are asked for and no node takes more than 16 shards.
        """
        total = 0
        for step, after in pairwise(_STEPS):
            nodes = self.mask(step) & among
            total += nodes.bit_count() * (after - step)
            if not nodes or total >= enough:
                break
        return total

    def count_by_domain(self, domains: Sequence[Domain]) -> list[tuple[int, int]]:
        """The same for each of these domains, and the most shards that one node there may take.

        O(domains * room of the roomiest node).
        """
        totals, most = [0] * len(domains), [0] * len(domains)
        bytes_all = len(self.nodes) // 8 + 1
        for step, after in pairwise(_STEPS):
            nodes = self.mask(step)
            if not nodes:
                break
            row = nodes.to_bytes(bytes_all, "little")
            for i, domain in enumerate(domains):
                here = int.from_bytes(row[domain.first_byte : domain.last_byte], "little")
                found = (here & domain.bits).bit_count()
                totals[i] += found * (after - step)
                if found:
                    most[i] = step
        return list(zip(totals, most, strict=True))

    def counts(self, level: str) -> DomainCounts:
        """What is free in the domains of a level, whatever else forbids them to the job."""
        return self.index.counts(level, self.need, self.is_soon)

    def level(self, name: str) -> Level:
        """A level of the topology."""
        return self.index.level(name)

    def look_again(self) -> None:
        """Something was tried on the draft and taken back: what was seen before counts again."""
        self.view = self.index.view(self.is_soon)

    def within(self, nodes: int) -> "Room":
        """The same as far as it is on these nodes; a node that was asked is not asked again."""
        part = Room(self._draft, self.job, self.need, self.fuel, self.all & nodes, self._own)
        part._asked = self._asked
        part._room = {fits: found & nodes for fits, found in self._room.items()}
        return part

    def adopt(self, parts: Sequence["Room"], nodes: Iterable[Node]) -> None:
        """These nodes were chosen on parts of this room, one after the other."""
        self.note, self._last = parts[0].note, parts[-1]._last
        for node in nodes:
            self.take(node)

    def most_fits(self, at_most: int) -> int:
        """The largest number of shards, up to `at_most`, that some node may take. O(log)."""
        if self.mask(at_most):
            return at_most
        low, high = 0, at_most  # some node may take `low`, none takes `high`
        while high - low > 1:
            middle = (low + high) // 2
            if self.mask(middle):
                low = middle
            else:
                high = middle
        return low

    def tightest(self, fits: int) -> Candidate | None:
        """Of the nodes that take `fits` shards: preferred ones, then the one with least free.

        Ties go to a node near the first one taken, then to one whose free devices are joined by
        better links (of the first few), then to the one that joined first.
        """
        return self._first(fits, self._tightest)

    def emptiest(self, fits: int) -> Candidate | None:
        """Of the nodes that take `fits` shards: preferred ones, then the one with most free."""
        return self._first(fits, self._emptiest)

    def best(self, fits: int, choose: Callable[[int], int]) -> Candidate | None:
        """Of the nodes that take `fits` shards: preferred ones, near the first one taken, then the
        one that `choose` picks of these: a set of nodes -> a set whose first is the one, or 0: then
        the tightest."""

        def narrow(nodes: int) -> int:
            nodes = self._near(self._prefer(nodes))
            return choose(nodes) or self._tightest(nodes)

        return self._first(fits, narrow)

    def take(self, node: Node) -> None:
        """The node is used: it is not named again, and nodes near it win ties."""
        self._less[0] = self._less.get(0, 0) | 1 << node.index
        self._anchor = self._anchor or node

    def summary(self) -> str:
        """How the last choice was made, for the trail; it asks no further node."""
        if 1 not in self._room:
            self.mask(1)
        count = self._room[1].bit_count()
        able = "1 node has room" if count == 1 else f"{count} nodes have room"
        return ", ".join((able, f"{len(self._asked)} examined", self.note or self._next()))

    def _next(self) -> str:
        fits, narrow = self._last or (1, self._tightest)
        nodes = self.mask(fits)
        return f"next {self.nodes[lowest(narrow(nodes))].id}" if nodes else "no other would do"

    def _first(self, fits: int, narrow: Callable[[int], int]) -> Candidate | None:
        self._last = (fits, narrow)
        while self.fuel.left:
            nodes = self.mask(fits)
            if not nodes:
                return None
            index = self._best_joined(narrow(nodes), fits)
            found = self._ask(index)
            if found >= fits:
                return Candidate(self.nodes[index], found)
            self._less[found] = self._less.get(found, 0) | 1 << index
        return None

    def _best_joined(self, nodes: int, fits: int) -> int:
        """Of the first few of these nodes, the one where that many shards get the best links.

        Equal links mean an equal all-reduce (see allreduce.py): then the first. It stops at one
        that could not be better, which on idle nodes of one kind is the first.
        """
        first = found = lowest(nodes)
        if not nodes & nodes - 1 or fits * self.need.gpu_milli <= WHOLE_GPU_MILLI:
            return first
        if self.need.gpu_milli < WHOLE_GPU_MILLI:
            return first
        best = -1
        for _ in range(_TIES_MAX):
            weight, is_widest = slowest_link(self.nodes[first], self.need, fits, self.is_soon)
            if weight > best:
                best, found = weight, first
            nodes &= nodes - 1
            if is_widest or not nodes:
                break
            first = lowest(nodes)
        return found

    def _ask(self, index: int) -> int:
        found = self._asked.get(index)
        if found is None:
            self.fuel.burn(1)
            node = self.nodes[index]
            found = count_fits(node, self.job, self.need, SHARDS_MAX, self.is_soon)
            self._asked[index] = found
        return found

    def _tightest(self, nodes: int) -> int:
        view = self.view
        nodes = self._prefer(nodes)
        if 0 < self.share_milli < WHOLE_GPU_MILLI:  # leave whole devices whole for others
            nodes = view.partial_milli.at_least(self.share_milli, nodes) or nodes
        nodes = view.gpus.least(nodes)
        if not self.share_milli:
            nodes = view.cpu_milli.least(nodes)
        return self._near(nodes)

    def _near(self, nodes: int) -> int:
        """Those in the narrowest domain that the node taken first shares with any."""
        if self._anchor is None:
            return nodes
        for level in reversed(self._draft.cluster.levels):
            value = self._anchor.inventory.labels.get(level)
            if value is not None:
                close = nodes & self.index.domains(level)[value].mask
                if close:
                    return close
        return nodes

    def _emptiest(self, nodes: int) -> int:
        nodes = self.view.gpus.most(self._prefer(nodes))
        return self.view.cpu_milli.most(nodes)

    def _prefer(self, nodes: int) -> int:
        """Those that obey the heaviest preference that any obeys, and so on down the weights."""
        for obeying in self._preferred:
            nodes = nodes & obeying or nodes
        return nodes


def _preferred(index: NodeIndex, job: Job) -> Sequence[int]:
    """The nodes that obey each rule that only prefers, heaviest rule first."""
    rules = [rule for rule in job.spec.affinity if rule.weight > 0]
    return [index.obeying(rule) for rule in sorted(rules, key=lambda rule: -rule.weight)]


def _own_nodes(draft: Draft, job: Job) -> int:
    """The nodes where the job holds or owns anything already."""
    placements = job.current.placements if job.state.is_active else ()
    if (owned := draft.cluster.claims.get(job.id)) is not None:
        placements += owned.placements
    return mask_of([draft.cluster.nodes[p.node_id].index for p in placements])
