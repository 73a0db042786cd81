"""What all placers share: place a gang role by role, given a choice of nodes for one role."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from aimass.core.bitslice import mask_of
from aimass.core.domains import Domain
from aimass.core.draft import Draft
from aimass.core.model import HoldKey, Job, Node, Placement, placement_of
from aimass.core.policy import Fuel, Placed, Want
from aimass.core.spec import WHOLE_GPU_MILLI, Need, Strategy
from aimass.core.wants import models_of
from aimass.policies.allreduce import Group, all_reduce
from aimass.policies.device_sets import Sets
from aimass.policies.devices import choose_devices, sets_of
from aimass.policies.domain_order import domains_holding
from aimass.policies.gather import ChooseNodes as ChooseNodes
from aimass.policies.gather import Chosen, Gang, gather
from aimass.policies.place_spread import spread_nodes
from aimass.policies.room import Room

_ENOUGH = 1 << 30


@dataclass(slots=True)  # not frozen: one is made for every placement
class _Try:
    """One gang to place in one form, in one domain or anywhere.

    levels: those of which the domain is made, widest first. choose: for the nodes of one role.
    """

    draft: Draft
    job: Job
    want: Want
    needs: list[Need]
    fuel: Fuel
    choose: ChooseNodes
    levels: Sequence[str]
    inside: Domain | None = None

    def room(self, role: int, own: Collection[int] = ()) -> Room:
        """Where a role may go; own: the nodes where the gang lies already."""
        among, nodes = self.inside.mask if self.inside is not None else -1, mask_of(list(own))
        return Room(self.draft, self.job, self.needs[role], self.fuel, among, nodes)


@dataclass(frozen=True, slots=True)
class GangPlacer:
    """Places gangs whole; `choose` says on which nodes one role goes, unless the job says how."""

    name: str
    version: int
    choose: ChooseNodes
    by_strategy: Mapping[Strategy, ChooseNodes]

    def place(self, draft: Draft, job: Job, want: Want, fuel: Fuel) -> Placed | None:
        """See PlacePolicy.place. A wanted level: the best domain that holds the whole gang.

        The role with the fewest choices goes first. Roles are placed one after the other without
        going back, so a gang of several roles can be left waiting though some other arrangement
        would hold it; `why` then says ROLES_TOGETHER.
        """
        fuel.burn(1)
        choose = self.by_strategy.get(job.spec.strategy, self.choose)
        levels = draft.cluster.levels
        trial = _Try(draft, job, want, _needs(job, want), fuel, choose, levels)
        if not want.level:
            return self._place(trial)
        below = levels[levels.index(want.level) + 1 :] if want.level in levels else ()
        rooms = [trial.room(role) for role in range(len(trial.needs))]
        for domain in domains_holding(rooms, want.sizes, want.level, below=below):
            mark = draft.checkpoint()
            placed = self._place(replace(trial, levels=below, inside=domain))
            if placed is not None:
                return replace(placed, reason=f"{placed.reason}, {want.level} {domain.name}")
            draft.rollback(mark)
        return None

    def _place(self, trial: _Try) -> Placed | None:
        draft, job, fuel, sizes = trial.draft, trial.job, trial.fuel, trial.want.sizes
        among = trial.inside.mask if trial.inside is not None else -1
        is_alone = len(sizes) == 1
        is_topology_free = not trial.levels or trial.choose is spread_nodes
        by_role: list[list[Placement]] = [[] for _ in sizes]
        own: dict[int, Node] = {}
        trail: list[str] = []
        order = (0,) if is_alone else _hardest_first(trial)
        for at, role in enumerate(order):
            need, shards = trial.needs[role], sizes[role]
            room = Room(draft, job, need, fuel, among, mask_of(list(own)) if own else 0)
            if shards > 1 and room.count(shards) < shards:
                return None
            said = ""
            if is_topology_free or (is_alone and (shards == 1 or room.most_fits(shards) == shards)):
                chosen = trial.choose(room, shards)
            else:
                chosen, said = _gather(trial, room, order[at:], own)
            if chosen is None:
                return None
            trail.append(room.summary())
            if said:
                trail.append(said)
            rank = sum(sizes[:role]) if role else 0
            groups = []
            if len(chosen) > 1:
                chosen = in_rank_order(draft.cluster.levels, chosen)
            for node, count in chosen:
                own[node.index] = node
                sets = choose_devices(node, need, count, draft.is_soon)
                groups.append((node, sets))
                for devices in sets:
                    placement = placement_of(node, role, devices, need, job.spec.exclusive_node)
                    draft.place(job, HoldKey(job.id, job.attempt + 1, rank), placement)
                    by_role[role].append(placement)
                    rank += 1
            if shards * need.gpu_milli > WHOLE_GPU_MILLI <= need.gpu_milli:
                trail += _all_reduce_text(draft.cluster.levels, groups)
        ordered = tuple(chain.from_iterable(by_role))
        return Placed(ordered, f"{self.name}: {_describe(ordered)}", tuple(trail))


def _gather(
    trial: _Try, room: Room, roles: Sequence[int], own: Mapping[int, Node]
) -> tuple[Chosen | None, str]:
    """Nodes for the first of these roles, domains first; what that costs, for the trail.

    room: where it may go; the others have no place yet either. own: where the gang lies already.
    """
    later = roles[1:]
    rooms = [room, *(trial.room(role, own) for role in later)]
    by_role = [n * need.gpu_milli for n, need in zip(trial.want.sizes, trial.needs, strict=True)]
    gpu_milli = sum(milli for role, milli in enumerate(by_role) if role not in later)
    sizes = [trial.want.sizes[role] for role in roles]
    nodes, fits = tuple(own.values()), room.most_fits(sizes[0])
    if not fits:
        return None, ""
    gang = Gang(rooms, sizes, trial.levels, trial.inside, nodes, gpu_milli, fits)
    gathered = gather(gang, trial.choose)
    if gathered is None:
        return None, ""
    chosen, bill, others = gathered
    return chosen, bill.text(trial.levels, others) if bill.nodes > 1 else ""


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


def _hardest_first(trial: _Try) -> tuple[int, ...]:
    """Role indexes by how often the role would fit, least first."""
    sizes = trial.want.sizes
    room = [trial.room(role).count(_ENOUGH) for role in range(len(sizes))]
    return tuple(sorted(range(len(sizes)), key=lambda i: (1000 * room[i] // sizes[i], i)))


def _describe(placements: tuple[Placement, ...]) -> str:
    if len(placements) == 1:
        return f"1 shard on {placements[0].node_id}"
    nodes = list(dict.fromkeys([p.node_id for p in placements]))
    where = ", ".join(nodes[:4]) + (f" and {len(nodes) - 4} more" if len(nodes) > 4 else "")
    return f"{len(placements)} shards on {where}"
