"""Gavel's policies (OSDI 2020) without its rounds: who has had least of its share runs next.

Shares of time come from a program over all live jobs (gavel_shares.py), made anew whenever one
comes or goes. They are realised by Gavel's priority: share, over the part that the job had of all
time that live jobs have had on the model. At every event GPUs go to the highest priorities, so that
nobody who comes waits for a round; who holds GPUs keeps them for INTERVAL_MS at least, and makes
way only for who is owed HOLD times as much.

Measured on Gavel's own traces without restart costs: HOLD makes a fifth to a half of the moves, and
completion times 0.5 to 1 % shorter; intervals of 3 and 12 minutes differ by up to 1 %.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from aimass.core.cluster import Cluster
from aimass.core.model import Job, JobId
from aimass.core.policy import Allotment, Fuel, Grant
from aimass.core.speeds import NORMAL_MICRO
from aimass.policies.allot_view import UNKNOWN, Held, LiveJob, View, view_of
from aimass.policies.gavel_shares import Goal, Row, Shares, Table, shares_of

INTERVAL_MS = 360_000  # Gavel's round
HOLD = 2
JUST_STARTED_MS = 1_000  # what everybody counts as having had: no part is of nothing
LEFT_MS = 3_600_000  # of a job of unknown length: as much as it has worked, or this
TABLES_KEPT = 8
_MIRROR = "gavel-shares"  # see NodeIndex.mirrors

# By name: the goal, and whether it takes jobs for equally fast wherever they run.
GAVEL: dict[str, tuple[Goal, bool]] = {
    "gavel-max-min": (Goal.MAX_MIN, True),
    "gavel-max-min-perf": (Goal.MAX_MIN, False),
    "gavel-ftf-perf": (Goal.FINISH_TIME_FAIRNESS, False),
    "gavel-makespan": (Goal.MAKESPAN, True),
    "gavel-makespan-perf": (Goal.MAKESPAN, False),
    "gavel-cost": (Goal.COST, False),
}


class Candidate(NamedTuple):
    """A job that takes part. speeds: by model, at its normal size; had_ms: by model.

    rests: it keeps what it holds for now. leaves: it was told to stop; it has a share all the same,
    so that what is decided while it leaves is what was decided when it was told.
    """

    live: LiveJob
    speeds: tuple[int, ...]
    had_ms: tuple[int, ...]
    rests: bool
    leaves: bool = False

    def holds(self, model: int) -> bool:
        """True when it has GPUs of that model."""
        return self.live.has is not None and self.live.has.model == model


class GavelAllot:
    """An AllotPolicy. O(live * models * log), and a program when somebody came or went.

    Shares that depend on ages and on work left are made anew at every decision.
    """

    version = 1

    def __init__(
        self,
        name: str,
        interval_ms: int = INTERVAL_MS,
        prices: tuple[tuple[str, float], ...] = (),
    ) -> None:
        """name: one of GAVEL. prices: of a GPU for any time, by model; 1 where there is none."""
        self.name = name
        self._goal, self._is_blind = GAVEL[name]
        self._interval_ms = interval_ms
        self._prices = {model.lower(): price for model, price in prices}

    def allot(
        self, cluster: Cluster, fuel: Fuel, without: frozenset[JobId] = frozenset()
    ) -> Allotment:
        """See AllotPolicy.allot. Jobs of higher priority share first, the others what is left."""
        view = view_of(cluster, self._goal is not Goal.MAX_MIN, without)
        left = [model.gpus for model in view.models]
        choices: list[tuple[LiveJob, Held, str]] = []
        is_settled = True
        leaving = {live.id for live in view.leaving}
        everybody = sorted((*view.jobs, *view.leaving), key=_rank)
        for _, band in groupby(everybody, key=_priority):
            there = self._candidates(cluster, view, band, leaving)
            if not there:
                continue
            fuel.burn(len(there))
            shares = self._shares(cluster, view, left, there)
            chosen = choose(there, self._owed(there, shares, view.now_ms), left)
            is_settled = is_settled and _is_settled(there, shares, chosen)
            for at, model in chosen.items():
                one = there[at]
                held = Held(model, one.live.normal_gpus)
                choices.append((one.live, held, _why(view, shares, at, one, model)))
        choices.sort(key=lambda choice: (-choice[0].priority, -choice[1].gpus, choice[0].seq))
        grants = [Grant(job_id, want, "runs as it asks") for job_id, want in view.as_asked]
        grants += [Grant(live.id, live.want(view, held), why) for live, held, why in choices]
        turn_ms = (view.now_ms // self._interval_ms + 1) * self._interval_ms
        return Allotment(tuple(grants), 0 if is_settled else turn_ms)

    def _candidates(
        self, cluster: Cluster, view: View, band: Iterable[LiveJob], leaving: set[JobId]
    ) -> list[Candidate]:
        """Who takes part, by submission: not whose gang is larger than any model that will do."""
        found = []
        for live in band:
            gpus = live.normal_gpus
            speeds = tuple(
                live.speed(Held(at, gpus)) if gpus <= model.gpus else 0
                for at, model in enumerate(view.models)
            )
            if any(speeds):
                job = cluster.jobs[live.id]
                had_ms = _had_ms(cluster, job, view)
                rests, leaves = self._rests(job, live, view), live.id in leaving
                found.append(Candidate(live, speeds, had_ms, rests, leaves))
        return found

    def _rests(self, job: Job, live: LiveJob, view: View) -> bool:
        if live.has is None or live.is_fixed or not job.state.is_active:
            return live.has is not None
        began_ms = job.current.running_ms
        return not began_ms or view.now_ms < began_ms + self._interval_ms

    def _shares(
        self, cluster: Cluster, view: View, left: Sequence[int], there: Sequence[Candidate]
    ) -> Shares:
        names = [model.name for model in view.models]
        prices = (
            tuple(self._prices.get(name.lower(), 1.0) for name in names) if self._prices else ()
        )
        rows = tuple(self._row(one, view.now_ms) for one in there)
        weights = tuple(sorted(view.weights.items()))
        table = Table(self._goal, tuple(left), rows, prices, weights)
        known = _memory(cluster)
        if table not in known:
            if len(known) >= TABLES_KEPT:
                del known[next(iter(known))]
            known[table] = shares_of(table)
        return known[table]

    def _owed(self, there: Sequence[Candidate], shares: Shares, now_ms: int) -> list[list[int]]:
        """Gavel's priority: the share, over the part of the time that was had of it.

        The part of all time that the live jobs had on the model, as in its rounds, where that is
        the better measure: under max-min fairness, of jobs that tell models apart. Else of the
        job's own time since it came. Finish-time fairness counts what was had in its shares.
        """
        if self._goal is Goal.FINISH_TIME_FAIRNESS:
            return [[*row] for row in shares.micro]
        models = range(len(shares.micro[0]))
        started_ms = JUST_STARTED_MS
        all_ms = [sum(one.had_ms[model] + started_ms for one in there) for model in models]
        is_of_all = self._goal is Goal.MAX_MIN and not self._is_blind
        owed = []
        for one, row in zip(there, shares.micro, strict=True):
            of_ms = all_ms
            if not is_of_all:
                of_ms = [now_ms - one.live.submitted_ms + started_ms] * len(all_ms)
            owed.append([row[at] * of_ms[at] // (one.had_ms[at] + started_ms) for at in models])
        return owed

    def _row(self, one: Candidate, now_ms: int) -> Row:
        """What its share rests on, and no more: who is there is all that max-min fairness asks."""
        live, speeds = one.live, one.speeds
        if self._is_blind:
            speeds = tuple(max(one.speeds) if speed else 0 for speed in speeds)
        if self._goal is Goal.MAX_MIN:
            return Row(live.normal_gpus, speeds, live.queue)
        is_known = live.left_ms != UNKNOWN
        left_ms = live.left_ms if is_known else max(LEFT_MS, live.worked_ms)
        age_ms, due_ms = now_ms - live.submitted_ms, live.due_ms
        until_ms = max(1, due_ms - now_ms) if due_ms else 0
        work = (left_ms, live.worked_ms, age_ms, until_ms)
        return Row(live.normal_gpus, speeds, live.queue, *work)


def choose(
    there: Sequence[Candidate], owed: Sequence[Sequence[int]], left: list[int]
) -> dict[int, int]:
    """The model on which each candidate is to run, by its place in `there`; takes from `left`.

    owed: by candidate and model; 0: nothing. Once more on its own result it chooses the same: what
    fits with all that were chosen fits again, and what did not fit does not now.
    """
    chosen: dict[int, int] = {}

    def take(at: int, model: int) -> None:
        gpus = there[at].live.normal_gpus
        if at not in chosen and gpus <= left[model] and not there[at].leaves:
            chosen[at] = model
            left[model] -= gpus

    for at, one in enumerate(there):
        if one.rests and one.live.has is not None:
            chosen[at] = one.live.has.model
            left[one.live.has.model] -= one.live.has.gpus
    for _, _, _, at, model in sorted(_by_what_is_owed(there, owed)):
        take(at, model)
    for _, _, _, at, model in sorted(_gaps(there)):
        take(at, model)
    return chosen


_Pair = tuple[int, bool, int, int, int]
"""Least first: minus the priority, not held, minus GPUs, the candidate's place, the model"""


