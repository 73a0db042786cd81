"""Promises: where and when a blocked job will start, by looking into the future that is expected.

EASY backfill (Lifka 1995) for the K most entitled blocked jobs instead of one, and by devices
instead of whole nodes: what is promised is claimed on the draft, so whoever comes later may use it
only if it has ended before. A promise is kept as long as it can be; it only ever moves to an
earlier time, or when the world breaks it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from aimass.core.capacity import PromiseKey
from aimass.core.draft import Draft
from aimass.core.model import Job, JobState, NodeId, NodeState, Placement
from aimass.core.plan import Claim, Planned, Start
from aimass.core.policy import Placed
from aimass.core.runtimes import UNKNOWN_MS, expected_end_ms, run_estimate, stop_ms
from aimass.core.search import Search
from aimass.core.spec import WHOLE_GPU_MILLI
from aimass.core.suits import still_suit
from aimass.core.wants import forms
from aimass.core.windows import occurrences

WINDOWS_TRIED = 8  # occurrences of one window that a promise looks past


@dataclass(slots=True)  # not frozen: one is made for every active job
class _Point:
    """A time at which capacity comes back, and what gives it back on a draft."""

    at_ms: int
    seq: int
    is_known: bool
    waits_for: str
    give_back: Callable[[Draft], None]


def _by_time(point: _Point) -> tuple[int, int]:
    return (point.at_ms, point.seq)


class Future:
    """When everything that holds or owns capacity should give it back."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._active = sorted(
            (self._end_of(j) for j in search.cluster.active.values()), key=_by_time
        )

    def points(self) -> list[_Point]:
        """All of them as the draft stands, by time. O(active)."""
        search, cluster = self._search, self._search.cluster
        active = self._active
        if search.evicted:
            active = [self._end_of(cluster.jobs[i]) for i in sorted(search.evicted)]
            active += [p for p in self._active if p.waits_for not in search.evicted]
        owned = [
            self._over(cluster.jobs[claim.job_id], claim)
            for claim in (*cluster.claims.values(), *search.claims)
            if claim.job_id not in search.dropped and claim.job_id not in search.starts
        ]
        started = [self._started(cluster.jobs[i], s) for i, s in search.starts.items()]
        promised = [self._promised(promise) for promise in search.others()]
        return sorted([*active, *owned, *started, *promised, *self._windows()], key=_by_time)

    def _end_of(self, job: Job) -> _Point:
        end_ms, is_known = expected_end_ms(self._search.cluster, job)
        if job.id in self._search.evicted:
            end_ms, is_known = self._search.cluster.now_ms + stop_ms(job), True
        return _Point(end_ms, job.submit_seq, is_known, job.id, lambda draft: draft.release(job))

    def _over(self, job: Job, claim: Claim) -> _Point:
        """The end of an attempt that will start when the victims of its claim have left."""
        is_known = run_estimate(self._search.cluster, job)[2]

        def give_back(draft: Draft) -> None:
            draft.unclaim(job, claim.attempt, claim.placements)

        at_ms = claim_end_ms(self._search, claim)
        return _Point(at_ms, job.submit_seq, is_known, job.id, give_back)

    def _started(self, job: Job, start: Start) -> _Point:
        run_ms, _, is_known = run_estimate(self._search.cluster, job)

        def give_back(draft: Draft) -> None:
            draft.unplace(job, start.attempt, start.placements)

        at_ms = self._search.cluster.now_ms + run_ms
        return _Point(at_ms, job.submit_seq, is_known, job.id, give_back)

    def _promised(self, promise: Planned) -> _Point:
        job = self._search.cluster.jobs[promise.job_id]

        def give_back(draft: Draft) -> None:
            self._search.lift([promise])

        is_known = promise.is_known and run_estimate(self._search.cluster, job)[2]
        return _Point(promise.end_ms, job.submit_seq, is_known, job.id, give_back)

    def _windows(self) -> list[_Point]:
        """Nothing comes back at the edge of a window, but who may use the nodes changes."""
        cluster = self._search.cluster
        until_ms = cluster.now_ms + UNKNOWN_MS
        return [
            _Point(end_ms, 0, True, f"window {window.name}", lambda draft: None)
            for window in cluster.windows.values()
            for _, end_ms in islice(occurrences(window, cluster.now_ms, until_ms), WINDOWS_TRIED)
        ]


