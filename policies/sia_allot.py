"""Sia (Jayaram Subramanya et al., SOSP 2023): one integer program says who holds what.

Each job may choose one configuration: GPUs of one model, powers of two within a node or whole
nodes. Its goodput there, as a multiple of that of its least configuration, counts to the power of
P, which is fair between jobs; all but what it holds is discounted by what restarts have cost it.
Made anew whenever somebody comes or goes, and every minute while programs measure their speeds.
"""

from aimass.core.policy import Fuel
from aimass.core.speeds import NORMAL_MICRO
from aimass.policies.allot_view import Held, LiveJob, View
from aimass.policies.allotter import Allotter, Choice, Chosen, next_round_ms
from aimass.policies.optimus import keep_where_it_pays, marginal

P = -0.5  # of the paper
# What it costs to give a job nothing. The paper has 1.1; on the Pollux workloads 2 is 1 % better.
IDLE_COST = 2.0
# Beyond so many configurations each job has a few only: 10,000 elastic jobs take 10 s, not 20.
COLUMNS_MAX = 50_000


class Sia(Allotter):
    """Goodput^P over configurations, by HiGHS; by marginal gain where that is not installed."""

    def __init__(self, name: str = "sia") -> None:
        super().__init__(name)

    def choose(self, view: View, fuel: Fuel) -> Chosen:
        """See Allotter.choose."""
        held = _solved(view)
        if held is None:
            held = keep_where_it_pays(view, marginal(view))
        choices = [
            Choice(j, held[j.seq], _reason(j, held[j.seq])) for j in view.jobs if j.seq in held
        ]
        return Chosen(choices, next_round_ms(view))


def _solved(view: View) -> dict[int, Held] | None:
    """The choice of the program, by submit sequence; None: there is no solver, or it gave up."""
    try:
        from aimass.policies.lp_sia import NONE, choose
    except ImportError:  # no NumPy
        return None
    rows: list[tuple[int, int, int, float]] = []
    now = [NONE] * len(view.jobs)
    costs = [costs_of(view, job) for job in view.jobs]
    if sum(map(len, costs)) > COLUMNS_MAX:
        fair = -(-sum(model.gpus for model in view.models) // len(view.jobs))
        costs = [thinned(job, found, fair) for job, found in zip(view.jobs, costs, strict=True)]
    for index, job in enumerate(view.jobs):
        for held, cost in costs[index]:
            if held == job.has:
                now[index] = len(rows)
            rows.append((index, held.model, held.gpus, cost))
    chosen = choose(rows, [model.gpus for model in view.models], now)
    if chosen is None:
        return None
    return {
        view.jobs[index].seq: Held(rows[row][1], rows[row][2])
        for index, row in enumerate(chosen)
        if row != NONE
    }


def costs_of(view: View, job: LiveJob) -> list[tuple[Held, float]]:
    """The configurations of the job, each with its cost in the program. O(levels)."""
    found: list[tuple[Held, int]] = []
    for index, levels in enumerate(job.levels):
        model = view.models[index]
        usual = [(g, s) for g, s in levels if is_usual(g, model.per_node)]
        for gpus, speed in usual or levels:
            held = Held(index, gpus)
            if gpus <= model.gpus:
                found.append((held, speed))
    least = min((speed for _, speed in found if speed), default=NORMAL_MICRO)
    fewest = min((held.gpus for held, _ in found), default=1)
    if job.has is not None and job.has not in [held for held, _ in found]:
        found.append((job.has, job.speed(job.has)))  # what it would not choose now scales nothing
    factor = _restart_factor(view.now_ms - job.submitted_ms, job.restarts, job.restart_ms)
    costs = []
    for held, speed in found:
        goodput = speed / least * fewest * (1.0 if held == job.has else factor)
        if goodput > 0:
            costs.append((held, round(min(goodput**P, _MOST) - IDLE_COST, 6)))
    return costs


def thinned(job: LiveJob, costs: list[tuple[Held, float]], fair: int) -> list[tuple[Held, float]]:
    """Its least on each model, the best of at most `fair` GPUs and of all, and what it holds."""
    least: dict[int, int] = {}
    for held, _ in costs:
        least[held.model] = min(held.gpus, least.get(held.model, held.gpus))
    near = [entry for entry in costs if entry[0].gpus <= fair]
    best = [min(some, key=_best_first)[0] for some in (near, costs) if some]
    return [
        (held, cost)
        for held, cost in costs
        if held.gpus == least[held.model] or held in best or held == job.has
    ]


def _best_first(entry: tuple[Held, float]) -> tuple[float, int]:
    return (entry[1], entry[0].gpus)


_MOST = 3000.0  # as the paper's program clips


def is_usual(gpus: int, per_node: int) -> bool:
    """A power of two within a node, or whole nodes."""
    if gpus > per_node > 0:
        return gpus % per_node == 0
    return gpus & (gpus - 1) == 0


def _restart_factor(age_ms: int, restarts: int, restart_ms: int) -> float:
    """What part of its life the job would have worked, after one more restart."""
    if age_ms < restart_ms or not restart_ms:
        return 1.0
    return max(age_ms - restarts * restart_ms, 0) / (age_ms + restart_ms)


def _reason(job: LiveJob, held: Held) -> str:
    if job.has == held:
        return "keeps what it has"
    return f"{held.gpus} GPUs: most goodput for all, restarts counted"
