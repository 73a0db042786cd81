"""Trials of moves: the cheapest set of movers after which the job and all of them have a place.

Ways (ways.py) are sums over one node. Here they are put together for a gang, and proved by placing
everybody on the draft: each such try counts, and only sets are tried that sums do not rule out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from aimass.core.model import Job, Node, NodeId
from aimass.core.policy import Fuel, Placed, Want
from aimass.core.preempt import claiming
from aimass.core.search import Search
from aimass.core.wants import forms, sizes_of
from aimass.core.ways import Mover, Sums, Way, width


class Found(NamedTuple):
    """Where the waiting job goes, and where each goes on who moves for it."""

    placed: Placed
    moves: tuple[tuple[Mover, Placed], ...]

    @property
    def loss(self) -> int:
        """What all of them lose."""
        return sum(mover.loss for mover, _ in self.moves)


@dataclass(frozen=True, slots=True)
class Case:
    """What is tried for one job in one form. tries: how many sets may yet be."""

    search: Search
    job: Job
    want: Want
    most: int
    worth: int
    tries: Fuel
    sums: Sums


def cheapest(case: Case, ways: list[Way]) -> Found | None:
    """The cheapest of them, or for a gang of several, after which all have a place; on the draft.

    With a topology level every domain is tried in which sums allow it, the cheapest by sums first,
    for as long as there are tries; of what is found the cheapest is taken.
    """
    search, want = case.search, case.want
    if not want.level or sum(want.sizes) == 1:
        return _carry_out(case, _first(case, ways, "", frozenset()), frozenset())
    mark, nodes = search.draft.checkpoint(), search.cluster.index.nodes
    by_domain: dict[str, list[Way]] = {}
    for way in ways:
        by_domain.setdefault(nodes[way.node].inventory.labels.get(want.level, ""), []).append(way)
    hopes = [(_hope(case, those, name), name) for name, those in by_domain.items()]
    best: tuple[int, str, list[Mover], frozenset[NodeId]] | None = None
    for _, name in sorted((loss, name) for loss, name in hopes if loss is not None):
        if not case.tries.left:
            break
        closed = _outside(nodes, want.level, name)
        movers = _first(case, by_domain[name], name, closed)
        search.draft.rollback(mark)
        loss = sum(mover.loss for mover in movers)
        if movers and (best is None or (loss, name) < best[:2]):
            best = (loss, name, movers, closed)
    return _carry_out(case, *best[2:]) if best is not None else None


def _outside(nodes: list[Node], level: str, name: str) -> frozenset[NodeId]:
    """The nodes of all other domains. O(nodes)."""
    return frozenset(n.id for n in nodes if n.inventory.labels.get(level, "") != name)


def _sets(case: Case, ways: list[Way], name: str, chosen: list[Way]) -> Iterator[list[Way]]:
    """One way after the other added to the chosen, which the caller changes; where sums allow it.

    Passed over is who costs too much, or for whom there is no room elsewhere.
    """
    for way in ways:
        case.search.fuel.burn(1)
        if not case.search.fuel.left:
            return
        movers = _together([*chosen, way])
        if len(movers) > case.most or sum(mover.loss for mover in movers) >= case.worth:
            continue
        if not case.sums.are_elsewhere(movers):
            continue
        if sum(case.want.sizes) == 1:
            yield [way]
            continue
        chosen.append(way)
        if case.sums.may_hold(name, movers):
            yield list(chosen)


def _hope(case: Case, ways: list[Way], name: str) -> int | None:
    """What the first set loses that sums allow; None: there is none."""
    first = next(_sets(case, ways, name, []), None)
    return sum(mover.loss for mover in _together(first)) if first is not None else None


def _first(case: Case, ways: list[Way], name: str, closed: frozenset[NodeId]) -> list[Mover]:
    """Add one way after the other, the cheapest first, until the gang fits; then leave out again.

    A way is given up when one of its movers has nowhere to go. Nobody: no set could be carried out.
    """
    chosen: list[Way] = []
    for trial in _sets(case, ways, name, chosen):
        if not case.tries.left:
            break
        found = _try(case, _together(trial), closed)
        if isinstance(found, Found):
            for spared in sorted(trial, reverse=True) if len(trial) > 1 else ():
                rest = _together([other for other in trial if other is not spared])
                if not rest or not case.tries.left or not case.sums.may_hold(name, rest):
                    continue
                if isinstance(_try(case, rest, closed), Found):
                    trial = [other for other in trial if other is not spared]
            return _together(trial)
        if found is not None:
            stuck = found.job.id
            chosen[:] = [each for each in chosen if stuck not in {m.job.id for m in each.movers}]
    return []


def _together(ways: list[Way]) -> list[Mover]:
    """All who move, once each: a gang may be in the way on several nodes."""
    return list({mover.job.id: mover for way in ways for mover in way.movers}.values())


def _try(case: Case, movers: list[Mover], closed: frozenset[NodeId]) -> Found | Mover | None:
    """Carry it out and take it back. Returns who has nowhere to go, None: the job does not fit."""
    case.tries.burn(1)
    mark = case.search.draft.checkpoint()
    found = _put(case, movers, closed)
    case.search.draft.rollback(mark)
    return found


def _carry_out(case: Case, movers: list[Mover], closed: frozenset[NodeId]) -> Found | None:
    """What a try has shown to be possible; on the draft. None: nobody was found to move."""
    found = _put(case, movers, closed) if movers else None
    return found if isinstance(found, Found) else None


def _put(case: Case, movers: list[Mover], closed: frozenset[NodeId]) -> Found | Mover | None:
    """Place the job where they leave, then each of them where it can go on at once; on the draft.

    closed: where the job shall not go.
    """
    search, job, draft = case.search, case.job, case.search.draft
    for mover in movers:
        draft.evict(mover.job)
    with claiming(search, job):
        draft.closed |= closed
        placed = search.place(job, case.want, [])
    if placed is None:
        return None
    leaving = case.sums.leaving | {p.node_id for m in movers for p in m.job.current.placements}
    moves = []
    for mover in sorted(movers, key=lambda mover: (-width(mover.job), *mover[:2])):
        again = _elsewhere(search, mover.job, leaving)
        if again is None:
            return mover
        moves.append((mover, again))
    return Found(placed, tuple(moves))


def _elsewhere(search: Search, job: Job, leaving: frozenset[NodeId]) -> Placed | None:
    """Its next attempt in the same size, on nodes that nobody is leaving: it is to wait for nobody.

    So its old nodes are none of them.
    """
    sizes = sizes_of(job, job.current.placements)
    for form in forms(job, search.cluster.now_ms):
        with claiming(search, job):
            search.draft.closed |= leaving
            again = search.place(job, Want(sizes, form.gpu_types, form.level), [])
        if again is not None:
            return again
    return None