def claim_end_ms(search: Search, claim: Claim) -> int:
    """When the attempt that will start on the claim should have ended."""
    cluster = search.cluster
    ends = [cluster.now_ms]
    for victim in (cluster.jobs[i] for i in claim.victims if i in cluster.jobs):
        if victim.id in search.evicted:
            ends.append(cluster.now_ms + stop_ms(victim))
        elif victim.state is JobState.STOPPING:
            ends.append(expected_end_ms(cluster, victim)[0])
    return max(ends) + run_estimate(cluster, cluster.jobs[claim.job_id])[0]


def find_promise(
    search: Search, future: list[Future], job: Job, is_soon: bool = False
) -> Planned | None:
    """The promise that the job keeps, or the earliest that can be made; None: no time is known.

    future: empty, or the one look into the future that this pass has taken.
    is_soon: it waits for those who are leaving, so what it was promised before may be too late.
    O(ends before it) steps on the draft, and O(log of them) placements.
    """
    old = search.cluster.planned.get(job.id)
    if old is not None and holds(search, job, old):
        if (search.promises and not is_soon) or old.start_ms <= search.cluster.now_ms:
            return old
        # The first in line may do better, if that is in nobody's way; the others keep theirs.
        aside = list(search.aside.values())
        search.lower(aside)
        new = _earliest(search, future, job, old.start_ms)
        search.lift(aside)
        return new if new is not None and new.start_ms < old.start_ms else old
    if old is None:
        return _earliest(search, future, job, 0)
    with search.putting_off(job, old):
        return _earliest(search, future, job, 0)


def keep_promise(search: Search, job: Job) -> None:
    """Let a job that something else stops now keep the promise it has, if that can be kept."""
    old = search.cluster.planned.get(job.id)
    if old is not None and holds(search, job, old):
        search.promise(job, old)


def keep_standing(search: Search) -> None:
    """Who was promised a start keeps it, also when the pass did not come to the job."""
    for planned in list(search.standing.values()):
        del search.standing[planned.job_id]
        search.lift([planned])
        job = search.cluster.jobs[planned.job_id]
        if job.id not in search.starts and not search.is_claimed(job.id):
            keep_promise(search, job)
            if job.id not in search.promises:
                search.lose(job)


def improve_first(search: Search) -> None:
    """Whoever the pass has stopped since may let the first in line start earlier than promised."""
    first = next(iter(search.promises.values()), None)
    if first is None or not search.evicted or first.start_ms <= search.cluster.now_ms:
        return
    job = search.cluster.jobs[first.job_id]
    search.lift([first])
    new = _earliest(search, [], job, first.start_ms)
    best = new if new is not None and new.start_ms < first.start_ms else first
    search.lower([best])
    search.promises[job.id] = best


def _earliest(search: Search, future: list[Future], job: Job, before_ms: int) -> Planned | None:
    if not future:
        future.append(Future(search))
    points = future[0].points()
    if before_ms:
        points = [point for point in points if point.at_ms < before_ms]
    found = _first_fit(search, job, points)
    if found is None:
        return None
    number, placed = found
    start_ms = max(points[number].at_ms, search.cluster.now_ms)
    run_ms = run_estimate(search.cluster, job)[0]
    if job.spec.deadline_ms and start_ms + job.spec.run_ms > job.spec.deadline_ms:
        return None
    known = all(point.is_known for point in points[: number + 1])
    reason = f"when {points[number].waits_for} has ended; {placed.reason}"
    return Planned(job.id, start_ms, start_ms + run_ms, placed.placements, known, reason)


def _first_fit(search: Search, job: Job, points: list[_Point]) -> tuple[int, Placed] | None:
    """(index of the first point after which the job fits, where); doubling, then halving."""
    draft = search.draft
    mark = draft.checkpoint()
    low, step = 0, 1  # the job does not fit after points[:low]
    while low < len(points):
        high = min(len(points), low + step)
        _release(draft, points[low:high])
        search.fuel.burn(high - low)
        placed = _place(search, job, points[high - 1].at_ms)
        if placed is not None:
            break
        low, step = high, 2 * step
        if not search.fuel.left:
            break
    else:
        draft.rollback(mark)
        return None
    draft.rollback(mark)
    if placed is None:
        return None
    _release(draft, points[:low])
    while high - low > 1:
        middle = (low + high) // 2
        here = draft.checkpoint()
        _release(draft, points[low:middle])
        found = _place(search, job, points[middle - 1].at_ms)
        if found is not None:
            high, placed = middle, found
            draft.rollback(here)
        else:
            low = middle
    draft.rollback(mark)
    return high - 1, placed


