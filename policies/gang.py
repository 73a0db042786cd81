"""What all placers share: place a gang role by role, given a choice of nodes for one role."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aimass.core.draft import Draft
from aimass.core.feasible import shards_fit
from aimass.core.model import HoldKey, Job, Node, Placement
from aimass.core.policy import Fuel, Placed
from aimass.core.spec import SHARDS_MAX, Role, Strategy
from aimass.policies.devices import choose_devices


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that can take `fits` shards of a role now; free_gpu_milli is what it has free."""

    node: Node
    fits: int
    free_gpu_milli: int


ChooseNodes = Callable[[list[Candidate], int], list[tuple[Node, int]]]
"""(candidates, shards) -> (node, shards) pairs that add up; together the candidates hold them."""


@dataclass(frozen=True, slots=True)
class GangPlacer:
    """Places gangs whole; `choose` says on which nodes one role goes, unless the job says how."""

    name: str
    version: int
    choose: ChooseNodes
    by_strategy: Mapping[Strategy, ChooseNodes]

    def place(self, draft: Draft, job: Job, fuel: Fuel) -> Placed | None:
        """See PlacePolicy.place. The role with the fewest choices goes first.

        Roles are placed one after the other without going back, so a gang of several roles can be
        left waiting though some other arrangement would hold it; `why` then says ROLES_TOGETHER.
        """
        spec = job.spec
        first_rank, total = [], 0
        for role in spec.roles:
            first_rank.append(total)
            total += role.shards
        placements: dict[int, Placement] = {}
        for index in self._hardest_first(draft, job, fuel):
            role = spec.roles[index]
            nodes = self._nodes_for(draft, job, role, fuel)
            if nodes is None:
                return None
            rank = first_rank[index]
            for node, shards in sorted(nodes, key=lambda pair: pair[0].index):
                for devices in choose_devices(node, role.need, shards):
                    placement = _placement(index, node, devices, role)
                    draft.place(HoldKey(job.id, job.attempt + 1, rank), placement)
                    placements[rank] = placement
                    rank += 1
        ordered = tuple(placements[rank] for rank in range(total))
        return Placed(ordered, f"{self.name}: {_describe(ordered)}")

    def _hardest_first(self, draft: Draft, job: Job, fuel: Fuel) -> list[int]:
        """Role indexes by how often the role would fit, least first."""
        roles = job.spec.roles
        if len(roles) == 1:
            return [0]
        room = [0] * len(roles)
        for index, role in enumerate(roles):
            for node in draft.cluster.nodes.values():
                fits, _ = shards_fit(node, role.need, job.spec.node_selector, SHARDS_MAX)
                room[index] += fits
            fuel.burn(len(draft.cluster.nodes))
        return sorted(range(len(roles)), key=lambda i: (1000 * room[i] // roles[i].shards, i))

    def _nodes_for(
        self, draft: Draft, job: Job, role: Role, fuel: Fuel
    ) -> list[tuple[Node, int]] | None:
        candidates, capacity = [], 0
        for node in draft.cluster.nodes.values():
            fits, _ = shards_fit(node, role.need, job.spec.node_selector, role.shards)
            if fits:
                free = sum(device.free_milli for device in node.devices)
                candidates.append(Candidate(node, fits, free))
                capacity += fits
        fuel.burn(len(draft.cluster.nodes))
        if capacity < role.shards:
            return None
        choose = self.by_strategy.get(job.spec.strategy, self.choose)
        return choose(candidates, role.shards)


def _placement(index: int, node: Node, devices: tuple[int, ...], role: Role) -> Placement:
    need = role.need
    return Placement(index, node.id, devices, need.share_milli, need.cpu_milli, need.memory_mib)


def _describe(placements: tuple[Placement, ...]) -> str:
    nodes = list(dict.fromkeys(p.node_id for p in placements))
    where = ", ".join(nodes[:4]) + (f" and {len(nodes) - 4} more" if len(nodes) > 4 else "")
    shards = "1 shard" if len(placements) == 1 else f"{len(placements)} shards"
    return f"{shards} on {where}"
