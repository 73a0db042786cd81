"""What all placers share: place a gang role by role, given a choice of nodes for one role."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from aimass.core.draft import Draft
from aimass.core.model import HoldKey, Job, Node, Placement, placement_of
from aimass.core.policy import Fuel, Placed, Want
from aimass.core.spec import WHOLE_GPU_MILLI, Need, Strategy
from aimass.core.wants import models_of
from aimass.policies.allreduce import Group, all_reduce
from aimass.policies.device_sets import Sets
from aimass.policies.devices import choose_devices, sets_of
from aimass.policies.room import Room

ChooseNodes = Callable[[Room, int], list[tuple[Node, int]] | None]
"""(room, shards) -> (node, shards) pairs that add up, or None when there is not room for all."""

_EVERYWHERE = -1
_ENOUGH = 1 << 30


@dataclass(frozen=True, slots=True)
class GangPlacer:
    """Places gangs whole; `choose` says on which nodes one role goes, unless the job says how."""

    name: str
    version: int
    choose: ChooseNodes
    by_strategy: Mapping[Strategy, ChooseNodes]

    def place(self, draft: Draft, job: Job, want: Want, fuel: Fuel) -> Placed | None:
        """See PlacePolicy.place. A wanted level: the tightest domain that holds the whole gang.

        The role with the fewest choices goes first. Roles are placed one after the other without
        going back, so a gang of several roles can be left waiting though some other arrangement
        would hold it; `why` then says ROLES_TOGETHER.
        """
        fuel.burn(1)
        needs = _needs(job, want)
        if not want.level:
            return self._place_among(draft, job, want, needs, fuel, _EVERYWHERE)
        for name, nodes in _domains(draft, job, want, needs, fuel):
            mark = draft.checkpoint()
            placed = self._place_among(draft, job, want, needs, fuel, nodes)
            if placed is not None:
                return replace(placed, reason=f"{placed.reason}, {want.level} {name}")
            draft.rollback(mark)
        return None

    def _place_among(
        self, draft: Draft, job: Job, want: Want, needs: list[Need], fuel: Fuel, among: int
    ) -> Placed | None:
        choose = self.by_strategy.get(job.spec.strategy, self.choose)
        by_role: list[list[Placement]] = [[] for _ in needs]
        own = 0
        trail = []
        for index in _hardest_first(draft, job, want, needs, fuel, among):
            need, shards = needs[index], want.sizes[index]
            room = Room(draft, job, need, fuel, among, own)
            if shards > 1 and room.count(shards) < shards:
                return None
            chosen = choose(room, shards)
            if chosen is None:
                return None
            trail.append(room.summary())
            rank = sum(want.sizes[:index])
            groups = []
            if len(chosen) > 1:
                chosen = in_rank_order(draft.cluster.levels, chosen)
            for node, count in chosen:
                own |= 1 << node.index
                sets = choose_devices(node, need, count, draft.is_soon)
                groups.append((node, sets))
                for devices in sets:
                    placement = placement_of(node, index, devices, need, job.spec.exclusive_node)
                    draft.place(job, HoldKey(job.id, job.attempt + 1, rank), placement)
                    by_role[index].append(placement)
                    rank += 1
            if shards * need.gpu_milli > WHOLE_GPU_MILLI <= need.gpu_milli:
                trail += _all_reduce_text(draft.cluster.levels, groups)
        ordered = tuple(chain.from_iterable(by_role))
        return Placed(ordered, f"{self.name}: {_describe(ordered)}", tuple(trail))


def in_rank_order(
    levels: Sequence[str], chosen: Sequence[tuple[Node, int]]
) -> list[tuple[Node, int]]:
    """The nodes by join order, those of one domain next to each other on every level.

    So rings cross a rack's edge once in and once out. O(nodes * levels).
    """
    ordered = sorted(chosen, key=_join_order)
    if len(ordered) < 3:
        return ordered
    first: dict[tuple[str | None, ...], int] = {}  # of each domain, its first place in the order
    keys = {}
    for place, (node, _) in enumerate(ordered):
        labels = node.inventory.labels
        path = tuple([labels.get(level) for level in levels])
        ups = [path[: depth + 1] for depth in range(len(path))]
        keys[node.index] = [first.setdefault(up, place) for up in ups]
    return sorted(ordered, key=lambda choice: keys[choice[0].index])


def _join_order(choice: tuple[Node, int]) -> int:
    return choice[0].index


def _all_reduce_text(levels: Sequence[str], groups: Sequence[tuple[Node, Sets]]) -> list[str]:
    """What an all-reduce would cost there, for the trail; groups: in rank order."""
    is_closed = len(groups) == 1
    found = all_reduce(
        levels,
        [
            Group(node, sum(map(len, sets)), sets_of(node).slowest(sets, is_closed))
            for node, sets in groups
        ],
    )
    return [found.text] if found is not None else []


def _needs(job: Job, want: Want) -> list[Need]:
    """The need of each role in this form of the job."""
    needs = [role.need for role in job.spec.roles]
    if want.gpu_types is None:
        return needs
    return [replace(need, gpu_types=models_of(need, want)) for need in needs]


def _hardest_first(
    draft: Draft, job: Job, want: Want, needs: list[Need], fuel: Fuel, among: int
) -> list[int]:
    """Role indexes by how often the role would fit, least first."""
    if len(needs) == 1:
        return [0]
    room = [Room(draft, job, need, fuel, among).count(_ENOUGH) for need in needs]
    return sorted(range(len(needs)), key=lambda i: (1000 * room[i] // want.sizes[i], i))


def _domains(
    draft: Draft, job: Job, want: Want, needs: list[Need], fuel: Fuel
) -> Iterator[tuple[str, int]]:
    """(name, nodes) of the domains that may hold every role, those with the least room first.

    Of equal ones first where a node takes most shards: the gang crosses the network less often.
    """
    domains = list(draft.cluster.index.domains(want.level).values())
    rooms = [Room(draft, job, need, fuel).count_by_domain(domains) for need in needs]
    holding = [
        (sum(count for count, _ in counts), -sum(most for _, most in counts), position)
        for position, counts in enumerate(zip(*rooms, strict=True))
        if all(count >= size for (count, _), size in zip(counts, want.sizes, strict=True))
    ]
    for _, _, position in sorted(holding):
        yield domains[position].name, domains[position].mask


def _describe(placements: tuple[Placement, ...]) -> str:
    if len(placements) == 1:
        return f"1 shard on {placements[0].node_id}"
    nodes = list(dict.fromkeys([p.node_id for p in placements]))
    where = ", ".join(nodes[:4]) + (f" and {len(nodes) - 4} more" if len(nodes) > 4 else "")
    return f"{len(placements)} shards on {where}"