def _by_what_is_owed(there: Sequence[Candidate], owed: Sequence[Sequence[int]]) -> Iterator[_Pair]:
    """Who holds GPUs makes way for who is owed HOLD times as much."""
    for at, one in enumerate(there):
        for model, how_much in enumerate(owed[at]):
            if how_much:
                is_held = one.holds(model)
                gpus = one.live.normal_gpus
                yield (-how_much * (HOLD if is_held else 1), not is_held, -gpus, at, model)


def _gaps(there: Sequence[Candidate]) -> Iterator[_Pair]:
    """What nobody is owed goes to who is fastest there, compared with its own best."""
    for at, one in enumerate(there):
        best, gpus = max(one.speeds), one.live.normal_gpus
        for model, speed in enumerate(one.speeds):
            if speed:
                yield (-speed * NORMAL_MICRO // best, not one.holds(model), -gpus, at, model)


def _is_settled(there: Sequence[Candidate], shares: Shares, chosen: dict[int, int]) -> bool:
    """True when everybody runs where all of its share is: time alone changes nothing."""
    return all(
        at in chosen and shares.micro[at][chosen[at]] == sum(shares.micro[at]) > 0
        for at in range(len(there))
    )


def _had_ms(cluster: Cluster, job: Job, view: View) -> tuple[int, ...]:
    """How long the job ran on each model. O(models)."""
    had = dict(job.told.ran_on)
    if job.state.is_active and job.current.running_ms:
        place = next(place for place in job.current.placements if place.devices)
        name = cluster.nodes[place.node_id].devices[place.devices[0]].spec.model
        had[name] = had.get(name, 0) + view.now_ms - job.current.running_ms
    return tuple(had.get(model.name, 0) for model in view.models)


def _priority(live: LiveJob) -> int:
    return live.priority


def _rank(live: LiveJob) -> tuple[int, int]:
    return (-live.priority, live.seq)


def _why(view: View, shares: Shares, at: int, one: Candidate, model: int) -> str:
    """A line for people: the share, and what it has had."""
    name, all_ms = view.models[model].name, sum(one.had_ms)
    if one.rests:
        return f"on {name} for one turn at least"
    share = f"{shares.micro[at][model] / 10_000:.0f} % of its time on {name} is its share"
    had = f"; it had {100 * one.had_ms[model] // all_ms} % there" if all_ms else ""
    return f"{share}{had}{'' if shares.is_solved else ' (by size: no program was solved)'}"


class _Memory(dict[Table, Shares]):
    """The last tables of one cluster. Losing them costs making their shares again."""


def _memory(cluster: Cluster) -> _Memory:
    memory = cluster.index.mirrors.get(_MIRROR)
    if not isinstance(memory, _Memory):
        memory = cluster.index.mirrors[_MIRROR] = _Memory()
    return memory
