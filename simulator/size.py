"""The smallest cluster that meets goals: nodes of one kind are added or taken by bisection.

More nodes are taken to be better. Schedules are not quite so: with one node more some job may wait
longer. So what is found is a number of nodes that meets the goals where one node fewer does not.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aimass.simulator.clusters import Kinds
from aimass.simulator.models import PLAIN, Models, kinds_ever
from aimass.simulator.run_summary import Row
from aimass.simulator.sweep import Failure
from aimass.simulator.tracejob import TraceJob, misfit, missing_types


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure of the summary must be. is_more: it must be above the limit, else below.

    may_equal: the limit itself will do. text: as it was written.
    """

    figure: str
    is_more: bool
    may_equal: bool
    limit: float
    text: str

    def is_met(self, value: float) -> bool:
        """Whether a value is on the right side."""
        if value == self.limit:
            return self.may_equal
        return (value > self.limit) == self.is_more


@dataclass(frozen=True, slots=True)
class Trial:
    """One number of nodes. values: by figure the worst over the seeds that ran.

    why: why it does not meet the goals, beside what the values say; "": that is all. is_idle: no
    job waited for others, so that more nodes of the kinds there are change nothing.
    """

    nodes: int
    is_met: bool
    values: dict[str, float]
    why: str = ""
    is_idle: bool = False


class SizeError(ValueError):
    """The goals cannot be judged at all on this trace."""


def with_nodes(kinds: Kinds, nodes: int) -> Kinds:
    """The cluster with so many nodes of its last kind."""
    return (*kinds[:-1], kinds[-1]._replace(nodes=nodes))


def spelled(kinds: Kinds) -> str:
    """A cluster as parse_cluster reads it."""
    return "+".join(f"{kind.nodes}x{kind.gpus}x{kind.gpu_type}" for kind in kinds)


def search(attempt: Callable[[int], Trial], start: int, most: int) -> Iterator[Trial]:
    """Try numbers of nodes from 1 to `most`, the first `start`; the answer is `answer(trials)`.

    Up by doubling until one meets the goals, then between. Ends early where more nodes change
    nothing. O(log most) trials.
    """
    low, high = 0, 0  # the most that does not meet them, the fewest that does; 0: none known
    nodes = min(start, most)
    while not high or high - low > 1:
        trial = attempt(nodes)
        yield trial
        if trial.is_met:
            high = nodes
        else:
            low = nodes
            if not high and (trial.is_idle or nodes == most):
                return
        nodes = (low + high) // 2 if high else min(2 * low, most)


def answer(trials: list[Trial]) -> Trial | None:
    """The smallest that met the goals; None: no trial did."""
    return min((trial for trial in trials if trial.is_met), key=lambda t: t.nodes, default=None)


class Attempts:
    """Tries clusters on a trace: every seed must meet every goal.

    shapes: a job of each shape in the trace. play: runs one seed on a cluster. The seed that failed
    last goes first the next time, and the first that fails is the last to run.
    """

    def __init__(
        self,
        kinds: Kinds,
        goals: tuple[Goal, ...],
        seeds: tuple[int, ...],
        shapes: list[TraceJob],
        play: Callable[[Kinds, int], Row | Failure],
        models: Models = PLAIN,
    ) -> None:
        self._kinds, self._goals, self._seeds = kinds, goals, list(seeds)
        self._shapes, self._play, self._models = shapes, play, models

    def __call__(self, nodes: int) -> Trial:
        """Raises SizeError when a figure says nothing, or the run breaks off."""
        kinds = with_nodes(self._kinds, nodes)
        for job in self._shapes:
            ever = kinds_ever(kinds, self._models)
            what = misfit(job, ever)
            if wanted := missing_types(job, ever):
                fix = f"add nodes with {' or '.join(wanted)} to --cluster"
                raise SizeError(f"{job.name} {what}; fix: {fix}")
            if what is not None:
                return Trial(nodes, False, {}, f"{job.name} {what}")
        values: dict[str, float] = {}
        is_idle = len(kinds) == 1
        for seed in self._seeds:
            row = self._play(kinds, seed)
            if isinstance(row, Failure):
                raise SizeError(f"{row.what}; fix: {row.fix}")
            is_idle &= row["wait_mean_s"] == 0 and not row["restarts"]
            self._take(row, values)
            why = self._why(row, values)
            if why is not None:
                self._seeds.remove(seed)
                self._seeds.insert(0, seed)
                return Trial(nodes, False, values, why, is_idle)
        return Trial(nodes, True, values)

    def _take(self, row: Row, values: dict[str, float]) -> None:
        for goal in self._goals:
            value = row[goal.figure]
            if value is None:
                fix = "give jobs an slo_s, or name another figure"
                raise SizeError(f"{goal.figure} says nothing of this trace; fix: {fix}")
            worse = min if goal.is_more else max
            values[goal.figure] = worse(values.get(goal.figure, value), value)

    def _why(self, row: Row, values: dict[str, float]) -> str | None:
        """Why the seed fails; None: it does not."""
        if row["finished"] < row["jobs"]:
            return f"{row['jobs'] - row['finished']} jobs never end"
        if all(goal.is_met(values[goal.figure]) for goal in self._goals):
            return None
        return f"seed {row['seed']}" if len(self._seeds) > 1 else ""