def _release(draft: Draft, points: list[_Point]) -> None:
    for point in points:
        point.give_back(draft)


def _place(search: Search, job: Job, at_ms: int) -> Placed | None:
    """Where it would start then; the draft is left as it was. Windows of that time are kept.

    Promises that begin when it should have ended are in nobody's way.
    """
    draft = search.draft
    mark = draft.checkpoint()
    ends_ms = max(at_ms, search.cluster.now_ms) + run_estimate(search.cluster, job)[0]
    others = (promise for promise in search.others() if promise.job_id != job.id)
    search.lift([promise for promise in others if promise.start_ms >= ends_ms])
    with search.closing(job, at_ms):
        placed = None
        for want in forms(job, at_ms):
            placed = search.at_largest(job, want, [])
            if placed is not None:
                break
    draft.rollback(mark)
    return placed


def _is_clear(search: Search, job: Job, old: Planned) -> bool | None:
    """Whether nobody will be on the whole devices promised; None: only a trial on the draft says.

    O(what is held and promised on their nodes).
    """
    nodes, starts = search.cluster.nodes, search.starts
    if not still_suit(search.cluster, job, old.placements):
        return False
    asked: dict[NodeId, list[Placement]] = {}
    for place in old.placements:
        if place.share_milli != WHOLE_GPU_MILLI or place.exclusive:
            return None
        asked.setdefault(place.node_id, []).append(place)
    for node_id, places in asked.items():
        node = nodes[node_id]
        if node.state is not NodeState.READY:
            return False
        staying = []
        for key, held in node.holds.items():
            start = starts.get(key.job_id)
            if held.exclusive or (start is not None and start.attempt != key.attempt):
                return None
            if search.end_ms(key.job_id) > old.start_ms:
                staying.append(held)
        for key, kept in node.claims.items():
            promise = search.promises.get(key.job_id) or search.standing.get(key.job_id)
            if promise is None or kept.exclusive or type(key) is not PromiseKey:
                return None
            if promise.end_ms > old.start_ms and promise.start_ms < old.end_ms:
                staying.append(kept)
        busy = {index for place in staying for index in place.devices}
        if any(index in busy for place in places for index in place.devices):
            return False
        every = (*staying, *places)
        if (
            sum([place.cpu_milli for place in every]) > node.inventory.cpu_milli
            or sum([place.memory_mib for place in every]) > node.inventory.memory_mib
        ):
            return None
    return True


def holds(search: Search, job: Job, old: Planned) -> bool:
    """True when the promise can still be kept: its places will be free, and still suit the job."""
    cluster = search.cluster
    if old.start_ms < cluster.now_ms:
        return False
    if job.spec.run_ms and old.end_ms - old.start_ms != run_estimate(cluster, job)[0]:
        return False
    nodes = list(dict.fromkeys(p.node_id for p in old.placements))
    if search.closed_for(job, old.start_ms).intersection(nodes):
        return False
    is_clear = _is_clear(search, job, old)
    if is_clear is not None:
        return is_clear
    draft = search.draft
    mark = draft.checkpoint()
    for node_id in nodes:
        for job_id in dict.fromkeys(key.job_id for key in cluster.nodes[node_id].holds):
            holder = cluster.jobs[job_id]
            start = search.starts.get(job_id)
            if start is not None:
                if cluster.now_ms + run_estimate(cluster, holder)[0] <= old.start_ms:
                    draft.unplace(holder, start.attempt, start.placements)
            elif expected_end_ms(cluster, holder)[0] <= old.start_ms:
                draft.release(holder)
    for claim in (*cluster.claims.values(), *search.claims):
        owner = cluster.jobs[claim.job_id]
        is_there = claim.job_id not in search.dropped and claim.job_id not in search.starts
        if is_there and claim_end_ms(search, claim) <= old.start_ms:
            draft.unclaim(owner, claim.attempt, claim.placements)
    for promise in search.others():
        if promise.end_ms <= old.start_ms or promise.start_ms >= old.end_ms:
            search.lift([promise])
    is_kept = draft.hold_exactly(job, old.placements)
    draft.rollback(mark)
    return is_kept
