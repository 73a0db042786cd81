"""What all placers share: place a gang role by role, given a choice of nodes for one role."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from aimass.core.draft import Draft
from aimass.core.feasible import shards_fit
from aimass.core.model import HoldKey, Job, Node, Placement, placement_of
from aimass.core.policy import Fuel, Placed, Want
from aimass.core.spec import Need, Strategy
from aimass.core.spec_problems import SHARDS_MAX
from aimass.policies.devices import choose_devices


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that can take `fits` shards of a role; free_gpu_milli is what it has free."""

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

    def place(self, draft: Draft, job: Job, want: Want, fuel: Fuel) -> Placed | None:
        """See PlacePolicy.place. The role with the fewest choices goes first.

        Roles are placed one after the other without going back, so a gang of several roles can be
        left waiting though some other arrangement would hold it; `why` then says ROLES_TOGETHER.
        """
        for nodes in _domains(draft, want.level):
            mark = draft.checkpoint()
            placed = self._place_on(draft, job, want, list(nodes), fuel)
            if placed is not None or not fuel.left:
                return placed
            draft.rollback(mark)
        return None

    def _place_on(
        self, draft: Draft, job: Job, want: Want, nodes: list[Node], fuel: Fuel
    ) -> Placed | None:
        needs = wanted_needs(job, want)
        first_rank, total = [], 0
        for size in want.sizes:
            first_rank.append(total)
            total += size
        placements: dict[int, Placement] = {}
        for index in self._hardest_first(draft, job, want, needs, nodes, fuel):
            need = needs[index]
            chosen = self._nodes_for(draft, job, need, want.sizes[index], nodes, fuel)
            if chosen is None:
                return None
            rank = first_rank[index]
            for node, shards in sorted(chosen, key=lambda pair: pair[0].index):
                for devices in choose_devices(node, need, shards, draft.is_soon):
                    exclusive = job.spec.exclusive_node
                    placement = placement_of(node, index, devices, need, exclusive)
                    draft.place(job, HoldKey(job.id, job.attempt + 1, rank), placement)
                    placements[rank] = placement
                    rank += 1
        ordered = tuple(placements[rank] for rank in range(total))
        return Placed(ordered, f"{self.name}: {_describe(ordered)}")

    def _hardest_first(
        self, draft: Draft, job: Job, want: Want, needs: list[Need], nodes: list[Node], fuel: Fuel
    ) -> list[int]:
        """Role indexes by how often the role would fit, least first."""
        if len(needs) == 1:
            return [0]
        room = [0] * len(needs)
        for index, need in enumerate(needs):
            for node in nodes:
                fits, _ = shards_fit(node, job, need, SHARDS_MAX, draft.is_soon)
                room[index] += fits
            fuel.burn(len(nodes))
        return sorted(range(len(needs)), key=lambda i: (1000 * room[i] // want.sizes[i], i))

    def _nodes_for(
        self, draft: Draft, job: Job, need: Need, shards: int, nodes: list[Node], fuel: Fuel
    ) -> list[tuple[Node, int]] | None:
        candidates, capacity = [], 0
        for node in nodes:
            fits, _ = shards_fit(node, job, need, shards, draft.is_soon)
            if fits:
                free = sum(device.free_milli for device in node.devices)
                candidates.append(Candidate(node, fits, free))
                capacity += fits
        fuel.burn(len(nodes))
        if capacity < shards:
            return None
        choose = self.by_strategy.get(job.spec.strategy, self.choose)
        return choose(candidates, shards)


def wanted_needs(job: Job, want: Want) -> list[Need]:
    """The need of each role in this form of the job."""
    needs = [role.need for role in job.spec.roles]
    if want.gpu_types is None:
        return needs
    types = want.gpu_types
    return [replace(need, gpu_types=types) if need.has_gpu else need for need in needs]


def _domains(draft: Draft, level: str) -> Iterable[Iterable[Node]]:
    nodes = draft.cluster.nodes.values()
    if not level:
        return [nodes]
    domains: dict[str, list[Node]] = {}
    for node in nodes:
        if level in node.inventory.labels:
            domains.setdefault(node.inventory.labels[level], []).append(node)
    return domains.values()


def _describe(placements: tuple[Placement, ...]) -> str:
    nodes = list(dict.fromkeys(p.node_id for p in placements))
    where = ", ".join(nodes[:4]) + (f" and {len(nodes) - 4} more" if len(nodes) > 4 else "")
    shards = "1 shard" if len(placements) == 1 else f"{len(placements)} shards"
    return f"{shards} on {where}"
