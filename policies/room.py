"""Room: the nodes that can take shards of one role, for a policy to choose from, best ones first.

The node index names who may have room, shards_fit says for sure, and only nodes that a policy is
about to use are asked: placing one shard on 100,000 nodes asks one or two of them.
"""

from dataclasses import dataclass

from aimass.core.bitslice import lowest, mask_of
from aimass.core.draft import Draft
from aimass.core.feasible import shards_fit
from aimass.core.model import Job, Node
from aimass.core.node_index import EXCLUSIVE, SHARED, Domain
from aimass.core.policy import Fuel
from aimass.core.spec import WHOLE_GPU_MILLI, Need
from aimass.core.spec_problems import SHARDS_MAX

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
    """

    def __init__(
        self, draft: Draft, job: Job, need: Need, fuel: Fuel, among: int = -1, own: int = 0
    ) -> None:
        cluster, index = draft.cluster, draft.cluster.index
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
        self._all = mask
        self._room: dict[int, int] = {}  # by shards a node
        self._asked: dict[int, int] = {}  # by node index, shards that fit for sure
        self._less: dict[int, int] = {}  # by shards that fit, nodes that looked as if they took more
        self._near = [cluster.levels] if cluster.levels else []
        self._close: list[int] = []
        rules = [rule for rule in job.spec.affinity if rule.weight > 0]
        rules.sort(key=lambda rule: -rule.weight)
        self._preferred = [index.obeying(rule) for rule in rules]

    def mask(self, fits: int) -> int:
        """The nodes that may take so many shards each: every one that does, and perhaps others."""
        found = self._room.get(fits)
        if found is None:
            found = self.view.room(self.need, self.share_milli, fits, self._all)
            self._room[fits] = found
        for less, nodes in self._less.items():
            if less < fits:
                found &= ~nodes
        return found

    def count(self, enough: int) -> int:
        """An upper bound of the shards that fit on all nodes; exact enough above `enough`."""
        total = 0
        for step, after in zip(_STEPS, _STEPS[1:], strict=False):
            nodes = self.mask(step)
            total += nodes.bit_count() * (after - step)
            if not nodes or total >= enough:
                break
        return total
